//! The API key: a secret, and what its form says about it.

use std::fmt;

use bytes::Bytes;
use http::header::HeaderValue;
use serde::Serialize;
use zeroize::Zeroizing;

use crate::error::Error;
use crate::secret::PLACE;

/// What the form of a key says about whom it stands for (API documentation, authentication).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum KeyKind {
    /// `amply_sk_` and 32 URL-safe base64 characters: bound to a person's account, its wallet and its history.
    User,
    /// Any other secret: an operator's key, which authenticates but binds no principal.
    Server,
}

/// An API key. It is shown in no log, error or `Debug` output, and its memory is cleared when it is dropped.
#[derive(Clone)]
pub(crate) struct ApiKey {
    /// `Bearer …`, ready to send; every clone shares the one buffer, which clears itself.
    header: HeaderValue,
    kind: KeyKind,
    hash: String,
}

impl ApiKey {
    /// Takes a key as it was issued.
    ///
    /// # Errors
    /// [`Error::Config`] when the key is empty or holds anything but visible ASCII characters, for example a
    /// line break that came along from a file. The key itself is not repeated in the error.
    pub(crate) fn new(key: impl Into<String>) -> Result<Self, Error> {
        let key = Zeroizing::new(key.into());
        if key.is_empty() {
            return Err(Error::config("the API key is empty; leave it out to call without a key"));
        }
        let kind = kind_of(&key);
        let hash = sha256(&key);
        Ok(Self { header: bearer(key, "the API key")?, kind, hash })
    }

    /// The SHA-256 of the key, in hexadecimal digits: names its wallet without telling the key.
    pub(crate) fn hash(&self) -> &str {
        &self.hash
    }

    /// What the form of the key says about it.
    pub(crate) fn kind(&self) -> KeyKind {
        self.kind
    }

    pub(crate) fn authorization(&self) -> HeaderValue {
        self.header.clone()
    }
}

impl fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ApiKey({:?}, redacted)", self.kind)
    }
}

/// A key that a signup has made. It is shown by [`expose`](Self::expose) and nowhere else: not by `Debug`, not by `Display`.
/// Its memory is cleared when it is dropped.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let sandbox = amply_sandbox::Sandbox::builder().agent_signup(true).start().await?;
/// # let client = amply_sdk::Client::builder().base_url(sandbox.url()).build()?;
/// # let account = client.signup(amply_sdk::Signup::accepting("2026-11-01")).await?;
/// assert_eq!(account.api_key.to_string(), "[redacted]");
/// let client = amply_sdk::Client::builder().base_url(sandbox.url()).api_key(account.api_key.expose()).build()?;
/// # Ok(()) }
/// ```
pub struct NewKey(Zeroizing<String>);

impl NewKey {
    /// The key, if it is one that can be sent.
    pub(crate) fn new(key: Zeroizing<String>) -> Option<Self> {
        (!key.is_empty() && key.bytes().all(|byte| byte.is_ascii_graphic())).then_some(Self(key))
    }

    /// The key. Keep it where secrets are kept: nobody shows it again.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// What the form of the key says about it.
    pub fn kind(&self) -> KeyKind {
        kind_of(&self.0)
    }
}

impl fmt::Debug for NewKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NewKey({:?}, redacted)", self.kind())
    }
}

impl fmt::Display for NewKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

/// What a key of a user begins with.
const USER_KEY: &str = "amply_sk_";

/// A text without whatever looks like the key of a user.
pub(crate) fn without_keys(text: &str) -> String {
    let mut parts = text.split(USER_KEY);
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |before, rest| {
        let rest = rest.trim_start_matches(|c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_'));
        format!("{before}{PLACE}{rest}")
    })
}

/// A secret as the value of `Authorization`, in memory that clears itself. `what` names it in the error, which does not show
/// it.
pub(crate) fn bearer(secret: Zeroizing<String>, what: &str) -> Result<HeaderValue, Error> {
    secret_header("Bearer ", &secret, what).map_err(Error::Config)
}

/// A secret as the value of a header, after a prefix; or why it cannot be one.
pub(crate) fn secret_header(prefix: &str, secret: &str, what: &str) -> Result<HeaderValue, String> {
    if secret.is_empty() {
        return Err(format!("{what} is empty; leave it out"));
    }
    if let Some(at) = secret.bytes().position(|byte| !byte.is_ascii_graphic()) {
        return Err(format!(
            "{what} holds a character that none has (at position {}, perhaps a blank or a line break); pass it alone",
            at + 1
        ));
    }
    let value = Zeroizing::new(format!("{prefix}{secret}").into_bytes());
    let mut header = HeaderValue::from_maybe_shared(Bytes::from_owner(value))
        .map_err(|_| format!("{what} cannot be sent in a header; pass it alone"))?;
    header.set_sensitive(true);
    Ok(header)
}

/// The SHA-256 of a text, in hexadecimal digits.
pub(crate) fn sha256(of: impl AsRef<[u8]>) -> String {
    digest(of).as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

pub(crate) fn digest(of: impl AsRef<[u8]>) -> ring::digest::Digest {
    ring::digest::digest(&ring::digest::SHA256, of.as_ref())
}

fn kind_of(key: &str) -> KeyKind {
    match key.strip_prefix(USER_KEY) {
        Some(rest)
            if rest.len() == 32
                && rest.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_')) =>
        {
            KeyKind::User
        }
        _ => KeyKind::Server,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_form_of_a_key_tells_whom_it_binds() {
        for (key, kind) in [
            ("amply_sk_Ab3_-xYzAb3_-xYzAb3_-xYzAb3_-xYz", KeyKind::User),
            ("amply_sk_tooshort", KeyKind::Server),
            ("amply_sk_Ab3_-xYzAb3_-xYzAb3_-xYzAb3_+xYz", KeyKind::Server),
            ("srv_test_key_1", KeyKind::Server),
        ] {
            assert_eq!(ApiKey::new(key).unwrap().kind(), kind, "{key}");
        }
    }

    #[test]
    fn a_key_with_a_line_break_is_refused_without_being_shown() {
        for key in ["hidden\n", "hid den", "hidden\0", "hiddén"] {
            let error = ApiKey::new(key).unwrap_err().to_string();
            assert!(error.contains("pass it alone") && !error.contains("hid"), "{error}");
        }
    }

    #[test]
    fn keys_are_taken_out_of_a_text() {
        let key = "amply_sk_Ab3_-xYzAb3_-xYzAb3_-xYzAb3_-xYz";
        for (text, shown) in [
            (format!("made {key}."), "made [secret]."),
            (format!("{key}, {key}"), "[secret], [secret]"),
            ("amply_sk_".to_owned(), "[secret]"),
            ("nothing".to_owned(), "nothing"),
        ] {
            assert_eq!(without_keys(&text), shown, "{text}");
        }
    }

    #[test]
    fn debug_output_does_not_show_the_key() {
        let new = NewKey::new(Zeroizing::new("hidden-secret".to_owned())).unwrap();
        assert_eq!(format!("{new} {new:?}"), "[redacted] NewKey(Server, redacted)");
        let key = ApiKey::new("hidden-secret").unwrap();
        assert!(!format!("{key:?} {:?}", key.authorization()).contains("hidden"));
    }
}
