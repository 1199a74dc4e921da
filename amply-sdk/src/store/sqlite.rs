//! Rows in a file that processes share: SQLite, write-ahead log, every commit flushed to the disk.

mod outbox;

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use rusqlite::types::{FromSql, FromSqlError, FromSqlResult, ValueRef};
use rusqlite::{
    Connection, ErrorCode, OpenFlags, OptionalExtension, Row, TransactionBehavior, named_params, params,
};

use self::outbox::Desk;
use super::file::{self, Identity, shown};
use super::outbox::Job;
use super::rows::{Block, Query, Rows, StoreError};
use super::{Place, Store, Work};
use crate::error::Error;
use crate::money::Usd;
use crate::payment::{OpenPayment, PaidAnswer, PaidCall, Payment, Rail};

/// Marks a file as ours ("AMPL"), so that another program's database is not taken for an empty store.
const APPLICATION: i64 = 0x414d_504c;
/// How long another process that is writing is waited for.
const PATIENCE: Duration = Duration::from_secs(5);

/// What brings a file from each version of the schema to the next, from an empty one on. What was released is never changed:
/// a change is one more step.
const STEPS: [&str; 3] = [FIRST, SECOND, THIRD];
/// The schema of this version. A file of a newer one is refused and left as it is.
const VERSION: i64 = STEPS.len() as i64;

const FIRST: &str = "
CREATE TABLE payment (
    id TEXT PRIMARY KEY,
    rail TEXT NOT NULL,
    base_url TEXT NOT NULL,
    wallet TEXT NOT NULL,
    principal_id TEXT,
    idempotency_key TEXT NOT NULL UNIQUE,
    amount_nano_usd INTEGER NOT NULL,
    counts_on_day INTEGER NOT NULL,
    state TEXT NOT NULL,
    verdict TEXT,
    owner TEXT NOT NULL,
    lease_until_ms INTEGER NOT NULL,
    tried_ms INTEGER,
    request_body TEXT NOT NULL,
    balance_before_nano_usd INTEGER,
    network TEXT,
    asset TEXT,
    pay_to TEXT,
    nonce TEXT,
    valid_before INTEGER,
    \"transaction\" TEXT,
    has_left INTEGER NOT NULL,
    receipt_json TEXT,
    error TEXT,
    created_ms INTEGER NOT NULL,
    ended_ms INTEGER
) STRICT;
-- One payment at a time for a wallet, whoever pays: known by its key, and by its principal.
CREATE UNIQUE INDEX one_payment_of_a_key ON payment (base_url, wallet)
    WHERE rail = 'wallet' AND verdict IS NULL AND state IN ('intent', 'sent', 'unknown', 'settled_not_applied');
CREATE UNIQUE INDEX one_payment_of_a_principal ON payment (base_url, principal_id)
    WHERE rail = 'wallet' AND verdict IS NULL AND state IN ('intent', 'sent', 'unknown', 'settled_not_applied')
    AND principal_id IS NOT NULL;
CREATE INDEX payment_by_day ON payment (counts_on_day);

CREATE TABLE payment_call (
    payment_id TEXT NOT NULL REFERENCES payment (id),
    number INTEGER NOT NULL,
    call_key TEXT NOT NULL,
    led INTEGER NOT NULL,
    share_nano_usd INTEGER NOT NULL,
    route_id TEXT,
    PRIMARY KEY (payment_id, number)
) STRICT, WITHOUT ROWID;
CREATE INDEX payment_call_by_key ON payment_call (call_key) WHERE led = 1;

-- The answers to requests that carried a payment; kept for a day.
CREATE TABLE payment_answer (
    payment_id TEXT PRIMARY KEY REFERENCES payment (id),
    status INTEGER NOT NULL,
    headers_json TEXT NOT NULL,
    body BLOB NOT NULL,
    kept_ms INTEGER NOT NULL
) STRICT;

-- Nothing is paid while there is a row.
CREATE TABLE block (
    reason TEXT NOT NULL,
    created_ms INTEGER NOT NULL
) STRICT;

CREATE TABLE outbox (
    id TEXT PRIMARY KEY,
    base_url TEXT NOT NULL,
    principal TEXT NOT NULL,
    route_id TEXT NOT NULL,
    provider_id TEXT,
    idempotency_key TEXT NOT NULL,
    endpoint TEXT,
    body TEXT NOT NULL,
    created_ms INTEGER NOT NULL,
    not_before_ms INTEGER NOT NULL,
    attempts INTEGER NOT NULL,
    leased_until_ms INTEGER NOT NULL,
    last_error TEXT,
    state TEXT NOT NULL,
    UNIQUE (base_url, principal, route_id)
) STRICT;
CREATE INDEX outbox_due ON outbox (base_url, principal, state, not_before_ms);
";

/// Who was asked for a payment: nobody else is asked again what became of it. And what has just ended is found at once.
const SECOND: &str = "
ALTER TABLE payment ADD COLUMN payer TEXT;
CREATE INDEX payment_by_end ON payment (ended_ms);
-- What a server's origin was paid first, and what became of the latest payments there, by network.
CREATE INDEX payment_settled_at ON payment
    (substr(base_url, 1, instr(substr(base_url, 9), '/') + 7), network, created_ms, id)
    WHERE rail = 'x402' AND state IN ('settled', 'settled_not_applied');
CREATE INDEX payment_ended_at ON payment
    (substr(base_url, 1, instr(substr(base_url, 9), '/') + 7), network, created_ms, id)
    WHERE rail = 'x402' AND has_left = 1 AND state NOT IN ('intent', 'sent');
-- What makes room in the outbox, the oldest first.
CREATE INDEX outbox_delivered ON outbox (not_before_ms) WHERE state = 'delivered';
CREATE INDEX outbox_dead ON outbox (not_before_ms) WHERE state = 'dead';
";

/// What was asked for under a key: an answer is given again to the same request alone, and an order is the same by this.
const THIRD: &str = "
ALTER TABLE payment ADD COLUMN asked TEXT;
";

const COLUMNS: &str = "id, rail, base_url, wallet, principal_id, idempotency_key, amount_nano_usd, counts_on_day, state, \
     verdict, owner, lease_until_ms, tried_ms, request_body, balance_before_nano_usd, network, asset, pay_to, nonce, \
     valid_before, \"transaction\", has_left, receipt_json, error, created_ms, ended_ms, payer, asked";

/// Signed transfers at an origin (`:text`) and on a network (`:network`). The origin is the base URL up to its path.
const AT: &str = "rail = 'x402' AND substr(base_url, 1, instr(substr(base_url, 9), '/') + 7) = :text AND network = :network";

impl Store {
    /// Opens a store in a file, and makes it where there is none: the folder for its owner alone (0700), the file too
    /// (0600).
    ///
    /// Any number of processes of this machine may have it open. A file that cannot be read is set aside as
    /// `NAME.corrupt-TIME`; from the new one nothing is paid until a person has looked and says so
    /// ([`Payments::unblock`](crate::Payments::unblock)).
    ///
    /// # Errors
    /// [`Error::Store`] when there is no place for it, when it is on a network file system, when it is another program's,
    /// or when a newer version of this client made it: it is left as it is.
    ///
    /// ```
    /// # let folder = std::env::temp_dir().join(format!("amply-doc-{}", std::process::id()));
    /// use amply_sdk::Store;
    ///
    /// let store = Store::open(folder.join("store.db"))?;
    /// assert!(store.path().is_some());
    /// # std::fs::remove_dir_all(folder).ok();
    /// # Ok::<(), amply_sdk::Error>(())
    /// ```
    pub fn open(path: impl AsRef<Path>) -> Result<Self, Error> {
        let path = path.as_ref();
        // Whatever folder the process works in later.
        let whole = std::path::absolute(path)
            .map_err(|error| Error::Store(format!("the store `{}` has no place: {error}", shown(path))))?;
        open(&whole).map(Self::at).map_err(Error::Store)
    }
}

struct InFile {
    path: PathBuf,
    is_new: bool,
    file: Identity,
    connection: Mutex<Connection>,
    /// Opened at first need: most who pay report nothing, and the other way round.
    desk: Mutex<Option<Desk>>,
}

fn open(path: &Path) -> Result<InFile, StoreError> {
    let mut is_new = file::prepare(path)?.is_new;
    let kept = |(connection, file), is_new| InFile {
        path: path.to_owned(),
        is_new,
        file,
        connection: Mutex::new(connection),
        desk: Mutex::default(),
    };
    match connect(path, Turn::Any) {
        Ok(opened) => return Ok(kept(opened, is_new)),
        // A file that is just being moved away can fail in any way.
        Err(Trouble::Other(why)) if file::mark(path)?.is_none() => return Err(why),
        Err(_) => {}
    }
    let _one_at_a_time = file::lock(path)?;
    // Another process may have set it aside meanwhile, or have died on the way.
    is_new |= file::prepare(path)?.is_new;
    match connect(path, Turn::Alone) {
        Ok(opened) => return Ok(kept(opened, is_new)),
        Err(Trouble::Corrupt(_)) => {}
        Err(trouble) => return Err(trouble.into_words(path)),
    }
    file::set_aside(path)?;
    file::prepare(path)?;
    let opened = connect(path, Turn::Alone).map_err(|trouble| trouble.into_words(path))?;
    Ok(kept(opened, true))
}

/// Who opens a file.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Turn {
    /// Any number at once.
    Any,
    /// The one process that holds the store's lock, and may change which file it is.
    Alone,
}

/// What keeps a file from being used.
enum Trouble {
    /// What is in it cannot be read.
    Corrupt(String),
    /// It is being set aside, or was, and the new one is not blocked yet.
    SetAside,
    Other(String),
}

impl Trouble {
    fn into_words(self, path: &Path) -> String {
        match self {
            Self::Corrupt(words) | Self::Other(words) => words,
            Self::SetAside => {
                format!("the store `{}` was moved or replaced while it was opened; try again", shown(path))
            }
        }
    }
}

/// A connection to a file that is there, used by one thread at a time.
fn open_connection(path: &Path) -> Result<Connection, Trouble> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags).map_err(|error| trouble(path, error))?;
    connection.busy_timeout(PATIENCE).map_err(|error| trouble(path, error))?;
    Ok(connection)
}

fn connect(path: &Path, turn: Turn) -> Result<(Connection, Identity), Trouble> {
    let refuse = |error| trouble(path, error);
    let file = Identity::of(path).map_err(|_| Trouble::SetAside)?;
    let mut connection = open_connection(path)?;
    let number = |connection: &Connection, name: &str| {
        connection.pragma_query_value(None, name, |row| row.get::<_, i64>(0)).map_err(refuse)
    };
    // Looked at before anything is written: a file that is not ours stays as it is.
    check(path, number(&connection, "user_version")?, number(&connection, "application_id")?, || {
        number(&connection, "schema_version")
    })?;
    connection.pragma_update(None, "journal_mode", "WAL").map_err(refuse)?;
    connection.pragma_update(None, "synchronous", "FULL").map_err(refuse)?;
    connection.pragma_update(None, "foreign_keys", true).map_err(refuse)?;
    migrate(path, &mut connection)?;
    let finding: String =
        connection.query_row("PRAGMA quick_check('payment')", [], |row| row.get(0)).map_err(refuse)?;
    if finding != "ok" {
        return Err(Trouble::Corrupt(format!("the store `{}` is damaged: {finding}", shown(path))));
    }
    // What was opened is what the path leads to.
    file.check().map_err(|_| Trouble::SetAside)?;
    // Whoever makes a new file in place of one that was set aside leaves the mark until the block is in the new one. So a
    // file without a mark is one that may pay, or is blocked.
    if let Some(mark) = file::mark(path).map_err(Trouble::Other)? {
        if turn == Turn::Any {
            return Err(Trouble::SetAside);
        }
        let reason = mark.reason(path);
        tracing::warn!("{reason}");
        block(&connection, &reason).map_err(refuse)?;
        file::unmark(path).map_err(Trouble::Other)?;
    }
    Ok((connection, file))
}

/// Keeps payments from being made, until a person says that they may.
fn block(connection: &Connection, reason: &str) -> rusqlite::Result<usize> {
    connection.execute(
        "INSERT INTO block (reason, created_ms) SELECT ?1, unixepoch() * 1000 \
         WHERE NOT EXISTS (SELECT 1 FROM block WHERE reason = ?1)",
        [reason],
    )
}

fn check(
    path: &Path,
    version: i64,
    application: i64,
    schema: impl FnOnce() -> Result<i64, Trouble>,
) -> Result<(), Trouble> {
    if application == APPLICATION && version > VERSION {
        return Err(Trouble::Other(format!(
            "the store `{}` was made by a newer version of this client (schema {version}, this one knows {VERSION}); use that \
             version, or name another store",
            shown(path)
        )));
    }
    let is_empty = version == 0 && application == 0 && schema()? == 0;
    if application != APPLICATION && !is_empty {
        return Err(Trouble::Other(format!(
            "`{}` is a database of another program; name another place for the store",
            shown(path)
        )));
    }
    Ok(())
}

/// Brings the schema up to this version, forward only.
fn migrate(path: &Path, connection: &mut Connection) -> Result<(), Trouble> {
    let refuse = |error| trouble(path, error);
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(refuse)?;
    // Read within the transaction: of two processes that make the file at once one finds the other's work.
    let version: i64 =
        transaction.pragma_query_value(None, "user_version", |row| row.get(0)).map_err(refuse)?;
    if version < VERSION {
        for step in STEPS.iter().skip(usize::try_from(version).unwrap_or_default()) {
            transaction.execute_batch(step).map_err(refuse)?;
        }
        transaction.pragma_update(None, "application_id", APPLICATION).map_err(refuse)?;
        transaction.pragma_update(None, "user_version", VERSION).map_err(refuse)?;
    }
    transaction.commit().map_err(refuse)
}

/// What SQLite says, in words with what to do.
fn trouble(path: &Path, error: rusqlite::Error) -> Trouble {
    let store = format!("the store `{}`", shown(path));
    let code = error.sqlite_error_code();
    let words = match code {
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
            format!(
                "{store} is held by another process for more than {} s; end it and try again",
                PATIENCE.as_secs()
            )
        }
        Some(ErrorCode::DiskFull) => {
            format!("{store} cannot be written: no room is left; make room and try again")
        }
        Some(ErrorCode::ReadOnly | ErrorCode::CannotOpen | ErrorCode::PermissionDenied) => {
            format!("{store} cannot be written ({error}); check its permissions, or name another place")
        }
        Some(ErrorCode::SystemIoFailure) => {
            format!("{store} cannot be read or written ({error}); check the disk and the room on it")
        }
        Some(ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt) => {
            return Trouble::Corrupt(format!(
                "{store} is damaged ({error}); start again to have it set aside"
            ));
        }
        _ => format!("{store} failed: {error}"),
    };
    Trouble::Other(words)
}

impl Place for InFile {
    fn transaction(&self, work: &mut Work<'_>) -> Result<(), StoreError> {
        let refuse = |error| trouble(&self.path, error).into_words(&self.path);
        let mut connection = self.connection.lock().unwrap_or_else(PoisonError::into_inner);
        // Immediate: what was read must still hold when it is written.
        let transaction =
            connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(refuse)?;
        self.file.check()?;
        work(&mut InTransaction { connection: &transaction, path: &self.path })?;
        transaction.commit().map_err(refuse)?;
        // What was kept in a file that was moved away meanwhile is not gone on with.
        self.file.check()
    }

    fn hand_in(&self, job: Box<dyn Job>) {
        let mut desk = self.desk.lock().unwrap_or_else(PoisonError::into_inner);
        let desk = match &*desk {
            Some(desk) => desk,
            None => match Desk::open(&self.path, &self.file) {
                Ok(opened) => desk.insert(opened),
                Err(why) => return job.ended(Err(why)),
            },
        };
        desk.hand_in(job);
    }

    fn path(&self) -> Option<&Path> {
        Some(&self.path)
    }

    fn is_new(&self) -> bool {
        self.is_new
    }
}

struct InTransaction<'a> {
    connection: &'a Connection,
    path: &'a Path,
}

impl InTransaction<'_> {
    fn refuse(&self, error: rusqlite::Error) -> StoreError {
        trouble(self.path, error).into_words(self.path)
    }

    fn read(&self, query: Query<'_>) -> rusqlite::Result<Vec<Payment>> {
        // In the words of the indexes that answer it.
        const OPEN: &str = "rail = 'wallet' AND verdict IS NULL \
             AND state IN ('intent', 'sent', 'unknown', 'settled_not_applied')";
        let mut order = "created_ms, id";
        let (mut text, mut number, mut network) = (None, None, None);
        let condition = match query {
            Query::All => "1".to_owned(),
            Query::Id(id) => {
                text = Some(id);
                "id = :text".to_owned()
            }
            Query::Open => OPEN.to_owned(),
            Query::Day(day) => {
                // A signed transfer may count on the day after its own.
                number = Some(day);
                format!(
                    "id IN (SELECT id FROM payment WHERE counts_on_day >= :number - 1 \
                     UNION SELECT id FROM payment WHERE {OPEN})"
                )
            }
            Query::LedBy(call_key) => {
                text = Some(call_key);
                "id IN (SELECT payment_id FROM payment_call WHERE led = 1 AND call_key = :text)".to_owned()
            }
            Query::FirstSettled(at) => {
                (text, network, order) = (Some(at.origin), Some(at.network), "created_ms, id LIMIT 1");
                format!("{AT} AND state IN ('settled', 'settled_not_applied')")
            }
            Query::LatestEnded(at, most) => {
                (text, network, number) = (Some(at.origin), Some(at.network), Some(i64::from(most)));
                order = "created_ms DESC, id DESC LIMIT :number";
                format!("{AT} AND has_left = 1 AND state NOT IN ('intent', 'sent')")
            }
            Query::EndedSince(ms) => {
                number = Some(ms);
                "ended_ms >= :number".to_owned()
            }
        };
        // A name that a condition does not use is bound all the same.
        let sql = format!(
            "SELECT {COLUMNS} FROM payment WHERE ({condition}) AND (:text IS :text) AND (:number IS :number) \
             AND (:network IS :network) ORDER BY {order}"
        );
        let mut statement = self.connection.prepare(&sql)?;
        let names = named_params! { ":text": text, ":number": number, ":network": network };
        let rows = statement.query_map(names, payment)?;
        let mut payments = rows.collect::<rusqlite::Result<Vec<_>>>()?;
        if matches!(query, Query::Day(_) | Query::FirstSettled(_) | Query::LatestEnded(..)) {
            return Ok(payments);
        }
        let mut calls = self.connection.prepare(
            "SELECT call_key, led, share_nano_usd, route_id FROM payment_call WHERE payment_id = ?1 ORDER BY number",
        )?;
        for payment in &mut payments {
            let rows = calls.query_map([&payment.id], |row| {
                Ok(PaidCall {
                    call_key: row.get(0)?,
                    led: row.get(1)?,
                    share_usd: Usd::from_nano(row.get(2)?),
                    route_id: row.get(3)?,
                })
            })?;
            payment.calls = rows.collect::<rusqlite::Result<_>>()?;
        }
        Ok(payments)
    }

    fn write(&self, payment: &Payment, is_new: bool) -> rusqlite::Result<usize> {
        let sql = match is_new {
            true => {
                "INSERT INTO payment (id, rail, base_url, wallet, principal_id, idempotency_key, amount_nano_usd, \
                 counts_on_day, state, verdict, owner, lease_until_ms, tried_ms, request_body, \
                 balance_before_nano_usd, network, asset, pay_to, nonce, valid_before, \"transaction\", has_left, \
                 receipt_json, error, created_ms, ended_ms, payer, asked) \
                 VALUES (:id, :rail, :base_url, :wallet, :principal_id, :idempotency_key, :amount, :day, :state, \
                 :verdict, :owner, :lease, :tried, :request, :before, :network, :asset, :pay_to, :nonce, \
                 :valid_before, :transaction, :has_left, :receipt, :error, :created, :ended, :payer, :asked)"
            }
            false => {
                "UPDATE payment SET rail = :rail, base_url = :base_url, wallet = :wallet, \
                 principal_id = :principal_id, idempotency_key = :idempotency_key, amount_nano_usd = :amount, \
                 counts_on_day = :day, state = :state, verdict = :verdict, owner = :owner, \
                 lease_until_ms = :lease, tried_ms = :tried, request_body = :request, \
                 balance_before_nano_usd = :before, network = :network, asset = :asset, pay_to = :pay_to, \
                 nonce = :nonce, valid_before = :valid_before, \"transaction\" = :transaction, \
                 has_left = :has_left, receipt_json = :receipt, error = :error, \
                 created_ms = :created, ended_ms = :ended, payer = :payer, asked = :asked WHERE id = :id"
            }
        };
        let open = payment.open.as_ref();
        let receipt = match open {
            Some(open) => open.receipt_json.clone(),
            None => payment.receipt.as_ref().and_then(|receipt| serde_json::to_string(receipt).ok()),
        };
        self.connection.execute(
            sql,
            named_params! {
                ":id": payment.id,
                ":rail": payment.rail.as_str(),
                ":base_url": payment.base_url,
                ":wallet": payment.wallet,
                ":principal_id": payment.principal_id,
                ":idempotency_key": payment.idempotency_key,
                ":amount": payment.amount.to_nano_up(),
                ":day": payment.day,
                ":state": payment.state.as_str(),
                ":verdict": payment.verdict.map(|verdict| verdict.as_str()),
                ":owner": payment.owner,
                ":lease": payment.lease_until_ms,
                ":tried": payment.tried_ms,
                ":request": payment.request,
                ":before": payment.balance_before.and_then(Usd::to_nano_up),
                ":network": open.map(|open| &open.network),
                ":asset": open.map(|open| &open.asset),
                ":pay_to": open.map(|open| &open.pay_to),
                ":nonce": open.map(|open| &open.nonce),
                ":valid_before": open.map(|open| open.valid_before),
                ":transaction": open.and_then(|open| open.transaction.as_ref()),
                ":has_left": open.is_some_and(|open| open.has_left),
                ":receipt": receipt,
                ":error": payment.reason,
                ":created": payment.created_ms,
                ":ended": payment.ended_ms,
                ":payer": payment.payer,
                ":asked": payment.asked,
            },
        )
    }

    fn write_calls(&self, payment: &Payment) -> rusqlite::Result<()> {
        let mut statement = self.connection.prepare(
            "INSERT INTO payment_call (payment_id, number, call_key, led, share_nano_usd, route_id) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT DO UPDATE SET route_id = excluded.route_id",
        )?;
        for (number, call) in (0_i64..).zip(&payment.calls) {
            let share = call.share_usd.to_nano_up();
            statement.execute(params![payment.id, number, call.call_key, call.led, share, call.route_id])?;
        }
        Ok(())
    }
}

impl Rows for InTransaction<'_> {
    fn select(&mut self, query: Query<'_>) -> Result<Vec<Payment>, StoreError> {
        self.read(query).map_err(|error| self.refuse(error))
    }

    fn insert(&mut self, payment: &Payment) -> Result<(), StoreError> {
        let written = self.write(payment, true).and_then(|_| self.write_calls(payment));
        written.map_err(|error| self.refuse(error))
    }

    fn update(&mut self, payment: &Payment) -> Result<(), StoreError> {
        match self.write(payment, false).and_then(|rows| self.write_calls(payment).map(|()| rows)) {
            Ok(1) => Ok(()),
            Ok(_) => Err(format!("the payment {} is gone from the store `{}`", payment.id, shown(self.path))),
            Err(error) => Err(self.refuse(error)),
        }
    }

    fn keep_answer(
        &mut self,
        id: &str,
        answer: &PaidAnswer,
        now_ms: i64,
        older_than_ms: i64,
    ) -> Result<(), StoreError> {
        let headers = serde_json::to_string(&answer.headers).unwrap_or_default();
        let forget =
            self.connection.execute("DELETE FROM payment_answer WHERE kept_ms < ?1", [older_than_ms]);
        let kept = forget.and_then(|_| {
            self.connection.execute(
                "INSERT OR REPLACE INTO payment_answer (payment_id, status, headers_json, body, kept_ms) \
                 VALUES (?1, ?2, ?3, ?4, ?5)",
                params![id, answer.status, headers, &*answer.body, now_ms],
            )
        });
        kept.map(|_| ()).map_err(|error| self.refuse(error))
    }

    fn answer(&mut self, id: &str, older_than_ms: i64) -> Result<Option<PaidAnswer>, StoreError> {
        let sql =
            "SELECT status, headers_json, body FROM payment_answer WHERE payment_id = ?1 AND kept_ms >= ?2";
        let answer = self.connection.query_row(sql, params![id, older_than_ms], |row| {
            let headers: String = row.get(1)?;
            let body: Vec<u8> = row.get(2)?;
            let headers = serde_json::from_str(&headers).unwrap_or_default();
            Ok(PaidAnswer { status: row.get(0)?, headers, body: body.into() })
        });
        answer.optional().map_err(|error| self.refuse(error))
    }

    fn newest_day(&mut self) -> Result<Option<i64>, StoreError> {
        let newest =
            self.connection.query_row("SELECT max(counts_on_day) FROM payment", [], |row| row.get(0));
        newest.map_err(|error| self.refuse(error))
    }

    fn block(&mut self) -> Result<Option<Block>, StoreError> {
        let reason =
            self.connection.query_row("SELECT reason FROM block LIMIT 1", [], |row| row.get(0)).optional();
        reason.map(|reason| reason.map(|reason| Block { reason })).map_err(|error| self.refuse(error))
    }

    fn unblock(&mut self) -> Result<(), StoreError> {
        self.connection.execute("DELETE FROM block", []).map(|_| ()).map_err(|error| self.refuse(error))
    }
}

fn payment(row: &Row<'_>) -> rusqlite::Result<Payment> {
    let receipt: Option<String> = row.get("receipt_json")?;
    let rail = row.get::<_, Word<Rail>>("rail")?.0;
    let open = match rail {
        Rail::X402 => Some(OpenPayment {
            network: row.get("network")?,
            asset: row.get("asset")?,
            pay_to: row.get("pay_to")?,
            nonce: row.get("nonce")?,
            valid_before: row.get("valid_before")?,
            transaction: row.get("transaction")?,
            receipt_json: receipt.clone(),
            has_left: row.get("has_left")?,
        }),
        Rail::Wallet => None,
    };
    Ok(Payment {
        id: row.get("id")?,
        rail,
        open,
        state: row.get::<_, Word<_>>("state")?.0,
        verdict: row.get::<_, Option<Word<_>>>("verdict")?.map(|word| word.0),
        amount: Usd::from_nano(row.get("amount_nano_usd")?),
        base_url: row.get("base_url")?,
        principal_id: row.get("principal_id")?,
        wallet: row.get("wallet")?,
        idempotency_key: row.get("idempotency_key")?,
        calls: Vec::new(),
        reason: row.get("error")?,
        // What was written by hand and is no receipt is worth less than the row.
        receipt: receipt.and_then(|json| serde_json::from_str(&json).ok()),
        created_ms: row.get("created_ms")?,
        ended_ms: row.get("ended_ms")?,
        day: row.get("counts_on_day")?,
        owner: row.get("owner")?,
        lease_until_ms: row.get("lease_until_ms")?,
        payer: row.get("payer")?,
        asked: row.get("asked")?,
        tried_ms: row.get("tried_ms")?,
        request: row.get("request_body")?,
        balance_before: row.get::<_, Option<i64>>("balance_before_nano_usd")?.map(Usd::from_nano),
    })
}

/// A word of one of the record's types.
struct Word<T>(T);

impl<T: std::str::FromStr<Err = Error>> FromSql for Word<T> {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        value.as_str()?.parse().map(Word).map_err(|error| FromSqlError::Other(Box::new(error)))
    }
}

#[cfg(test)]
mod tests;
