//! From nothing to a key: the manifest, the terms, and the signup.
//!
//! A signup is the one call whose answer holds a secret. It is sent without the client's own key, its answer is read here and
//! handed out as a [`NewAccount`], and no error of it shows what came.

use bytes::Bytes;
use tracing::Instrument;

use super::Client;
use crate::answer::Answer;
use crate::call::{decode, encode, span_of, typed};
use crate::endpoint::Endpoint;
use crate::error::{Error, Failure, forget};
use crate::exchange::{Exchange, Reply, Request};
use crate::key::{secret_header, without_keys};
use crate::meta::Meta;
use crate::secret::{Concealed, Secret};
use crate::text::one_line;
use crate::wire::{AgentManifest, AgentSignup, NewAccount, Signup, SignupBody, Status};

impl Client {
    /// How an agent gets from nothing to a route and its outcome (`GET /agent`): the steps in order, the rules, and what is
    /// switched on.
    ///
    /// A manifest that would lead elsewhere is refused, and so is one whose steps wait for one another: the error says which
    /// step and why, and has the whole answer ([`Error::body`]).
    ///
    /// It only reads: it may be sent again after any failure.
    ///
    /// # Errors
    /// [`Error::Protocol`] for a manifest without steps, with a circle, or with a path that leaves the server;
    /// [`Error::Unsupported`] on a server before release 3.1.13; else by the table of [`Error`].
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let sandbox = amply_sandbox::Sandbox::builder().start().await?;
    /// # let client = amply_sdk::Client::builder().base_url(sandbox.url()).build()?;
    /// let manifest = client.agent().await?;
    /// for step in manifest.steps() {
    ///     println!("{}: {}", step.id, step.purpose.as_deref().unwrap_or_default());
    /// }
    /// assert_eq!(manifest.steps()[0].id, "discover");
    /// # Ok(()) }
    /// ```
    pub async fn agent(&self) -> Result<Answer<AgentManifest>, Error> {
        let reply = self.send(self.request_to(&Endpoint::AGENT, "", None, None)?).await?;
        let base = self.exchange.transport().base();
        decode(reply, |body, text| {
            let manifest: AgentManifest = typed(body, text)?;
            manifest.check_paths(|path| base.check_link(path))?;
            Ok(manifest)
        })
    }

    /// What a signup asks for on this server: the version of the terms, where they are if the server says so, and whether it
    /// takes a token. It comes from `GET /status`, the version also from the manifest (`GET /agent`) where `/status` has none, and
    /// no key is sent for it.
    ///
    /// It only reads: it may be sent again after any failure.
    ///
    /// # Errors
    /// [`Error::Forbidden`] when agents cannot sign up here; [`Error::Unsupported`] when the server says nothing of signups, as
    /// one before release 3.1.13; both without an HTTP status, and with what to do instead. Else by the table of [`Error`].
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let sandbox = amply_sandbox::Sandbox::builder().agent_signup(true).start().await?;
    /// # let client = amply_sdk::Client::builder().base_url(sandbox.url()).build()?;
    /// assert_eq!(client.signup_terms().await?.tos_version.as_deref(), Some("2026-11-01"));
    /// # Ok(()) }
    /// ```
    pub async fn signup_terms(&self) -> Result<AgentSignup, Error> {
        self.terms_of(&self.exchange.for_signup(None)?).await
    }

    /// Signs up for a key (`POST /signup/agent`), which binds a new account of its own.
    ///
    /// The version of the terms is first compared with what [`signup_terms`](Self::signup_terms) shows, so that nothing is accepted
    /// that was not read. Where the server shows none, whatever is given is sent, and the server alone judges it.
    /// A key that this client has is not sent: it has no part in getting another one. The call is never sent again when the
    /// server may have heard it: a key may then have been made that nobody has seen.
    ///
    /// The key is shown by [`NewKey::expose`](crate::NewKey::expose) and
    /// [`NewAccount::expose_text`], and by nothing else. An answer that cannot be read is [`Error::Protocol`]: what came is kept
    /// in [`Failure::expose_sealed_body`], since the key may be in it.
    ///
    /// # Errors
    /// [`Error::Invalid`] before anything is accepted, when the terms have another version (it says which), or a token is needed
    /// and missing; [`Error::Forbidden`] when agents cannot sign up here, with what to do instead; [`Error::Unauthorized`] for a
    /// wrong token; [`Error::RateLimited`] after too many signups; else by the table of [`Error`].
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let sandbox = amply_sandbox::Sandbox::builder().agent_signup(true).start().await?;
    /// use amply_sdk::{Binding, Client, Signup};
    ///
    /// let nobody = Client::builder().base_url(sandbox.url()).build()?;
    /// let account = nobody.signup(Signup::accepting("2026-11-01")).await?;
    /// let client = Client::builder().base_url(sandbox.url()).api_key(account.api_key.expose()).build()?;
    /// assert_eq!(client.route_task("store 1M vectors").await?.principal().binding, Binding::Bound);
    /// # Ok(()) }
    /// ```
    pub async fn signup(&self, signup: Signup) -> Result<NewAccount, Error> {
        let Signup { tos_version, token } = signup;
        if tos_version.trim().is_empty() {
            let message = "the version of the terms is empty; write the one that `/status` shows";
            return Err(Error::invalid("accept_tos_version", message));
        }
        let secret = token.as_ref().map(|token| secret_header("", token.as_str(), "the token of the signup"));
        let secret = secret.transpose().map_err(|message| Error::invalid("token", message))?;
        let keyless = self.exchange.for_signup(None)?;
        let terms = self.terms_of(&keyless).await?;
        check_version(&terms, &tos_version, &self.exchange.transport().base().page("/"))?;
        let secret = match terms.requires_shared_secret {
            Some(true) if secret.is_none() => return Err(Error::invalid("token", NEEDS_TOKEN)),
            // Whoever does not ask for it does not get it.
            Some(false) => None,
            _ => secret,
        };
        let exchange = match secret {
            Some(secret) => keyless.for_signup(Some(secret))?,
            None => keyless,
        };
        self.send_signup(&exchange, &tos_version, token).await
    }

    async fn send_signup(
        &self,
        exchange: &Exchange,
        tos_version: &str,
        token: Option<Secret>,
    ) -> Result<NewAccount, Error> {
        let body = encode(&SignupBody { accept_tos_version: tos_version })?;
        let has_token = token.is_some();
        let concealed = Concealed::in_failures(token.into_iter().collect());
        let request = Request { concealed, ..self.request_to(&Endpoint::SIGNUP, "", Some(body), None)? };
        let span = span_of(&request);
        let sent = exchange.begin(request, &self.options).send().instrument(span).await;
        let reply = sent.map_err(|error| self.refused(error, has_token))?;
        let Reply { body, meta, request: (method, url), .. } = reply;
        match NewAccount::read(&body) {
            Ok(account) => {
                forget(body);
                Ok(account.with_meta(meta))
            }
            Err(why) => Err(unread(format!("{method} {url}"), &why, body, meta)),
        }
    }

    /// What `/status` says of signups, asked without a key.
    async fn terms_of(&self, keyless: &Exchange) -> Result<AgentSignup, Error> {
        let request = self.request_to(&Endpoint::STATUS, "", None, None)?;
        let span = span_of(&request);
        let reply = keyless.begin(request, &self.options).send().instrument(span).await?;
        let status: Answer<Status> = decode(reply, typed)?;
        let (status, _, meta) = status.into_parts();
        let signup = status.diagnostics.and_then(|diagnostics| diagnostics.agent_signup);
        match signup {
            Some(signup) if signup.enabled == Some(false) => {
                let detail = "agents cannot sign up on this server, as its `/status` says";
                Err(Error::Forbidden(self.not_sent(detail, meta)?))
            }
            Some(signup) if signup.tos_version.is_none() => {
                Ok(AgentSignup { tos_version: self.version_of_manifest(keyless).await?, ..signup })
            }
            Some(signup) => Ok(signup),
            None => {
                let detail = "its `/status` says nothing of agents that sign up";
                Err(Error::Unsupported(self.not_sent(detail, meta)?))
            }
        }
    }

    /// The version of the terms by the manifest; `None` where there is none that can be read.
    async fn version_of_manifest(&self, keyless: &Exchange) -> Result<Option<String>, Error> {
        let request = self.request_to(&Endpoint::AGENT, "", None, None)?;
        let span = span_of(&request);
        let answered = keyless.begin(request, &self.options).send().instrument(span).await;
        match answered.and_then(|reply| decode::<AgentManifest>(reply, typed)) {
            Ok(manifest) => {
                let (manifest, _, _) = manifest.into_parts();
                let of_workflow = manifest.workflow.agent_signup.and_then(|signup| signup.tos_version);
                Ok(manifest.tos_version_for_signup.or(of_workflow))
            }
            Err(Error::Protocol(_) | Error::NotFound(_) | Error::Unsupported(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// A signup that was not sent, after what `/status` said. Its answer was fine, so that its HTTP status is not this error's.
    fn not_sent(&self, detail: &str, meta: Meta) -> Result<Box<Failure>, Error> {
        let Request { method, url, .. } = self.request_to(&Endpoint::SIGNUP, "", None, None)?;
        Ok(Box::new(Failure {
            meta: Meta { status: None, ..meta },
            request: format!("{method} {url}"),
            detail: detail.to_owned(),
            code: None,
            hint: Some(self.by_hand()),
            body: Bytes::new(),
            may_have_been_charged: false,
            source: None,
        }))
    }

    /// A signup that was sent and failed, in the words of a signup. A key that came all the same is sealed.
    fn refused(&self, error: Error, has_token: bool) -> Error {
        let mut error = match error {
            // There is no wallet yet that could be topped up for it.
            Error::PaymentRequired(challenge) => Error::Rejected(Box::new(challenge.into_failure())),
            other => other,
        };
        let hint = match &error {
            Error::Forbidden(_) | Error::NotFound(_) | Error::Unsupported(_) => Some(self.by_hand()),
            Error::Unauthorized(_) if !has_token => Some(NEEDS_TOKEN.to_owned()),
            Error::Unauthorized(_) => Some(
                "the token is not the one of this server; set AMPLY_SIGNUP_TOKEN, or pass the right one by `token`"
                    .to_owned(),
            ),
            Error::Rejected(_) => Some("`/status` shows the version of the terms that is to be accepted".to_owned()),
            _ => None,
        };
        if let Some(failure) = error.failure_mut() {
            failure.hint = hint.or(failure.hint.take());
            failure.detail = without_keys(&failure.detail);
            let body = String::from_utf8_lossy(&failure.body);
            let shown = without_keys(&body);
            if shown != body {
                drop(body);
                failure.seal_body(Bytes::from(shown));
            }
        }
        error
    }

    /// What to do where an agent cannot get a key by itself.
    fn by_hand(&self) -> String {
        let page = self.exchange.transport().base().page("/dashboard/api-keys");
        format!("make a key at {page} and set AMPLY_API_KEY")
    }
}

const NEEDS_TOKEN: &str = "this server wants a token for a signup, which whoever runs it gives out; set AMPLY_SIGNUP_TOKEN, or \
                           pass it by `token`";

/// The terms that are accepted must be those that are in force. `site` is where to look for them if the server does not say.
fn check_version(terms: &AgentSignup, accepted: &str, site: &str) -> Result<(), Error> {
    match terms.tos_version.as_deref() {
        // The server says it itself.
        None => Ok(()),
        Some(current) if current == accepted => Ok(()),
        Some(current) => {
            let place = terms.tos_url.as_deref().map_or_else(|| site.to_owned(), |url| one_line(url, 200));
            Err(Error::invalid(
                "accept_tos_version",
                format!(
                    "the terms of version `{}` are not those of this server, which are `{}`; read them ({place}) and accept \
                     that version",
                    one_line(accepted, 40),
                    one_line(current, 40)
                ),
            ))
        }
    }
}

/// A 2xx whose key cannot be found. A key may be in it, which is made once: it is kept out of sight.
fn unread(request: String, why: &str, body: Bytes, meta: Meta) -> Error {
    let is_empty = body.is_empty();
    let (came, hint) = match is_empty {
        true => ("nothing came", NOT_SEEN),
        false => ("what came may hold a key, and is kept apart", LOOK),
    };
    let mut failure = Failure {
        meta,
        detail: format!("the answer to {request} is not one of the Amply API: {why}; {came}"),
        request,
        code: None,
        hint: Some(hint.to_owned()),
        body,
        may_have_been_charged: false,
        source: None,
    };
    if !is_empty {
        failure.seal_body(Bytes::new());
    }
    Error::Protocol(Box::new(failure))
}

const LOOK: &str =
    "look for the key in it (`Failure::expose_sealed_body`); if there is none, sign up again to get one";
const NOT_SEEN: &str = "a key may have been made that nobody has seen; sign up again to get one";
