//! The outbox as a person or a program looks at it: list, flush, retry, discard.

use std::fmt;
use std::time::Duration;

use serde::Serialize;

use super::counters::OutcomeCounters;
use super::reporter::{Flushed, Reporter};
use super::value::Outcome;
use crate::error::Error;
use crate::payment::Clock;
use crate::store::Store;
use crate::store::outbox::{Letter, LetterState};

/// The reports that wait to be delivered, and those that were given up. From [`Client::outbox`](crate::Client::outbox).
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let sandbox = amply_sandbox::Sandbox::builder().start().await?;
/// # let client = amply_sdk::Client::builder().base_url(sandbox.url()).api_key(sandbox.user_key()).build()?;
/// use std::time::Duration;
///
/// use amply_sdk::Outcome;
///
/// let tracked = client.route_task_tracked("store 1M vectors").await?;
/// tracked.report_in_background(Outcome::success())?;
/// assert_eq!(client.outbox().flush(Duration::from_secs(5)).await?.left, 0);
/// assert_eq!(client.outbox().counters().delivered, 1);
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct Outbox(pub(crate) Reporter);

impl Outbox {
    /// What became of the reports of this client and its copies.
    pub fn counters(&self) -> OutcomeCounters {
        self.0.shared().read_counters()
    }

    /// How many reports of this client's server and key wait in the store to be delivered, those of other processes too.
    ///
    /// # Errors
    /// [`Error::Store`] when it cannot be read.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let sandbox = amply_sandbox::Sandbox::builder().start().await?;
    /// # let client = amply_sdk::Client::builder().base_url(sandbox.url()).api_key(sandbox.user_key()).build()?;
    /// assert_eq!(client.outbox().waiting().await?, 0);
    /// # Ok(()) }
    /// ```
    pub async fn waiting(&self) -> Result<u64, Error> {
        self.0.shared().pending().await
    }

    /// Delivers all that waits, now, and waits for the end of it until the limit. A server that fails is tried again until then.
    ///
    /// # Errors
    /// [`Error::Store`] when the outbox cannot be read, [`Error::Config`] when the client is closed.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let sandbox = amply_sandbox::Sandbox::builder().start().await?;
    /// # let client = amply_sdk::Client::builder().base_url(sandbox.url()).api_key(sandbox.user_key()).build()?;
    /// use std::time::Duration;
    ///
    /// use amply_sdk::Outcome;
    ///
    /// let ticket = client.route_task_tracked("store 1M vectors").await?.ticket()?;
    /// client.report_in_background(&ticket, Outcome::success())?;
    /// assert_eq!(client.outbox().flush(Duration::from_secs(5)).await?.left, 0);
    /// assert_eq!(client.outbox().counters().delivered, 1);
    /// # Ok(()) }
    /// ```
    pub async fn flush(&self, limit: Duration) -> Result<Flushed, Error> {
        self.0.flush(limit).await
    }

    /// The reports in the store that are not delivered, of every server and key, the oldest first, at most 10,000.
    ///
    /// # Errors
    /// [`Error::Store`] when they cannot be read.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let sandbox = amply_sandbox::Sandbox::builder().start().await?;
    /// # let client = amply_sdk::Client::builder().base_url(sandbox.url()).api_key(sandbox.user_key()).build()?;
    /// use std::time::Duration;
    ///
    /// use amply_sdk::Outcome;
    ///
    /// let unknown = client.ticket("no-such-route", None)?;
    /// client.report_in_background(&unknown, Outcome::success())?;
    /// client.outbox().flush(Duration::from_secs(5)).await?;
    /// let given_up = client.outbox().list().await?;
    /// assert!(given_up.iter().all(|entry| entry.is_dead && entry.last_error.is_some()));
    /// # Ok(()) }
    /// ```
    pub async fn list(&self) -> Result<Vec<OutboxEntry>, Error> {
        self.0.shared().store.undelivered().await
    }

    /// Whether this client delivers a report: it is of its server and its key.
    pub fn delivers(&self, entry: &OutboxEntry) -> bool {
        let sender = &self.0.shared().sender;
        sender.base_url == entry.base_url && sender.principal == entry.principal
    }

    /// Has a report delivered that waits or was given up, from now on.
    ///
    /// # Errors
    /// [`Error::Invalid`] when there is none of this id, [`Error::Store`] when it cannot be written.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let sandbox = amply_sandbox::Sandbox::builder().start().await?;
    /// # let client = amply_sdk::Client::builder().base_url(sandbox.url()).api_key(sandbox.user_key()).build()?;
    /// use std::time::Duration;
    ///
    /// use amply_sdk::Outcome;
    ///
    /// let unknown = client.ticket("no-such-route", None)?;
    /// client.report_in_background(&unknown, Outcome::success())?;
    /// client.outbox().flush(Duration::from_secs(5)).await?;
    /// for given_up in client.outbox().list().await? {
    ///     assert!(!client.outbox().retry(&given_up.id).await?.is_dead);
    /// }
    /// # Ok(()) }
    /// ```
    pub async fn retry(&self, id: &str) -> Result<OutboxEntry, Error> {
        let entry = self.0.shared().store.retry_report(id).await?;
        self.0.shared().call_courier();
        Ok(entry)
    }

    /// Removes a report that waits or was given up. It is lost then.
    ///
    /// # Errors
    /// [`Error::Invalid`] when there is none of this id, [`Error::Store`] when it cannot be written.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let sandbox = amply_sandbox::Sandbox::builder().start().await?;
    /// # let client = amply_sdk::Client::builder().base_url(sandbox.url()).api_key(sandbox.user_key()).build()?;
    /// use std::time::Duration;
    ///
    /// use amply_sdk::Outcome;
    ///
    /// let unknown = client.ticket("no-such-route", None)?;
    /// client.report_in_background(&unknown, Outcome::success())?;
    /// client.outbox().flush(Duration::from_secs(5)).await?;
    /// for given_up in client.outbox().list().await? {
    ///     println!("not told: {}", client.outbox().discard(&given_up.id).await?.route_id);
    /// }
    /// assert!(client.outbox().list().await?.is_empty());
    /// # Ok(()) }
    /// ```
    pub async fn discard(&self, id: &str) -> Result<OutboxEntry, Error> {
        self.0.shared().store.discard_report(id).await
    }
}

impl fmt::Debug for Outbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outbox").field("counters", &self.counters()).finish_non_exhaustive()
    }
}

/// A report in the outbox.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct OutboxEntry {
    /// Its id in the outbox.
    pub id: String,
    /// The route that it is of.
    pub route_id: String,
    /// The provider that did the task, if that is known.
    pub provider_id: Option<String>,
    /// The server that it is for.
    pub base_url: String,
    /// Whose it is: the first half of the key's SHA-256, empty for calls without a key.
    pub principal: String,
    /// How the task went; `None` where what is kept cannot be read.
    pub outcome: Option<Outcome>,
    /// Whether it was given up. [`last_error`](Self::last_error) then says why.
    pub is_dead: bool,
    /// How often it was tried.
    pub attempts: u32,
    /// What the last try failed with.
    pub last_error: Option<String>,
    /// When it was handed over: milliseconds since 1970, UTC.
    pub created_ms: i64,
    /// It is not tried before: milliseconds since 1970, UTC.
    pub not_before_ms: i64,
}

impl From<Letter> for OutboxEntry {
    fn from(letter: Letter) -> Self {
        Self {
            id: letter.id,
            route_id: letter.route_id,
            provider_id: letter.provider_id,
            base_url: letter.base_url,
            principal: letter.principal,
            outcome: serde_json::from_str(&letter.body).ok(),
            is_dead: letter.state == LetterState::Dead,
            attempts: letter.attempts,
            last_error: letter.last_error,
            created_ms: letter.created_ms,
            not_before_ms: letter.not_before_ms,
        }
    }
}

/// More than a person reads, and no more than fits in memory.
const LISTED: usize = 10_000;

/// The outbox of a store, without a client.
impl Store {
    /// The reports that are not delivered, of every server and key, the oldest first, at most 10,000.
    ///
    /// # Errors
    /// [`Error::Store`] when they cannot be read.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let store = amply_sdk::Store::in_memory();
    /// for entry in store.undelivered().await? {
    ///     println!("{}: {}", entry.route_id, entry.last_error.unwrap_or_default());
    /// }
    /// # Ok(()) }
    /// ```
    pub async fn undelivered(&self) -> Result<Vec<OutboxEntry>, Error> {
        let listed = self.letters(|letters| letters.list(LISTED)).await?;
        Ok(listed.into_iter().map(OutboxEntry::from).collect())
    }

    /// Lets a client deliver a report again that waits or was given up.
    ///
    /// # Errors
    /// [`Error::Invalid`] when there is none of this id, [`Error::Store`] when it cannot be written.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let store = amply_sdk::Store::in_memory();
    /// let error = store.retry_report("7").await.unwrap_err();
    /// assert!(error.message().contains("no report that waits has the id `7`"));
    /// # Ok(()) }
    /// ```
    pub async fn retry_report(&self, id: &str) -> Result<OutboxEntry, Error> {
        let (of, now_ms) = (id.to_owned(), Clock::System.now_ms());
        let entry = self.letters(move |letters| match letters.retry(&of, now_ms)? {
            true => letters.find(&of),
            false => Ok(None),
        });
        entry.await?.map(OutboxEntry::from).ok_or_else(|| no_such_report(id))
    }

    /// Lets a client deliver all reports again that were given up, of every server and key; how many there were.
    ///
    /// # Errors
    /// [`Error::Store`] when it cannot be written.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let store = amply_sdk::Store::in_memory();
    /// assert_eq!(store.retry_dead_reports().await?, 0);
    /// # Ok(()) }
    /// ```
    pub async fn retry_dead_reports(&self) -> Result<u64, Error> {
        let now_ms = Clock::System.now_ms();
        self.letters(move |letters| letters.retry_dead(now_ms)).await
    }

    /// Removes a report that waits or was given up.
    ///
    /// # Errors
    /// [`Error::Invalid`] when there is none of this id, [`Error::Store`] when it cannot be written.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let store = amply_sdk::Store::in_memory();
    /// assert_eq!(store.discard_report("7").await.unwrap_err().code(), "invalid_request");
    /// # Ok(()) }
    /// ```
    pub async fn discard_report(&self, id: &str) -> Result<OutboxEntry, Error> {
        let of = id.to_owned();
        let entry = self.letters(move |letters| {
            let found = letters.find(&of)?;
            Ok(if letters.discard(&of)? { found } else { None })
        });
        entry.await?.map(OutboxEntry::from).ok_or_else(|| no_such_report(id))
    }
}

fn no_such_report(id: &str) -> Error {
    Error::invalid(
        "id",
        format!(
            "no report that waits has the id `{}`; the list of the outbox shows their ids",
            crate::text::one_line(id, 80)
        ),
    )
}
