//! The examples run as a newcomer would run them.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::process::Command;

use amply_tests::bin_dir;

/// What an example prints.
fn shown_by(example: &str) -> String {
    let output = Command::new(bin_dir().join(example)).env_clear().output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn the_route_example_prints_a_ranking_and_a_refusal() {
    let shown = shown_by("route");
    assert!(
        shown.starts_with("qdrant (score 0.8901)\n1. qdrant at 0.19 USD for 1M dimensions\n2. "),
        "{shown}"
    );
    assert!(shown.contains("Top composite score for 384-dim insert-heavy vector workloads"), "{shown}");
    assert!(shown.ends_with("it must be a whole number from 1 to 65536\n"), "{shown}");
}

#[test]
fn the_pay_then_retry_example_pays_for_two_routes_and_is_refused_the_third_by_its_cap() {
    assert_eq!(
        shown_by("pay_then_retry"),
        "store 1M vectors
  topping up by 0.01 USD
  qdrant, paid 0.01 USD for it
search 250k product embeddings
  topping up by 0.01 USD
  qdrant, paid 0.01 USD for it
ingest 5M log lines
  the cap of a day (UTC) is reached: 0.02 USD
  spend_limit: 0.01 USD are needed, and 0 USD are left of the cap of a day (UTC), which is 0.02 USD
payments
  0.01 USD, settled
  0.01 USD, settled
"
    );
}

#[test]
fn the_x402_example_pays_two_routes_and_neither_a_stranger_nor_more_than_its_cap() {
    assert_eq!(
        shown_by("x402"),
        "store 1M vectors
  paying 0.01 USD by x402
  qdrant, paid 0.01 USD for it
search 250k product embeddings
  foreign_pay_to: its offer 1: it pays 0x90F79bf6EB2c4f870365E785982E1f101E93b906, not who is expected on this network; check with whoever runs the server
ingest 5M log lines
  paying 0.01 USD by x402
  qdrant, paid 0.01 USD for it
rank 10k images
  the cap of a day (UTC) is reached: 0.02 USD
  spend_limit: 0.01 USD are needed, and 0 USD are left of the cap of a day (UTC), which is 0.02 USD
payments
  0.01 USD on eip155:84532, settled
  0.01 USD on eip155:84532, settled
"
    );
}

#[test]
fn the_tracked_example_reports_three_routes_and_says_that_one_was_not() {
    assert_eq!(
        shown_by("tracked"),
        "stored at qdrant
reported a failure: 1 credit
a second report does nothing: true
qdrant timed out: 1 credit
a route was dropped without a report
3 delivered, 1 unreported, 0 dropped
"
    );
}

#[test]
fn the_worker_ticket_example_reports_from_another_process() {
    assert_eq!(
        shown_by("worker_ticket"),
        "asked: use qdrant
worker: working at qdrant
worker: report Accepted
worker: 1 delivered
the worker ended with 0
the server knows that it went well: true
"
    );
}

#[test]
fn the_credentials_and_execute_example_executes_in_both_modes_and_shows_no_secret() {
    assert_eq!(
        shown_by("credentials_and_execute"),
        r#"NewCredential { provider_id: "qdrant", label: Some("staging"), secret: redacted }
qdrant answered Some("\"with a credential\"")
Target { url: "https://worker.example/run", headers: ["authorization"] }
qdrant answered Some("\"at a target\"")
not_found: list the credentials, and use the id of one of them
2 routes, charged 0.02 USD
Amply saved your agent fleet $0.01 in the last 30 days.
"#
    );
}
