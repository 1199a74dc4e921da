//! `POST /report`: what the routes of a principal cost, and what they would have cost elsewhere.

use axum::{
    Extension,
    body::Body,
    extract,
    http::{HeaderMap, Response, StatusCode},
};
use serde::Serialize;

use super::{
    exchange::ReceivedBody,
    fields::Fields,
    gate,
    reply::{self, KEYED, Problem, Stamp},
    route::four_decimals,
};
use crate::{
    clock::Timestamp,
    js::JsNumber,
    money::NanoUsd,
    outcomes::Savings,
    state::{Shared, State},
};

const DAY_MS: i64 = 86_400_000;
const PERIOD: &str = "period must be 30d or 90d";

pub(super) async fn post(
    extract::State(state): extract::State<Shared>,
    headers: HeaderMap,
    Extension(body): Extension<ReceivedBody>,
) -> Response<Body> {
    let stamp = Stamp::new(&state);
    answer(&state, &headers, &body, &stamp).unwrap_or_else(|problem| problem.reply(&stamp, KEYED))
}

fn answer(
    state: &State,
    headers: &HeaderMap,
    body: &ReceivedBody,
    stamp: &Stamp,
) -> Result<Response<Body>, Problem> {
    let principal = gate::principal(state, headers, "report")?;
    let period = body.read(Period::read)?;
    let to = state.control.clock().now();
    let from = Timestamp(to.0.saturating_sub(period.days() * DAY_MS));
    let savings = state.control.reports().savings(&principal, from);
    let compute_ms = stamp.compute_ms();
    let body = ReportBody {
        ok: true,
        period: period.name(),
        from: from.to_millis_text(),
        to: to.to_millis_text(),
        totals: Totals::of(&savings),
        summary: format!(
            "Amply saved your agent fleet ${} in the last {} days.",
            savings.saved().to_cents_text(),
            period.days()
        ),
        request_id: &stamp.request_id,
        compute_ms,
    };
    Ok(stamp.on(compute_ms, reply::json(StatusCode::OK, KEYED, &body)))
}

#[derive(Clone, Copy)]
enum Period {
    Days30,
    Days90,
}

impl Period {
    fn read(fields: &Fields<'_>) -> Result<Self, &'static str> {
        let all = [Period::Days30, Period::Days90];
        let name = fields.text("period");
        all.into_iter().find(|period| name.as_deref() == Some(period.name())).ok_or(PERIOD)
    }

    fn name(self) -> &'static str {
        match self {
            Period::Days30 => "30d",
            Period::Days90 => "90d",
        }
    }

    fn days(self) -> i64 {
        match self {
            Period::Days30 => 30,
            Period::Days90 => 90,
        }
    }
}

// The order of these fields is the order on the wire. [our] all but `totals` as a word, and that there is a sentence.

#[derive(Serialize)]
struct ReportBody<'a> {
    ok: bool,
    period: &'static str,
    from: String,
    to: String,
    totals: Totals,
    summary: String,
    request_id: &'a str,
    compute_ms: u64,
}

/// [our] what is saved is what the provider that costs most would have cost beyond those that were recommended.
#[derive(Serialize)]
struct Totals {
    routes: u64,
    outcomes_reported: u64,
    /// Of the outcomes reported; 4 decimals.
    success_rate: Option<JsNumber>,
    charged_usd: NanoUsd,
    estimated_cost_usd: NanoUsd,
    baseline_cost_usd: NanoUsd,
    saved_usd: NanoUsd,
    credits_awarded: u64,
}

impl Totals {
    fn of(savings: &Savings) -> Self {
        Totals {
            routes: savings.routes,
            outcomes_reported: savings.reported,
            success_rate: savings.success_rate().map(four_decimals),
            charged_usd: savings.charged,
            estimated_cost_usd: savings.estimated,
            baseline_cost_usd: savings.baseline,
            saved_usd: savings.saved(),
            credits_awarded: savings.credits,
        }
    }
}
