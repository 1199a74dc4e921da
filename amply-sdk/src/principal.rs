//! Whose wallet and history a call counted for, as far as the answer tells.
//!
//! This file decides and does no I/O. Three things are read: headers, body, and the form of the key. Where they
//! disagree the stricter reading wins: a call is bound only when something says so and nothing denies it.

use http::header::HeaderMap;
use serde::Serialize;

use crate::answer::Answer;
use crate::key::KeyKind;
use crate::wire::{Execution, Integration, RawJson, Route, read};

/// What to do when a route is not bound to a principal.
///
/// | the answer says | `Ignore` | `Warn` | `Require` |
/// | --- | --- | --- | --- |
/// | bound | answer | answer | answer |
/// | not bound | answer | answer, one warning per client | [`PrincipalNotBound`](crate::Error::PrincipalNotBound) |
/// | headers and body disagree | answer | answer, one warning per client | `PrincipalNotBound` |
/// | nothing | answer | answer | `PrincipalNotBound` |
///
/// A call without a key, or with an operator's key, is known to bind none: under `Require` it is refused before it is
/// sent, and a call without a key is never warned about.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum PrincipalPolicy {
    /// Do not look.
    Ignore,
    /// Warn once per client, through `tracing`.
    #[default]
    Warn,
    /// Accept an answer only when it says that it is bound.
    ///
    /// A server of release 3.1.12 says nothing about principals: every route there ends in
    /// [`PrincipalNotBound`](crate::Error::PrincipalNotBound), after it was made.
    Require,
}

/// Whether a call counted for a principal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Binding {
    /// Something says so, and nothing denies it.
    Bound,
    /// Something denies it.
    NotBound,
    /// Nothing tells: the server is older than release 3.1.13, or the key is the only sign.
    Unknown,
}

/// Whether a route counted for a principal, and what says so.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PrincipalBinding {
    /// The conclusion, by the strictest sign.
    pub binding: Binding,
    /// `X-Amply-Principal-Bound`: `1` or `0`.
    pub header: Option<bool>,
    /// `integration.principal_attached` of the body.
    pub body: Option<bool>,
    /// `X-Amply-Economics`, else `integration.economics_mode`: `settlement_eligible`, or another word.
    pub economics: Option<String>,
    /// `X-Amply-Auth-Source`: `user_key`, `server_key`, or another word.
    pub auth_source: Option<String>,
    /// What the form of the key says; `None` for a call without a key.
    pub key_kind: Option<KeyKind>,
    /// Whether one sign says bound and another denies it.
    pub is_contradictory: bool,
}

impl PrincipalBinding {
    pub(crate) fn read(
        headers: &HeaderMap,
        integration: Option<&RawJson>,
        key_kind: Option<KeyKind>,
    ) -> Self {
        let word = |name: &str| {
            let word = headers.get(name)?.to_str().ok()?.trim();
            (!word.is_empty()).then(|| word.to_owned())
        };
        let integration = integration.and_then(read::<Integration>).unwrap_or_default();
        let economics_in_body = integration.economics_mode;
        let economics_in_head = word("x-amply-economics");
        // A header that comes twice is one of two opinions: the stricter counts.
        let bound = headers.get_all("x-amply-principal-bound").iter();
        let header = bound.filter_map(|value| flag(value.to_str().ok()?.trim())).reduce(|a, b| a && b);
        let body = integration.principal_attached;
        let auth_source = word("x-amply-auth-source");
        let signs = [
            header,
            body,
            economics_in_head.as_deref().and_then(settles),
            economics_in_body.as_deref().and_then(settles),
            // These two can only deny: a key of the right form may have been revoked, or belong to nobody.
            (auth_source.as_deref() == Some("server_key")).then_some(false),
            (key_kind != Some(KeyKind::User)).then_some(false),
        ];
        let (affirmed, denied) = (signs.contains(&Some(true)), signs.contains(&Some(false)));
        Self {
            binding: match (affirmed, denied) {
                (_, true) => Binding::NotBound,
                (true, false) => Binding::Bound,
                (false, false) => Binding::Unknown,
            },
            header,
            body,
            economics: economics_in_head.or(economics_in_body),
            auth_source,
            key_kind,
            is_contradictory: affirmed && denied,
        }
    }

    /// The conclusion in words.
    pub(crate) fn words(&self) -> &'static str {
        match (self.binding, self.is_contradictory, self.key_kind) {
            (Binding::Bound, ..) => "the call is bound to a principal",
            (_, true, _) => "the answer contradicts itself on whether the call is bound to a principal",
            (Binding::Unknown, ..) => {
                "the server does not say whether the call is bound to a principal (releases before 3.1.13 never do)"
            }
            (Binding::NotBound, _, None) => "a call without a key is bound to no principal",
            (Binding::NotBound, _, Some(KeyKind::Server)) => "an operator's key is bound to no principal",
            (Binding::NotBound, ..) => "the call is not bound to a principal",
        }
    }
}

impl Answer<Route> {
    /// Whether this route counted for a principal: its wallet, its history, its credits.
    pub fn principal(&self) -> PrincipalBinding {
        PrincipalBinding::read(self.meta().headers(), self.integration.as_ref(), self.meta().key_kind())
    }
}

impl Answer<Execution> {
    /// Whether this execution's route counted for a principal: its wallet, its history, its credits.
    pub fn principal(&self) -> PrincipalBinding {
        let integration = self.route.integration.as_ref();
        PrincipalBinding::read(self.meta().headers(), integration, self.meta().key_kind())
    }
}

fn flag(word: &str) -> Option<bool> {
    match word {
        "1" | "true" => Some(true),
        "0" | "false" => Some(false),
        _ => None,
    }
}

/// What a word of economics says about a principal; a new word says nothing.
fn settles(word: &str) -> Option<bool> {
    match word {
        "settlement_eligible" => Some(true),
        "recommendation_only_no_principal" => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::raw;

    const USER: Option<KeyKind> = Some(KeyKind::User);

    fn read(headers: &[(&'static str, &str)], integration: &str, key: Option<KeyKind>) -> PrincipalBinding {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, value.parse().unwrap());
        }
        PrincipalBinding::read(&map, Some(&raw(integration)), key)
    }

    #[test]
    fn a_call_is_bound_when_something_says_so_and_nothing_denies_it() {
        const BOUND: &str = "x-amply-principal-bound";
        const ECONOMICS: &str = "x-amply-economics";
        const SOURCE: &str = "x-amply-auth-source";
        use Binding::{Bound, NotBound, Unknown};
        for (headers, body, key, binding, contradictory) in [
            (&[][..], "{}", USER, Unknown, false),
            (&[], "null", USER, Unknown, false),
            (&[(BOUND, "1")], "{}", USER, Bound, false),
            (&[(BOUND, "0")], "{}", USER, NotBound, false),
            (&[(BOUND, "maybe")], "{}", USER, Unknown, false),
            (&[(BOUND, "")], "[1]", USER, Unknown, false),
            (&[], r#"{"principal_attached":true}"#, USER, Bound, false),
            (&[], r#"{"principal_attached":false}"#, USER, NotBound, false),
            (&[], r#"{"principal_attached":"yes"}"#, USER, Unknown, false),
            (&[(BOUND, "1")], r#"{"principal_attached":false}"#, USER, NotBound, true),
            (&[(BOUND, "1")], r#"{"principal_attached":"false","x":1e400}"#, USER, NotBound, true),
            (&[(BOUND, "1"), (BOUND, "0")], "{}", USER, NotBound, false),
            (&[(BOUND, "0")], r#"{"principal_attached":true}"#, USER, NotBound, true),
            (&[(ECONOMICS, "settlement_eligible")], "{}", USER, Bound, false),
            (&[(ECONOMICS, "recommendation_only_no_principal")], "{}", USER, NotBound, false),
            (&[(ECONOMICS, "some_new_word")], "{}", USER, Unknown, false),
            (
                &[(BOUND, "1")],
                r#"{"economics_mode":"recommendation_only_no_principal"}"#,
                USER,
                NotBound,
                true,
            ),
            (&[(BOUND, "1"), (SOURCE, "server_key")], "{}", USER, NotBound, true),
            (&[(BOUND, "1"), (SOURCE, "user_key")], "{}", USER, Bound, false),
            (&[(SOURCE, "user_key")], "{}", USER, Unknown, false),
            (&[], "{}", Some(KeyKind::Server), NotBound, false),
            (&[(BOUND, "1")], "{}", Some(KeyKind::Server), NotBound, true),
            (&[], "{}", None, NotBound, false),
        ] {
            let read = read(headers, body, key);
            assert_eq!(
                (read.binding, read.is_contradictory),
                (binding, contradictory),
                "{headers:?} {body} {key:?}"
            );
        }
    }
}
