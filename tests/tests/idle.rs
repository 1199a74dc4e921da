//! Connections that wait for the next call, and servers that close them in the meantime.
//!
//! A request that meets the closing of its connection fails in a way that must not be repeated, so a connection is
//! given up before its server does so: after 4 s, or sooner when the server announces less.

use std::time::Duration;

use amply_sdk::Client;
use amply_tests::{Act, Scripted, answer, built};
use tokio::task::JoinSet;

const BODY: &str = r#"{"recommended":"qdrant"}"#;

/// An answer that announces (`timeout=5`) how long the connection is kept, and keeps it.
fn keeps(announced: Option<&str>) -> Vec<Act> {
    let head = announced.map_or("200 OK".to_owned(), |keep| format!("200 OK\r\nKeep-Alive: {keep}"));
    vec![Act::Send(answer(&head, BODY)), Act::KeepOpen]
}

fn client(server: &Scripted) -> Client {
    built(Client::builder().base_url(server.url()))
}

async fn route(client: &Client) {
    let route = client.route_task("store 1M vectors").await;
    assert!(route.is_ok(), "{route:?}");
}

/// Lets time pass for the client's timers, and for nobody else.
async fn pass(time: Duration) {
    tokio::time::pause();
    tokio::time::advance(time).await;
    tokio::time::resume();
}

#[tokio::test]
async fn a_connection_is_used_again_only_well_before_its_server_closes_it() {
    for (announced, kept_ms, dropped_ms) in [
        (None, Some(3500), 4001),
        (Some("timeout=5"), Some(3500), 4001),
        (Some("timeout=5, max=1000"), Some(3500), 4001),
        (Some("timeout=600"), Some(3500), 4001),
        (Some("timeout=4"), Some(2500), 3001),
        (Some("max=100, timeout=2"), Some(500), 1001),
        (Some("timeout=1"), None, 0),
        (Some("timeout=0"), None, 0),
        (Some("timeout=soon"), Some(3500), 4001),
    ] {
        let server = Scripted::following(vec![keeps(announced)]);
        let client = client(&server);
        // The first answer may bring a new pool, and with it a new connection.
        route(&client).await;
        route(&client).await;
        let first = *server.seen_on().last().unwrap();
        if let Some(kept) = kept_ms {
            pass(Duration::from_millis(kept)).await;
            route(&client).await;
            assert_eq!(*server.seen_on().last().unwrap(), first, "{announced:?}: used again after {kept} ms");
        }
        pass(Duration::from_millis(dropped_ms)).await;
        route(&client).await;
        assert_ne!(*server.seen_on().last().unwrap(), first, "{announced:?}: not after {dropped_ms} ms");
    }
}

#[test]
fn calls_with_pauses_around_the_servers_limit_do_not_fail() {
    // The runtime stands still between two calls, as in a program that blocks on each.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    for announced in [None, Some("timeout=5")] {
        let server = Scripted::following(vec![keeps(announced)]);
        let client = client(&server);
        for tenths in (30..60).chain([600, 36_000]) {
            runtime.block_on(route(&client));
            runtime.block_on(pass(Duration::from_millis(tenths * 100)));
            if tenths >= 50 {
                server.close_connections();
            }
        }
        assert_eq!(server.seen().len(), 32, "each call was sent once");
    }
}

#[test]
fn a_connection_that_was_closed_while_the_runtime_stood_still_is_not_used() {
    // No limit helps here: a server that restarts closes at any time.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let server = Scripted::following(vec![keeps(None)]);
    let client = client(&server);
    for _ in 0..100 {
        runtime.block_on(route(&client));
        server.close_connections();
    }
    assert_eq!(server.seen().len(), 100);
}

#[test]
fn a_runtime_of_several_threads_gives_connections_up_in_time_too() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    // After a second without a request a connection is not used again, however late it is then.
    let server = Scripted::following(vec![keeps(Some("timeout=2"))]);
    let others = client(&server);
    runtime.block_on(async {
        route(&others).await;
        route(&others).await;
        tokio::time::sleep(Duration::from_millis(1010)).await;
        let before = server.connections();
        route(&others).await;
        assert_eq!(server.seen_on(), [1, 2, before + 1]);
    });

    // A server that keeps connections for a second may close them at any time after: none is used twice.
    let server = Scripted::following(vec![keeps(Some("timeout=1"))]);
    let others = client(&server);
    for _ in 0..50 {
        runtime.block_on(route(&others));
        server.close_connections();
    }
    assert_eq!(server.seen_on(), (1..=50).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_lower_limit_applies_to_the_very_next_call_and_the_old_connections_are_closed() {
    let scripts = [None, Some("timeout=3"), Some("timeout=5"), Some("timeout=3"), Some("timeout=2"), None];
    let server = Scripted::following(scripts.map(keeps).to_vec());
    let client = client(&server);
    for (open, on) in [(1, 1), (0, 1), (1, 2), (1, 2), (0, 2), (1, 3), (1, 3)] {
        route(&client).await;
        assert_eq!(*server.seen_on().last().unwrap(), on, "{:?}", server.seen_on());
        if open == 0 {
            server.wait_until_all_are_closed().await;
        }
        assert_eq!(server.open(), open);
    }
    pass(Duration::from_millis(1001)).await;
    route(&client).await;
    assert_eq!(*server.seen_on().last().unwrap(), 4, "the limit of 1 s holds");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_limit_that_a_hundred_calls_hear_of_at_once_leaves_no_connection_behind() {
    let server = Scripted::following(vec![keeps(Some("timeout=3"))]);
    let client = client(&server);
    let mut calls = JoinSet::new();
    for _ in 0..100 {
        let client = client.clone();
        calls.spawn(async move { route(&client).await });
    }
    calls.join_all().await;
    drop(client);
    server.wait_until_all_are_closed().await;
}

#[tokio::test]
async fn a_redirect_that_brings_a_lower_limit_is_followed_on_a_new_connection() {
    let head = "307 Temporary Redirect\r\nLocation: /api/v1/elsewhere\r\nKeep-Alive: timeout=2";
    let server =
        Scripted::following(vec![vec![Act::Send(answer(head, "")), Act::KeepOpen], keeps(Some("timeout=2"))]);
    route(&client(&server)).await;
    assert_eq!(server.seen_on(), [1, 2]);
}
