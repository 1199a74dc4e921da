//! Reports of how routes went: what is taken, from whom, how often it counts, and where it shows.

use std::time::{Duration, UNIX_EPOCH};

use amply_sandbox::{Fault, Release, ReportedVia, Sandbox, SandboxBuilder};
use serde_json::{Value, json};

use crate::call::{get, request, route};
use crate::common::{Answer, Failure, send};
use crate::payer::at;

const OUTCOME: &str = "/api/v1/outcome";
const OLDER: &str = "/api/v1/route/outcome";
const UNKNOWN: &str = "00000000-0000-4000-8000-000000000000";

/// The id of a new route.
async fn routed(sandbox: &Sandbox, key: Option<&str>) -> Result<String, Failure> {
    let (_, body) = route(sandbox, key, &json!({"task": "x"})).await?;
    Ok(at(&body, "/request_id").as_str().ok_or("no id")?.to_owned())
}

async fn report(sandbox: &Sandbox, key: Option<&str>, body: &Value) -> Result<(Answer, Value), Failure> {
    request(sandbox, "POST", OUTCOME, key, Some(body)).await
}

async fn report_older(sandbox: &Sandbox, key: Option<&str>, id: &str) -> Result<(Answer, Value), Failure> {
    let body = json!({"request_id": id, "provider_id": "chroma", "outcome": "timeout"});
    request(sandbox, "POST", OLDER, key, Some(&body)).await
}

fn success(id: &str) -> Value {
    json!({"route_id": id, "success": true})
}

/// Each report that the sandbox kept: its route, which way it came, and how often.
fn kept(sandbox: &Sandbox) -> Vec<(String, ReportedVia, u64)> {
    let all = sandbox.control().outcomes().into_iter();
    all.map(|one| (one.route_id, one.via, one.times_received)).collect()
}

#[tokio::test]
async fn the_first_report_of_a_route_earns_a_credit_and_others_are_duplicates() -> Result<(), Failure> {
    let sandbox = Sandbox::builder().clock_standing_at(UNIX_EPOCH).start().await?;
    let key = Some(sandbox.user_key());
    let id = routed(&sandbox, key).await?;
    let body =
        json!({"route_id": id, "success": false, "actual_latency_ms": 41.5, "error_code": "timeout_1:a.b-c"});
    let (answer, told) = report(&sandbox, key, &body).await?;
    assert_eq!((answer.status, told), (200, json!({"received": true, "credits_awarded": 1})));
    assert!(answer.header("x-amply-request-id").is_some_and(|exchange| exchange != id));
    // What is said later is not kept.
    let (answer, told) = report(&sandbox, key, &success(&id)).await?;
    assert_eq!(answer.status, 200);
    assert_eq!(told, json!({"received": true, "credits_awarded": 0, "duplicate": true}));

    let all = sandbox.control().outcomes();
    let [one] = all.as_slice() else { return Err(format!("{all:?}").into()) };
    assert_eq!(
        (one.route_id.as_str(), one.principal_id.as_deref()),
        (id.as_str(), Some(sandbox.principal_id()))
    );
    assert_eq!((one.provider_id.as_str(), one.success, one.actual_latency_ms), ("qdrant", false, Some(41.5)));
    assert_eq!((one.error_code.as_deref(), one.via), (Some("timeout_1:a.b-c"), ReportedVia::Outcome));
    assert_eq!((one.credits_awarded, one.times_received, one.outcome.as_deref()), (1, 2, None));
    assert_eq!(one.reported_at, "1970-01-01T00:00:00.000Z");
    Ok(())
}

#[tokio::test]
async fn both_endpoints_feed_one_record() -> Result<(), Failure> {
    let sandbox = Sandbox::builder().start().await?;
    let key = Some(sandbox.user_key());
    let (first, second) = (routed(&sandbox, key).await?, routed(&sandbox, key).await?);
    for _ in 0..2 {
        let (answer, told) = report_older(&sandbox, key, &first).await?;
        assert_eq!((answer.status, told), (200, json!({"received": true})));
    }
    assert_eq!(report(&sandbox, key, &success(&first)).await?.1["duplicate"], true);
    assert_eq!(report(&sandbox, key, &success(&second)).await?.1["credits_awarded"], 1);
    assert_eq!(report_older(&sandbox, key, &second).await?.1, json!({"received": true}));
    let (older, preferred) = (ReportedVia::RouteOutcome, ReportedVia::Outcome);
    assert_eq!(kept(&sandbox), [(first, older, 3), (second, preferred, 2)]);
    let one = sandbox.control().outcomes().swap_remove(0);
    assert_eq!(
        (one.provider_id.as_str(), one.success, one.outcome.as_deref()),
        ("chroma", false, Some("timeout"))
    );
    assert_eq!(one.credits_awarded, 1);
    Ok(())
}

#[tokio::test]
async fn a_route_is_reported_by_its_principal_alone_and_one_without_a_principal_by_nobody_in_particular()
-> Result<(), Failure> {
    let sandbox = Sandbox::builder().agent_signup(true).start().await?;
    let terms = json!({"accept_tos_version": "2026-11-01"});
    let (_, body) = request(&sandbox, "POST", "/api/v1/signup/agent", None, Some(&terms)).await?;
    let other = body["api_key"].as_str();
    let (user, operator) = (Some(sandbox.user_key()), Some(sandbox.server_key()));
    let (bound, unbound) = (routed(&sandbox, user).await?, routed(&sandbox, None).await?);
    for (key, id) in [
        (other, bound.as_str()),
        (operator, &bound),
        (None, &bound),
        (user, &unbound),
        (user, UNKNOWN),
        (user, "x"),
    ] {
        for (answer, error) in
            [report(&sandbox, key, &success(id)).await?, report_older(&sandbox, key, id).await?]
        {
            assert_eq!((answer.status, &error["error"]), (404, &json!("route_not_found")), "{key:?} {id}");
            assert_eq!(answer.header("content-type"), Some("application/json"));
            assert_eq!(error["request_id"].as_str(), answer.header("x-amply-request-id"));
        }
    }
    assert_eq!(report(&sandbox, Some("unknown"), &success(&bound)).await?.0.status, 401);
    assert_eq!(kept(&sandbox), []);

    let (answer, told) = report(&sandbox, None, &success(&unbound)).await?;
    assert_eq!((answer.status, told), (200, json!({"received": true, "credits_awarded": 0})));
    let (_, told) = report(&sandbox, operator, &success(&unbound)).await?;
    assert_eq!(told, json!({"received": true, "credits_awarded": 0, "duplicate": true}));
    Ok(())
}

#[tokio::test]
async fn a_server_that_requires_keys_takes_no_report_without_one() -> Result<(), Failure> {
    let sandbox = Sandbox::builder().require_api_key(true).start().await?;
    let id = routed(&sandbox, Some(sandbox.server_key())).await?;
    assert_eq!(report(&sandbox, None, &success(&id)).await?.0.status, 401);
    // The key is the first that is looked at.
    assert_eq!(report(&sandbox, None, &json!([])).await?.0.status, 401);
    assert_eq!(report_older(&sandbox, None, &id).await?.0.status, 401);
    assert_eq!(report(&sandbox, Some(sandbox.server_key()), &success(&id)).await?.1["credits_awarded"], 0);
    Ok(())
}

#[tokio::test]
async fn a_report_that_is_out_of_order_is_refused_with_the_name_of_its_field() -> Result<(), Failure> {
    let sandbox = Sandbox::builder().start().await?;
    let key = Some(sandbox.user_key());
    let id = routed(&sandbox, key).await?;
    let with = |field: &str, value: Value| {
        let mut body = json!({"route_id": id, "success": true, "actual_latency_ms": null, "error_code": null, "more": 1});
        body[field] = value;
        (OUTCOME, field.to_owned(), body)
    };
    let older = |field: &str, value: Value| {
        let mut body = json!({"request_id": id, "provider_id": "qdrant", "outcome": "success"});
        body[field] = value;
        (OLDER, field.to_owned(), body)
    };
    let mut wrong = vec![(OUTCOME, "JSON".to_owned(), json!([])), (OLDER, "JSON".to_owned(), Value::Null)];
    for value in [Value::Null, json!(""), json!(7), json!("a".repeat(65))] {
        wrong.extend([with("route_id", value.clone()), older("request_id", value)]);
    }
    wrong.extend([Value::Null, json!("true"), json!(1)].map(|value| with("success", value)));
    let latencies = [json!(-1), json!("5"), json!(true), json!(31_536_000_001_u64), json!([5])];
    wrong.extend(latencies.map(|value| with("actual_latency_ms", value)));
    let codes =
        [json!(""), json!("E"), json!("a b"), json!("é"), json!("a\n"), json!("a".repeat(65)), json!(500)];
    wrong.extend(codes.map(|value| with("error_code", value)));
    wrong.extend([Value::Null, json!("nobody"), json!(1)].map(|value| older("provider_id", value)));
    wrong.extend([Value::Null, json!("Success"), json!(true)].map(|value| older("outcome", value)));
    for (path, field, body) in wrong {
        let (answer, error) = request(&sandbox, "POST", path, key, Some(&body)).await?;
        assert_eq!(answer.status, 400, "{body}");
        assert!(error["detail"].as_str().is_some_and(|detail| detail.contains(&field)), "{body} {error}");
    }
    let huge = format!(r#"{{"route_id":"{id}","success":true,"actual_latency_ms":1e999}}"#);
    let answer = send(sandbox.url(), "POST", OUTCOME, &[], Some(huge.as_bytes())).await?;
    assert_eq!(answer.status, 400);
    let large = json!({"route_id": id, "success": true, "more": "a".repeat(1024 * 1024)});
    assert_eq!(report(&sandbox, key, &large).await?.0.status, 413);
    assert_eq!(kept(&sandbox), []);

    let (_, _, body) = with("actual_latency_ms", json!(31_536_000_000_u64));
    assert_eq!(report(&sandbox, key, &body).await?.0.status, 200);
    Ok(())
}

#[tokio::test]
async fn idempotency_keys_are_noted_and_make_no_difference() -> Result<(), Failure> {
    let sandbox = Sandbox::builder().start().await?;
    let bearer = format!("Bearer {}", sandbox.user_key());
    let ids = [
        routed(&sandbox, Some(sandbox.user_key())).await?,
        routed(&sandbox, Some(sandbox.user_key())).await?,
    ];
    for (id, key) in [(&ids[0], "a"), (&ids[0], "a"), (&ids[1], "a"), (&ids[1], "b")] {
        let headers = [("Authorization", bearer.as_str()), ("Idempotency-Key", key)];
        let body = success(id).to_string();
        let answer = send(sandbox.url(), "POST", OUTCOME, &headers, Some(body.as_bytes())).await?;
        assert_eq!(answer.status, 200);
    }
    report(&sandbox, Some(sandbox.user_key()), &success(&ids[1])).await?;
    let keys = sandbox.control().outcomes().into_iter();
    let keys: Vec<_> =
        keys.map(|one| (one.idempotency_key, one.times_received, one.times_with_another_key)).collect();
    assert_eq!(keys, [(Some("a".to_owned()), 2, 0), (Some("a".to_owned()), 3, 2)]);
    Ok(())
}

#[tokio::test]
async fn an_answer_that_is_lost_leaves_a_report_that_counts() -> Result<(), Failure> {
    let sandbox = Sandbox::builder().start().await?;
    let key = Some(sandbox.user_key());
    let id = routed(&sandbox, key).await?;
    sandbox.control().fault(Fault::on("/outcome").nth(1).status(503));
    sandbox.control().fault(Fault::on("/outcome").nth(2).after_effect().reset_before_headers());
    assert_eq!(report(&sandbox, key, &success(&id)).await?.0.status, 503);
    assert_eq!(kept(&sandbox), []);
    assert!(report(&sandbox, key, &success(&id)).await.is_err());
    assert_eq!(report(&sandbox, key, &success(&id)).await?.1["duplicate"], true);
    assert_eq!(kept(&sandbox), [(id, ReportedVia::Outcome, 2)]);
    Ok(())
}

#[tokio::test]
async fn a_route_that_was_refused_has_no_outcome() -> Result<(), Failure> {
    let sandbox = Sandbox::builder().balance("0").strict_wallet(true).start().await?;
    let key = Some(sandbox.user_key());
    for task in ["x", ""] {
        let (answer, _) = route(&sandbox, key, &json!({"task": task})).await?;
        let id = answer.header("x-amply-request-id").ok_or("no id")?;
        assert_eq!(report(&sandbox, key, &success(id)).await?.0.status, 404, "{task}");
    }
    Ok(())
}

#[tokio::test]
async fn the_status_counts_the_reports_of_a_day() -> Result<(), Failure> {
    let sandbox = Sandbox::builder().clock_standing_at(UNIX_EPOCH).start().await?;
    let key = Some(sandbox.user_key());
    let telemetry = async || -> Result<Value, Failure> {
        let (_, status) = get(&sandbox, "/api/v1/status").await?;
        assert_eq!(status["outcome_telemetry_target_hours"], 24);
        Ok(status["outcome_telemetry"].clone())
    };
    let counts = |all: u64, accepted: u64, duplicates: u64, not_found: u64| json!({"ready": true, "reports_last_24h": all, "accepted": accepted, "duplicates": duplicates, "route_not_found": not_found});
    assert_eq!(telemetry().await?, counts(0, 0, 0, 0));
    let id = routed(&sandbox, key).await?;
    report(&sandbox, key, &success(&id)).await?;
    report_older(&sandbox, key, &id).await?;
    report(&sandbox, key, &success(UNKNOWN)).await?;
    report(&sandbox, key, &json!({})).await?;
    assert_eq!(telemetry().await?, counts(3, 1, 1, 1));
    sandbox.control().advance(Duration::from_secs(24 * 3600));
    assert_eq!(telemetry().await?, counts(0, 0, 0, 0));
    Ok(())
}

/// What a server says of where to report to: hint, link, quickstart, and the steps of the manifest.
async fn directions(sandbox: &Sandbox) -> Result<Value, Failure> {
    let (_, body) = route(sandbox, Some(sandbox.user_key()), &json!({"task": "x"})).await?;
    let terms = json!({"accept_tos_version": "2026-11-01"});
    let (_, signup) = request(sandbox, "POST", "/api/v1/signup/agent", None, Some(&terms)).await?;
    let (_, manifest) = get(sandbox, "/api/v1/agent").await?;
    let (_, status) = get(sandbox, "/api/v1/status").await?;
    let paths = |list: &str| -> Vec<Value> {
        let steps =
            at(&manifest, list).as_array().into_iter().flatten().map(|step| at(step, "/path").clone());
        steps.filter(|path| path.as_str().is_some_and(|path| path.ends_with("/outcome"))).collect()
    };
    let origin = sandbox.url().trim_end_matches("/api/v1");
    Ok(json!({
        "hint": at(&body, "/agent_hints/report_outcome/endpoint"),
        "fields": at(&body, "/agent_hints/report_outcome/expected_fields"),
        "link": at(&body, "/integration/links/outcome"),
        "quickstart": at(&signup, "/quickstart/outcome_url").as_str().map(|url| url.trim_start_matches(origin)),
        "steps": paths("/workflow/steps"),
        "flow": paths("/workflow/principal_binding_policy/recommended_machine_flow"),
        "ready": at(&status, "/outcome_telemetry/ready"),
    }))
}

#[tokio::test]
async fn an_older_server_lacks_endpoints_and_leads_to_none_that_it_lacks() -> Result<(), Failure> {
    let builder = || Sandbox::builder().agent_signup(true);
    let lead_to = |path: &str, fields: Value| json!({"hint": path, "fields": fields, "link": path, "quickstart": path, "steps": [path], "flow": [path], "ready": true});
    let preferred = lead_to(OUTCOME, json!(["route_id", "success", "actual_latency_ms", "error_code"]));
    let older = lead_to(OLDER, json!(["request_id", "provider_id", "outcome"]));
    let nowhere = json!({"hint": null, "fields": null, "link": null, "quickstart": null, "steps": [], "flow": [], "ready": false});
    let without_any = builder().outcome_endpoint(false).route_outcome_endpoint(false);
    for (builder, statuses, expected) in [
        (builder(), [200, 200], preferred.clone()),
        (builder().route_outcome_endpoint(false), [200, 404], preferred),
        (builder().outcome_endpoint(false), [404, 200], older),
        (without_any, [404, 404], nowhere),
    ] {
        let sandbox = builder.start().await?;
        assert_eq!(directions(&sandbox).await?, expected);
        assert_eq!(statuses_of_reports(&sandbox).await?, statuses);
        let (_, document) = get(&sandbox, "/api/v1/openapi").await?;
        assert_eq!(
            [OUTCOME, OLDER].map(|path| document["paths"][path].is_object()),
            statuses.map(|s| s == 200)
        );
        assert!(document["paths"]["/api/v1/route/audit"].is_object());
    }
    Ok(())
}

/// Of a report to either endpoint, the route a new one each time.
async fn statuses_of_reports(sandbox: &Sandbox) -> Result<[u16; 2], Failure> {
    let mut statuses = [0; 2];
    for (path, status) in [OUTCOME, OLDER].into_iter().zip(&mut statuses) {
        let key = sandbox.user_key();
        let id = routed(sandbox, Some(key)).await?;
        let body = json!({"route_id": id, "request_id": id, "success": true, "provider_id": "qdrant", "outcome": "success"});
        let bearer = format!("Bearer {key}");
        let headers = [("Authorization", bearer.as_str())];
        let answer = send(sandbox.url(), "POST", path, &headers, Some(body.to_string().as_bytes())).await?;
        let is_page = answer.header("content-type") == Some("text/html; charset=utf-8");
        assert_eq!(is_page, answer.status == 404, "{path}");
        *status = answer.status;
    }
    Ok(statuses)
}

#[tokio::test]
async fn release_3_1_12_takes_no_reports_whatever_is_switched_on() -> Result<(), Failure> {
    let builder: SandboxBuilder = Sandbox::builder().release(Release::V3_1_12);
    let sandbox = builder.outcome_endpoint(true).route_outcome_endpoint(true).start().await?;
    assert_eq!(statuses_of_reports(&sandbox).await?, [404, 404]);
    assert_eq!(kept(&sandbox), []);
    Ok(())
}

#[tokio::test]
async fn reports_are_listed_over_http() -> Result<(), Failure> {
    let sandbox = Sandbox::builder().clock_standing_at(UNIX_EPOCH).start().await?;
    let key = Some(sandbox.user_key());
    let id = routed(&sandbox, key).await?;
    report(&sandbox, key, &json!({"route_id": id, "success": true, "actual_latency_ms": 12})).await?;
    assert_eq!(request(&sandbox, "GET", "/__sandbox/outcomes", key, None).await?.0.status, 401);
    let admin = Some(sandbox.admin_secret());
    let (_, list) = request(&sandbox, "GET", "/__sandbox/outcomes", admin, None).await?;
    assert_eq!(
        list,
        json!({"outcomes": [{
            "route_id": id,
            "principal_id": sandbox.principal_id(),
            "provider_id": "qdrant",
            "success": true,
            "outcome": null,
            "actual_latency_ms": 12,
            "error_code": null,
            "via": "outcome",
            "idempotency_key": null,
            "credits_awarded": 1,
            "reported_at": "1970-01-01T00:00:00.000Z",
            "times_received": 1,
            "times_with_another_key": 0,
        }]})
    );
    Ok(())
}
