//! What `POST /report` takes and answers.

use std::fmt;
use std::str::FromStr;

use serde::{Serialize, Serializer};

use super::fields::{Fields, FromFields};
use super::json::Extra;
use super::route_request::from_word;
use crate::error::Error;
use crate::money::Usd;

/// The time that a report of savings is about, up to now.
///
/// ```
/// use amply_sdk::Period;
///
/// assert_eq!("90d".parse::<Period>()?, Period::Days90);
/// let error = "7d".parse::<Period>().unwrap_err();
/// assert_eq!(error.to_string(), "period is `7d`; it must be one of `30d`, `90d`");
/// # Ok::<(), amply_sdk::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Period {
    /// The last 30 days.
    #[default]
    Days30,
    /// The last 90 days.
    Days90,
}

impl Period {
    /// Every value, with the word that the API has for it.
    pub const ALL: &'static [(&'static str, Self)] = &[("30d", Self::Days30), ("90d", Self::Days90)];

    /// The API's word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Days30 => "30d",
            Self::Days90 => "90d",
        }
    }
}

impl fmt::Display for Period {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Period {
    type Err = Error;

    /// Reads the API's word; capitals do not matter.
    fn from_str(word: &str) -> Result<Self, Error> {
        from_word("period", word, Self::ALL)
    }
}

impl Serialize for Period {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

/// What is asked of `POST /report`.
#[derive(Serialize)]
pub(crate) struct SavingsQuery {
    pub(crate) period: Period,
}

/// What routes saved in a period (API documentation, `POST /report`).
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct SavingsReport {
    /// Whether the service answers.
    pub ok: Option<bool>,
    /// The period that was asked for, as the server has it.
    pub period: Option<String>,
    /// When the period began, RFC 3339 UTC.
    pub from: Option<String>,
    /// When the period ended, RFC 3339 UTC.
    pub to: Option<String>,
    /// The sums.
    pub totals: Option<SavingsTotals>,
    /// A sentence to share.
    pub summary: Option<String>,
    /// The id of this request.
    pub request_id: Option<String>,
    /// Milliseconds of work on the server.
    pub compute_ms: Option<u64>,
    /// Fields that have no name here.
    pub extra: Extra,
}

// [our] the documentation says "totals and a summary sentence", and not how their fields are called
impl FromFields for SavingsReport {
    fn from_fields(mut fields: Fields<'_>) -> Result<Self, String> {
        Ok(Self {
            ok: fields.take("ok"),
            period: fields.take("period"),
            from: fields.take("from"),
            to: fields.take("to"),
            totals: fields.take("totals"),
            summary: fields.take("summary"),
            request_id: fields.take("request_id"),
            compute_ms: fields.take("compute_ms"),
            extra: fields.rest(),
        })
    }
}

/// The sums of a [`SavingsReport`]. Amounts are in USD.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct SavingsTotals {
    /// Routes answered.
    pub routes: Option<u64>,
    /// Those of them whose outcome was reported.
    pub outcomes_reported: Option<u64>,
    /// The share of the reported ones that went well, 0 to 1; `None` when none was reported.
    pub success_rate: Option<f64>,
    /// What the routes were charged.
    pub charged_usd: Option<Usd>,
    /// What the tasks were estimated to cost at the providers that were recommended.
    pub estimated_cost_usd: Option<Usd>,
    /// What they would have cost without routing, as the server reckons it.
    pub baseline_cost_usd: Option<Usd>,
    /// What was saved against that.
    pub saved_usd: Option<Usd>,
    /// Credits for reports of outcomes.
    pub credits_awarded: Option<u64>,
    /// Fields that have no name here.
    pub extra: Extra,
}

impl FromFields for SavingsTotals {
    fn from_fields(mut fields: Fields<'_>) -> Result<Self, String> {
        Ok(Self {
            routes: fields.take("routes"),
            outcomes_reported: fields.take("outcomes_reported"),
            success_rate: fields.take("success_rate"),
            charged_usd: fields.take("charged_usd"),
            estimated_cost_usd: fields.take("estimated_cost_usd"),
            baseline_cost_usd: fields.take("baseline_cost_usd"),
            saved_usd: fields.take("saved_usd"),
            credits_awarded: fields.take("credits_awarded"),
            extra: fields.rest(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_period_is_one_of_two_words() {
        assert_eq!("30D".parse::<Period>().unwrap(), Period::Days30);
        assert_eq!(
            serde_json::to_string(&SavingsQuery { period: Period::Days90 }).unwrap(),
            r#"{"period":"90d"}"#
        );
        for word in ["", "30", "30 d", "7d", "365d", "30d\n90d", "d30", "９０d"] {
            let error = word.parse::<Period>().unwrap_err().to_string();
            assert!(error.starts_with("period is `") && error.ends_with("one of `30d`, `90d`"), "{error}");
        }
    }

    #[test]
    fn a_report_in_any_form_is_read_as_far_as_it_goes() {
        let report: SavingsReport = serde_json::from_str(
            r#"{"totals":{"routes":"3","saved_usd":"1240.55","success_rate":null,"charged_usd":{},"new":1},"summary":5}"#,
        )
        .unwrap();
        let totals = report.totals.unwrap();
        assert_eq!((totals.routes, totals.saved_usd), (Some(3), Some("1240.55".parse().unwrap())));
        assert_eq!((totals.success_rate, totals.charged_usd), (None, None));
        assert!(totals.extra.contains_key("new") && totals.extra.contains_key("charged_usd"));
        assert_eq!(report.summary.as_deref(), Some("5"));
        assert!(serde_json::from_str::<SavingsReport>(r#"{"totals":[]}"#).unwrap().totals.is_none());
    }
}
