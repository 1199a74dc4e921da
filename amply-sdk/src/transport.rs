//! One HTTP request: what may be followed, how much is read, and what a failure can have done.
//!
//! This file knows neither retries nor money. It never follows a redirect to another origin, never reads more than
//! a bounded body, and never hands out half an answer.

mod connecting;

use std::error::Error as StdError;
use std::sync::{PoisonError, RwLock};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::header::{
    ACCEPT, AUTHORIZATION, CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, LOCATION,
};
use http::{Method, StatusCode};
use reqwest::Url;
use tokio::time::{Instant, timeout_at};

use self::connecting::{Watch, watch};
use crate::base_url::BaseUrl;
use crate::error::Error;
use crate::retry::Effect;
use crate::secret::Concealed;
use crate::text::one_line;
use crate::tls;

/// The largest body that is read.
const MAX_BODY: usize = 8 * 1024 * 1024;
/// The most redirects that are followed.
const MAX_REDIRECTS: usize = 3;
/// Recorded servers close a connection after 5 s without a request. A request that meets the closing fails in a way
/// that must not be repeated, so ours are given up before.
const IDLE: Duration = Duration::from_secs(4);

const USER_AGENT: &str = concat!("amply-sdk-rust/", env!("CARGO_PKG_VERSION"));
const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
const SIGNUP_TOKEN: HeaderName = HeaderName::from_static("x-amply-agent-signup-token");

/// What is set once for all requests of a client.
#[derive(Clone)]
pub(crate) struct Settings {
    pub(crate) base: BaseUrl,
    pub(crate) authorization: Option<HeaderValue>,
    /// The token of a signup, which has no other credential.
    pub(crate) signup_token: Option<HeaderValue>,
    pub(crate) tls: rustls::ClientConfig,
    pub(crate) connect_timeout: Duration,
}

/// A pool of connections to one server.
pub(crate) struct Transport {
    settings: Settings,
    pool: RwLock<Pool>,
}

struct Pool {
    client: reqwest::Client,
    idle: Duration,
}

/// One request. Its URL is below the base URL.
#[derive(Clone)]
pub(crate) struct HttpRequest {
    pub(crate) method: Method,
    pub(crate) url: Url,
    pub(crate) body: Option<Bytes>,
    pub(crate) idempotency_key: Option<HeaderValue>,
    /// The header that pays. Whoever has it can take the money, so it follows no redirect.
    pub(crate) payment: Option<(&'static str, HeaderValue)>,
    /// Secrets in the body, which what comes back must not show.
    pub(crate) concealed: Concealed,
}

/// A whole answer.
pub(crate) struct HttpAnswer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

/// Why there is no whole answer that may be looked at.
pub(crate) struct Fault {
    pub(crate) kind: FaultKind,
    pub(crate) effect: Effect,
    pub(crate) detail: String,
    /// Status and headers, where they came before it failed.
    pub(crate) head: Option<Box<(StatusCode, HeaderMap)>>,
    pub(crate) source: Option<reqwest::Error>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FaultKind {
    /// The connection could not be made, or broke.
    Connection,
    /// The server has not proven who it is.
    Certificate,
    /// It took too long.
    Timeout,
    /// Something came that no Amply server says.
    Protocol,
}

impl Transport {
    pub(crate) fn new(settings: Settings) -> Result<Self, Error> {
        let pool = RwLock::new(Pool { client: client(&settings, IDLE)?, idle: IDLE });
        Ok(Self { settings, pool })
    }

    /// The same with connections of its own: for work on another runtime, which must not depend on one that may stand
    /// still.
    pub(crate) fn apart(&self) -> Result<Self, Error> {
        Self::new(self.settings.clone())
    }

    pub(crate) fn with_authorization(self, authorization: HeaderValue) -> Result<Self, Error> {
        Self::new(Settings { authorization: Some(authorization), ..self.settings })
    }

    /// The same without the key, with connections of its own.
    pub(crate) fn for_signup(&self, signup_token: Option<HeaderValue>) -> Result<Self, Error> {
        Self::new(Settings { authorization: None, signup_token, ..self.settings.clone() })
    }

    pub(crate) fn base(&self) -> &BaseUrl {
        &self.settings.base
    }

    /// Sends a request and reads the whole answer until `limit`, following redirects within the origin.
    pub(crate) async fn send(&self, request: &HttpRequest, limit: Instant) -> Result<HttpAnswer, Fault> {
        let answered = self.send_following(request, limit).await;
        request.concealed.strip(answered)
    }

    async fn send_following(&self, request: &HttpRequest, limit: Instant) -> Result<HttpAnswer, Fault> {
        let began = Instant::now();
        let mut url = request.url.clone();
        for _ in 0..=MAX_REDIRECTS {
            let response = self.ask(request, &url, began, limit).await?;
            self.heed_keep_alive(response.headers());
            if !response.status().is_redirection() || request.payment.is_some() {
                return self.read(response, began, limit).await;
            }
            url = self.follow(response, &url)?;
        }
        Err(Fault::protocol(Effect::Done, format!("more than {MAX_REDIRECTS} redirects in a row"), None))
    }

    /// Sends a request and waits for the head of its answer.
    async fn ask(
        &self,
        request: &HttpRequest,
        url: &Url,
        began: Instant,
        limit: Instant,
    ) -> Result<reqwest::Response, Fault> {
        notice_closed_connections().await;
        let client = self.pool.read().unwrap_or_else(PoisonError::into_inner).client.clone();
        let mut connecting = false;
        let sent = watch(client.execute(self.head(request, url.clone())), &mut connecting);
        match timeout_at(limit, sent).await {
            Ok(sent) => sent.map_err(|error| self.not_answered(error)),
            Err(_) if connecting => Err(self.too_late(Effect::None, "no connection to", began)),
            Err(_) => Err(self.too_late(Effect::Unknown, "no answer from", began)),
        }
    }

    /// Reads a body to its end, up to the limits of size and time.
    async fn read(
        &self,
        mut response: reqwest::Response,
        began: Instant,
        limit: Instant,
    ) -> Result<HttpAnswer, Fault> {
        let status = response.status();
        let headers = std::mem::take(response.headers_mut());
        let collected = match encoding(&headers) {
            // A refusal is understood by its status.
            Some(_) if !status.is_success() => Ok(Bytes::new()),
            Some(encoding) => Err(Stopped::Encoded(encoding)),
            None => timeout_at(limit, collect(&mut response)).await.unwrap_or(Err(Stopped::TooLate)),
        };
        let stopped = match collected {
            Ok(body) => return Ok(HttpAnswer { status, headers, body }),
            Err(stopped) => stopped,
        };
        let (kind, detail, source) = match stopped {
            Stopped::Encoded(encoding) => {
                let detail = format!("the answer is encoded (`{encoding}`), which was not asked for");
                (FaultKind::Protocol, detail, None)
            }
            Stopped::TooLarge => {
                let detail = format!("the answer is larger than {} MiB", MAX_BODY / 1024 / 1024);
                (FaultKind::Protocol, detail, None)
            }
            Stopped::TooLate => (FaultKind::Timeout, self.in_time("no whole answer from", began), None),
            Stopped::Broken(error) => {
                let kind = if error.is_timeout() { FaultKind::Timeout } else { FaultKind::Connection };
                let detail = format!("the answer of {} was cut off: {}", self.host(), root_cause(&error));
                (kind, detail, Some(error.without_url()))
            }
        };
        let head = Some(Box::new((status, headers)));
        Err(Fault { kind, effect: Effect::Unknown, detail, head, source })
    }

    /// The headers that a request has, its key and all; what the connection adds by itself is not among them.
    pub(crate) fn headers(&self, request: &HttpRequest) -> HeaderMap {
        let mut headers = std::mem::take(self.head(request, request.url.clone()).headers_mut());
        headers.insert(http::header::USER_AGENT, HeaderValue::from_static(USER_AGENT));
        headers
    }

    fn head(&self, request: &HttpRequest, url: Url) -> reqwest::Request {
        let mut head = reqwest::Request::new(request.method.clone(), url);
        let headers = head.headers_mut();
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        if let Some(authorization) = &self.settings.authorization {
            headers.insert(AUTHORIZATION, authorization.clone());
        }
        if let Some(token) = &self.settings.signup_token {
            headers.insert(SIGNUP_TOKEN, token.clone());
        }
        if let Some(key) = &request.idempotency_key {
            headers.insert(IDEMPOTENCY_KEY, key.clone());
        }
        if let Some((name, value)) = &request.payment {
            headers.insert(*name, value.clone());
        }
        if let Some(body) = &request.body {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
            *head.body_mut() = Some(body.clone().into());
        }
        head
    }

    /// Where a redirect leads, if it may be followed: 307 and 308 within the origin, which repeat method and body.
    /// The server answered instead of doing what was asked, so that asking again is not asking twice.
    fn follow(&self, response: reqwest::Response, from: &Url) -> Result<Url, Fault> {
        let status = response.status();
        let target = response.headers().get(LOCATION).and_then(|to| to.to_str().ok());
        let target = target.and_then(|to| from.join(to).ok());
        let refuse = |why: &str| {
            let to = target.as_ref().map(|url| one_line(&url.origin().ascii_serialization(), 100));
            let to = to.map_or_else(|| "nowhere".to_owned(), |origin| format!("`{origin}`"));
            let detail = format!("the server redirects to {to} ({}), {why}", status.as_u16());
            // "See other" is said when what was asked has been done.
            let effect = if status == StatusCode::SEE_OTHER { Effect::Unknown } else { Effect::Done };
            Fault::protocol(effect, detail, Some((status, response.headers().clone())))
        };
        match &target {
            Some(url) if !self.settings.base.is_same_origin(url) => {
                Err(refuse("which is not where the base URL points; nothing was sent there"))
            }
            Some(url) if !url.username().is_empty() || url.password().is_some() => {
                Err(refuse("with credentials in the address, which is not followed"))
            }
            Some(url) if matches!(status.as_u16(), 307 | 308) => Ok(url.clone()),
            _ => Err(refuse("which is not followed")),
        }
    }

    /// A server that closes connections sooner than we give them up gets a pool that is quicker. The old pool is
    /// dropped with its idle connections. The limit only ever falls, in whole seconds: that happens a few times in a
    /// client's life.
    fn heed_keep_alive(&self, headers: &HeaderMap) {
        let Some(limit) = keep_alive(headers) else { return };
        let idle = limit.saturating_sub(Duration::from_secs(1));
        if idle >= self.pool.read().unwrap_or_else(PoisonError::into_inner).idle {
            return;
        }
        let mut pool = self.pool.write().unwrap_or_else(PoisonError::into_inner);
        // Of many calls that are told the same at once, one makes the new pool.
        if idle < pool.idle
            && let Ok(client) = client(&self.settings, idle)
        {
            *pool = Pool { client, idle };
        }
    }

    /// Sorts what went wrong before an answer began. A failure to connect comes first, a connect timeout too: then
    /// nothing was sent. All else may have arrived.
    fn not_answered(&self, error: reqwest::Error) -> Fault {
        if let Some(why) = tls::refused_certificate(causes(&error)) {
            let kind = FaultKind::Certificate;
            let why = one_line(&why, 200);
            let detail = format!("cannot connect to {}: its certificate is not trusted ({why})", self.host());
            let source = Some(error.without_url());
            return Fault { kind, effect: Effect::None, detail, head: None, source };
        }
        let (kind, effect, what) = if error.is_connect() || error.is_builder() {
            (FaultKind::Connection, Effect::None, "cannot connect to")
        } else if error.is_timeout() {
            (FaultKind::Timeout, Effect::Unknown, "no answer in time from")
        } else if is_not_http(&error) {
            (FaultKind::Protocol, Effect::Unknown, "the other side does not speak HTTP at")
        } else {
            (FaultKind::Connection, Effect::Unknown, "no answer from")
        };
        let detail = format!("{what} {}: {}", self.host(), root_cause(&error));
        Fault { kind, effect, detail, head: None, source: Some(error.without_url()) }
    }

    fn too_late(&self, effect: Effect, what: &str, began: Instant) -> Fault {
        let detail = self.in_time(what, began);
        Fault { kind: FaultKind::Timeout, effect, detail, head: None, source: None }
    }

    fn in_time(&self, what: &str, began: Instant) -> String {
        format!("{what} {} within {} ms", self.host(), began.elapsed().as_millis())
    }

    /// Whom a message is about.
    fn host(&self) -> String {
        self.settings.base.page("")
    }
}

impl Fault {
    /// Nothing is known of a request that was sent.
    #[cfg(feature = "x402-evm")]
    pub(crate) fn unanswered(detail: String) -> Self {
        Self { kind: FaultKind::Connection, effect: Effect::Unknown, detail, head: None, source: None }
    }

    fn protocol(effect: Effect, detail: String, head: Option<(StatusCode, HeaderMap)>) -> Self {
        let head = head.map(Box::new);
        Self { kind: FaultKind::Protocol, effect, detail, head, source: None }
    }
}

/// Why a body was not read to its end.
enum Stopped {
    Encoded(String),
    TooLarge,
    TooLate,
    Broken(reqwest::Error),
}

/// The encoding of a body that is not as it was written.
fn encoding(headers: &HeaderMap) -> Option<String> {
    let encoding = headers.get(CONTENT_ENCODING).filter(|encoding| *encoding != "identity")?;
    Some(one_line(&String::from_utf8_lossy(encoding.as_bytes()), 40))
}

/// Reads a body to its end, up to the limit of size.
async fn collect(response: &mut reqwest::Response) -> Result<Bytes, Stopped> {
    if response.content_length().is_some_and(|length| length > MAX_BODY as u64) {
        return Err(Stopped::TooLarge);
    }
    let mut first = Bytes::new();
    let mut more = BytesMut::new();
    while let Some(chunk) = response.chunk().await.map_err(Stopped::Broken)? {
        if first.len() + more.len() + chunk.len() > MAX_BODY {
            return Err(Stopped::TooLarge);
        }
        // Most answers come in one piece, which is kept as it is.
        if first.is_empty() && more.is_empty() {
            first = chunk;
        } else {
            if more.is_empty() {
                more.extend_from_slice(&std::mem::take(&mut first));
            }
            more.extend_from_slice(&chunk);
        }
    }
    Ok(if more.is_empty() { first } else { more.freeze() })
}

/// Lets a runtime that stood still between two calls hear which idle connections the server has closed since. Else a
/// request would go out on one of them, and nobody could say what became of it.
async fn notice_closed_connections() {
    tokio::task::yield_now().await;
}

fn client(settings: &Settings, idle: Duration) -> Result<reqwest::Client, Error> {
    let mut builder = reqwest::Client::builder()
        .user_agent(USER_AGENT)
        .tls_backend_preconfigured(settings.tls.clone())
        .http1_only()
        .redirect(reqwest::redirect::Policy::none())
        .retry(reqwest::retry::never())
        .referer(false)
        .connect_timeout(settings.connect_timeout)
        .connector_layer(Watch)
        .pool_idle_timeout(idle);
    if idle.is_zero() {
        builder = builder.pool_max_idle_per_host(0);
    }
    if settings.base.is_loopback() {
        // A proxy would look for the address on its own machine, and read the key on the way.
        builder = builder.no_proxy();
    }
    builder.build().map_err(|error| {
        Error::config(format!("the HTTP client cannot be set up: {}", root_cause(&error.without_url())))
    })
}

/// The seconds of `Keep-Alive: timeout=N`.
fn keep_alive(headers: &HeaderMap) -> Option<Duration> {
    let value = headers.get("keep-alive")?.to_str().ok()?;
    let seconds = value.split(',').find_map(|part| part.trim().strip_prefix("timeout="))?;
    seconds.trim().parse().ok().map(Duration::from_secs)
}

/// Whether what came cannot be read as an HTTP answer.
fn is_not_http(error: &reqwest::Error) -> bool {
    causes(error).any(|cause| cause.downcast_ref::<hyper::Error>().is_some_and(hyper::Error::is_parse))
}

fn causes(error: &reqwest::Error) -> impl Iterator<Item = &(dyn StdError + 'static)> {
    std::iter::successors(error.source(), |&cause| cause.source())
}

/// The innermost cause: "connection refused" says more than "error sending request".
fn root_cause(error: &reqwest::Error) -> String {
    match causes(error).last() {
        Some(cause) => one_line(&cause.to_string(), 200),
        None => one_line(&error.to_string(), 200),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn announcing(value: &str) -> HeaderMap {
        HeaderMap::from_iter([(HeaderName::from_static("keep-alive"), value.parse().unwrap())])
    }

    #[test]
    fn the_idle_limit_only_ever_falls() {
        let transport = Transport::new(Settings {
            base: BaseUrl::parse("http://127.0.0.1:9").unwrap(),
            authorization: None,
            signup_token: None,
            tls: tls::no_trust().unwrap(),
            connect_timeout: Duration::from_secs(1),
        })
        .unwrap();
        for (announced, seconds) in [(600, 4), (5, 4), (4, 3), (5, 3), (2, 1), (3, 1), (1, 0), (0, 0), (5, 0)]
        {
            transport.heed_keep_alive(&announcing(&format!("timeout={announced}")));
            assert_eq!(
                transport.pool.read().unwrap().idle,
                Duration::from_secs(seconds),
                "after {announced}"
            );
        }
    }

    #[test]
    fn the_announced_idle_limit_is_read() {
        for (value, seconds) in
            [("timeout=5", Some(5)), ("max=100, timeout=2", Some(2)), ("timeout=x", None), ("5", None)]
        {
            assert_eq!(keep_alive(&announcing(value)), seconds.map(Duration::from_secs), "{value}");
        }
    }
}
