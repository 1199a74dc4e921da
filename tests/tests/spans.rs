//! What a program that collects `tracing` sees of a call.

use amply_sandbox::{Fault, Sandbox};
use amply_sdk::Client;
use amply_tests::Log;

#[tokio::test]
async fn a_call_and_each_of_its_attempts_have_a_span_and_no_log_shows_the_key() {
    let sandbox = Sandbox::builder().start().await.unwrap();
    sandbox.control().fault(Fault::on("/route").first(1).status(429).header("Retry-After", "0"));
    let client = Client::builder().base_url(sandbox.url()).api_key(sandbox.user_key()).build().unwrap();
    let log = Log::default();
    {
        let _guard = log.start();
        client.route_task("store 1M vectors").await.unwrap();
    }
    let text = log.text();
    let call = "amply.call{http.request.method=POST url.path=\"/api/v1/route\"}";
    for (attempt, status) in [(1, 429), (2, 200)] {
        let span = format!(
            "{call}:amply.attempt{{attempt={attempt}}}: amply_sdk::exchange: attempt {attempt}: POST"
        );
        let line = text.lines().find(|line| line.contains(&span)).unwrap_or_else(|| panic!("{text}"));
        assert!(line.contains(&format!("answered {status} after")), "{line}");
    }
    assert!(text.contains("waiting 0 ms before attempt 2"), "{text}");
    assert!(!text.contains(sandbox.user_key()), "{text}");
}
