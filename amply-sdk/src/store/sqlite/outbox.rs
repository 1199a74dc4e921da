//! The outbox in the file: its own connection, on a thread of its own.
//!
//! Unlike the ledger's, its commits are not flushed to the disk one by one (`synchronous=NORMAL`): they survive the death of
//! any process, and a power cut may cost the last moments.

use std::path::Path;
use std::sync::mpsc::{self, Receiver, Sender as Jobs};

use rusqlite::{
    CachedStatement, Connection, OptionalExtension, Row, TransactionBehavior, named_params, params,
};

use super::{open_connection, trouble};
use crate::store::StoreError;
use crate::store::file::Identity;
use crate::store::outbox::{Added, FAR_MS, GONE, Job, Letter, LetterState, Letters, Sender, Tried, Waiting};

/// How much work one commit takes at most.
const BATCH: usize = 1024;
/// A part of the rows that makes room at once when the outbox is full.
const ROOM: i64 = 100;

const COLUMNS: &str = "id, base_url, principal, route_id, provider_id, idempotency_key, endpoint, body, created_ms, \
     not_before_ms, attempts, leased_until_ms, last_error, state";

/// Where work on the outbox is handed in.
pub(super) struct Desk(Jobs<Box<dyn Job>>);

impl Desk {
    /// Starts the thread. It opens the file itself, so that whoever hands in waits for no disk; it must be the file that is
    /// open already.
    pub(super) fn open(path: &Path, file: &Identity) -> Result<Self, StoreError> {
        let (jobs, handed_in) = mpsc::channel();
        let (path, file) = (path.to_owned(), file.clone());
        std::thread::Builder::new()
            .name("amply-outbox".to_owned())
            .spawn(move || serve(&path, &file, &handed_in))
            .map_err(|error| format!("the thread of the store's outbox cannot be started: {error}"))?;
        Ok(Self(jobs))
    }

    pub(super) fn hand_in(&self, job: Box<dyn Job>) {
        if let Err(mpsc::SendError(job)) = self.0.send(job) {
            job.ended(Err(GONE.to_owned()));
        }
    }
}

fn connect(path: &Path, file: &Identity) -> Result<Connection, StoreError> {
    let connection = open_connection(path).map_err(|trouble| trouble.into_words(path))?;
    file.check()?;
    connection
        .pragma_update(None, "synchronous", "NORMAL")
        .map_err(|error| trouble(path, error).into_words(path))?;
    connection.set_prepared_statement_cache_capacity(32);
    Ok(connection)
}

/// Does what is handed in until nobody can hand in any more.
fn serve(path: &Path, file: &Identity, handed_in: &Receiver<Box<dyn Job>>) {
    let mut connection = None;
    let mut rows = None;
    let mut batch: Vec<Box<dyn Job>> = Vec::new();
    while let Ok(first) = handed_in.recv() {
        batch.push(first);
        while batch.len() < BATCH
            && let Ok(next) = handed_in.try_recv()
        {
            batch.push(next);
        }
        // One that could not be opened is tried again with the next work.
        let end = match &mut connection {
            Some(connection) => together(connection, path, file, &mut rows, &mut batch),
            None => connect(path, file)
                .and_then(|opened| together(connection.insert(opened), path, file, &mut rows, &mut batch)),
        };
        if end.is_err() {
            rows = None;
        }
        for job in batch.drain(..) {
            job.ended(end.clone());
        }
    }
}

/// All of it in one transaction: kept together, or not at all.
fn together(
    connection: &mut Connection,
    path: &Path,
    file: &Identity,
    rows: &mut Option<i64>,
    batch: &mut [Box<dyn Job>],
) -> Result<(), StoreError> {
    let refuse = |error| trouble(path, error).into_words(path);
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(refuse)?;
    file.check()?;
    let mut letters = InTransaction { connection: &transaction, path, rows, is_full: false };
    for job in batch {
        job.run(&mut letters)?;
    }
    transaction.commit().map_err(refuse)?;
    file.check()
}

struct InTransaction<'a> {
    connection: &'a Connection,
    path: &'a Path,
    /// How many rows there are, as far as this process knows; others add, too.
    rows: &'a mut Option<i64>,
    /// There is no room, as was found a moment ago; looking again would hold everybody up.
    is_full: bool,
}

impl InTransaction<'_> {
    fn refuse(&self, error: rusqlite::Error) -> StoreError {
        trouble(self.path, error).into_words(self.path)
    }

    fn statement(&self, sql: &str) -> rusqlite::Result<CachedStatement<'_>> {
        self.connection.prepare_cached(sql)
    }

    fn count(&self) -> rusqlite::Result<i64> {
        self.connection.query_row("SELECT count(*) FROM outbox", [], |row| row.get(0))
    }

    /// Whether there is room for one more.
    fn has_room(&mut self, limit: i64) -> rusqlite::Result<bool> {
        if self.is_full || self.rows.is_some_and(|rows| rows < limit) {
            return Ok(!self.is_full);
        }
        let mut rows = self.count()?;
        for state in ["delivered", "dead"] {
            if rows >= limit {
                let surplus = rows - limit + 1 + limit / ROOM;
                let gone = self.connection.execute(
                    &format!(
                        "DELETE FROM outbox WHERE rowid IN (SELECT rowid FROM outbox WHERE state = '{state}' \
                         ORDER BY not_before_ms LIMIT ?1)"
                    ),
                    [surplus],
                )?;
                rows = rows.saturating_sub(i64::try_from(gone).unwrap_or(i64::MAX));
            }
        }
        *self.rows = Some(rows);
        self.is_full = rows >= limit;
        Ok(!self.is_full)
    }

    fn insert(&mut self, letter: &Letter, limit: u64) -> rusqlite::Result<Added> {
        if !self.has_room(i64::try_from(limit).unwrap_or(i64::MAX))? {
            match self.read_state(&letter.base_url, &letter.principal, &letter.route_id)? {
                None => return Ok(Added::Full),
                Some(LetterState::Pending | LetterState::Delivered) => return Ok(Added::Known),
                // Replaced in its place.
                Some(LetterState::Dead) => {}
            }
        }
        // A dead one is replaced: whoever reports it again may have mended why it died.
        let added = self
            .statement(
                "INSERT INTO outbox (id, base_url, principal, route_id, provider_id, idempotency_key, endpoint, body, \
                 created_ms, not_before_ms, attempts, leased_until_ms, last_error, state) \
                 VALUES (:id, :base_url, :principal, :route_id, :provider_id, :key, :endpoint, :body, :created, \
                 :not_before, :attempts, :leased_until, :last_error, :state) \
                 ON CONFLICT (base_url, principal, route_id) DO UPDATE SET id = excluded.id, \
                 provider_id = excluded.provider_id, endpoint = excluded.endpoint, body = excluded.body, \
                 created_ms = excluded.created_ms, not_before_ms = excluded.not_before_ms, \
                 attempts = excluded.attempts, leased_until_ms = excluded.leased_until_ms, \
                 last_error = excluded.last_error, state = excluded.state WHERE state = 'dead'",
            )?
            .execute(named_params! {
                ":id": letter.id,
                ":base_url": letter.base_url,
                ":principal": letter.principal,
                ":route_id": letter.route_id,
                ":provider_id": letter.provider_id,
                ":key": letter.idempotency_key,
                ":endpoint": letter.endpoint,
                ":body": letter.body,
                ":created": letter.created_ms,
                ":not_before": letter.not_before_ms,
                ":attempts": letter.attempts,
                ":leased_until": letter.leased_until_ms,
                ":last_error": letter.last_error,
                ":state": letter.state.as_str(),
            })?;
        if added == 0 {
            return Ok(Added::Known);
        }
        *self.rows = self.rows.map(|rows| rows + 1);
        Ok(Added::New)
    }

    fn read_state(
        &self,
        base_url: &str,
        principal: &str,
        route_id: &str,
    ) -> rusqlite::Result<Option<LetterState>> {
        let mut statement = self
            .statement("SELECT state FROM outbox WHERE base_url = ?1 AND principal = ?2 AND route_id = ?3")?;
        let state: Option<String> =
            statement.query_row([base_url, principal, route_id], |row| row.get(0)).optional()?;
        Ok(state.map(|state: String| LetterState::parse(&state).unwrap_or(LetterState::Dead)))
    }

    fn take(
        &self,
        sender: &Sender,
        now_ms: i64,
        until_ms: i64,
        at_most: usize,
    ) -> rusqlite::Result<Vec<Letter>> {
        let mut due = self.statement(&format!(
            "SELECT {COLUMNS} FROM outbox WHERE base_url = ?1 AND principal = ?2 AND state = 'pending' \
             AND (not_before_ms <= ?3 OR not_before_ms > ?5) AND (leased_until_ms <= ?3 OR leased_until_ms > ?5) \
             ORDER BY not_before_ms LIMIT ?4"
        ))?;
        let far = until_ms.saturating_add(FAR_MS);
        let at_most = i64::try_from(at_most).unwrap_or(i64::MAX);
        let mut letters: Vec<Letter> = due
            .query_map(params![sender.base_url, sender.principal, now_ms, at_most, far], letter)?
            .collect::<Result<_, _>>()?;
        let mut lease = self.statement("UPDATE outbox SET leased_until_ms = ?2 WHERE id = ?1")?;
        for letter in &mut letters {
            lease.execute(params![letter.id, until_ms])?;
            letter.leased_until_ms = until_ms;
        }
        Ok(letters)
    }

    fn write_try(&self, id: &str, tried: &Tried, now_ms: i64) -> rusqlite::Result<usize> {
        let (state, not_before_ms, reason) = match tried {
            Tried::Delivered => (LetterState::Delivered, now_ms, None),
            Tried::Dead { reason } => (LetterState::Dead, now_ms, Some(reason)),
            Tried::Later { not_before_ms, reason } => (LetterState::Pending, *not_before_ms, Some(reason)),
        };
        self.statement(
            "UPDATE outbox SET state = ?2, not_before_ms = ?3, last_error = ?4, \
             attempts = attempts + 1, leased_until_ms = 0 WHERE id = ?1 AND state <> 'delivered'",
        )?
        .execute(params![id, state.as_str(), not_before_ms, reason])
    }

    fn look(&self, sender: &Sender, now_ms: i64) -> rusqlite::Result<Waiting> {
        self.statement(
            "SELECT count(*), count(*) FILTER (WHERE leased_until_ms <= ?3), \
             min(max(not_before_ms, leased_until_ms)) FROM outbox \
             WHERE base_url = ?1 AND principal = ?2 AND state = 'pending'",
        )?
        .query_row(params![sender.base_url, sender.principal, now_ms], |row| {
            let count = |column| row.get::<_, i64>(column).map(|count| u64::try_from(count).unwrap_or(0));
            Ok(Waiting { pending: count(0)?, idle: count(1)?, next_due_ms: row.get(2)? })
        })
    }

    fn kept(&self, at_most: usize) -> rusqlite::Result<Vec<Letter>> {
        let mut kept = self.statement(&format!(
            "SELECT {COLUMNS} FROM outbox WHERE state <> 'delivered' ORDER BY rowid LIMIT ?1"
        ))?;
        kept.query_map([i64::try_from(at_most).unwrap_or(i64::MAX)], letter)?.collect()
    }

    fn one(&self, id: &str) -> rusqlite::Result<Option<Letter>> {
        let mut one = self.statement(&format!("SELECT {COLUMNS} FROM outbox WHERE id = ?1"))?;
        one.query_row([id], letter).optional()
    }
}

impl Letters for InTransaction<'_> {
    fn add(&mut self, letter: &Letter, limit: u64) -> Result<Added, StoreError> {
        self.insert(letter, limit).map_err(|error| self.refuse(error))
    }

    fn state_of(&mut self, sender: &Sender, route_id: &str) -> Result<Option<LetterState>, StoreError> {
        self.read_state(&sender.base_url, &sender.principal, route_id).map_err(|error| self.refuse(error))
    }

    fn lease(
        &mut self,
        sender: &Sender,
        now_ms: i64,
        until_ms: i64,
        at_most: usize,
    ) -> Result<Vec<Letter>, StoreError> {
        self.take(sender, now_ms, until_ms, at_most).map_err(|error| self.refuse(error))
    }

    fn tried(&mut self, id: &str, tried: &Tried, now_ms: i64) -> Result<(), StoreError> {
        self.write_try(id, tried, now_ms).map(|_| ()).map_err(|error| self.refuse(error))
    }

    fn give_back(&mut self, ids: &[String]) -> Result<(), StoreError> {
        for id in ids {
            let given = self
                .statement("UPDATE outbox SET leased_until_ms = 0 WHERE id = ?1")
                .and_then(|mut give| give.execute([id]));
            given.map_err(|error| self.refuse(error))?;
        }
        Ok(())
    }

    fn waiting(&mut self, sender: &Sender, now_ms: i64) -> Result<Waiting, StoreError> {
        self.look(sender, now_ms).map_err(|error| self.refuse(error))
    }

    fn has_pending(&mut self, sender: &Sender) -> Result<bool, StoreError> {
        let found = self.connection.query_row(
            "SELECT EXISTS (SELECT 1 FROM outbox WHERE base_url = ?1 AND principal = ?2 AND state = 'pending')",
            [&sender.base_url, &sender.principal],
            |row| row.get(0),
        );
        found.map_err(|error| self.refuse(error))
    }

    fn hurry(&mut self, sender: &Sender, now_ms: i64) -> Result<(), StoreError> {
        let hurried = self.connection.execute(
            "UPDATE outbox SET not_before_ms = ?3 WHERE base_url = ?1 AND principal = ?2 AND state = 'pending' \
             AND not_before_ms > ?3",
            params![sender.base_url, sender.principal, now_ms],
        );
        hurried.map(|_| ()).map_err(|error| self.refuse(error))
    }

    fn list(&mut self, at_most: usize) -> Result<Vec<Letter>, StoreError> {
        self.kept(at_most).map_err(|error| self.refuse(error))
    }

    fn find(&mut self, id: &str) -> Result<Option<Letter>, StoreError> {
        self.one(id).map_err(|error| self.refuse(error))
    }

    fn retry(&mut self, id: &str, now_ms: i64) -> Result<bool, StoreError> {
        let changed = self.connection.execute(
            "UPDATE outbox SET state = 'pending', not_before_ms = ?2, created_ms = ?2 \
             WHERE id = ?1 AND state <> 'delivered'",
            params![id, now_ms],
        );
        changed.map(|rows| rows == 1).map_err(|error| self.refuse(error))
    }

    fn retry_dead(&mut self, now_ms: i64) -> Result<u64, StoreError> {
        let changed = self.connection.execute(
            "UPDATE outbox SET state = 'pending', not_before_ms = ?1, created_ms = ?1 WHERE state = 'dead'",
            [now_ms],
        );
        changed.map(|rows| rows as u64).map_err(|error| self.refuse(error))
    }

    fn discard(&mut self, id: &str) -> Result<bool, StoreError> {
        let gone = self.connection.execute("DELETE FROM outbox WHERE id = ?1 AND state <> 'delivered'", [id]);
        *self.rows = None;
        gone.map(|rows| rows == 1).map_err(|error| self.refuse(error))
    }

    fn forget(&mut self, delivered_before_ms: i64) -> Result<usize, StoreError> {
        // A part at a time: nobody else should wait for this.
        let gone = self.connection.execute(
            "DELETE FROM outbox WHERE rowid IN (SELECT rowid FROM outbox \
             WHERE state = 'delivered' AND not_before_ms < ?1 ORDER BY not_before_ms LIMIT 10000)",
            [delivered_before_ms],
        );
        let gone = gone.map_err(|error| self.refuse(error))?;
        *self.rows = self.rows.map(|rows| rows.saturating_sub(i64::try_from(gone).unwrap_or(i64::MAX)));
        Ok(gone)
    }
}

fn letter(row: &Row<'_>) -> rusqlite::Result<Letter> {
    let state: String = row.get("state")?;
    Ok(Letter {
        id: row.get("id")?,
        base_url: row.get("base_url")?,
        principal: row.get("principal")?,
        route_id: row.get("route_id")?,
        provider_id: row.get("provider_id")?,
        idempotency_key: row.get("idempotency_key")?,
        endpoint: row.get("endpoint")?,
        body: row.get("body")?,
        created_ms: row.get("created_ms")?,
        not_before_ms: row.get("not_before_ms")?,
        attempts: row.get("attempts")?,
        leased_until_ms: row.get("leased_until_ms")?,
        last_error: row.get("last_error")?,
        // What another version wrote and this one does not know is for a person to look at.
        state: LetterState::parse(&state).unwrap_or(LetterState::Dead),
    })
}
