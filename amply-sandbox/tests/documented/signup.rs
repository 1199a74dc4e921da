//! Signup of agents: a key of one's own, and who gets none.

use std::time::{Duration, UNIX_EPOCH};

use amply_sandbox::Sandbox;
use serde_json::{Value, json};

use crate::call::{get, principal_headers, request, route};
use crate::common::{Failure, send};

const SIGNUP: &str = "/api/v1/signup/agent";

#[tokio::test]
async fn whoever_accepts_the_terms_gets_a_key_of_a_principal_of_their_own() -> Result<(), Failure> {
    let sandbox =
        Sandbox::builder().agent_signup(true).require_principal(true).daily_quota(1).start().await?;
    let (_, status) = get(&sandbox, "/api/v1/status").await?;
    let terms = json!({"accept_tos_version": status["diagnostics"]["agent_signup"]["tos_version"]});
    let mut keys = vec![sandbox.user_key().to_owned()];
    for _ in 0..2 {
        let (answer, body) = request(&sandbox, "POST", SIGNUP, None, Some(&terms)).await?;
        assert_eq!((answer.status, &body["ok"]), (201, &json!(true)));
        let key = body["api_key"].as_str().ok_or("no key")?;
        assert!(key.starts_with("amply_sk_") && key.len() == 41, "{key}");
        let route_url = format!("{}/route", sandbox.url());
        assert_eq!(body["quickstart"]["route_url"], route_url);
        keys.push(key.to_owned());
    }
    for key in &keys {
        // Each has a quota of its own.
        let (answer, _) = route(&sandbox, Some(key), &json!({"task": "x"})).await?;
        assert_eq!((answer.status, principal_headers(&answer)[1]), (200, "user_key"));
    }
    let different: std::collections::BTreeSet<String> = keys.into_iter().collect();
    assert_eq!(different.len(), 3);
    Ok(())
}

#[tokio::test]
async fn other_terms_and_a_wrong_token_get_no_key() -> Result<(), Failure> {
    let terms = json!({"accept_tos_version": "2026-11-01"});
    let closed = Sandbox::builder().start().await?;
    assert_eq!(request(&closed, "POST", SIGNUP, None, Some(&terms)).await?.0.status, 403);

    let open = Sandbox::builder().agent_signup(true).start().await?;
    for body in [json!({}), json!({"accept_tos_version": "2020-01-01"}), json!([]), Value::Null] {
        let (answer, error) = request(&open, "POST", SIGNUP, None, Some(&body)).await?;
        assert_eq!((answer.status, &error["detail"]), (400, &json!("accept_tos_version must be 2026-11-01")));
    }

    let guarded = Sandbox::builder().agent_signup(true).agent_signup_secret("hush").start().await?;
    for (token, status) in [("", 401), ("wrong", 401), ("hush", 201)] {
        let headers = [("X-Amply-Agent-Signup-Token", token)];
        let body = terms.to_string();
        let answer = send(guarded.url(), "POST", SIGNUP, &headers, Some(body.as_bytes())).await?;
        assert_eq!(answer.status, status, "{token}");
    }
    Ok(())
}

#[tokio::test]
async fn an_address_signs_up_so_many_times_an_hour() -> Result<(), Failure> {
    let sandbox = Sandbox::builder().agent_signup(true).clock_standing_at(UNIX_EPOCH).start().await?;
    let terms = json!({"accept_tos_version": "2026-11-01"});
    for _ in 0..5 {
        assert_eq!(request(&sandbox, "POST", SIGNUP, None, Some(&terms)).await?.0.status, 201);
    }
    let (answer, error) = request(&sandbox, "POST", SIGNUP, None, Some(&terms)).await?;
    assert_eq!((answer.status, answer.header("retry-after")), (429, Some("3600")));
    assert_eq!(error["error"], "rate_limited");
    sandbox.control().advance(Duration::from_secs(3600));
    assert_eq!(request(&sandbox, "POST", SIGNUP, None, Some(&terms)).await?.0.status, 201);
    Ok(())
}
