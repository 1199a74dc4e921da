//! How routes went: reported once, and never lost in silence.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use amply_sandbox::{Fault, Release, ReportedVia, Sandbox};
use amply_sdk::{Client, Error, Event, HandedOver, Outcome, Store, Ticket};
use amply_tests::reporting::{
    at, client_of, reported, route_ids, route_with_hint, started, until_reported, without_room,
};
use amply_tests::{Scripted, TempFolder, answer};

const LONG: Duration = Duration::from_secs(30);

#[tokio::test]
async fn a_route_is_reported_once_and_a_second_report_says_so() {
    let sandbox = started(Sandbox::builder()).await;
    let client = client_of(&sandbox).build().unwrap();
    let tracked = client.route_task_tracked("x").await.unwrap();
    let outcome = Outcome::failure("rate_limited").latency(Duration::from_millis(42));
    let first = tracked.report_outcome(outcome.clone()).await.unwrap();
    assert_eq!((first.credits_awarded(), first.is_repeated()), (Some(1), false));
    assert!(tracked.report_outcome(outcome.clone()).await.unwrap().is_repeated());
    assert_eq!(tracked.report_in_background(outcome.clone()).unwrap(), HandedOver::AlreadyReported);
    // Elsewhere in this process, and in another one: the server is asked again by the latter alone.
    let ticket = tracked.ticket().unwrap();
    assert!(client.report(&ticket, outcome.clone()).await.unwrap().is_repeated());
    assert_eq!(reported(&sandbox)[0].times_received, 1);
    let other = client_of(&sandbox).build().unwrap();
    let again = other.report(&ticket, outcome).await.unwrap();
    assert_eq!((again.credits_awarded(), again.is_repeated()), (Some(0), true));
    let seen = &reported(&sandbox)[0];
    assert_eq!((seen.times_received, seen.times_with_another_key), (2, 0));
    assert_eq!((seen.error_code.as_deref(), seen.actual_latency_ms), (Some("rate_limited"), Some(42.0)));
    let counters = client.outbox().counters();
    assert_eq!((counters.delivered, counters.repeated, counters.credits_awarded), (1, 3, 1));
}

#[tokio::test]
async fn a_report_that_failed_can_be_made_again() {
    let sandbox = started(Sandbox::builder()).await;
    let client = client_of(&sandbox).retry(amply_sdk::RetryPolicy::never()).build().unwrap();
    sandbox.control().fault(Fault::on("/outcome").first(1).status(503));
    let tracked = client.route_task_tracked("x").await.unwrap();
    let error = tracked.report_outcome(Outcome::success()).await.unwrap_err();
    assert_eq!((error.code(), error.may_have_been_charged()), ("server", false));
    assert!(matches!(tracked.report_outcome(Outcome::failure("No!")).await, Err(Error::Invalid { .. })));
    assert_eq!(tracked.report_outcome(Outcome::success()).await.unwrap().credits_awarded(), Some(1));
}

#[tokio::test]
async fn reports_in_the_background_arrive_over_few_connections_and_are_counted() {
    let sandbox = started(Sandbox::builder()).await;
    let client = client_of(&sandbox).build().unwrap();
    let ids = route_ids(&client, 40).await;
    sandbox.control().clear();
    for id in &ids {
        let ticket = client.ticket(id, None).unwrap();
        assert_eq!(client.report_in_background(&ticket, Outcome::success()).unwrap(), HandedOver::Accepted);
    }
    assert_eq!(client.outbox().flush(LONG).await.unwrap().left, 0);
    let counters = client.outbox().counters();
    assert_eq!((counters.queued, counters.delivered, counters.credits_awarded), (40, 40, 40));
    assert_eq!((counters.dead, counters.dropped, counters.unreported), (0, 0, 0));
    assert_eq!(reported(&sandbox).len(), 40);
}

#[tokio::test]
async fn a_tracked_route_that_is_dropped_is_counted_and_told() {
    let sandbox = started(Sandbox::builder()).await;
    let told: Arc<Mutex<Vec<String>>> = Arc::default();
    let events = Arc::clone(&told);
    let client = client_of(&sandbox).on_event(move |event| {
        if let Event::OutcomeUnreported { route_id, .. } = event {
            events.lock().unwrap().push(route_id.clone());
        }
    });
    let client = client.build().unwrap();
    let dropped = client.route_task_tracked("x").await.unwrap();
    let id = dropped.route_id.clone().unwrap();
    drop(dropped);
    // A closure that is never called counts too; one whose ticket was taken does not.
    let (route, report_outcome) = client.route_task_tracked("x").await.unwrap().into_parts();
    drop(report_outcome);
    let handed_on = client.route_task_tracked("x").await.unwrap();
    let _ticket = handed_on.ticket().unwrap();
    drop(handed_on);
    assert_eq!(*told.lock().unwrap(), [id, route.route_id.clone().unwrap()]);
    assert_eq!(client.outbox().counters().unreported, 2);
}

#[tokio::test]
async fn run_reports_by_itself_and_returns_what_the_task_returned() {
    let sandbox = started(Sandbox::builder()).await;
    let client = client_of(&sandbox).build().unwrap();
    let tracked = client.route_task_tracked("x").await.unwrap();
    let done = tracked.run(|provider| async move { Ok::<_, std::fmt::Error>(provider) }).await;
    assert_eq!(done, Ok("qdrant".to_owned()));
    let tracked = client.route_task_tracked("x").await.unwrap();
    let failed = tracked.run(|_| async { Err::<(), _>(std::fmt::Error) }).await;
    assert_eq!(failed, Err(std::fmt::Error));
    // Cancelled: nobody knows how it went.
    let tracked = client.route_task_tracked("x").await.unwrap();
    let endless = tracked.run(|_| std::future::pending::<Result<(), ()>>());
    assert!(tokio::time::timeout(Duration::from_millis(1), endless).await.is_err());
    client.outbox().flush(LONG).await.unwrap();
    let mut seen: Vec<_> = reported(&sandbox);
    seen.sort_by_key(|one| one.error_code.clone());
    assert_eq!(seen.len(), 2);
    assert!(seen.iter().all(|one| one.actual_latency_ms.is_some()));
    assert_eq!((seen[0].success, seen[1].success), (true, false));
    assert_eq!(seen[1].error_code.as_deref(), Some("error"));
    assert_eq!(client.outbox().counters().unreported, 1);
}

#[tokio::test]
async fn a_queue_that_is_full_is_an_error_and_nothing_else_waits_for_it() {
    let sandbox = started(Sandbox::builder()).await;
    // Nothing is delivered, so that the outbox stays full.
    let client =
        client_of(&sandbox).report_queue(2).outbox_limit(3).deliver_in_background(false).build().unwrap();
    let mut taken = 0;
    let error = loop {
        let ticket = client.ticket(&format!("route-{taken}"), None).unwrap();
        match client.report_in_background(&ticket, Outcome::success()) {
            Ok(_) => taken += 1,
            Err(error) => break error,
        }
        assert!(taken < 1000);
        tokio::task::yield_now().await;
    };
    assert_eq!(error.code(), "queue_full");
    assert!(error.to_string().contains("2 reports wait in memory already; report less at once"), "{error}");
    client.route_task("x").await.unwrap();
    let counters = client.outbox().counters();
    assert_eq!(counters.queued, taken);
    client.close(Duration::ZERO).await;
    assert_eq!(client.outbox().counters().dropped, taken);
}

#[tokio::test]
async fn what_a_server_that_was_down_did_not_take_is_delivered_when_it_is_back() {
    let folder = TempFolder::new("outbox");
    let sandbox = started(Sandbox::builder()).await;
    let store = Store::open(folder.file("store.db")).unwrap();
    let client = client_of(&sandbox).store(store.clone()).retry(amply_sdk::RetryPolicy::never());
    let client = client.build().unwrap();
    let ids = route_ids(&client, 20).await;
    sandbox.control().fault(Fault::on("/outcome").always().status(503));
    for id in &ids {
        let ticket = client.ticket(id, None).unwrap();
        assert_eq!(client.report_durable(&ticket, Outcome::success()).await.unwrap(), HandedOver::Accepted);
        assert_eq!(
            client.report_durable(&ticket, Outcome::success()).await.unwrap(),
            HandedOver::AlreadyReported
        );
    }
    let flushed = client.outbox().flush(Duration::from_millis(300)).await.unwrap();
    assert_eq!(flushed.left, 20);
    // An outage is not amplified: after those that were under way one at a time is tried, ever more seldom.
    let tried: u32 = store.undelivered().await.unwrap().iter().map(|entry| entry.attempts).sum();
    assert!((1..=6).contains(&tried), "{tried}");
    assert!(store.undelivered().await.unwrap().iter().any(|entry| entry.last_error.is_some()));
    client.close(Duration::ZERO).await;
    assert_eq!(client.outbox().counters().dropped, 0);
    drop(client);

    sandbox.control().clear_faults();
    // A later process with the same key delivers by itself; one with another key does not.
    let other = Client::builder().base_url(sandbox.url()).api_key(sandbox.server_key()).store(store.clone());
    let other = other.build().unwrap();
    assert_eq!(other.outbox().flush(Duration::from_secs(1)).await.unwrap().left, 0);
    assert_eq!(reported(&sandbox).len(), 0);
    let later = client_of(&sandbox).store(store.clone()).build().unwrap();
    assert_eq!(later.outbox().flush(LONG).await.unwrap().left, 0);
    let seen = reported(&sandbox);
    assert_eq!(seen.len(), 20);
    assert!(seen.iter().all(|one| one.times_with_another_key == 0));
    assert!(store.undelivered().await.unwrap().is_empty());
}

#[tokio::test]
async fn a_client_delivers_what_an_earlier_one_left_without_being_asked() {
    let folder = TempFolder::new("outbox");
    let sandbox = started(Sandbox::builder()).await;
    let store = Store::open(folder.file("store.db")).unwrap();
    let first = client_of(&sandbox).store(store.clone()).deliver_in_background(false).build().unwrap();
    let id = route_ids(&first, 1).await.remove(0);
    first.report_durable(&first.ticket(&id, None).unwrap(), Outcome::timeout()).await.unwrap();
    first.close(LONG).await;
    assert_eq!(reported(&sandbox).len(), 0);
    let _later = client_of(&sandbox).store(store.clone()).build().unwrap();
    until_reported(&sandbox, 1).await;
    let seen = &reported(&sandbox)[0];
    assert_eq!((seen.success, seen.error_code.as_deref()), (false, Some("timeout")));
}

#[tokio::test]
async fn an_older_server_is_told_in_its_own_words_and_one_that_takes_no_reports_leaves_a_dead_letter() {
    let without = || Sandbox::builder().outcome_endpoint(false);
    for hinted in [true, false] {
        assert_eq!(at(Sandbox::builder(), hinted).await, (vec![ReportedVia::Outcome], vec![]));
        // It says so itself, or it is found out.
        assert_eq!(at(without(), hinted).await, (vec![ReportedVia::RouteOutcome], vec![]));
    }
    let (seen, dead) = at(Sandbox::builder().release(Release::V3_1_12), false).await;
    assert_eq!((seen, dead.len()), (vec![], 1));
    assert!(dead[0].contains("does not offer POST") && dead[0].contains("/route/outcome"), "{dead:?}");
}

#[tokio::test]
async fn a_route_that_the_server_does_not_know_is_a_dead_letter_that_can_be_tried_again() {
    let folder = TempFolder::new("outbox");
    let sandbox = started(Sandbox::builder()).await;
    let told: Arc<Mutex<Vec<String>>> = Arc::default();
    let events = Arc::clone(&told);
    let store = Store::open(folder.file("store.db")).unwrap();
    let client = client_of(&sandbox).store(store.clone()).on_event(move |event| {
        if let Event::OutcomeDead { route_id, .. } = event {
            events.lock().unwrap().push(route_id.clone());
        }
    });
    let client = client.build().unwrap();
    let ticket = client.ticket("no-such-route", None).unwrap();
    let error = client.report(&ticket, Outcome::success()).await.unwrap_err();
    assert_eq!(error.code(), "not_found");
    client.report_durable(&ticket, Outcome::success()).await.unwrap();
    assert_eq!(client.outbox().flush(LONG).await.unwrap().left, 0);
    assert_eq!(*told.lock().unwrap(), ["no-such-route"]);
    let dead = client.outbox().list().await.unwrap().remove(0);
    assert!(dead.is_dead && dead.last_error.unwrap().contains("No route of yours has this id"));
    assert_eq!(client.outbox().counters().dead, 1);
    assert!(!client.outbox().retry(&dead.id).await.unwrap().is_dead);
    assert_eq!(client.outbox().flush(LONG).await.unwrap().left, 0);
    assert_eq!(client.outbox().counters().dead, 2);
    client.outbox().discard(&dead.id).await.unwrap();
    assert!(client.outbox().list().await.unwrap().is_empty());
}

#[tokio::test]
async fn a_forged_ticket_draws_no_key_anywhere() {
    let sandbox = started(Sandbox::builder()).await;
    let client = client_of(&sandbox).build().unwrap();
    let elsewhere = Scripted::answering("200 OK", "application/json", "{}");
    let foreign = Client::builder().base_url(elsewhere.url()).api_key(sandbox.user_key()).build().unwrap();
    let forged = foreign.ticket("a", None).unwrap();
    let keyless = Client::builder().base_url(sandbox.url()).build().unwrap().ticket("a", None).unwrap();
    sandbox.control().clear();
    for ticket in [forged, keyless] {
        let ticket: Ticket = ticket.to_string().parse().unwrap();
        for error in [
            client.report(&ticket, Outcome::success()).await.unwrap_err(),
            client.report_in_background(&ticket, Outcome::success()).unwrap_err(),
            client.report_durable(&ticket, Outcome::success()).await.unwrap_err(),
        ] {
            assert_eq!(error.code(), "invalid_request", "{error}");
        }
    }
    assert!(elsewhere.seen().is_empty() && sandbox.control().calls().is_empty());
}

#[tokio::test]
async fn a_hint_of_the_server_is_followed_on_its_own_origin_only() {
    for (hint, path) in [
        ("/v9/outcome", "/v9/outcome"),
        ("https://evil.example/outcome", "/api/v1/outcome"),
        ("//evil.example/outcome", "/api/v1/outcome"),
        ("/api/v1/billing/topup", "/api/v1/outcome"),
        ("/api/v1/credentials?x=/outcome", "/api/v1/outcome"),
        ("", "/api/v1/outcome"),
    ] {
        let taken =
            answer("200 OK\r\nContent-Type: application/json", r#"{"received":true,"credits_awarded":"2"}"#);
        let server = Scripted::start(vec![Some(route_with_hint(hint)), Some(taken)]);
        let client = Client::builder().base_url(server.url()).api_key("k").build().unwrap();
        let tracked = client.route_task_tracked("x").await.unwrap();
        let reported = tracked.report_outcome(Outcome::success()).await.unwrap();
        assert_eq!(reported.credits_awarded(), Some(2));
        let seen = server.seen().remove(1);
        assert!(seen.starts_with(&format!("POST {path} HTTP/1.1\r\n")), "{hint}: {seen}");
        assert!(seen.ends_with(r#"{"route_id":"r-1","success":true}"#), "{seen}");
    }
}

#[tokio::test]
async fn a_ticket_whose_clock_was_started_tells_how_long_it_took() {
    let sandbox = started(Sandbox::builder()).await;
    let client = client_of(&sandbox).build().unwrap();
    let ids = route_ids(&client, 3).await;
    let ticket = |id: &str| client.ticket(id, None).unwrap();
    client.report(&ticket(&ids[0]).started(), Outcome::success()).await.unwrap();
    let told = Outcome::success().latency(Duration::from_millis(7));
    client.report(&ticket(&ids[1]).started(), told).await.unwrap();
    client.report(&ticket(&ids[2]), Outcome::success()).await.unwrap();
    let seen: Vec<_> = reported(&sandbox).iter().map(|one| one.actual_latency_ms).collect();
    assert!(seen[0].is_some());
    assert_eq!(seen[1..], [Some(7.0), None]);
}

#[tokio::test]
async fn a_store_that_fails_is_an_error_at_hand_over_and_routes_go_on() {
    let folder = TempFolder::new("outbox");
    let sandbox = started(Sandbox::builder()).await;
    let failed: Arc<Mutex<Vec<String>>> = Arc::default();
    let events = Arc::clone(&failed);
    let builder = client_of(&sandbox).report_queue(4).on_event(move |event| {
        if let Event::OutboxFailed { reason, .. } = event {
            events.lock().unwrap().push(reason.clone());
        }
    });
    let client = without_room(&folder, builder);
    let tracked = client.route_task_tracked("x").await.unwrap();
    let error = tracked.report_durable(Outcome::success()).await.unwrap_err();
    assert_eq!(error.code(), "store");
    assert!(error.to_string().contains("store.db"), "{error}");
    // In memory it waits, and is said to.
    let mut taken = 0;
    while client
        .report_in_background(&client.ticket(&format!("r{taken}"), None).unwrap(), Outcome::success())
        .is_ok()
    {
        taken += 1;
        tokio::task::yield_now().await;
        assert!(taken < 1000);
    }
    let route = client.route_task("x").await.unwrap();
    // The server itself is well: the report can be made at once.
    assert_eq!(tracked.report_outcome(Outcome::success()).await.unwrap().credits_awarded(), Some(1));
    drop(route);
    client.close(Duration::ZERO).await;
    assert_eq!(failed.lock().unwrap().len(), 1);
    assert!(client.outbox().counters().dropped > 0);
}

#[tokio::test]
async fn a_durable_report_without_a_durable_store_is_refused() {
    let sandbox = started(Sandbox::builder()).await;
    let client = client_of(&sandbox).build().unwrap();
    let tracked = client.route_task_tracked("x").await.unwrap();
    let error = tracked.report_durable(Outcome::success()).await.unwrap_err();
    assert_eq!(error.code(), "config");
    assert_eq!(tracked.report_in_background(Outcome::success()).unwrap(), HandedOver::Accepted);
    client.close(LONG).await;
    assert_eq!(reported(&sandbox).len(), 1);
    let error =
        client.report_in_background(&client.ticket("a", None).unwrap(), Outcome::success()).unwrap_err();
    assert!(error.to_string().contains("closed"), "{error}");
}

#[test]
fn a_runtime_that_ends_takes_no_report_with_it() {
    let background = tokio::runtime::Runtime::new().unwrap();
    let sandbox = background.block_on(started(Sandbox::builder()));
    let client = client_of(&sandbox).build().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let tracked = runtime.block_on(client.route_task_tracked("x")).unwrap();
    tracked.report_in_background(Outcome::success()).unwrap();
    drop(runtime);
    // The last client goes too; what is in memory is still delivered.
    drop(tracked);
    drop(client);
    background.block_on(until_reported(&sandbox, 1));
}

#[tokio::test]
async fn an_audit_has_the_outcome_and_a_proof_and_is_its_principals_alone() {
    let sandbox = started(Sandbox::builder()).await;
    let client = client_of(&sandbox).build().unwrap();
    let tracked = client.route_task_tracked("x").await.unwrap();
    let id = tracked.route_id.clone().unwrap();
    let before = client.audit(&id).await.unwrap();
    assert_eq!(before.route_id.as_deref(), Some(id.as_str()));
    assert_eq!(before.route.as_ref().unwrap().recommended.as_deref(), Some("qdrant"));
    assert!(before.outcome.is_none());
    tracked.report_outcome(Outcome::failure("rate_limited")).await.unwrap();
    let after = client.audit(&id).await.unwrap();
    let outcome = after.outcome.as_ref().unwrap();
    assert_eq!((outcome.success, outcome.error_code.as_deref()), (Some(false), Some("rate_limited")));
    assert_ne!(after.proof.as_ref().unwrap().hash, before.proof.as_ref().unwrap().hash);
    assert_eq!(client.audit("another").await.unwrap_err().code(), "not_found");
    assert_eq!(client.audit("a&request_id=b").await.unwrap_err().code(), "not_found");
    assert_eq!(client.audit("a b").await.unwrap_err().code(), "invalid_request");
    let operator = Client::builder().base_url(sandbox.url()).api_key(sandbox.server_key()).build().unwrap();
    assert_eq!(operator.audit(&id).await.unwrap_err().code(), "forbidden");
}

#[tokio::test]
async fn a_flush_delivers_what_others_hand_over_meanwhile() {
    const REPORTS: usize = 300;
    let folder = TempFolder::new("outbox");
    let sandbox = started(Sandbox::builder()).await;
    let open = || {
        let store = Store::open(folder.file("store.db")).unwrap();
        client_of(&sandbox).store(store).deliver_in_background(false).build().unwrap()
    };
    let (draining, handing) = (open(), open());
    let ids = route_ids(&handing, REPORTS).await;
    let hand_over = tokio::spawn(async move {
        for id in ids {
            let ticket = handing.ticket(&id, None).unwrap();
            handing.report_durable(&ticket, Outcome::success()).await.unwrap();
            // Now and then the courier has nothing to do, and ends.
            tokio::task::yield_now().await;
        }
    });
    let drained = async {
        while reported(&sandbox).len() < REPORTS {
            assert_eq!(draining.outbox().flush(LONG).await.unwrap().left, 0);
        }
    };
    // Half of what one flush may take: none of them slept through what was handed over.
    tokio::time::timeout(LONG / 2, drained).await.expect("all are delivered");
    hand_over.await.unwrap();
}

#[tokio::test]
async fn a_hint_that_leads_nowhere_is_followed_by_the_documented_endpoint() {
    let gone = answer("404 Not Found\r\nContent-Type: text/html", "<html>");
    let taken = || answer("200 OK\r\nContent-Type: application/json", r#"{"received":true}"#);
    let server =
        Scripted::start(vec![Some(route_with_hint("/v9/outcome")), Some(gone), Some(taken()), Some(taken())]);
    let client = Client::builder().base_url(server.url()).api_key("k").build().unwrap();
    let tracked = client.route_task_tracked("x").await.unwrap();
    tracked.report_outcome(Outcome::success()).await.unwrap();
    // It says nothing of the documented one, which other reports go to.
    client.report(&client.ticket("r-2", None).unwrap(), Outcome::success()).await.unwrap();
    let went: Vec<_> =
        server.seen().iter().skip(1).map(|seen| seen.split(' ').nth(1).unwrap().to_owned()).collect();
    assert_eq!(went, ["/v9/outcome", "/api/v1/outcome", "/api/v1/outcome"]);
}

#[tokio::test]
async fn a_refusal_of_the_connection_is_no_refusal_of_the_report() {
    for status in [408, 421, 425, 429, 401, 500] {
        let sandbox = started(Sandbox::builder()).await;
        let client = client_of(&sandbox).retry(amply_sdk::RetryPolicy::never()).build().unwrap();
        let tracked = client.route_task_tracked("x").await.unwrap();
        sandbox.control().fault(Fault::on("/outcome").first(1).status(status));
        tracked.report_in_background(Outcome::success()).unwrap();
        assert_eq!(client.outbox().flush(LONG).await.unwrap().left, 0, "{status}");
        let counters = client.outbox().counters();
        assert_eq!((counters.delivered, counters.dead), (1, 0), "{status}");
    }
}

#[tokio::test]
async fn a_durable_report_whose_caller_went_is_delivered() {
    let folder = TempFolder::new("outbox");
    let sandbox = started(Sandbox::builder()).await;
    let client = client_of(&sandbox).store(Store::open(folder.file("store.db")).unwrap()).build().unwrap();
    let tracked = client.route_task_tracked("x").await.unwrap();
    {
        let mut report = Box::pin(tracked.report_durable(Outcome::success()));
        let polled =
            std::future::poll_fn(|context| std::task::Poll::Ready(report.as_mut().poll(context).is_ready()));
        let _ = polled.await;
    }
    until_reported(&sandbox, 1).await;
}

#[tokio::test]
async fn a_report_that_is_tried_again_is_delivered_without_a_flush() {
    let sandbox = started(Sandbox::builder()).await;
    let client = client_of(&sandbox).build().unwrap();
    let tracked = client.route_task_tracked("x").await.unwrap();
    sandbox.control().fault(Fault::on("/outcome").first(1).status(400));
    tracked.report_in_background(Outcome::success()).unwrap();
    client.outbox().flush(LONG).await.unwrap();
    let dead = client.outbox().list().await.unwrap().remove(0);
    client.outbox().retry(&dead.id).await.unwrap();
    until_reported(&sandbox, 1).await;
}

#[tokio::test]
async fn dead_letters_do_not_keep_new_reports_out() {
    let sandbox = started(Sandbox::builder().outcome_endpoint(false).route_outcome_endpoint(false)).await;
    let client = client_of(&sandbox).outbox_limit(5).build().unwrap();
    for number in 0..20 {
        let ticket = client.ticket(&format!("route-{number}"), Some("qdrant")).unwrap();
        client.report_in_background(&ticket, Outcome::success()).unwrap();
    }
    assert_eq!(client.outbox().flush(LONG).await.unwrap().left, 0);
    assert_eq!(client.outbox().counters().dead, 20);
    assert_eq!(client.outbox().list().await.unwrap().len(), 5);
}

#[tokio::test]
async fn of_two_who_close_both_wait_for_the_end() {
    let sandbox = started(Sandbox::builder()).await;
    sandbox.control().fault(Fault::on("/outcome").always().delay(Duration::from_millis(50)));
    let client = client_of(&sandbox).build().unwrap();
    let tracked = client.route_task_tracked("x").await.unwrap();
    tracked.report_in_background(Outcome::success()).unwrap();
    let other = client.clone();
    let first = tokio::spawn(async move { other.close(LONG).await });
    tokio::task::yield_now().await;
    client.close(LONG).await;
    assert_eq!(reported(&sandbox).len(), 1);
    first.await.unwrap();
    let error = client.outbox().flush(LONG).await.unwrap_err();
    assert_eq!(error.code(), "config");
}

#[tokio::test]
async fn what_was_handed_over_is_delivered_or_counted_as_lost_when_a_client_is_closed_at_once() {
    let sandbox = started(Sandbox::builder()).await;
    sandbox.control().fault(Fault::on("/outcome").always().delay(Duration::from_millis(2)));
    let ids = route_ids(&client_of(&sandbox).build().unwrap(), 60).await;
    for _ in 0..20 {
        let client = client_of(&sandbox).build().unwrap();
        for id in &ids {
            client.report_in_background(&client.ticket(id, None).unwrap(), Outcome::success()).unwrap();
        }
        client.close(Duration::ZERO).await;
        let counters = client.outbox().counters();
        assert_eq!(counters.delivered + counters.dropped, counters.queued, "{counters:?}");
        // Nobody goes on after the end.
        tokio::time::sleep(Duration::from_millis(10)).await;
        assert_eq!(client.outbox().counters(), counters);
    }
}

#[test]
fn a_disk_that_is_full_is_an_error_at_hand_over_and_what_was_accepted_is_delivered() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let folder = TempFolder::new("outbox");
    let sandbox = runtime.block_on(started(Sandbox::builder()));
    let ids = runtime.block_on(async { route_ids(&client_of(&sandbox).build().unwrap(), 2_000).await });
    std::fs::write(folder.file("routes"), ids.join("\n")).unwrap();
    std::fs::write(folder.file("accepted"), "").unwrap();
    // Files of at most 300 KiB; the signal for one that is larger is left out, so that writing is what fails.
    let worker = env!("CARGO_BIN_EXE_reporting_worker");
    let (store, routes, accepted) = (folder.file("store.db"), folder.file("routes"), folder.file("accepted"));
    let output = std::process::Command::new("bash")
        .args([
            "-c",
            r#"trap '' XFSZ; ulimit -f 300; exec "$@""#,
            "bash",
            worker,
            "fill",
            sandbox.url(),
            &store,
        ])
        .args(["6000", sandbox.user_key(), &routes, &accepted])
        .output()
        .unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    assert!(said.starts_with("store: ") && said.ends_with("a route goes on\n"), "{said}");
    let accepted = std::fs::read_to_string(&accepted).unwrap();
    assert!((1..2_000).contains(&accepted.lines().count()), "{said}");
    runtime.block_on(async {
        let client = client_of(&sandbox).store(Store::open(&store).unwrap()).build().unwrap();
        assert_eq!(client.outbox().flush(LONG).await.unwrap().left, 0);
        let seen: std::collections::HashSet<_> =
            reported(&sandbox).into_iter().map(|one| one.route_id).collect();
        assert!(accepted.lines().all(|id| seen.contains(id)));
    });
}
