//! The command pays by x402: on networks that were named, within caps, with the key of the environment, once; and the ledger
//! tells of it afterwards.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::time::Duration;

use amply_sandbox::{Fault, Network, Offering, OpenPayments, Sandbox, SandboxBuilder, Settling};
use amply_tests::paying::{KEY, address, asked, credited, paid_requests};
use amply_tests::{Finished, TempFolder, Terminal, amply, bin_dir};
use serde_json::Value;

const TASK: &str = "Store 1M 1536-dim vectors with metadata filters and low-latency queries";
/// Within caps that cover a route, on the network that the server asks for.
const PAY: [&str; 9] = [
    "route",
    TASK,
    "--pay",
    "--x402-network",
    "base-sepolia",
    "--max-request-usd",
    "0.05",
    "--max-daily-usd",
    "5",
];

/// A server that asks everybody for open payments, and a folder with the store.
struct Stage {
    sandbox: Sandbox,
    folder: TempFolder,
}

impl Stage {
    async fn asking_for(payments: OpenPayments) -> Self {
        Self::of(Sandbox::builder().open_payments(payments.also_without_principal())).await
    }

    async fn of(builder: SandboxBuilder) -> Self {
        let sandbox = builder.balance("0").strict_wallet(true).start().await.unwrap();
        Self { sandbox, folder: TempFolder::new("x402") }
    }

    /// What the environment says. What is set to nothing counts as not set.
    fn variables(&self, more: &[(&str, &str)]) -> Vec<(String, String)> {
        let store = self.folder.file("state/store.db");
        let usual =
            [("AMPLY_BASE_URL", self.sandbox.url()), ("AMPLY_X402_KEY", KEY), ("AMPLY_STORE", &store)];
        let usual = usual.iter().filter(|(name, _)| !more.iter().any(|(other, _)| other == name));
        usual.chain(more).map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    fn amply_with(&self, arguments: &[&str], more: &[(&str, &str)]) -> Finished {
        let variables = self.variables(more);
        let variables: Vec<_> = variables.iter().map(|(name, value)| (&**name, &**value)).collect();
        let finished = amply(arguments, &variables, b"");
        for text in [&finished.stdout, &finished.stderr] {
            assert!(!text.contains(KEY.trim_start_matches("0x")), "the key is in: {text}");
        }
        finished
    }

    fn amply(&self, arguments: &[&str]) -> Finished {
        self.amply_with(arguments, &[])
    }

    /// A route that is paid for on a network for tests.
    fn pay(&self, more: &[&str]) -> Finished {
        self.amply(&[&PAY, more].concat())
    }

    fn at_terminal(&self, arguments: &[&str]) -> Terminal {
        let variables = self.variables(&[]);
        let variables: Vec<_> = variables.iter().map(|(name, value)| (&**name, &**value)).collect();
        Terminal::amply(arguments, &variables)
    }

    /// The payments that the ledger has.
    fn payments(&self) -> Vec<Value> {
        let listed = self.amply(&["payments", "list"]);
        let listed: Value = serde_json::from_str(&listed.stdout).unwrap();
        listed["payments"].as_array().unwrap().clone()
    }

    fn states(&self) -> Vec<String> {
        self.payments().iter().map(|payment| payment["state"].as_str().unwrap().to_owned()).collect()
    }

    fn answer(&self, id: &str) -> Finished {
        self.amply(&["payments", "show", id, "--answer"])
    }

    fn settled(&self) -> usize {
        self.sandbox.control().settlements().len()
    }

    fn store_is_there(&self) -> bool {
        self.folder.path().join("state").exists()
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
async fn a_route_is_paid_for_by_x402_in_each_form_and_the_ledger_has_all_of_it() {
    for payments in
        [OpenPayments::v1(), OpenPayments::v2(), OpenPayments::both(), OpenPayments::in_amply_object()]
    {
        let stage = Stage::asking_for(payments.clone()).await;
        let finished = stage.pay(&[]);
        assert_eq!(finished.code, Some(0), "{payments:?}: {finished:?}");
        let route: Value = serde_json::from_str(&finished.stdout).unwrap();
        let settled = stage.sandbox.control().settlements();
        assert_eq!((settled.len(), &settled[0].from), (1, &address().to_string()), "{payments:?}");

        let payments = stage.payments();
        let [payment] = payments.as_slice() else { panic!("{payments:?}") };
        let id = payment["id"].as_str().unwrap();
        assert_eq!((&payment["rail"], &payment["state"]), (&"x402".into(), &"settled".into()));
        assert_eq!(
            (&payment["amount_usd"], &payment["calls"][0]["route_id"]),
            (&"0.01".into(), &route["request_id"])
        );
        let open = &payment["open"];
        for (field, value) in [
            ("network", "eip155:84532"),
            ("asset", &settled[0].asset),
            ("pay_to", &settled[0].pay_to),
            ("nonce", &settled[0].nonce),
            ("transaction", &settled[0].transaction),
        ] {
            assert_eq!(open[field], value, "{open}");
        }
        assert!(open["valid_before"].is_i64(), "{open}");
        let said: Vec<_> = finished.stderr.lines().skip(1).collect();
        let paying =
            format!("note: paying 0.01 USD by x402 with the key from `AMPLY_X402_KEY` (payment {id})");
        assert_eq!(said[..2], [paying, format!("note: paid 0.01 USD by x402 (payment {id})")]);
        // What was paid for, as it came.
        let answer = stage.answer(id);
        assert_eq!((answer.code, &answer.stdout, &*answer.stderr), (Some(0), &finished.stdout, ""));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_meant_is_refused_before_anything_is_sent_and_no_key_is_shown() {
    let stage = Stage::asking_for(OpenPayments::v2()).await;
    let daily = ["--max-daily-usd", "5"];
    let caps = [&daily[..], &["--max-request-usd", "1"]].concat();
    let order = "0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141";
    let no_key = "AMPLY_X402_KEY: the signer's private key is ";
    for (arguments, key, code, says) in [
        (&[][..], KEY, "usage", "no cap over time"),
        (
            &daily[..],
            KEY,
            "usage",
            "`--x402-network` has no cap for a route, whose price the server says; add one, like `--max-request-usd 0.10`, or \
             set AMPLY_MAX_REQUEST_USD",
        ),
        (&["--max-request-usd", "0"], KEY, "usage", "`--max-request-usd` is 0 USD; it must be above 0"),
        (&caps, "", "usage", "finds no private key that signs; set AMPLY_X402_KEY to one"),
        (&caps, "0xsecret-but-no-key", "usage", no_key),
        (&caps, "c0ffee", "usage", no_key),
        (&caps, order, "usage", no_key),
        (&caps, &"0".repeat(64), "usage", no_key),
        (&caps, &format!("{KEY}00"), "usage", no_key),
        (&[&caps[..], &["--x402-network", "solana"]].concat(), KEY, "usage", "invalid value 'solana'"),
        (&[&caps[..], &["--x402-network", "ethereum"]].concat(), KEY, "usage", "invalid value 'ethereum'"),
        (&[&caps[..], &["--x402-key", "00"]].concat(), KEY, "usage", "unexpected argument '--x402-key'"),
        (
            &[&caps[..], &["--open-payments", "v2"]].concat(),
            KEY,
            "usage",
            "`--open-payments` needs `--sandbox`",
        ),
        (
            &[&caps[..], &["--open-network", "base"]].concat(),
            KEY,
            "usage",
            "`--open-network` needs `--sandbox`",
        ),
    ] {
        let route = ["route", TASK, "--json", "--pay", "--x402-network", "base-sepolia"];
        let finished = stage.amply_with(&[&route, arguments].concat(), &[("AMPLY_X402_KEY", key)]);
        assert_eq!(code_of(&finished), is(2, code), "{arguments:?}: {finished:?}");
        assert!(
            finished.error()["message"].as_str().unwrap().contains(says),
            "{arguments:?}: {}",
            finished.stderr
        );
        for secret in ["secret", "c0ffee", order.trim_start_matches("0x"), &"0".repeat(20)] {
            assert!(!finished.stderr.contains(secret), "{arguments:?}: {}", finished.stderr);
        }
    }
    // The names are listed, and those alone.
    let unknown = stage.pay(&["--x402-network", "bitcoin", "--json"]);
    let names = "[possible values: base, avalanche, polygon, base-sepolia]";
    assert!(unknown.error()["message"].as_str().unwrap().contains(names), "{unknown:?}");
    // A cap by variable will do; one that is no amount is named.
    let by_variable = |value| {
        let arguments =
            ["route", TASK, "--json", "--pay", "--x402-network", "base-sepolia", "--max-daily-usd", "5"];
        stage.amply_with(&arguments, &[("AMPLY_MAX_REQUEST_USD", value), ("AMPLY_X402_KEY", "none")])
    };
    assert!(by_variable("1").stderr.contains("AMPLY_X402_KEY: "), "{:?}", by_variable("1"));
    assert!(by_variable("some").stderr.contains("AMPLY_MAX_REQUEST_USD: `some` is not an amount"));
    let unpaid = stage.amply(&["route", TASK, "--json", "--x402-network", "base-sepolia"]);
    assert_eq!(code_of(&unpaid), is(2, "usage"));
    assert!(unpaid.stderr.contains("`--x402-network` needs `--pay`"), "{unpaid:?}");

    assert!(stage.sandbox.control().calls().is_empty() && !stage.store_is_there());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_is_no_text_is_refused_without_being_shown() {
    let key = OsStr::from_bytes(b"hidden-\xff\xfe");
    let finished = std::process::Command::new(bin_dir().join("amply"))
        .args(PAY)
        .env_clear()
        .env("AMPLY_X402_KEY", key)
        .env("AMPLY_BASE_URL", "http://127.0.0.1:9")
        .output()
        .unwrap();
    let said = String::from_utf8(finished.stderr).unwrap();
    assert_eq!(finished.status.code(), Some(2), "{said}");
    assert!(said.contains("AMPLY_X402_KEY is not valid UTF-8; set it again"), "{said}");
    assert!(!said.contains("hidden"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_network_is_paid_on_only_when_it_is_named_and_a_testnet_too() {
    let stage = Stage::asking_for(OpenPayments::v2()).await;
    let on = |networks: &[&'static str]| {
        let named: Vec<&str> = networks.iter().flat_map(|name| ["--x402-network", name]).collect();
        let caps = ["--max-request-usd", "0.05", "--max-daily-usd", "5", "--json"];
        stage.amply(&[&["route", TASK, "--pay"], &named[..], &caps].concat())
    };
    let refused = on(&["base", "polygon", "avalanche"]);
    assert_eq!(code_of(&refused), is(4, "payment_refused"), "{refused:?}");
    assert_eq!(hint_of(&refused), "nothing was paid; add `--x402-network base-sepolia` if it may be paid on");
    assert_eq!((paid_requests(&stage.sandbox), stage.payments().len()), (0, 0));
    assert_eq!(on(&["base", "Base-Sepolia", "base"]).code, Some(0));
    assert_eq!(stage.settled(), 1);

    // Of several the one that was named first.
    let networks = [Network::BaseSepolia, Network::Base];
    let stage = Stage::asking_for(OpenPayments::v2().networks(networks)).await;
    let named = ["--x402-network", "base", "--x402-network", "base-sepolia"];
    let caps = ["--max-request-usd", "0.05", "--max-daily-usd", "5", "--json"];
    assert_eq!(stage.amply(&[&["route", TASK, "--pay"], &named[..], &caps].concat()).code, Some(0));
    assert_eq!(stage.payments()[0]["open"]["network"], "eip155:8453");
    assert_eq!(stage.pay(&[]).code, Some(0));
    assert_eq!(stage.payments()[1]["open"]["network"], "eip155:84532");
}

#[tokio::test(flavor = "multi_thread")]
async fn caps_hold_for_signatures_over_several_runs_and_what_set_them_is_named() {
    let stage = Stage::asking_for(OpenPayments::v2()).await;
    let route = ["route", TASK, "--pay", "--x402-network", "base-sepolia", "--json"];
    for (request, daily, variable, cap, named) in [
        ("0.005", "5", ("AMPLY_MAX_REQUEST_USD", "1"), "per_request", "raise `--max-request-usd`"),
        ("1", "5", ("AMPLY_MAX_REQUEST_USD", "0.005"), "per_request", "raise AMPLY_MAX_REQUEST_USD"),
        (
            "1",
            "0.005",
            ("AMPLY_MAX_DAILY_USD", "1"),
            "per_day",
            "raise `--max-daily-usd`, wait for the next day (UTC)",
        ),
    ] {
        let caps = ["--max-request-usd", request, "--max-daily-usd", daily];
        let finished = stage.amply_with(&[&route[..], &caps].concat(), &[variable]);
        assert_eq!(code_of(&finished), is(4, "spend_limit"), "{finished:?}");
        assert_eq!(finished.error()["cap"], cap);
        assert_eq!(hint_of(&finished), format!("nothing was paid for this route; {named}"));
    }
    assert_eq!((paid_requests(&stage.sandbox), stage.payments().len()), (0, 0));

    // One that the server did not take counts as well: the signature has left.
    stage.sandbox.control().settling(Settling::refused("insufficient_funds").first(1));
    let tight = [&route[..], &["--max-request-usd", "1", "--max-daily-usd", "0.025"]].concat();
    assert_eq!(code_of(&stage.amply(&tight)), is(4, "payment_failed"));
    assert_eq!(stage.amply(&tight).code, Some(0));
    assert_eq!(code_of(&stage.amply(&tight)), is(4, "spend_limit"));
    assert_eq!((stage.states(), stage.settled()), (vec!["rejected".to_owned(), "settled".into()], 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unpaid_402_names_the_network_to_add_and_shows_no_offers() {
    for (payments, says) in [
        (
            OpenPayments::v2(),
            "add `--pay --x402-network base-sepolia --max-request-usd 0.10 --max-daily-usd 5` with a private key in AMPLY_X402_KEY",
        ),
        (
            OpenPayments::in_amply_object(),
            "add `--pay --max-daily-usd 5 --topup-url URL` with the URL of a top-up service, or `--pay --x402-network \
             base-sepolia --max-request-usd 0.10 --max-daily-usd 5` with a private key in AMPLY_X402_KEY, or top up the wallet \
             of the key from `AMPLY_API_KEY` at ",
        ),
    ] {
        let stage = Stage::asking_for(payments).await;
        let key = stage.sandbox.user_key().to_owned();
        let finished = stage.amply_with(&["route", TASK, "--json"], &[("AMPLY_API_KEY", &key)]);
        assert_eq!(code_of(&finished), is(4, "payment_required"), "{finished:?}");
        assert!(hint_of(&finished).starts_with(says), "{finished:?}");
        let message = finished.error()["message"].as_str().unwrap().to_owned();
        assert!(["by x402", "0.01 USD too little"].iter().any(|says| message.contains(says)), "{message}");
    }
    // Where x402 alone is set up, and is not asked for.
    let stage = Stage::of(Sandbox::builder()).await;
    let key = stage.sandbox.user_key().to_owned();
    let finished = stage.amply_with(&[&PAY[..], &["--json"]].concat(), &[("AMPLY_API_KEY", &key)]);
    assert_eq!(code_of(&finished), is(4, "payment_required"), "{finished:?}");
    assert!(hint_of(&finished).starts_with("the server offers no payment by x402; add `--topup-url URL`"));
    assert!(hint_of(&finished).contains(", or top up the wallet of the key from `AMPLY_API_KEY`"));
    // Nobody waits for a wallet that the 402 says nothing of.
    let stage = Stage::asking_for(OpenPayments::v2()).await;
    let (seen, code) = stage.at_terminal(&["route", TASK, "--pay"]).finish();
    assert_eq!(code, Some(4), "{seen}");
    assert!(
        seen.contains("error: the call must be paid for by x402") && !seen.contains("watching"),
        "{seen}"
    );
    assert!(seen.contains("hint: add `--pay --x402-network base-sepolia"), "{seen}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_payment_that_nobody_knows_of_is_told_and_a_person_can_resolve_it() {
    let stage = Stage::asking_for(OpenPayments::v1()).await;
    stage.sandbox.control().settling(Settling::as_asked().says_failed("boom").first(2));
    let finished = stage.pay(&["--json"]);
    assert_eq!(code_of(&finished), is(4, "payment_unknown"), "{finished:?}");
    let error = finished.error();
    let id = error["payment_id"].as_str().unwrap();
    assert_eq!(error["may_have_been_charged"], true);
    assert_eq!(
        hint_of(&finished),
        format!(
            "running the command again pays anew; look for the nonce that `amply payments show {id}` has on the network, then \
             `amply payments resolve {id} settled` or `amply payments resolve {id} rejected`"
        )
    );
    // What the server said is there, and that it was no success.
    let answer = stage.answer(id);
    assert!(answer.stdout.contains("x402Version"), "{answer:?}");
    assert_eq!((answer.code, &*answer.stderr), (Some(0), "warning: this answer came with the status 402\n"));
    let resolved = stage.amply(&["payments", "resolve", id, "settled"]);
    let resolved: Value = serde_json::from_str(&resolved.stdout).unwrap();
    assert_eq!((&resolved["state"], &resolved["verdict"]), (&"unknown".into(), &"settled".into()));

    // It keeps no other call from paying; the same job under its key does not pay again.
    let job = ["--json", "--idempotency-key", "nightly-42"];
    stage.sandbox.control().clear_settlings();
    stage.sandbox.control().settling(Settling::as_asked().says_failed("boom").first(2));
    let finished = stage.pay(&job);
    assert_eq!(code_of(&finished), is(4, "payment_unknown"));
    assert!(
        hint_of(&finished).starts_with("its idempotency key leads no other payment; look"),
        "{finished:?}"
    );
    let (settled, signed) = (stage.settled(), paid_requests(&stage.sandbox));
    assert_eq!(code_of(&stage.pay(&job)).0, Some(4));
    assert_eq!((stage.settled(), paid_requests(&stage.sandbox)), (settled, signed));

    // A route that comes without a word of the payment is an answer, with a warning.
    stage.sandbox.control().clear_settlings();
    stage.sandbox.control().settling(Settling::as_asked().without_receipt());
    let finished = stage.pay(&[]);
    assert_eq!(finished.code, Some(0), "{finished:?}");
    assert!(
        finished.stderr.contains("warning: it is not known whether the payment was taken (payment "),
        "{finished:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_taken_and_not_delivered_is_shown_and_not_paid_again() {
    let stage = Stage::asking_for(OpenPayments::v2()).await;
    stage.sandbox.control().settling(Settling::as_asked().answers(502).first(1));
    let finished = stage.pay(&["--json"]);
    assert_eq!(code_of(&finished), is(4, "payment_not_applied"), "{finished:?}");
    let error = finished.error();
    let id = error["payment_id"].as_str().unwrap();
    assert_eq!(
        hint_of(&finished),
        format!(
            "it is not paid again; `amply payments show {id} --answer` prints what the server answered, and its operator can say why"
        )
    );
    assert_eq!((stage.states(), stage.settled()), (vec!["settled_not_applied".to_owned()], 1));
    assert_eq!(stage.answer(id).stdout, "{}\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_payment_that_the_server_does_not_take_says_whose_key_it_was() {
    let stage = Stage::asking_for(OpenPayments::v2()).await;
    stage.sandbox.control().set_payer_balance(&address().to_string(), "0").unwrap();
    let finished = stage.pay(&["--json"]);
    assert_eq!(code_of(&finished), is(4, "payment_failed"), "{finished:?}");
    let error = finished.error();
    assert!(error["message"].as_str().unwrap().contains("insufficient_balance"), "{error}");
    assert_eq!(
        hint_of(&finished),
        format!(
            "mend what the server says of the payment by {}, whose key is from `AMPLY_X402_KEY`, then run the same command \
             again; the signature counts for the caps until its time is over",
            address()
        )
    );
    assert_eq!(error["may_have_been_charged"], false);
    // A server that goes on like this gets no more signatures for a while.
    assert_eq!(code_of(&stage.pay(&["--json"])), is(4, "payment_failed"));
    assert_eq!(code_of(&stage.pay(&["--json"])), is(4, "payment_failed"));
    let refused = stage.pay(&["--json"]);
    assert_eq!(code_of(&refused), is(4, "payment_refused"), "{refused:?}");
    assert!(hint_of(&refused).starts_with("nothing was signed; mend what the server says"), "{refused:?}");
    assert_eq!(paid_requests(&stage.sandbox), 3);
    // Another payee than the one before is another's affair.
    let stage = Stage::asking_for(OpenPayments::v2()).await;
    assert_eq!(stage.pay(&[]).code, Some(0));
    stage.sandbox.control().offering(Offering::new().pay_to("0x00000000000000000000000000000000000000aa"));
    let refused = stage.pay(&["--json"]);
    assert_eq!(code_of(&refused), is(4, "payment_refused"), "{refused:?}");
    assert_eq!(hint_of(&refused), "nothing was paid; ask the server's operator");
    assert_eq!(stage.settled(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_is_not_there_says_why() {
    let stage = Stage::of(Sandbox::builder().open_payments(OpenPayments::in_amply_object())).await;
    let service = [
        ("AMPLY_API_KEY", stage.sandbox.user_key()),
        ("AMPLY_TOPUP_URL", stage.sandbox.topup_url()),
        ("AMPLY_TOPUP_TOKEN", stage.sandbox.topup_token()),
    ];
    let why = |id: &str| {
        let finished = stage.amply(&["payments", "show", id, "--answer", "--json"]);
        (code_of(&finished), finished.error()["message"].as_str().unwrap().to_owned())
    };
    assert_eq!(why("none").0, is(2, "invalid_request"));
    let missing = |id: &str, why: &str| {
        (is(1, "local"), format!("the ledger has no answer to the payment {id}: {why}"))
    };
    let topup = ["route", TASK, "--pay", "--max-daily-usd", "5"];
    assert_eq!(stage.amply_with(&topup, &service).code, Some(0));
    let id = stage.payments()[0]["id"].as_str().unwrap().to_owned();
    assert_eq!(why(&id), missing(&id, "it is a top-up, and the route came afterwards"));

    stage.sandbox.control().fault(Fault::on("/route").nth(2).reset_before_headers());
    stage.sandbox.control().fault(Fault::on("/route").nth(3).reset_before_headers());
    let key = [("AMPLY_API_KEY", stage.sandbox.user_key())];
    let broken = stage.amply_with(&[&PAY[..], &["--json"]].concat(), &key);
    assert_eq!(code_of(&broken), is(4, "payment_unknown"), "{broken:?}");
    let id = broken.error()["payment_id"].as_str().unwrap().to_owned();
    assert_eq!(why(&id), missing(&id, "none came"));

    stage.sandbox.control().clear_faults();
    assert_eq!(stage.amply_with(&PAY, &key).code, Some(0));
    let id = stage.payments()[2]["id"].as_str().unwrap().to_owned();
    assert_eq!(stage.answer(&id).code, Some(0));
    let day_and_more = 25 * 60 * 60 * 1000;
    let store = rusqlite::Connection::open(stage.folder.file("state/store.db")).unwrap();
    store.execute("UPDATE payment_answer SET kept_ms = kept_ms - ?1", [day_and_more]).unwrap();
    store.execute("UPDATE payment SET ended_ms = ended_ms - ?1", [day_and_more]).unwrap();
    drop(store);
    assert_eq!(why(&id), missing(&id, "an answer is kept for 24 h, and that time is over"));
}

#[tokio::test(flavor = "multi_thread")]
async fn with_both_set_up_the_wallet_goes_first_and_neither_stands_in_for_the_other() {
    let stage = Stage::of(Sandbox::builder().open_payments(OpenPayments::in_amply_object())).await;
    let pay = |token: &str| {
        let both = [
            ("AMPLY_API_KEY", stage.sandbox.user_key()),
            ("AMPLY_TOPUP_URL", stage.sandbox.topup_url()),
            ("AMPLY_TOPUP_TOKEN", token),
        ];
        stage.amply_with(&[&PAY[..], &["--json"]].concat(), &both)
    };
    assert_eq!(pay(stage.sandbox.topup_token()).code, Some(0));
    assert_eq!((credited(&stage.sandbox).len(), paid_requests(&stage.sandbox)), (1, 0));
    let failed = pay("wrong-token");
    assert_eq!(code_of(&failed), is(4, "payment_failed"), "{failed:?}");
    assert_eq!((credited(&stage.sandbox).len(), paid_requests(&stage.sandbox)), (1, 0));
    assert_eq!(stage.states(), ["settled", "rejected"]);

    // A 402 that is about no wallet is paid by x402.
    let stage = Stage::of(Sandbox::builder().open_payments(OpenPayments::both())).await;
    let both = [
        ("AMPLY_API_KEY", stage.sandbox.user_key()),
        ("AMPLY_TOPUP_URL", stage.sandbox.topup_url()),
        ("AMPLY_TOPUP_TOKEN", stage.sandbox.topup_token()),
    ];
    assert_eq!(stage.amply_with(&PAY, &both).code, Some(0));
    assert_eq!((asked(&stage.sandbox, "/topup"), stage.settled()), (0, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_embedded_sandbox_signs_with_a_key_of_its_own_and_reads_none() {
    let stage = Stage::asking_for(OpenPayments::v2()).await;
    // Neither is a key, nor touched.
    for key in ["", "secret-and-no-key"] {
        for open in
            [&[][..], &["--open-payments", "v1"], &["--open-payments", "v2"], &["--open-payments", "amply"]]
        {
            let finished =
                stage.amply_with(&[&["--sandbox"], &PAY[..], open].concat(), &[("AMPLY_X402_KEY", key)]);
            assert_eq!(finished.code, Some(0), "{finished:?}");
            let says = "note: paying 0.01 USD by x402 with the sandbox's own key (payment ";
            assert!(finished.stderr.contains(says), "{open:?}: {finished:?}");
            assert!(finished.stderr.contains("note: paid 0.01 USD by x402 (payment "), "{finished:?}");
        }
    }
    assert!(stage.sandbox.control().calls().is_empty() && !stage.store_is_there());
    let covered = stage.amply(&[&["--sandbox"], &PAY[..], &["--balance", "1"]].concat());
    assert_eq!((covered.code, covered.stderr.contains("paying")), (Some(0), false), "{covered:?}");

    // Without `--pay` nothing is paid, and what to add is named.
    let unpaid = stage.amply(&["--sandbox", "route", TASK, "--json", "--open-network", "polygon"]);
    assert_eq!(code_of(&unpaid), is(4, "payment_required"), "{unpaid:?}");
    assert_eq!(
        hint_of(&unpaid),
        "add `--pay --x402-network polygon --max-request-usd 0.10 --max-daily-usd 5`, or give the sandbox's wallet more with \
         `--balance 1`"
    );
    let other = stage.amply(&[&["--sandbox"], &PAY[..], &["--json", "--open-network", "polygon"]].concat());
    assert_eq!(code_of(&other), is(4, "payment_refused"), "{other:?}");
    assert!(hint_of(&other).starts_with("nothing was paid; add `--x402-network polygon`"), "{other:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_served_sandbox_gives_a_key_that_pays_it() {
    let arguments = ["sandbox", "--json", "--open-payments", "v2", "--open-without-principal"];
    let mut running = amply_tests::Running::start(&arguments);
    let facts: Value = serde_json::from_str(&running.first_line()).unwrap();
    let folder = TempFolder::new("x402-served");
    let store = folder.file("store.db");
    let variables = [
        ("AMPLY_BASE_URL", facts["url"].as_str().unwrap()),
        ("AMPLY_X402_KEY", facts["x402_key"].as_str().unwrap()),
        ("AMPLY_STORE", &store),
    ];
    let finished = amply(&PAY, &variables, b"");
    assert_eq!(finished.code, Some(0), "{finished:?}");
    assert!(finished.stderr.contains("note: paid 0.01 USD by x402"), "{finished:?}");
    assert_eq!(running.interrupt().code, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_whose_time_is_over_leaves_the_payment_and_its_answer_to_the_ledger() {
    let stage = Stage::asking_for(OpenPayments::v2()).await;
    stage
        .sandbox
        .control()
        .fault(Fault::on("/route").nth(2).after_effect().delay(Duration::from_millis(3_000)));
    let job = ["--timeout", "1500ms", "--idempotency-key", "nightly-7"];
    let finished = stage.pay(&job);
    assert_eq!(finished.code, Some(4), "{finished:?}");
    let said: Vec<_> = finished.stderr.lines().filter(|line| !line.is_empty()).skip(1).collect();
    for (line, says) in said.iter().zip([
        "note: paying 0.01 USD by x402",
        "note: a payment is being made; waiting for its end, at most 60 s",
        "note: paid 0.01 USD by x402",
        "error: the time for this call ran out while a payment was being made",
        "hint: the payment went on by itself; see `amply payments show ",
    ]) {
        assert!(line.starts_with(says), "{says}: {said:?}");
    }
    assert_eq!((said.len(), stage.states()), (5, vec!["settled".to_owned()]));
    // The job gets what was paid for, and pays no more.
    let again = stage.pay(&job);
    let id = stage.payments()[0]["id"].as_str().unwrap().to_owned();
    assert_eq!((again.code, &again.stdout), (Some(0), &stage.answer(&id).stdout));
    assert_eq!((stage.settled(), paid_requests(&stage.sandbox)), (1, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn ctrl_c_while_a_payment_is_on_its_way_waits_for_its_end() {
    let stage = Stage::asking_for(OpenPayments::v2()).await;
    stage
        .sandbox
        .control()
        .fault(Fault::on("/route").nth(2).after_effect().delay(Duration::from_millis(1_500)));
    let terminal = stage.at_terminal(&PAY);
    terminal.wait_for("paying 0.01 USD by x402");
    terminal.interrupt();
    let (seen, code) = terminal.finish();
    assert_eq!(code, Some(130), "{seen}");
    assert!(seen.contains("note: a payment is being made; waiting for its end, at most 60 s"), "{seen}");
    assert!(seen.contains("note: paid 0.01 USD by x402"), "{seen}");
    assert_eq!((stage.states(), stage.settled()), (vec!["settled".to_owned()], 1));
}
