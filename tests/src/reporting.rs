//! Sandboxes that take reports, and clients that make them.

use std::time::Duration;

use amply_sandbox::{ReportedOutcome, ReportedVia, Sandbox, SandboxBuilder};
use amply_sdk::{Client, ClientBuilder, Outcome, Store};

use crate::{TempFolder, answer};

const LONG: Duration = Duration::from_secs(30);

/// A sandbox with these settings.
pub async fn started(builder: SandboxBuilder) -> Sandbox {
    builder.start().await.unwrap()
}

/// A client with the sandbox's user key.
pub fn client_of(sandbox: &Sandbox) -> ClientBuilder {
    Client::builder().base_url(sandbox.url()).api_key(sandbox.user_key())
}

/// The reports that counted.
pub fn reported(sandbox: &Sandbox) -> Vec<ReportedOutcome> {
    sandbox.control().outcomes()
}

/// Waits until so many reports have counted.
pub async fn until_reported(sandbox: &Sandbox, count: usize) {
    let counted = async {
        while reported(sandbox).len() < count {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(LONG, counted).await.expect("they are delivered");
}

/// Asks for a number of routes, one after the other.
pub async fn route_ids(client: &Client, count: usize) -> Vec<String> {
    let mut ids = Vec::with_capacity(count);
    for _ in 0..count {
        ids.push(client.route_task("x").await.unwrap().route_id.clone().unwrap());
    }
    ids
}

/// What an old or a strange server makes of a report: where it went, and what is in the outbox afterwards.
pub async fn at(builder: SandboxBuilder, hinted: bool) -> (Vec<ReportedVia>, Vec<String>) {
    let sandbox = started(builder).await;
    let store = Store::in_memory();
    let client = client_of(&sandbox).store(store.clone()).build().unwrap();
    let tracked = client.route_task_tracked("x").await.unwrap();
    match hinted {
        true => tracked.report_in_background(Outcome::timeout()),
        false => {
            let ticket = client.ticket(tracked.route_id.as_deref().unwrap(), Some("qdrant")).unwrap();
            client.report_in_background(&ticket, Outcome::timeout())
        }
    }
    .unwrap();
    assert_eq!(client.outbox().flush(LONG).await.unwrap().left, 0);
    let dead =
        store.undelivered().await.unwrap().into_iter().map(|entry| entry.last_error.unwrap()).collect();
    (reported(&sandbox).iter().map(|one| one.via).collect(), dead)
}

/// The answer to a route that says that reports go there.
pub fn route_with_hint(endpoint: &str) -> Vec<u8> {
    let body = format!(
        r#"{{"recommended":"qdrant","request_id":"r-1","agent_hints":{{"report_outcome":{{"endpoint":"{endpoint}"}}}}}}"#
    );
    answer("200 OK\r\nContent-Type: application/json", &body)
}

/// A client whose store cannot be written.
pub fn without_room(folder: &TempFolder, builder: ClientBuilder) -> Client {
    let path = folder.file("store.db");
    let store = Store::open(&path).unwrap();
    // The outbox opens its own connection: the file is gone by then, and a folder is in its place.
    for end in ["", "-wal", "-shm"] {
        let _ = std::fs::remove_file(format!("{path}{end}"));
    }
    std::fs::create_dir(&path).unwrap();
    builder.store(store).build().unwrap()
}
