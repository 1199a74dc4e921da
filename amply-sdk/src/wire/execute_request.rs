//! What `POST /route/execute` takes: a task to route, and what executes it. A request with neither a stored credential nor a
//! target, or with both, cannot be made.

use std::fmt;

use bytes::Bytes;
use http::header::{HeaderName, HeaderValue};
use reqwest::Url;
use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};
use serde_json::Value;
use serde_json::value::RawValue;

use super::fields::check_depth;
use super::json::RawJson;
use super::route_request::RouteRequest;
use crate::credentials::check_id;
use crate::error::Error;
use crate::secret::Secret;
use crate::text::one_line;

/// More bytes than any URL of a target has.
const MAX_URL: usize = 8192;

/// A task to route and to execute in one call, by a stored credential or at a target of one's own.
///
/// ```
/// use amply_sdk::{ExecuteRequest, RouteRequest, Target};
/// use serde_json::json;
///
/// let stored = ExecuteRequest::with_credential("store 1M vectors", "cred_k3v9x2")
///     .input(json!({"collection": "docs"}));
/// let own = ExecuteRequest::at_target(
///     RouteRequest::new("store 1M vectors").dimension(768),
///     Target::new("https://worker.example/run")?.header("authorization", "Bearer …".replace('…', "token"))?,
/// );
/// stored.validate()?;
/// own.validate()?;
/// # Ok::<(), amply_sdk::Error>(())
/// ```
#[derive(Clone, Debug, Serialize)]
#[must_use]
pub struct ExecuteRequest {
    #[serde(flatten)]
    route: RouteRequest,
    execution: How,
}

// [our] the documentation names the two modes, and not the fields
#[derive(Clone, Debug, Serialize)]
struct How {
    #[serde(flatten)]
    with: With,
    #[serde(skip_serializing_if = "Option::is_none")]
    input: Option<RawJson>,
}

#[derive(Clone, Debug, Serialize)]
#[serde(tag = "mode", rename_all = "snake_case")]
enum With {
    VaultRef { credential_ref: String },
    ByoRuntime { target: Target },
}

impl ExecuteRequest {
    /// Executes with a credential that the server keeps (mode `vault_ref`), by its id. See
    /// [`Client::credentials`](crate::Client::credentials).
    pub fn with_credential(request: impl Into<RouteRequest>, credential_ref: impl Into<String>) -> Self {
        Self::new(request.into(), With::VaultRef { credential_ref: credential_ref.into() })
    }

    /// Executes at a target of one's own (mode `byo_runtime`).
    pub fn at_target(request: impl Into<RouteRequest>, target: Target) -> Self {
        Self::new(request.into(), With::ByoRuntime { target })
    }

    fn new(route: RouteRequest, with: With) -> Self {
        Self { route, execution: How { with, input: None } }
    }

    /// What is handed to whoever executes the task: any JSON.
    pub fn input(mut self, input: impl Into<Value>) -> Self {
        self.execution.input = Some(RawJson::written(Bytes::from(input.into().to_string())));
        self
    }

    /// The same as JSON text, which is sent as it is: a [`Value`] keeps neither the digits of a long number nor a name that comes
    /// twice.
    ///
    /// ```
    /// let request = amply_sdk::ExecuteRequest::with_credential("store 1M vectors", "cred_k3v9x2");
    /// let request = request.input_json("{\"id\": 12345678901234567890123}")?;
    /// # request.validate()?;
    /// # Ok::<(), amply_sdk::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Invalid`] when it is no JSON, or nested too deep; the text is not shown.
    pub fn input_json(mut self, text: &str) -> Result<Self, Error> {
        let refuse =
            |why: String| Error::invalid("input", format!("the input is not JSON that can be sent ({why})"));
        check_depth(text).map_err(&refuse)?;
        let input: &RawValue = serde_json::from_str(text).map_err(|why| refuse(why.to_string()))?;
        self.execution.input = Some(RawJson::written(Bytes::copy_from_slice(input.get().as_bytes())));
        Ok(self)
    }

    pub(crate) fn own_idempotency_key(&self) -> Option<&str> {
        self.route.own_idempotency_key()
    }

    /// What nobody but the server is to see.
    pub(crate) fn secrets(&self) -> Vec<Secret> {
        match &self.execution.with {
            With::VaultRef { .. } => Vec::new(),
            With::ByoRuntime { target } => target.secrets(),
        }
    }

    /// Checks the request. Every call does this before anything is sent.
    ///
    /// # Errors
    /// [`Error::Invalid`] with the first field that is wrong, those of the route first.
    pub fn validate(&self) -> Result<(), Error> {
        self.route.validate()?;
        match &self.execution.with {
            With::VaultRef { credential_ref } => check_id("credential_ref", credential_ref),
            With::ByoRuntime { .. } => Ok(()),
        }
    }
}

/// Where a task is executed: a URL of one's own, and what is sent to it besides. It is the server that calls it.
///
/// Values of headers are secrets: no `Debug` output, error or log shows them, and their memory is cleared.
#[derive(Clone)]
#[must_use]
pub struct Target {
    url: String,
    headers: Vec<(HeaderName, Secret)>,
}

impl Target {
    /// A target at this URL: https or http, without credentials in it.
    ///
    /// ```
    /// let error = amply_sdk::Target::new("https://user:pw@worker.example/run").unwrap_err();
    /// assert_eq!(
    ///     error.to_string(),
    ///     "the target URL has credentials in it (an `@` before the host); remove them and send them in a header"
    /// );
    /// ```
    ///
    /// # Errors
    /// [`Error::Invalid`] when it is no such URL.
    pub fn new(url: impl Into<String>) -> Result<Self, Error> {
        let url = url.into();
        check_url(&url)?;
        Ok(Self { url, headers: Vec::new() })
    }

    /// Adds a header that the server sends to the target; one of the same name is replaced.
    ///
    /// # Errors
    /// [`Error::Invalid`] when name or value cannot be those of a header; the value is not shown.
    pub fn header(mut self, name: &str, value: impl Into<String>) -> Result<Self, Error> {
        let value = Secret::new(value);
        let refuse = |why: String| {
            Error::invalid("target", format!("the target's header `{}` {why}", one_line(name, 80)))
        };
        let known = HeaderName::from_bytes(name.as_bytes())
            .map_err(|_| refuse("has a name that none may have; write letters, digits and `-`".to_owned()))?;
        if HeaderValue::from_str(value.as_str()).is_err() || !value.as_str().is_ascii() {
            return Err(refuse(
                "has a value that cannot be sent, perhaps with a line break; pass it alone, in visible ASCII"
                    .to_owned(),
            ));
        }
        self.headers.retain(|(other, _)| *other != known);
        self.headers.push((known, value));
        Ok(self)
    }

    /// The URL, as it was given.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Values of headers and of the URL's query, and what of them may be repeated alone.
    fn secrets(&self) -> Vec<Secret> {
        let mut secrets: Vec<Secret> = self.headers.iter().map(|(_, value)| value.clone()).collect();
        let mut add_part = |part: &str| {
            let part = Secret::new(part);
            if part.is_telling() && secrets.iter().all(|secret| secret.as_str() != part.as_str()) {
                secrets.push(part);
            }
        };
        for (_, value) in &self.headers {
            // What follows the scheme, as in `Bearer TOKEN`.
            add_part(value.as_str().split_ascii_whitespace().next_back().unwrap_or_default());
        }
        if let Ok(url) = Url::parse(&self.url) {
            for pair in url.query().unwrap_or_default().split('&') {
                add_part(pair.split_once('=').map_or(pair, |(_, value)| value));
            }
            for (_, value) in url.query_pairs() {
                add_part(&value);
            }
        }
        secrets
    }
}

fn check_url(text: &str) -> Result<(), Error> {
    let refuse = |why: &str| Err(Error::invalid("target", why.to_owned()));
    // A URL may have a token in its query, so that what follows the path is not repeated.
    let shown = one_line(text.split(['?', '#']).next().unwrap_or_default(), 100);
    let refuse_shown = |why: String| Err(Error::invalid("target", format!("the target URL `{shown}` {why}")));
    if text.is_empty() {
        return refuse("the target URL is empty; write it like https://worker.example/run");
    }
    if text.len() > MAX_URL {
        return refuse(&format!("the target URL is {} bytes long; at most {MAX_URL} are sent", text.len()));
    }
    let Ok(url) = Url::parse(text) else {
        // What is none may still have a password in it.
        return refuse("the target URL is none; write it like https://worker.example/run");
    };
    if !url.username().is_empty() || url.password().is_some() {
        return refuse(
            "the target URL has credentials in it (an `@` before the host); remove them and send them in a header",
        );
    }
    // The parser leaves them out without a word.
    if text.chars().any(|c| c.is_control() || c.is_whitespace()) {
        return refuse("the target URL holds a blank or a line break; percent-encode it");
    }
    if !matches!(url.scheme(), "https" | "http") {
        return refuse_shown(
            "is neither https nor http; write it like https://worker.example/run".to_owned(),
        );
    }
    match url.host_str() {
        Some(host) if !host.is_empty() => Ok(()),
        _ => refuse_shown("has no host; write it like https://worker.example/run".to_owned()),
    }
}

impl Serialize for Target {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        struct Headers<'a>(&'a [(HeaderName, Secret)]);

        impl Serialize for Headers<'_> {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_map(self.0.iter().map(|(name, value)| (name.as_str(), value)))
            }
        }

        let mut fields = serializer.serialize_map(None)?;
        fields.serialize_entry("url", &self.url)?;
        if !self.headers.is_empty() {
            fields.serialize_entry("headers", &Headers(&self.headers))?;
        }
        fields.end()
    }
}

impl fmt::Debug for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.headers.iter().map(|(name, _)| name.as_str()).collect();
        let url = self.url.split(['?', '#']).next().unwrap_or_default();
        f.debug_struct("Target").field("url", &url).field("headers", &names).finish()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_request_is_that_of_the_route_and_what_executes_it() {
        let request =
            ExecuteRequest::with_credential(RouteRequest::new("x").dimension(3), "cred_a").input(json!([1]));
        assert_eq!(
            serde_json::to_value(&request).unwrap(),
            json!({
                "task": "x",
                "dimension": 3,
                "execution": {"mode": "vault_ref", "credential_ref": "cred_a", "input": [1]}
            })
        );
        let target = Target::new("http://worker.example:8080/run?a=b").unwrap();
        let target = target.header("X-Token", "old").unwrap().header("x-token", "t").unwrap();
        assert_eq!(
            serde_json::to_value(ExecuteRequest::at_target("x", target)).unwrap(),
            json!({
                "task": "x",
                "execution": {
                    "mode": "byo_runtime",
                    "target": {"url": "http://worker.example:8080/run?a=b", "headers": {"x-token": "t"}}
                }
            })
        );
    }

    #[test]
    fn a_target_that_can_be_none_is_refused_and_no_password_is_shown() {
        for (url, says) in [
            ("", "is empty"),
            ("worker.example/run", "is none"),
            ("localhost:8080/run", "neither https nor http"),
            ("ftp://worker.example", "neither https nor http"),
            ("file:///etc/passwd", "neither https nor http"),
            ("https://", "is none"),
            ("https://user:hidden@worker.example", "credentials"),
            ("https://hidden@worker.example", "credentials"),
            ("https://worker.example/a\nb", "a blank or a line break"),
            (" https://worker.example", "a blank or a line break"),
            ("https://worker .example?hidden", "is none"),
            ("data:hidden", "neither https nor http"),
        ] {
            let error = Target::new(url).unwrap_err().to_string();
            assert!(error.contains(says), "{url}: {error}");
            assert!(url.starts_with("data:") || !error.contains("hidden"), "{error}");
        }
        assert!(Target::new("a".repeat(9000)).unwrap_err().to_string().contains("9000 bytes"));
        let target = || Target::new("https://worker.example").unwrap();
        for (name, value) in
            [("", "hidden"), ("a b", "hidden"), ("a", "hid\nden"), ("a", "hid\0den"), ("a", "hidé")]
        {
            let error = target().header(name, value).unwrap_err().to_string();
            assert!(error.starts_with("the target's header") && !error.contains("hid"), "{error}");
        }
    }

    #[test]
    fn debug_output_shows_no_secret() {
        let target = Target::new("https://worker.example/run?token=hidden").unwrap();
        let request = ExecuteRequest::at_target("x", target.header("authorization", "hidden").unwrap());
        let shown = format!("{request:?}");
        assert!(shown.contains("https://worker.example/run\"") && shown.contains("authorization"), "{shown}");
        assert!(!shown.contains("hidden"), "{shown}");
    }

    #[test]
    fn an_input_as_text_is_sent_to_the_byte() {
        let text = r#"{"n": 12345678901234567890123, "x":1.10,"a":1,"a":2,"t":"\u00e9"}"#;
        let request =
            ExecuteRequest::with_credential("x", "cred_a").input_json(&format!("\n{text} ")).unwrap();
        let body = serde_json::to_string(&request).unwrap();
        assert!(body.ends_with(&format!(r#""credential_ref":"cred_a","input":{text}}}}}"#)), "{body}");
        for (text, says) in
            [("", "EOF"), ("hidden", "expected value"), ("[1] 2", "trailing"), ("{'a':1}", "key")]
        {
            let error =
                ExecuteRequest::with_credential("x", "cred_a").input_json(text).unwrap_err().to_string();
            assert!(error.contains(says) && !error.contains("hidden"), "{error}");
        }
        let deep = "[".repeat(10_000) + &"]".repeat(10_000);
        let error = ExecuteRequest::with_credential("x", "cred_a").input_json(&deep).unwrap_err().to_string();
        assert!(error.contains("nested deeper"), "{error}");
    }

    #[test]
    fn what_may_be_repeated_of_a_target_is_secret_by_itself() {
        let target = Target::new("https://worker.example/run?token=q-s3cret%2F1&v=1&alone-1&empty=").unwrap();
        let target = target.header("authorization", "Bearer s3cret-1").unwrap();
        let target = target.header("x-short", "Key abc").unwrap().header("x-alone", "s3cret-2").unwrap();
        let secrets = ExecuteRequest::at_target("x", target).secrets();
        let secrets: Vec<_> = secrets.iter().map(Secret::as_str).collect();
        assert_eq!(
            secrets,
            ["Bearer s3cret-1", "Key abc", "s3cret-2", "s3cret-1", "q-s3cret%2F1", "alone-1", "q-s3cret/1"]
        );
    }

    #[test]
    fn the_route_is_checked_before_what_executes_it() {
        let says = |request: ExecuteRequest| request.validate().unwrap_err().to_string();
        assert!(says(ExecuteRequest::with_credential("", "")).contains("the task is empty"));
        for id in ["", ".", "..", "a/b", "a\nb", "a b", "../x", "a\\b", &"a".repeat(300)] {
            let error = says(ExecuteRequest::with_credential("x", id));
            assert!(error.starts_with("credential_ref"), "{error}");
        }
    }
}
