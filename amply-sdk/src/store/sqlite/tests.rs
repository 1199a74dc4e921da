//! What a file may be when a store is opened, and what becomes of it.

use std::fs;
use std::io::Write;

use super::*;
use crate::payment::{Payments, SpendPolicy};

struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        Self(std::env::temp_dir().join(format!("amply-store-{}", uuid::Uuid::now_v7())))
    }

    fn file(&self) -> PathBuf {
        self.0.join("state/store.db")
    }

    fn names(&self) -> Vec<String> {
        let mut names: Vec<String> = fs::read_dir(self.0.join("state"))
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn refused(path: &Path) -> String {
    let error = Store::open(path).unwrap_err();
    assert_eq!(error.code(), "store");
    error.to_string()
}

fn list(payments: &Payments) -> Result<Vec<Payment>, Error> {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(payments.list())
}

/// What beginning a payment says.
fn begin(store: &Store) -> Result<(), Error> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let ledger = crate::payment::Ledger::new(store.clone(), crate::payment::Clock::System);
    let policy = SpendPolicy::default().per_day(Usd::dollars(1));
    let wanted = crate::payment::wanted_for_tests(Usd::dollars(1));
    runtime.block_on(ledger.begin(wanted, &policy)).map(|_| ())
}

/// What looking into the outbox says.
fn reports(store: &Store) -> Result<(), Error> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(store.letters(|letters| letters.list(10))).map(|_| ())
}

#[cfg(unix)]
#[test]
fn folder_and_file_are_for_their_owner_alone_whatever_they_were() {
    use std::os::unix::fs::PermissionsExt;
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    let folder = Folder::new();
    let store = Store::open(folder.file()).unwrap();
    assert!(store.is_new());
    assert_eq!(mode(&folder.0.join("state")), 0o700);
    begin(&store).unwrap();
    for name in folder.names() {
        assert_eq!(mode(&folder.0.join("state").join(&name)), 0o600, "{name}");
    }
    fs::set_permissions(folder.file(), fs::Permissions::from_mode(0o644)).unwrap();
    assert!(!Store::open(folder.file()).unwrap().is_new());
    assert_eq!(mode(&folder.file()), 0o600);
}

#[test]
fn a_file_where_the_folder_should_be_is_named() {
    let folder = Folder::new();
    fs::create_dir_all(&folder.0).unwrap();
    fs::write(folder.0.join("state"), "").unwrap();
    let error = refused(&folder.file());
    assert!(error.contains("a file is in its place") && error.contains("name another place"), "{error}");
    let error = refused(&folder.0);
    assert!(error.contains("it is a folder"), "{error}");
}

#[test]
fn a_newer_file_and_another_programs_are_left_as_they_are() {
    let folder = Folder::new();
    drop(Store::open(folder.file()).unwrap());
    let connection = Connection::open(folder.file()).unwrap();
    connection.pragma_update(None, "user_version", VERSION + 1).unwrap();
    drop(connection);
    let before = fs::read(folder.file()).unwrap();
    let error = refused(&folder.file());
    let versions = format!("schema {}, this one knows {VERSION}", VERSION + 1);
    assert!(error.contains("newer version") && error.contains(&versions), "{error}");
    assert_eq!(fs::read(folder.file()).unwrap(), before);

    let other = folder.0.join("state/other.db");
    Connection::open(&other).unwrap().execute_batch("CREATE TABLE cookies (id)").unwrap();
    let before = fs::read(&other).unwrap();
    assert!(refused(&other).contains("another program"));
    assert_eq!(fs::read(&other).unwrap(), before);
}

#[test]
fn a_file_of_an_earlier_version_is_brought_up_to_date_with_all_that_is_in_it() {
    let folder = Folder::new();
    fs::create_dir_all(folder.0.join("state")).unwrap();
    let earlier = Connection::open(folder.file()).unwrap();
    earlier.execute_batch(FIRST).unwrap();
    earlier.pragma_update(None, "application_id", APPLICATION).unwrap();
    earlier.pragma_update(None, "user_version", 1).unwrap();
    earlier
        .execute_batch(
            "INSERT INTO payment VALUES ('p1', 'wallet', 'http://127.0.0.1:9', 'key', 'prn_1', 'k1', 1000000000, 20454, \
             'unknown', NULL, 'owner', 0, NULL, '{}', 0, NULL, NULL, NULL, NULL, NULL, NULL, 0, NULL, 'silence', \
             1767268800000, 1767268801000);
             INSERT INTO payment_call VALUES ('p1', 0, 'call', 1, 1000000000, NULL);
             INSERT INTO block VALUES ('a reason', 0);",
        )
        .unwrap();
    drop(earlier);
    let store = Store::open(folder.file()).unwrap();
    let payments = list(&store.payments()).unwrap();
    let [payment] = &payments[..] else { panic!("{payments:?}") };
    assert_eq!((&*payment.id, payment.amount, payment.calls.len()), ("p1", Usd::dollars(1), 1));
    // Nobody knows who was asked, so that nobody is asked again.
    assert_eq!(payment.payer, None);
    assert_eq!(payment.asked, None);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    assert_eq!(runtime.block_on(store.payments().blocked()).unwrap().as_deref(), Some("a reason"));
    runtime.block_on(store.payments().unblock()).unwrap();
    runtime.block_on(store.payments().resolve("p1", crate::payment::Verdict::Settled)).unwrap();
    begin(&store).unwrap();
    assert_eq!(list(&Store::open(folder.file()).unwrap().payments()).unwrap().len(), 2);
    // It is the same as one that was made by this version.
    let schema = |file: &Path| {
        let connection = Connection::open(file).unwrap();
        let version: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0)).unwrap();
        let mut statement =
            connection.prepare("SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL ORDER BY name").unwrap();
        let sql: Vec<String> =
            statement.query_map([], |row| row.get(0)).unwrap().collect::<rusqlite::Result<_>>().unwrap();
        (version, sql)
    };
    let new = folder.0.join("state/new.db");
    drop(Store::open(&new).unwrap());
    assert_eq!(schema(&folder.file()), schema(&new));
    assert_eq!(schema(&new).0, VERSION);
}

#[test]
fn a_file_that_cannot_be_read_is_set_aside_and_nothing_is_paid_until_somebody_says_so() {
    let folder = Folder::new();
    fs::create_dir_all(folder.0.join("state")).unwrap();
    fs::write(folder.file(), "this is no database, and long enough to be looked at as one".repeat(40))
        .unwrap();
    let store = Store::open(folder.file()).unwrap();
    assert!(folder.names().iter().any(|name| name.starts_with("store.db.corrupt-")), "{:?}", folder.names());
    let error = begin(&store).unwrap_err().to_string();
    assert!(error.contains("set aside as") && error.contains("amply payments unblock"), "{error}");
    // It holds for everybody who opens the new file, too.
    let again = Store::open(folder.file()).unwrap();
    assert_eq!(begin(&again).unwrap_err().code(), "store");
    assert!(list(&again.payments()).unwrap().is_empty());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    assert!(runtime.block_on(again.payments().unblock()).unwrap());
    assert!(!runtime.block_on(again.payments().unblock()).unwrap());
    begin(&store).unwrap();
}

#[test]
fn a_damaged_ledger_is_set_aside_too() {
    let folder = Folder::new();
    let store = Store::open(folder.file()).unwrap();
    begin(&store).unwrap();
    drop(store);
    // The pages after the first hold the tables.
    let length = fs::metadata(folder.file()).unwrap().len();
    let mut file = fs::OpenOptions::new().write(true).open(folder.file()).unwrap();
    std::io::Seek::seek(&mut file, std::io::SeekFrom::Start(4096)).unwrap();
    file.write_all(&vec![0xab; usize::try_from(length - 4096).unwrap()]).unwrap();
    drop(file);
    let store = Store::open(folder.file()).unwrap();
    assert_eq!(begin(&store).unwrap_err().code(), "store");
    assert!(folder.names().iter().any(|name| name.starts_with("store.db.corrupt-")), "{:?}", folder.names());
}

#[test]
fn a_store_whose_setting_aside_was_cut_short_anywhere_pays_nothing_until_somebody_says_so() {
    // After the mark, after each file that was moved, and after the new file was made.
    for step in 0..=4 {
        let folder = Folder::new();
        fs::create_dir_all(folder.0.join("state")).unwrap();
        let parts = ["-wal", "-shm", ""].map(|end| {
            let mut name = folder.file().into_os_string();
            name.push(end);
            PathBuf::from(name)
        });
        for part in &parts {
            fs::write(part, "this is no database, and long enough to be looked at as one".repeat(40))
                .unwrap();
        }
        let end = ".corrupt-1767268800";
        fs::write(folder.0.join("state/store.db.blocked"), end).unwrap();
        for part in parts.iter().take(step) {
            let name = part.to_str().unwrap().replace("store.db", &format!("store.db{end}"));
            fs::rename(part, name).unwrap();
        }
        if step == 4 {
            fs::write(folder.file(), "").unwrap();
        }
        let store = Store::open(folder.file()).unwrap();
        let error = begin(&store).unwrap_err().to_string();
        assert!(
            error.contains(&format!("set aside as `{}{end}`", folder.file().display())),
            "{step}: {error}"
        );
        // What was moved already is with the rest.
        for part in ["-wal", "-shm"].into_iter().take(step).chain([""]) {
            let name = format!("store.db{end}{part}");
            assert!(folder.names().contains(&name), "{step}: {name} in {:?}", folder.names());
        }
        assert!(!folder.names().contains(&"store.db.blocked".to_owned()), "{step}: {:?}", folder.names());
        let again = Store::open(folder.file()).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        assert!(runtime.block_on(again.payments().unblock()).unwrap());
        begin(&Store::open(folder.file()).unwrap()).unwrap();
    }
}

#[test]
fn a_mark_that_was_not_written_to_its_end_blocks_all_the_same() {
    let folder = Folder::new();
    drop(Store::open(folder.file()).unwrap());
    fs::write(folder.0.join("state/store.db.blocked"), ".corr").unwrap();
    let error = begin(&Store::open(folder.file()).unwrap()).unwrap_err().to_string();
    assert!(error.contains("could not be read") && error.contains("amply payments unblock"), "{error}");
}

#[test]
fn a_store_that_another_process_is_setting_aside_is_waited_for_and_then_blocked() {
    let folder = Folder::new();
    fs::create_dir_all(folder.0.join("state")).unwrap();
    fs::write(folder.file(), "this is no database, and long enough to be looked at as one".repeat(40))
        .unwrap();
    let held = file::lock(&folder.file()).unwrap();
    file::set_aside(&folder.file()).unwrap();
    file::prepare(&folder.file()).unwrap();
    // The new file is there, and empty.
    let (tell, told) = std::sync::mpsc::channel();
    let path = folder.file();
    let other = std::thread::spawn(move || tell.send(begin(&Store::open(path).unwrap())).unwrap());
    let early = told.recv_timeout(Duration::from_millis(300));
    assert!(matches!(early, Err(std::sync::mpsc::RecvTimeoutError::Timeout)), "{early:?}");
    drop(held);
    let error = told.recv().unwrap().unwrap_err().to_string();
    assert!(error.contains("set aside as"), "{error}");
    other.join().unwrap();
}

#[cfg(unix)]
#[test]
fn whoever_had_a_file_open_that_was_set_aside_pays_and_reports_from_neither() {
    let folder = Folder::new();
    let store = Store::open(folder.file()).unwrap();
    begin(&store).unwrap();
    // Another process finds it damaged.
    file::set_aside(&folder.file()).unwrap();
    let new = Store::open(folder.file()).unwrap();
    let moved = "was moved or replaced after it was opened";
    let error = begin(&store).unwrap_err();
    assert_eq!(error.code(), "store");
    assert!(error.to_string().contains(moved), "{error}");
    assert!(list(&store.payments()).unwrap_err().to_string().contains(moved));
    assert!(reports(&store).unwrap_err().to_string().contains(moved));
    // Also after a person has looked.
    assert!(begin(&new).unwrap_err().to_string().contains("set aside as"));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(new.payments().unblock()).unwrap();
    begin(&new).unwrap();
    reports(&new).unwrap();
    assert!(begin(&store).unwrap_err().to_string().contains(moved));
    // The reports of one that was open before.
    file::set_aside(&folder.file()).unwrap();
    assert!(reports(&new).unwrap_err().to_string().contains(moved));
}

#[test]
fn two_handles_see_the_same_rows() {
    let folder = Folder::new();
    let (one, other) = (Store::open(folder.file()).unwrap(), Store::open(folder.file()).unwrap());
    begin(&one).unwrap();
    let rows = list(&other.payments()).unwrap();
    assert_eq!(rows.len(), 1);
    assert_eq!(rows, list(&one.payments()).unwrap());
}

#[test]
fn a_file_that_another_holds_is_waited_for_and_then_named() {
    let folder = Folder::new();
    let store = Store::open(folder.file()).unwrap();
    let other = Connection::open(folder.file()).unwrap();
    other.execute_batch("BEGIN EXCLUSIVE").unwrap();
    let error = begin(&store).unwrap_err();
    assert_eq!(error.code(), "store");
    assert!(error.to_string().contains("held by another process"), "{error}");
    other.execute_batch("COMMIT").unwrap();
    begin(&store).unwrap();
}

#[test]
fn a_full_store_is_named_and_keeps_what_it_has() {
    let folder = Folder::new();
    let path = folder.file();
    let in_file = open(&path).unwrap();
    let pages: i64 =
        in_file.connection.lock().unwrap().query_row("PRAGMA page_count", [], |row| row.get(0)).unwrap();
    in_file.connection.lock().unwrap().pragma_update(None, "max_page_count", pages).unwrap();
    let store = Store::at(in_file);
    let mut kept = 0;
    let error = loop {
        match begin(&store) {
            Ok(()) => kept += 1,
            Err(error) => break error,
        }
        assert!(kept < 10_000, "it never was full");
        let ids: Vec<String> =
            list(&store.payments()).unwrap().into_iter().map(|payment| payment.id).collect();
        assert_eq!(ids.len(), kept);
        // Each is for another wallet, so that the next may begin.
        store
            .transaction(|rows| {
                let mut all = rows.select(Query::Open)?;
                for payment in &mut all {
                    payment.state = crate::payment::PaymentState::Rejected;
                    rows.update(payment)?;
                }
                Ok(())
            })
            .unwrap();
    };
    assert_eq!(error.code(), "store");
    assert!(error.to_string().contains("no room is left"), "{error}");
    assert_eq!(list(&Store::open(&path).unwrap().payments()).unwrap().len(), kept);
}
