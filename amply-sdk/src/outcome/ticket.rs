//! A token with which another process, or another host, reports how a route went.
//!
//! Whoever holds one can report one route and nothing else. It names no key: it is worth something only in the hands of a
//! client with the same origin and the same key.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use reqwest::Url;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::base_url::BaseUrl;
use crate::error::Error;
use crate::text::one_line;

/// What every token of this version begins with.
const PREFIX: &str = "amply-ticket-1.";
/// No token that we make is longer.
const AT_MOST: usize = 8 * 1024;
/// [our] the longest id that is sent, in bytes; the server's own are UUIDs.
const ID_AT_MOST: usize = 128;

/// A small token for one route: with it another process reports the outcome ([`Client::report`](crate::Client::report)).
///
/// Written as text (`Display`, `Serialize`) it is one word without blanks. It holds the ids of route and provider, where to
/// report, and a hash that names whose route it was; no key, and nothing of the task.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let sandbox = amply_sandbox::Sandbox::builder().start().await?;
/// # let client = amply_sdk::Client::builder().base_url(sandbox.url()).api_key(sandbox.user_key()).build()?;
/// use amply_sdk::{Outcome, Ticket};
///
/// let text = client.route_task_tracked("store 1M vectors").await?.ticket()?.to_string();
///
/// // In a worker, perhaps on another host:
/// let ticket: Ticket = text.parse()?;
/// let reported = client.report(&ticket, Outcome::success()).await?;
/// assert_eq!(reported.credits_awarded(), Some(1));
/// # Ok(()) }
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Ticket {
    bound: Arc<Bound>,
    started: Option<Instant>,
}

/// What a report is bound to.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Bound {
    pub(crate) route_id: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) provider_id: Option<String>,
    /// The path on the origin to report to, as the server said; `None` where it said nothing usable.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) endpoint: Option<String>,
    pub(crate) base_url: String,
    /// Whose route it was: empty for a call without a key.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(crate) principal: String,
}

impl Ticket {
    pub(crate) fn new(bound: Arc<Bound>) -> Self {
        Self { bound, started: None }
    }

    pub(crate) fn bound(&self) -> &Arc<Bound> {
        &self.bound
    }

    /// The id of the route.
    pub fn route_id(&self) -> &str {
        &self.bound.route_id
    }

    /// The id of the provider that was recommended.
    pub fn provider_id(&self) -> Option<&str> {
        self.bound.provider_id.as_deref()
    }

    /// Begins the clock: a report without a latency then tells the time since. For the worker that does the task; the clock
    /// does not travel with the token.
    #[must_use]
    pub fn started(mut self) -> Self {
        self.started = Some(Instant::now());
        self
    }

    pub(crate) fn elapsed(&self) -> Option<Duration> {
        self.started.map(|started| started.elapsed())
    }
}

impl Bound {
    /// Checks what came from elsewhere, so that a forged token draws no report to another place, and none under another name.
    ///
    /// # Errors
    /// [`Error::Invalid`] with what does not fit.
    pub(crate) fn check(&self, base: &BaseUrl, principal: &str) -> Result<(), Error> {
        check_id("route_id", &self.route_id)?;
        if let Some(provider_id) = &self.provider_id {
            check_id("provider_id", provider_id)?;
        }
        let is_of_here = self.base_url == base.as_str()
            || Url::parse(&self.base_url).is_ok_and(|url| base.is_same_origin(&url));
        if !is_of_here {
            return Err(Error::invalid(
                "ticket",
                format!(
                    "the ticket is of {}, and this client is one of {}; report it with a client of that server",
                    one_line(&self.base_url, 100),
                    base.as_str()
                ),
            ));
        }
        if self.principal != principal {
            return Err(Error::invalid(
                "ticket",
                "the ticket is of a route that was asked for with another key; report it with that key",
            ));
        }
        match &self.endpoint {
            Some(path) if endpoint(base, path).is_none() => Err(Error::invalid(
                "ticket",
                format!("the ticket leads to `{}`, which takes no reports", one_line(path, 100)),
            )),
            _ => Ok(()),
        }
    }
}

/// Where a server says that reports go, if it may be followed there: on its own origin, and ending as such a path does.
pub(crate) fn endpoint(base: &BaseUrl, said: &str) -> Option<Url> {
    let url = base.url().join(said).ok()?;
    let is_plain = url.query().is_none() && url.fragment().is_none();
    let is_ours = base.is_same_origin(&url) && url.username().is_empty() && url.password().is_none();
    (is_plain && is_ours && url.path().ends_with("/outcome")).then_some(url)
}

pub(crate) fn check_id(field: &'static str, id: &str) -> Result<(), Error> {
    let is_printable = id.chars().all(|c| !c.is_control() && !c.is_whitespace());
    if !id.is_empty() && id.len() <= ID_AT_MOST && is_printable {
        return Ok(());
    }
    Err(Error::invalid(
        field,
        format!(
            "{field} is `{}`; it must be 1 to {ID_AT_MOST} bytes without blanks, as the route's answer has it",
            one_line(id, 80)
        ),
    ))
}

impl fmt::Display for Ticket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let json = serde_json::to_vec(&*self.bound).map_err(|_| fmt::Error)?;
        write!(f, "{PREFIX}{}", URL_SAFE_NO_PAD.encode(json))
    }
}

impl fmt::Debug for Ticket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ticket")
            .field("route_id", &self.bound.route_id)
            .field("provider_id", &self.bound.provider_id)
            .field("base_url", &self.bound.base_url)
            .finish_non_exhaustive()
    }
}

impl FromStr for Ticket {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let refuse = |why: &str| {
            Err(Error::invalid(
                "ticket",
                format!("the ticket {why}; pass it as `ticket()` or `--track` gave it"),
            ))
        };
        let text = text.trim();
        if text.len() > AT_MOST {
            return refuse("is far too long to be one");
        }
        let Some(encoded) = text.strip_prefix(PREFIX) else {
            return match text.starts_with("amply-ticket-") {
                true => refuse("is of a version that this client does not know"),
                false => refuse(&format!("does not begin with `{PREFIX}`")),
            };
        };
        let Ok(json) = URL_SAFE_NO_PAD.decode(encoded) else { return refuse("is damaged or cut") };
        match serde_json::from_slice(&json) {
            Ok(bound) => Ok(Self::new(Arc::new(bound))),
            Err(_) => refuse("is damaged or cut"),
        }
    }
}

impl Serialize for Ticket {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Ticket {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn base() -> BaseUrl {
        BaseUrl::parse("http://127.0.0.1:9").unwrap()
    }

    fn bound() -> Bound {
        Bound {
            route_id: "9a45cd88".to_owned(),
            provider_id: Some("qdrant".to_owned()),
            endpoint: Some("/api/v1/outcome".to_owned()),
            base_url: base().as_str().to_owned(),
            principal: "ab".to_owned(),
        }
    }

    #[test]
    fn a_ticket_survives_being_written_and_keeps_no_clock() {
        let ticket = Ticket::new(Arc::new(bound())).started();
        let text = ticket.to_string();
        assert!(!text.contains([' ', '\n', '"', '=', '+', '/']), "{text}");
        let read: Ticket = text.parse().unwrap();
        assert_eq!((&read.bound, read.elapsed()), (&ticket.bound, None));
        let json = serde_json::to_string(&ticket).unwrap();
        assert_eq!(serde_json::from_str::<Ticket>(&json).unwrap(), read);
    }

    #[test]
    fn what_is_no_ticket_is_refused_with_what_to_pass() {
        let text = Ticket::new(Arc::new(bound())).to_string();
        let (cut, _) = text.split_at(text.len() - 9);
        for (wrong, says) in [
            ("", "does not begin"),
            ("9a45cd88", "does not begin"),
            ("amply-ticket-2.e30", "a version that this client does not know"),
            (cut, "damaged or cut"),
            ("amply-ticket-1.!!", "damaged or cut"),
            ("amply-ticket-1.e30", "damaged or cut"),
            (&"x".repeat(9000), "far too long"),
        ] {
            let error = wrong.parse::<Ticket>().unwrap_err().to_string();
            assert!(error.contains(says) && error.contains("pass it as"), "{wrong}: {error}");
        }
    }

    #[test]
    fn a_forged_ticket_draws_no_report() {
        let check = |change: fn(&mut Bound)| {
            let mut bound = bound();
            change(&mut bound);
            bound.check(&base(), "ab").map_err(|error| error.to_string())
        };
        assert_eq!(check(|_| {}), Ok(()));
        for (change, says) in [
            (
                (|bound| bound.base_url = "https://evil.example/api/v1".to_owned()) as fn(&mut Bound),
                "evil.example",
            ),
            (
                |bound| bound.base_url = "http://127.0.0.1:10/api/v1".to_owned(),
                "with a client of that server",
            ),
            (|bound| bound.base_url = "nonsense".to_owned(), "nonsense"),
            (|bound| bound.principal = "cd".to_owned(), "another key"),
            (|bound| bound.principal = String::new(), "another key"),
            (|bound| bound.endpoint = Some("//evil.example/outcome".to_owned()), "takes no reports"),
            (|bound| bound.endpoint = Some("https://evil.example/outcome".to_owned()), "takes no reports"),
            (|bound| bound.endpoint = Some("/api/v1/billing/topup".to_owned()), "takes no reports"),
            (
                |bound| bound.endpoint = Some("/api/v1/billing/topup?x=/outcome".to_owned()),
                "takes no reports",
            ),
            (|bound| bound.route_id = "a b".to_owned(), "route_id"),
            (|bound| bound.route_id = String::new(), "route_id"),
            (|bound| bound.provider_id = Some("a\u{1b}[2J".to_owned()), "provider_id"),
        ] {
            let error = check(change).unwrap_err();
            assert!(error.contains(says), "{error}");
        }
    }
}
