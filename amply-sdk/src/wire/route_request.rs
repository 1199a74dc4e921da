//! What `POST /route` takes, checked by the server's own rules before it leaves.

use std::str::FromStr;

use serde::{Serialize, Serializer};
use serde_json::{Map, Value};

use crate::error::Error;
use crate::money::Usd;
use crate::text::{acts_on_a_terminal, one_line};

/// The most UTF-16 units that a task may have: the server counts as JavaScript does, so an emoji is two.
const MAX_TASK_UNITS: usize = 8000;

/// A task to find a provider for, with hints and constraints.
///
/// Anything that is text becomes a request with the server's defaults: `client.route_task("store 1M vectors")`.
///
/// ```
/// use amply_sdk::{RouteRequest, WorkloadType};
///
/// let request = RouteRequest::new("store 5 million embeddings")
///     .dimension(768)
///     .workload_type(WorkloadType::QueryHeavy)
///     .latency_target_ms(50);
/// request.validate()?;
/// # Ok::<(), amply_sdk::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize)]
#[must_use]
pub struct RouteRequest {
    task: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    dimension: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    workload_type: Option<WorkloadType>,
    #[serde(skip_serializing_if = "Option::is_none")]
    filter_complexity: Option<FilterComplexity>,
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "as_number")]
    budget_usd: Option<Usd>,
    #[serde(skip_serializing_if = "Option::is_none")]
    latency_target_ms: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "as_number")]
    budget_usd_per_1m_ops: Option<Usd>,
    #[serde(skip_serializing_if = "Option::is_none")]
    slo_p99_ms: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    referral_tag: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sandbox_mode: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    enterprise_policy: Option<Map<String, Value>>,
    /// A header, not a field.
    #[serde(skip)]
    idempotency_key: Option<String>,
}

impl RouteRequest {
    /// A request for `task`, in plain words: 1 to 8000 UTF-16 units, blanks around it not counted.
    pub fn new(task: impl Into<String>) -> Self {
        Self {
            task: task.into(),
            dimension: None,
            workload_type: None,
            filter_complexity: None,
            budget_usd: None,
            latency_target_ms: None,
            budget_usd_per_1m_ops: None,
            slo_p99_ms: None,
            referral_tag: None,
            sandbox_mode: None,
            enterprise_policy: None,
            idempotency_key: None,
        }
    }

    /// Dimensions of one vector, 1 to 65536.
    pub fn dimension(mut self, dimension: u32) -> Self {
        self.dimension = Some(dimension);
        self
    }

    /// What the workload mostly does; the server assumes [`WorkloadType::Hybrid`].
    pub fn workload_type(mut self, workload_type: WorkloadType) -> Self {
        self.workload_type = Some(workload_type);
        self
    }

    /// How involved the metadata filters are; the server assumes [`FilterComplexity::Medium`].
    pub fn filter_complexity(mut self, filter_complexity: FilterComplexity) -> Self {
        self.filter_complexity = Some(filter_complexity);
        self
    }

    /// A hint in USD: a provider that costs much more ranks lower. The server assumes 0.01; 0 switches the
    /// penalty off.
    pub fn budget_usd(mut self, budget: impl Into<Usd>) -> Self {
        self.budget_usd = Some(budget.into());
        self
    }

    /// A hint in ms: a provider whose p99 is much slower ranks lower. The server assumes 200; 0 switches the
    /// penalty off.
    pub fn latency_target_ms(mut self, ms: impl Into<f64>) -> Self {
        self.latency_target_ms = Some(ms.into());
        self
    }

    /// A hard limit in USD per million operations: a provider that costs more is filtered out.
    pub fn budget_usd_per_1m_ops(mut self, budget: impl Into<Usd>) -> Self {
        self.budget_usd_per_1m_ops = Some(budget.into());
        self
    }

    /// A hard limit in ms: a provider whose p99 is slower is filtered out.
    pub fn slo_p99_ms(mut self, ms: impl Into<f64>) -> Self {
        self.slo_p99_ms = Some(ms.into());
        self
    }

    /// Where the call came from: 1 to 64 of `A–Z a–z 0–9 . _ : @ / -`.
    pub fn referral_tag(mut self, tag: impl Into<String>) -> Self {
        self.referral_tag = Some(tag.into());
        self
    }

    /// Asks the server to treat the call as a trial.
    pub fn sandbox_mode(mut self, on: bool) -> Self {
        self.sandbox_mode = Some(on);
        self
    }

    /// An enterprise policy, passed through as it is.
    pub fn enterprise_policy(mut self, policy: Map<String, Value>) -> Self {
        self.enterprise_policy = Some(policy);
        self
    }

    /// The caller's own idempotency key for this call, 1 to 255 visible ASCII characters; a new one for each call unless set.
    ///
    /// A key that led a payment never leads another, also after a restart, so that a job that is run again does not top up
    /// again. It guards the top-up; whether the server charges the route once for a key is the server's affair, and not
    /// promised.
    pub fn idempotency_key(mut self, key: impl Into<String>) -> Self {
        self.idempotency_key = Some(key.into());
        self
    }

    pub(crate) fn own_idempotency_key(&self) -> Option<&str> {
        self.idempotency_key.as_deref()
    }

    /// Checks the request by the server's rules. Every call does this before anything is sent.
    ///
    /// # Errors
    /// [`Error::Invalid`] with the first field that is wrong, in the order in which the server looks.
    pub fn validate(&self) -> Result<(), Error> {
        let units = self.task.trim_matches(is_blank).encode_utf16().count();
        if units == 0 {
            return Err(Error::invalid("task", "the task is empty; say in plain words what is to be done"));
        }
        if units > MAX_TASK_UNITS {
            return Err(Error::invalid(
                "task",
                format!(
                    "the task is {units} UTF-16 units long, at most {MAX_TASK_UNITS} are accepted (an emoji counts \
                     as two); shorten it"
                ),
            ));
        }
        at_least_zero("budget_usd", self.budget_usd)?;
        if let Some(ms) = self.latency_target_ms
            && !(ms.is_finite() && ms >= 0.0)
        {
            return Err(Error::invalid(
                "latency_target_ms",
                format!("latency_target_ms is {ms}; it must be a number of milliseconds, 0 or more"),
            ));
        }
        if let Some(dimension) = self.dimension
            && !(1..=65_536).contains(&dimension)
        {
            return Err(Error::invalid(
                "dimension",
                format!("dimension is {dimension}; it must be a whole number from 1 to 65536"),
            ));
        }
        if let Some(tag) = &self.referral_tag {
            check_tag(tag)?;
        }
        at_least_zero("budget_usd_per_1m_ops", self.budget_usd_per_1m_ops)?;
        if let Some(ms) = self.slo_p99_ms
            && !(ms.is_finite() && ms > 0.0)
        {
            return Err(Error::invalid(
                "slo_p99_ms",
                format!("slo_p99_ms is {ms}; it must be a number of milliseconds above 0"),
            ));
        }
        self.idempotency_key.as_deref().map_or(Ok(()), check_key)
    }
}

#[cfg(test)]
impl RouteRequest {
    /// Every field, so that a new one cannot be forgotten where fields are listed.
    pub(crate) fn with_everything() -> Self {
        Self {
            task: "t".to_owned(),
            dimension: Some(1),
            workload_type: Some(WorkloadType::Hybrid),
            filter_complexity: Some(FilterComplexity::Low),
            budget_usd: Some(Usd::ZERO),
            latency_target_ms: Some(1.0),
            budget_usd_per_1m_ops: Some(Usd::ZERO),
            slo_p99_ms: Some(1.0),
            referral_tag: Some("r".to_owned()),
            sandbox_mode: Some(true),
            enterprise_policy: Some(Map::new()),
            idempotency_key: Some("k".to_owned()),
        }
    }
}

impl<T: Into<String>> From<T> for RouteRequest {
    fn from(task: T) -> Self {
        Self::new(task)
    }
}

impl From<&RouteRequest> for RouteRequest {
    fn from(request: &RouteRequest) -> Self {
        request.clone()
    }
}

/// What a workload mostly does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum WorkloadType {
    /// Mostly writes.
    InsertHeavy,
    /// Mostly queries.
    QueryHeavy,
    /// Both.
    Hybrid,
}

impl WorkloadType {
    /// Every value, with the word that the API has for it.
    pub const ALL: &'static [(&'static str, Self)] =
        &[("insert_heavy", Self::InsertHeavy), ("query_heavy", Self::QueryHeavy), ("hybrid", Self::Hybrid)];
}

impl WorkloadType {
    /// The API's word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::InsertHeavy => "insert_heavy",
            Self::QueryHeavy => "query_heavy",
            Self::Hybrid => "hybrid",
        }
    }
}

impl FromStr for WorkloadType {
    type Err = Error;

    /// Reads the API's word; a hyphen serves as well as an underscore, and capitals do not matter.
    fn from_str(word: &str) -> Result<Self, Error> {
        from_word("workload_type", word, Self::ALL)
    }
}

/// How involved the metadata filters of a workload are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum FilterComplexity {
    /// None, or one field.
    Low,
    /// A few fields.
    Medium,
    /// Many fields, or nested conditions.
    High,
}

impl FilterComplexity {
    /// Every value, with the word that the API has for it.
    pub const ALL: &'static [(&'static str, Self)] =
        &[("low", Self::Low), ("medium", Self::Medium), ("high", Self::High)];
}

impl FilterComplexity {
    /// The API's word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
        }
    }
}

impl FromStr for FilterComplexity {
    type Err = Error;

    /// Reads the API's word; capitals do not matter.
    fn from_str(word: &str) -> Result<Self, Error> {
        from_word("filter_complexity", word, Self::ALL)
    }
}

pub(super) fn from_word<T: Copy>(
    field: &'static str,
    word: &str,
    all: &[(&'static str, T)],
) -> Result<T, Error> {
    let plain = word.to_ascii_lowercase().replace('-', "_");
    all.iter().find(|(known, _)| *known == plain).map(|(_, value)| *value).ok_or_else(|| {
        let known: Vec<_> = all.iter().map(|(known, _)| format!("`{known}`")).collect();
        Error::invalid(
            field,
            format!("{field} is `{}`; it must be one of {}", one_line(word, 40), known.join(", ")),
        )
    })
}

fn at_least_zero(field: &'static str, amount: Option<Usd>) -> Result<(), Error> {
    match amount {
        Some(amount) if amount.is_negative() => {
            Err(Error::invalid(field, format!("{field} is {amount} USD; it must be 0 or more")))
        }
        _ => Ok(()),
    }
}

pub(crate) fn check_key(key: &str) -> Result<(), Error> {
    let refuse = |why: &str| Err(Error::invalid("idempotency_key", format!("idempotency_key {why}")));
    match key.len() {
        0 => refuse("is empty; leave it out, or give 1 to 255 visible ASCII characters"),
        1..=255 if key.bytes().all(|byte| byte.is_ascii_graphic()) => Ok(()),
        1..=255 => refuse("holds a character that none may have; it must be visible ASCII, without blanks"),
        _ => refuse("is longer than 255 characters"),
    }
}

fn check_tag(tag: &str) -> Result<(), Error> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "._:@/-".contains(c);
    let refuse = |why: String| Err(Error::invalid("referral_tag", format!("referral_tag {why}")));
    match tag.chars().find(|c| !allowed(*c)) {
        // What would act on a terminal is named, not shown.
        Some(c) => refuse(format!(
            "holds {}; it may have letters, digits and . _ : @ / - only",
            if acts_on_a_terminal(c) {
                format!("the character U+{:04X}", u32::from(c))
            } else {
                format!("`{c}`")
            }
        )),
        None if tag.is_empty() || tag.len() > 64 => {
            refuse(format!("has {} characters; it must have 1 to 64", tag.len()))
        }
        None => Ok(()),
    }
}

/// White space as the server trims it, which is JavaScript's and not Rust's: it has U+FEFF and lacks U+0085.
fn is_blank(c: char) -> bool {
    matches!(c,
        '\t'..='\r' | ' ' | '\u{a0}' | '\u{1680}' | '\u{2000}'..='\u{200a}' | '\u{2028}' | '\u{2029}' | '\u{202f}'
        | '\u{205f}' | '\u{3000}' | '\u{feff}')
}

fn as_number<S: Serializer>(amount: &Option<Usd>, serializer: S) -> Result<S::Ok, S::Error> {
    amount.map(Usd::to_f64).serialize(serializer)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn says(request: RouteRequest) -> String {
        request.validate().unwrap_err().to_string()
    }

    #[test]
    fn a_task_is_measured_as_the_server_measures_it() {
        for task in ["", "  \n\t ", "\u{a0}", "\u{3000}", "\u{feff}"] {
            assert!(says(RouteRequest::new(task)).contains("the task is empty"), "{task:?}");
        }
        for task in ["\u{200b}", "\u{85}", "\u{180e}", "\0", "two\nlines"] {
            assert!(RouteRequest::new(task).validate().is_ok(), "{task:?}");
        }
        assert!(RouteRequest::new("a".repeat(8000)).validate().is_ok());
        assert!(RouteRequest::new(format!(" {} ", "a".repeat(8000))).validate().is_ok());
        assert!(RouteRequest::new("🚀".repeat(4000)).validate().is_ok());
        assert!(says(RouteRequest::new("a".repeat(8001))).contains("8001 UTF-16 units"));
        assert!(says(RouteRequest::new("🚀".repeat(4001))).contains("8002 UTF-16 units"));
    }

    #[test]
    fn numbers_out_of_range_are_refused_by_name() {
        let task = || RouteRequest::new("store 1M vectors");
        let usd = |text: &str| text.parse::<Usd>().unwrap();
        for (request, words) in [
            (task().dimension(0), "dimension is 0"),
            (task().dimension(65_537), "dimension is 65537"),
            (task().budget_usd(usd("-0.01")), "budget_usd is -0.01 USD"),
            (task().budget_usd_per_1m_ops(usd("-1")), "budget_usd_per_1m_ops is -1 USD"),
            (task().latency_target_ms(f64::NAN), "latency_target_ms is NaN"),
            (task().latency_target_ms(-1), "latency_target_ms is -1"),
            (task().slo_p99_ms(0), "slo_p99_ms is 0"),
            (task().slo_p99_ms(f64::INFINITY), "slo_p99_ms is inf"),
        ] {
            assert!(says(request.clone()).starts_with(words), "{}", says(request));
        }
        let least = task().dimension(1).budget_usd(Usd::ZERO).latency_target_ms(0).slo_p99_ms(0.5);
        assert!(least.validate().is_ok());
    }

    #[test]
    fn the_first_bad_field_is_named_in_the_servers_order() {
        let request = RouteRequest::new("").dimension(0).latency_target_ms(-1);
        assert!(says(request).contains("task"));
    }

    #[test]
    fn an_unknown_word_is_answered_with_the_right_ones() {
        assert_eq!("Query-Heavy".parse::<WorkloadType>().unwrap(), WorkloadType::QueryHeavy);
        let error = "read_heavy".parse::<WorkloadType>().unwrap_err().to_string();
        assert_eq!(
            error,
            "workload_type is `read_heavy`; it must be one of `insert_heavy`, `query_heavy`, `hybrid`"
        );
        assert!("".parse::<FilterComplexity>().unwrap_err().to_string().contains("`medium`"));
    }

    #[test]
    fn a_tag_with_a_line_break_is_refused_without_showing_it() {
        let tag = |tag: &str| RouteRequest::new("x").referral_tag(tag);
        assert!(tag("campaign:sdk/test-1").validate().is_ok());
        assert!(says(tag("has space")).contains("holds ` `"));
        assert!(says(tag("a\nb")).contains("U+000A"));
        assert!(says(tag("")).contains("has 0 characters"));
        assert!(says(tag(&"a".repeat(65))).contains("has 65 characters"));
    }

    #[test]
    fn a_callers_key_is_one_visible_word_and_no_field() {
        let with = |key: &str| RouteRequest::new("x").idempotency_key(key);
        assert_eq!(serde_json::to_string(&with("nightly-42")).unwrap(), r#"{"task":"x"}"#);
        assert!(with(&"k".repeat(255)).validate().is_ok());
        for (key, says) in [
            ("", "is empty"),
            ("a b", "visible ASCII"),
            ("a\n", "visible ASCII"),
            (&*"k".repeat(256), "longer than 255"),
        ] {
            let error = with(key).validate().unwrap_err().to_string();
            assert!(error.starts_with("idempotency_key") && error.contains(says), "{error}");
        }
    }

    #[test]
    fn what_is_sent_has_the_fields_that_were_set_and_no_others() {
        let request =
            RouteRequest::new("x").budget_usd("0.004".parse::<Usd>().unwrap()).latency_target_ms(20);
        assert_eq!(
            serde_json::to_string(&request).unwrap(),
            r#"{"task":"x","budget_usd":0.004,"latency_target_ms":20.0}"#
        );
    }
}
