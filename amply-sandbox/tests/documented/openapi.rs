//! The OpenAPI document against what is served: no status, header or field that is not declared, none that is missing.

use std::{
    collections::BTreeSet,
    time::{Duration, UNIX_EPOCH},
};

use amply_sandbox::{Catalog, OpenPayments, Release, Sandbox, SandboxBuilder};
use serde_json::{Value, json};

use crate::call::{get, request};
use crate::common::{Answer, Failure};
use crate::schema::{mismatches, resolved};

/// Sandboxes that between them answer in every way.
fn sandboxes(release: Release) -> Result<Vec<SandboxBuilder>, Failure> {
    let live = Catalog::from_json(
        r#"{"providers":[{"id":"a","p99_latency_ms":1.5,"cost_per_1m_dims_usd":0.1,"success_rate_last_24h":1,"success_rate_last_7d":1,"win_rate":1,"catalog_listing":"featured"}],
        "catalog_source":"supabase","catalog_backend":"postgres","catalog_freshness":{"metrics_as_of":"2026-11-22T11:39:46.581Z"}}"#,
    )?;
    // 2026-11-23
    let time = UNIX_EPOCH + Duration::from_secs(1_795_392_000);
    let builder = || Sandbox::builder().release(release);
    Ok(vec![
        builder(),
        builder().catalog(live).clock_standing_at(time).metering(false).daily_quota(6).agent_signup(true),
        builder().require_api_key(true).require_principal(true).x402(true),
        builder().rate_limit(1).agent_signup(true).agent_signup_secret("hush"),
        builder().outcome_endpoint(false),
        builder().outcome_endpoint(false).route_outcome_endpoint(false).agent_signup(true),
        builder().balance("0.005").strict_wallet(true),
        builder().balance("-1").strict_wallet(true).x402(true),
        builder().balance("0").strict_wallet(true).open_payments(OpenPayments::both()),
        builder().balance("0").strict_wallet(true).open_payments(OpenPayments::v2()),
        builder().balance("0").strict_wallet(true).open_payments(OpenPayments::v1().beside_wallet()),
        builder()
            .balance("0")
            .strict_wallet(true)
            .open_payments(OpenPayments::in_amply_object().also_without_principal()),
    ])
}

/// Stands for the id of the latest route.
const LATEST: &str = "{latest}";

fn requests() -> Vec<(&'static str, &'static str, Option<Value>)> {
    let route = |body| ("POST", "/api/v1/route", Some(body));
    let mut requests = vec![
        route(json!({"task": "x"})),
        route(
            json!({"task": "x", "budget_usd": "Infinity", "latency_target_ms": "Infinity", "dimension": 3}),
        ),
        route(json!({"task": "x", "budget_usd_per_1m_ops": 0.25, "slo_p99_ms": "Infinity"})),
        route(json!({"task": "x", "slo_p99_ms": 20})),
        route(json!({"task": "x", "slo_p99_ms": 0.001})),
        route(json!({"task": "x", "slo_p99_ms": -1})),
        route(json!({"task": "x", "sandbox_mode": true, "enterprise_policy": {"a": 1}})),
        route(json!({"task": "9".repeat(400) + "k"})),
        route(json!({"task": ""})),
        route(json!({"task": "x", "more": "a".repeat(1024 * 1024)})),
        route(Value::Null),
        route(json!({"task": "y"})),
        route(json!({"task": "z"})),
    ];
    for body in [
        json!({"accept_tos_version": "2026-11-01"}),
        json!({"accept_tos_version": "2020-01-01"}),
        json!({"more": "a".repeat(1024 * 1024)}),
    ] {
        requests.push(("POST", "/api/v1/signup/agent", Some(body)));
    }
    let top_up = |body| ("POST", "/api/v1/billing/topup", Some(body));
    requests.extend([
        top_up(json!({"amount_usd": "0.001", "idempotency_key": "a"})),
        top_up(json!({"amount_usd": 0.002, "idempotency_key": "a"})),
        top_up(json!({"amount_usd": "NaN", "idempotency_key": "b"})),
        top_up(json!({"more": "a".repeat(1024 * 1024)})),
        ("GET", "/api/v1/billing/status", None),
    ]);
    let report = |body| ("POST", "/api/v1/outcome", Some(body));
    let older = |body| ("POST", "/api/v1/route/outcome", Some(body));
    let audit = ("GET", "/api/v1/route/audit?request_id={latest}", None);
    let id_and = |more: &[(&str, Value)]| {
        let fields =
            [("route_id", json!(LATEST)), ("request_id", json!(LATEST)), ("provider_id", json!("qdrant"))];
        Value::from_iter(fields.into_iter().chain(more.iter().cloned()))
    };
    requests.extend([
        audit.clone(),
        older(id_and(&[("outcome", json!("timeout"))])),
        audit.clone(),
        report(id_and(&[("success", json!(true))])),
        route(json!({"task": "reported"})),
        report(id_and(&[
            ("success", json!(false)),
            ("actual_latency_ms", json!(1.5)),
            ("error_code", json!("a")),
        ])),
        audit,
        report(json!({"route_id": "x", "success": true})),
        older(json!({"request_id": "x", "provider_id": "qdrant", "outcome": "success"})),
        report(json!({})),
        older(json!({})),
        report(json!({"more": "a".repeat(1024 * 1024)})),
        older(json!({"more": "a".repeat(1024 * 1024)})),
        ("GET", "/api/v1/route/audit?request_id=x", None),
        ("GET", "/api/v1/route/audit", None),
    ]);
    for path in ["openapi", "status", "providers", "platform-metrics", "agent", "health", "status"] {
        requests.push(("GET", Box::leak(format!("/api/v1/{path}").into_boxed_str()), None));
    }
    requests
}

#[tokio::test]
async fn everything_that_is_served_is_declared_and_everything_declared_is_served() -> Result<(), Failure> {
    for release in [Release::V3_1_12, Release::V3_1_13] {
        let (mut declared, mut seen, mut wrong) = (BTreeSet::new(), BTreeSet::new(), Vec::new());
        for builder in sandboxes(release)? {
            let sandbox = builder.start().await?;
            let (_, document) = get(&sandbox, "/api/v1/openapi").await?;
            assert_eq!(document["info"]["version"], release.version());
            declared.extend(responses(&document));
            for key in [
                Some(sandbox.user_key()),
                Some(sandbox.server_key()),
                Some(sandbox.admin_secret()),
                None,
                Some("unknown"),
            ] {
                let mut latest = "none".to_owned();
                for (method, url, body) in requests() {
                    let path = url.split('?').next().unwrap_or(url);
                    let operation = &document["paths"][path][method.to_lowercase()];
                    // To other endpoints the secret is one more unknown key.
                    let is_admin = key == Some(sandbox.admin_secret());
                    if operation.is_null() || (is_admin && path != "/api/v1/billing/topup") {
                        continue;
                    }
                    let body = body.map(|body| about(body, &latest));
                    let url = url.replace(LATEST, &latest);
                    let (answer, json) = request(&sandbox, method, &url, key, body.as_ref()).await?;
                    if let (crate::call::ROUTE, 200, Some(id)) =
                        (path, answer.status, json["request_id"].as_str())
                    {
                        id.clone_into(&mut latest);
                    }
                    seen.insert(format!("{method} {path} {}", answer.status));
                    wrong.extend(
                        differences(&document, operation, &answer, &json)
                            .into_iter()
                            .map(|what| format!("{method} {path} {}: {what}", answer.status)),
                    );
                }
            }
        }
        assert!(wrong.is_empty(), "{}: {}", release.version(), wrong.join("\n"));
        assert_eq!(seen, declared, "{}", release.version());
    }
    Ok(())
}

/// A request's body, about the route whose id is `latest` where it is about one at all.
fn about(mut body: Value, latest: &str) -> Value {
    for field in body.as_object_mut().into_iter().flat_map(|fields| fields.values_mut()) {
        if field == LATEST {
            *field = json!(latest);
        }
    }
    body
}

/// Every operation and status that the document has.
fn responses(document: &Value) -> Vec<String> {
    let paths = document["paths"].as_object().into_iter().flatten();
    let operations = paths.flat_map(|(path, methods)| {
        methods.as_object().into_iter().flatten().map(move |(method, operation)| (path, method, operation))
    });
    operations
        .flat_map(|(path, method, operation)| {
            let statuses = operation["responses"].as_object().into_iter().flatten();
            statuses.map(move |(status, _)| format!("{} {path} {status}", method.to_uppercase()))
        })
        .collect()
}

fn differences(document: &Value, operation: &Value, answer: &Answer, json: &Value) -> Vec<String> {
    let Some(response) = operation.pointer(&format!("/responses/{}", answer.status)) else {
        return vec!["not declared".to_owned()];
    };
    let mut wrong = Vec::new();
    for (name, value) in &answer.headers {
        if !name.starts_with("x-amply-") && name != "retry-after" {
            continue;
        }
        let declared = response["headers"].as_object().into_iter().flatten();
        match declared.into_iter().find(|(declared, _)| declared.eq_ignore_ascii_case(name)) {
            None => wrong.push(format!("header {name} is not declared")),
            Some((_, header)) => {
                let schema = resolved(document, &resolved(document, header)["schema"]);
                let value = match schema["type"].as_str() {
                    Some("integer") => serde_json::from_str(value).unwrap_or(Value::Null),
                    _ => json!(value),
                };
                let found = mismatches(document, schema, &value);
                wrong.extend(found.into_iter().map(|what| format!("header {name}{what}")));
            }
        }
    }
    match response.pointer("/content/application~1json/schema") {
        Some(schema) => wrong.extend(mismatches(document, schema, json)),
        None if answer.body.is_empty() => {}
        None => wrong.push("a body that is not declared".to_owned()),
    }
    wrong
}
