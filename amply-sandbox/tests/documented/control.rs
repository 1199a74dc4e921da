//! The control over HTTP.

use std::time::UNIX_EPOCH;

use amply_sandbox::Sandbox;
use serde_json::{Value, json};

use crate::call::{ROUTE, get, request, route};
use crate::common::{Failure, send};

const FAULTS: &str = "/__sandbox/faults";
const CALLS: &str = "/__sandbox/calls";

#[tokio::test]
async fn the_control_needs_the_admin_secret() -> Result<(), Failure> {
    let sandbox = Sandbox::builder().start().await?;
    for (method, path) in [
        ("GET", CALLS),
        ("DELETE", CALLS),
        ("POST", FAULTS),
        ("DELETE", FAULTS),
        ("POST", "/__sandbox/clock"),
    ] {
        for key in [None, Some(sandbox.user_key()), Some(sandbox.server_key())] {
            let body = json!({"kind": "reset_before_headers"});
            let (answer, error) = request(&sandbox, method, path, key, Some(&body)).await?;
            assert_eq!(answer.status, 401, "{method} {path}");
            assert!(error["detail"].is_string());
        }
    }
    // Nor is the secret a key.
    assert_eq!(route(&sandbox, Some(sandbox.admin_secret()), &json!({"task": "x"})).await?.0.status, 401);
    Ok(())
}

#[tokio::test]
async fn calls_are_listed_and_forgotten_and_those_to_the_control_are_not_among_them() -> Result<(), Failure> {
    let sandbox = Sandbox::builder().start().await?;
    let admin = Some(sandbox.admin_secret());
    route(&sandbox, Some(sandbox.user_key()), &json!({"task": "x"})).await?;
    let (_, list) = request(&sandbox, "GET", CALLS, admin, None).await?;
    let [call] = list["calls"].as_array().ok_or("no calls")?.as_slice() else {
        return Err(format!("{list}").into());
    };
    assert_eq!((&call["method"], &call["path"]), (&json!("POST"), &json!(ROUTE)));
    assert_eq!((&call["body"], &call["status"]), (&json!(r#"{"task":"x"}"#), &json!(200)));
    let key = format!("Bearer {}", sandbox.user_key());
    assert!(call["headers"].as_array().is_some_and(|all| all.contains(&json!(["authorization", key]))));

    assert_eq!(request(&sandbox, "DELETE", CALLS, admin, None).await?.1, json!({"ok": true}));
    let (_, list) = request(&sandbox, "GET", CALLS, admin, None).await?;
    assert_eq!(list, json!({"calls": []}));
    assert_eq!(get(&sandbox, "/api/v1/platform-metrics").await?.1["decisions_last_30d"], 1);
    Ok(())
}

#[tokio::test]
async fn faults_are_added_and_cleared() -> Result<(), Failure> {
    let sandbox = Sandbox::builder().start().await?;
    let admin = Some(sandbox.admin_secret());
    let faults = [
        json!({"path": "/route", "calls": {"first": 1}, "kind": {"status": {"status": 503, "code": "busy", "headers": {"X-A": "b"}}}}),
        json!({"path": "/route", "calls": {"nth": 2}, "effect": "after", "kind": {"status": {"status": 500, "body": {"b": 1, "a": 2}}}}),
        json!({"calls": "always", "kind": {"html": {"status": 502}}}),
    ];
    for fault in &faults {
        let (answer, body) = request(&sandbox, "POST", FAULTS, admin, Some(fault)).await?;
        assert_eq!((answer.status, body), (200, json!({"ok": true})));
    }
    let (answer, error) = route(&sandbox, None, &json!({"task": "x"})).await?;
    assert_eq!((answer.status, answer.header("x-a"), &error["error"]), (503, Some("b"), &json!("busy")));
    let (answer, error) = route(&sandbox, None, &json!({"task": "x"})).await?;
    assert_eq!((answer.status, error), (500, json!({"b": 1, "a": 2})));
    let answer = send(sandbox.url(), "GET", "/api/v1/status", &[], None).await?;
    assert_eq!(answer.status, 502);
    request(&sandbox, "DELETE", FAULTS, admin, None).await?;
    assert_eq!(route(&sandbox, None, &json!({"task": "x"})).await?.0.status, 200);
    assert_eq!(get(&sandbox, "/api/v1/platform-metrics").await?.1["decisions_last_30d"], 2);
    Ok(())
}

#[tokio::test]
async fn every_kind_of_fault_has_a_name_and_what_is_none_is_refused() -> Result<(), Failure> {
    let sandbox = Sandbox::builder().start().await?;
    let admin = Some(sandbox.admin_secret());
    for (kind, status) in [
        (json!({"delay": {"ms": 1}}), 200),
        (json!("reset_before_headers"), 200),
        (json!("reset_after_headers"), 200),
        (json!({"truncate": {"after_bytes": 1}}), 200),
        (json!({"wrong_length": {"more": 1}}), 200),
        (json!({"drip": {"bytes_per_tick": 1, "every_ms": 1}}), 200),
        (json!({"explode": {}}), 400),
        (json!({"status": {}}), 400),
        (json!({"status": {"status": 503, "bodies": 1}}), 400),
        (Value::Null, 400),
    ] {
        let (answer, _) = request(&sandbox, "POST", FAULTS, admin, Some(&json!({"kind": kind}))).await?;
        assert_eq!(answer.status, status, "{kind}");
    }
    Ok(())
}

#[tokio::test]
async fn the_clock_and_the_probes_are_set() -> Result<(), Failure> {
    let sandbox = Sandbox::builder().clock_standing_at(UNIX_EPOCH).start().await?;
    let admin = Some(sandbox.admin_secret());
    request(&sandbox, "POST", "/__sandbox/clock", admin, Some(&json!({"advance_ms": 300_000}))).await?;
    let down = json!({"provider_id": "qdrant", "state": "down"});
    request(&sandbox, "POST", "/__sandbox/probes", admin, Some(&down)).await?;
    let (_, health) = request(&sandbox, "GET", "/api/v1/health", Some(sandbox.user_key()), None).await?;
    assert_eq!(health["providers"][0]["state"], "down");
    assert_eq!(health["providers"][0]["last_probe_at"], "1970-01-01T00:05:00Z");
    Ok(())
}
