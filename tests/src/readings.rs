//! Whether a typed answer says what its JSON says, field by field.
//!
//! A value of the right type must be read, whatever stands beside it. One that is missing or null must be `None`. Of a
//! value of another type nothing is demanded, but for a number in quotes, which is a number.

use amply_sdk::{
    Components, Diagnostics, Extra, OpenApi, Operation, PlatformMetrics, ProviderMetrics, Providers, Ranking,
    RawJson, Route, Status, Usd,
};
use serde_json::Value;

use crate::json::Json;

/// Where `route` does not say what `body` says.
pub fn route(route: &Route, body: &Json) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut top = Part::new("", Some(body), &mut wrong);
    top.text("recommended", Some(&route.recommended));
    top.number("score", route.score);
    top.usd("estimated_cost_usd", route.estimated_cost_usd);
    top.number("expected_p99_latency_ms", route.expected_p99_latency_ms);
    top.number("success_rate_last_24h", route.success_rate_last_24h);
    top.number("success_rate_last_7d", route.success_rate_last_7d);
    top.raw("why", route.why.as_ref());
    top.text("request_id", route.route_id.as_deref());
    top.count("compute_ms", route.compute_ms);
    top.usd("estimated_charge_usd", route.estimated_charge_usd);
    top.raw("usage", route.usage.as_ref());
    top.raw("agent_hints", route.agent_hints.as_ref());
    top.raw("cost_analysis", route.cost_analysis.as_ref());
    top.raw("filtered_out", route.filtered_out.as_ref());
    top.raw("integration", route.integration.as_ref());
    top.raw("raw_metrics", route.raw_metrics_json());
    let explained = route.why_text();
    top.compare("why", |why| match why {
        Json::Text(why) if explained.as_ref() != Some(why) => Some(format!("explained as {explained:?}")),
        _ => None,
    });
    top.known("rankings");
    top.rest(Some(&route.extra));

    let raw = route.raw_metrics();
    let raw = raw.as_ref();
    let mut metrics = Part::new("/raw_metrics", body.get("raw_metrics"), &mut wrong);
    metrics.numbers("weights", raw.map(|raw| &raw.weights));
    metrics.number("dim_units_estimate", raw.and_then(|raw| raw.dim_units_estimate));
    metrics.number("cost_quote_dim_units", raw.and_then(|raw| raw.cost_quote_dim_units));
    metrics.usd("budget_usd", raw.and_then(|raw| raw.budget_usd));
    metrics.number("latency_target_ms", raw.and_then(|raw| raw.latency_target_ms));
    metrics.text("catalog_source", raw.and_then(|raw| raw.catalog_source.as_deref()));
    metrics.text("catalog_backend", raw.and_then(|raw| raw.catalog_backend.as_deref()));
    metrics.json("catalog_freshness", raw.and_then(|raw| raw.catalog_freshness.as_ref()));
    metrics.json("metrics_source", raw.and_then(|raw| raw.metrics_source.as_ref()));
    metrics.json("measured_at", raw.and_then(|raw| raw.measured_at.as_ref()));
    metrics.known("all_providers");
    metrics.rest(raw.map(|raw| &raw.extra));

    let listed = body.get("raw_metrics").and_then(|raw| raw.get("all_providers"));
    for (id, node) in listed.map(Json::fields).unwrap_or_default() {
        let place = format!("/raw_metrics/all_providers/{id}");
        provider_metrics(&place, node, raw.and_then(|raw| raw.all_providers.get(id)), &mut wrong);
    }
    rankings(route, body, &mut wrong);
    wrong
}

fn provider_metrics(place: &str, node: &Json, metrics: Option<&ProviderMetrics>, wrong: &mut Vec<String>) {
    let mut part = Part::new(place, Some(node), wrong);
    part.number("composite_score", metrics.and_then(|metrics| metrics.composite_score));
    part.number("p99_latency_ms", metrics.and_then(|metrics| metrics.p99_latency_ms));
    part.usd("cost_per_1m_dims_usd", metrics.and_then(|metrics| metrics.cost_per_1m_dims_usd));
    part.number("success_rate_last_24h", metrics.and_then(|metrics| metrics.success_rate_last_24h));
    part.number("success_rate_last_7d", metrics.and_then(|metrics| metrics.success_rate_last_7d));
    part.number("win_rate", metrics.and_then(|metrics| metrics.win_rate));
    part.known("components");
    part.rest(metrics.map(|metrics| &metrics.extra));
    let parts = metrics.and_then(|metrics| metrics.components.as_ref());
    components(&format!("{place}/components"), node.get("components"), parts, wrong);
}

fn components(place: &str, node: Option<&Json>, parts: Option<&Components>, wrong: &mut Vec<String>) {
    let mut part = Part::new(place, node, wrong);
    part.number("success", parts.and_then(|parts| parts.success));
    part.number("latency", parts.and_then(|parts| parts.latency));
    part.number("cost", parts.and_then(|parts| parts.cost));
    part.number("reliability", parts.and_then(|parts| parts.reliability));
    part.rest(parts.map(|parts| &parts.extra));
}

/// Those that came, else one place for each provider, best score first.
fn rankings(route: &Route, body: &Json, wrong: &mut Vec<String>) {
    let rankings = route.rankings();
    let ids: Vec<&str> = rankings.iter().map(|ranking| ranking.provider_id.as_str()).collect();
    let recommended = route.recommended.as_str();
    let sent = body.get("rankings").map(Json::objects).unwrap_or_default();
    let sent: Vec<&str> = sent.iter().filter_map(|item| item.get("provider_id")?.text()).collect();
    if !sent.is_empty() {
        if !sent.iter().all(|id| ids.contains(id)) {
            wrong.push(format!("/rankings: {ids:?} without some of {sent:?}"));
        }
        return;
    }
    if body.get("rankings").is_some_and(|rankings| !rankings.objects().is_empty()) {
        // Objects whose `provider_id` is no text: nothing is demanded.
        return;
    }
    let listed = body.get("raw_metrics").and_then(|raw| raw.get("all_providers"));
    let listed = listed.map(Json::fields).unwrap_or_default();
    let mut expected: Vec<&str> =
        listed.iter().filter(|(_, node)| matches!(node, Json::Object(_))).map(|(id, _)| *id).collect();
    let mut found = ids.clone();
    expected.sort_unstable();
    found.sort_unstable();
    if expected != found {
        wrong.push(format!("derived rankings of {found:?} and not of {expected:?}"));
    }
    if !rankings.iter().map(|ranking| ranking.rank).eq((1..).map(Some).take(rankings.len())) {
        wrong.push(format!("derived ranks are not counted from 1: {rankings:?}"));
    }
    // What is recommended comes first, whatever its score. `None` is less than any score: it comes last.
    if ids.contains(&recommended) && ids.first() != Some(&recommended) {
        wrong.push(format!("{recommended} is recommended and not first: {ids:?}"));
    }
    let others: Vec<_> = rankings.iter().filter(|ranking| ranking.provider_id != recommended).collect();
    if !others.is_sorted_by(|better, worse| better.score >= worse.score) {
        wrong.push(format!("derived rankings are not in the order of scores: {rankings:?}"));
    }
    let score =
        |ranking: &Ranking| route.raw_metrics()?.all_providers.get(&ranking.provider_id)?.composite_score;
    if !rankings.iter().all(|ranking| ranking.score == score(ranking)) {
        wrong.push("a derived score is not the provider's".to_owned());
    }
}

/// Where `status` does not say what `body` says.
pub fn status(status: &Status, body: &Json) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut top = Part::new("", Some(body), &mut wrong);
    top.switch("ok", status.ok);
    top.text("service", status.service.as_deref());
    top.text("version", status.version.as_deref());
    top.text("auth_mode", status.auth_mode.as_ref().map(|mode| mode.as_str()));
    top.text("data_mode", status.data_mode.as_ref().map(|mode| mode.as_str()));
    top.json("catalog_freshness", status.catalog_freshness.as_ref());
    top.text("openapi_url", status.openapi_url.as_deref());
    top.text("last_benchmark_at", status.last_benchmark_at.as_deref());
    top.text("request_id", status.request_id.as_deref());
    top.count("compute_ms", status.compute_ms);
    top.known("rate_limit");
    top.known("diagnostics");
    top.rest(Some(&status.extra));

    let limit = status.rate_limit.as_ref();
    let mut part = Part::new("/rate_limit", body.get("rate_limit"), &mut wrong);
    part.switch("enabled", limit.and_then(|limit| limit.enabled));
    part.count("requests_per_minute_per_ip", limit.and_then(|limit| limit.requests_per_minute_per_ip));
    part.rest(limit.map(|limit| &limit.extra));

    diagnostics(body.get("diagnostics"), status.diagnostics.as_ref(), &mut wrong);
    wrong
}

fn diagnostics(node: Option<&Json>, said: Option<&Diagnostics>, wrong: &mut Vec<String>) {
    let mut part = Part::new("/diagnostics", node, wrong);
    part.text("catalog_backend", said.and_then(|said| said.catalog_backend.as_deref()));
    part.text("catalog_issue", said.and_then(|said| said.catalog_issue.as_deref()));
    part.text("catalog_error_code", said.and_then(|said| said.catalog_error_code.as_deref()));
    part.number("catalog_metrics_age_hours", said.and_then(|said| said.catalog_metrics_age_hours));
    part.switch("catalog_metrics_stale", said.and_then(|said| said.catalog_metrics_stale));
    part.switch("user_api_keys_store_ready", said.and_then(|said| said.user_api_keys_store_ready));
    part.switch("route_requires_principal_bound", said.and_then(|said| said.route_requires_principal_bound));
    part.json("principal_binding", said.and_then(|said| said.principal_binding.as_ref()));
    part.known("agent_signup");
    part.rest(said.map(|said| &said.extra));

    let signup = said.and_then(|said| said.agent_signup.as_ref());
    let node = node.and_then(|node| node.get("agent_signup"));
    let mut part = Part::new("/diagnostics/agent_signup", node, wrong);
    part.switch("enabled", signup.and_then(|signup| signup.enabled));
    part.switch("requires_shared_secret", signup.and_then(|signup| signup.requires_shared_secret));
    part.text("tos_version", signup.and_then(|signup| signup.tos_version.as_deref()));
    part.text("tos_url", signup.and_then(|signup| signup.tos_url.as_deref()));
    let most = signup.and_then(|signup| signup.max_signups_per_hour_per_ip);
    part.count("max_signups_per_hour_per_ip", most);
    part.text("path", signup.and_then(|signup| signup.path.as_deref()));
    part.rest(signup.map(|signup| &signup.extra));
}

/// Where `providers` does not say what `body` says.
pub fn providers(providers: &Providers, body: &Json) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut top = Part::new("", Some(body), &mut wrong);
    top.numbers("default_scoring_weights", Some(&providers.default_scoring_weights));
    top.json("catalog_freshness", providers.catalog_freshness.as_ref());
    top.json("metrics_source", providers.metrics_source.as_ref());
    top.json("measured_at", providers.measured_at.as_ref());
    top.known("providers");
    top.rest(Some(&providers.extra));

    let listed = body.get("providers").map(Json::objects).unwrap_or_default();
    if listed.len() != providers.providers.len() {
        wrong.push(format!("{} providers and not {}", providers.providers.len(), listed.len()));
    }
    for (number, (node, provider)) in listed.into_iter().zip(&providers.providers).enumerate() {
        let mut part = Part::new(&format!("/providers/{number}"), Some(node), &mut wrong);
        part.text("id", provider.id.as_deref());
        part.text("display_name", provider.display_name.as_deref());
        part.number("p99_latency_ms", provider.p99_latency_ms);
        part.usd("cost_per_1m_dims_usd", provider.cost_per_1m_dims_usd);
        part.number("success_rate_last_24h", provider.success_rate_last_24h);
        part.number("success_rate_last_7d", provider.success_rate_last_7d);
        part.number("win_rate", provider.win_rate);
        part.text("catalog_listing", provider.catalog_listing.as_deref());
        part.text("placement_disclosure", provider.placement_disclosure.as_deref());
        part.number("live_composite_score", provider.live_composite_score);
        part.rest(Some(&provider.extra));
    }
    wrong
}

/// Where `metrics` does not say what `body` says.
pub fn platform_metrics(metrics: &PlatformMetrics, body: &Json) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut top = Part::new("", Some(body), &mut wrong);
    top.switch("ok", metrics.ok);
    top.text("methodology", metrics.methodology.as_deref());
    top.text("methodology_url", metrics.methodology_url.as_deref());
    top.switch("telemetry_ready", metrics.telemetry_ready);
    top.count("decisions_last_7d", metrics.decisions_last_7d);
    top.count("decisions_last_30d", metrics.decisions_last_30d);
    top.count("decisions_to_listed_providers_last_30d", metrics.decisions_to_listed_providers_last_30d);
    top.number(
        "pct_decisions_to_listed_providers_last_30d",
        metrics.pct_decisions_to_listed_providers_last_30d,
    );
    top.text("error_code", metrics.error_code.as_deref());
    top.text("as_of", metrics.as_of.as_deref());
    top.text("request_id", metrics.request_id.as_deref());
    top.count("compute_ms", metrics.compute_ms);
    top.known("by_category_last_30d");
    top.rest(Some(&metrics.extra));

    let listed = body.get("by_category_last_30d").map(Json::objects).unwrap_or_default();
    if listed.len() != metrics.by_category_last_30d.len() {
        wrong.push(format!("{} categories and not {}", metrics.by_category_last_30d.len(), listed.len()));
    }
    for (number, (node, category)) in listed.into_iter().zip(&metrics.by_category_last_30d).enumerate() {
        let mut part = Part::new(&format!("/by_category_last_30d/{number}"), Some(node), &mut wrong);
        part.text("category", category.category.as_deref());
        part.count("decisions", category.decisions);
        part.count("decisions_to_listed", category.decisions_to_listed);
        part.rest(Some(&category.extra));
    }
    wrong
}

/// Where `document` does not say what `body` says.
pub fn openapi(document: &OpenApi, body: &Json) -> Vec<String> {
    const METHODS: [&str; 8] = ["get", "put", "post", "delete", "options", "head", "patch", "trace"];
    let mut wrong = Vec::new();
    let mut top = Part::new("", Some(body), &mut wrong);
    top.text("openapi", document.openapi.as_deref());
    top.raw("info", document.info.as_ref());
    top.known("paths");
    top.rest(Some(&document.extra));

    let operations = document.operations();
    let said = |method: &str, path: &str| -> Option<&Operation> {
        operations.iter().find(|operation| operation.method == method && operation.path == path)
    };
    for (path, item) in body.get("paths").map(Json::fields).unwrap_or_default() {
        for method in METHODS {
            let operation = item.get(method).filter(|operation| matches!(operation, Json::Object(_)));
            let said = said(&method.to_ascii_uppercase(), path);
            if operation.is_some() && said.is_none() {
                wrong.push(format!("/paths/{path}/{method} is not listed"));
            }
            if item.get(method).is_none() && said.is_some() {
                wrong.push(format!("/paths/{path}/{method} is listed"));
            }
            let mut part = Part::new(&format!("/paths/{path}/{method}"), operation, &mut wrong);
            part.text("summary", said.and_then(|said| said.summary.as_deref()));
        }
    }
    wrong
}

/// An object of the JSON, beside what is said of it.
struct Part<'a> {
    place: String,
    node: Option<&'a Json>,
    known: Vec<&'static str>,
    wrong: &'a mut Vec<String>,
}

impl<'a> Part<'a> {
    fn new(place: &str, node: Option<&'a Json>, wrong: &'a mut Vec<String>) -> Self {
        Self { place: place.to_owned(), node, known: Vec::new(), wrong }
    }

    /// A field that is looked at elsewhere.
    fn known(&mut self, name: &'static str) {
        self.known.push(name);
    }

    fn compare(&mut self, name: &str, complaint: impl FnOnce(&Json) -> Option<String>) {
        let node = self.node.and_then(|node| node.get(name)).unwrap_or(&Json::Null);
        if let Some(complaint) = complaint(node) {
            self.wrong.push(format!("{}/{name}: {node} {complaint}", self.place));
        }
    }

    /// Compares a field, where `expected` says what its JSON must be read as.
    fn field<T: PartialEq + std::fmt::Debug>(
        &mut self,
        name: &'static str,
        said: Option<T>,
        expected: impl FnOnce(&Json) -> Demand<T>,
    ) {
        self.known(name);
        self.compare(name, |node| {
            let expected = match node {
                Json::Null => None,
                node => match expected(node) {
                    Demand::Exactly(value) => Some(value),
                    Demand::Nothing => return None,
                },
            };
            (said != expected).then(|| format!("is read as {said:?} and not as {expected:?}"))
        });
    }

    fn text(&mut self, name: &'static str, said: Option<&str>) {
        self.field(name, said.map(str::to_owned), |node| node.text().map(str::to_owned).into());
    }

    fn number(&mut self, name: &'static str, said: Option<f64>) {
        self.field(name, said, |node| number(node).into());
    }

    fn count(&mut self, name: &'static str, said: Option<u64>) {
        self.field(name, said, |node| digits(node).and_then(|text| text.parse().ok()).into());
    }

    fn usd(&mut self, name: &'static str, said: Option<Usd>) {
        self.field(name, said, |node| digits(node).and_then(|text| text.parse().ok()).into());
    }

    fn switch(&mut self, name: &'static str, said: Option<bool>) {
        self.field(name, said, |node| match node {
            Json::Bool(on) => Demand::Exactly(*on),
            _ => Demand::Nothing,
        });
    }

    fn json(&mut self, name: &'static str, said: Option<&Value>) {
        self.field(name, said.cloned(), |node| serde_json::from_str(&node.to_string()).ok().into());
    }

    fn raw(&mut self, name: &'static str, said: Option<&RawJson>) {
        self.field(name, said.map(|said| said.text().to_owned()), |node| Demand::Exactly(node.to_string()));
    }

    /// An object whose values are all numbers.
    fn numbers(&mut self, name: &'static str, said: Option<&indexmap::IndexMap<String, f64>>) {
        self.known(name);
        for (key, node) in self.node.and_then(|node| node.get(name)).map(Json::fields).unwrap_or_default() {
            let said = said.and_then(|said| said.get(key));
            if let Some(expected) = number(node)
                && said != Some(&expected)
            {
                self.wrong.push(format!("{}/{name}/{key}: {node} is read as {said:?}", self.place));
            }
        }
    }

    /// Every field that was not looked at is in `extra` with its text, and nothing is there that did not come.
    fn rest(&mut self, extra: Option<&Extra>) {
        let fields = self.node.map(Json::fields).unwrap_or_default();
        for (name, node) in fields.iter().filter(|(name, _)| !self.known.contains(name)) {
            let said = extra.and_then(|extra| extra.get(*name)).map(RawJson::text);
            if said != Some(&node.to_string()) {
                self.wrong.push(format!("{}/{name}: {node} is {said:?} in `extra`", self.place));
            }
        }
        for (name, said) in extra.into_iter().flatten() {
            if !fields.contains_key(name.as_str()) {
                self.wrong.push(format!("{}: {name} = {said:?} is in `extra` and did not come", self.place));
            }
        }
    }
}

/// What a value must be read as.
enum Demand<T> {
    Exactly(T),
    Nothing,
}

impl<T> From<Option<T>> for Demand<T> {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Nothing, Self::Exactly)
    }
}

fn number(node: &Json) -> Option<f64> {
    digits(node)?.parse().ok().filter(|number: &f64| number.is_finite())
}

/// The text of a number, in quotes or not.
fn digits(node: &Json) -> Option<&str> {
    match node {
        Json::Number(text) => Some(text),
        Json::Text(text) if matches!(Json::parse(text), Ok(Json::Number(_))) => Some(text),
        _ => None,
    }
}
