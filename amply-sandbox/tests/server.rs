//! The sandbox as a server: starting, stopping, what it remembers, and edges that no recording shows.

mod common;

use amply_sandbox::{Catalog, Control, Release, Sandbox, StartError};
use common::{Failure, send};

const ROUTE: &str = "/api/v1/route";

#[tokio::test]
async fn ids_and_keys_follow_from_the_seed() -> Result<(), Failure> {
    let mut seen = Vec::new();
    for seed in [7, 7, 8] {
        let sandbox = Sandbox::builder().seed(seed).start().await?;
        let mut ids = Vec::new();
        for _ in 0..2 {
            let answer = send(sandbox.url(), "POST", ROUTE, &[], Some(br#"{"task":"x"}"#)).await?;
            ids.push(answer.header("x-amply-request-id").map(str::to_owned));
        }
        let secrets =
            [sandbox.user_key(), sandbox.server_key(), sandbox.admin_secret(), sandbox.topup_token()]
                .map(str::to_owned);
        seen.push((ids, secrets));
    }
    assert_eq!(seen[0], seen[1]);
    assert_ne!(seen[0].0, seen[2].0);
    assert_ne!(seen[0].1, seen[2].1);
    assert_ne!(seen[0].0[0], seen[0].0[1]);
    Ok(())
}

#[tokio::test]
async fn the_control_has_every_call_with_its_answer() -> Result<(), Failure> {
    let sandbox = Sandbox::builder().start().await?;
    let key = format!("Bearer {}", sandbox.user_key());
    send(
        sandbox.url(),
        "POST",
        ROUTE,
        &[("Authorization", &key), ("X-Twice", "1"), ("X-Twice", "2")],
        Some(br#"{"task":"x"}"#),
    )
    .await?;
    send(sandbox.url(), "POST", ROUTE, &[], Some(b"\xff")).await?;
    send(sandbox.url(), "GET", "/nowhere?a=b", &[], None).await?;

    let control: Control = sandbox.control().clone();
    let calls = control.calls();
    let seen: Vec<_> = calls
        .iter()
        .map(|call| (call.method.as_str(), call.path.as_str(), call.body.as_str(), call.status))
        .collect();
    assert_eq!(
        seen,
        [
            ("POST", ROUTE, r#"{"task":"x"}"#, 200),
            ("POST", ROUTE, "\u{fffd}", 400),
            ("GET", "/nowhere?a=b", "", 404)
        ]
    );
    let values = |name: &str| -> Vec<&str> {
        calls[0].headers.iter().filter(|(n, _)| n == name).map(|(_, value)| value.as_str()).collect()
    };
    assert_eq!(values("authorization"), [key.as_str()]);
    assert_eq!(values("x-twice"), ["1", "2"]);

    control.clear();
    assert!(sandbox.control().calls().is_empty());
    Ok(())
}

#[tokio::test]
async fn a_port_that_is_taken_is_named_in_the_error() -> Result<(), Failure> {
    let first = Sandbox::builder().start().await?;
    let port: u16 = first.url().trim_end_matches("/api/v1").rsplit(':').next().ok_or("no port")?.parse()?;
    let error = Sandbox::builder().port(port).start().await.unwrap_err();
    assert!(matches!(error, StartError::PortTaken { port: taken, .. } if taken == port));
    assert_eq!(
        error.to_string(),
        format!("port {port} on 127.0.0.1 is taken; choose another, or 0 for a free one")
    );

    first.stop().await;
    let again = Sandbox::builder().port(port).start().await?;
    assert_eq!(again.url(), format!("http://127.0.0.1:{port}/api/v1"));
    Ok(())
}

#[tokio::test]
async fn stopping_closes_connections_that_are_kept_alive() -> Result<(), Failure> {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let sandbox = Sandbox::builder().start().await?;
    let address = sandbox.url().trim_start_matches("http://").trim_end_matches("/api/v1").to_owned();
    let unused = tokio::net::TcpStream::connect(&address).await?;
    let mut idle = tokio::net::TcpStream::connect(&address).await?;
    idle.write_all(b"HEAD /api/v1/providers HTTP/1.1\r\nHost: x\r\n\r\n").await?;
    let mut some = [0; 16];
    idle.read_exact(&mut some).await?;
    assert_eq!(&some[..12], b"HTTP/1.1 200");

    sandbox.stop().await;
    let mut rest = Vec::new();
    idle.read_to_end(&mut rest).await?;
    assert!(tokio::net::TcpStream::connect(&address).await.is_err());
    drop(unused);
    Ok(())
}

#[tokio::test]
async fn dropping_a_sandbox_stops_it() -> Result<(), Failure> {
    use tokio::io::AsyncReadExt;
    let sandbox = Sandbox::builder().start().await?;
    let address = sandbox.url().trim_start_matches("http://").trim_end_matches("/api/v1").to_owned();
    let mut connection = tokio::net::TcpStream::connect(&address).await?;
    drop(sandbox);
    // Returns when the server closes the connection.
    let mut rest = Vec::new();
    let _ = connection.read_to_end(&mut rest).await;
    assert!(tokio::net::TcpStream::connect(&address).await.is_err());
    Ok(())
}

#[test]
fn outside_of_a_runtime_a_sandbox_says_what_is_missing() {
    let mut start = Box::pin(Sandbox::builder().start());
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    let std::task::Poll::Ready(started) = start.as_mut().poll(&mut context) else { panic!("it waits") };
    assert!(matches!(started, Err(StartError::NoRuntime)));
}

#[test]
fn a_sandbox_and_its_control_go_between_threads() {
    fn check<T: Send + Sync + 'static>() {}
    check::<Sandbox>();
    check::<Control>();
    check::<Catalog>();
}

#[tokio::test]
async fn a_body_of_more_than_a_mebibyte_is_refused_once_the_key_is_known() -> Result<(), Failure> {
    let sandbox = Sandbox::builder().require_api_key(true).start().await?;
    let large = format!(r#"{{"task":"x","more":"{}"}}"#, "a".repeat(3 * 1024 * 1024));
    let key = format!("Bearer {}", sandbox.server_key());
    let answer =
        send(sandbox.url(), "POST", ROUTE, &[("Authorization", &key)], Some(large.as_bytes())).await?;
    assert_eq!(answer.status, 413);
    let id = answer.header("x-amply-request-id").ok_or("no request id")?;
    assert_eq!(answer.body, format!(r#"{{"detail":"Request body too large","request_id":"{id}"}}"#));
    assert_eq!(sandbox.control().calls()[0].body.len(), 1024 * 1024);

    let answer = send(sandbox.url(), "POST", ROUTE, &[], Some(large.as_bytes())).await?;
    assert_eq!(answer.status, 401);

    let exactly = format!(r#"{{"task":"x","more":"{}"}}"#, "a".repeat(1024 * 1024 - 22));
    assert_eq!(exactly.len(), 1024 * 1024);
    let answer =
        send(sandbox.url(), "POST", ROUTE, &[("Authorization", &key)], Some(exactly.as_bytes())).await?;
    assert_eq!(answer.status, 200);
    Ok(())
}

#[tokio::test]
async fn a_wrong_path_is_a_page_and_a_slash_too_many_a_redirect() -> Result<(), Failure> {
    let sandbox = Sandbox::builder().start().await?;
    for path in ["/", "/api/v1", "/api/v1/nothing", "/api/v1/api/v1/route", "/API/V1/route"] {
        let answer = send(sandbox.url(), "POST", path, &[], Some(b"{}")).await?;
        assert_eq!(
            (answer.status, answer.header("content-type")),
            (404, Some("text/html; charset=utf-8")),
            "{path}"
        );
    }
    for (path, location) in
        [("/api/v1/", "/api/v1"), ("/api/v1/status/?a=b", "/api/v1/status?a=b"), ("/x/", "/x")]
    {
        let answer = send(sandbox.url(), "GET", path, &[], None).await?;
        assert_eq!((answer.status, answer.header("location")), (308, Some(location)), "{path}");
    }
    for (method, path) in [("DELETE", ROUTE), ("PUT", "/api/v1/providers"), ("HEAD", ROUTE)] {
        let answer = send(sandbox.url(), method, path, &[], None).await?;
        assert_eq!(
            (answer.status, answer.body.as_str(), answer.header("allow")),
            (405, "", None),
            "{method} {path}"
        );
    }
    Ok(())
}

#[tokio::test]
async fn a_catalog_of_one_s_own_is_scored_and_its_paid_listings_are_counted() -> Result<(), Failure> {
    let catalog = Catalog::from_json(
        r#"{"providers":[
            {"id":"slow","p99_latency_ms":90,"cost_per_1m_dims_usd":0.5,"success_rate_last_24h":0.9,"success_rate_last_7d":0.9,"win_rate":0.1},
            {"id":"fast","p99_latency_ms":12.99999,"cost_per_1m_dims_usd":0.5,"success_rate_last_24h":0.9,"success_rate_last_7d":0.9,"win_rate":0.1,"catalog_listing":"featured"}
        ],"catalog_source":"supabase","catalog_freshness":{"z":1,"a":[1.50]},"metrics_source":"catalog","measured_at":null}"#,
    )?;
    let sandbox = Sandbox::builder().catalog(catalog).start().await?;
    let answer = send(sandbox.url(), "POST", ROUTE, &[], Some(br#"{"task":"x"}"#)).await?;
    assert!(answer.body.starts_with(r#"{"recommended":"fast","score":"#), "{}", answer.body);
    assert!(answer.body.contains(r#""expected_p99_latency_ms":12,"#), "{}", answer.body);
    assert!(answer.body.contains(
        r#""catalog_source":"supabase","catalog_backend":"none","catalog_freshness":{"z":1,"a":[1.50]},"metrics_source":"catalog","measured_at":null}"#
    ));
    assert!(
        answer.body.contains(r#"vs runner-up slow: slower p99 (90 ms vs 12.99999 ms)."#),
        "{}",
        answer.body
    );

    let metrics = send(sandbox.url(), "GET", "/api/v1/platform-metrics", &[], None).await?;
    for part in [
        r#""decisions_last_7d":1,"decisions_last_30d":1,"decisions_to_listed_providers_last_30d":1"#,
        r#""pct_decisions_to_listed_providers_last_30d":100,"#,
        r#"[{"category":"vector_db","decisions":1,"decisions_to_listed":1}]"#,
    ] {
        assert!(metrics.body.contains(part), "{}", metrics.body);
    }
    Ok(())
}

#[tokio::test]
async fn a_sandbox_is_the_newest_release_unless_told_otherwise() -> Result<(), Failure> {
    for (builder, version) in [
        (Sandbox::builder(), "3.1.13"),
        (Sandbox::builder().release(Release::V3_1_13), "3.1.13"),
        (Sandbox::builder().release(Release::V3_1_12), "3.1.12"),
    ] {
        let sandbox = builder.start().await?;
        let status = send(sandbox.url(), "GET", "/api/v1/status", &[], None).await?;
        assert!(status.body.contains(&format!(r#""version":"{version}","#)), "{}", status.body);
    }
    Ok(())
}
