//! Processes that share one ledger and one wallet are killed at random instants. What was credited is what the ledger says,
//! and never above the cap.
//!
//! `cargo xtask faults --rounds 200` plays more rounds than the tests do.

use amply_tests::killing::{say, while_paying, while_signing};

const WORKER: &str = env!("CARGO_BIN_EXE_paying_worker");

#[test]
fn however_often_processes_are_killed_what_was_credited_is_what_the_ledger_says() {
    let (rounds, counts) = while_paying(WORKER);
    say(&format!(
        "kill while paying: {rounds} rounds, {} processes killed, {} payments settled ({} of them found out after a kill), \
         {} given up before the payer was asked, {} USD credited, 0 paid twice, 0 lost",
        counts.kills, counts.settled, counts.found_out, counts.rejected, counts.credited
    ));
    assert!(counts.settled * 200 >= rounds * 300, "too few payments to show anything: {counts:?}");
}

#[test]
fn however_often_processes_are_killed_a_call_has_one_signature_and_the_ledger_has_it() {
    let (rounds, counts) = while_signing(WORKER);
    say(&format!(
        "kill while signing: {rounds} rounds, {} processes killed, {} authorizations settled ({} of them unknown after a \
         kill), {} given up before they were signed, {} USD taken, 0 calls paid twice, 0 not in the ledger",
        counts.kills, counts.settled, counts.found_out, counts.rejected, counts.credited
    ));
    assert!(counts.settled * 200 >= rounds * 300, "too few payments to show anything: {counts:?}");
}
