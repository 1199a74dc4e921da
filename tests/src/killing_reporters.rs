//! Processes that share one outbox, some handing over and some delivering, and are killed at random instants; and what the
//! server saw of it.

use std::collections::HashSet;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use amply_sandbox::{Fault, Sandbox};
use amply_sdk::{Client, Store};

use crate::killing::rounds;
use crate::reporting::{client_of, reported, route_ids, started};

const ENQUEUERS: usize = 4;
const DRAINERS: usize = 2;
const KILLS: usize = 12;
const ROUTES: usize = 200;
const LEASE: Duration = Duration::from_millis(100);

/// What happened in all rounds.
#[derive(Debug, Default)]
pub struct Counts {
    /// Processes that were killed.
    pub kills: usize,
    /// Reports that were committed before their process was killed, or ended.
    pub accepted: usize,
    /// Of them, those that the server got more than once. It counted each once.
    pub repeated: usize,
    /// Of them, those that were still to be delivered when all processes were dead.
    pub left: usize,
}

/// Plays rounds. The same instants for the same seed, as far as the machine keeps time.
pub fn while_reporting(worker: &str) -> (usize, Counts) {
    let rounds = rounds();
    let mut rng = fastrand::Rng::with_seed(0x0b0c);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let mut counts = Counts::default();
    for number in 0..rounds {
        runtime.block_on(round(worker, number, &mut rng, &mut counts));
    }
    (rounds, counts)
}

async fn round(worker: &str, number: usize, rng: &mut fastrand::Rng, counts: &mut Counts) {
    let folder = std::env::temp_dir().join(format!("amply-kill-report-{}-{number}", std::process::id()));
    std::fs::create_dir(&folder).unwrap();
    let file = |name: &str| folder.join(name).to_str().unwrap().to_owned();
    let sandbox = started(Sandbox::builder()).await;
    let ids = route_ids(&client_of(&sandbox).build().unwrap(), ROUTES).await;
    std::fs::write(file("routes"), ids.join("\n")).unwrap();
    std::fs::write(file("accepted"), "").unwrap();
    // Long enough that many are killed while they wait for the answer, after the server has counted it.
    sandbox.control().fault(Fault::on("/outcome").after_effect().delay(Duration::from_millis(4)));

    let start = |number: usize, seed: u64| {
        let lease = LEASE.as_millis().to_string();
        let (store, routes, accepted, seed) =
            (file("store.db"), file("routes"), file("accepted"), seed.to_string());
        let common = [sandbox.url(), &store, &lease, sandbox.user_key()];
        let mut command = Command::new(worker);
        match number < ENQUEUERS {
            true => command.arg("enqueue").args(common).args([&routes, &accepted, &seed]),
            false => command.arg("drain").args(common),
        };
        command.env_clear().stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        Worker(command.spawn().unwrap())
    };
    let mut workers: Vec<Worker> =
        (0..ENQUEUERS + DRAINERS).map(|number| start(number, rng.u64(..))).collect();
    for _ in 0..KILLS {
        tokio::time::sleep(Duration::from_millis(rng.u64(0..25))).await;
        let killed = rng.usize(0..workers.len());
        let seed = rng.u64(..);
        let worker = workers.get_mut(killed).unwrap();
        counts.kills += worker.kill();
        *worker = start(killed, seed);
    }
    for worker in &mut workers {
        tokio::time::sleep(Duration::from_millis(rng.u64(0..10))).await;
        counts.kills += worker.kill();
    }

    sandbox.control().clear_faults();
    check(&sandbox, &folder, counts).await;
    std::fs::remove_dir_all(&folder).unwrap();
}

/// Everything that was accepted is delivered, by a client that starts after all others have died, and counted once.
async fn check(sandbox: &Sandbox, folder: &Path, counts: &mut Counts) {
    let store = Store::open(folder.join("store.db")).unwrap().lease(LEASE);
    let text = std::fs::read_to_string(folder.join("accepted")).unwrap();
    let accepted: HashSet<&str> = text.lines().collect();
    let left: HashSet<String> =
        store.undelivered().await.unwrap().into_iter().map(|entry| entry.route_id).collect();
    let client = Client::builder().base_url(sandbox.url()).api_key(sandbox.user_key()).store(store.clone());
    let client = client.build().unwrap();
    assert_eq!(client.outbox().flush(Duration::from_secs(60)).await.unwrap().left, 0);
    assert!(store.undelivered().await.unwrap().is_empty(), "nothing is dead");
    let seen = reported(sandbox);
    let ids: HashSet<&str> = seen.iter().map(|one| one.route_id.as_str()).collect();
    assert_eq!(ids.len(), seen.len(), "a route was counted twice");
    let lost: Vec<_> = accepted.difference(&ids).collect();
    assert!(lost.is_empty(), "accepted and lost: {lost:?}");
    assert!(seen.iter().all(|one| one.times_with_another_key == 0));
    counts.accepted += accepted.len();
    counts.left += accepted.iter().filter(|id| left.contains(**id)).count();
    counts.repeated += seen.iter().filter(|one| one.times_received > 1).count();
    client.close(Duration::ZERO).await;
}

struct Worker(Child);

impl Worker {
    /// With SIGKILL; 1 if it was still alive.
    fn kill(&mut self) -> usize {
        let was_alive = self.0.try_wait().unwrap().is_none();
        // It may end by itself in between.
        let _ = self.0.kill();
        self.0.wait().unwrap();
        usize::from(was_alive)
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
