//! What goes wrong on the way: each row has its exit code, its error code, a sentence that says so, and the number
//! of requests that were sent, so that nothing is repeated that cannot help.

use amply_tests::{Scripted, amply};
use serde_json::Value;

const HTML: &str = "<!DOCTYPE html><html><body>Page not found</body></html>";
const CUT: &[u8] =
    b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 500\r\n\r\n{\"recommended\":\"qd";
const CUT_HEAD: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Ty";

/// An answer of a server, and what the command makes of it.
struct Row {
    name: &'static str,
    status: &'static str,
    content_type: &'static str,
    body: &'static str,
    exit: i32,
    code: &'static str,
    says: &'static str,
    may_have_been_charged: bool,
}

const fn row(
    name: &'static str,
    (status, content_type, body): (&'static str, &'static str, &'static str),
    (exit, code, says): (i32, &'static str, &'static str),
    may_have_been_charged: bool,
) -> Row {
    Row { name, status, content_type, body, exit, code, says, may_have_been_charged }
}

const JSON: &str = "application/json";

#[rustfmt::skip]
const ROWS: &[Row] = &[
    row("a 400 with its detail", ("400 Bad Request", JSON, r#"{"detail":"budget_usd must be a number >= 0","request_id":"r-1"}"#),
        (2, "rejected", "budget_usd must be a number >= 0"), false),
    row("a 422 with a list", ("422 Unprocessable Entity", JSON, r#"{"detail":[{"loc":["task"],"msg":"too short"}]}"#),
        (2, "rejected", "too short"), false),
    row("a 413 without a word", ("413 Payload Too Large", "text/plain", ""),
        (2, "rejected", "413 Payload Too Large, without a word"), false),
    row("a 401", ("401 Unauthorized", JSON, r#"{"detail":"Invalid API key","request_id":"r-1"}"#),
        (3, "unauthorized", "the server did not accept the call: Invalid API key"), false),
    row("a 401 without a word", ("401 Unauthorized", JSON, ""),
        (3, "unauthorized", "401 Unauthorized, without a word"), false),
    row("a 402", ("402 Payment Required", JSON, r#"{"error":"insufficient_balance","shortfall_usd":0.04,"balance_usd":"0.01","request_id":"r-1"}"#),
        (4, "payment_required", "the wallet holds 0.01 USD, 0.04 USD too little for this call"), false),
    row("a 402 that says nothing", ("402 Payment Required", "text/html", HTML),
        (4, "payment_required", "the call must be paid for"), false),
    row("a 403", ("403 Forbidden", JSON, r#"{"error":"principal_required","detail":"A user key is required"}"#),
        (5, "forbidden", "A user key is required"), false),
    row("a 403 without a word", ("403 Forbidden", JSON, ""),
        (5, "forbidden", "403 Forbidden, without a word"), false),
    row("a 404 in JSON", ("404 Not Found", JSON, r#"{"detail":"no such route"}"#),
        (1, "not_found", "no such route"), false),
    row("a 404 in HTML", ("404 Not Found", "text/html", HTML),
        (1, "unsupported", "with a page for people"), false),
    row("a 405", ("405 Method Not Allowed", "text/plain", ""),
        (1, "unsupported", "405 Method Not Allowed"), false),
    row("a used-up quota", ("429 Too Many Requests", JSON, r#"{"error":"quota_exceeded","detail":"daily quota"}"#),
        (6, "quota_exceeded", "the quota is used up: daily quota"), false),
    row("a 500 without a word", ("500 Internal Server Error", JSON, ""),
        (8, "server", "500 Internal Server Error, without a word"), true),
    row("a 502 in HTML", ("502 Bad Gateway", "text/html", HTML),
        (8, "server", "502 Bad Gateway"), true),
    row("a redirect elsewhere", ("302 Found\r\nLocation: https://evil.example/api/v1/route", "text/plain", ""),
        (9, "protocol", "redirects to `https://evil.example` (302)"), false),
    row("a page instead of an answer", ("200 OK", "text/html", HTML),
        (9, "protocol", "it is not a JSON object"), true),
    row("an empty answer", ("200 OK", JSON, ""),
        (9, "protocol", "nothing came"), true),
    row("an answer of null", ("200 OK", JSON, "null"),
        (9, "protocol", "it is not a JSON object"), true),
    row("an answer without a provider", ("200 OK", JSON, r#"{"foo":1}"#),
        (9, "protocol", "which provider is recommended"), true),
    row("an answer in another language", ("200 OK\r\nContent-Encoding: gzip", JSON, r#"{"recommended":"qdrant"}"#),
        (9, "protocol", "encoded (`gzip`)"), true),
];

fn route(server: &Scripted, more: &[&str]) -> (Option<i32>, Value) {
    let arguments = [&["route", "store 1M vectors", "--base-url", server.url(), "--json"], more].concat();
    let finished = amply(&arguments, &[("AMPLY_API_KEY", "hidden-key")], b"");
    assert_eq!(finished.stdout, "", "data goes to standard output only when there is some");
    assert!(!finished.stderr.contains("hidden-key"), "the key is not shown: {}", finished.stderr);
    (finished.code, finished.error())
}

#[test]
fn every_refusal_has_its_code_and_says_what_it_is_and_is_not_repeated() {
    for row in ROWS {
        let server = Scripted::answering(row.status, row.content_type, row.body);
        let (exit, error) = route(&server, &[]);
        let name = row.name;
        assert_eq!((exit, error["code"].as_str()), (Some(row.exit), Some(row.code)), "{name}: {error}");
        assert!(error["message"].as_str().unwrap().contains(row.says), "{name}: {error}");
        assert_eq!(error["may_have_been_charged"], row.may_have_been_charged, "{name}: {error}");
        assert_eq!(server.seen().len(), 1, "{name} is asked once");
        if row.body.contains("r-1") {
            assert_eq!(error["request_id"], "r-1", "{name}");
        }
    }
}

#[test]
fn a_page_that_is_not_found_makes_the_message_name_the_base_url() {
    let server = Scripted::answering("404 Not Found", "text/html", HTML);
    let wrong = format!("{}/api/v1/api/v1", server.url());
    let finished = amply(&["status", "--base-url", &wrong, "--json"], &[], b"");
    assert_eq!(finished.code, Some(1));
    assert!(finished.stderr.contains(&format!("check the base URL `{wrong}`")), "{}", finished.stderr);
}

#[test]
fn an_answer_that_cannot_be_read_is_not_lost() {
    let server = Scripted::answering("200 OK", JSON, r#"{"suggested":"qdrant"}"#);
    let (_, error) = route(&server, &[]);
    assert_eq!(error["body"], r#"{"suggested":"qdrant"}"#);
}

#[test]
fn a_route_that_was_cut_off_may_have_been_charged_and_is_not_asked_again() {
    for cut in [CUT, CUT_HEAD, b""] {
        let server = Scripted::start(vec![Some(cut.to_vec())]);
        let (exit, error) = route(&server, &[]);
        assert_eq!((exit, error["code"].as_str()), (Some(7), Some("transport")), "{error}");
        assert_eq!(error["may_have_been_charged"], true, "{error}");
        assert_eq!(server.seen().len(), 1);
    }
}

#[test]
fn a_status_that_was_cut_off_is_asked_again_and_shown() {
    let whole = b"HTTP/1.1 200 OK\r\nContent-Length: 11\r\nConnection: close\r\n\r\n{\"ok\":true}".to_vec();
    let server = Scripted::start(vec![Some(CUT.to_vec()), Some(Vec::new()), Some(whole)]);
    let finished = amply(&["status", "--base-url", server.url()], &[], b"");
    assert_eq!(
        (finished.code, finished.stdout.as_str()),
        (Some(0), "{\"ok\":true}\n"),
        "{}",
        finished.stderr
    );
    assert_eq!(server.seen().len(), 3);
}

#[test]
fn a_server_that_says_nothing_ends_at_the_limit() {
    let server = Scripted::start(vec![None]);
    let (exit, error) = route(&server, &["--timeout", "200ms"]);
    assert_eq!((exit, error["code"].as_str()), (Some(7), Some("timeout")), "{error}");
    assert_eq!(server.seen().len(), 1);
}

#[test]
fn a_wait_that_ends_after_the_limit_is_not_begun() {
    let limited =
        "HTTP/1.1 429 Too Many Requests\r\nRetry-After: 59\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
    let server = Scripted::start(vec![Some(limited.into())]);
    let (exit, error) = route(&server, &[]);
    assert_eq!((exit, error["code"].as_str()), (Some(6), Some("rate_limited")), "{error}");
    assert!(error["message"].as_str().unwrap().contains("wait 59 s"), "{error}");
    assert_eq!(server.seen().len(), 1);
}

#[test]
fn verbose_shows_each_attempt_and_each_wait() {
    let busy =
        "HTTP/1.1 429 Too Many Requests\r\nRetry-After: 0\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
    let body = r#"{"recommended":"qdrant"}"#;
    let fine =
        format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len());
    let server = Scripted::start(vec![Some(busy.into()), Some(fine.into())]);
    let finished =
        amply(&["route", "x", "-v", "--base-url", server.url()], &[("AMPLY_API_KEY", "hidden-key")], b"");
    assert_eq!((finished.code, finished.stdout.as_str()), (Some(0), "{\"recommended\":\"qdrant\"}\n"));
    let lines: Vec<_> = finished.stderr.lines().collect();
    assert!(lines[0].starts_with("attempt 1: POST http://127.0.0.1:"), "{lines:?}");
    assert!(lines[0].contains("answered 429 after"), "{lines:?}");
    assert_eq!(lines[1], "waiting 0 ms before attempt 2");
    assert!(lines[2].starts_with("attempt 2:") && lines[2].contains("answered 200"), "{lines:?}");
    assert!(!finished.stderr.contains("hidden-key"));
}

#[test]
fn escape_sequences_of_a_server_do_not_reach_the_terminal() {
    let server =
        Scripted::answering("400 Bad Request", JSON, "{\"detail\":\"\\u001b[2Jgone \\u202e\\u009b\"}");
    let arguments = format!("amply route x --base-url {}", server.url());
    let (seen, code) = amply_tests::at_terminal(&arguments);
    assert_eq!(code, Some(2));
    assert!(seen.contains("[2Jgone") && !seen.contains(['\u{1b}', '\u{202e}', '\u{9b}']), "{seen:?}");
}
