//! What it costs to hand a report over, against bare peers in the same run; how much memory waiting reports take; how many
//! connections their delivery takes.
//!
//! Rounds of ours and the peer's take turns; each figure is the median of its rounds. Ends with 1 when a goal is missed.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::indexing_slicing,
    reason = "a program for people; it fails by panicking"
)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::collections::HashSet;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use amply_sandbox::Sandbox;
use amply_sdk::{Client, Outcome, Store, Ticket, TrackedRoute};
use amply_tests::TempFolder;
use amply_tests::reporting::{client_of, started};
use tokio::runtime::Runtime;
use tokio::sync::mpsc;

const ROUNDS: usize = 7;

/// Counts what is allocated on the thread that measures, and elsewhere.
struct Counting;

static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);

// SAFETY: every call is handed on to the system's allocator as it came.
#[allow(unsafe_code, reason = "an allocator cannot be written without")]
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        COUNTED.with(|counted| {
            if counted.get() {
                ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
            }
        });
        // SAFETY: as the caller promised.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: as the caller promised.
        unsafe { System.dealloc(pointer, layout) }
    }
}

thread_local! {
    static COUNTED: std::cell::Cell<bool> = const { std::cell::Cell::new(false) };
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn main() -> ExitCode {
    let runtime = Runtime::new().unwrap();
    let goals = [
        // First, while there is no memory that was used before and only seems to be free.
        a_million_that_wait(&runtime),
        hand_over_in_memory(&runtime),
        hand_over_to_the_store(),
        a_long_drain(&runtime),
    ];
    if goals.into_iter().all(|met| met) { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Prints a line for people and says whether the goal is met.
fn line(what: &str, ours: String, peer: String, ratio: f64, goal: &str, met: bool) -> bool {
    let met_words = if met { "met" } else { "NOT met" };
    println!("{what}: ours {ours}, peer {peer}, ratio {ratio:.2}, goal {goal}: {met_words}");
    met
}

fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures[figures.len() / 2]
}

/// `report_in_background` of tracked routes, against `try_send` of the same values on a bare bounded channel with a receiver on
/// another thread; 64 at a time, as they come from calls that have just been made.
fn hand_over_in_memory(runtime: &Runtime) -> bool {
    const AT_ONCE: usize = 64;
    const BATCHES: usize = 60;
    let sandbox = runtime.block_on(started(Sandbox::builder()));
    let background = Runtime::new().unwrap();
    let outcome = Outcome::success().latency(Duration::from_millis(42));
    let (mut ours, mut bare, mut allocations) = (Vec::new(), Vec::new(), 0);
    for _ in 0..ROUNDS {
        // Nobody empties the outbox meanwhile.
        let client = client_of(&sandbox).deliver_in_background(false).build().unwrap();
        let (sender, mut receiver) = mpsc::channel::<(Arc<String>, Outcome)>(8192);
        let taken = background.spawn(async move {
            let mut batch = Vec::with_capacity(256);
            while receiver.recv_many(&mut batch, 256).await > 0 {
                batch.clear();
                // As ours does, so that neither pays for more wake-ups than the other.
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        });
        let (mut of_ours, mut of_bare) = (Duration::ZERO, Duration::ZERO);
        for batch in 0..=BATCHES {
            let tracked: Vec<TrackedRoute> = runtime.block_on(async {
                let mut tracked = Vec::with_capacity(AT_ONCE);
                for _ in 0..AT_ONCE {
                    tracked.push(client.route_task_tracked("x").await.unwrap());
                }
                tracked
            });
            let values: Vec<Arc<String>> =
                (0..AT_ONCE).map(|number| Arc::new(format!("bound {number}"))).collect();
            let report = || {
                COUNTED.set(true);
                let start = Instant::now();
                for tracked in &tracked {
                    tracked.report_in_background(outcome.clone()).unwrap();
                }
                let elapsed = start.elapsed();
                COUNTED.set(false);
                elapsed
            };
            let send = || {
                let start = Instant::now();
                for value in &values {
                    sender.try_send((Arc::clone(value), outcome.clone())).unwrap();
                }
                start.elapsed()
            };
            let before = ALLOCATIONS.load(Ordering::Relaxed);
            // Whoever is first wakes the processor that the other one finds awake.
            let (reported, sent) = match batch % 2 {
                0 => {
                    let reported = report();
                    (reported, send())
                }
                _ => {
                    let sent = send();
                    (report(), sent)
                }
            };
            // The first batch starts the thread in the background.
            if batch > 0 {
                of_ours += reported;
                of_bare += sent;
                allocations += ALLOCATIONS.load(Ordering::Relaxed) - before;
            }
        }
        let each = |time: Duration| time.as_secs_f64() * 1e9 / (AT_ONCE * BATCHES) as f64;
        ours.push(each(of_ours));
        bare.push(each(of_bare));
        drop(sender);
        runtime.block_on(taken).unwrap();
    }
    let (ours, bare) = (median(ours), median(bare));
    let each = allocations as f64 / (ROUNDS * AT_ONCE * BATCHES) as f64;
    println!("hand-over in memory: {each:.3} allocations for each report");
    let ratio = ours / bare;
    line(
        "hand-over in memory",
        format!("{ours:.0} ns"),
        format!("{bare:.0} ns"),
        ratio,
        "<= 2.0",
        ratio <= 2.0,
    )
}

/// `report_durable` by eight tasks, against bare inserts of the same rows, 64 in a transaction.
fn hand_over_to_the_store() -> bool {
    const REPORTS: usize = 40_000;
    const TASKS: usize = 8;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let (mut ours, mut bare) = (Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        let folder = TempFolder::new("bench");
        let client = client_at(&folder, "ours.db");
        let tickets = tickets(&client, round * REPORTS, REPORTS);
        let start = Instant::now();
        runtime.block_on(async {
            let tasks: Vec<_> = tickets
                .chunks(REPORTS / TASKS)
                .map(|part| {
                    let (client, part) = (client.clone(), part.to_vec());
                    tokio::spawn(async move {
                        for ticket in part {
                            client.report_durable(&ticket, Outcome::success()).await.unwrap();
                        }
                    })
                })
                .collect();
            for task in tasks {
                task.await.unwrap();
            }
        });
        ours.push(REPORTS as f64 / start.elapsed().as_secs_f64());
        drop(Store::open(folder.file("bare.db")).unwrap());
        bare.push(REPORTS as f64 / bare_inserts(Path::new(&folder.file("bare.db")), &tickets).as_secs_f64());
    }
    let (ours, bare) = (median(ours), median(bare));
    let ratio = ours / bare;
    let (ours, bare) = (format!("{ours:.0} rows/s"), format!("{bare:.0} rows/s"));
    line("durable hand-over, 8 tasks", ours, bare, ratio, ">= 0.5", ratio >= 0.5)
}

/// A client of a server that is not there, so that nothing is delivered.
fn client_at(folder: &TempFolder, name: &str) -> Client {
    let store = Store::open(folder.file(name)).unwrap();
    let client = Client::builder().base_url("http://127.0.0.1:9").api_key("bench").store(store);
    client.deliver_in_background(false).build().unwrap()
}

fn tickets(client: &Client, first: usize, count: usize) -> Vec<Ticket> {
    let ticket = |number: usize| {
        let id = format!("9a45cd88-8d59-40d6-8144-{number:012x}");
        client.ticket(&id, Some("qdrant")).unwrap()
    };
    // In no order, as the ids of a server are.
    let mut numbers: Vec<usize> = (first..first + count).collect();
    fastrand::Rng::with_seed(7).shuffle(&mut numbers);
    numbers.into_iter().map(ticket).collect()
}

fn bare_inserts(path: &Path, tickets: &[Ticket]) -> Duration {
    let connection = rusqlite::Connection::open(path).unwrap();
    connection.pragma_update(None, "synchronous", "NORMAL").unwrap();
    let start = Instant::now();
    for batch in tickets.chunks(64) {
        connection.execute_batch("BEGIN IMMEDIATE").unwrap();
        let mut insert = connection
            .prepare_cached(
                "INSERT INTO outbox (id, base_url, principal, route_id, provider_id, idempotency_key, endpoint, body, \
                 created_ms, not_before_ms, attempts, leased_until_ms, last_error, state) \
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, NULL, ?7, ?8, ?8, 0, 0, NULL, 'pending')",
            )
            .unwrap();
        for ticket in batch {
            let id = ticket.route_id();
            insert
                .execute(rusqlite::params![
                    id,
                    "http://127.0.0.1:9/api/v1",
                    "0123456789abcdef0123456789abcdef",
                    id,
                    ticket.provider_id(),
                    id,
                    r#"{"success":true}"#,
                    1_795_000_000_000_i64,
                ])
                .unwrap();
        }
        connection.execute_batch("COMMIT").unwrap();
    }
    start.elapsed()
}

/// The memory of the process before and after a million reports wait, on the disk.
fn a_million_that_wait(runtime: &Runtime) -> bool {
    const REPORTS: usize = 1_000_000;
    const PART: usize = 1_000;
    let folder = TempFolder::new("bench");
    let client = client_at(&folder, "million.db");
    let report = |first: usize| {
        let tickets = tickets(&client, first, PART);
        let client = client.clone();
        async move {
            // At once, so that they share commits.
            let parts = tickets.chunks(PART / 50).map(|part| {
                let (client, part) = (client.clone(), part.to_vec());
                tokio::spawn(async move {
                    for ticket in part {
                        client.report_durable(&ticket, Outcome::success()).await.unwrap();
                    }
                })
            });
            for part in parts.collect::<Vec<_>>() {
                part.await.unwrap();
            }
        }
    };
    runtime.block_on(report(0));
    let before = resident_mib();
    for first in (PART..REPORTS).step_by(PART) {
        runtime.block_on(report(first));
    }
    let waiting = runtime.block_on(client.outbox().waiting()).unwrap();
    let grown = resident_mib() - before;
    println!(
        "{waiting} reports wait: memory grew by {grown:.1} MiB, goal < 32 MiB: {}",
        if grown < 32.0 { "met" } else { "NOT met" }
    );
    assert_eq!(waiting, REPORTS as u64);
    grown < 32.0
}

fn resident_mib() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<f64>().unwrap() / 1024.0
}

/// Delivers 100,000 reports to the sandbox, and watches how many connections that takes.
fn a_long_drain(runtime: &Runtime) -> bool {
    const REPORTS: usize = 100_000;
    let folder = TempFolder::new("bench");
    let sandbox = runtime.block_on(started(Sandbox::builder()));
    let store = Store::open(folder.file("drain.db")).unwrap();
    let client = client_of(&sandbox).store(store).deliver_in_background(false).build().unwrap();
    runtime.block_on(async {
        let tasks: Vec<_> = (0..16)
            .map(|_| {
                let client = client.clone();
                tokio::spawn(async move {
                    for _ in 0..REPORTS / 16 {
                        let tracked = client.route_task_tracked("x").await.unwrap();
                        tracked.report_durable(Outcome::success()).await.unwrap();
                    }
                })
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
    });
    drop(client);
    // With connections of its own.
    let store = Store::open(folder.file("drain.db")).unwrap();
    let client = client_of(&sandbox).store(store).deliver_in_background(false).build().unwrap();
    let port = sandbox.url().rsplit(':').next().unwrap().split('/').next().unwrap().parse::<u16>().unwrap();
    // The routes came over others.
    let before: HashSet<String> = ports_used_to(port).collect();
    let start = Instant::now();
    let most = runtime.block_on(async {
        let flushing = client.clone();
        let flush =
            tokio::spawn(async move { flushing.outbox().flush(Duration::from_secs(300)).await.unwrap() });
        let mut ports = HashSet::new();
        while !flush.is_finished() {
            ports.extend(ports_used_to(port).filter(|port| !before.contains(port)));
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        assert_eq!(flush.await.unwrap().left, 0);
        ports.len()
    });
    let rate = REPORTS as f64 / start.elapsed().as_secs_f64();
    let counted = sandbox.control().outcomes().len();
    println!(
        "drain of {counted} reports: {rate:.0} reports/s, {most} connections in all, goal <= 4: {}",
        if most <= 4 { "met" } else { "NOT met" }
    );
    assert_eq!(counted, REPORTS);
    most <= 4
}

/// The local ports of all connections to a port, also of those that have ended lately.
fn ports_used_to(port: u16) -> impl Iterator<Item = String> {
    let table = std::fs::read_to_string("/proc/net/tcp").unwrap();
    let end = format!(":{port:04X}");
    let local = |line: &str| {
        let columns: Vec<&str> = line.split_whitespace().collect();
        columns[2].ends_with(&end).then(|| columns[1].to_owned())
    };
    table.lines().skip(1).filter_map(local).collect::<Vec<_>>().into_iter()
}
