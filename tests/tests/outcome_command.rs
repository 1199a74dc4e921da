//! `route --track`, `outcome`, `outbox` and `audit`: how a route went is told once, now or later, and never lost in silence.

use std::time::Duration;

use amply_sandbox::{Fault, Release, ReportedVia, Sandbox};
use amply_tests::stage::{Stage, error_of, hint_of};
use amply_tests::{Refusing, Scripted, TempFolder, Terminal, amply};
use serde_json::{Value, json};

const TASK: &str = "store 1M vectors";

#[tokio::test(flavor = "multi_thread")]
async fn a_tracked_route_is_the_servers_json_with_one_key_more_at_its_end() {
    let body = "{\"recommended\": \"qdrant\",  \"request_id\":\"r-1\",\"new\":{\"b\":1e400,\"a\":\"}\"} }\n";
    let server = Scripted::answering("200 OK", "application/json", body);
    let variables = [("AMPLY_BASE_URL", server.url())];
    let plain = amply(&["route", TASK], &variables, b"");
    let tracked = amply(&["route", TASK, "--track"], &variables, b"");
    let (before, ticket) = tracked.stdout.split_once(",\"amply_ticket\":\"").unwrap();
    assert_eq!(format!("{before}}}\n"), plain.stdout);
    assert!(ticket.starts_with("amply-ticket-1.") && ticket.ends_with("\"}\n"), "{ticket}");
    assert_eq!(tracked.code, Some(0));
    // Where the server gave the route no id, what it answered is still there.
    let server = Scripted::answering("200 OK", "application/json", r#"{"recommended":"qdrant"}"#);
    let tracked = amply(&["route", TASK, "--track"], &[("AMPLY_BASE_URL", server.url())], b"");
    assert_eq!(tracked.stdout, "{\"recommended\":\"qdrant\",\"amply_ticket\":null}\n");
    assert!(tracked.stderr.contains("warning: there is no ticket: the server gave this route no id"));
    assert_eq!(tracked.code, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_route_that_is_paid_for_has_a_ticket_too() {
    let stage = Stage::of(Sandbox::builder().strict_wallet(true).balance("0")).await;
    let service =
        [("AMPLY_TOPUP_URL", stage.sandbox.topup_url()), ("AMPLY_TOPUP_TOKEN", stage.sandbox.topup_token())];
    let arguments = ["route", TASK, "--track", "--pay", "--max-daily-usd", "1"];
    let finished = stage.amply_with(&arguments, &service, b"");
    let route: Value = serde_json::from_str(&finished.stdout).unwrap();
    let receipt = stage.json(&["outcome", "--ticket", route["amply_ticket"].as_str().unwrap(), "--success"]);
    assert_eq!(receipt, json!({"received": true, "credits_awarded": 1}));
    assert_eq!((finished.code, stage.sandbox.control().credits().len()), (Some(0), 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outcome_is_told_as_it_was_typed_and_the_servers_answer_is_printed_as_it_came() {
    let stage = Stage::new().await;
    let ids: Vec<_> = (0..4).map(|_| stage.route()).collect();
    let (id, ticket) = &ids[0];
    let told = stage.amply(&["outcome", id, "--success", "--latency-ms", "42"]);
    assert_eq!(told.stdout, "{\"received\":true,\"credits_awarded\":1}\n");
    let (id, _) = &ids[1];
    stage.json(&["outcome", id, "--failure", "--error-code", "rate_limited", "--provider", "pinecone"]);
    let from_stdin = ["outcome", "--ticket", "-", "--failure"];
    let told = stage.amply_with(&from_stdin, &[], format!("{}\n", ids[2].1).as_bytes());
    assert_eq!(told.code, Some(0), "{told:?}");
    stage.json(&["outcome", "--ticket", &ids[3].1, "--failure", "--error-code", "timeout"]);
    let seen: Vec<_> = stage
        .reported()
        .into_iter()
        .map(|one| (one.route_id, one.success, one.actual_latency_ms, one.error_code))
        .collect();
    let code = |code: &str| Some(code.to_owned());
    assert_eq!(
        seen,
        [
            (ids[0].0.clone(), true, Some(42.0), None),
            (ids[1].0.clone(), false, None, code("rate_limited")),
            (ids[2].0.clone(), false, None, code("error")),
            (ids[3].0.clone(), false, None, code("timeout")),
        ]
    );
    // A second report does nothing; this one the server answers. No store was made for any of it.
    let again = stage.json(&["outcome", "--ticket", ticket, "--failure"]);
    assert_eq!(again, json!({"received": true, "credits_awarded": 0, "duplicate": true}));
    assert!(stage.reported()[0].success && !stage.has_store());
}

#[tokio::test(flavor = "multi_thread")]
async fn flags_that_contradict_each_other_are_refused() {
    let stage = Stage::new().await;
    let (id, ticket) = stage.route();
    stage.sandbox.control().clear();
    for (arguments, says) in [
        (&["--success"][..], "<ROUTE_ID|--ticket <TICKET>>"),
        (&[&id], "<--success|--failure>"),
        (&[&id, "--success", "--failure"], "'--success' cannot be used with"),
        (&[&id, "--ticket", &ticket, "--success"], "cannot be used with"),
        (&["--ticket", &ticket, "--provider", "qdrant", "--success"], "cannot be used with"),
        (&[&id, "--success", "--error-code", "x"], "cannot be used with"),
        (&[&id, "--success", "--latency-ms", "-1"], "a whole number of ms"),
        (&[&id, "--success", "--latency-ms", "1.5"], "a whole number of ms"),
        (&["--ticket", "-", "--api-key-stdin", "--success"], "both would read standard input"),
        (&[&id, "--later", "--sandbox", "--success"], "its outbox ends with the process"),
    ] {
        let (code, kind, message) = error_of(&stage.amply(&[&["outcome", "--json"], arguments].concat()));
        assert_eq!((code, kind.as_str()), (Some(2), "usage"), "{arguments:?}: {message}");
        assert!(message.contains(says), "{arguments:?}: {message}");
    }
    for (arguments, says) in [
        (&[&id, "--failure", "--error-code", "No such thing"][..], "error_code is `No such thing`"),
        (&[&id, "--success", "--latency-ms", "99999999999"], "at most 31536000000 (a year)"),
        (&["a b", "--success"], "route_id is `a b`"),
        (&[&id, "--provider", "", "--success"], "provider_id is ``"),
        (&["--ticket", "nonsense", "--success"], "the ticket does not begin with `amply-ticket-1.`"),
        (&["--ticket", "-", "--success"], "the ticket does not begin with `amply-ticket-1.`"),
    ] {
        let (code, kind, message) = error_of(&stage.amply(&[&["outcome", "--json"], arguments].concat()));
        assert_eq!((code, kind.as_str()), (Some(2), "invalid_request"), "{arguments:?}: {message}");
        assert!(message.contains(says), "{arguments:?}: {message}");
    }
    // A ticket of another server, or of another key, draws nothing to anybody.
    let other = Stage::new().await;
    let elsewhere = other.amply(&["outcome", "--ticket", &ticket, "--success", "--json"]);
    assert!(error_of(&elsewhere).2.contains("the ticket is of http://127.0.0.1:"), "{elsewhere:?}");
    let operator = [("AMPLY_API_KEY", stage.sandbox.server_key())];
    let refused = stage.amply_with(&["outcome", "--ticket", &ticket, "--success", "--json"], &operator, b"");
    assert!(error_of(&refused).2.contains("asked for with another key"), "{refused:?}");
    assert!(stage.sandbox.control().calls().is_empty() && other.sandbox.control().calls().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_kept_for_later_needs_no_network_and_is_delivered_by_a_flush() {
    let stage = Stage::new().await;
    let (id, ticket) = stage.route();
    stage.sandbox.control().clear();
    let later = ["outcome", "--ticket", &ticket, "--success", "--latency-ms", "7", "--later"];
    assert_eq!(stage.json(&later), json!({"route_id": id, "queued": true, "duplicate": false}));
    assert_eq!(stage.json(&later), json!({"route_id": id, "queued": false, "duplicate": true}));
    // Nor is it reported beside the outbox.
    let ours = stage.json(&["outcome", &id, "--failure"]);
    let expected = json!({
        "received": true, "credits_awarded": 0, "duplicate": true, "amply_answered_from": "store",
    });
    assert_eq!(ours, expected);
    assert!(stage.sandbox.control().calls().is_empty());

    let [report] = stage.outbox().try_into().unwrap();
    let mut names: Vec<_> = report.as_object().unwrap().keys().cloned().collect();
    names.sort();
    assert_eq!(
        names,
        [
            "attempts",
            "base_url",
            "created_ms",
            "id",
            "is_dead",
            "last_error",
            "not_before_ms",
            "outcome",
            "principal",
            "provider_id",
            "route_id"
        ]
    );
    assert_eq!((&report["route_id"], &report["provider_id"]), (&json!(id), &json!("qdrant")));
    assert_eq!(report["outcome"], json!({"success": true, "actual_latency_ms": 7}));
    assert_eq!((&report["attempts"], &report["is_dead"]), (&json!(0), &json!(false)));

    let flushed = json!({"delivered": 1, "dead": 0, "left": 0, "credits_awarded": 1});
    assert_eq!(stage.json(&["outbox", "flush"]), flushed);
    assert_eq!((stage.outbox().len(), stage.reported()[0].actual_latency_ms), (0, Some(7.0)));
    // That it was delivered is remembered.
    assert_eq!(stage.json(&["outcome", &id, "--failure"]), expected);
    assert_eq!(stage.reported()[0].times_received, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_server_the_hint_is_to_report_later() {
    let stage = Stage::new().await;
    let (id, _) = stage.route();
    let nobody = Refusing::new();
    let variables = [("AMPLY_BASE_URL", nobody.url())];
    let finished = stage.amply_with(&["outcome", &id, "--success", "--json"], &variables, b"");
    let (code, kind, _) = error_of(&finished);
    assert_eq!((code, kind.as_str()), (Some(7), "transport"));
    assert!(hint_of(&finished).starts_with("add `--later`: "), "{finished:?}");
    for (status, expected) in [(503, 8), (429, 6)] {
        stage.sandbox.control().clear_faults();
        stage.sandbox.control().fault(
            Fault::on("/outcome").status(status).header("retry-after", "600").code("rate_limited").always(),
        );
        let finished = stage.amply(&["outcome", &id, "--success", "--json"]);
        assert_eq!(finished.code, Some(expected), "{finished:?}");
        assert!(hint_of(&finished).starts_with("add `--later`: "), "{finished:?}");
    }
    // Another one is not for want of a server.
    stage.sandbox.control().clear_faults();
    let finished = stage.amply(&["outcome", "no-such-route", "--success", "--json"]);
    let (code, kind, _) = error_of(&finished);
    assert_eq!((code, kind.as_str()), (Some(1), "not_found"));
    assert!(!hint_of(&finished).contains("--later"), "{finished:?}");
    assert!(!stage.has_store());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_older_server_is_told_the_provider() {
    let stage = Stage::of(Sandbox::builder().outcome_endpoint(false)).await;
    let (id, _) = stage.route();
    let finished = stage.amply(&["outcome", &id, "--failure", "--json"]);
    let (code, _, message) = error_of(&finished);
    assert!(message.contains("wants to know the provider") && code == Some(2), "{finished:?}");
    stage.json(&["outcome", &id, "--provider", "chroma", "--failure", "--error-code", "timeout"]);
    let [reported] = stage.reported().try_into().unwrap();
    assert_eq!(
        (reported.via, reported.provider_id.as_str(), reported.outcome.as_deref()),
        (ReportedVia::RouteOutcome, "chroma", Some("timeout"))
    );
    let oldest = Stage::of(Sandbox::builder().release(Release::V3_1_12)).await;
    let finished = oldest.amply(&["outcome", &id, "--provider", "chroma", "--success", "--json"]);
    assert_eq!(error_of(&finished).1, "unsupported");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_embedded_sandbox_says_that_it_knows_no_route_of_another_process() {
    let (id, ticket) = Stage::new().await.route();
    for arguments in [&["outcome", &id, "--success"][..], &["audit", &id]] {
        let finished = amply(&[arguments, &["--sandbox", "--json"]].concat(), &[], b"");
        let (code, kind, _) = error_of(&finished);
        assert_eq!((code, kind.as_str()), (Some(1), "not_found"), "{arguments:?}");
        assert!(hint_of(&finished).contains("serve one with `amply sandbox`"), "{finished:?}");
    }
    let finished = amply(&["--sandbox", "--json", "outcome", "--ticket", &ticket, "--success"], &[], b"");
    assert_eq!(error_of(&finished).0, Some(2));
    let finished = amply(&["--sandbox", "--json", "outbox", "list"], &[], b"");
    assert_eq!(error_of(&finished).1, "usage");
    let tracked = amply(&["--sandbox", "-q", "route", TASK, "--track"], &[], b"");
    assert!(tracked.stdout.contains(",\"amply_ticket\":\"amply-ticket-1."), "{tracked:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outbox_is_looked_at_without_key_network_or_store() {
    let stage = Stage::new().await;
    let broken =
        [("AMPLY_API_KEY", "line\nbreak"), ("AMPLY_BASE_URL", "nonsense"), ("AMPLY_TIMEOUT", "soon")];
    let listed = stage.amply_with(&["outbox", "list"], &broken, b"");
    assert_eq!((listed.stdout.as_str(), listed.code), ("{\"reports\":[]}\n", Some(0)));
    let retried = stage.amply_with(&["outbox", "retry", "--all"], &broken, b"");
    assert_eq!((retried.stdout.as_str(), retried.code), ("{\"retried\":0}\n", Some(0)));
    let flushed = stage.amply_with(&["outbox", "flush"], &broken, b"");
    assert_eq!(
        (flushed.stdout.as_str(), flushed.code),
        ("{\"delivered\":0,\"dead\":0,\"left\":0,\"credits_awarded\":0}\n", Some(0))
    );
    for arguments in [&["outbox", "retry", "none", "--json"], &["outbox", "drop", "none", "--json"]] {
        let (code, kind, message) = error_of(&stage.amply_with(arguments, &broken, b""));
        assert_eq!((code, kind.as_str()), (Some(2), "invalid_request"));
        assert!(message.contains("no report that waits has the id `none`"), "{message}");
    }
    for arguments in [&["outbox", "retry", "--json"][..], &["outbox", "retry", "x", "--all", "--json"]] {
        assert_eq!(error_of(&stage.amply(arguments)).1, "usage");
    }
    assert!(!stage.has_store() && stage.sandbox.control().calls().is_empty());
    // One that cannot be opened is an error, not an empty list.
    amply_tests::write(stage.folder.path().join("state").as_ref(), "a file where the folder should be");
    let (code, kind, _) = error_of(&stage.amply(&["outbox", "list", "--json"]));
    assert_eq!((code, kind.as_str()), (Some(1), "store"));
    let (code, kind, _) = error_of(&stage.amply(&["outcome", "x", "--success", "--later", "--json"]));
    assert_eq!((code, kind.as_str()), (Some(1), "store"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flush_that_leaves_something_says_how_much_and_why() {
    let stage = Stage::new().await;
    for _ in 0..3 {
        let (_, ticket) = stage.route();
        stage.json(&["outcome", "--ticket", &ticket, "--success", "--later"]);
    }
    stage.sandbox.control().fault(Fault::on("/outcome").status(503).always());
    let finished = stage.amply(&["outbox", "flush", "--timeout", "2s", "--json"]);
    let (code, kind, message) = error_of(&finished);
    assert_eq!((code, kind.as_str(), finished.stdout.as_str()), (Some(1), "undelivered", ""));
    assert!(
        message.starts_with("3 left in the outbox: ") && message.contains("Service Unavailable"),
        "{message}"
    );
    assert_eq!(finished.error()["left"], 3);
    assert!(stage.outbox().iter().any(|report| report["last_error"].is_string()));
    // With another key it is no concern of ours, and is said to be there.
    let other = [("AMPLY_API_KEY", stage.sandbox.server_key())];
    let flushed = stage.amply_with(&["outbox", "flush"], &other, b"");
    assert_eq!(flushed.code, Some(0), "{flushed:?}");
    let note = "note: 3 reports of other keys or servers stay; `amply outbox list` shows them\n";
    assert_eq!(flushed.stderr, note);
    stage.sandbox.control().clear_faults();
    assert_eq!(stage.json(&["outbox", "flush"])["delivered"], 3);
    assert_eq!((stage.outcomes().len(), stage.outbox().len()), (3, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_given_up_is_kept_with_its_reason_until_it_is_tried_again_or_removed() {
    let stage = Stage::new().await;
    for id in ["no-such-route", "nor-this"] {
        stage.json(&["outcome", id, "--success", "--later"]);
    }
    let flushed = stage.amply(&["outbox", "flush"]);
    assert_eq!(flushed.code, Some(0), "{flushed:?}");
    assert_eq!(flushed.stdout, "{\"delivered\":0,\"dead\":2,\"left\":0,\"credits_awarded\":0}\n");
    assert!(flushed.stderr.contains("warning: the server refused 2 reports for good"), "{flushed:?}");
    let dead = stage.outbox();
    assert!(dead.iter().all(|report| report["is_dead"] == true && report["attempts"] == 1), "{dead:?}");
    assert!(dead[0]["last_error"].as_str().unwrap().contains("No route of yours has this id"), "{dead:?}");

    let id = dead[0]["id"].as_str().unwrap();
    let retried = stage.json(&["outbox", "retry", id]);
    assert_eq!((&retried["id"], &retried["is_dead"]), (&json!(id), &json!(false)));
    assert_eq!(stage.json(&["outbox", "retry", "--all"]), json!({"retried": 1}));
    assert_eq!(stage.json(&["outbox", "flush"])["dead"], 2);
    let dropped = stage.json(&["outbox", "drop", id]);
    assert_eq!((&dropped["id"], &dropped["is_dead"]), (&json!(id), &json!(true)));
    assert_eq!(stage.outbox().len(), 1);
    assert_eq!(error_of(&stage.amply(&["outbox", "drop", id, "--json"])).0, Some(2));
}

#[tokio::test(flavor = "multi_thread")]
async fn at_a_terminal_a_flush_of_many_shows_how_far_it_is() {
    let stage = Stage::new().await;
    let client = amply_sdk::Client::builder()
        .base_url(stage.sandbox.url())
        .api_key(stage.sandbox.user_key())
        .store(amply_sdk::Store::open(stage.store()).unwrap())
        .deliver_in_background(false)
        .build()
        .unwrap();
    for _ in 0..12 {
        let tracked = client.route_task_tracked(TASK).await.unwrap();
        tracked.report_durable(amply_sdk::Outcome::success()).await.unwrap();
    }
    // One of the last is held up until the progress has been seen.
    stage.sandbox.control().fault(Fault::on("/outcome").nth(12).delay(Duration::from_secs(4)));
    let terminal = stage.at_terminal(&["outbox", "flush"]);
    terminal.wait_for("delivering reports [--------------------] 0 of 12");
    terminal.wait_for("delivering reports [##################--] 11 of 12");
    let (seen, code) = terminal.finish();
    assert!(seen.ends_with("\r12 reports delivered, for 12 credits\n"), "{seen:?}");
    assert_eq!((code, stage.outcomes().len()), (Some(0), 12));
}

#[tokio::test(flavor = "multi_thread")]
async fn ctrl_c_ends_a_flush_and_another_one_goes_on_at_once() {
    let stage = Stage::new().await;
    let (_, ticket) = stage.route();
    stage.json(&["outcome", "--ticket", &ticket, "--success", "--later"]);
    let silent = Scripted::start(vec![None]);
    let folder = TempFolder::new("flush");
    // Its own store: a report is for the server that it was made for.
    let store = folder.file("store.db");
    let variables =
        [("AMPLY_BASE_URL", silent.url()), ("AMPLY_STORE", &*store), ("AMPLY_API_KEY", "srv_key")];
    assert_eq!(amply(&["outcome", "r-1", "--success", "--later"], &variables, b"").code, Some(0));
    let terminal = Terminal::amply(&["outbox", "flush"], &variables);
    silent.wait_for_a_request();
    terminal.interrupt();
    assert_eq!(terminal.finish().1, Some(130));
    // It was given back: whoever comes next need not wait for the end of a lease.
    let terminal = Terminal::amply(&["outbox", "flush"], &variables);
    silent.wait_for_requests(2);
    terminal.interrupt();
    assert_eq!(terminal.finish().1, Some(130));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_audit_is_printed_as_it_came_and_has_the_outcome_in_it() {
    let stage = Stage::new().await;
    let (id, ticket) = stage.route();
    let before = stage.json(&["audit", &id]);
    assert_eq!((&before["request_id"], &before["outcome"]), (&json!(id), &Value::Null));
    stage.json(&["outcome", "--ticket", &ticket, "--failure", "--error-code", "exit_3", "--latency-ms", "9"]);
    let after = stage.json(&["audit", &id]);
    assert_eq!(
        (&after["outcome"]["error_code"], &after["outcome"]["actual_latency_ms"]),
        (&json!("exit_3"), &json!(9))
    );
    assert_ne!(before["proof"]["hash"], after["proof"]["hash"]);
    let (code, kind, _) = error_of(&stage.amply(&["audit", "no-such-route", "--json"]));
    assert_eq!((code, kind.as_str()), (Some(1), "not_found"));
    let keyless = stage.amply_with(&["audit", &id, "--json"], &[("AMPLY_API_KEY", "")], b"");
    assert_eq!(error_of(&keyless).0, Some(3));
    let body = "{\"ok\":true, \"proof\":{\"hash\":\"ab\"},\"x\":1.0}";
    let server = Scripted::answering("200 OK", "application/json", body);
    let raw = amply(&["audit", "a&b=c", "--base-url", server.url()], &[], b"");
    assert_eq!(raw.stdout, format!("{body}\n"));
    assert!(server.seen()[0].starts_with("GET /api/v1/route/audit?request_id=a%26b%3Dc HTTP/1.1"));
}
