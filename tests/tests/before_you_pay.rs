//! What is known before money moves: what a call would send, why a provider was recommended; and a top-up by an operator.

use std::path::Path;
use std::time::Duration;

use amply_sandbox::{Fault, Sandbox};
use amply_sdk::{
    AdminTopUp, Client, Error, Event, Payer, PaymentState, RouteRequest, SpendPolicy, Store, TopUpOrder, Usd,
};
use amply_tests::explaining::{Case, a_little_worse, best_of};
use amply_tests::paying::{asked, broke, client_of, credited, ordering, policy, usd};
use amply_tests::stage::Stage;
use amply_tests::{Refusing, Scripted, TempFolder, Terminal, amply};
use serde_json::Value;

const TASK: &str = "store 1M 1536-dim vectors";

#[tokio::test]
async fn a_provider_that_is_changed_as_the_explanation_says_wins_and_a_little_less_does_not_do() {
    let mut rng = fastrand::Rng::with_seed(0x0e9_1a15);
    let (mut reached, mut unreached) = ([0; 4], 0);
    for _ in 0..60 {
        let case = Case::by_chance(&mut rng);
        let Some(explanation) = case.explained().await else { continue };
        assert!(explanation.is_exact && explanation.missing.is_empty(), "{explanation:?}");
        for provider in &explanation.providers {
            let sum: f64 = provider.components.iter().filter_map(|part| part.contribution).sum();
            assert!((sum - provider.composite.unwrap_or(-1.0)).abs() < 1e-9, "{provider:?}");
            let Some(to_win) = &provider.to_win else { continue };
            for (place, change) in to_win.changes.iter().enumerate() {
                let id = &provider.provider_id;
                let metric = change.metric.unwrap_or_default();
                let wins_with = async |value| {
                    let after = case.with(id, metric, value).explained().await;
                    after.is_some_and(|after| after.recommended == *id)
                };
                match change.metric_needed {
                    Some(needed) => {
                        assert!(
                            change.is_reachable && wins_with(needed).await,
                            "{id} {change:?} in {explanation:?}"
                        );
                        let less = a_little_worse(change);
                        let now = change.metric_now.unwrap_or_default();
                        if (less - now) * (needed - now) > 0.0 {
                            assert!(!wins_with(less).await, "{id} {change:?} in {explanation:?}");
                        }
                        reached[place] += 1;
                    }
                    None => {
                        assert!(!change.is_reachable && !wins_with(best_of(change)).await, "{id} {change:?}");
                        unreached += 1;
                    }
                }
            }
        }
    }
    // Each figure has been put to the test.
    assert!(reached.iter().all(|count| *count > 5) && unreached > 50, "{reached:?} {unreached}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_connects_to_nobody_shows_no_secret_and_makes_no_store() {
    let server = Scripted::answering("200 OK", "application/json", "{}");
    let folder = TempFolder::new("dry");
    let state = folder.file("");
    let key = "amply_sk_Ab3_-xYzAb3_-xYzAb3_-xYzAb3_-xYz";
    let variables = [
        ("AMPLY_API_KEY", key),
        ("AMPLY_TOPUP_URL", server.url()),
        ("AMPLY_TOPUP_TOKEN", "s3cret-token"),
        ("XDG_STATE_HOME", &*state),
    ];
    let nobody = Refusing::new();
    for url in [server.url(), nobody.url(), "https://name.invalid"] {
        for arguments in [
            &["--json", "--base-url", url, "route", TASK, "--dry-run"][..],
            &["--json", "--base-url", url, "route", TASK, "--dry-run", "--pay", "--max-daily-usd", "5"],
            &["--json", "--base-url", url, "run", TASK, "--dry-run", "--", "false"],
        ] {
            let finished = amply(arguments, &variables, b"");
            assert_eq!((finished.code, &*finished.stderr), (Some(0), ""), "{finished:?}");
            let plan: Value = serde_json::from_str(&finished.stdout).unwrap();
            assert_eq!(plan["url"], format!("{url}/api/v1/route"));
            assert_eq!((&plan["key_kind"], &plan["key_from"]), (&"user".into(), &"AMPLY_API_KEY".into()));
            assert_eq!(plan["body"]["task"], TASK);
            let pays = arguments.contains(&"--pay");
            assert_eq!(plan["payment"]["would_pay"], pays);
            assert_eq!(plan["payment"]["caps"].as_array().map(Vec::len), Some(usize::from(pays)));
            assert!(
                !finished.stdout.contains("xYzAb3") && !finished.stdout.contains("s3cret"),
                "{finished:?}"
            );
        }
    }
    let by_stdin = amply(
        &["--api-key-stdin", "--base-url", server.url(), "route", TASK, "--dry-run"],
        &[],
        key.as_bytes(),
    );
    let plan: Value = serde_json::from_str(&by_stdin.stdout).unwrap();
    assert_eq!(plan["key_from"], "standard input");
    assert!(!by_stdin.stdout.contains("xYzAb3"));
    assert_eq!(server.connections(), 0);
    assert!(!Path::new(&folder.file("amply")).exists());
    for bad in [&["route", " ", "--dry-run"][..], &["route", TASK, "--dimension", "0", "--dry-run"]] {
        assert_eq!(amply(bad, &variables, b"").code, Some(2), "{bad:?}");
    }
    assert_eq!(amply(&["route", TASK, "--dry-run", "--explain"], &variables, b"").code, Some(2));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_tells_what_the_caps_leave_and_does_not_look_after_what_is_open() {
    let stage = Stage::of(Sandbox::builder().balance("0").strict_wallet(true)).await;
    let service =
        [("AMPLY_TOPUP_URL", stage.sandbox.topup_url()), ("AMPLY_TOPUP_TOKEN", stage.sandbox.topup_token())];
    stage.sandbox.control().fault(Fault::on("/topup").nth(2).status(500));
    let pay = |more: &[&str]| {
        let arguments = [&["--json", "route", TASK, "--pay", "--max-daily-usd", "1"], more].concat();
        stage.amply_with(&arguments, &service, b"")
    };
    assert_eq!(pay(&[]).code, Some(0));
    let plan = |finished: amply_tests::Finished| -> Value { serde_json::from_str(&finished.stdout).unwrap() };
    let calls = stage.sandbox.control().calls().len();
    let before = plan(pay(&["--dry-run"]));
    assert_eq!(before["payment"]["caps"][0]["used_usd"], "0.01");
    assert_eq!(before["payment"]["caps"][0]["left_usd"], "0.99");
    assert_eq!(before["payment"]["open_payment_id"], Value::Null);
    assert_eq!(stage.sandbox.control().calls().len(), calls);
    // Of the second top-up nobody knows what became. It could be asked about, and a dry run does not.
    let unknown = pay(&[]).error();
    assert_eq!(unknown["code"], "payment_unknown");
    let calls = stage.sandbox.control().calls().len();
    let after = plan(pay(&["--dry-run"]));
    assert_eq!(after["payment"]["open_payment_id"], unknown["payment_id"]);
    assert_eq!(
        (&after["payment"]["would_pay"], &after["payment"]["caps"][0]["left_usd"]),
        (&false.into(), &"0.98".into())
    );
    assert_eq!(stage.sandbox.control().calls().len(), calls);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_explanation_stands_below_the_answer_or_beside_the_servers_json() {
    let stage = Stage::new().await;
    let explained = stage.amply(&["--json", "route", TASK, "--explain", "--track"]);
    let explained: Value = serde_json::from_str(&explained.stdout).unwrap();
    assert_eq!(explained["route"]["recommended"], "qdrant");
    assert!(explained["route"]["amply_ticket"].is_string());
    assert_eq!(explained["explanation"]["providers"][0]["provider_id"], "qdrant");
    let variables = stage.variables(&[("NO_COLOR", "1")]);
    let variables: Vec<_> = variables.iter().map(|(name, value)| (&**name, &**value)).collect();
    let (shown, code) = Terminal::amply(&["route", TASK, "--explain"], &variables).finish();
    assert_eq!(code, Some(0));
    for line in [
        "weight     0.4000   0.3000  0.2000       0.1000",
        "qdrant     0.3928   0.3000  0.1533       0.0440  0.8901",
        "PROVIDER   LACKS  24H SUCCESS      P99  $/1M DIMS  WIN RATE",
        "chroma    0.2395            -  8.03 ms          -         -",
    ] {
        assert!(shown.contains(line), "{line} is not in {shown}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_tops_up_once_within_the_caps_and_the_secret_is_told_to_nobody() {
    let stage = Stage::of(Sandbox::builder().balance("0")).await;
    let secret = stage.sandbox.admin_secret().to_owned();
    let top_up = |more: &[&str]| {
        let arguments =
            [&["--json", "wallet", "topup", "--max-daily-usd", "20", "--max-topup-usd", "12"], more].concat();
        let finished = stage.amply_with(&arguments, &[("AMPLY_ADMIN_SECRET", &secret)], b"");
        assert!(!format!("{finished:?}").contains(&secret));
        finished
    };
    let credits = || -> Vec<String> {
        stage.sandbox.control().credits().iter().map(|credit| credit.amount.to_string()).collect()
    };
    for (bad, says) in [
        (&["0"][..], "must be above 0"),
        (&["-1", "--yes"], "must be above 0"),
        (&["0.001", "--yes"], "whole cents"),
        (&["ten", "--yes"], "is not an amount"),
        (&["5"], "add `--yes`"),
        (&["5", "--yes", "--reason", "a\nb"], "one line"),
        (&["5", "--yes", "--principal-id", ""], "principal_id is empty"),
        (&["5", "--yes", "--admin-secret-stdin", "--api-key-stdin"], "both would read standard input"),
    ] {
        let finished = top_up(bad);
        assert_eq!(finished.code, Some(2), "{finished:?}");
        assert!(finished.error()["message"].as_str().unwrap().contains(says), "{finished:?}");
    }
    assert!(!Path::new(&stage.store()).exists(), "what cannot be meant makes no store");
    let no_cap =
        stage.amply_with(&["wallet", "topup", "5", "--yes"], &[("AMPLY_ADMIN_SECRET", &secret)], b"");
    assert!(no_cap.stderr.contains("no cap over time"), "{no_cap:?}");
    let no_secret = stage.amply(&["wallet", "topup", "5", "--yes", "--max-daily-usd", "5"]);
    assert!(no_secret.stderr.contains("there is no admin secret"), "{no_secret:?}");

    let done = top_up(&["10", "--yes", "--reason", "monthly budget", "--idempotency-key", "job-7"]);
    let payment: Value = serde_json::from_str(&done.stdout).unwrap();
    assert_eq!((&payment["state"], &payment["receipt"]["balance_usd"]), (&"settled".into(), &"10".into()));
    // The same job again is the same payment.
    let again: Value =
        serde_json::from_str(&top_up(&["10", "--yes", "--idempotency-key", "job-7"]).stdout).unwrap();
    assert_eq!(again["id"], payment["id"]);
    for amount in ["13", "11"] {
        let over = top_up(&[amount, "--yes"]);
        assert_eq!((over.code, &over.error()["code"]), (Some(4), &"spend_limit".into()));
    }
    let of_another = stage.amply_with(
        &[
            "--json",
            "wallet",
            "topup",
            "1",
            "--yes",
            "--max-daily-usd",
            "20",
            "--principal-id",
            stage.sandbox.principal_id(),
            "--admin-secret-stdin",
        ],
        // A server key has no wallet of its own.
        &[("AMPLY_API_KEY", stage.sandbox.server_key())],
        format!("{secret}\n").as_bytes(),
    );
    let of_another: Value = serde_json::from_str(&of_another.stdout).unwrap();
    assert_eq!(of_another["state"], "settled");
    let unnamed = stage.amply_with(
        &["--json", "wallet", "topup", "1", "--yes", "--max-daily-usd", "20"],
        &[("AMPLY_API_KEY", stage.sandbox.server_key()), ("AMPLY_ADMIN_SECRET", &secret)],
        b"",
    );
    assert_eq!((unnamed.code, &unnamed.error()["code"]), (Some(2), &"invalid_request".into()));
    let wrong = stage.amply_with(
        &["--json", "wallet", "topup", "1", "--yes", "--max-daily-usd", "20"],
        &[("AMPLY_ADMIN_SECRET", "not-the-secret")],
        b"",
    );
    assert_eq!((wrong.code, &wrong.error()["code"]), (Some(4), &"payment_failed".into()));
    assert!(!format!("{wrong:?}").contains("not-the-secret"));
    assert_eq!(credits(), ["10", "1"]);
    let store = std::fs::read(stage.store()).unwrap();
    assert!(!store.windows(secret.len()).any(|bytes| bytes == secret.as_bytes()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_top_up_whose_result_is_not_known_is_not_made_again_by_anybody() {
    let stage = Stage::of(Sandbox::builder().balance("0")).await;
    let secret = stage.sandbox.admin_secret().to_owned();
    let top_up = |more: &[&str]| {
        let arguments =
            [&["--json", "wallet", "topup", "5", "--yes", "--max-daily-usd", "50"], more].concat();
        stage.amply_with(&arguments, &[("AMPLY_ADMIN_SECRET", &secret)], b"")
    };
    stage.sandbox.control().fault(Fault::on("/billing/topup").first(1).status(500));
    let unknown = top_up(&[]);
    let id = unknown.error()["payment_id"].clone();
    assert_eq!((unknown.code, &unknown.error()["code"]), (Some(4), &"payment_unknown".into()));
    let held = top_up(&[]);
    assert_eq!((held.code, &held.error()["payment_id"]), (Some(4), &id));
    let asked = || {
        stage.sandbox.control().calls().iter().filter(|call| call.path.ends_with("/billing/topup")).count()
    };
    assert_eq!(asked(), 1);
    let resolved = stage.amply(&["payments", "resolve", id.as_str().unwrap(), "rejected"]);
    assert_eq!(resolved.code, Some(0), "{resolved:?}");
    assert_eq!(top_up(&[]).code, Some(0));
    assert_eq!((asked(), stage.sandbox.control().credits().len()), (2, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_that_is_killed_while_it_tops_up_leaves_a_payment_that_holds_the_wallet() {
    let stage = Stage::of(Sandbox::builder().balance("0")).await;
    let secret = stage.sandbox.admin_secret().to_owned();
    // It was credited, and nobody was told.
    let late = Fault::on("/billing/topup").after_effect().delay(Duration::from_secs(20));
    stage.sandbox.control().fault(late);
    let arguments = ["--json", "wallet", "topup", "5", "--yes", "--max-daily-usd", "50"];
    let variables = stage.variables(&[("AMPLY_ADMIN_SECRET", &secret)]);
    let variables: Vec<_> = variables.iter().map(|(name, value)| (&**name, &**value)).collect();
    let running = amply_tests::Running::start_with(&arguments, &variables);
    while stage.sandbox.control().credits().is_empty() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    // Another one finds the first at work.
    let held = stage.amply_with(&arguments, &[("AMPLY_ADMIN_SECRET", &secret)], b"");
    assert_eq!((held.code, &held.error()["code"]), (Some(4), &"payment_unknown".into()));
    drop(running);
    stage.sandbox.control().clear_faults();
    let listed: Value = serde_json::from_str(&stage.amply(&["payments", "list"]).stdout).unwrap();
    assert_eq!(listed["payments"][0]["id"], held.error()["payment_id"]);
    assert_eq!(stage.sandbox.control().credits().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_at_a_terminal_is_asked_before_money_moves() {
    let stage = Stage::of(Sandbox::builder().balance("0")).await;
    let variables = stage.variables(&[("AMPLY_ADMIN_SECRET", stage.sandbox.admin_secret())]);
    let variables: Vec<_> = variables.iter().map(|(name, value)| (&**name, &**value)).collect();
    for (said, code, credits) in [(&b"n\n"[..], 1, 0), (b"\n", 1, 0), (b"y\n", 0, 1)] {
        let arguments = ["wallet", "topup", "5", "--max-daily-usd", "50", "--max-topup-usd", "12"];
        let terminal = Terminal::amply(&arguments, &variables);
        let question = format!(
            "top up the wallet of your key at {} by 5.00 USD, within 12.00 USD for one top-up and 50.00 USD for a day (UTC)? [y/N]",
            stage.sandbox.url()
        );
        terminal.wait_for(&question);
        terminal.type_in(said);
        let (shown, ended) = terminal.finish();
        assert_eq!((ended, stage.sandbox.control().credits().len()), (Some(code), credits), "{shown}");
    }
}

#[tokio::test]
async fn a_top_up_goes_on_when_nobody_waits_for_it_any_more() {
    let sandbox = Sandbox::builder().balance("0").start().await.unwrap();
    sandbox.control().fault(Fault::on("/billing/topup").delay(Duration::from_millis(300)));
    let store = Store::in_memory();
    let payer = AdminTopUp::new(sandbox.admin_secret()).unwrap();
    let client = client_of(&sandbox, &store).wallet_payer(payer).build().unwrap();
    let waiting = tokio::time::timeout(Duration::from_millis(100), client.top_up(TopUpOrder::new(usd("2"))));
    assert!(waiting.await.is_err());
    client.close(Duration::ZERO).await;
    let payments = store.payments().list().await.unwrap();
    let states: Vec<_> = payments.iter().map(|payment| payment.state).collect();
    assert_eq!(states, [PaymentState::Settled]);
    assert_eq!(sandbox.control().balance(sandbox.user_key()).unwrap().to_string(), "2");
}

#[tokio::test]
async fn a_route_is_paid_for_by_the_admin_and_orders_and_routes_share_the_caps() {
    let sandbox = broke().await;
    let store = Store::in_memory();
    let (tell, told) = std::sync::mpsc::channel();
    let payer = AdminTopUp::new(sandbox.admin_secret()).unwrap();
    assert_eq!(payer.idempotent_for(), None);
    let client = client_of(&sandbox, &store)
        .wallet_payer(payer)
        .on_event(move |event| tell.send(event.clone()).unwrap_or_default())
        .build()
        .unwrap();
    let route = client.route_task(TASK).await.unwrap();
    assert_eq!(route.meta().paid_usd(), Some(usd("0.01")));
    for amount in ["5", "4.99"] {
        client.top_up(TopUpOrder::new(usd(amount))).await.unwrap();
    }
    let error = client.top_up(TopUpOrder::new(usd("0.01"))).await.unwrap_err();
    assert!(matches!(error, Error::SpendLimit { .. }), "{error}");
    assert!(error.challenge().is_none() && !error.may_have_been_charged());
    let settled = told.try_iter().filter(|event| matches!(event, Event::PaymentSettled { .. })).count();
    assert_eq!(settled, 3);
    // Nobody is there to pay.
    let unpaid = Client::builder().base_url(sandbox.url()).spend_policy(policy()).build().unwrap();
    assert_eq!(unpaid.top_up(TopUpOrder::new(Usd::dollars(1))).await.unwrap_err().code(), "config");
}

#[tokio::test]
async fn a_key_that_led_one_payment_is_no_answer_to_another_order() {
    let (sandbox, other) = (broke().await, broke().await);
    let store = Store::in_memory();
    let client =
        |sandbox: &Sandbox| ordering(sandbox.url(), sandbox.user_key(), sandbox.admin_secret(), &store);
    let (here, there) = (client(&sandbox), client(&other));
    let order = |amount: &str, key: &str| TopUpOrder::new(usd(amount)).idempotency_key(key);
    let first = here.top_up(order("1", "job-7")).await.unwrap();
    // The same order, however it is written.
    let named = order("1.00", "job-7").principal_id(sandbox.principal_id());
    assert_eq!(here.top_up(named).await.unwrap().id, first.id);
    let routed = RouteRequest::new(TASK).idempotency_key("job-8");
    sandbox.control().set_balance(sandbox.user_key(), "0").unwrap();
    here.route_task(routed).await.unwrap();
    let of_the_route = store.payments().list().await.unwrap().pop().unwrap();
    assert_eq!(of_the_route.amount, usd("0.01"));
    for (client, order, led) in [
        (&here, order("2", "job-7"), &first),
        (&here, order("1", "job-7").principal_id("prn_of_another"), &first),
        (&there, order("1", "job-7"), &first),
        (&here, order("0.01", "job-8"), &of_the_route),
    ] {
        let error = client.top_up(order).await.unwrap_err();
        assert_eq!(error.code(), "payment_not_applied", "{error}");
        assert!(error.to_string().contains("this one was not made"), "{error}");
        assert_eq!(error.payment_problem().unwrap().payment_id(), Some(&*led.id));
    }
    assert_eq!((credited(&sandbox), credited(&other)), (vec!["1".to_owned(), "0.01".to_owned()], vec![]));
}

#[tokio::test]
async fn an_order_is_sent_under_the_same_key_from_every_store() {
    let sandbox = broke().await;
    for _ in 0..2 {
        let store = Store::in_memory();
        let client = ordering(sandbox.url(), sandbox.server_key(), sandbox.admin_secret(), &store);
        let order = TopUpOrder::new(usd("1")).principal_id(sandbox.principal_id()).idempotency_key("job-7");
        client.top_up(order).await.unwrap();
    }
    assert_eq!(asked(&sandbox, "/api/v1/billing/topup"), 2);
    // This server heeds the key.
    assert_eq!(credited(&sandbox), ["1"]);
}

#[tokio::test]
async fn what_the_server_says_of_anothers_wallet_settles_a_top_up_unless_its_balance_lacks_the_money() {
    let order = || TopUpOrder::new(Usd::dollars(1)).principal_id("prn_of_another");
    for body in [r#"{"ok":true,"credited_usd":1}"#, r#"{"ok":true,"credited_usd":1,"balance_usd":3}"#] {
        let server = Scripted::answering("200 OK", "application/json", body);
        let store = Store::in_memory();
        let client = ordering(server.url(), "server-key", "secret", &store);
        for _ in 0..2 {
            assert_eq!(client.top_up(order()).await.unwrap().state, PaymentState::Settled, "{body}");
        }
    }
    let body = r#"{"ok":true,"credited_usd":1,"balance_usd":0.5}"#;
    let server = Scripted::answering("200 OK", "application/json", body);
    let client = ordering(server.url(), "server-key", "secret", &Store::in_memory());
    assert_eq!(client.top_up(order()).await.unwrap().state, PaymentState::SettledNotApplied);
    let error = client.top_up(order()).await.unwrap_err();
    assert_eq!(error.code(), "payment_unknown", "{error}");
    assert_eq!(server.seen().iter().filter(|request| request.starts_with("POST")).count(), 1);
    let said = error.to_string();
    assert!(said.contains("was made for this wallet") && !said.contains("may have been"), "{said}");
}

#[tokio::test]
async fn the_admin_secret_follows_no_redirect_and_is_in_no_error() {
    let elsewhere = Scripted::answering("200 OK", "application/json", r#"{"ok":true,"credited_usd":1}"#);
    let head = format!("307 Temporary Redirect\r\nLocation: {}/billing/topup", elsewhere.url());
    let status = r#"{"principal_id":"prn_1","balance_usd":0,"currency":"USD"}"#;
    let server = Scripted::start(vec![
        Some(amply_tests::answer("200 OK\r\nConnection: close", status)),
        Some(amply_tests::answer(&format!("{head}\r\nConnection: close"), "")),
        Some(amply_tests::answer("200 OK\r\nConnection: close", status)),
    ]);
    let key = "amply_sk_Ab3_-xYzAb3_-xYzAb3_-xYzAb3_-xYz";
    let client = Client::builder()
        .base_url(server.url())
        .api_key(key)
        .store(Store::in_memory())
        .spend_policy(SpendPolicy::default().per_day(Usd::dollars(5)).per_process_only())
        .wallet_payer(AdminTopUp::new("hidden-secret").unwrap())
        .build()
        .unwrap();
    let error = client.top_up(TopUpOrder::new(Usd::dollars(1))).await.unwrap_err();
    assert_eq!(error.code(), "payment_unknown", "{error}");
    assert!(!format!("{error} {error:?}").contains("hidden"));
    assert_eq!(elsewhere.connections(), 0);
    let asked: Vec<String> =
        server.seen().into_iter().filter(|request| request.starts_with("POST")).collect();
    assert_eq!(asked.len(), 1);
    assert!(asked[0].starts_with("POST /api/v1/billing/topup ") && asked[0].contains("Bearer hidden-secret"));
}
