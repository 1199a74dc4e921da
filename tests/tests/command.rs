//! The command as a program: what a pipe gets, what ends it, and what it never sends.

use amply_tests::{Finished, Running, Scripted, amply, root};
use serde_json::Value;

const TASK: &str = "Store 1M 1536-dim vectors with metadata filters and low-latency queries";

#[test]
fn a_pipe_gets_the_servers_json_as_it_came() {
    let body = "{\"recommended\": \"qdrant\",  \"new\":{\"b\":1e400,\"a\":1.0}, \"score\":\"0.9\"}";
    let server = Scripted::answering("200 OK", "application/json", body);
    let finished = amply(&["route", TASK, "--base-url", server.url()], &[], b"");
    assert_eq!((finished.stdout, finished.code), (format!("{body}\n"), Some(0)));
}

#[test]
fn the_request_has_what_was_typed_and_the_headers_of_the_api() {
    let server = Scripted::answering("200 OK", "application/json", r#"{"recommended":"qdrant"}"#);
    let arguments = [
        "route",
        "-",
        "--dimension",
        "768",
        "--workload-type",
        "QUERY_HEAVY",
        "--filter-complexity",
        "high",
        "--budget-usd",
        "0.004",
        "--latency-target-ms",
        "20",
        "--budget-usd-per-1m-ops",
        "0.5",
        "--slo-p99-ms",
        "12.5",
        "--referral-tag",
        "campaign:sdk/test-1",
        "--sandbox-mode",
        "--enterprise-policy",
        r#"{"region":"eu"}"#,
    ];
    let variables = [("AMPLY_API_KEY", "srv_key"), ("AMPLY_BASE_URL", server.url())];
    let finished = amply(&arguments, &variables, b"two\nlines\n");
    assert_eq!(finished.code, Some(0), "{}", finished.stderr);

    let seen = server.seen();
    let (head, body) = seen[0].split_once("\r\n\r\n").unwrap();
    assert_eq!(
        serde_json::from_str::<Value>(body).unwrap(),
        serde_json::json!({
            "task": "two\nlines", "dimension": 768, "workload_type": "query_heavy", "filter_complexity": "high",
            "budget_usd": 0.004, "latency_target_ms": 20.0, "budget_usd_per_1m_ops": 0.5, "slo_p99_ms": 12.5,
            "referral_tag": "campaign:sdk/test-1", "sandbox_mode": true, "enterprise_policy": {"region": "eu"},
        })
    );
    let head = head.to_ascii_lowercase();
    assert!(head.starts_with("post /api/v1/route http/1.1\r\n"), "{head}");
    for header in [
        "authorization: bearer srv_key",
        "content-type: application/json",
        "accept: application/json",
        concat!("user-agent: amply-sdk-rust/", env!("CARGO_PKG_VERSION")),
        "idempotency-key: 0",
    ] {
        assert!(head.contains(&format!("\r\n{header}")), "{header} is not in {head}");
    }
    assert!(!head.contains("accept-encoding"), "{head}");
}

#[test]
fn a_flag_goes_before_its_variable() {
    let server = Scripted::answering("200 OK", "application/json", r#"{"ok":true}"#);
    let variables =
        [("AMPLY_BASE_URL", "nonsense"), ("AMPLY_TIMEOUT", "soon"), ("AMPLY_API_KEY", "from-variable")];
    let arguments = ["--base-url", server.url(), "--timeout", "5s", "--api-key-stdin", "status"];
    let finished = amply(&arguments, &variables, b"from-stdin\n");
    assert_eq!(finished.code, Some(0), "{}", finished.stderr);
    assert!(
        server.seen()[0].contains("Bearer from-stdin\r\n") || server.seen()[0].contains("bearer from-stdin")
    );
}

#[test]
fn the_embedded_sandbox_reads_no_key_and_calls_no_server() {
    let server = Scripted::answering("200 OK", "application/json", r#"{"recommended":"wrong"}"#);
    let variables = [
        ("AMPLY_BASE_URL", server.url()),
        ("AMPLY_API_KEY", "line\nbreak"),
        ("HTTP_PROXY", server.url()),
        ("HTTPS_PROXY", server.url()),
        ("ALL_PROXY", server.url()),
    ];
    let finished = amply(&["--sandbox", "route", TASK], &variables, b"");
    let route: Value = serde_json::from_str(&finished.stdout).unwrap();
    assert_eq!((&route["recommended"], finished.code), (&"qdrant".into(), Some(0)));
    assert_eq!(finished.stderr, "note: this is the embedded sandbox: a local server with sample data\n");
    assert_eq!(server.seen(), Vec::<String>::new());
}

#[test]
fn options_that_exclude_each_other_are_refused_on_either_side_of_the_command() {
    for arguments in [
        &["--sandbox", "status", "--base-url", "http://127.0.0.1:9", "--json"][..],
        &["status", "--sandbox", "--api-key-stdin", "--json"],
        &["route", "-", "--api-key-stdin", "--json"],
        &["sandbox", "--sandbox", "--json"],
        &["status", "--dimension", "1", "--json"],
        &["--json"],
    ] {
        let finished = amply(arguments, &[], b"");
        let error = finished.error();
        assert_eq!(
            (error["code"].as_str(), finished.code),
            (Some("usage"), Some(2)),
            "{arguments:?}: {error}"
        );
    }
}

#[test]
fn a_usage_error_as_json_says_what_would_be_right() {
    for (arguments, words) in [
        (&["route", "x", "--workload-type", "foo", "--json"][..], "insert_heavy, query_heavy, hybrid"),
        (&["route", "--json"], "<TASK>"),
        (&["route", "x", "--dimension", "-1", "--json"], "a whole number from 1 to 65536"),
        (&["route", "x", "--dimension", "4294967297", "--json"], "a whole number from 1 to 65536"),
        (&["route", "x", "--dimension", "1.5", "--json"], "a whole number from 1 to 65536"),
    ] {
        let finished = amply(arguments, &[], b"");
        let error = finished.error();
        assert!(error["message"].as_str().unwrap().contains(words), "{arguments:?}: {error}");
        assert_eq!(finished.code, Some(2), "{arguments:?}");
    }
}

#[test]
fn errors_are_json_only_when_json_was_asked_for_and_then_nothing_else() {
    let text = amply(&["route", ""], &[], b"");
    assert!(text.stderr.starts_with("error: the task is empty"), "{text:?}");
    let json = amply(&["--sandbox", "--base-url", "x", "route", "y", "--json"], &[], b"");
    assert_eq!(json.error()["code"], "usage");
    let noted = amply(&["--sandbox", "--json", "route", "x"], &[], b"");
    assert_eq!((noted.stderr.as_str(), noted.code), ("", Some(0)));
}

#[test]
fn a_limit_of_ages_is_none_and_a_standard_error_that_is_full_harms_nothing() {
    let finished = amply(&["--sandbox", "--timeout", "1e19", "-q", "status"], &[], b"");
    assert_eq!(finished.code, Some(0), "{}", finished.stderr);
    let (seen, code) = amply_tests::at_terminal("amply --sandbox -v status 2>/dev/full");
    assert_eq!(code, Some(0), "{seen}");
}

#[test]
fn what_standard_input_holds_is_read_with_care() {
    for (input, says) in [
        (&b"hidden\xff"[..], "not UTF-8 from byte 6"),
        (&[b'k'; 5000], "longer than 4096 bytes"),
        (b"", "the API key is empty"),
        (b"\n", "the API key is empty"),
    ] {
        let finished = amply(&["status", "--api-key-stdin", "--base-url", "http://127.0.0.1:1"], &[], input);
        assert!(finished.stderr.contains(says) && !finished.stderr.contains("hidden"), "{}", finished.stderr);
        assert_eq!(finished.code, Some(2), "{}", finished.stderr);
    }
}

#[test]
fn a_refusal_as_json_has_what_a_program_needs() {
    let body = r#"{"error":"insufficient_balance","shortfall_usd":0.04,"top_up_url":"https://pay.example"}"#;
    let server = Scripted::answering("402 Payment Required", "application/json", body);
    let error = amply(&["route", "x", "--json", "--base-url", server.url()], &[], b"").error();
    assert_eq!((&error["server_code"], &error["body"]), (&"insufficient_balance".into(), &body.into()));
    let server = Scripted::answering("429 Too Many\r\nRetry-After: 90", "application/json", "{}");
    let error = amply(&["route", "x", "--json", "--base-url", server.url()], &[], b"").error();
    assert_eq!(error["retry_after_s"], 90.0);
}

#[test]
fn an_id_of_a_server_cannot_look_like_a_message() {
    let body = "{\"detail\":\"no\",\"request_id\":\"a\\nerror: you were hacked\"}";
    let server = Scripted::answering("400 Bad Request", "application/json", body);
    let finished = amply(&["route", "x", "--base-url", server.url()], &[], b"");
    let lines: Vec<_> = finished.stderr.lines().collect();
    assert_eq!(lines, ["error: the server refused the request: no (request a error: you were hacked)"]);
}

#[test]
fn a_reader_that_has_seen_enough_ends_the_command_quietly() {
    let (seen, code) = amply_tests::at_terminal("amply --sandbox -q providers --json | true");
    assert_eq!((seen.as_str(), code), ("", Some(0)));
}

#[test]
fn a_full_disk_is_an_error() {
    let (seen, code) = amply_tests::at_terminal("amply --sandbox -q status --json > /dev/full");
    assert_eq!(code, Some(1));
    assert!(seen.contains("cannot write to standard output: No space left on device"), "{seen}");
}

#[test]
fn ctrl_c_ends_a_waiting_call_with_130() {
    let server = Scripted::start(vec![None]);
    let running = Running::start(&["route", TASK, "--base-url", server.url()]);
    server.wait_for_a_request();
    let finished = running.interrupt();
    assert_eq!((finished.code, finished.stdout.as_str(), finished.stderr.as_str()), (Some(130), "", ""));
}

#[test]
fn a_served_sandbox_tells_where_it_is_and_ends_well_with_ctrl_c() {
    let mut running = Running::start(&["sandbox", "--port", "0", "--seed", "7", "--json"]);
    let facts: Value = serde_json::from_str(&running.first_line()).unwrap();
    let url = facts["url"].as_str().unwrap();
    assert!(url.starts_with("http://127.0.0.1:") && url.ends_with("/api/v1"), "{facts}");

    for (key, code) in [("user_key", 0), ("server_key", 0), ("admin_secret", 3)] {
        let variables = [("AMPLY_API_KEY", facts[key].as_str().unwrap()), ("AMPLY_BASE_URL", url)];
        let finished = amply(&["route", TASK], &variables, b"");
        assert_eq!(finished.code, Some(code), "{key}: {}", finished.stderr);
    }
    let finished = amply(&["route", TASK, "--base-url", url], &[], b"");
    assert_eq!(finished.code, Some(0), "a call without a key is served: {}", finished.stderr);
    let metrics: Value =
        serde_json::from_str(&amply(&["platform-metrics", "--base-url", url], &[], b"").stdout).unwrap();
    assert_eq!(metrics["decisions_last_30d"], 3);

    assert_eq!(running.interrupt().code, Some(0));
}

#[test]
fn a_wallet_shows_what_it_holds_and_a_route_it_does_not_cover_says_what_to_do() {
    let mut running = Running::start(&["sandbox", "--json", "--strict", "--balance", "0.025"]);
    let facts: Value = serde_json::from_str(&running.first_line()).unwrap();
    assert!(facts["topup_url"].as_str().unwrap().starts_with("http://127.0.0.1:"), "{facts}");
    assert!(facts["topup_token"].is_string(), "{facts}");
    let url = facts["url"].as_str().unwrap();
    let variables = [("AMPLY_BASE_URL", url), ("AMPLY_API_KEY", facts["user_key"].as_str().unwrap())];

    assert_eq!(amply(&["route", TASK], &variables, b"").code, Some(0));
    let balance = amply(&["wallet", "balance"], &variables, b"");
    let balance: Value = serde_json::from_str(&balance.stdout).unwrap();
    assert_eq!((&balance["balance_usd"], &balance["can_call"]), (&0.015.into(), &true.into()), "{balance}");
    assert_eq!(amply(&["route", TASK], &variables, b"").code, Some(0));

    let refused = amply(&["route", TASK], &variables, b"");
    let lines: Vec<_> = refused.stderr.lines().collect();
    assert!(lines[0].starts_with("error: the wallet holds 0.005 USD, 0.005 USD too little"), "{lines:?}");
    let page = format!("{}/dashboard/billing", url.trim_end_matches("/api/v1"));
    assert!(lines[2].starts_with("hint: add `--pay --max-daily-usd 5"), "{lines:?}");
    let by_hand =
        format!("top up the wallet of the key from `AMPLY_API_KEY` at {page} and run the same command again");
    assert!(lines[2].ends_with(&by_hand), "{lines:?}");
    let error = amply(&["route", TASK, "--json"], &variables, b"").error();
    assert_eq!(
        (&error["code"], &error["may_have_been_charged"]),
        (&"payment_required".into(), &false.into())
    );
    let warned = amply(&["wallet", "balance"], &variables, b"");
    assert_eq!(warned.stderr, "warning: the balance does not cover a call; top up the wallet\n");

    let operator = [("AMPLY_BASE_URL", url), ("AMPLY_API_KEY", facts["server_key"].as_str().unwrap())];
    assert_eq!(amply(&["wallet", "balance"], &operator, b"").code, Some(5));
    assert_eq!(amply(&["wallet", "balance", "--base-url", url], &[], b"").code, Some(3));
}

#[test]
fn a_port_that_is_taken_and_a_catalog_that_is_none_are_named() {
    let taken = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let finished = amply(&["sandbox", "--port", &port, "--json"], &[], b"");
    assert_eq!(finished.code, Some(1));
    assert!(finished.error()["message"].as_str().unwrap().contains(&format!("port {port}")), "{finished:?}");

    let readme = root().join("README.md");
    let catalog = |file: &str| -> Finished { amply(&["sandbox", "--catalog", file, "--json"], &[], b"") };
    let finished = catalog(readme.to_str().unwrap());
    assert_eq!(finished.code, Some(2));
    assert!(
        finished.error()["message"].as_str().unwrap().contains("README.md` cannot be used: "),
        "{finished:?}"
    );
    assert!(catalog("no-such-file").error()["message"].as_str().unwrap().contains("cannot be read"));
}

#[test]
fn a_catalog_of_ones_own_is_ranked() {
    let mut running = Running::start(&[
        "sandbox",
        "--catalog",
        root().join("tests/fixtures/catalog.json").to_str().unwrap(),
        "--json",
    ]);
    let facts: Value = serde_json::from_str(&running.first_line()).unwrap();
    let finished = amply(&["route", TASK, "--base-url", facts["url"].as_str().unwrap()], &[], b"");
    let route: Value = serde_json::from_str(&finished.stdout).unwrap();
    assert_eq!(route["score"], 0.8901);
    assert_eq!(running.interrupt().code, Some(0));
}

#[test]
fn each_switch_of_the_served_sandbox_shows_in_its_answers() {
    for (switches, key, codes) in [
        (&[][..], "", &[Some(0)][..]),
        (&["--require-api-key"], "", &[Some(3)]),
        (&["--operator-key", "my-own-key"], "my-own-key", &[Some(0)]),
        (&[], "my-own-key", &[Some(3)]),
        (&["--require-principal"], "server_key", &[Some(5)]),
        (&["--require-principal"], "user_key", &[Some(0)]),
        (&["--rate-limit", "1"], "user_key", &[Some(0), Some(6)]),
        (&["--daily-quota", "1"], "user_key", &[Some(0), Some(6)]),
        (&["--strict", "--balance", "0.01"], "user_key", &[Some(0), Some(4)]),
        (&["--strict", "--balance", "1", "--charge-per-route", "1.5", "--x402"], "user_key", &[Some(4)]),
        (&["--balance", "0"], "user_key", &[Some(0)]),
    ] {
        let mut running = Running::start(&[&["sandbox", "--json"], switches].concat());
        let facts: Value = serde_json::from_str(&running.first_line()).unwrap();
        let key = facts[key].as_str().unwrap_or(key);
        let variables = [("AMPLY_BASE_URL", facts["url"].as_str().unwrap()), ("AMPLY_API_KEY", key)];
        let seen: Vec<_> =
            codes.iter().map(|_| amply(&["route", TASK, "--json"], &variables, b"").code).collect();
        assert_eq!(seen, codes, "{switches:?}");
    }

    let answer = |switches: &[&str], call: &[&str]| -> Value {
        let mut running = Running::start(&[&["sandbox", "--json"], switches].concat());
        let facts: Value = serde_json::from_str(&running.first_line()).unwrap();
        let variables = [
            ("AMPLY_BASE_URL", facts["url"].as_str().unwrap()),
            ("AMPLY_API_KEY", facts["user_key"].as_str().unwrap()),
        ];
        serde_json::from_str(&amply(call, &variables, b"").stdout).unwrap()
    };
    let route = &["route", TASK][..];
    assert_eq!(answer(&[], route)["integration"]["principal_attached"], true);
    assert_eq!(answer(&["--no-metering"], route)["integration"], Value::Null);
    assert_eq!(answer(&["--release", "3.1.12"], route)["rankings"], Value::Null);
    assert_eq!(answer(&["--release", "3.1.12"], &["status"])["version"], "3.1.12");
    let signup = answer(&["--agent-signup", "--agent-signup-secret", "s"], &["status"]);
    assert_eq!(signup["diagnostics"]["agent_signup"]["requires_shared_secret"], true);
}
