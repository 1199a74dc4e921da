//! The client against a sandbox that breaks: what the caller is told, and how often the route was really made.

use std::time::Duration;

use amply_sandbox::{Fault, Sandbox};
use amply_sdk::{Client, RetryPolicy};

/// How many routes the sandbox has answered, and so charged.
async fn decisions(client: &Client) -> Option<u64> {
    client.platform_metrics().await.ok()?.decisions_last_30d
}

#[tokio::test]
async fn a_route_whose_answer_is_lost_was_made_once_and_may_have_been_charged() {
    for (fault, code) in [
        (Fault::on("/route").after_effect().reset_before_headers(), "transport"),
        (Fault::on("/route").reset_after_headers(), "transport"),
        (Fault::on("/route").truncate(100), "transport"),
        (Fault::on("/route").wrong_length(10), "transport"),
        (Fault::on("/route").after_effect().status(503), "server"),
        (Fault::on("/route").after_effect().html(200), "protocol"),
        (Fault::on("/route").drip(1, Duration::from_secs(60)), "timeout"),
    ] {
        let sandbox = Sandbox::builder().start().await.unwrap();
        let limit = Duration::from_millis(if code == "timeout" { 200 } else { 10_000 });
        let client = Client::builder().base_url(sandbox.url()).api_key(sandbox.user_key());
        let client = client.timeout(limit).build().unwrap();
        sandbox.control().fault(fault.clone());
        let error = client.route_task("store 1M vectors").await.unwrap_err();
        assert_eq!((error.code(), error.may_have_been_charged()), (code, true), "{fault:?}: {error}");
        sandbox.control().clear_faults();
        assert_eq!(decisions(&client).await, Some(1), "{fault:?}");
    }
}

#[tokio::test]
async fn a_route_that_is_repeated_on_wish_is_made_as_often_as_its_answer_was_lost() {
    let sandbox = Sandbox::builder().start().await.unwrap();
    let client = Client::builder().base_url(sandbox.url()).api_key(sandbox.user_key());
    let client = client.retry(RetryPolicy::default().repeat_ambiguous(true)).build().unwrap();
    sandbox.control().fault(Fault::on("/route").first(1).after_effect().reset_before_headers());
    let route = client.route_task("store 1M vectors").await.unwrap();
    assert_eq!((route.recommended.as_str(), route.meta().attempts()), ("qdrant", 2));
    assert_eq!(decisions(&client).await, Some(2), "this is what the caller opted into");
}

#[tokio::test]
async fn a_rate_limited_route_is_made_once_the_wait_is_over() {
    let sandbox = Sandbox::builder().start().await.unwrap();
    let client = Client::builder().base_url(sandbox.url()).api_key(sandbox.user_key()).build().unwrap();
    sandbox.control().fault(Fault::on("/route").first(2).status(429).header("Retry-After", "0"));
    let route = client.route_task("store 1M vectors").await.unwrap();
    assert_eq!(route.meta().attempts(), 3);
    assert_eq!(decisions(&client).await, Some(1));
}

#[tokio::test]
async fn a_status_behind_a_server_that_fails_twice_is_shown() {
    let sandbox = Sandbox::builder().start().await.unwrap();
    let client = Client::builder().base_url(sandbox.url()).build().unwrap();
    for fault in [Fault::on("/status").status(503), Fault::on("/status").truncate(10)] {
        sandbox.control().clear_faults();
        sandbox.control().fault(fault.first(2));
        assert_eq!(client.status().await.unwrap().meta().attempts(), 3);
    }
}
