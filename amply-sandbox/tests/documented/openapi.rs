//! The OpenAPI document against what is served: no status, header or field that is not declared, none that is missing.

use std::{
    collections::BTreeSet,
    time::{Duration, UNIX_EPOCH},
};

use amply_sandbox::{Catalog, OpenPayments, Release, Sandbox, SandboxBuilder};
use serde_json::{Value, json};

use crate::call::{get, request};
use crate::common::Failure;
use crate::contract::{Contract, resolved};

/// Sandboxes that between them answer in every way.
pub(crate) fn sandboxes(release: Release) -> Result<Vec<SandboxBuilder>, Failure> {
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
/// Stands for the id of the latest credential.
const CREDENTIAL: &str = "{credential}";

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
    let credential = |body| ("POST", "/api/v1/credentials", Some(body));
    let execute =
        |execution| ("POST", "/api/v1/route/execute", Some(json!({"task": "x", "execution": execution})));
    let with_credential =
        json!({"mode": "vault_ref", "credential_ref": CREDENTIAL, "input": {"a": [1, null]}});
    requests.extend([
        ("POST", "/api/v1/report", Some(json!({"period": "30d"}))),
        ("POST", "/api/v1/report", Some(json!({"period": "90d"}))),
        ("POST", "/api/v1/report", Some(json!({"period": "1d"}))),
        ("POST", "/api/v1/report", Some(json!({"more": "a".repeat(1024 * 1024)}))),
        credential(json!({"provider_id": "qdrant", "label": "main", "secret": "hush"})),
        credential(json!({"provider_id": "a", "secret": "hush"})),
        credential(json!({"provider_id": "qdrant", "secret": ""})),
        credential(json!({"more": "a".repeat(1024 * 1024)})),
        ("GET", "/api/v1/credentials", None),
        execute(with_credential.clone()),
        execute(json!({"mode": "byo_runtime", "target": {"url": "https://example.com/run"}})),
        execute(json!({"mode": "vault_ref", "credential_ref": "cred_x"})),
        execute(json!({"mode": "vault_ref"})),
        (
            "POST",
            "/api/v1/route/execute",
            Some(json!({"task": "x", "slo_p99_ms": 0.001, "execution":
            {"mode": "byo_runtime", "target": {"url": "http://127.0.0.1:9"}}})),
        ),
        ("POST", "/api/v1/route/execute", Some(json!({"task": "x", "more": "a".repeat(1024 * 1024)}))),
        ("POST", "/api/v1/route/execute", Some(Value::Null)),
        ("GET", "/api/v1/credentials", None),
        ("DELETE", "/api/v1/credentials/{credential}", None),
        ("DELETE", "/api/v1/credentials/cred_x", None),
        execute(with_credential),
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
        for (builder, number) in sandboxes(release)?.into_iter().zip(0..) {
            let sandbox = builder.start().await?;
            let contract = Contract::of(get(&sandbox, "/api/v1/openapi").await?.1)?;
            assert_eq!(contract.document["info"]["version"], release.version());
            declared.extend(contract.declared());
            for key in [
                Some(sandbox.user_key()),
                Some(sandbox.server_key()),
                Some(sandbox.admin_secret()),
                None,
                Some("unknown"),
            ] {
                let (mut latest, mut credential) = ("none".to_owned(), "none".to_owned());
                for (method, url, body) in requests() {
                    let url = url.replace(LATEST, &latest).replace(CREDENTIAL, &credential);
                    let Some(operation) = contract.operation(method, &url) else { continue };
                    // To other endpoints the secret is one more unknown key.
                    if key == Some(sandbox.admin_secret()) && operation.path != "/api/v1/billing/topup" {
                        continue;
                    }
                    // To read a mebibyte takes its time, and the switches change nothing about it but whether there is a signup.
                    if number > 1 && body.as_ref().is_some_and(|body| body.get("more").is_some()) {
                        continue;
                    }
                    let body = body.map(|body| about(body, &latest, &credential));
                    let (answer, json) = request(&sandbox, method, &url, key, body.as_ref()).await?;
                    if let (crate::call::ROUTE, Some(id)) = (operation.path, json["request_id"].as_str())
                        && answer.status == 200
                    {
                        id.clone_into(&mut latest);
                    }
                    if let Some(id) = json["credential"]["id"].as_str() {
                        id.clone_into(&mut credential);
                    }
                    seen.insert(format!("{method} {} {}", operation.path, answer.status));
                    wrong.extend(contract.breaches(operation, &answer));
                }
            }
        }
        assert!(wrong.is_empty(), "{}: {}", release.version(), wrong.join("\n"));
        assert_eq!(seen, declared, "{}", release.version());
    }
    Ok(())
}

/// A request's body, about the latest route and credential where it is about one at all.
fn about(mut body: Value, route: &str, credential: &str) -> Value {
    match &mut body {
        Value::Object(fields) => {
            for field in fields.values_mut() {
                *field = about(field.take(), route, credential);
            }
        }
        Value::String(text) if text == LATEST => route.clone_into(text),
        Value::String(text) if text == CREDENTIAL => credential.clone_into(text),
        _ => {}
    }
    body
}

/// Every call of the API, by method and path below `/api/v1`.
const ALL: [(&str, &str); 18] = [
    ("GET", "/agent"),
    ("GET", "/billing/status"),
    ("POST", "/billing/topup"),
    ("GET", "/credentials"),
    ("POST", "/credentials"),
    ("DELETE", "/credentials/{id}"),
    ("GET", "/health"),
    ("GET", "/openapi"),
    ("POST", "/outcome"),
    ("GET", "/platform-metrics"),
    ("GET", "/providers"),
    ("POST", "/report"),
    ("POST", "/route"),
    ("GET", "/route/audit"),
    ("POST", "/route/execute"),
    ("POST", "/route/outcome"),
    ("POST", "/signup/agent"),
    ("GET", "/status"),
];

#[tokio::test]
async fn the_document_has_every_call_of_the_api() -> Result<(), Failure> {
    let sandbox = Sandbox::builder().start().await?;
    let contract = Contract::of(get(&sandbox, "/api/v1/openapi").await?.1)?;
    let found: BTreeSet<_> =
        contract.operations().map(|one| format!("{} {}", one.method, one.path)).collect();
    let all: BTreeSet<_> = ALL.map(|(method, path)| format!("{method} /api/v1{path}")).into();
    assert_eq!(found, all);
    Ok(())
}

#[tokio::test]
async fn the_document_is_one_of_openapi_3_0() -> Result<(), Failure> {
    for release in [Release::V3_1_12, Release::V3_1_13] {
        let sandbox = Sandbox::builder().release(release).start().await?;
        let (answer, document) = get(&sandbox, "/api/v1/openapi").await?;
        let read: openapiv3::OpenAPI = serde_json::from_str(&answer.body)?;
        // What the types of the specification have no place for is not in it.
        let mut lost = Vec::new();
        lost_in(&document, &serde_json::to_value(&read)?, "", &mut lost);
        assert_eq!(lost, Vec::<String>::new(), "{}", release.version());
        // Compiles every schema, which holds it against the schema of schemas.
        let contract = Contract::of(document)?;
        assert_eq!(flaws(&contract), Vec::<String>::new(), "{}", release.version());
    }
    Ok(())
}

/// Fields of `before` that are not in `after`. Its type writes some defaults, so the other way round is no matter.
fn lost_in(before: &Value, after: &Value, at: &str, lost: &mut Vec<String>) {
    match before {
        Value::Object(fields) => {
            for (name, field) in fields {
                let at = format!("{at}/{name}");
                match after.get(name) {
                    Some(kept) => lost_in(field, kept, &at, lost),
                    // Defaults that are left out when written.
                    None if field == &json!(false) || field == &json!([]) || field == &json!({}) => {}
                    None => lost.push(at),
                }
            }
        }
        Value::Array(items) => {
            for (i, item) in items.iter().enumerate() {
                lost_in(item, after.get(i).unwrap_or(&Value::Null), &format!("{at}/{i}"), lost);
            }
        }
        _ if before == after || before.as_f64().is_some_and(|number| after.as_f64() == Some(number)) => {}
        _ => lost.push(format!("{at}: {before} became {after}")),
    }
}

/// What a document of the right form can still have wrong.
fn flaws(contract: &Contract) -> Vec<String> {
    let document = &contract.document;
    let mut flaws = Vec::new();
    let mut references = BTreeSet::new();
    in_every_object(document, "", &mut |at, fields| {
        if let Some(to) = fields.get("$ref").and_then(Value::as_str) {
            references.insert(to.to_owned());
            if resolved(document, &json!({"$ref": to})).is_null() || fields.len() > 1 {
                flaws.push(format!("{at}: {to}"));
            }
        }
        let Some(required) = fields.get("required").and_then(Value::as_array) else { return };
        let properties = fields.get("properties").and_then(Value::as_object);
        for name in required.iter().filter_map(Value::as_str) {
            if properties.is_some_and(|properties| !properties.contains_key(name)) {
                flaws.push(format!("{at}: {name} is required and not declared"));
            }
        }
    });
    for kind in ["schemas", "headers"] {
        let components =
            document.pointer(&format!("/components/{kind}")).and_then(Value::as_object).into_iter().flatten();
        let unused =
            components.filter(|(name, _)| !references.contains(&format!("#/components/{kind}/{name}")));
        flaws.extend(unused.map(|(name, _)| format!("{name} of {kind} is never used")));
    }
    let mut ids = BTreeSet::new();
    for operation in contract.operations() {
        let mut flaw = |what: &str| flaws.push(format!("{} {}: {what}", operation.method, operation.path));
        match operation.of["operationId"].as_str() {
            Some(id) if ids.insert(id) => {}
            _ => flaw("no operationId of its own"),
        }
        if operation.of["summary"].as_str().is_none_or(str::is_empty) {
            flaw("no summary");
        }
        if (operation.method == "POST") != operation.request().is_some() {
            flaw("a POST has a body, and nothing else");
        }
        let names: Vec<&str> = operation
            .path
            .split('/')
            .filter_map(|step| step.strip_prefix('{').and_then(|step| step.strip_suffix('}')))
            .collect();
        let parameters = operation.of["parameters"].as_array().into_iter().flatten();
        let in_path: Vec<&str> =
            parameters.filter(|one| one["in"] == "path").filter_map(|one| one["name"].as_str()).collect();
        if names != in_path {
            flaw("its parameters are not those of the path");
        }
        for requirement in operation.of["security"].as_array().into_iter().flatten() {
            for (scheme, _) in requirement.as_object().into_iter().flatten() {
                if document.pointer(&format!("/components/securitySchemes/{scheme}")).is_none() {
                    flaw("a scheme of security that there is not");
                }
            }
        }
        let responses = operation.of["responses"].as_object();
        if !responses.is_some_and(|all| all.keys().any(|status| status.starts_with('2'))) {
            flaw("no answer that is none of an error");
        }
        for (status, response) in responses.into_iter().flatten() {
            let is_empty_500 = status == "500" && response.get("content").is_none();
            if !is_empty_500 && response.pointer("/content/application~1json/schema").is_none() {
                flaw(&format!("{status} has no schema"));
            }
        }
    }
    flaws
}

fn in_every_object(value: &Value, at: &str, then: &mut impl FnMut(&str, &serde_json::Map<String, Value>)) {
    match value {
        Value::Object(fields) => {
            then(at, fields);
            for (name, field) in fields {
                in_every_object(field, &format!("{at}/{name}"), then);
            }
        }
        Value::Array(items) => {
            for (i, item) in items.iter().enumerate() {
                in_every_object(item, &format!("{at}/{i}"), then);
            }
        }
        _ => {}
    }
}
