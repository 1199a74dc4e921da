//! What a person sees at a terminal of 80 columns, command by command, and that the README shows what is true.

use std::collections::HashMap;

use amply_sandbox::{Fault, OpenPayments, Sandbox, Settling};
use amply_tests::paying::KEY;
use amply_tests::transcript::{check_file, check_file_with, check_markdown, check_markdown_with};
use amply_tests::{Running, TempFolder, root};

#[test]
fn the_readme_shows_what_a_terminal_shows() {
    // As its text says: served in another terminal, the variables set from the first line.
    let mut served = Running::start(&["sandbox", "--agent-signup", "--strict"]);
    let line: HashMap<String, String> = serde_json::from_str(&served.first_line()).unwrap();
    let folder = TempFolder::new("readme");
    let variables = [
        ("AMPLY_BASE_URL", &**line.get("url").unwrap()),
        ("AMPLY_TOPUP_URL", line.get("topup_url").unwrap()),
        ("AMPLY_TOPUP_TOKEN", line.get("topup_token").unwrap()),
        ("HOME", folder.path().to_str().unwrap()),
        ("XDG_STATE_HOME", ""),
    ];
    check_markdown_with(&root().join("README.md"), &variables, folder.path());
}

#[test]
fn the_guide_for_agents_shows_what_a_terminal_shows() {
    check_markdown(&root().join("docs/agents.md"));
}

#[test]
fn the_guide_to_what_is_known_before_shows_what_a_terminal_shows() {
    check_markdown(&root().join("docs/before-you-pay.md"));
}

#[test]
fn the_guide_to_executions_shows_what_a_terminal_shows() {
    check_markdown(&root().join("docs/execute.md"));
}

#[test]
fn a_route_is_a_table_with_the_recommended_provider_marked_and_the_reasons_below() {
    check_file(&root().join("tests/transcripts/route.console"));
}

#[test]
fn an_execution_is_how_it_went_and_what_came_out_and_a_report_ends_in_its_sentence() {
    check_file(&root().join("tests/transcripts/execute.console"));
}

#[test]
fn status_providers_and_metrics_are_lists_that_fit_the_terminal() {
    check_file(&root().join("tests/transcripts/discovery.console"));
}

#[test]
fn an_error_is_one_sentence_and_a_hint() {
    check_file(&root().join("tests/transcripts/errors.console"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_route_is_paid_for_and_the_ledger_shows_it() {
    let sandbox = Sandbox::builder().strict_wallet(true).balance("0").start().await.unwrap();
    // What became of the second top-up is not known.
    sandbox.control().fault(Fault::on("/topup").nth(2).status(500));
    let folder = TempFolder::new("transcript");
    let state = folder.path().to_str().unwrap().to_owned();
    let variables = [
        ("AMPLY_BASE_URL", sandbox.url()),
        ("AMPLY_API_KEY", sandbox.user_key()),
        ("AMPLY_TOPUP_URL", sandbox.topup_url()),
        ("AMPLY_TOPUP_TOKEN", sandbox.topup_token()),
        ("XDG_STATE_HOME", &state),
    ];
    check_file_with(&root().join("tests/transcripts/payments.console"), &variables, &state);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_route_is_paid_for_by_x402_and_the_ledger_shows_it() {
    let open = OpenPayments::v1().also_without_principal();
    let sandbox = Sandbox::builder().open_payments(open).start().await.unwrap();
    // Of the second payment nobody knows what became.
    sandbox.control().settling(Settling::as_asked().says_failed("boom").nth(2));
    sandbox.control().settling(Settling::as_asked().says_failed("boom").nth(3));
    let folder = TempFolder::new("transcript-x402");
    let state = folder.path().to_str().unwrap().to_owned();
    let variables = [("AMPLY_BASE_URL", sandbox.url()), ("AMPLY_X402_KEY", KEY), ("XDG_STATE_HOME", &*state)];
    check_file_with(&root().join("tests/transcripts/x402.console"), &variables, &state);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_route_is_tracked_reported_now_and_later_and_audited() {
    let sandbox = Sandbox::builder().start().await.unwrap();
    let folder = TempFolder::new("transcript-outcomes");
    let state = folder.path().to_str().unwrap().to_owned();
    let variables = [
        ("AMPLY_BASE_URL", sandbox.url()),
        ("AMPLY_API_KEY", sandbox.user_key()),
        ("XDG_STATE_HOME", &*state),
    ];
    check_file_with(&root().join("tests/transcripts/outcomes.console"), &variables, &state);
}
