//! The examples run as a newcomer would run them.

use std::process::Command;

use amply_tests::bin_dir;

#[test]
fn the_route_example_prints_a_ranking_and_a_refusal() {
    let output = Command::new(bin_dir().join("route")).env_clear().output().unwrap();
    let shown = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(
        shown.starts_with("qdrant (score 0.8901)\n1. qdrant at 0.19 USD for 1M dimensions\n2. "),
        "{shown}"
    );
    assert!(shown.contains("Top composite score for 384-dim insert-heavy vector workloads"), "{shown}");
    assert!(shown.ends_with("it must be a whole number from 1 to 65536\n"), "{shown}");
}
