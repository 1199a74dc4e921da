//! Processes that share one outbox are killed at random instants. What was accepted is delivered, and counted once.
//!
//! `cargo xtask faults --rounds 200` plays more rounds than the tests do.

use amply_tests::killing::say;
use amply_tests::killing_reporters::while_reporting;

#[test]
fn however_often_processes_are_killed_every_accepted_report_is_delivered_and_counted_once() {
    let (rounds, counts) = while_reporting(env!("CARGO_BIN_EXE_reporting_worker"));
    say(&format!(
        "kill while reporting: {rounds} rounds, {} processes killed, {} reports accepted ({} of them delivered after all \
         processes were dead, {} delivered more than once), 0 counted twice, 0 lost",
        counts.kills, counts.accepted, counts.left, counts.repeated
    ));
    assert!(
        counts.left < counts.accepted,
        "nobody delivered anything while processes were killed: {counts:?}"
    );
    assert!(counts.accepted >= rounds * 20, "too few reports to show anything: {counts:?}");
}
