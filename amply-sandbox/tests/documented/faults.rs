//! Faults, as a client sees them on the wire and as the sandbox counts them.

use std::{io::ErrorKind, time::Duration};

use amply_sandbox::{Fault, Sandbox};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::Instant,
};

use crate::call::{get, principal_headers, route};
use crate::common::Failure;

const REQUEST: &[u8] =
    b"POST /api/v1/route HTTP/1.1\r\nHost: x\r\nContent-Length: 12\r\n\r\n{\"task\":\"x\"}";

fn task() -> Value {
    json!({"task": "x"})
}

async fn connect(sandbox: &Sandbox) -> Result<TcpStream, Failure> {
    let address = sandbox.url().trim_start_matches("http://").trim_end_matches("/api/v1");
    Ok(TcpStream::connect(address).await?)
}

/// What comes for one route, byte by byte, and the error that it ends in, if any.
async fn raw(connection: &mut TcpStream) -> Result<(String, Option<ErrorKind>), Failure> {
    connection.write_all(REQUEST).await?;
    let mut received = Vec::new();
    let end = connection.read_to_end(&mut received).await.err().map(|error| error.kind());
    Ok((String::from_utf8(received)?, end))
}

/// How many routes the server counts, and the status of the last call it saw.
async fn counted(sandbox: &Sandbox) -> Result<(Value, u16), Failure> {
    let last = sandbox.control().calls().last().ok_or("no call")?.status;
    let (_, metrics) = get(sandbox, "/api/v1/platform-metrics").await?;
    Ok((metrics.get("decisions_last_30d").ok_or("no count")?.clone(), last))
}

fn declared_length(head: &str) -> Result<usize, Failure> {
    let length = head.split("\r\n").find_map(|line| line.strip_prefix("content-length: "));
    Ok(length.ok_or("no length")?.parse()?)
}

#[tokio::test]
async fn the_first_calls_are_refused_and_the_next_is_served() -> Result<(), Failure> {
    let sandbox = Sandbox::builder().start().await?;
    sandbox
        .control()
        .fault(Fault::on("/route").first(2).status(503).header("Retry-After", "7").code("overloaded"));
    for _ in 0..2 {
        let (answer, error) = route(&sandbox, None, &task()).await?;
        assert_eq!((answer.status, answer.header("retry-after")), (503, Some("7")));
        assert_eq!(
            (&error["detail"], &error["error"]),
            (&json!("Service Unavailable"), &json!("overloaded"))
        );
        assert_eq!(error["request_id"].as_str(), answer.header("x-amply-request-id"));
        assert_eq!(get(&sandbox, "/api/v1/status").await?.0.status, 200);
    }
    assert_eq!(counted(&sandbox).await?.0, 0);
    let (answer, _) = route(&sandbox, None, &task()).await?;
    assert_eq!((answer.status, principal_headers(&answer)[0]), (200, "0"));
    Ok(())
}

#[tokio::test]
async fn an_answer_may_be_replaced_after_the_route_was_counted() -> Result<(), Failure> {
    let sandbox = Sandbox::builder().start().await?;
    let body = json!({"detail": "balance too low", "error": "insufficient_balance", "shortfall_usd": 0.04});
    sandbox.control().fault(Fault::on("/route").nth(2).after_effect().status(402).body(&body));
    assert_eq!(route(&sandbox, None, &task()).await?.0.status, 200);
    let (answer, error) = route(&sandbox, None, &task()).await?;
    assert_eq!((answer.status, error), (402, body));
    assert_eq!(counted(&sandbox).await?, (json!(2), 402));
    assert_eq!(route(&sandbox, None, &task()).await?.0.status, 200);
    Ok(())
}

#[tokio::test]
async fn a_page_stands_for_a_proxy_and_clearing_takes_it_away() -> Result<(), Failure> {
    let sandbox = Sandbox::builder().start().await?;
    sandbox.control().fault(Fault::anywhere().html(502));
    let answer = crate::common::send(sandbox.url(), "GET", "/api/v1/status", &[], None).await?;
    assert_eq!((answer.status, answer.header("content-type")), (502, Some("text/html; charset=utf-8")));
    assert!(answer.body.starts_with("<!DOCTYPE html>"));
    sandbox.control().clear_faults();
    assert_eq!(get(&sandbox, "/api/v1/status").await?.0.status, 200);
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_delay_holds_the_answer_back() -> Result<(), Failure> {
    let sandbox = Sandbox::builder().start().await?;
    let hour = Duration::from_secs(3600);
    sandbox.control().fault(Fault::on("/route").nth(1).delay(hour));
    sandbox.control().fault(Fault::on("/route").nth(2).after_effect().delay(hour));
    for routes in 1..=2 {
        let began = Instant::now();
        assert_eq!(route(&sandbox, None, &task()).await?.0.status, 200);
        assert!(began.elapsed() >= hour);
        assert_eq!(counted(&sandbox).await?, (json!(routes), 200));
    }
    Ok(())
}

#[tokio::test]
async fn a_reset_before_headers_leaves_nothing_and_may_have_been_charged() -> Result<(), Failure> {
    let sandbox = Sandbox::builder().start().await?;
    sandbox.control().fault(Fault::on("/route").nth(1).reset_before_headers());
    sandbox.control().fault(Fault::on("/route").nth(2).after_effect().reset_before_headers());
    for expected in [(json!(0), 0), (json!(1), 200)] {
        let (received, end) = raw(&mut connect(&sandbox).await?).await?;
        assert_eq!((received.as_str(), end), ("", Some(ErrorKind::ConnectionReset)));
        assert_eq!(counted(&sandbox).await?, expected);
    }
    Ok(())
}

#[tokio::test]
async fn a_reset_after_headers_shows_the_status_and_no_body() -> Result<(), Failure> {
    let sandbox = Sandbox::builder().start().await?;
    sandbox.control().fault(Fault::on("/route").nth(1).reset_after_headers());
    sandbox.control().fault(Fault::on("/route").nth(2).before_effect().reset_after_headers());
    for (status, routes) in [("200 OK", 1), ("503 Service Unavailable", 1)] {
        let (received, end) = raw(&mut connect(&sandbox).await?).await?;
        assert!(received.starts_with(&format!("HTTP/1.1 {status}\r\n")), "{received}");
        assert!(
            received.ends_with("\r\n\r\n") && received.contains("\r\nx-amply-request-id: "),
            "{received}"
        );
        assert_eq!(end, Some(ErrorKind::ConnectionReset));
        assert_eq!(counted(&sandbox).await?.0, routes);
    }
    Ok(())
}

#[tokio::test]
async fn a_body_is_cut_where_it_was_asked_for() -> Result<(), Failure> {
    let sandbox = Sandbox::builder().start().await?;
    sandbox.control().fault(Fault::on("/route").nth(2).truncate(20));
    // On a connection that is kept alive: the call before is not touched.
    let mut connection = connect(&sandbox).await?;
    connection.write_all(REQUEST).await?;
    let mut some = [0; 12];
    connection.read_exact(&mut some).await?;
    let (received, end) = raw(&mut connection).await?;
    let (_, second) = received.split_once("HTTP/1.1 200 OK").ok_or("no second answer")?;
    let (head, body) = second.split_once("\r\n\r\n").ok_or("no body")?;
    assert_eq!((body, end), (r#"{"recommended":"qdra"#, None));
    assert!(declared_length(head)? > 1000);
    assert_eq!(counted(&sandbox).await?, (json!(2), 200));
    Ok(())
}

#[tokio::test]
async fn a_wrong_length_promises_more_than_is_sent() -> Result<(), Failure> {
    let sandbox = Sandbox::builder().start().await?;
    sandbox.control().fault(Fault::on("/route").wrong_length(5));
    let (received, end) = raw(&mut connect(&sandbox).await?).await?;
    let (head, body) = received.split_once("\r\n\r\n").ok_or("no body")?;
    assert_eq!((declared_length(head)?, end), (body.len() + 5, None));
    assert!(body.ends_with('}'));
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_dripped_answer_comes_whole_and_slowly() -> Result<(), Failure> {
    let sandbox = Sandbox::builder().start().await?;
    sandbox.control().fault(Fault::on("/route").drip(100, Duration::from_secs(60)));
    let began = Instant::now();
    let (received, end) = raw(&mut connect(&sandbox).await?).await?;
    let (head, body) = received.split_once("\r\n\r\n").ok_or("no body")?;
    assert_eq!((declared_length(head)?, end), (body.len(), None));
    serde_json::from_str::<Value>(body)?;
    let ticks = u32::try_from(received.len().div_ceil(100) - 1)?;
    assert!(began.elapsed() >= ticks * Duration::from_secs(60));
    Ok(())
}

#[tokio::test]
async fn a_client_that_goes_away_from_a_faulty_answer_does_not_stop_the_server() -> Result<(), Failure> {
    let sandbox = Sandbox::builder().start().await?;
    sandbox.control().fault(Fault::on("/route").first(1).drip(1, Duration::from_secs(3600)));
    let mut connection = connect(&sandbox).await?;
    connection.write_all(REQUEST).await?;
    let mut first = [0; 1];
    connection.read_exact(&mut first).await?;
    drop(connection);
    assert_eq!(route(&sandbox, None, &task()).await?.0.status, 200);
    Ok(())
}
