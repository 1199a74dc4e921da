//! Calls as the tests of this folder make them: with or without a key, JSON in and JSON out.

use std::sync::LazyLock;

use amply_sandbox::Sandbox;
use serde_json::Value;

use crate::common::{Answer, Failure, send};
use crate::contract::Contract;

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
    hold_against_contracts(method, path, &answer)?;
    Ok((answer, json))
}

/// Whatever a test asks for, the answer has to be one that a document declares. Not those that a test may have made up: of a
/// fault, and the 402s, which have tests of their own.
fn hold_against_contracts(method: &str, path: &str, answer: &Answer) -> Result<(), Failure> {
    static CONTRACTS: LazyLock<Result<[Contract; 2], String>> =
        LazyLock::new(|| contracts().map_err(|error| error.to_string()));
    if answer.status >= 500 || matches!(answer.status, 402 | 404 | 405) {
        return Ok(());
    }
    let contracts = CONTRACTS.as_ref().map_err(Clone::clone)?;
    // Which release answered is not told by an answer: it has to keep to one of them, all of it.
    let breaches = contracts.iter().map(|contract| match contract.operation(method, path) {
        Some(operation) => contract.breaches(operation, answer),
        None => Vec::new(),
    });
    match breaches.min_by_key(Vec::len) {
        Some(breaches) if !breaches.is_empty() => Err(breaches.join("\n").into()),
        _ => Ok(()),
    }
}

fn contracts() -> Result<[Contract; 2], Failure> {
    let newer = include_str!("../../src/endpoint/openapi/3.1.13.json");
    let older = include_str!("../../src/endpoint/openapi/3.1.12.json");
    Ok([Contract::of(serde_json::from_str(newer)?)?, Contract::of(serde_json::from_str(older)?)?])
}

/// Values of the headers `x-amply-…` that tell of the principal; "-" where there is none.
pub(crate) fn principal_headers(answer: &Answer) -> [&str; 4] {
    ["principal-bound", "auth-source", "metering", "economics"]
        .map(|name| answer.header(&format!("x-amply-{name}")).unwrap_or("-"))
}
