//! From a recorded body to the typed request that says the same.

use amply_sdk::{Error, FilterComplexity, RouteRequest, Usd, WorkloadType};
use serde_json::Value;

use crate::json::Json;

/// The request that says what `body` says.
///
/// None where a typed request cannot say it: a value of another type, a hint that is null, a word in capitals.
///
/// # Errors
/// The client's own, where it refuses to say it. Words are read last, so that the first error is the one that the
/// server would report.
pub fn route_request(body: &Json) -> Option<Result<RouteRequest, Error>> {
    let mut request = RouteRequest::new(body.get("task")?.text()?);
    for (name, value) in body.fields() {
        request = match (name, value) {
            ("task" | "workload_type" | "filter_complexity", Json::Text(_)) => request,
            ("dimension", Json::Number(n)) => request.dimension(n.parse().ok()?),
            ("budget_usd", Json::Number(n)) => request.budget_usd(n.parse::<Usd>().ok()?),
            ("budget_usd_per_1m_ops", Json::Number(n)) => {
                request.budget_usd_per_1m_ops(n.parse::<Usd>().ok()?)
            }
            ("latency_target_ms", Json::Number(n)) => request.latency_target_ms(n.parse::<f64>().ok()?),
            ("slo_p99_ms", Json::Number(n)) => request.slo_p99_ms(n.parse::<f64>().ok()?),
            ("referral_tag", Json::Text(tag)) => request.referral_tag(tag),
            ("sandbox_mode", Json::Bool(on)) => request.sandbox_mode(*on),
            ("enterprise_policy", Json::Object(_)) => match serde_json::from_str(&value.to_string()) {
                Ok(Value::Object(policy)) => request.enterprise_policy(policy),
                _ => return None,
            },
            _ => return None,
        };
    }
    if let Err(error) = request.validate() {
        return Some(Err(error));
    }
    if let Some(word) = body.get("workload_type").and_then(Json::text) {
        request = match word.parse::<WorkloadType>() {
            Ok(known) if WorkloadType::ALL.contains(&(word, known)) => request.workload_type(known),
            Ok(_) => return None,
            Err(error) => return Some(Err(error)),
        };
    }
    if let Some(word) = body.get("filter_complexity").and_then(Json::text) {
        request = match word.parse::<FilterComplexity>() {
            Ok(known) if FilterComplexity::ALL.contains(&(word, known)) => request.filter_complexity(known),
            Ok(_) => return None,
            Err(error) => return Some(Err(error)),
        };
    }
    Some(Ok(request))
}
