//! A server that breaks off, stalls, lies or floods: what a route and a status make of it, how often each was sent,
//! and whether the route may have been charged.

use std::time::Duration;

use amply_sdk::{Client, Error, Method};
use amply_tests::{Act, Scripted, answer, attempts, built, elapsed, failure};
use serde_json::Value;
use tokio::task::JoinSet;

/// What a server does with every request, and what a call must make of it.
struct Row {
    name: &'static str,
    script: Vec<Act>,
    /// Code of the error, and words in its message.
    route: (&'static str, &'static str),
    /// The code for a status, if it is an error there too, and how often that is sent.
    status: (Option<&'static str>, usize),
}

fn row(
    name: &'static str,
    script: Vec<Act>,
    route: (&'static str, &'static str),
    status: (Option<&'static str>, usize),
) -> Row {
    Row { name, script, route, status }
}

fn send(bytes: impl Into<Vec<u8>>) -> Act {
    Act::Send(bytes.into())
}

fn whole(body: &str) -> Vec<Act> {
    vec![send(answer("200 OK\r\nContent-Type: application/json", body))]
}

fn rows() -> Vec<Row> {
    const HEAD: &str = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n";
    const AGAIN: (Option<&str>, usize) = (Some("transport"), 3);
    const ONCE: (Option<&str>, usize) = (Some("protocol"), 1);
    let sized = |length: usize, body: &str| send(format!("{HEAD}Content-Length: {length}\r\n\r\n{body}"));
    let deep = format!(r#"{{"recommended":{}1{}}}"#, "[".repeat(10_000), "]".repeat(10_000));
    let huge_header = format!("{HEAD}X-Much: {}\r\nContent-Length: 2\r\n\r\n{{}}", "x".repeat(1024 * 1024));
    let kilobytes = vec![b'x'; 64 * 1024];
    let chunk = [b"10000\r\n", &kilobytes[..], b"\r\n"].concat();
    let invalid =
        [b"HTTP/1.1 200 OK\r\nContent-Length: 19\r\n\r\n{\"recommended\":\"", &[0xff, 0xfe][..], b"\"}"];
    vec![
        row(
            "a reset before the headers",
            vec![Act::Reset],
            ("transport", "no answer from http://127.0.0.1"),
            AGAIN,
        ),
        row(
            "a reset within the headers",
            vec![send(HEAD), Act::Reset],
            ("transport", "no answer from"),
            AGAIN,
        ),
        row(
            "a reset after the headers",
            vec![sized(50, ""), Act::Reset],
            ("transport", "was cut off"),
            AGAIN,
        ),
        row("the end before the headers", vec![], ("transport", "no answer from"), AGAIN),
        row("the end within the headers", vec![send(HEAD)], ("transport", "no answer from"), AGAIN),
        row("half a body", vec![sized(50, r#"{"recommended":"qd"#)], ("transport", "was cut off"), AGAIN),
        row(
            "a length that is too large",
            vec![sized(500, r#"{"recommended":"qdrant"}"#)],
            ("transport", "was cut off"),
            AGAIN,
        ),
        row(
            "a chunked body without its end",
            vec![send(format!(
                "{HEAD}Transfer-Encoding: chunked\r\n\r\n18\r\n{{\"recommended\":\"qdrant\"}}\r\n"
            ))],
            ("transport", "was cut off"),
            AGAIN,
        ),
        row(
            "a length that is too small",
            vec![sized(18, r#"{"recommended":"qdrant"}"#)],
            ("protocol", "it is not a JSON object"),
            ONCE,
        ),
        row("an empty body", whole(""), ("protocol", "nothing came"), ONCE),
        row(
            "HTML",
            whole("<html><body>Sign in</body></html>"),
            ("protocol", "it begins `<html><body>Sign in"),
            ONCE,
        ),
        row("what is not UTF-8", vec![send(invalid.concat())], ("protocol", "it is not UTF-8"), ONCE),
        row("null", whole("null"), ("protocol", "it is not a JSON object"), ONCE),
        row("a list", whole("[1]"), ("protocol", "it is not a JSON object"), ONCE),
        row(
            "another object",
            whole(r#"{"foo":1}"#),
            ("protocol", "which provider is recommended"),
            (None, 1),
        ),
        row("deep JSON", whole(&deep), ("protocol", "deep"), ONCE),
        row(
            "an encoded body",
            vec![send(answer("200 OK\r\nContent-Encoding: gzip", "\u{1f}\u{8b}"))],
            ("protocol", "encoded (`gzip`)"),
            ONCE,
        ),
        row("a header of 1 MiB", vec![send(huge_header)], ("protocol", "does not speak HTTP"), ONCE),
        row(
            "another protocol",
            vec![send("SSH-2.0-OpenSSH_9.6\r\n")],
            ("protocol", "does not speak HTTP"),
            ONCE,
        ),
        row(
            "1 GiB that was announced",
            vec![sized(1024 * 1024 * 1024, ""), Act::Endless(kilobytes)],
            ("protocol", "larger than 8 MiB"),
            ONCE,
        ),
        row(
            "a body without an end",
            vec![send(format!("{HEAD}Transfer-Encoding: chunked\r\n\r\n")), Act::Endless(chunk)],
            ("protocol", "larger than 8 MiB"),
            ONCE,
        ),
    ]
}

fn client(server: &Scripted) -> Client {
    built(Client::builder().base_url(server.url()).api_key("hidden-key"))
}

/// What holds for every error here: one line, a name for the server, no key.
fn check(name: &str, error: &Error, code: &str, says: &str) {
    let message = error.to_string();
    assert_eq!(error.code(), code, "{name}: {message}");
    assert!(message.contains(says), "{name}: {message}");
    assert!(!message.contains('\n') && message.len() < 600, "{name}: {message}");
    assert!(!format!("{message} {error:?}").contains("hidden-key"), "{name}: {error:?}");
}

async fn route_fails_as_designed(row: Row) {
    let (name, server) = (row.name, Scripted::following(vec![row.script]));
    let error = failure(client(&server).route_task("store 1M vectors").await);
    check(name, &error, row.route.0, row.route.1);
    assert!(error.may_have_been_charged(), "{name}: {error:?}");
    assert!(!error.is_retryable(), "{name}: {error:?}");
    assert_eq!(server.seen().len(), 1, "{name}: a route that may have been charged is sent once");
    assert_eq!(attempts(&error), 1, "{name}");
    server.wait_until_all_are_closed().await;
    assert!(server.sent() < 32 * 1024 * 1024, "{name}: {} bytes could be sent", server.sent());
}

async fn status_fails_as_designed(row: Row) {
    let (name, server) = (row.name, Scripted::following(vec![row.script]));
    let (code, requests) = row.status;
    let answered = client(&server).status().await;
    assert_eq!(answered.as_ref().err().map(Error::code), code, "{name}: {answered:?}");
    if let Err(error) = answered {
        check(name, &error, error.code(), "");
        assert!(!error.may_have_been_charged(), "{name}: {error:?}");
        assert_eq!(attempts(&error), requests, "{name}");
    }
    assert_eq!(server.seen().len(), requests, "{name}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_route_without_a_usable_answer_is_sent_once_and_may_have_been_charged() {
    rows().into_iter().map(route_fails_as_designed).collect::<JoinSet<()>>().join_all().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_status_is_sent_again_when_it_was_cut_off_and_only_then() {
    rows().into_iter().map(status_fails_as_designed).collect::<JoinSet<()>>().join_all().await;
}

#[tokio::test]
async fn a_key_that_comes_twice_is_no_reason_to_fail() {
    let server =
        Scripted::following(vec![whole(r#"{"recommended":"a","x":1,"recommended":"qdrant","x":2}"#)]);
    let route = client(&server).route_task("store 1M vectors").await.unwrap();
    assert_eq!(route.recommended, "qdrant", "as every JSON parser in use has it, the last one counts");
}

#[tokio::test]
async fn a_connection_that_breaks_at_once_is_repeated_only_while_nothing_was_sent() {
    // Whether the break comes while connecting or while sending is up to the system: each is told as what it is.
    let server = Scripted::deaf(vec![Act::Reset]);
    let error = client(&server).route_task("store 1M vectors").await.unwrap_err();
    check("reset", &error, "transport", server.url());
    let attempts = attempts(&error);
    assert!(error.may_have_been_charged() || attempts == 3, "{attempts} attempts: {error}");
    assert_eq!(server.connections(), attempts);
}

/// Scripts that would go on for minutes, and what is said when a call ends before.
fn endless() -> Vec<(&'static str, Vec<Act>, &'static str)> {
    let pause = Duration::from_millis(20);
    let drip = |byte: u8| Act::Drip(vec![byte; 9999], pause);
    let head = "HTTP/1.1 200 OK\r\nX-Amply-Request-Id: r-1\r\nContent-Length: 50000\r\n\r\n";
    vec![
        ("silence", vec![Act::Hold], "no answer from"),
        ("half a head", vec![send("HTTP/1.1 200"), Act::Hold], "no answer from"),
        (
            "a slow head",
            vec![Act::Drip(b"HTTP/1.1 200 OK\r\nX: ".to_vec(), pause), drip(b'x')],
            "no answer from",
        ),
        ("a stalled body", vec![send(head), send("{"), Act::Hold], "no whole answer from"),
        ("a slow body", vec![send(head), drip(b' ')], "no whole answer from"),
    ]
}

async fn ends_at_the_limit(script: Vec<Act>, name: &'static str, says: &'static str, is_route: bool) {
    let limit = Duration::from_millis(700);
    let server = Scripted::following(vec![script]);
    let client = client(&server).with_options(|options| options.timeout(limit));
    let error = match is_route {
        true => failure(client.route_task("store 1M vectors").await),
        false => failure(client.status().await),
    };
    check(name, &error, "timeout", says);
    assert!(error.is_timeout(), "{name}");
    assert_eq!(error.may_have_been_charged(), is_route, "{name}");
    let elapsed = elapsed(&error);
    assert!(elapsed >= limit && elapsed < limit + Duration::from_secs(5), "{name}: {elapsed:?}");
    // What came before the limit is not lost.
    let came = says.contains("whole").then_some("r-1");
    assert_eq!(error.request_id(), came, "{name}");
    assert_eq!(server.seen().len(), 1, "{name}");
    server.wait_until_all_are_closed().await;
}

#[tokio::test]
async fn a_drip_ends_at_the_limit_of_the_call_and_the_connection_is_closed() {
    let mut calls = JoinSet::new();
    for (name, script, says) in endless() {
        calls.spawn(ends_at_the_limit(script.clone(), name, says, true));
        calls.spawn(ends_at_the_limit(script, name, says, false));
    }
    calls.join_all().await;
}

#[tokio::test]
async fn the_second_request_of_a_connection_is_not_repeated_behind_the_callers_back() {
    // The HTTP library sends a request again by itself when a used connection turns out to be closed: it must do so
    // only while nothing was sent.
    let fine = || vec![send(answer("200 OK", "{}")), Act::KeepOpen];
    for end in [vec![Act::Reset], vec![], vec![send("HTTP/1.1 200 OK\r\n"), Act::Reset]] {
        let server = Scripted::following(vec![fine(), end, fine()]);
        let client = client(&server);
        let post = || client.request::<Value, _>(Method::POST, "/route", Some(&Value::Null));
        post().await.unwrap();
        let error = post().await.unwrap_err();
        check("second", &error, "transport", "no answer from");
        assert!(error.may_have_been_charged());
        assert_eq!(server.seen_on(), [1, 1]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_idempotency_key_arrives_twice_however_the_closing_and_the_sending_meet() {
    // Each answer looks as if the connection stayed, and closes it: the next request meets that closing at any
    // stage.
    let server = Scripted::following(vec![vec![send(answer("200 OK", "{}"))]]);
    let client = client(&server);
    let mut failed = 0;
    for _ in 0..200 {
        let answered = client.request::<Value, _>(Method::POST, "/route", Some(&Value::Null)).await;
        failed += usize::from(answered.is_err());
    }
    let seen = server.seen();
    let key = |request: &String| {
        let head = request.to_ascii_lowercase();
        head.lines().find_map(|line| Some(line.strip_prefix("idempotency-key: ")?.to_owned())).unwrap()
    };
    let mut keys: Vec<_> = seen.iter().map(key).collect();
    keys.sort();
    keys.dedup();
    assert_eq!(keys.len(), seen.len(), "every request that arrived had a key of its own");
    assert!(seen.len() + failed >= 200 && seen.len() <= 200, "{} requests, {failed} failures", seen.len());
}
