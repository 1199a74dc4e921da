//! When a call is sent again: one row for each row of the table that `RetryPolicy` documents, then the clocks, the
//! waits and the budget.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use amply_sdk::{Client, Error, Method, RetryPolicy};
use amply_tests::{Act, Refusing, Scripted, answer, attempts, built, failure};
use serde_json::Value;
use tokio::task::JoinSet;

const MS: Duration = Duration::from_millis(1);

/// A call, as the columns of the table have it.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    Get,
    Route,
    RouteOptIn,
    Raw,
}

const KINDS: [Kind; 4] = [Kind::Get, Kind::Route, Kind::RouteOptIn, Kind::Raw];

/// How often a call is sent after each failure: a `GET`, a route, a route by `repeat_ambiguous`, a raw `POST`.
struct Row {
    name: &'static str,
    fault: Fault,
    code: &'static str,
    attempts: [usize; 4],
    charged: bool,
}

enum Fault {
    /// A server that does this with each request.
    Answers(Vec<Act>),
    /// Nobody listens.
    Refused,
    /// https where a server does this as soon as somebody connects.
    NoTls(Vec<Act>),
    /// The same, with an attempt that ends before the connecting does.
    SlowTls,
}

fn says(head: &str, body: &str) -> Fault {
    Fault::Answers(vec![Act::Send(answer(head, body)), Act::KeepOpen])
}

fn rows() -> Vec<Row> {
    const NEVER: [usize; 4] = [1; 4];
    const ALWAYS: [usize; 4] = [3; 4];
    const UNLESS_CHARGED: [usize; 4] = [3, 1, 3, 1];
    let row = |name, fault, code, attempts, charged| Row { name, fault, code, attempts, charged };
    let page = "<html></html>";
    vec![
        row("refused", Fault::Refused, "transport", ALWAYS, false),
        row("connect timeout", Fault::NoTls(vec![Act::Hold]), "transport", ALWAYS, false),
        row(
            "no TLS",
            Fault::NoTls(vec![Act::Send(b"SSH-2.0-OpenSSH\r\n".repeat(9))]),
            "transport",
            ALWAYS,
            false,
        ),
        row("TLS that is broken off", Fault::NoTls(vec![Act::Reset]), "transport", ALWAYS, false),
        row("an attempt that ends while connecting", Fault::SlowTls, "timeout", ALWAYS, false),
        row("429", says("429 Too Many Requests\r\nRetry-After: 0", ""), "rate_limited", ALWAYS, false),
        row(
            "429 with a wait in the body",
            says("429 Too Many Requests", r#"{"retry_after_sec":0}"#),
            "rate_limited",
            ALWAYS,
            false,
        ),
        row(
            "quota",
            says("429 Too Many Requests\r\nRetry-After: 0", r#"{"error":"quota_exceeded"}"#),
            "quota_exceeded",
            NEVER,
            false,
        ),
        row("402", says("402 Payment Required\r\nRetry-After: 0", "{}"), "payment_required", NEVER, false),
        row("400", says("400 Bad Request", "{}"), "rejected", NEVER, false),
        row("401", says("401 Unauthorized", "{}"), "unauthorized", NEVER, false),
        row("403", says("403 Forbidden", "{}"), "forbidden", NEVER, false),
        row("404", says("404 Not Found", page), "unsupported", NEVER, false),
        row("408", says("408 Request Timeout\r\nRetry-After: 0", ""), "rejected", UNLESS_CHARGED, true),
        row("500", says("500 Internal Server Error\r\nRetry-After: 0", "{}"), "server", UNLESS_CHARGED, true),
        row("502", says("502 Bad Gateway\r\nRetry-After: 0", page), "server", UNLESS_CHARGED, true),
        row("503", says("503 Service Unavailable\r\nRetry-After: 0", page), "server", UNLESS_CHARGED, true),
        row(
            "cut off",
            Fault::Answers(vec![Act::Send(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{".to_vec())]),
            "transport",
            UNLESS_CHARGED,
            true,
        ),
        row("no answer", Fault::Answers(vec![Act::Reset]), "transport", UNLESS_CHARGED, true),
        row("timeout of one attempt", Fault::Answers(vec![Act::Hold]), "timeout", UNLESS_CHARGED, true),
        row("no Amply answer", says("200 OK", page), "protocol", NEVER, true),
        row("a refused redirect", says("302 Found\r\nLocation: /api/v1/other", ""), "protocol", NEVER, false),
    ]
}

fn policy() -> RetryPolicy {
    RetryPolicy::default()
}

async fn fails(client: &Client, kind: Kind) -> Error {
    match kind {
        Kind::Get => failure(client.status().await),
        Kind::Route => failure(client.route_task("store 1M vectors").await),
        Kind::RouteOptIn => {
            let client = client.with_options(|options| options.retry(policy().repeat_ambiguous(true)));
            failure(client.route_task("store 1M vectors").await)
        }
        // The wish to repeat what is ambiguous is for routes.
        Kind::Raw => {
            let client = client.with_options(|options| options.retry(policy().repeat_ambiguous(true)));
            failure(client.request::<Value, _>(Method::POST, "/execute", Some(&Value::Null)).await)
        }
    }
}

/// What a call meets; kept until the call is over.
enum Other {
    Server(Scripted),
    Nobody(#[expect(dead_code, reason = "holds the port")] Refusing),
}

impl Fault {
    fn set_up(&self) -> (Client, Other) {
        let (url, other) = match self {
            Self::Refused => {
                let nobody = Refusing::new();
                (nobody.url().to_owned(), Other::Nobody(nobody))
            }
            Self::Answers(script) => {
                let server = Scripted::following(vec![script.clone()]);
                (server.url().to_owned(), Other::Server(server))
            }
            Self::NoTls(script) => {
                let server = Scripted::deaf(script.clone());
                (server.url().replace("http:", "https:"), Other::Server(server))
            }
            Self::SlowTls => {
                let server = Scripted::deaf(vec![Act::Hold]);
                (server.url().replace("http:", "https:"), Other::Server(server))
            }
        };
        let client = Client::builder().base_url(url);
        // Short only where the time runs out.
        let client = match self {
            Self::NoTls(script) if matches!(script[..], [Act::Hold]) => client.connect_timeout(300 * MS),
            Self::Answers(script) if matches!(script[..], [Act::Hold]) => client.attempt_timeout(600 * MS),
            Self::SlowTls => client.connect_timeout(60_000 * MS).attempt_timeout(300 * MS),
            _ => client,
        };
        (built(client), other)
    }
}

async fn is_sent_as_often_as_documented(
    row: Arc<Row>,
    kind: Kind,
    expected: usize,
    (client, other): (Client, Other),
) {
    let name = row.name;
    let error = fails(&client, kind).await;
    let charged = row.charged && kind != Kind::Get;
    assert_eq!(error.code(), row.code, "{name}, {kind:?}: {error}");
    assert_eq!(attempts(&error), expected, "{name}, {kind:?}: {error}");
    assert_eq!(error.may_have_been_charged(), charged, "{name}, {kind:?}: {error}");
    if let Other::Server(server) = other {
        let came = match row.fault {
            Fault::Answers(_) => server.seen().len(),
            _ => server.connections(),
        };
        assert_eq!(came, expected, "{name}, {kind:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_is_sent_again_as_the_table_of_effects_says() {
    let mut calls = JoinSet::new();
    for row in rows().into_iter().map(Arc::new) {
        for (kind, expected) in KINDS.into_iter().zip(row.attempts) {
            calls.spawn(is_sent_as_often_as_documented(row.clone(), kind, expected, row.fault.set_up()));
        }
    }
    calls.join_all().await;
}

#[tokio::test]
async fn a_route_that_was_repeated_on_wish_stays_charged_whatever_comes_last() {
    let lost = vec![Act::Reset];
    let refused = vec![Act::Send(answer("429 Too Many Requests\r\nRetry-After: 99", ""))];
    let server = Scripted::following(vec![lost, refused]);
    let error = fails(&Client::builder().base_url(server.url()).build().unwrap(), Kind::RouteOptIn).await;
    assert_eq!((error.code(), server.seen().len()), ("rate_limited", 2));
    assert!(error.may_have_been_charged(), "the first attempt may have been: {error}");
}

#[tokio::test]
async fn a_route_whose_time_runs_out_while_connecting_was_not_sent() {
    let server = Scripted::deaf(vec![Act::Hold]);
    let full = Refusing::silent();
    for url in [server.url().replace("http:", "https:"), full.url().to_owned()] {
        let client = Client::builder().base_url(&url).timeout(200 * MS).build().unwrap();
        let error = client.route_task("store 1M vectors").await.unwrap_err();
        let message = error.to_string();
        assert_eq!(error.code(), "timeout", "{message}");
        assert!(!error.may_have_been_charged() && error.is_retryable(), "{message}");
        assert!(message.starts_with(&format!("no connection to {url} within ")), "{message}");
    }
}

#[tokio::test]
async fn a_server_that_takes_no_connections_ends_the_connecting_and_not_the_call() {
    let full = Refusing::silent();
    let client = Client::builder().base_url(full.url()).connect_timeout(200 * MS).build().unwrap();
    let error = client.route_task("store 1M vectors").await.unwrap_err();
    assert_eq!((error.code(), error.meta().unwrap().attempts()), ("transport", 3), "{error}");
    assert!(!error.may_have_been_charged());
    let message = error.to_string();
    assert!(message.starts_with(&format!("cannot connect to {}: ", full.url())), "{message}");
}

async fn limited(retry_after: &str, body: &str) -> (Scripted, Result<Duration, Error>) {
    let busy = format!("429 Too Many Requests\r\n{retry_after}");
    let busy = vec![Act::Send(answer(busy.trim_end(), body)), Act::KeepOpen];
    let fine = vec![Act::Send(answer("200 OK", r#"{"recommended":"qdrant"}"#))];
    let server = Scripted::following(vec![busy, fine]);
    let client = built(Client::builder().base_url(server.url()));
    let route = client.route_task("store 1M vectors").await;
    (server, route.map(|route| route.meta().elapsed()))
}

#[tokio::test]
async fn a_rate_limit_is_waited_for() {
    let past = "Retry-After: Sun, 06 Nov 1994 08:49:37 GMT";
    for (retry_after, body, least) in [
        ("Retry-After: 1", "", 1000 * MS),
        ("Retry-After: 0", "", Duration::ZERO),
        (past, "", Duration::ZERO),
        ("", r#"{"retry_after_sec":0.25}"#, 250 * MS),
        // The schedule's own first wait.
        ("Retry-After: soon", "", 100 * MS),
        ("Retry-After: -5", "", 100 * MS),
        ("Retry-After: 1.5", "", 100 * MS),
        ("", "", 100 * MS),
    ] {
        let (server, elapsed) = limited(retry_after, body).await;
        let elapsed = elapsed.unwrap();
        assert!(elapsed >= least && elapsed < least + 5000 * MS, "{retry_after} {body}: {elapsed:?}");
        assert_eq!(server.seen().len(), 2, "{retry_after} {body}");
    }
}

#[tokio::test]
async fn a_rate_limit_that_ends_after_the_call_is_told_at_once() {
    let years = Duration::from_secs(10 * 365 * 86_400);
    let date = httpdate::fmt_http_date(SystemTime::now() + years);
    for (retry_after, body) in [
        (format!("Retry-After: {}", years.as_secs()), String::new()),
        (format!("Retry-After: {date}"), String::new()),
        (String::new(), format!(r#"{{"retry_after_sec":{}}}"#, years.as_secs())),
        (format!("Retry-After: {}", u64::MAX), String::new()),
    ] {
        let (server, elapsed) = limited(&retry_after, &body).await;
        let error = elapsed.unwrap_err();
        let Error::RateLimited { retry_after: Some(wait), .. } = &error else { panic!("{error}") };
        assert!(*wait > years - Duration::from_secs(60), "{retry_after}: {wait:?}");
        assert!(error.meta().unwrap().elapsed() < Duration::from_secs(5));
        assert!(error.is_retryable() && !error.may_have_been_charged());
        assert_eq!(server.seen().len(), 1);
    }
}

#[tokio::test]
async fn an_attempt_and_a_call_have_clocks_of_their_own() {
    let server = Scripted::start(vec![None]);
    let client = Client::builder().base_url(server.url()).attempt_timeout(400 * MS).build().unwrap();
    let error = client.status().await.unwrap_err();
    // Three attempts, and waits of at least 100 and 200 ms.
    let elapsed = error.meta().unwrap().elapsed();
    assert!(error.is_timeout() && elapsed >= 1500 * MS && elapsed < 10_000 * MS, "{elapsed:?}");
    assert_eq!(server.seen().len(), 3);

    // The wait of a second is no part of an attempt that may take less.
    let busy = answer("429 Too Many Requests\r\nRetry-After: 1", "");
    let fine = answer("200 OK", "{}");
    let server = Scripted::start(vec![Some(busy), Some(fine)]);
    let client = Client::builder().base_url(server.url()).attempt_timeout(900 * MS).build().unwrap();
    assert!(client.status().await.unwrap().meta().elapsed() >= 1000 * MS);

    // The call's clock runs through all attempts.
    let server = Scripted::start(vec![None]);
    let client = Client::builder().base_url(server.url()).timeout(250 * MS).attempt_timeout(100 * MS);
    let error = client.build().unwrap().status().await.unwrap_err();
    let elapsed = error.meta().unwrap().elapsed();
    assert!(error.is_timeout() && elapsed < 5000 * MS, "{elapsed:?}");
    assert!(server.seen().len() <= 2);
}

#[tokio::test]
async fn a_limit_beyond_the_end_of_time_is_no_limit() {
    let server = Scripted::answering("200 OK", "application/json", "{}");
    let client = Client::builder()
        .base_url(server.url())
        .timeout(Duration::MAX)
        .attempt_timeout(Duration::MAX)
        .connect_timeout(Duration::MAX);
    client.build().unwrap().status().await.unwrap();
}

#[tokio::test]
async fn a_policy_bounds_the_attempts() {
    let server = Scripted::following(vec![vec![
        Act::Send(answer("503 Service Unavailable\r\nRetry-After: 0", "")),
        Act::KeepOpen,
    ]]);
    let mut before = 0;
    for (policy, attempts) in [
        (RetryPolicy::never(), 1),
        (policy().max_attempts(0), 1),
        (policy().max_attempts(2), 2),
        (policy(), 3),
        (policy().max_attempts(6), 6),
    ] {
        let client = Client::builder().base_url(server.url()).retry(policy).build().unwrap();
        assert_eq!(client.status().await.unwrap_err().meta().unwrap().attempts(), attempts);
        assert_eq!(server.seen().len() - before, attempts as usize);
        before = server.seen().len();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_outage_of_ten_thousand_calls_is_not_made_worse() {
    const CALLS: usize = 10_000;
    const AT_ONCE: usize = 50;
    let down = vec![Act::Send(answer("503 Service Unavailable\r\nRetry-After: 0", "")), Act::KeepOpen];
    let server = Scripted::following(vec![down]);
    let client = Client::builder().base_url(server.url()).build().unwrap();
    let mut callers = JoinSet::new();
    for _ in 0..AT_ONCE {
        let client = client.clone();
        callers.spawn(async move {
            for _ in 0..CALLS / AT_ONCE {
                assert_eq!(client.status().await.unwrap_err().code(), "server");
            }
        });
    }
    callers.join_all().await;
    let sent = server.seen_on().len();
    assert!((CALLS..=CALLS + CALLS / 4).contains(&sent), "{sent} requests for {CALLS} calls");
}
