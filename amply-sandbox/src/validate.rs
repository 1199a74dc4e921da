//! The body of `POST /route`: from bytes to a request that can be scored, or the server's own words why not.
//!
//! Pure. Accepts and refuses what release 3.1.12 was seen to accept and refuse, coercions included; the fields that came
//! later are read alike.

use std::collections::HashMap;

use serde_json::value::RawValue;

use crate::{js, json, release::Release};

const TASK: &str = "task is required (1 to 8000 characters)";
const BUDGET: &str = "budget_usd must be a number >= 0";
const LATENCY: &str = "latency_target_ms must be a number >= 0";
const DIMENSION: &str = "dimension must be an integer 1 to 65536 when provided";
const FILTER: &str = "filter_complexity must be low, medium, or high";
const WORKLOAD: &str = "workload_type must be insert_heavy, query_heavy, or hybrid";
const REFERRAL: &str = "referral_tag must be empty or 1–64 chars: letters, digits, . _ : @ / -";
const INVALID_JSON: &str = "Invalid JSON body";

const PER_1M_OPS: &str = "budget_usd_per_1m_ops must be a number >= 0";
const SLO: &str = "slo_p99_ms must be a number > 0";

/// A route request as the server understands it, defaults filled in.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct RouteInput {
    /// Trimmed.
    pub(crate) task: String,
    /// Whole, 1 to 65536.
    pub(crate) dimension: Option<f64>,
    pub(crate) workload: Workload,
    pub(crate) filter: Filter,
    /// USD; 0 switches the cost penalty off, may be infinite.
    pub(crate) budget_usd: f64,
    /// Milliseconds; 0 switches the latency penalty off, may be infinite.
    pub(crate) latency_target_ms: f64,
    pub(crate) limits: Limits,
    pub(crate) sandbox_mode: bool,
}

/// What a provider must keep to be recommended. Each may be infinite.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Limits {
    /// USD; 0 lets only what is free pass.
    pub(crate) budget_usd_per_1m_ops: Option<f64>,
    /// Milliseconds, more than 0.
    pub(crate) slo_p99_ms: Option<f64>,
}

impl Limits {
    pub(crate) fn is_empty(&self) -> bool {
        *self == Limits::default()
    }
}

impl RouteInput {
    /// A request that says nothing but its task.
    pub(crate) fn of_task(task: &str) -> Self {
        RouteInput {
            task: task.to_owned(),
            dimension: None,
            workload: Workload::Hybrid,
            filter: Filter::Medium,
            budget_usd: 0.01,
            latency_target_ms: 200.0,
            limits: Limits::default(),
            sandbox_mode: false,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Workload {
    InsertHeavy,
    QueryHeavy,
    Hybrid,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Filter {
    Low,
    Medium,
    High,
}

/// Why a body is not a route request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// 400 with this `detail`.
    Detail(&'static str),
    /// The server does not guard against a body of `null`: 500, nothing in it.
    Null,
}

/// Reads a body; the first field that is wrong, in the server's order of checks, is the one reported.
pub(crate) fn route_input(body: &[u8], release: Release) -> Result<RouteInput, Refusal> {
    let text = json::text_of_body(body);
    let document: &RawValue = serde_json::from_str(&text).map_err(|_| Refusal::Detail(INVALID_JSON))?;
    match document.get().as_bytes().first() {
        Some(b'{') => {}
        Some(b'n') => return Err(Refusal::Null),
        _ => return Err(Refusal::Detail(TASK)),
    }
    // A map and not a struct: of two equal keys the last one counts, a derived struct would refuse both.
    let fields: HashMap<String, &RawValue> =
        serde_json::from_str(document.get()).map_err(|_| Refusal::Detail(INVALID_JSON))?;
    let field = |name: &str| fields.get(name).copied().filter(|value| value.get() != "null");

    let mut input = RouteInput::of_task(&task(field("task")).ok_or(Refusal::Detail(TASK))?);
    if let Some(value) = field("budget_usd") {
        input.budget_usd = at_least_zero(value).ok_or(Refusal::Detail(BUDGET))?;
    }
    if let Some(value) = field("latency_target_ms") {
        input.latency_target_ms = at_least_zero(value).ok_or(Refusal::Detail(LATENCY))?;
    }
    if let Some(value) = field("dimension") {
        input.dimension = Some(dimension(value).ok_or(Refusal::Detail(DIMENSION))?);
    }
    if let Some(value) = field("filter_complexity") {
        input.filter = filter(value).ok_or(Refusal::Detail(FILTER))?;
    }
    if let Some(value) = field("workload_type") {
        input.workload = workload(value).ok_or(Refusal::Detail(WORKLOAD))?;
    }
    if let Some(value) = field("referral_tag")
        && !is_referral_tag(value)
    {
        return Err(Refusal::Detail(REFERRAL));
    }
    if !release.is_documented() {
        return Ok(input);
    }
    // [our] that they come last, and what is refused: the documentation has no more than their names.
    if let Some(value) = field("budget_usd_per_1m_ops") {
        input.limits.budget_usd_per_1m_ops = Some(at_least_zero(value).ok_or(Refusal::Detail(PER_1M_OPS))?);
    }
    if let Some(value) = field("slo_p99_ms") {
        let slo = js::coerce::number(value);
        input.limits.slo_p99_ms = Some((slo > 0.0).then_some(slo).ok_or(Refusal::Detail(SLO))?);
    }
    input.sandbox_mode = field("sandbox_mode").is_some_and(|value| value.get() == "true");
    Ok(input)
}

fn task(value: Option<&RawValue>) -> Option<String> {
    // A text and nothing that could be turned into one: 42 is refused.
    let text: String = serde_json::from_str(value?.get()).ok()?;
    let task = js::trim(&text);
    // UTF-16 units: 4,001 emoji are 8,002 and too long.
    let units = task.encode_utf16().count();
    (1..=8000).contains(&units).then(|| task.to_owned())
}

fn at_least_zero(value: &RawValue) -> Option<f64> {
    let number = js::coerce::number(value);
    (number >= 0.0).then_some(number)
}

fn dimension(value: &RawValue) -> Option<f64> {
    let number = js::coerce::number(value);
    (number.fract() == 0.0 && (1.0..=65_536.0).contains(&number)).then_some(number)
}

fn filter(value: &RawValue) -> Option<Filter> {
    match js::coerce::text(value)?.to_lowercase().as_str() {
        "low" => Some(Filter::Low),
        "medium" => Some(Filter::Medium),
        "high" => Some(Filter::High),
        _ => None,
    }
}

fn workload(value: &RawValue) -> Option<Workload> {
    match js::coerce::text(value)?.to_lowercase().as_str() {
        "insert_heavy" => Some(Workload::InsertHeavy),
        "query_heavy" => Some(Workload::QueryHeavy),
        "hybrid" => Some(Workload::Hybrid),
        _ => None,
    }
}

fn is_referral_tag(value: &RawValue) -> bool {
    js::coerce::text(value).is_some_and(|text| {
        let tag = js::trim(&text);
        tag.len() <= 64 && tag.bytes().all(|b| b.is_ascii_alphanumeric() || b"._:@/-".contains(&b))
    })
}

#[cfg(test)]
mod tests;
