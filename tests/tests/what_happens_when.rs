//! `docs/what-happens-when.md`, row by row: the page is the table that drives these tests.

use std::net::TcpListener;
use std::time::Duration;

use amply_sdk::{Binding, Client, Error, Method, PrincipalPolicy, RetryPolicy};
use amply_tests::{Log, Scripted, table};
use serde_json::Value;

const PAGE: &str = "docs/what-happens-when.md";
const JSON: &str = "application/json";
const HTML: &str = "<html></html>";
const USER_KEY: &str = "amply_sk_Ab3_-xYzAb3_-xYzAb3_-xYzAb3_-xYz";

/// A server that lets it happen, always.
fn server(what_happens: &str) -> Option<Scripted> {
    let bytes = |text: &str| Scripted::start(vec![Some(text.as_bytes().to_vec())]);
    Some(match what_happens {
        "429" => Scripted::answering(
            "429 Too Many Requests\r\nRetry-After: 0",
            JSON,
            r#"{"error":"rate_limited"}"#,
        ),
        "429 with a wait that is too long" => Scripted::answering("429 Slow\r\nRetry-After: 59", JSON, "{}"),
        "429, the day's quota" => Scripted::answering("429 Enough", JSON, r#"{"error":"quota_exceeded"}"#),
        "400" => Scripted::answering("400 Bad Request", JSON, "{}"),
        "401" => Scripted::answering("401 Unauthorized", JSON, "{}"),
        "402" => Scripted::answering("402 Payment Required", JSON, r#"{"shortfall_usd":0.01}"#),
        "403" => Scripted::answering("403 Forbidden", JSON, "{}"),
        "404 in JSON" => Scripted::answering("404 Not Found", JSON, "{}"),
        "404 in HTML" => Scripted::answering("404 Not Found", "text/html", HTML),
        "405" => Scripted::answering("405 Method Not Allowed", "text/plain", ""),
        "a redirect to another origin" => {
            Scripted::answering("308 Moved\r\nLocation: http://127.0.0.1:9/api/v1/route", JSON, "")
        }
        "408" => Scripted::answering("408 Request Timeout", JSON, "{}"),
        "500" => Scripted::answering("500 Internal Server Error", JSON, ""),
        "503 in HTML" => Scripted::answering("503 Service Unavailable", "text/html", HTML),
        "the answer is cut off" => {
            bytes("HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n{\"recommended\":\"qd")
        }
        "the connection closes without an answer" => bytes(""),
        "no answer within an attempt's limit" => Scripted::start(vec![None]),
        "200 with something else than an Amply answer" => Scripted::answering("200 OK", "text/html", HTML),
        _ => return None,
    })
}

#[tokio::test]
async fn a_call_is_sent_again_as_the_page_says() {
    let rows = table(PAGE, "When a call is sent again");
    assert_eq!(rows.len(), 19);
    for row in rows {
        let [what_happens, effect, get, route, opted_in, post, code, charged] = row.as_slice() else {
            panic!("{row:?}");
        };
        // What is charged, and what only a repeatable call repeats, is what cannot have had no effect.
        assert_eq!(effect != "none", charged == "yes", "{what_happens}");
        assert_eq!(
            effect == "unknown",
            (get.as_str(), route.as_str()) == ("3 times", "once"),
            "{what_happens}"
        );
        let server = server(what_happens);
        let closed = TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap();
        let url = server.as_ref().map_or(format!("http://{closed}"), |server| server.url().to_owned());
        assert_eq!(server.is_none(), what_happens == "the connection is refused", "{what_happens}");
        // Only a server that keeps silent is waited for; for the others the limit is out of reach.
        let limit = Duration::from_millis(if what_happens.starts_with("no answer") { 50 } else { 10_000 });
        let client = Client::builder().base_url(url).attempt_timeout(limit).build().unwrap();
        let bold =
            client.with_options(|options| options.retry(RetryPolicy::default().repeat_ambiguous(true)));
        let body = Value::Null;

        let errors: [(&str, &String, Error); 4] = [
            ("GET", get, client.status().await.unwrap_err()),
            ("POST /route", route, client.route_task("x").await.unwrap_err()),
            ("repeat_ambiguous", opted_in, bold.route_task("x").await.unwrap_err()),
            (
                "other POST",
                post,
                client.request::<Value, _>(Method::POST, "/new", Some(&body)).await.unwrap_err(),
            ),
        ];
        let mut requests = 0;
        for (call, times, error) in errors {
            let attempts = error.meta().unwrap().attempts();
            let said = if attempts == 1 { "once".to_owned() } else { format!("{attempts} times") };
            assert_eq!((&said, error.code()), (times, code.as_str()), "{what_happens}, {call}: {error}");
            let may_have_been_charged = call != "GET" && charged == "yes";
            assert_eq!(
                error.may_have_been_charged(),
                may_have_been_charged,
                "{what_happens}, {call}: {error}"
            );
            requests += attempts;
        }
        if let Some(server) = server {
            assert_eq!(
                server.seen().len(),
                requests as usize,
                "{what_happens}: the server saw each attempt once"
            );
        }
    }
}

#[tokio::test]
async fn a_route_counts_for_whom_the_page_says() {
    let rows = table(PAGE, "Whose call it was");
    assert_eq!(rows.len(), 13);
    for row in rows {
        let [header, body, key, reading, ignore, warn, require] = row.as_slice() else { panic!("{row:?}") };
        let head = match header.as_str() {
            "–" => "200 OK".to_owned(),
            flag => format!("200 OK\r\nX-Amply-Principal-Bound: {flag}"),
        };
        let body = match body.as_str() {
            "–" => r#"{"recommended":"qdrant"}"#.to_owned(),
            flag => format!(r#"{{"recommended":"qdrant","integration":{{"principal_attached":{flag}}}}}"#),
        };
        for (policy, expected) in [
            (PrincipalPolicy::Ignore, ignore),
            (PrincipalPolicy::Warn, warn),
            (PrincipalPolicy::Require, require),
        ] {
            let server = Scripted::answering(&head, JSON, &body);
            let mut builder = Client::builder().base_url(server.url()).principal_policy(policy);
            match key.as_str() {
                "user" => builder = builder.api_key(USER_KEY),
                "operator" => builder = builder.api_key("srv_key"),
                _ => {}
            }
            let log = Log::default();
            let outcome = {
                let _guard = log.start();
                builder.build().unwrap().route_task("x").await
            };
            let seen = match &outcome {
                Ok(_) if log.text().contains("WARN") => "answer and warning",
                Ok(_) => "answer",
                Err(Error::PrincipalNotBound { answer: Some(_), .. }) => "error with the answer",
                Err(Error::PrincipalNotBound { answer: None, .. }) if server.seen().is_empty() => {
                    "refused, nothing sent"
                }
                Err(error) => panic!("{error}"),
            };
            assert_eq!(seen, expected, "{row:?} under {policy:?}");
            let principal = match outcome {
                Ok(route) => route.principal(),
                Err(Error::PrincipalNotBound { binding, answer: Some(_), .. }) => *binding,
                Err(_) => continue,
            };
            let mut words = match principal.binding {
                Binding::Bound => "bound".to_owned(),
                Binding::NotBound => "not bound".to_owned(),
                _ => "unknown".to_owned(),
            };
            if principal.is_contradictory {
                words.push_str(", contradictory");
            }
            assert_eq!(&words, reading, "{row:?}");
        }
    }
}
