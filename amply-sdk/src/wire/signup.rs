//! What `POST /signup/agent` is sent, and what it answers: the one answer with a secret in it.

use std::fmt;

use bytes::Bytes;
use serde::Serialize;
use zeroize::Zeroizing;

use super::fields::{Fields, FromFields, check_depth, text_of};
use super::json::Extra;
use super::shape::Shape;
use crate::key::{NewKey, without_secrets};
use crate::meta::Meta;

/// A signup for a key of one's own: which terms are accepted, and the token where the server asks for one.
///
/// ```
/// let signup = amply_sdk::Signup::accepting("2026-11-01").token("given out by whoever runs the server");
/// assert_eq!(format!("{signup:?}"), r#"Signup { tos_version: "2026-11-01", has_token: true }"#);
/// ```
#[must_use]
pub struct Signup {
    pub(crate) tos_version: String,
    pub(crate) token: Option<Zeroizing<String>>,
}

impl Signup {
    /// Accepts the terms of this version, which must be the one that [`Client::signup_terms`](crate::Client::signup_terms) shows.
    /// Read them first.
    pub fn accepting(tos_version: impl Into<String>) -> Self {
        Self { tos_version: tos_version.into(), token: None }
    }

    /// The token (`X-Amply-Agent-Signup-Token`), a secret that some servers ask for. It is sent with the signup alone, and not
    /// to a server that says it needs none.
    pub fn token(mut self, secret: impl Into<String>) -> Self {
        self.token = Some(Zeroizing::new(secret.into()));
        self
    }
}

impl fmt::Debug for Signup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Signup")
            .field("tos_version", &self.tos_version)
            .field("has_token", &self.token.is_some())
            .finish()
    }
}

/// The body of the request.
#[derive(Serialize)]
pub(crate) struct SignupBody<'a> {
    pub(crate) accept_tos_version: &'a str,
}

/// A new account: the key, which is shown once, and what else the server says.
///
/// The key is in `api_key` and in [`expose_text`](Self::expose_text) alone, and cleared from both when this is dropped. It is in
/// no log and no `Debug` output; [`text`](Self::text) and `extra` are without it.
#[non_exhaustive]
pub struct NewAccount {
    /// The key. Keep it where secrets are kept: the server does not show it again.
    pub api_key: NewKey,
    /// Whom it is bound to.
    pub principal_id: Option<String>,
    /// The version of the terms that was accepted.
    pub tos_version: Option<String>,
    /// Where to go on.
    pub quickstart: Option<Quickstart>,
    /// Fields that have no name here.
    pub extra: Extra,
    whole: Zeroizing<String>,
    text: String,
    meta: Meta,
}

impl NewAccount {
    /// Status, headers, attempts and time of the call.
    pub fn meta(&self) -> &Meta {
        &self.meta
    }

    /// The server's JSON without the key.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The server's JSON as it came, with the key.
    pub fn expose_text(&self) -> &str {
        &self.whole
    }

    /// The fields that are read below: the key is taken with more care than other fields.
    pub(crate) fn shape() -> Shape {
        let names = ["api_key", "principal_id", "tos_version", "quickstart", "request_id"];
        Shape::object(&names).with("quickstart", Shape::of::<Quickstart>().0)
    }

    /// Reads an answer; the error says what is wrong and repeats nothing of it.
    pub(crate) fn read(body: &Bytes, mut meta: Meta) -> Result<Self, (String, Meta)> {
        let read = || -> Result<_, String> {
            let whole = text_of(body).map_err(|_| "it is not UTF-8".to_owned())?;
            check_depth(whole)?;
            // serde's own words may hold a part of the text.
            let mut fields = Fields::parse(body, whole).map_err(|_| "it is not a JSON object".to_owned())?;
            let key = fields.take("api_key").map(Zeroizing::new).and_then(NewKey::new);
            let key = key.ok_or("it has no `api_key` that could be used")?;
            // A hint for the shell may repeat it.
            let rest = serde_json::to_string(&fields.rest()).map(Zeroizing::new);
            let rest = rest.map_err(|_| "a part of it cannot be kept".to_owned())?;
            Ok((key, Zeroizing::new(whole.to_owned()), rest))
        };
        let (api_key, whole, rest) = match read() {
            Ok(read) => read,
            Err(why) => return Err((why, meta)),
        };
        let text = without_secrets(&rest, Some(api_key.expose()));
        // From a copy without the key: what is kept of a body keeps all of it.
        let kept = Bytes::copy_from_slice(text.as_bytes());
        let Ok(mut fields) = Fields::parse(&kept, &text) else {
            return Err(("it is not JSON without its key".to_owned(), meta));
        };
        if meta.request_id().is_none() {
            meta.body_request_id = fields.take("request_id");
        }
        Ok(Self {
            api_key,
            principal_id: fields.take("principal_id"),
            tos_version: fields.take("tos_version"),
            quickstart: fields.take("quickstart"),
            extra: fields.rest(),
            whole,
            text: text.clone(),
            meta,
        })
    }
}

/// Without the key, headers and text.
impl fmt::Debug for NewAccount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NewAccount")
            .field("api_key", &self.api_key)
            .field("principal_id", &self.principal_id)
            .field("tos_version", &self.tos_version)
            .field("quickstart", &self.quickstart)
            .field("extra", &self.extra)
            .finish_non_exhaustive()
    }
}

/// Where to go on after a signup. The addresses are the server's word; the client asks only below its own base URL.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Quickstart {
    /// The manifest.
    pub agent_url: Option<String>,
    /// The description of what is served.
    pub openapi_url: Option<String>,
    /// Where routes are asked for.
    pub route_url: Option<String>,
    /// Where outcomes are reported.
    pub outcome_url: Option<String>,
    /// Fields that have no name here.
    pub extra: Extra,
}

impl FromFields for Quickstart {
    fn from_fields(mut fields: Fields<'_>) -> Result<Self, String> {
        Ok(Self {
            agent_url: fields.take("agent_url"),
            openapi_url: fields.take("openapi_url"),
            route_url: fields.take("route_url"),
            outcome_url: fields.take("outcome_url"),
            extra: fields.rest(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(body: &'static str) -> Result<NewAccount, String> {
        NewAccount::read(&Bytes::from_static(body.as_bytes()), Meta::default()).map_err(|(why, _)| why)
    }

    #[test]
    fn the_key_is_where_it_is_asked_for_and_nowhere_else() {
        let body = concat!(
            r#"{"api_key":"amply_sk_new","principal_id":"p","request_id":"r","#,
            r#""quickstart":{"route_url":"u","shell":"export AMPLY_API_KEY=amply_sk_new"},"more":"k amply_sk_new"}"#
        );
        let account = read(body).unwrap();
        assert_eq!((account.api_key.expose(), account.expose_text()), ("amply_sk_new", body));
        assert_eq!(account.principal_id.as_deref(), Some("p"));
        assert_eq!(account.meta().request_id(), Some("r"));
        let shown = format!("{account:?} {} {:?}", account.text(), account.extra);
        assert!(!shown.contains("amply_sk_") && shown.contains("export AMPLY_API_KEY=[redacted]"), "{shown}");
    }

    #[test]
    fn an_answer_without_a_key_says_what_is_wrong_and_repeats_nothing() {
        for (body, says) in [
            (r#"{"key":"hidden"}"#, "no `api_key`"),
            (r#"{"api_key":""}"#, "no `api_key`"),
            (r#"{"api_key":"hid den"}"#, "no `api_key`"),
            (r#"{"api_key":{"hidden":1}}"#, "no `api_key`"),
            (r#""hidden""#, "not a JSON object"),
            ("hidden", "not a JSON object"),
            ("", "not a JSON object"),
        ] {
            let why = read(body).unwrap_err();
            assert!(why.contains(says) && !why.contains("hid"), "{body}: {why}");
        }
    }
}
