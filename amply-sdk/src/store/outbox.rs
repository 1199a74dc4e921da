//! What the outbox asks of a store, within one transaction, and the desk at which it is asked.
//!
//! The work of many callers that arrives together is one transaction: each pays a share of one commit.

use tokio::sync::oneshot;

use super::StoreError;

/// A report that waits to be delivered, or what became of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Letter {
    pub(crate) id: String,
    pub(crate) base_url: String,
    pub(crate) principal: String,
    pub(crate) route_id: String,
    pub(crate) provider_id: Option<String>,
    pub(crate) idempotency_key: String,
    /// The path on the origin to report to, if the server named one.
    pub(crate) endpoint: Option<String>,
    /// The outcome, as JSON.
    pub(crate) body: String,
    pub(crate) created_ms: i64,
    /// It is not due before; once it is delivered or dead: when that was.
    pub(crate) not_before_ms: i64,
    pub(crate) attempts: u32,
    pub(crate) leased_until_ms: i64,
    pub(crate) last_error: Option<String>,
    pub(crate) state: LetterState,
}

/// What became of a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum LetterState {
    Pending,
    Delivered,
    Dead,
}

impl LetterState {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Delivered => "delivered",
            Self::Dead => "dead",
        }
    }

    #[cfg_attr(not(feature = "durable"), expect(dead_code, reason = "read from a file alone"))]
    pub(crate) fn parse(text: &str) -> Option<Self> {
        [Self::Pending, Self::Delivered, Self::Dead].into_iter().find(|state| state.as_str() == text)
    }
}

/// Whose reports they are: only a client with the same server and the same key delivers them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Sender {
    pub(crate) base_url: String,
    pub(crate) principal: String,
}

impl Sender {
    pub(crate) fn is_of(&self, letter: &Letter) -> bool {
        self.base_url == letter.base_url && self.principal == letter.principal
    }
}

/// What came of adding a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Added {
    New,
    /// The route was reported before.
    Known,
    /// As many wait as the limit allows.
    Full,
}

/// What a try to deliver came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Tried {
    Delivered,
    Dead {
        reason: String,
    },
    /// Not before this time again.
    Later {
        not_before_ms: i64,
        reason: String,
    },
}

/// How many reports there are, of one sender.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Waiting {
    pub(crate) pending: u64,
    /// Of these, the ones that nobody is delivering right now.
    pub(crate) idle: u64,
    /// When the first of the idle ones is due.
    pub(crate) next_due_ms: Option<i64>,
}

/// The rows of the outbox, seen and changed by one transaction alone.
pub(crate) trait Letters {
    /// Adds a report, once for a route of a sender; a dead one is replaced. At most `limit` rows are kept: the oldest that
    /// were delivered make room, then the oldest dead ones. One that waits never does.
    fn add(&mut self, letter: &Letter, limit: u64) -> Result<Added, StoreError>;

    /// The state of a route's report.
    fn state_of(&mut self, sender: &Sender, route_id: &str) -> Result<Option<LetterState>, StoreError>;

    /// Takes due reports to deliver, the oldest first, until a time at which they are anybody's again. A time that is further
    /// away than any that is written was written before the clock was set back: it has passed.
    fn lease(
        &mut self,
        sender: &Sender,
        now_ms: i64,
        until_ms: i64,
        at_most: usize,
    ) -> Result<Vec<Letter>, StoreError>;

    /// Writes down what a try came to. One that was delivered stays delivered.
    fn tried(&mut self, id: &str, tried: &Tried, now_ms: i64) -> Result<(), StoreError>;

    /// Gives back what was leased and not tried.
    fn give_back(&mut self, ids: &[String]) -> Result<(), StoreError>;

    /// Counts, which takes its time where many wait.
    fn waiting(&mut self, sender: &Sender, now_ms: i64) -> Result<Waiting, StoreError>;

    fn has_pending(&mut self, sender: &Sender) -> Result<bool, StoreError>;

    /// Makes all that wait due now.
    fn hurry(&mut self, sender: &Sender, now_ms: i64) -> Result<(), StoreError>;

    /// All that are not delivered, of every sender, the oldest first.
    fn list(&mut self, at_most: usize) -> Result<Vec<Letter>, StoreError>;

    fn find(&mut self, id: &str) -> Result<Option<Letter>, StoreError>;

    /// Lets a report be delivered again from now on; whether there is such a one that is not delivered.
    fn retry(&mut self, id: &str, now_ms: i64) -> Result<bool, StoreError>;

    /// The same of all that are dead; how many there were.
    fn retry_dead(&mut self, now_ms: i64) -> Result<u64, StoreError>;

    /// Removes a report that is not delivered; whether there was such a one.
    fn discard(&mut self, id: &str) -> Result<bool, StoreError>;

    /// Forgets some of what was delivered before a time; how many.
    fn forget(&mut self, delivered_before_ms: i64) -> Result<usize, StoreError>;
}

/// Work on the outbox: done within a transaction, and told of its end.
pub(crate) trait Job: Send {
    fn run(&mut self, letters: &mut dyn Letters) -> Result<(), StoreError>;

    /// The transaction has ended.
    fn ended(self: Box<Self>, end: Result<(), StoreError>);
}

/// Work with a result that somebody waits for.
pub(crate) struct Asked<F, T> {
    work: Option<F>,
    done: Option<T>,
    reply: oneshot::Sender<Result<T, StoreError>>,
}

impl<F, T> Asked<F, T>
where
    F: FnOnce(&mut dyn Letters) -> Result<T, StoreError> + Send + 'static,
    T: Send + 'static,
{
    /// The work, and where its result comes.
    pub(crate) fn of(work: F) -> (Box<dyn Job>, oneshot::Receiver<Result<T, StoreError>>) {
        let (reply, answer) = oneshot::channel();
        (Box::new(Self { work: Some(work), done: None, reply }), answer)
    }
}

impl<F, T> Job for Asked<F, T>
where
    F: FnOnce(&mut dyn Letters) -> Result<T, StoreError> + Send + 'static,
    T: Send + 'static,
{
    fn run(&mut self, letters: &mut dyn Letters) -> Result<(), StoreError> {
        if let Some(work) = self.work.take() {
            self.done = Some(work(letters)?);
        }
        Ok(())
    }

    fn ended(self: Box<Self>, end: Result<(), StoreError>) {
        let Self { done, reply, .. } = *self;
        // Whoever asked may have gone; what was done is done.
        let _ = reply.send(end.and_then(|()| done.ok_or_else(|| GONE.to_owned())));
    }
}

/// No report is put off for longer than this after its lease would end.
pub(crate) const FAR_MS: i64 = 120_000;

/// What is said where no thread does the work any more.
pub(crate) const GONE: &str = "the store's outbox did not answer; this is a fault of the client";

#[cfg(test)]
#[cfg(feature = "durable")]
mod tests;
