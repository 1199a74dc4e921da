//! `GET /route/audit`: what is told of a route, to whom, and whether the proof holds.

use std::{
    collections::BTreeMap,
    time::{Duration, UNIX_EPOCH},
};

use amply_sandbox::{OpenPayments, Sandbox};
use serde_json::{Value, json};
use sha3::{Digest, Sha3_256};

use crate::call::{request, route};
use crate::common::{Answer, Failure};
use crate::payer::at;

const TASK: &str = "store 1M vectors — é";

async fn audit(sandbox: &Sandbox, key: Option<&str>, query: &str) -> Result<(Answer, Value), Failure> {
    request(sandbox, "GET", &format!("/api/v1/route/audit{query}"), key, None).await
}

/// A new route, as its answer was.
async fn routed(sandbox: &Sandbox, key: Option<&str>) -> Result<(String, Value), Failure> {
    let (_, body) = route(sandbox, key, &json!({"task": format!(" {TASK}\n")})).await?;
    Ok((at(&body, "/request_id").as_str().ok_or("no id")?.to_owned(), body))
}

fn sha3_256(text: &str) -> String {
    Sha3_256::digest(text).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// An own reading of the canonical form; the numbers of these bundles have one text only.
fn canonical(value: &Value) -> String {
    match value {
        Value::Object(fields) => {
            let sorted: BTreeMap<_, _> = fields.iter().collect();
            let texts = sorted.iter().map(|(name, value)| format!("{}:{}", json!(name), canonical(value)));
            format!("{{{}}}", texts.collect::<Vec<_>>().join(","))
        }
        other => other.to_string(),
    }
}

/// The hash that the proof of an audit should have.
fn hash_of(audit: &Value) -> String {
    let mut bundle = audit.clone();
    if let Some(fields) = bundle.as_object_mut() {
        fields.remove("proof");
    }
    sha3_256(&canonical(&bundle))
}

#[tokio::test]
async fn an_audit_has_the_route_and_its_outcome_and_the_proof_is_over_both() -> Result<(), Failure> {
    let time = UNIX_EPOCH + Duration::from_secs(1_795_456_784);
    let sandbox = Sandbox::builder().charge_per_route("0.0125").clock_standing_at(time).start().await?;
    let key = Some(sandbox.user_key());
    let (id, body) = routed(&sandbox, key).await?;
    let query = format!("?request_id={id}");
    let (answer, before) = audit(&sandbox, key, &query).await?;
    assert_eq!(answer.status, 200);
    assert!(answer.header("x-amply-request-id").is_some_and(|exchange| exchange != id));
    assert_eq!((&before["ok"], &before["request_id"]), (&json!(true), &json!(id)));
    assert_eq!(
        before["route"],
        json!({
            "principal_id": sandbox.principal_id(),
            "recommended": "qdrant",
            "score": body["score"],
            "task_sha3_256": sha3_256(TASK),
            "charged_usd": 0.0125,
            "served_at": "2026-11-23T17:59:44.000Z",
        })
    );
    assert_eq!(before["outcome"], Value::Null);
    assert_eq!(
        (&before["proof"]["algorithm"], &before["proof"]["hash"]),
        (&json!("sha3-256"), &json!(hash_of(&before)))
    );
    sandbox.control().advance(Duration::from_secs(1));
    assert_eq!(audit(&sandbox, key, &query).await?.0.body, answer.body);

    for success in [false, true] {
        let report =
            json!({"route_id": id, "success": success, "actual_latency_ms": 41.5, "error_code": "oom"});
        request(&sandbox, "POST", "/api/v1/outcome", key, Some(&report)).await?;
        let (_, after) = audit(&sandbox, key, &query).await?;
        assert_eq!(after["route"], before["route"]);
        assert_eq!(
            after["outcome"],
            json!({
                "provider_id": "qdrant",
                "success": false,
                "outcome": null,
                "actual_latency_ms": 41.5,
                "error_code": "oom",
                "via": "outcome",
                "credits_awarded": 1,
                "reported_at": "2026-11-23T17:59:45.000Z",
            })
        );
        assert_eq!(after["proof"]["hash"], json!(hash_of(&after)));
        assert_ne!(after["proof"]["hash"], before["proof"]["hash"]);
    }
    Ok(())
}

#[tokio::test]
async fn a_route_is_audited_by_its_principal_alone() -> Result<(), Failure> {
    let sandbox = Sandbox::builder().agent_signup(true).start().await?;
    let terms = json!({"accept_tos_version": "2026-11-01"});
    let (_, body) = request(&sandbox, "POST", "/api/v1/signup/agent", None, Some(&terms)).await?;
    let (user, other) = (Some(sandbox.user_key()), body["api_key"].as_str());
    let (id, body) = routed(&sandbox, user).await?;
    let (unbound, body_unbound) = routed(&sandbox, None).await?;
    let of = |id: &str| format!("?request_id={id}");
    for (key, query, status, code) in [
        (None, of(&id), 401, None),
        (Some("unknown"), of(&id), 401, None),
        (Some(sandbox.server_key()), of(&id), 403, Some("principal_required")),
        (user, String::new(), 400, None),
        (user, of(""), 400, None),
        (user, format!("?route_id={id}"), 400, None),
        (other, of(&id), 404, Some("route_not_found")),
        (user, of(&unbound), 404, Some("route_not_found")),
        (user, of("x%20y"), 404, Some("route_not_found")),
        (user, format!("?a=b&request_id={id}&request_id=c"), 200, None),
    ] {
        let (answer, error) = audit(&sandbox, key, &query).await?;
        assert_eq!((answer.status, error["error"].as_str()), (status, code), "{key:?} {query}");
    }
    // The link of a route leads to its audit, and there is none where nobody would be shown it.
    let link = body["integration"]["links"]["audit"].as_str().ok_or("no link")?;
    assert_eq!(request(&sandbox, "GET", link, user, None).await?.1["request_id"], json!(id));
    assert!(body_unbound["integration"]["links"].get("audit").is_none());
    Ok(())
}

#[tokio::test]
async fn what_cost_nothing_was_charged_nothing() -> Result<(), Failure> {
    let sandbox = Sandbox::builder().open_payments(OpenPayments::v1()).start().await?;
    let key = Some(sandbox.user_key());
    let (_, body) = route(&sandbox, key, &json!({"task": "x", "sandbox_mode": true})).await?;
    let query = format!("?request_id={}", body["request_id"].as_str().ok_or("no id")?);
    assert_eq!(audit(&sandbox, key, &query).await?.1["route"]["charged_usd"], json!(0));
    Ok(())
}
