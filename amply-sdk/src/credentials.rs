//! The credentials that the server keeps for executions: list, add, remove. A secret goes there and never comes back.

use std::fmt;

use reqwest::Url;

use crate::answer::Answer;
use crate::client::Client;
use crate::endpoint::Endpoint;
use crate::error::Error;
use crate::secret::{Concealed, Secret, encode_secretly};
use crate::text::one_line;
use crate::wire::{AddedCredential, CredentialBody, CredentialList, RemovalReceipt};

/// More bytes than any id has.
const MAX_ID: usize = 200;
/// As many bytes as a secret may have. // [our]
const MAX_SECRET: usize = 8192;
/// As many characters as a label may have. // [our]
const MAX_LABEL: usize = 100;

/// The credentials of this key's principal that the server keeps. From [`Client::credentials`].
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let sandbox = amply_sandbox::Sandbox::builder().start().await?;
/// # let client = amply_sdk::Client::builder().base_url(sandbox.url()).api_key(sandbox.user_key()).build()?;
/// use amply_sdk::NewCredential;
///
/// let credentials = client.credentials();
/// let added = credentials.add(NewCredential::new("qdrant", "s3cret").label("staging")).await?;
/// let id = added.id().unwrap_or_default();
/// assert_eq!(credentials.list().await?.credentials.len(), 1);
/// credentials.remove(id).await?;
/// assert!(credentials.list().await?.credentials.is_empty());
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct Credentials(Client);

impl Credentials {
    pub(crate) fn new(client: Client) -> Self {
        Self(client)
    }

    /// All credentials of this principal, without their secrets (`GET /credentials`).
    ///
    /// It only reads: it may be sent again after any failure.
    ///
    /// # Errors
    /// [`Error::Forbidden`] for a key that is bound to no principal; else by the table of [`Error`].
    pub async fn list(&self) -> Result<Answer<CredentialList>, Error> {
        self.0.get(&Endpoint::CREDENTIAL_LIST).await
    }

    /// Has the server keep a secret, and gives the id to refer to it by (`POST /credentials`).
    ///
    /// It is never sent again once the server can have seen it: after such a failure, list the credentials before you add it
    /// once more. No error and no log shows the secret, also where the server repeats it.
    ///
    /// # Errors
    /// [`Error::Invalid`] before anything is sent; [`Error::Rejected`] when the server does not know the provider; else by the
    /// table of [`Error`].
    pub async fn add(&self, credential: NewCredential) -> Result<Answer<AddedCredential>, Error> {
        credential.validate()?;
        let NewCredential { provider_id, label, secret } = credential;
        let body =
            CredentialBody { provider_id: &provider_id, label: label.as_deref(), secret: secret.as_str() };
        let body = encode_secretly(&body)?;
        self.0.ask_secretly(&Endpoint::CREDENTIAL_ADD, body, Concealed::everywhere(secret)).await
    }

    /// Has the server forget a credential (`DELETE /credentials/{id}`).
    ///
    /// It may be sent again after any failure. Where an attempt may have done it and the next one finds nothing, it is gone, and
    /// whether this call removed it is not known: [`RemovedCredential::receipt`] is `None`.
    ///
    /// # Errors
    /// [`Error::Invalid`] for what can be no id, before anything is sent; [`Error::NotFound`] when there is none of this id, or
    /// it is another's; else by the table of [`Error`].
    pub async fn remove(&self, id: &str) -> Result<RemovedCredential, Error> {
        let segment = segment("id", id)?;
        let receipt = self.0.remove_at(&Endpoint::CREDENTIAL_REMOVE, &segment).await?;
        Ok(RemovedCredential { id: id.to_owned(), receipt })
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Credentials").field(&self.0).finish()
    }
}

/// A credential that is to be stored. Its secret is shown nowhere, and its memory is cleared.
#[derive(Clone, Debug)]
#[must_use]
pub struct NewCredential {
    provider_id: String,
    label: Option<String>,
    secret: Secret,
}

impl NewCredential {
    /// A secret for a provider of the catalog, by the id that routes name it by. 1 to 8192 bytes.
    pub fn new(provider_id: impl Into<String>, secret: impl Into<String>) -> Self {
        Self { provider_id: provider_id.into(), label: None, secret: Secret::new(secret) }
    }

    /// A name to tell it from others by, on one line.
    pub fn label(mut self, label: impl Into<String>) -> Self {
        self.label = Some(label.into());
        self
    }

    /// Checks it. [`Credentials::add`] does this before anything is sent.
    ///
    /// # Errors
    /// [`Error::Invalid`] with the first field that is wrong; the secret is not shown.
    pub fn validate(&self) -> Result<(), Error> {
        let provider = &self.provider_id;
        if provider.is_empty() || provider.len() > MAX_ID || !provider.chars().all(is_plain) {
            let shown = one_line(provider, 80);
            return Err(Error::invalid(
                "provider_id",
                format!("provider_id is `{shown}`; it must be the id of a provider, such as `qdrant`"),
            ));
        }
        if let Some(label) = &self.label {
            let length = label.chars().count();
            if label.trim().is_empty() || length > MAX_LABEL || label.chars().any(char::is_control) {
                return Err(Error::invalid(
                    "label",
                    format!(
                        "label is `{}`; it must be 1 to {MAX_LABEL} characters on one line, or left out",
                        one_line(label, 80)
                    ),
                ));
            }
        }
        match self.secret.as_str().len() {
            0 => Err(Error::invalid("secret", "the secret is empty; pass what the provider issued")),
            1..=MAX_SECRET => Ok(()),
            length => Err(Error::invalid(
                "secret",
                format!("the secret is {length} bytes long; at most {MAX_SECRET} are stored"),
            )),
        }
    }
}

/// What became of a credential that was to be removed.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct RemovedCredential {
    /// Which one.
    pub id: String,
    /// The server's answer; `None` where the last attempt of the call found nothing, and one before it may have removed it. Then
    /// there is no such credential; whether this call removed it, or there never was one of this id, is not known.
    pub receipt: Option<Answer<RemovalReceipt>>,
}

/// An id as a segment of a path, encoded so that it cannot lead elsewhere.
fn segment(field: &'static str, id: &str) -> Result<String, Error> {
    check_id(field, id)?;
    let unsent = || Error::invalid(field, format!("{field} cannot be sent"));
    let mut url = Url::parse("http://localhost/").map_err(|_| unsent())?;
    url.path_segments_mut().map_err(|()| unsent())?.push(id);
    Ok(url.path().to_owned())
}

/// Refuses what can be no id of a credential.
pub(crate) fn check_id(field: &'static str, id: &str) -> Result<(), Error> {
    let is_a_way = matches!(id, "." | "..") || id.contains(['/', '\\']);
    if !id.is_empty() && id.len() <= MAX_ID && !is_a_way && id.chars().all(is_plain) {
        return Ok(());
    }
    Err(Error::invalid(
        field,
        format!(
            "{field} is `{}`, which can be no credential's; it must be 1 to {MAX_ID} bytes without slashes, blanks and line \
             breaks, as the list of credentials has it",
            one_line(id, 80)
        ),
    ))
}

fn is_plain(c: char) -> bool {
    !c.is_control() && !c.is_whitespace()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_stays_one_segment_of_the_path() {
        for (id, path) in [
            ("cred_k3v9", "/cred_k3v9"),
            ("a?b#c", "/a%3Fb%23c"),
            ("%2e%2e", "/%252e%252e"),
            ("..%2f", "/..%252f"),
            ("...", "/..."),
            ("é;=&+", "/%C3%A9;=&+"),
        ] {
            assert_eq!(segment("id", id).unwrap(), path);
        }
        for id in [
            "",
            ".",
            "..",
            "/",
            "a/b",
            "../providers",
            "a\\b",
            "a\nb",
            "a\rb",
            "a b",
            "a\0",
            "\u{2028}",
            "a\u{a0}",
        ] {
            let error = segment("id", id).unwrap_err().to_string();
            assert!(error.starts_with("id is `") && error.contains("without slashes"), "{error}");
            assert!(!error.contains('\n'), "{error}");
        }
        assert!(segment("id", &"a".repeat(201)).is_err());
    }

    #[test]
    fn what_cannot_be_stored_is_refused_and_the_secret_is_not_shown() {
        let says = |credential: NewCredential| credential.validate().unwrap_err().to_string();
        assert!(says(NewCredential::new("", "hidden")).starts_with("provider_id is ``"));
        assert!(says(NewCredential::new("a b", "hidden")).starts_with("provider_id is `a b`"));
        assert!(says(NewCredential::new("qdrant", "")).starts_with("the secret is empty"));
        assert!(says(NewCredential::new("qdrant", "x".repeat(8193))).starts_with("the secret is 8193 bytes"));
        for label in ["", " ", "two\nlines", &"x".repeat(101)] {
            let error = says(NewCredential::new("qdrant", "hidden").label(label));
            assert!(error.starts_with("label is `") && !error.contains("hidden"), "{error}");
        }
        let whole = NewCredential::new("qdrant", "-----BEGIN KEY-----\nhidden\n").label("staging 数");
        assert!(whole.validate().is_ok());
        assert!(!format!("{whole:?}").contains("hidden"));
    }
}
