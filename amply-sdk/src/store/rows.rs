//! What the ledger asks of a store, within one transaction: rows in, rows out. All rules are in `payment::ledger`, so
//! that they hold wherever the rows are kept.

use crate::payment::{PaidAnswer, Payment};

/// Why the store could not do it, and what to do; for a person.
pub(crate) type StoreError = String;

/// Which payments are asked for. A store may return more than these; the ledger looks at each again.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Query<'a> {
    /// All, the oldest first.
    All,
    Id(&'a str),
    /// Top-ups that may be open.
    Open,
    /// Those that may count on a day: its own, and top-ups that are open. Their calls may be missing.
    Day(i64),
    /// Those that ended at this time or later.
    EndedSince(i64),
    /// Those that a call led.
    LedBy(&'a str),
    /// The first signed transfer somewhere that was settled. Its calls may be missing.
    #[cfg_attr(not(feature = "x402-evm"), expect(dead_code, reason = "asked by the open rail alone"))]
    FirstSettled(At<'a>),
    /// The latest signed transfers somewhere that have left the process and have ended, this many at most, the latest first.
    /// Their calls may be missing.
    #[cfg_attr(not(feature = "x402-evm"), expect(dead_code, reason = "asked by the open rail alone"))]
    LatestEnded(At<'a>, u32),
}

/// A server, by the origin of its base URL, and a network that it is paid on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct At<'a> {
    pub(crate) origin: &'a str,
    pub(crate) network: &'a str,
}

impl At<'_> {
    /// Whether a payment was made there.
    pub(crate) fn has(&self, payment: &Payment) -> bool {
        payment.open.as_ref().is_some_and(|open| open.network == self.network)
            && payment.base_url.strip_prefix(self.origin).is_some_and(|path| path.starts_with('/'))
    }
}

/// Why nothing is paid from a store until a person says so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Block {
    pub(crate) reason: String,
}

/// The rows of the ledger, seen and changed by one transaction alone.
pub(crate) trait Rows {
    fn select(&mut self, query: Query<'_>) -> Result<Vec<Payment>, StoreError>;

    fn insert(&mut self, payment: &Payment) -> Result<(), StoreError>;

    /// Writes a row that is there already.
    fn update(&mut self, payment: &Payment) -> Result<(), StoreError>;

    #[cfg_attr(not(feature = "x402-evm"), expect(dead_code, reason = "asked by the open rail alone"))]
    /// Keeps the answer to the request that carried a payment, and forgets those that were kept before `older_than_ms`.
    fn keep_answer(
        &mut self,
        id: &str,
        answer: &PaidAnswer,
        now_ms: i64,
        older_than_ms: i64,
    ) -> Result<(), StoreError>;

    /// The kept answer, if there is one that is not older.
    fn answer(&mut self, id: &str, older_than_ms: i64) -> Result<Option<PaidAnswer>, StoreError>;

    /// The latest day of any row.
    fn newest_day(&mut self) -> Result<Option<i64>, StoreError>;

    fn block(&mut self) -> Result<Option<Block>, StoreError>;

    fn unblock(&mut self) -> Result<(), StoreError>;
}
