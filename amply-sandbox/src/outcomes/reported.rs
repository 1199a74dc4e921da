//! A report of how a route went, as it came and as it is kept.

use serde::{Serialize, Serializer};

use super::Served;
use crate::{clock::Timestamp, js::JsNumber};

/// How a route went, as it was first reported. From [`Control::outcomes`](crate::Control::outcomes).
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct ReportedOutcome {
    /// The `request_id` of the route's answer.
    pub route_id: String,
    /// Who stood behind the route; `None` when nobody did.
    pub principal_id: Option<String>,
    /// Who ran the task: the provider that was recommended, unless `/route/outcome` named another.
    pub provider_id: String,
    /// Whether it went well.
    pub success: bool,
    /// The word for it that `/route/outcome` was told: `success`, `failure`, `timeout` or `error`. `None` of `/outcome`.
    pub outcome: Option<String>,
    /// How long the task took in milliseconds, if that was told.
    #[serde(serialize_with = "as_javascript_would")]
    pub actual_latency_ms: Option<f64>,
    /// What went wrong, if that was told.
    pub error_code: Option<String>,
    /// Which endpoint it came to first.
    pub via: ReportedVia,
    /// The `Idempotency-Key` that it first came with, if it had one.
    pub idempotency_key: Option<String>,
    /// What the principal got for it.
    pub credits_awarded: u32,
    /// When it first came, by the sandbox's clock: RFC 3339, UTC.
    pub reported_at: String,
    /// How often it came, to whichever endpoint. It counts once, and what later reports say of it is not kept.
    pub times_received: u64,
    /// How many of these came with another `Idempotency-Key` than the first, or with none where the first had one.
    pub times_with_another_key: u64,
}

/// Which endpoint a report came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ReportedVia {
    /// `POST /outcome`.
    Outcome,
    /// `POST /route/outcome`, the older one.
    RouteOutcome,
}

impl ReportedVia {
    /// The better one first.
    pub(crate) const ALL: [ReportedVia; 2] = [ReportedVia::Outcome, ReportedVia::RouteOutcome];

    pub(crate) fn path(self) -> &'static str {
        match self {
            ReportedVia::Outcome => "/outcome",
            ReportedVia::RouteOutcome => "/route/outcome",
        }
    }

    /// The fields that the endpoint reads.
    pub(crate) fn fields(self) -> &'static [&'static str] {
        match self {
            ReportedVia::Outcome => &["route_id", "success", "actual_latency_ms", "error_code"],
            ReportedVia::RouteOutcome => &["request_id", "provider_id", "outcome"],
        }
    }
}

/// A report that has come in and is in order, whether or not there is such a route.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Told {
    pub(crate) route_id: String,
    pub(crate) verdict: Verdict,
    pub(crate) idempotency_key: Option<String>,
}

/// What a report says, in the words of its endpoint.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Verdict {
    Outcome { success: bool, actual_latency_ms: Option<f64>, error_code: Option<String> },
    RouteOutcome { provider_id: String, outcome: String },
}

impl ReportedOutcome {
    pub(super) fn of(told: Told, route: &Served, credits_awarded: u32, now: Timestamp) -> Self {
        let reported = ReportedOutcome {
            route_id: told.route_id,
            principal_id: route.principal_id.clone(),
            provider_id: route.recommended.clone(),
            success: false,
            outcome: None,
            actual_latency_ms: None,
            error_code: None,
            via: ReportedVia::Outcome,
            idempotency_key: told.idempotency_key,
            credits_awarded,
            reported_at: now.to_millis_text(),
            times_received: 1,
            times_with_another_key: 0,
        };
        match told.verdict {
            Verdict::Outcome { success, actual_latency_ms, error_code } => {
                ReportedOutcome { success, actual_latency_ms, error_code, ..reported }
            }
            Verdict::RouteOutcome { provider_id, outcome } => ReportedOutcome {
                provider_id,
                success: outcome == "success",
                outcome: Some(outcome),
                via: ReportedVia::RouteOutcome,
                ..reported
            },
        }
    }

    pub(super) fn came_again(&mut self, told: &Told) {
        self.times_received += 1;
        self.times_with_another_key += u64::from(told.idempotency_key != self.idempotency_key);
    }
}

fn as_javascript_would<S: Serializer>(number: &Option<f64>, serializer: S) -> Result<S::Ok, S::Error> {
    number.map(JsNumber).serialize(serializer)
}
