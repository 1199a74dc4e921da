//! `--jq` on every command that prints data, `amply api`, `amply openapi`, and what a program reads of any failure.

use amply_sandbox::{Fault, Sandbox};
use amply_tests::recording::recordings;
use amply_tests::transcript::check_markdown;
use amply_tests::{Finished, Refusing, Running, Scripted, TempFolder, amply, at_terminal, root, write};
use serde_json::{Value, json};

const TASK: &str = "store 1M vectors";

/// Runs a command against a sandbox with the user's key.
fn at(sandbox: &Sandbox, arguments: &[&str]) -> Finished {
    let variables = [("AMPLY_BASE_URL", sandbox.url()), ("AMPLY_API_KEY", sandbox.user_key())];
    amply(arguments, &variables, b"")
}

/// What a command prints that ends well.
fn printed(finished: Finished) -> String {
    assert_eq!(finished.code, Some(0), "{}", finished.stderr);
    finished.stdout
}

fn calls(sandbox: &Sandbox, path: &str) -> usize {
    sandbox.control().calls().iter().filter(|call| call.path.ends_with(path)).count()
}

#[test]
fn the_page_shows_what_a_terminal_shows() {
    check_markdown(&root().join("docs/cli.md"));
}

// --- `--jq`

#[tokio::test(flavor = "multi_thread")]
async fn jq_is_applied_to_what_any_command_prints() {
    let sandbox = Sandbox::builder().agent_signup(true).start().await.unwrap();
    let folder = TempFolder::new("jq");
    let store = folder.file("store.db");
    let key_file = folder.file("key");
    let route = at(&sandbox, &["route", TASK, "--track", "--jq", ".request_id, .amply_ticket"]);
    let route = printed(route);
    let (id, ticket) = route.trim_end().split_once('\n').unwrap();
    assert!(ticket.starts_with("amply-ticket-1."), "{ticket}");
    for (arguments, expression, expected) in [
        (vec!["route", TASK], ".recommended, .score", "qdrant\n0.8901\n"),
        (vec!["route", TASK, "--dry-run"], ".body.task", "store 1M vectors\n"),
        (
            vec!["execute", TASK, "--target", "https://worker.example/run", "--input", "[1.5]"],
            ".execution | .status, .output",
            "succeeded\n[1.5]\n",
        ),
        (vec!["agent"], "[.workflow.steps[].id] | first, last", "discover\naudit\n"),
        (
            vec!["signup", "--accept-tos", "2026-11-01", "--key-file", &key_file],
            ".api_key, .tos_version",
            "null\n2026-11-01\n",
        ),
        (vec!["report"], ".period, .totals.routes", "30d\n3\n"),
        (vec!["credentials", "list"], ".credentials | length", "0\n"),
        (vec!["audit", id], ".route.recommended, .outcome", "qdrant\nnull\n"),
        (vec!["outcome", id, "--success"], ".credits_awarded", "1\n"),
        (vec!["outcome", "--ticket", ticket, "--success"], ".duplicate", "true\n"),
        (vec!["outcome", "one-more", "--failure", "--later"], ".queued", "true\n"),
        (vec!["outbox", "list"], ".reports | length", "1\n"),
        (vec!["outbox", "retry", "--all"], ".retried", "0\n"),
        (vec!["payments", "list"], "[.payments, .blocked]", "[[],null]\n"),
        (vec!["payments", "unblock"], ".was_blocked", "false\n"),
        (
            vec!["providers"],
            "[.providers[].id] | @csv",
            "\"qdrant\",\"pinecone\",\"weaviate\",\"chroma\",\"supabase\"\n",
        ),
        (vec!["health"], ".providers[0] | .state", "healthy\n"),
        (vec!["status"], ".version", "3.1.13\n"),
        (vec!["platform-metrics"], ".decisions_last_7d", "3\n"),
        (vec!["wallet", "balance"], ".currency", "USD\n"),
        (vec!["openapi"], ".info.version", "3.1.13\n"),
        (vec!["openapi", "--check"], ".version", "3.1.13\n"),
        (vec!["api", "GET", "status"], ".service", "amply\n"),
    ] {
        let mut whole = vec!["--store", &*store, "--jq", expression];
        whole.extend(&arguments);
        let finished = at(&sandbox, &whole);
        assert_eq!(finished.stdout, expected, "{arguments:?}: {}", finished.stderr);
    }
    let mut running = Running::start(&["sandbox", "--jq", ".topup_url | test(\"^http\")"]);
    assert_eq!(running.first_line(), "true\n");
    assert_eq!(running.interrupt().code, Some(0));
}

#[test]
fn jq_keeps_the_digits_of_numbers_and_the_order_of_fields() {
    let body = r#"{"z":1e400,"a":[0.0100,123456789012345678901234567890],"n":"😀 \ud83d"}"#;
    let server = Scripted::answering("200 OK", "application/json", body);
    let of = |expression| {
        printed(amply(&["--base-url", server.url(), "api", "GET", "x", "--jq", expression], &[], b""))
    };
    assert_eq!(
        of("."),
        "{\"z\":1e400,\"a\":[0.0100,123456789012345678901234567890],\"n\":\"😀 \u{fffd}\"}\n"
    );
    assert_eq!(of(".a[], .n"), "0.0100\n123456789012345678901234567890\n😀 \u{fffd}\n");
    assert_eq!(of("empty"), "");
}

#[test]
fn a_wrong_expression_is_refused_with_its_place_before_anything_is_sent() {
    let server = Scripted::answering("200 OK", "application/json", r#"{"recommended":"qdrant"}"#);
    let text = amply(&["--base-url", server.url(), "route", TASK, "--jq", ".recommended | test("], &[], b"");
    assert_eq!((text.code, &*text.stdout), (Some(2), ""));
    assert_eq!(
        text.stderr,
        "error: the `--jq` expression is wrong at column 21: a closing parenthesis is expected, not the end\n\n  \
         .recommended | test(\n                      ^\n"
    );
    for (expression, at) in [
        (".a |\n  froo", json!({"byte": 7, "line": 2, "column": 3})),
        ("é | $x", json!({"byte": 0, "line": 1, "column": 1})),
        ("env.AMPLY_API_KEY", json!({"byte": 0, "line": 1, "column": 1})),
    ] {
        let wrong =
            amply(&["--json", "--base-url", server.url(), "route", TASK, "--jq", expression], &[], b"");
        let error = wrong.error();
        assert_eq!((wrong.code, &error["code"], &error["at"]), (Some(2), &json!("usage"), &at), "{error}");
    }
    let nested = "[".repeat(16 * 1024);
    let deep = amply(&["--json", "--base-url", server.url(), "status", "--jq", &nested], &[], b"");
    assert_eq!(deep.error()["code"], "usage");
    let long = amply(&["--base-url", server.url(), "status", "--jq", &".".repeat(20_000)], &[], b"");
    assert!(long.stderr.contains("is 20000 bytes long, at most 16384"), "{}", long.stderr);
    assert_eq!(server.seen().len(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_was_paid_for_is_not_lost_to_an_expression_that_does_not_fit() {
    let sandbox = Sandbox::builder().strict_wallet(true).balance("0").start().await.unwrap();
    let folder = TempFolder::new("jq-paid");
    let variables = [
        ("AMPLY_BASE_URL", sandbox.url()),
        ("AMPLY_API_KEY", sandbox.user_key()),
        ("AMPLY_TOPUP_URL", sandbox.topup_url()),
        ("AMPLY_TOPUP_TOKEN", sandbox.topup_token()),
        ("AMPLY_STORE", &*folder.file("store.db")),
    ];
    let arguments = ["route", TASK, "--pay", "--max-daily-usd", "1", "--jq", ".score, .recommended.id"];
    let paid = amply(&[&["--json"], &arguments[..]].concat(), &variables, b"");
    let error = paid.error();
    // What came before it is printed already.
    assert_eq!((paid.code, &*paid.stdout), (Some(1), "0.8901\n"));
    assert_eq!((&error["code"], &error["exit_code"]), (&json!("jq"), &json!(1)));
    let answer: Value = serde_json::from_str(error["body"].as_str().unwrap()).unwrap();
    assert_eq!(answer["recommended"], "qdrant");
    let text = amply(&arguments, &variables, b"").stderr;
    let (said, answer) = text.split_once("\nThe answer was:\n\n").unwrap();
    assert!(said.contains("does not fit the answer: cannot index \"qdrant\" with \"id\""), "{said}");
    assert_eq!(serde_json::from_str::<Value>(answer).unwrap()["recommended"], "qdrant");
    // Each of them was served once, and asked for twice because of the 402.
    assert_eq!(calls(&sandbox, "/route"), 4);
}

#[test]
fn an_expression_without_an_end_is_ended_by_ctrl_c_and_by_who_has_read_enough() {
    for expression in ["1, [range(infinite)]", "1, last(range(infinite))", "repeat(1)"] {
        let mut running = Running::start(&["--sandbox", "-q", "--jq", expression, "status"]);
        assert_eq!(running.first_line(), "1\n");
        assert_eq!(running.interrupt().code, Some(130), "{expression}");
    }
    let (seen, code) = at_terminal("amply --sandbox -q status --jq 'range(infinite)' | head -n 2");
    assert_eq!((&*seen, code), ("0\n1\n", Some(0)));
}

#[test]
fn jq_has_no_place_where_the_output_is_anothers() {
    let refused = amply(&["--json", "--jq", ".", "run", TASK, "--", "true"], &[], b"");
    assert_eq!((refused.code, &refused.error()["code"]), (Some(125), &json!("usage")));
}

#[test]
fn at_a_terminal_a_text_cannot_act() {
    let (seen, _) = at_terminal(r#"amply --sandbox -q status --jq '"a\u001b[31mb"'"#);
    assert_eq!(seen, "a\u{fffd}[31mb\n");
}

// --- `amply api`

#[tokio::test(flavor = "multi_thread")]
async fn fields_are_the_body_of_a_post_and_the_query_of_a_get() {
    let sandbox = Sandbox::builder().start().await.unwrap();
    let route = at(
        &sandbox,
        &[
            "api",
            "post",
            "/route",
            "-f",
            "task=store 1M vectors = many",
            "-F",
            "dimension=1536",
            "-F",
            "sandbox_mode=true",
            "-F",
            r#"enterprise_policy={"region":"eu"}"#,
        ],
    );
    let route: Value = serde_json::from_str(&printed(route)).unwrap();
    let seen = sandbox.control().calls().last().unwrap().clone();
    let body: Value = serde_json::from_str(&seen.body).unwrap();
    assert_eq!(
        body,
        json!({"task": "store 1M vectors = many", "dimension": 1536, "sandbox_mode": true, "enterprise_policy": {"region": "eu"}})
    );
    let id = route["request_id"].as_str().unwrap();
    let audit = at(
        &sandbox,
        &["api", "GET", "route/audit", "-f", &format!("request_id={id}"), "--jq", ".request_id"],
    );
    assert_eq!(printed(audit), format!("{id}\n"));
    let odd = at(
        &sandbox,
        &["--json", "api", "GET", "route/audit?x=1", "-f", "request_id=a&b=c/ü", "-F", "n=1.50"],
    );
    assert_eq!((odd.code, &odd.error()["code"]), (Some(1), &json!("not_found")));
}

#[test]
fn a_query_is_encoded_and_the_body_of_a_file_is_sent_as_it_is() {
    let server = Scripted::answering("200 OK", "application/json", r#"{"ok": true}"#);
    let api = |arguments: &[&str], stdin: &[u8]| {
        let whole = [&["--base-url", server.url(), "api"], arguments].concat();
        assert_eq!(printed(amply(&whole, &[], stdin)), "{\"ok\": true}\n");
        server.seen().last().unwrap().clone()
    };
    let seen = api(&["GET", "x?a=1", "-f", "b=c&d é", "-F", "n=1.50", "-F", "s=\"t\""], b"");
    assert!(seen.starts_with("GET /api/v1/x?a=1&b=c%26d%20%C3%A9&n=1.50&s=t HTTP/1.1\r\n"), "{seen}");
    let folder = TempFolder::new("api");
    let file = folder.file("body.json");
    write(file.as_ref(), "{\"n\": 1e400,\n \"a\": 1.0}\n");
    let seen = api(&["PUT", "/x", "--input", &file], b"");
    assert!(seen.ends_with("\r\n\r\n{\"n\": 1e400,\n \"a\": 1.0}"), "{seen}");
    let seen = api(&["PATCH", "/x", "--input", "-"], b"[1]\n");
    assert!(seen.starts_with("PATCH ") && seen.ends_with("\r\n\r\n[1]"), "{seen}");
    let seen = api(&["DELETE", "/credentials/cred_1"], b"");
    assert!(seen.starts_with("DELETE /api/v1/credentials/cred_1 HTTP/1.1\r\n"), "{seen}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_head_of_an_answer_is_printed_on_demand_and_an_empty_body_prints_nothing() {
    let sandbox = Sandbox::builder().start().await.unwrap();
    let whole = printed(at(&sandbox, &["api", "GET", "status", "-i"]));
    let (head, body) = whole.split_once("\n\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 200 OK\ncontent-type: application/json\n"), "{head}");
    assert_eq!(serde_json::from_str::<Value>(body).unwrap()["ok"], true);
    assert_eq!(printed(at(&sandbox, &["api", "HEAD", "status"])), "");
    let head = printed(at(&sandbox, &["api", "HEAD", "status", "-i", "--jq", ".ok"]));
    assert!(head.starts_with("HTTP/1.1 200 OK\n") && !head.contains("\n\n"), "{head}");
}

#[tokio::test(flavor = "multi_thread")]
async fn errors_are_those_of_the_table_and_nothing_is_repeated_or_paid() {
    let sandbox = Sandbox::builder().strict_wallet(true).balance("0").start().await.unwrap();
    let ask = |arguments: &[&str]| {
        let finished = at(&sandbox, &[&["--json", "api"], arguments].concat());
        (finished.error()["code"].as_str().unwrap().to_owned(), finished.code)
    };
    assert_eq!(ask(&["POST", "route", "-f", "task="]), ("rejected".to_owned(), Some(2)));
    assert_eq!(ask(&["POST", "route", "-f", "task=x"]), ("payment_required".to_owned(), Some(4)));
    assert_eq!(ask(&["GET", "nothing/here"]).1, Some(1));
    assert_eq!(ask(&["GET", "../x"]), ("invalid_request".to_owned(), Some(2)));
    assert_eq!(ask(&["CONNECT", "status"]), ("invalid_request".to_owned(), Some(2)));
    sandbox.control().fault(Fault::on("/outcome").always().status(500));
    sandbox.control().clear();
    assert_eq!(
        ask(&["POST", "outcome", "-f", "route_id=r", "-F", "success=true"]),
        ("server".to_owned(), Some(8))
    );
    assert_eq!(calls(&sandbox, "/outcome"), 1);
}

#[test]
fn what_cannot_be_meant_is_said_before_anything_is_sent() {
    let server = Scripted::answering("200 OK", "application/json", "{}");
    for (arguments, says) in [
        (vec!["POST", "x", "-f", "a"], "`-f a` has no `=`"),
        (vec!["POST", "x", "-F", "=1"], "has no name before the `=`"),
        (vec!["POST", "x", "-f", "a[b]=1"], "`a[b]` would be a field within another"),
        (vec!["POST", "x", "-F", "a=qdrant"], "the value of `-F a=…` is not JSON"),
        (vec!["POST", "x", "-f", "a=1", "-F", "a=2"], "the field `a` is given twice"),
        (vec!["GET", "x", "-F", "a=[1]"], "`a` is a list or an object"),
        (vec!["POST", "x", "-f", "a=1", "--input", "-"], "`--input` cannot be used with `-f` and `-F`"),
        (vec!["GET", "x", "--input", "-"], "`--input` cannot be used with GET"),
        (vec!["POST", "x", "--input", "-"], "the body on standard input is not JSON"),
        (vec!["POST", "x", "--input", "/nowhere/at/all"], "the body in `/nowhere/at/all` cannot be read"),
        (vec!["PO ST", "x"], "`PO ST` is no HTTP method"),
        (vec!["GET", "https://elsewhere.example/x"], "is a whole URL"),
        (
            vec!["POST", "x", "--input", "-", "--api-key-stdin"],
            "`--api-key-stdin` cannot be used with `--input -`",
        ),
    ] {
        let whole = [vec!["--json", "--base-url", server.url(), "api"], arguments.clone()].concat();
        let refused = amply(&whole, &[], b"no JSON");
        let error = refused.error();
        assert_eq!((refused.code, &error["code"]), (Some(2), &json!("usage")), "{arguments:?}: {error}");
        assert!(error["message"].as_str().unwrap().contains(says), "{arguments:?}: {error}");
    }
    assert_eq!(server.seen().len(), 0);
    let keyed = ["--base-url", server.url(), "--api-key-stdin", "api", "POST", "x", "-F", "a=1"];
    assert_eq!(printed(amply(&keyed, &[], b"srv_key\n")), "{}\n");
    assert!(server.seen()[0].to_ascii_lowercase().contains("authorization: bearer srv_key"));
}

// --- `amply openapi`

#[tokio::test(flavor = "multi_thread")]
async fn the_document_of_the_sandbox_and_this_client_agree() {
    let sandbox = Sandbox::builder().start().await.unwrap();
    let checked = at(&sandbox, &["--json", "openapi", "--check"]);
    let found: Value = serde_json::from_str(&checked.stdout).unwrap();
    assert_eq!((&found["differences"], checked.code), (&json!([]), Some(0)));
    assert!(found["notes"].as_array().unwrap().iter().all(|note| note["kind"] != "not_described"), "{found}");
}

#[test]
fn the_recorded_document_of_the_older_release_lacks_what_came_later() {
    let document = recordings()["open-openapi"].response.body();
    let server = Scripted::answering("200 OK", "application/json", &document);
    let checked = amply(&["--base-url", server.url(), "openapi", "--check"], &[], b"");
    let found: Value = serde_json::from_str(&checked.stdout).unwrap();
    assert_eq!((&found["version"], checked.code, &*checked.stderr), (&json!("3.1.12"), Some(1), ""));
    let lines = |list: &str| -> Vec<String> {
        let word = |drift: &Value, name: &str| drift[name].as_str().unwrap_or("-").to_owned();
        let line = |drift| ["endpoint", "place", "field", "kind"].map(|name| word(drift, name)).join(" ");
        found[list].as_array().unwrap().iter().map(line).collect()
    };
    assert_eq!(
        lines("differences"),
        [
            "GET /agent endpoint - missing_there",
            "GET /route/audit endpoint - missing_there",
            "GET /billing/status endpoint - missing_there",
            "POST /billing/topup endpoint - missing_there",
            "POST /credentials endpoint - missing_there",
            "GET /credentials endpoint - missing_there",
            "DELETE /credentials/{id} endpoint - missing_there",
            "POST /route/execute endpoint - missing_there",
            "GET /health endpoint - missing_there",
            "POST /outcome endpoint - missing_there",
            "POST /report endpoint - missing_there",
            "POST /route request budget_usd_per_1m_ops missing_there",
            "POST /route request slo_p99_ms missing_there",
            "POST /route request sandbox_mode missing_there",
            "POST /route request enterprise_policy missing_there",
            "POST /route/outcome endpoint - missing_there",
            "POST /signup/agent endpoint - missing_there",
        ]
    );
    assert_eq!(
        lines("notes"),
        [
            "GET /platform-metrics answer - not_described",
            "GET /providers answer - not_described",
            "POST /route answer - not_described",
            "GET /status answer - not_described",
        ]
    );
}

#[test]
fn what_is_no_openapi_document_is_not_compared() {
    for body in [
        "{}",
        r#"{"paths":[]}"#,
        r#"{"swagger":"2.0","paths":{"/a":{"get":{}}}}"#,
        r#"{"openapi":"3.0.3","paths":{}}"#,
    ] {
        let server = Scripted::answering("200 OK", "application/json", body);
        let checked = amply(&["--json", "--base-url", server.url(), "openapi", "--check"], &[], b"");
        assert_eq!((checked.code, &*checked.stdout), (Some(9), ""), "{body}");
        assert_eq!(checked.error().get("code"), Some(&json!("protocol")), "{body}");
    }
}

#[test]
fn a_file_without_an_end_is_not_read_to_its_end() {
    let server = Scripted::answering("200 OK", "application/json", "{}");
    let endless = amply(&["--base-url", server.url(), "api", "POST", "x", "--input", "/dev/zero"], &[], b"");
    assert_eq!((endless.code, &*endless.stdout), (Some(2), ""), "{}", endless.stderr);
    assert!(endless.stderr.contains("is longer than 8388608 bytes"), "{}", endless.stderr);
    assert_eq!(server.connections(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_path_may_have_a_url_in_its_query_and_is_not_that_of_the_base_url() {
    let sandbox = Sandbox::builder().start().await.unwrap();
    let known = at(&sandbox, &["api", "GET", "status?next=https://a.example/b", "--jq", ".ok"]);
    assert_eq!((known.code, &*known.stdout), (Some(0), "true\n"), "{}", known.stderr);
    let twice = at(&sandbox, &["api", "GET", "/api/v1/status"]);
    assert_eq!(twice.code, Some(1));
    assert!(
        twice.stderr.contains("hint: leave out `/api/v1`: the path goes below the base URL"),
        "{}",
        twice.stderr
    );
    let unknown = at(&sandbox, &["api", "GET", "nothing"]);
    assert!(
        unknown.stderr.contains("hint: `amply openapi` lists what this server has"),
        "{}",
        unknown.stderr
    );
}

#[test]
fn a_person_sees_the_operations_and_each_difference_in_words() {
    let (seen, code) = at_terminal("amply --sandbox -q openapi | head -n 3; amply --sandbox -q openapi");
    assert!(seen.contains("METHOD  PATH") && seen.contains("POST    /api/v1/route "), "{seen}");
    assert_eq!(code, Some(0));
    let document = r#"{"openapi":"3.0.3","info":{"version":"9"},"paths":{"/api/v1/route":{"post":{"requestBody":{"content":{"application/json":
        {"schema":{"required":["task","region"],"properties":{"task":{},"region":{}}}}}}}},"/api/v1/mint":{"post":{}}}}"#;
    let server = Scripted::answering("200 OK", "application/json", document);
    let (seen, code) = at_terminal(&format!("amply --base-url {} openapi --check", server.url()));
    assert!(seen.starts_with("the document of release 9 and this client differ in 2"), "{seen}");
    for line in [
        "POST /mint",
        "the request's `region` is not known to this client",
        "the endpoint is not in the document",
    ] {
        assert!(seen.contains(line), "{seen}");
    }
    assert_eq!(code, Some(1));
}

// --- what a program reads of a failure

#[test]
fn with_json_every_failure_is_one_object_on_standard_error() {
    let nobody = Refusing::new();
    let folder = TempFolder::new("errors");
    // A folder is no store.
    let damaged = folder.path().to_str().unwrap();
    let to_nobody = ["--json", "--timeout", "2s", "--base-url", nobody.url()];
    let on_damaged = ["--json", "--store", damaged];
    for (before, arguments, exit_code) in [
        (&to_nobody[..], &["route", TASK][..], 7),
        (&to_nobody, &["route", "--track", TASK], 7),
        (&to_nobody, &["execute", TASK, "--vault-ref", "cred_a"], 7),
        (&to_nobody, &["agent"], 7),
        (&to_nobody, &["signup", "--accept-tos", "2026-11-01"], 7),
        (&to_nobody, &["report"], 7),
        (&to_nobody, &["credentials", "list"], 7),
        (&to_nobody, &["credentials", "remove", "cred_a", "--yes"], 7),
        (&["--json"], &["route", "", "--dry-run"], 2),
        (&to_nobody, &["outcome", "id", "--success"], 7),
        (&to_nobody, &["audit", "id"], 7),
        (&to_nobody, &["providers"], 7),
        (&to_nobody, &["health"], 7),
        (&to_nobody, &["status"], 7),
        (&to_nobody, &["platform-metrics"], 7),
        (&to_nobody, &["wallet", "balance"], 7),
        (&to_nobody, &["openapi"], 7),
        (&to_nobody, &["openapi", "--check"], 7),
        (&to_nobody, &["api", "GET", "status"], 7),
        (&to_nobody, &["run", TASK, "--", "true"], 125),
        (&on_damaged, &["payments", "list"], 1),
        (&on_damaged, &["payments", "show", "id"], 1),
        (&on_damaged, &["payments", "resolve", "id", "settled"], 1),
        (&on_damaged, &["payments", "unblock"], 1),
        (&on_damaged, &["outbox", "list"], 1),
        (&on_damaged, &["outbox", "flush"], 1),
        (&on_damaged, &["outbox", "retry", "--all"], 1),
        (&on_damaged, &["outbox", "drop", "id"], 1),
        (&["--json"], &["sandbox", "--catalog", "/nowhere/at/all"], 2),
        (&["--json"], &["--quiet", "--verbose", "status"], 2),
        (&["--json"], &[], 2),
    ] {
        is_one_object(&[before, arguments].concat(), exit_code);
    }
    let commands = [
        "route",
        "execute",
        "agent",
        "signup",
        "report",
        "credentials",
        "outcome",
        "outbox",
        "audit",
        "providers",
        "health",
        "status",
        "platform-metrics",
        "openapi",
        "api",
        "wallet",
        "payments",
        "sandbox",
        "no-such-command",
    ];
    for command in commands {
        is_one_object(&[command, "--no-such-flag", "--json"], 2);
    }
    is_one_object(&["--json", "run", "--no-such-flag"], 125);
    is_one_object(&["--json", "status", "--timeout", "never"], 2);
    is_one_object(&["status", "--jq", "--json"], 2);
}

fn is_one_object(arguments: &[&str], exit_code: i32) {
    let failed = amply(arguments, &[], b"");
    assert_eq!((failed.code, &*failed.stdout), (Some(exit_code), ""), "{arguments:?}: {}", failed.stderr);
    let error = failed.error();
    assert_eq!(error.get("exit_code"), Some(&serde_json::json!(exit_code)), "{arguments:?}: {error}");
    assert!(
        error.get("message").and_then(|message| message.as_str()).is_some_and(|message| !message.is_empty()),
        "{arguments:?}: {error}"
    );
    assert_eq!(failed.stderr.trim_end().lines().count(), 1, "{arguments:?}: {}", failed.stderr);
}
