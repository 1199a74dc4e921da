//! Calls as the tests of this folder make them: with or without a key, JSON in and JSON out.

use amply_sandbox::Sandbox;
use serde_json::Value;

use crate::common::{Answer, Failure, send};

pub(crate) const ROUTE: &str = "/api/v1/route";

/// `POST /route`; the answer, and its body as JSON.
pub(crate) async fn route(
    sandbox: &Sandbox,
    key: Option<&str>,
    body: &Value,
) -> Result<(Answer, Value), Failure> {
    request(sandbox, "POST", ROUTE, key, Some(body)).await
}

/// `GET` without a key.
pub(crate) async fn get(sandbox: &Sandbox, path: &str) -> Result<(Answer, Value), Failure> {
    request(sandbox, "GET", path, None, None).await
}

/// Any request whose answer is JSON, or empty, which is null here.
pub(crate) async fn request(
    sandbox: &Sandbox,
    method: &str,
    path: &str,
    key: Option<&str>,
    body: Option<&Value>,
) -> Result<(Answer, Value), Failure> {
    let bearer = key.map(|key| format!("Bearer {key}"));
    let headers: Vec<(&str, &str)> = bearer.iter().map(|bearer| ("Authorization", bearer.as_str())).collect();
    let body = body.map(Value::to_string);
    let answer = send(sandbox.url(), method, path, &headers, body.as_deref().map(str::as_bytes)).await?;
    let json = match answer.body.as_str() {
        "" => Value::Null,
        text => serde_json::from_str(text).map_err(|error| format!("{error}: {text}"))?,
    };
    Ok((answer, json))
}

/// Values of the headers `x-amply-…` that tell of the principal; "-" where there is none.
pub(crate) fn principal_headers(answer: &Answer) -> [&str; 4] {
    ["principal-bound", "auth-source", "metering", "economics"]
        .map(|name| answer.header(&format!("x-amply-{name}")).unwrap_or("-"))
}
