//! What `POST /route/execute` adds to a route: the order to run the task, and how that went. Nothing is run: no provider is
//! called and no target is connected to.

use axum::{
    body::Bytes,
    http::{StatusCode, Uri},
};
use indexmap::IndexMap;
use serde::Serialize;
use serde_json::value::RawValue;

use super::Failure;
use crate::{
    auth::Caller,
    catalog::Provider,
    endpoint::{credentials, fields::Fields, reply::Problem},
    js::JsNumber,
    json,
    state::State,
};

/// [our] the longest URL of a target, in bytes.
const URL_AT_MOST: usize = 2048;

const EXECUTION: &str = "execution is required (an object with mode)";
const MODE: &str = "execution.mode must be vault_ref or byo_runtime";
const ONE: &str =
    "execution must have either credential_ref (mode vault_ref) or target (mode byo_runtime), not both";
const REF: &str = "execution.credential_ref is required with mode vault_ref";
const URL: &str =
    "execution.target.url must be an http or https URL without credentials (at most 2048 bytes)";
const HEADERS: &str = "execution.target.headers must be an object of strings when provided";

/// What shall be run, and where.
pub(super) struct Order {
    with: With,
    /// JSON, for whatever runs it.
    input: Option<Box<RawValue>>,
}

enum With {
    /// A credential that the caller has stored.
    Credential(String),
    /// The caller's own runtime.
    Target(String),
}

impl Order {
    /// [our] every check: the documentation has the modes and no more.
    pub(super) fn read(body: &Bytes, state: &State, caller: &Caller) -> Result<Self, Failure> {
        let text = json::text_of_body(body);
        let order = Fields::of(&text).and_then(|fields| read(&fields));
        let order = order.map_err(|detail| Problem::new(StatusCode::BAD_REQUEST, detail))?;
        let is_own = |id: &str| {
            caller.principal().is_some_and(|principal| state.control.stored().is_of(principal, id))
        };
        match &order.with {
            With::Credential(id) if !is_own(id) => Err(credentials::not_found().into()),
            With::Credential(_) | With::Target(_) => Ok(order),
        }
    }
}

fn read(fields: &Fields<'_>) -> Result<Order, &'static str> {
    let execution = fields.object("execution").ok_or(EXECUTION)?;
    let both = (execution.get("credential_ref"), execution.get("target"));
    let with = match (execution.text("mode").as_deref(), both) {
        (Some("vault_ref" | "byo_runtime"), (Some(_), Some(_))) => return Err(ONE),
        (Some("vault_ref"), (_, Some(_))) | (Some("byo_runtime"), (Some(_), _)) => return Err(ONE),
        (Some("vault_ref"), _) => With::Credential(execution.text("credential_ref").ok_or(REF)?),
        (Some("byo_runtime"), _) => {
            let target = execution.object("target").ok_or(URL)?;
            let headers = target.get("headers").map(RawValue::get);
            if headers.is_some_and(|it| serde_json::from_str::<IndexMap<String, String>>(it).is_err()) {
                return Err(HEADERS);
            }
            With::Target(target.text("url").filter(|url| is_target(url)).ok_or(URL)?)
        }
        _ => return Err(MODE),
    };
    Ok(Order { with, input: execution.get("input").map(ToOwned::to_owned) })
}

fn is_target(url: &str) -> bool {
    let Some(uri) = Some(url).filter(|url| url.len() <= URL_AT_MOST).and_then(|url| url.parse::<Uri>().ok())
    else {
        return false;
    };
    let is_http = uri.scheme_str().is_some_and(|scheme| scheme == "http" || scheme == "https");
    is_http
        && uri
            .authority()
            .is_some_and(|authority| !authority.host().is_empty() && !authority.as_str().contains('@'))
}

/// How it went. [our] all names but `mode`.
#[derive(Serialize)]
pub(super) struct ExecutionBody<'a> {
    mode: &'static str,
    status: &'static str,
    provider_id: &'a str,
    execution_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    credential_ref: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    target_url: Option<&'a str>,
    latency_ms: JsNumber,
    /// The input again; null of an execution that failed.
    output: Option<&'a RawValue>,
    error_code: Option<&'a str>,
}

impl<'a> ExecutionBody<'a> {
    /// Executes, as far as a sandbox does. The figures are those of the provider, so that the same order ends in the same way.
    pub(super) fn of(order: &'a Order, provider: &'a Provider, state: &'a State) -> Self {
        let error_code = state.settings.execution_fails.as_deref();
        let (mode, credential_ref, target_url) = match &order.with {
            With::Credential(id) => ("vault_ref", Some(id.as_str()), None),
            With::Target(url) => ("byo_runtime", None, Some(url.as_str())),
        };
        if let Some(id) = credential_ref {
            state.control.stored().used(id, state.control.clock().now());
        }
        ExecutionBody {
            mode,
            status: if error_code.is_none() { "succeeded" } else { "failed" },
            provider_id: &provider.id,
            execution_id: state.ids.next(),
            credential_ref,
            target_url,
            latency_ms: JsNumber(provider.p99_latency_ms.trunc()),
            output: order.input.as_deref().filter(|_| error_code.is_none()),
            error_code,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_is_an_address_on_the_web_without_a_password() {
        for url in
            ["https://example.com", "http://127.0.0.1:9/run?x=1", "https://[::1]/", "HTTPS://EXAMPLE.COM/a@b"]
        {
            assert!(is_target(url), "{url}");
        }
        let long = format!("https://example.com/{}", "a".repeat(URL_AT_MOST));
        for url in [
            "",
            "/run",
            "example.com",
            "ftp://example.com",
            "https://",
            "https://a:b@example.com",
            "https://a@b/",
            "http://x y/",
            &long,
        ] {
            assert!(!is_target(url), "{url}");
        }
    }
}
