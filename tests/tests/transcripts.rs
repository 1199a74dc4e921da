//! What a person sees at a terminal of 80 columns, command by command, and that the README shows what is true.

use amply_tests::root;
use amply_tests::transcript::{check_file, check_markdown};

#[test]
fn the_readme_shows_what_a_terminal_shows() {
    check_markdown(&root().join("README.md"));
}

#[test]
fn a_route_is_a_table_with_the_recommended_provider_marked_and_the_reasons_below() {
    check_file(&root().join("tests/transcripts/route.console"));
}

#[test]
fn status_providers_and_metrics_are_lists_that_fit_the_terminal() {
    check_file(&root().join("tests/transcripts/discovery.console"));
}

#[test]
fn an_error_is_one_sentence_and_a_hint() {
    check_file(&root().join("tests/transcripts/errors.console"));
}
