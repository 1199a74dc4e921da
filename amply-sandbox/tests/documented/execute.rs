//! `POST /route/execute`: a route like any other, and what became of it.

use std::time::{Duration, UNIX_EPOCH};

use amply_sandbox::{Fault, OpenPayments, Sandbox};
use serde_json::{Value, json};

use crate::call::{ROUTE, principal_headers, request, route};
use crate::common::{Answer, Failure, send};
use crate::payer::{decoded, offer, pay};

const EXECUTE: &str = "/api/v1/route/execute";
const TARGET: &str = "https://runtime.example.com/run?queue=1";

async fn execute(sandbox: &Sandbox, key: Option<&str>, execution: Value) -> Result<(Answer, Value), Failure> {
    let body = json!({"task": "store 1M vectors", "execution": execution});
    request(sandbox, "POST", EXECUTE, key, Some(&body)).await
}

async fn credential(sandbox: &Sandbox) -> Result<String, Failure> {
    let body = json!({"provider_id": "qdrant", "secret": "s"});
    let (_, body) =
        request(sandbox, "POST", "/api/v1/credentials", Some(sandbox.user_key()), Some(&body)).await?;
    Ok(body.pointer("/credential/id").and_then(Value::as_str).ok_or("no id")?.to_owned())
}

fn on_target() -> Value {
    json!({"mode": "byo_runtime", "target": {"url": TARGET, "headers": {"X-Queue": "a"}}})
}

fn balance(sandbox: &Sandbox) -> Option<String> {
    sandbox.control().balance(sandbox.user_key()).map(|balance| balance.to_string())
}

#[tokio::test]
async fn an_execution_comes_after_all_that_a_route_answers() -> Result<(), Failure> {
    let same = async |path| -> Result<_, Failure> {
        let sandbox = Sandbox::builder().seed(5).start().await?;
        let body = json!({"task": "store 1M vectors", "slo_p99_ms": 60, "execution": on_target()});
        let (answer, body) = request(&sandbox, "POST", path, Some(sandbox.user_key()), Some(&body)).await?;
        Ok((principal_headers(&answer).map(str::to_owned), answer, body))
    };
    let (headers, _, mut alone) = same(ROUTE).await?;
    let (headers_of_both, answer, mut body) = same(EXECUTE).await?;
    assert_eq!((answer.status, headers_of_both), (200, headers));
    let execution =
        body.as_object_mut().and_then(|fields| fields.remove("execution")).ok_or("no execution")?;
    for route in [&mut alone, &mut body] {
        route["compute_ms"] = json!(0);
    }
    assert_eq!(body, alone);
    assert!(execution["execution_id"].as_str().is_some_and(|id| id.len() == 36));
    assert!(answer.body.find("\"integration\"") < answer.body.find("\"execution\""));
    assert_eq!(
        execution,
        json!({"mode": "byo_runtime", "status": "succeeded", "provider_id": "qdrant", "execution_id": execution["execution_id"],
            "target_url": TARGET, "latency_ms": 14, "output": null, "error_code": null})
    );
    Ok(())
}

#[tokio::test]
async fn a_stored_credential_is_used_and_the_input_comes_back() -> Result<(), Failure> {
    let sandbox = Sandbox::builder().start().await?;
    let id = credential(&sandbox).await?;
    let input = json!({"vectors": [1.5, null, "é"], "deep": {"a": []}});
    let order = json!({"mode": "vault_ref", "credential_ref": id, "input": input});
    let (answer, body) = execute(&sandbox, Some(sandbox.user_key()), order).await?;
    let execution = &body["execution"];
    assert_eq!(
        (answer.status, &execution["status"], &execution["output"]),
        (200, &json!("succeeded"), &input)
    );
    assert_eq!((&execution["mode"], &execution["credential_ref"]), (&json!("vault_ref"), &json!(id)));
    assert!(execution.get("target_url").is_none());
    assert!(sandbox.control().credentials()[0].last_used_at.is_some());
    // It is a route: it can be reported, and has its audit.
    let told = json!({"route_id": body["request_id"], "success": true});
    let (_, receipt) =
        request(&sandbox, "POST", "/api/v1/outcome", Some(sandbox.user_key()), Some(&told)).await?;
    assert_eq!(receipt["credits_awarded"], 1);
    Ok(())
}

#[tokio::test]
async fn an_execution_can_be_made_to_fail_and_the_route_is_paid_for_all_the_same() -> Result<(), Failure> {
    let sandbox = Sandbox::builder().balance("1").execution_fails("provider_unavailable").start().await?;
    let order = json!({"mode": "byo_runtime", "target": {"url": TARGET}, "input": 1});
    let (answer, body) = execute(&sandbox, Some(sandbox.user_key()), order).await?;
    let execution = &body["execution"];
    assert_eq!((answer.status, &execution["status"]), (200, &json!("failed")));
    assert_eq!(
        (&execution["error_code"], &execution["output"]),
        (&json!("provider_unavailable"), &Value::Null)
    );
    assert_eq!(balance(&sandbox).as_deref(), Some("0.99"));
    Ok(())
}

#[tokio::test]
async fn what_cannot_be_executed_is_refused_before_anything_is_spent() -> Result<(), Failure> {
    let sandbox = Sandbox::builder().balance("1").daily_quota(1).agent_signup(true).start().await?;
    let id = credential(&sandbox).await?;
    let target = |url: &str| json!({"mode": "byo_runtime", "target": {"url": url}});
    for (execution, wrong) in [
        (Value::Null, "execution is required"),
        (json!("vault_ref"), "execution is required"),
        (json!({}), "execution.mode"),
        (json!({"mode": "remote", "credential_ref": id}), "execution.mode"),
        (json!({"mode": ["vault_ref"], "credential_ref": id}), "execution.mode"),
        (json!({"mode": "vault_ref"}), "execution.credential_ref"),
        (json!({"mode": "vault_ref", "credential_ref": 7}), "execution.credential_ref"),
        (json!({"mode": "vault_ref", "target": {"url": TARGET}}), "execution must have either"),
        (
            json!({"mode": "vault_ref", "credential_ref": id, "target": {"url": TARGET}}),
            "execution must have either",
        ),
        (json!({"mode": "byo_runtime", "credential_ref": id}), "execution must have either"),
        (json!({"mode": "byo_runtime"}), "execution.target.url"),
        (json!({"mode": "byo_runtime", "target": TARGET}), "execution.target.url"),
        (target("/run"), "execution.target.url"),
        (target("ftp://example.com"), "execution.target.url"),
        (target("https://me:secret@example.com"), "execution.target.url"),
        (
            json!({"mode": "byo_runtime", "target": {"url": TARGET, "headers": {"X": 1}}}),
            "execution.target.headers",
        ),
    ] {
        let (answer, error) = execute(&sandbox, Some(sandbox.user_key()), execution.clone()).await?;
        let detail = error["detail"].as_str().unwrap_or_default();
        assert!(answer.status == 400 && detail.starts_with(wrong), "{execution}: {}", answer.body);
    }
    // The mistakes of a route are told first, and of a credential that is another's no more than that there is none.
    let body = json!({"task": "", "execution": {}});
    let (_, error) = request(&sandbox, "POST", EXECUTE, Some(sandbox.user_key()), Some(&body)).await?;
    assert!(error["detail"].as_str().is_some_and(|detail| detail.starts_with("task")), "{error}");
    let terms = json!({"accept_tos_version": "2026-11-01"});
    let (_, signup) = request(&sandbox, "POST", "/api/v1/signup/agent", None, Some(&terms)).await?;
    let order = |id: &str| json!({"mode": "vault_ref", "credential_ref": id});
    for (key, id) in [
        (Some(sandbox.user_key()), "cred_never"),
        (Some(sandbox.user_key()), ""),
        (signup["api_key"].as_str(), id.as_str()),
        (Some(sandbox.server_key()), id.as_str()),
        (None, id.as_str()),
    ] {
        let (answer, error) = execute(&sandbox, key, order(id)).await?;
        assert_eq!((answer.status, &error["error"]), (404, &json!("credential_not_found")), "{key:?} {id}");
    }
    assert_eq!(balance(&sandbox).as_deref(), Some("1"));
    // Nor was the one route of the day.
    assert_eq!(execute(&sandbox, Some(sandbox.user_key()), order(&id)).await?.0.status, 200);
    let (answer, error) = route(&sandbox, Some(sandbox.user_key()), &json!({"task": "x"})).await?;
    assert_eq!((answer.status, &error["error"]), (429, &json!("quota_exceeded")));
    Ok(())
}

#[tokio::test]
async fn whatever_stands_before_a_route_stands_before_an_execution() -> Result<(), Failure> {
    let unpaid = Sandbox::builder().balance("0.005").strict_wallet(true).x402(true).require_principal(true);
    let sandbox = unpaid.require_api_key(true).start().await?;
    for (key, status, code) in [
        (None, 401, None),
        (Some(sandbox.server_key()), 403, Some("principal_required")),
        (Some(sandbox.user_key()), 402, Some("insufficient_balance")),
    ] {
        let (answer, error) = execute(&sandbox, key, on_target()).await?;
        assert_eq!((answer.status, error["error"].as_str()), (status, code), "{key:?}");
        let (of_route, of_route_error) = route(&sandbox, key, &json!({"task": "x"})).await?;
        assert_eq!((of_route.status, principal_headers(&of_route)), (status, principal_headers(&answer)));
        assert_eq!(error["detail"], of_route_error["detail"]);
        if status == 402 {
            assert_eq!(error["shortfall_usd"], json!(0.005));
            assert_eq!(answer.header("x-amply-x402-spec"), Some("amply.x402/1"));
            // Whoever pays asks for the same again.
            assert_eq!(error["x402"]["retry"], json!({"method": "POST", "path": EXECUTE}));
            assert_eq!(of_route_error["x402"]["retry"], json!({"method": "POST", "path": ROUTE}));
        }
    }

    let limited = Sandbox::builder().rate_limit(1).start().await?;
    assert_eq!(route(&limited, None, &json!({"task": "x"})).await?.0.status, 200);
    assert_eq!(execute(&limited, None, on_target()).await?.0.status, 429);
    Ok(())
}

#[tokio::test]
async fn an_execution_is_paid_for_by_an_open_payment_once() -> Result<(), Failure> {
    const NOW: u64 = 1_795_392_000;
    let builder = Sandbox::builder().clock_standing_at(UNIX_EPOCH + Duration::from_secs(NOW)).balance("0");
    let sandbox = builder.strict_wallet(true).open_payments(OpenPayments::v1()).start().await?;
    let (answer, offers) = execute(&sandbox, Some(sandbox.user_key()), on_target()).await?;
    let resource = format!("{}/route/execute", sandbox.url());
    assert_eq!((answer.status, &offers["accepts"][0]["resource"]), (402, &json!(resource)));

    let payment = pay(&offer(&answer)?, NOW, &[])?;
    let key = format!("Bearer {}", sandbox.user_key());
    let headers = [("Authorization", key.as_str()), ("X-PAYMENT", payment.as_str())];
    let body = json!({"task": "x", "execution": on_target()}).to_string();
    let paid = send(sandbox.url(), "POST", EXECUTE, &headers, Some(body.as_bytes())).await?;
    assert_eq!(paid.status, 200, "{}", paid.body);
    assert_eq!(decoded(paid.header("x-payment-response").ok_or("no receipt")?)?["success"], true);
    assert!(paid.body.contains("\"status\":\"succeeded\""), "{}", paid.body);
    let again = send(sandbox.url(), "POST", EXECUTE, &headers, Some(body.as_bytes())).await?;
    assert_eq!((again.status, sandbox.control().settlements().len()), (402, 1));
    Ok(())
}

#[tokio::test]
async fn a_fault_is_for_the_one_or_the_other() -> Result<(), Failure> {
    let sandbox = Sandbox::builder().start().await?;
    sandbox.control().fault(Fault::on("/route/execute").always().status(503));
    assert_eq!(route(&sandbox, None, &json!({"task": "x"})).await?.0.status, 200);
    assert_eq!(execute(&sandbox, None, on_target()).await?.0.status, 503);
    Ok(())
}
