//! The switches of a sandbox: who is let in, how often, and what the status document says of it.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use amply_sandbox::{Release, Sandbox};
use serde_json::{Value, json};

use crate::call::{ROUTE, get, principal_headers, request, route};
use crate::common::{Failure, send};

/// 2026-11-23T23:00:00Z
fn an_hour_before_midnight() -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(1_795_474_800)
}

fn task() -> Value {
    json!({"task": "x"})
}

#[tokio::test]
async fn every_operator_key_is_let_in_and_binds_nobody() -> Result<(), Failure> {
    let sandbox = Sandbox::builder()
        .require_api_key(true)
        .operator_keys(["cron"])
        .operator_keys(vec!["probe".to_owned()]);
    assert!(!format!("{sandbox:?}").contains("cron"));
    let sandbox = sandbox.start().await?;
    for key in ["cron", "probe", sandbox.server_key()] {
        let (answer, _) = route(&sandbox, Some(key), &task()).await?;
        assert_eq!((answer.status, principal_headers(&answer)[1]), (200, "server_key"), "{key}");
    }
    let (answer, _) = route(&sandbox, Some("another"), &task()).await?;
    assert_eq!(answer.status, 401);
    Ok(())
}

#[tokio::test]
async fn a_server_that_requires_a_principal_refuses_others_outside_of_sandbox_mode() -> Result<(), Failure> {
    let sandbox = Sandbox::builder().require_principal(true).start().await?;
    for key in [None, Some(sandbox.server_key())] {
        let (answer, error) = route(&sandbox, key, &task()).await?;
        assert_eq!((answer.status, &error["error"]), (403, &json!("principal_required")));
        assert_eq!(error["request_id"].as_str(), answer.header("x-amply-request-id"));
        assert!(error["detail"].is_string());
        assert_eq!(principal_headers(&answer)[0], "0");
        let (answer, body) = route(&sandbox, key, &json!({"task": "x", "sandbox_mode": true})).await?;
        assert_eq!((answer.status, &body["estimated_charge_usd"]), (200, &json!(0)));
    }
    let (answer, _) = route(&sandbox, Some(sandbox.user_key()), &task()).await?;
    assert_eq!(answer.status, 200);
    // A mistake in the request is the first that is told.
    let (answer, _) = route(&sandbox, None, &json!({"task": ""})).await?;
    assert_eq!(answer.status, 400);
    let (_, status) = get(&sandbox, "/api/v1/status").await?;
    assert_eq!(status["diagnostics"]["route_requires_principal_bound"], true);
    Ok(())
}

#[tokio::test]
async fn the_rate_limit_counts_each_client_address_and_ends_with_its_minute() -> Result<(), Failure> {
    let sandbox = Sandbox::builder().rate_limit(2).clock_standing_at(UNIX_EPOCH).start().await?;
    let from = async |address: &str| {
        send(sandbox.url(), "POST", ROUTE, &[("X-Forwarded-For", address)], Some(br#"{"task":"x"}"#)).await
    };
    assert_eq!(from("203.0.113.7, 10.0.0.1").await?.status, 200);
    assert_eq!(from("203.0.113.7").await?.status, 200);
    sandbox.control().advance(Duration::from_millis(1500));
    let answer = from(" 203.0.113.7 ,10.0.0.2").await?;
    assert_eq!((answer.status, answer.header("retry-after")), (429, Some("59")));
    let error: Value = serde_json::from_str(&answer.body)?;
    assert_eq!((&error["error"], &error["retry_after_sec"]), (&json!("rate_limited"), &json!(59)));
    assert_eq!(principal_headers(&answer), ["-"; 4]);

    assert_eq!(from("203.0.113.8").await?.status, 200);
    assert_eq!(route(&sandbox, None, &task()).await?.0.status, 200);
    sandbox.control().advance(Duration::from_millis(58_500));
    assert_eq!(from("203.0.113.7").await?.status, 200);
    let (_, status) = get(&sandbox, "/api/v1/status").await?;
    assert_eq!(status["rate_limit"], json!({"enabled": true, "requests_per_minute_per_ip": 2}));
    Ok(())
}

#[tokio::test]
async fn a_quota_is_the_principal_s_and_ends_with_the_day() -> Result<(), Failure> {
    let sandbox =
        Sandbox::builder().daily_quota(1).clock_standing_at(an_hour_before_midnight()).start().await?;
    let key = Some(sandbox.user_key());
    assert_eq!(route(&sandbox, key, &json!({"task": ""})).await?.0.status, 400);
    assert_eq!(route(&sandbox, key, &task()).await?.0.status, 200);
    let (answer, error) = route(&sandbox, key, &task()).await?;
    assert_eq!((answer.status, answer.header("retry-after")), (429, Some("3600")));
    assert_eq!((&error["error"], &error["retry_after_sec"]), (&json!("quota_exceeded"), &json!(3600)));
    assert_eq!(principal_headers(&answer)[0], "1");
    for nobody in [None, Some(sandbox.server_key())] {
        assert_eq!(route(&sandbox, nobody, &task()).await?.0.status, 200);
    }
    sandbox.control().advance(Duration::from_secs(3600));
    assert_eq!(route(&sandbox, key, &task()).await?.0.status, 200);
    let (_, status) = get(&sandbox, "/api/v1/status").await?;
    assert_eq!(status["diagnostics"]["route_daily_quota_per_principal"], 1);
    Ok(())
}

#[tokio::test]
async fn the_status_has_the_share_of_routes_without_a_principal() -> Result<(), Failure> {
    let sandbox = Sandbox::builder().clock_standing_at(an_hour_before_midnight()).start().await?;
    let share = async || -> Result<Value, Failure> {
        let (_, status) = get(&sandbox, "/api/v1/status").await?;
        let binding = &status["diagnostics"]["principal_binding"];
        Ok(binding["last_24h_metering_snapshot"]["no_principal_pct"].clone())
    };
    assert_eq!(share().await?, Value::Null);
    route(&sandbox, None, &task()).await?;
    assert_eq!(share().await?, 100);
    route(&sandbox, Some(sandbox.user_key()), &task()).await?;
    route(&sandbox, Some(sandbox.user_key()), &task()).await?;
    assert_eq!(share().await?, 33.3);
    sandbox.control().advance(Duration::from_secs(24 * 3600));
    assert_eq!(share().await?, Value::Null);
    Ok(())
}

#[tokio::test]
async fn the_status_shows_the_switches() -> Result<(), Failure> {
    let sandbox =
        Sandbox::builder().agent_signup(true).agent_signup_secret("hush").metering(false).start().await?;
    let (answer, status) = get(&sandbox, "/api/v1/status").await?;
    let signup = &status["diagnostics"]["agent_signup"];
    assert_eq!((&signup["enabled"], &signup["requires_shared_secret"]), (&json!(true), &json!(true)));
    assert!(signup["tos_version"].is_string());
    assert_eq!(signup["path"], "/api/v1/signup/agent");
    assert_eq!(status["diagnostics"]["principal_binding"]["metering"], false);
    assert_eq!(status["diagnostics"]["route_requires_principal_bound"], false);
    assert_eq!(status["outcome_telemetry_target_hours"], 24);
    assert!(status["probe_cycle_cron_path"].is_string() && status["outcome_telemetry"].is_object());
    assert!(!answer.body.contains("hush"));
    Ok(())
}

#[tokio::test]
async fn release_3_1_12_has_none_of_the_switches_that_came_later() -> Result<(), Failure> {
    let builder =
        Sandbox::builder().release(Release::V3_1_12).require_principal(true).daily_quota(0).rate_limit(3);
    let sandbox = builder.start().await?;
    for _ in 0..3 {
        let (answer, body) = route(&sandbox, None, &task()).await?;
        assert_eq!(answer.status, 200);
        assert!(body.get("rankings").is_none());
    }
    let (answer, error) = route(&sandbox, None, &task()).await?;
    assert_eq!(answer.status, 429);
    assert!(error.get("error").is_none());
    let (_, status) = get(&sandbox, "/api/v1/status").await?;
    assert!(status["diagnostics"].get("principal_binding").is_none());
    for path in ["/api/v1/agent", "/api/v1/health", "/api/v1/signup/agent", "/api/v1/route/audit"] {
        let answer = send(sandbox.url(), "GET", path, &[], None).await?;
        assert_eq!((answer.status, answer.header("content-type")), (404, Some("text/html; charset=utf-8")));
    }
    let (answer, _) = request(&sandbox, "GET", ROUTE, None, None).await?;
    assert_eq!(answer.status, 405);
    Ok(())
}
