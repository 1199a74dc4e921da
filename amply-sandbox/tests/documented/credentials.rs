//! `/credentials`: whose they are, and that no secret is seen again.

use std::time::{Duration, UNIX_EPOCH};

use amply_sandbox::{Release, Sandbox};
use serde_json::{Value, json};

use crate::call::request;
use crate::common::{Answer, Failure, send};

const CREDENTIALS: &str = "/api/v1/credentials";

/// Adds one; its id.
async fn added(sandbox: &Sandbox, key: &str, body: &Value) -> Result<String, Failure> {
    let (answer, body) = request(sandbox, "POST", CREDENTIALS, Some(key), Some(body)).await?;
    assert_eq!(answer.status, 201, "{}", answer.body);
    Ok(body.pointer("/credential/id").and_then(Value::as_str).ok_or("no id")?.to_owned())
}

async fn removed(sandbox: &Sandbox, key: Option<&str>, segment: &str) -> Result<(Answer, Value), Failure> {
    request(sandbox, "DELETE", &format!("{CREDENTIALS}/{segment}"), key, None).await
}

/// A second principal.
async fn another_key(sandbox: &Sandbox) -> Result<String, Failure> {
    let terms = json!({"accept_tos_version": "2026-11-01"});
    let (_, body) = request(sandbox, "POST", "/api/v1/signup/agent", None, Some(&terms)).await?;
    Ok(body.get("api_key").and_then(Value::as_str).ok_or("no key")?.to_owned())
}

#[tokio::test]
async fn a_credential_is_added_listed_and_removed_by_its_principal_alone() -> Result<(), Failure> {
    let sandbox = Sandbox::builder().agent_signup(true).clock_standing_at(UNIX_EPOCH).start().await?;
    let (key, other) = (sandbox.user_key(), another_key(&sandbox).await?);
    let main = json!({"provider_id": "qdrant", "label": "main", "secret": "s"});
    let (first, second) = (
        added(&sandbox, key, &main).await?,
        added(&sandbox, key, &json!({"provider_id": "chroma", "secret": "t"})).await?,
    );
    sandbox.control().advance(Duration::from_secs(1));
    let of_other = added(&sandbox, &other, &main).await?;

    let (answer, list) = request(&sandbox, "GET", CREDENTIALS, Some(key), None).await?;
    assert_eq!(list["request_id"].as_str(), answer.header("x-amply-request-id"));
    let at = "1970-01-01T00:00:00.000Z";
    assert_eq!(
        list["credentials"],
        json!([
            {"id": first, "provider_id": "qdrant", "label": "main", "created_at": at, "last_used_at": null},
            {"id": second, "provider_id": "chroma", "label": null, "created_at": at, "last_used_at": null},
        ])
    );
    // Neither seen nor removed by another, who is told no more than of one that there never was.
    let (_, list) = request(&sandbox, "GET", CREDENTIALS, Some(&other), None).await?;
    assert_eq!(
        (list["credentials"].as_array().map(Vec::len), &list["credentials"][0]["id"]),
        (Some(1), &json!(of_other))
    );
    let (answer, error) = removed(&sandbox, Some(&other), &first).await?;
    assert_eq!((answer.status, &error["error"]), (404, &json!("credential_not_found")));
    let (_, never) = removed(&sandbox, Some(&other), "cred_never").await?;
    assert_eq!(error["detail"], never["detail"]);

    let (answer, body) = removed(&sandbox, Some(key), &first).await?;
    assert_eq!(
        (answer.status, &body["ok"], &body["deleted"], &body["id"]),
        (200, &json!(true), &json!(true), &json!(first))
    );
    assert_eq!(removed(&sandbox, Some(key), &first).await?.0.status, 404);
    // Percent-encoded or not, it is the same segment.
    assert_eq!(removed(&sandbox, Some(key), &second.replace('_', "%5F")).await?.0.status, 200);
    assert_eq!(sandbox.control().credentials().len(), 1);
    Ok(())
}

#[tokio::test]
async fn whoever_has_no_principal_has_no_credentials() -> Result<(), Failure> {
    let sandbox = Sandbox::builder().start().await?;
    let new = json!({"provider_id": "qdrant", "secret": "s"});
    for (method, path, body) in [
        ("GET", CREDENTIALS.to_owned(), None),
        ("POST", CREDENTIALS.to_owned(), Some(&new)),
        ("DELETE", format!("{CREDENTIALS}/cred_x"), None),
    ] {
        for (key, status, code) in [
            (None, 401, None),
            (Some("unknown"), 401, None),
            (Some(sandbox.admin_secret()), 401, None),
            (Some(sandbox.server_key()), 403, Some("principal_required")),
        ] {
            let (answer, error) = request(&sandbox, method, &path, key, body).await?;
            assert_eq!((answer.status, error["error"].as_str()), (status, code), "{method} {key:?}");
        }
    }
    assert!(sandbox.control().credentials().is_empty());
    Ok(())
}

#[tokio::test]
async fn what_is_no_credential_is_told_by_its_field() -> Result<(), Failure> {
    let sandbox = Sandbox::builder().start().await?;
    let secret = |length: usize| json!({"provider_id": "qdrant", "secret": "é".repeat(length / 2) });
    let with = |name: &str, value: Value| {
        let mut body = json!({"provider_id": "qdrant", "label": "l", "secret": "s"});
        body[name] = value;
        body
    };
    for (body, wrong) in [
        (json!({}), "provider_id"),
        (json!([]), "Invalid JSON"),
        (with("provider_id", json!("nobody")), "provider_id"),
        (with("provider_id", json!(7)), "provider_id"),
        (with("label", json!("")), "label"),
        (with("label", json!("l".repeat(101))), "label"),
        (with("label", json!(["l"])), "label"),
        (with("secret", Value::Null), "secret"),
        (with("secret", json!("")), "secret"),
        (with("secret", json!(["s"])), "secret"),
        (secret(8194), "secret"),
    ] {
        let (answer, error) =
            request(&sandbox, "POST", CREDENTIALS, Some(sandbox.user_key()), Some(&body)).await?;
        let detail = error["detail"].as_str().unwrap_or_default();
        assert!(answer.status == 400 && detail.starts_with(wrong), "{wrong}: {detail}");
    }
    added(&sandbox, sandbox.user_key(), &secret(8192)).await?;
    added(&sandbox, sandbox.user_key(), &with("label", Value::Null)).await?;
    Ok(())
}

#[tokio::test]
async fn an_id_that_would_be_another_path_is_one_that_is_not_known() -> Result<(), Failure> {
    let sandbox = Sandbox::builder().start().await?;
    let id = added(&sandbox, sandbox.user_key(), &json!({"provider_id": "qdrant", "secret": "s"})).await?;
    for segment in [
        "a%2Fb",
        "..",
        "%2E%2E",
        "%2e%2e%2fstatus",
        "a%0Ab",
        "%00",
        "%ff",
        "%",
        "a b%20",
        &format!("{id}%0A"),
        &format!("%2F{id}"),
    ] {
        let segment = segment.replace(' ', "+");
        let (answer, error) = removed(&sandbox, Some(sandbox.user_key()), &segment).await?;
        assert_eq!((answer.status, &error["error"]), (404, &json!("credential_not_found")), "{segment}");
    }
    // A slash as it is leads elsewhere, where there is nothing.
    let key = format!("Bearer {}", sandbox.user_key());
    let answer =
        send(sandbox.url(), "DELETE", &format!("{CREDENTIALS}/a/{id}"), &[("Authorization", &key)], None)
            .await?;
    assert_eq!((answer.status, answer.header("content-type")), (404, Some("text/html; charset=utf-8")));
    assert_eq!(sandbox.control().credentials().len(), 1);
    Ok(())
}

#[tokio::test]
async fn no_secret_is_seen_again() -> Result<(), Failure> {
    const HUSH: &str = "hush-\u{e9}-7f3a";
    let sandbox = Sandbox::builder().start().await?;
    let key = format!("Bearer {}", sandbox.user_key());
    let bearer = [("Authorization", key.as_str())];
    let mut seen = String::new();
    let whole = json!({"provider_id": "qdrant", "label": "main", "secret": HUSH});
    let bodies = [
        whole.to_string(),
        json!({"provider_id": "nobody", "secret": HUSH}).to_string(),
        json!({"provider_id": "qdrant", "credential": {"secret": HUSH}}).to_string(),
        json!({"provider_id": "qdrant", "Secret": HUSH, "secret": [HUSH]}).to_string(),
        format!(r#"{{"secret": "a", "secret": "{HUSH}"}}"#),
        format!(r#"{{"provider_id": "qdrant", "secret": "{HUSH}""#),
        json!(HUSH).to_string(),
    ];
    for body in &bodies {
        for (method, path) in [
            ("POST", CREDENTIALS),
            ("POST", "/api/v1/credentials/"),
            ("POST", "/api/v1/%63redentials"),
            ("PUT", CREDENTIALS),
            ("DELETE", "/api/v1/credentials/x"),
        ] {
            seen += &send(sandbox.url(), method, path, &bearer, Some(body.as_bytes())).await?.body;
        }
    }
    for path in [CREDENTIALS, "/api/v1/status", "/api/v1/agent"] {
        seen += &send(sandbox.url(), "GET", path, &bearer, None).await?.body;
    }
    let execution =
        json!({"mode": "vault_ref", "credential_ref": sandbox.control().credentials()[0].id, "input": 1});
    let body = json!({"task": "x", "execution": execution}).to_string();
    seen += &send(sandbox.url(), "POST", "/api/v1/route/execute", &bearer, Some(body.as_bytes())).await?.body;
    for path in ["/__sandbox/calls", "/__sandbox/credentials"] {
        let admin = format!("Bearer {}", sandbox.admin_secret());
        let answer = send(sandbox.url(), "GET", path, &[("Authorization", &admin)], None).await?;
        assert_eq!(answer.status, 200, "{path}");
        seen += &answer.body;
    }
    let control = sandbox.control();
    seen += &format!(
        "{:?} {control:?} {:?} {:?} {sandbox:?}",
        control.calls(),
        control.outcomes(),
        control.credentials()
    );
    assert!(!seen.contains("7f3a"), "{seen}");
    assert!(seen.contains("succeeded"));

    // What is not secret is there to see, and the hash tells that what arrived is what was sent.
    let call = &control.calls()[0];
    assert_eq!(call.body, r#"{"label":"main","provider_id":"qdrant","secret":"(redacted)"}"#);
    let stored = &control.credentials()[0];
    assert_eq!(stored.secret_sha3_256, "6b9e1f102c20e470860fa6ba31097203500d6e39a9efd5081045eb0bcc723fdb");
    Ok(())
}

#[tokio::test]
async fn a_browser_may_remove_and_an_older_release_has_none_of_it() -> Result<(), Failure> {
    let sandbox = Sandbox::builder().start().await?;
    let answer = send(sandbox.url(), "OPTIONS", &format!("{CREDENTIALS}/x"), &[], None).await?;
    assert_eq!(answer.header("access-control-allow-methods"), Some("GET, POST, DELETE, OPTIONS"));
    let older = Sandbox::builder().release(Release::V3_1_12).start().await?;
    for (method, path) in [
        ("GET", CREDENTIALS),
        ("POST", CREDENTIALS),
        ("DELETE", "/api/v1/credentials/x"),
        ("POST", "/api/v1/report"),
        ("POST", "/api/v1/route/execute"),
    ] {
        let answer = send(older.url(), method, path, &[], None).await?;
        assert_eq!(
            (answer.status, answer.header("content-type")),
            (404, Some("text/html; charset=utf-8")),
            "{path}"
        );
    }
    Ok(())
}
