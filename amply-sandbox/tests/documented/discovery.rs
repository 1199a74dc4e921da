//! `/agent` and `/health`.

use std::time::{Duration, UNIX_EPOCH};

use amply_sandbox::{ProviderState, Sandbox};
use serde_json::{Value, json};

use crate::call::{get, request};
use crate::common::Failure;

const HEALTH: &str = "/api/v1/health";

#[tokio::test]
async fn health_is_told_to_whoever_has_a_key_even_by_an_open_server() -> Result<(), Failure> {
    let sandbox = Sandbox::builder().start().await?;
    for (key, status) in [
        (None, 401),
        (Some("unknown"), 401),
        (Some(sandbox.admin_secret()), 401),
        (Some(sandbox.server_key()), 200),
        (Some(sandbox.user_key()), 200),
    ] {
        assert_eq!(request(&sandbox, "GET", HEALTH, key, None).await?.0.status, status, "{key:?}");
    }
    Ok(())
}

#[tokio::test]
async fn health_has_what_the_last_probe_found() -> Result<(), Failure> {
    // 2026-11-23T00:07:30Z
    let time = UNIX_EPOCH + Duration::from_secs(1_795_392_450);
    let sandbox = Sandbox::builder().clock_standing_at(time).start().await?;
    sandbox.control().set_probe("qdrant", Some(ProviderState::Degraded));
    sandbox.control().set_probe("chroma", Some(ProviderState::Down));
    sandbox.control().set_probe("weaviate", None);
    let (answer, body) = request(&sandbox, "GET", HEALTH, Some(sandbox.server_key()), None).await?;
    assert_eq!((&body["ok"], &body["probe_interval_minutes"]), (&json!(true), &json!(5)));
    assert_eq!(body["request_id"].as_str(), answer.header("x-amply-request-id"));
    assert_eq!(body["as_of"], "2026-11-23T00:07:30.000Z");
    let seen: Vec<_> = body["providers"]
        .as_array()
        .ok_or("no providers")?
        .iter()
        .map(|provider| {
            assert_eq!(provider["last_probe_at"], "2026-11-23T00:05:00Z");
            (&provider["id"], &provider["state"], &provider["latency_ms"])
        })
        .collect();
    assert_eq!(
        json!(seen),
        json!([
            ["qdrant", "degraded", 14],
            ["pinecone", "healthy", 28],
            ["chroma", "down", null],
            ["supabase", "healthy", 81]
        ])
    );
    sandbox.control().advance(Duration::from_secs(150));
    let (_, body) = request(&sandbox, "GET", HEALTH, Some(sandbox.server_key()), None).await?;
    assert_eq!(body["providers"][0]["last_probe_at"], "2026-11-23T00:10:00Z");
    Ok(())
}

#[tokio::test]
async fn the_manifest_leads_from_discovery_to_audit() -> Result<(), Failure> {
    let builder = Sandbox::builder().require_api_key(true).rate_limit(60).agent_signup(true).x402(true);
    let sandbox = builder.agent_signup_secret("hush").start().await?;
    let (answer, manifest) = get(&sandbox, "/api/v1/agent").await?;
    assert!(!answer.body.contains("hush"));
    let (_, status) = get(&sandbox, "/api/v1/status").await?;
    assert_eq!(manifest["tos_version_for_signup"], status["diagnostics"]["agent_signup"]["tos_version"]);
    assert_eq!(manifest["autonomous_credential_path"], "/api/v1/signup/agent");

    let workflow = &manifest["workflow"];
    assert_eq!(workflow["$schema"], "amply.agent_workflow_manifest/1");
    assert_eq!((&workflow["version"], &workflow["auth_mode"]), (&json!("3.1.13"), &json!("api_key")));
    assert_eq!(workflow["credential_before_catalog"], true);
    assert_eq!(workflow["agent_signup"], status["diagnostics"]["agent_signup"]);
    assert_eq!(workflow["route_rate_limit"], json!({"enabled": true, "requests_per_minute_per_ip": 60}));
    assert_eq!(workflow["x402"], json!({"enabled": true, "spec": "amply.x402/1"}));
    let order = ["discover", "health", "schema", "credential", "catalog", "route", "outcome", "audit"];
    assert_eq!(workflow["bootstrap_sequence"], json!(order));
    let steps = workflow["steps"].as_array().ok_or("no steps")?;
    assert_eq!(steps.iter().map(|step| &step["id"]).collect::<Vec<_>>(), order);
    for step in steps {
        for field in ["method", "path", "purpose", "auth"] {
            assert!(step[field].is_string(), "{step}");
        }
    }
    let auth = |manifest: &Value, step: usize| manifest["workflow"]["steps"][step]["auth"].clone();
    assert_eq!((auth(&manifest, 3), auth(&manifest, 5)), (json!("shared_secret"), json!("bearer")));
    assert_eq!((auth(&manifest, 6), auth(&manifest, 7)), (json!("bearer"), json!("bearer")));
    assert_eq!(
        (&steps[6]["path"], &steps[7]["path"]),
        (&json!("/api/v1/outcome"), &json!("/api/v1/route/audit"))
    );

    let policy = &workflow["principal_binding_policy"];
    assert!(policy["summary"].is_string() && policy["check_response_field"].is_string());
    assert!(policy["check_response_headers"].as_array().is_some_and(|headers| !headers.is_empty()));
    for (step, number) in policy["recommended_machine_flow"].as_array().ok_or("no flow")?.iter().zip(1..) {
        assert_eq!(step["step"], number);
        assert!(step["method"].is_string() && step["path"].is_string() && step["goal"].is_string());
    }

    let flow = |step: usize| policy["recommended_machine_flow"][step]["path"].clone();
    assert_eq!((flow(1), flow(2)), (json!("/api/v1/billing/status"), json!("/api/v1/route")));

    let open = Sandbox::builder().start().await?;
    let (_, manifest) = get(&open, "/api/v1/agent").await?;
    assert_eq!((auth(&manifest, 3), auth(&manifest, 5)), (json!("none"), json!("optional_bearer")));
    assert_eq!((auth(&manifest, 6), auth(&manifest, 7)), (json!("optional_bearer"), json!("bearer")));
    assert_eq!(manifest["workflow"]["agent_signup"]["enabled"], false);
    Ok(())
}
