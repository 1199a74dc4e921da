//! The command pays for a route: within caps, once, by a service or by hand; and the ledger tells of it afterwards.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::time::{Duration, Instant};

use amply_sandbox::{Challenge, Fault, Sandbox, SandboxBuilder};
use amply_tests::{Finished, Scripted, TempFolder, Terminal, amply};
use serde_json::Value;

const TASK: &str = "Store 1M 1536-dim vectors with metadata filters and low-latency queries";

/// A strict server, and a folder with the store.
struct Stage {
    sandbox: Sandbox,
    folder: TempFolder,
}

impl Stage {
    /// A wallet that holds nothing.
    async fn empty() -> Self {
        Self::of(Sandbox::builder().balance("0")).await
    }

    async fn of(builder: SandboxBuilder) -> Self {
        let sandbox = builder.strict_wallet(true).start().await.unwrap();
        Self { sandbox, folder: TempFolder::new("pay") }
    }

    fn store(&self) -> String {
        self.folder.file("state/store.db")
    }

    /// What the environment says. What is set to nothing counts as not set.
    fn variables(&self, more: &[(&str, &str)]) -> Vec<(String, String)> {
        let store = self.store();
        let usual = [
            ("AMPLY_BASE_URL", self.sandbox.url()),
            ("AMPLY_API_KEY", self.sandbox.user_key()),
            ("AMPLY_TOPUP_URL", self.sandbox.topup_url()),
            ("AMPLY_TOPUP_TOKEN", self.sandbox.topup_token()),
            ("AMPLY_STORE", &store),
        ];
        let usual = usual.iter().filter(|(name, _)| !more.iter().any(|(other, _)| other == name));
        usual.chain(more).map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    fn amply_with(&self, arguments: &[&str], more: &[(&str, &str)]) -> Finished {
        let variables = self.variables(more);
        let variables: Vec<_> = variables.iter().map(|(name, value)| (&**name, &**value)).collect();
        let finished = amply(arguments, &variables, b"");
        self.check_secrets(&finished.stdout);
        self.check_secrets(&finished.stderr);
        finished
    }

    fn amply(&self, arguments: &[&str]) -> Finished {
        self.amply_with(arguments, &[])
    }

    /// `amply route TASK --pay --max-daily-usd 5`.
    fn pay(&self, more: &[&str]) -> Finished {
        self.amply(&[&["route", TASK, "--pay", "--max-daily-usd", "5"], more].concat())
    }

    fn at_terminal(&self, arguments: &[&str], more: &[(&str, &str)]) -> Terminal {
        let variables = self.variables(more);
        let variables: Vec<_> = variables.iter().map(|(name, value)| (&**name, &**value)).collect();
        Terminal::amply(arguments, &variables)
    }

    /// Waits until so many calls to a path have arrived.
    fn wait_for_calls(&self, path: &str, count: usize) {
        let until = Instant::now() + Duration::from_secs(60);
        while self.calls_to(path, "").len() < count {
            assert!(Instant::now() < until, "{path} is called {count} times");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    fn check_secrets(&self, text: &str) {
        for secret in [self.sandbox.user_key(), self.sandbox.topup_token(), self.sandbox.admin_secret()] {
            assert!(!text.contains(secret), "a secret is in: {text}");
        }
    }

    /// The payments that the ledger has.
    fn payments(&self) -> Vec<Value> {
        let listed = self.amply(&["payments", "list"]);
        assert_eq!(listed.code, Some(0), "{listed:?}");
        let listed: Value = serde_json::from_str(&listed.stdout).unwrap();
        listed["payments"].as_array().unwrap().clone()
    }

    fn states(&self) -> Vec<String> {
        self.payments().iter().map(|payment| payment["state"].as_str().unwrap().to_owned()).collect()
    }

    fn credits(&self) -> Vec<String> {
        self.sandbox.control().credits().iter().map(|credit| credit.amount.to_string()).collect()
    }

    /// The value of a header, or nothing, of each call to a path.
    fn calls_to(&self, path: &str, header: &str) -> Vec<String> {
        let calls = self.sandbox.control().calls();
        let calls = calls.iter().filter(|call| call.path.ends_with(path));
        let value = |headers: &[(String, String)]| {
            headers
                .iter()
                .find(|(name, _)| name == header)
                .map_or_else(String::new, |(_, value)| value.clone())
        };
        calls.map(|call| value(&call.headers)).collect()
    }
}

fn code_of(finished: &Finished) -> (Option<i32>, String) {
    (finished.code, finished.error()["code"].as_str().unwrap().to_owned())
}

fn hint_of(finished: &Finished) -> String {
    finished.error()["hint"].as_str().unwrap().to_owned()
}

fn is(code: i32, word: &str) -> (Option<i32>, String) {
    (Some(code), word.to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_route_that_the_wallet_does_not_cover_is_paid_for_once_and_answered() {
    let stage = Stage::empty().await;
    let finished = stage.pay(&[]);
    assert_eq!(finished.code, Some(0), "{finished:?}");
    let route: Value = serde_json::from_str(&finished.stdout).unwrap();
    assert_eq!(stage.credits(), ["0.01"]);

    let payments = stage.payments();
    let [payment] = payments.as_slice() else { panic!("{payments:?}") };
    assert_eq!(payment["state"], "settled");
    assert_eq!((&payment["amount_usd"], &payment["base_url"]), (&"0.01".into(), &stage.sandbox.url().into()));
    assert_eq!(payment["principal_id"], stage.sandbox.principal_id());
    assert_eq!(payment["calls"][0]["route_id"], route["request_id"]);
    let id = payment["id"].as_str().unwrap();
    let lines: Vec<_> = finished.stderr.lines().collect();
    assert!(
        lines[0].starts_with("warning: the store `") && lines[0].contains("caps start from zero"),
        "{lines:?}"
    );
    assert_eq!(lines[1], format!("note: topping up the wallet by 0.01 USD (payment {id})"));
    assert_eq!(lines[2], format!("note: topped up by 0.01 USD (payment {id})"));

    // The same request under the same key; the service got the token, and nobody else did.
    let keys = stage.calls_to("/route", "idempotency-key");
    assert_eq!((keys.len(), &keys[0]), (2, &keys[1]));
    let token = format!("Bearer {}", stage.sandbox.topup_token());
    assert_eq!(stage.calls_to("/topup", "authorization"), [token]);

    let quiet = stage.pay(&["--quiet"]);
    assert_eq!(
        (quiet.code, quiet.stderr.lines().filter(|line| line.starts_with("note")).count()),
        (Some(0), 0)
    );
    assert_eq!(stage.pay(&["-v"]).code, Some(0));
    let json = stage.pay(&["--json"]);
    assert_eq!((json.code, json.stderr.as_str()), (Some(0), ""));
    assert_eq!(stage.credits().len(), 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_flag_and_variable_the_smaller_cap_holds_and_is_named() {
    let stage = Stage::empty().await;
    for (flag, variable, cap, named) in [
        (
            ["--max-daily-usd", "0.005"],
            ("AMPLY_MAX_DAILY_USD", "9"),
            "per_day",
            "raise `--max-daily-usd`, wait",
        ),
        (
            ["--max-daily-usd", "9"],
            ("AMPLY_MAX_DAILY_USD", "0.005"),
            "per_day",
            "raise AMPLY_MAX_DAILY_USD, wait",
        ),
        (
            ["--max-topup-usd", "0.005"],
            ("AMPLY_MAX_TOPUP_USD", "1"),
            "per_topup",
            "raise `--max-topup-usd`, or",
        ),
        (
            ["--max-topup-usd", "1"],
            ("AMPLY_MAX_TOPUP_USD", "0.005"),
            "per_topup",
            "raise AMPLY_MAX_TOPUP_USD, or",
        ),
        (
            ["--max-request-usd", "0.009"],
            ("AMPLY_MAX_REQUEST_USD", "1"),
            "per_request",
            "raise `--max-request-usd`, or",
        ),
        (
            ["--max-request-usd", "1"],
            ("AMPLY_MAX_REQUEST_USD", "0.009"),
            "per_request",
            "raise AMPLY_MAX_REQUEST_USD, or",
        ),
    ] {
        let daily = if cap == "per_day" { &[][..] } else { &["--max-daily-usd", "5"] };
        let arguments = [&["route", TASK, "--pay", "--json"], &flag[..], daily].concat();
        let finished = stage.amply_with(&arguments, &[variable]);
        assert_eq!(code_of(&finished), is(4, "spend_limit"), "{finished:?}");
        assert_eq!(finished.error()["cap"], cap, "{finished:?}");
        assert!(hint_of(&finished).contains(named), "{finished:?}");
    }
    assert_eq!(stage.credits(), [""; 0]);
    assert_eq!(stage.payments(), Vec::<Value>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_meant_is_refused_before_anything_is_sent() {
    let stage = Stage::empty().await;
    let none = [("AMPLY_TOPUP_URL", "")];
    let pay = ["route", TASK, "--json", "--pay"];
    for (arguments, variables, says) in [
        (
            &[][..],
            &[][..],
            "no cap over time; add one for a day, like `--max-daily-usd 5`, or set AMPLY_MAX_DAILY_USD",
        ),
        (&["--max-daily-usd", "0"], &[], "`--max-daily-usd` is 0 USD; it must be above 0"),
        (&["--max-daily-usd", "-5"], &[], "`--max-daily-usd` is -5 USD; it must be above 0"),
        (&["--max-daily-usd", "five"], &[], "`five` is not an amount in USD"),
        (
            &["--max-daily-usd", "5"],
            &[("AMPLY_MAX_DAILY_USD", "many")],
            "AMPLY_MAX_DAILY_USD: `many` is not an amount",
        ),
        (&["--max-daily-usd", "5"], &none, "name a top-up service with `--topup-url` or AMPLY_TOPUP_URL"),
        (&["--max-daily-usd", "5", "--topup-url", "http://example.com/topup"], &[], "unencrypted"),
        (
            &["--max-daily-usd", "5"],
            &[("AMPLY_TOPUP_TOKEN", "hid den")],
            "the token of the top-up service holds",
        ),
        (&["--strict"], &[], "`--strict` needs `--sandbox`"),
        (&["--balance", "1"], &[], "`--balance` needs `--sandbox`"),
        (
            &["--sandbox", "--max-daily-usd", "5", "--topup-url", "https://x.example"],
            &[],
            "service of its own",
        ),
        (&["--sandbox", "--max-daily-usd", "5", "--store", "x"], &[], "cannot be used with `--store`"),
        (&["--sandbox"], &[], "no cap over time"),
    ] {
        let finished = stage.amply_with(&[&pay, arguments].concat(), variables);
        let error = finished.error();
        assert_eq!(finished.code, Some(2), "{arguments:?}: {error}");
        assert!(error["message"].as_str().unwrap().contains(says), "{arguments:?}: {error}");
        assert!(!finished.stderr.contains("hid den"), "{finished:?}");
    }
    for flag in ["--max-topup-usd", "--max-request-usd", "--max-daily-usd"] {
        let finished = stage.amply(&["route", TASK, "--json", flag, "1"]);
        assert_eq!(code_of(&finished), is(2, "usage"));
        assert!(finished.stderr.contains(&format!("`{flag}` needs `--pay`")), "{finished:?}");
    }
    let finished = stage.amply(&["payments", "list", "--sandbox", "--json"]);
    assert_eq!(code_of(&finished), is(2, "usage"));
    assert!(stage.sandbox.control().calls().is_empty());
    assert!(!std::path::Path::new(&stage.store()).exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_says_no_is_payment_failed_and_holds_nobody_back() {
    let stage = Stage::empty().await;
    let pay = ["route", TASK, "--pay", "--max-daily-usd", "0.01", "--json"];
    let finished = stage.amply_with(&pay, &[("AMPLY_TOPUP_TOKEN", "wrong-token")]);
    assert_eq!(code_of(&finished), is(4, "payment_failed"), "{finished:?}");
    assert!(finished.error()["message"].as_str().unwrap().contains("answered 401"), "{finished:?}");
    assert!(hint_of(&finished).contains("AMPLY_TOPUP_TOKEN") && !finished.stderr.contains("wrong-token"));
    assert_eq!((stage.states(), stage.credits().len()), (vec!["rejected".to_owned()], 0));
    assert_eq!(stage.amply(&pay).code, Some(0));
    assert_eq!(stage.credits(), ["0.01"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_payment_that_nobody_knows_of_is_listed_resolved_and_then_the_next_run_pays() {
    let stage = Stage::empty().await;
    stage.sandbox.control().fault(Fault::on("/topup").first(1).status(500));
    // Two top-ups fit under it only because one of them is resolved as rejected.
    let pay = ["route", TASK, "--pay", "--max-daily-usd", "0.01", "--json", "--store", &stage.store()];
    let finished = stage.amply_with(&pay, &[("AMPLY_STORE", "")]);
    assert_eq!(code_of(&finished), is(4, "payment_unknown"), "{finished:?}");
    let error = finished.error();
    let id = error["payment_id"].as_str().unwrap();
    assert_eq!(error["challenge"]["shortfall_usd"], "0.01");
    assert_eq!(error["may_have_been_charged"], true);
    let command = format!("`amply payments --store {} resolve {id} settled`", stage.store());
    assert!(hint_of(&finished).contains(&command), "{command}: {finished:?}");

    let payments = stage.payments();
    assert_eq!(
        (payments.len(), &payments[0]["id"], &payments[0]["state"]),
        (1, &id.into(), &"unknown".into())
    );
    assert!(payments[0]["reason"].as_str().unwrap().contains("answered 500"), "{payments:?}");
    let shown = stage.amply(&["payments", "show", id]);
    assert_eq!(serde_json::from_str::<Value>(&shown.stdout).unwrap(), payments[0]);

    let resolved = stage.amply(&["payments", "resolve", id, "rejected"]);
    let resolved: Value = serde_json::from_str(&resolved.stdout).unwrap();
    assert_eq!((&resolved["state"], &resolved["verdict"]), (&"unknown".into(), &"rejected".into()));
    let again = stage.amply(&["payments", "resolve", id, "settled", "--json"]);
    assert_eq!(code_of(&again), is(2, "invalid_request"));

    assert_eq!(stage.amply(&pay).code, Some(0));
    assert_eq!(
        (stage.states(), stage.credits()),
        (vec!["unknown".to_owned(), "settled".into()], vec!["0.01".to_owned()])
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_cannot_be_read_is_set_aside_and_blocks_payments_until_a_person_says_so() {
    let stage = Stage::empty().await;
    let garbage = "not a database, but perhaps all that is known of payments".repeat(100);
    std::fs::create_dir(stage.folder.path().join("state")).unwrap();
    amply_tests::write(stage.store().as_ref(), &garbage);

    let finished = stage.pay(&["--json"]);
    assert_eq!(code_of(&finished), is(1, "store"), "{finished:?}");
    assert!(finished.stderr.contains("`amply payments unblock`"), "{finished:?}");
    let aside =
        std::fs::read_dir(stage.folder.path().join("state")).unwrap().map(|entry| entry.unwrap().path());
    let aside = aside.into_iter().find(|path| path.to_string_lossy().contains(".corrupt-")).unwrap();
    assert_eq!(std::fs::read_to_string(aside).unwrap(), garbage);

    let listed = stage.amply(&["payments", "list"]);
    assert!(listed.stderr.contains("warning: the store could not be read and was set aside"), "{listed:?}");
    let listed: Value = serde_json::from_str(&listed.stdout).unwrap();
    assert!(listed["blocked"].as_str().unwrap().contains(".corrupt-"), "{listed}");
    assert!(stage.calls_to("/topup", "").is_empty());

    assert_eq!(stage.amply(&["payments", "unblock"]).stdout, "{\"was_blocked\":true}\n");
    assert_eq!(stage.amply(&["payments", "unblock"]).stdout, "{\"was_blocked\":false}\n");
    assert_eq!(stage.pay(&[]).code, Some(0));
    assert_eq!(stage.credits(), ["0.01"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_store_a_route_that_needs_no_payment_is_made_and_none_is_paid() {
    let stage = Stage::of(Sandbox::builder().balance("0.01")).await;
    amply_tests::write(stage.folder.path().join("state").as_ref(), "a file where the folder should be");
    let covered = stage.pay(&[]);
    assert_eq!(covered.code, Some(0), "{covered:?}");
    assert!(covered.stderr.starts_with("warning: nothing will be paid: the folder "), "{covered:?}");
    assert!(covered.stderr.contains("a file is in its place"), "{covered:?}");

    let refused = stage.pay(&["--json"]);
    assert_eq!(code_of(&refused), is(1, "store"), "{refused:?}");
    assert!(stage.calls_to("/topup", "").is_empty());
    assert_eq!(stage.amply(&["payments", "list"]).code, Some(1));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unpaid_402_says_what_to_type_and_has_the_challenge_as_json() {
    let stage = Stage::of(Sandbox::builder().balance("0.0025").x402(true)).await;
    let finished = stage.amply_with(&["route", TASK, "--json"], &[("AMPLY_TOPUP_URL", "")]);
    assert_eq!(code_of(&finished), is(4, "payment_required"));
    let page = format!("{}/dashboard/billing", stage.sandbox.url().trim_end_matches("/api/v1"));
    assert_eq!(
        hint_of(&finished),
        format!(
            "add `--pay --max-daily-usd 5 --topup-url URL` with the URL of a top-up service, or top up the wallet of the key \
             from `AMPLY_API_KEY` at {page} and run the same command again"
        )
    );
    let error = finished.error();
    let challenge = &error["challenge"];
    for (field, value) in [
        ("shortfall_usd", "0.0075"),
        ("balance_usd", "0.0025"),
        ("amount_usd", "0.0075"),
        ("currency", "USD"),
        ("spec", "amply.x402/1"),
        ("top_up_url", &page),
    ] {
        assert_eq!(challenge[field], value, "{challenge}");
    }
    assert!(challenge["expires_at"].as_str().unwrap().ends_with('Z'), "{challenge}");
    assert_eq!(challenge["refusals"], serde_json::json!([]));
    assert!(
        hint_of(&stage.amply(&["route", TASK, "--json"])).starts_with("add `--pay --max-daily-usd 5`, or")
    );

    stage.sandbox.control().challenge(Challenge::new().currency("EUR"));
    let refused = stage.pay(&["--json"]);
    assert_eq!(code_of(&refused), is(4, "payment_refused"), "{refused:?}");
    assert_eq!(refused.error()["challenge"]["refusals"], serde_json::json!(["currency_not_usd"]));
    assert_eq!(stage.credits().len(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_about_the_key_says_where_the_key_came_from() {
    let stage = Stage::empty().await;
    let wrong = "amply_sk_00000000000000000000000000000000";
    let finished = stage.amply_with(&["route", TASK, "--json"], &[("AMPLY_API_KEY", wrong)]);
    assert_eq!(code_of(&finished), is(3, "unauthorized"));
    assert!(hint_of(&finished).ends_with("; the key came from `AMPLY_API_KEY`"), "{finished:?}");
    let variables = [("AMPLY_BASE_URL", stage.sandbox.url()), ("AMPLY_API_KEY", wrong)];
    let finished =
        amply(&["route", TASK, "--json", "--api-key-stdin"], &variables, stage.sandbox.user_key().as_bytes());
    assert_eq!(code_of(&finished), is(4, "payment_required"));
    assert!(hint_of(&finished).contains("the wallet of the key from standard input"), "{finished:?}");
    // Nobody's wallet: another key helps, and no money.
    stage.sandbox.control().challenge(Challenge::new().unbound());
    let finished = stage.pay(&["--json"]);
    assert_eq!(code_of(&finished), is(4, "payment_refused"));
    assert!(hint_of(&finished).ends_with("this one came from `AMPLY_API_KEY`"), "{finished:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_led_a_payment_leads_no_other_in_a_later_run() {
    let stage = Stage::empty().await;
    let job = ["--json", "--idempotency-key", "nightly-42"];
    assert_eq!(stage.pay(&job).code, Some(0));
    assert_eq!(stage.calls_to("/route", "idempotency-key"), ["nightly-42"; 2]);
    let again = stage.pay(&job);
    assert_eq!(code_of(&again), is(4, "payment_not_applied"), "{again:?}");
    assert!(hint_of(&again).contains("take another `--idempotency-key`"), "{again:?}");
    assert_eq!(stage.credits(), ["0.01"]);
    let wrong = stage.pay(&["--json", "--idempotency-key", "a b"]);
    assert_eq!(code_of(&wrong), is(2, "invalid_request"));
}

#[tokio::test(flavor = "multi_thread")]
async fn payments_need_neither_key_nor_network_and_a_list_makes_no_file() {
    let stage = Stage::empty().await;
    let broken =
        [("AMPLY_API_KEY", "line\nbreak"), ("AMPLY_BASE_URL", "nonsense"), ("AMPLY_TIMEOUT", "soon")];
    let listed = stage.amply_with(&["payments", "list"], &broken);
    assert_eq!((listed.stdout.as_str(), listed.code), ("{\"payments\":[],\"blocked\":null}\n", Some(0)));
    assert_eq!(stage.amply_with(&["payments", "unblock"], &broken).stdout, "{\"was_blocked\":false}\n");
    let shown = stage.amply_with(&["payments", "show", "no-such", "--json"], &broken);
    assert_eq!(code_of(&shown), is(2, "invalid_request"));
    assert!(!stage.folder.path().join("state").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_embedded_sandbox_pays_itself_and_touches_neither_service_nor_store() {
    let server = Scripted::answering("200 OK", "application/json", r#"{"ok":true,"credited_usd":9}"#);
    let stage = Stage::empty().await;
    let arguments =
        ["--sandbox", "route", TASK, "--strict", "--balance", "0.004", "--pay", "--max-daily-usd", "5"];
    let finished = stage.amply_with(&arguments, &[("AMPLY_TOPUP_URL", server.url())]);
    assert_eq!(finished.code, Some(0), "{finished:?}");
    assert!(finished.stderr.contains("note: topped up by 0.01 USD (payment "), "{finished:?}");
    assert_eq!(server.seen(), Vec::<String>::new());
    assert!(stage.sandbox.control().calls().is_empty() && !stage.folder.path().join("state").exists());
    // Without `--pay` nothing is paid there either.
    let finished = stage.amply(&["--sandbox", "route", TASK, "--strict", "--balance", "0", "--json"]);
    assert_eq!(code_of(&finished), is(4, "payment_required"));
    let enough = stage.amply(&["--sandbox", "route", TASK, "--strict", "--balance", "1", "--json"]);
    assert_eq!(enough.code, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn at_a_terminal_without_a_service_the_command_waits_for_a_person_and_goes_on() {
    let stage = Stage::of(Sandbox::builder().balance("0.0025")).await;
    let page = "https://pay.example/\u{1b}[2J\u{202e}top-up";
    stage.sandbox.control().challenge(Challenge::new().top_up_url(page));
    // One look fails, and the watching goes on; the limit of a call does not end it.
    stage.sandbox.control().fault(Fault::on("/billing/status").nth(2).status(503));
    let terminal =
        stage.at_terminal(&["route", TASK, "--pay", "--timeout", "1s"], &[("AMPLY_TOPUP_URL", "")]);
    terminal.wait_for("watching the balance for 10 min; Ctrl-C ends the waiting");
    stage.wait_for_calls("/billing/status", 3);
    stage.sandbox.control().set_balance(stage.sandbox.user_key(), "0.0625").unwrap();
    let (seen, code) = terminal.finish();
    assert_eq!(code, Some(0), "{seen}");
    stage.check_secrets(&seen);
    for line in [
        "note: the wallet does not cover this route; top it up, and the command goes on",
        "  amount  0.0075 USD",
        &format!("  wallet  {}", stage.sandbox.principal_id()),
        "  page    https://pay.example/\u{fffd}[2J\u{fffd}top-up",
        "  key     from `AMPLY_API_KEY`",
        "note: the balance suffices: 0.0625 USD; going on",
    ] {
        assert!(seen.lines().any(|seen| seen == line), "{line} is not in {seen}");
    }
    assert!(seen.contains("Recommended: qdrant") && !seen.contains(['\u{1b}', '\u{202e}']), "{seen}");
    // The same job under one key, no payment of ours, and no ledger.
    let keys = stage.calls_to("/route", "idempotency-key");
    assert_eq!((keys.len(), &keys[0]), (2, &keys[1]));
    assert_eq!((stage.calls_to("/topup", "").len(), stage.folder.path().join("state").exists()), (0, false));
}

#[tokio::test(flavor = "multi_thread")]
async fn ctrl_c_ends_the_waiting_for_a_person_with_what_is_missing() {
    let stage = Stage::empty().await;
    stage.sandbox.control().challenge(Challenge::new().without("/top_up_url"));
    let terminal = stage.at_terminal(&["route", TASK, "--pay"], &[("AMPLY_TOPUP_URL", "")]);
    terminal.wait_for("Ctrl-C ends the waiting");
    terminal.interrupt();
    let (seen, code) = terminal.finish();
    assert_eq!(code, Some(130), "{seen}");
    assert!(seen.contains("error: the wallet holds 0 USD, 0.01 USD too little for this call"), "{seen}");
    let page = format!("{}/dashboard/billing", stage.sandbox.url().trim_end_matches("/api/v1"));
    assert!(seen.contains(&format!("\n  page    {page}\n")), "{seen}");
    let hint = format!(
        "hint: top up the wallet of the key from `AMPLY_API_KEY` at {page} and run the same command again"
    );
    assert!(seen.contains(&hint), "{seen}");
    assert_eq!(stage.calls_to("/route", "").len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn where_no_balance_can_be_watched_nobody_waits() {
    let stage = Stage::empty().await;
    stage.sandbox.control().fault(Fault::on("/billing/status").status(404));
    let terminal = stage.at_terminal(&["route", TASK, "--pay"], &[("AMPLY_TOPUP_URL", "")]);
    let (seen, code) = terminal.finish();
    assert_eq!(code, Some(4), "{seen}");
    assert!(seen.contains("warning: the balance cannot be watched: "), "{seen}");
    // A call that counts for no wallet: no money helps.
    stage.sandbox.control().clear_faults();
    stage.sandbox.control().challenge(Challenge::new().unbound());
    let (seen, code) = stage.at_terminal(&["route", TASK, "--pay"], &[("AMPLY_TOPUP_URL", "")]).finish();
    assert_eq!(code, Some(4), "{seen}");
    assert!(seen.contains("hint: this call has no wallet to top up; use a key of an account"), "{seen}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_whose_time_is_over_does_not_take_the_payment_with_it() {
    let stage = Stage::empty().await;
    stage.sandbox.control().fault(Fault::on("/topup").delay(Duration::from_secs(8)));
    let finished = stage.pay(&["--timeout", "6s"]);
    assert_eq!(finished.code, Some(4), "{finished:?}");
    let said: Vec<_> = finished.stderr.lines().filter(|line| !line.is_empty()).skip(1).collect();
    for (line, says) in said.iter().zip([
        "note: topping up the wallet by 0.01 USD",
        "note: a top-up is being made; waiting for its end, at most 30 s",
        "note: topped up by 0.01 USD",
        "error: the time for this call ran out while a top-up was being made",
        "hint: the top-up went on by itself; see `amply payments show ",
    ]) {
        assert!(line.starts_with(says), "{says}: {said:?}");
    }
    assert_eq!((said.len(), stage.states()), (5, vec!["settled".to_owned()]));
    // It is there, and the next run needs no other.
    assert_eq!(stage.pay(&[]).code, Some(0));
    assert_eq!(stage.credits(), ["0.01"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn ctrl_c_while_a_payment_is_made_waits_for_its_end() {
    let stage = Stage::empty().await;
    stage.sandbox.control().fault(Fault::on("/topup").delay(Duration::from_millis(1500)));
    let terminal = stage.at_terminal(&["route", TASK, "--pay", "--max-daily-usd", "5"], &[]);
    terminal.wait_for("topping up the wallet");
    terminal.interrupt();
    let (seen, code) = terminal.finish();
    assert_eq!(code, Some(130), "{seen}");
    assert!(seen.contains("note: a top-up is being made; waiting for its end, at most 30 s"), "{seen}");
    assert!(seen.contains("note: topped up by 0.01 USD"), "{seen}");
    assert_eq!((stage.states(), stage.credits()), (vec!["settled".to_owned()], vec!["0.01".to_owned()]));
    assert_eq!(stage.calls_to("/route", "").len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_ctrl_c_ends_at_once() {
    let stage = Stage::empty().await;
    stage.sandbox.control().fault(Fault::on("/topup").delay(Duration::from_secs(25)));
    let begun = Instant::now();
    let terminal = stage.at_terminal(&["route", TASK, "--pay", "--max-daily-usd", "5"], &[]);
    terminal.wait_for("topping up the wallet");
    terminal.interrupt();
    terminal.wait_for("waiting for its end");
    stage.wait_for_calls("/topup", 1);
    terminal.interrupt();
    let (seen, code) = terminal.finish();
    assert_eq!(code, Some(130), "{seen}");
    assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
    let states = stage.states();
    assert!(["sent", "unknown"].contains(&&*states[0]), "{states:?}");
}
