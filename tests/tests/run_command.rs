//! `amply run`: a route, a command that does the task, and the report of how it went.

use std::time::{Duration, Instant};

use amply_sandbox::{Fault, Sandbox};
use amply_tests::stage::{Stage, error_of};
use amply_tests::{Scripted, amply, at_terminal, table, write};
use serde_json::Value;

const RUN: [&str; 4] = ["run", "store 1M vectors", "-q", "--"];
/// Waits for a signal, for as long as it takes.
const FOR_EVER: &str = "while :; do sleep 0.02; done";

fn run<'a>(command: &[&'a str]) -> Vec<&'a str> {
    [&RUN, command].concat()
}

/// Sets the scene of one row of the page, and plays it: what `amply` ends with.
async fn play(what_happens: &str, stage: &Stage) -> Option<i32> {
    let shell = |script: &str| stage.amply(&run(&["sh", "-c", script])).code;
    let signalled = |signal, script: &str| {
        let mut running = stage.start(&run(&["sh", "-c", &format!("{script} echo ready; {FOR_EVER}")]));
        assert_eq!(running.first_line(), "ready\n");
        running.end_by(signal).code
    };
    use rustix::process::Signal;
    match what_happens {
        "the command ends with 0" => shell("exit 0"),
        "the command ends with 3" => shell("exit 3"),
        "the command ends with 127 by itself" => shell("no-such-command-at-all 2>&1"),
        "the command dies of SIGKILL" => shell("kill -KILL $$"),
        "the command dies of SIGTERM, which `amply` was sent" => signalled(Signal::TERM, ""),
        "the command catches SIGTERM and ends with 7" => signalled(Signal::TERM, "trap 'exit 7' TERM;"),
        "the command catches SIGINT and ends with 0" => signalled(Signal::INT, "trap 'exit 0' INT;"),
        "the command reports itself, with its ticket" => {
            let script = format!(
                "AMPLY_API_KEY={} amply outcome --ticket $AMPLY_TICKET --failure --error-code by_itself",
                stage.sandbox.user_key()
            );
            shell(&script)
        }
        "there is no such command" => stage.amply(&run(&["no-such-command-at-all"])).code,
        "the command may not be executed" => {
            let file = stage.folder.file("plain");
            write(file.as_ref(), "#!/bin/sh\n");
            stage.amply(&run(&[&file])).code
        }
        "the key is not accepted" => {
            let wrong = [("AMPLY_API_KEY", "amply_sk_00000000000000000000000000000000")];
            stage.amply_with(&run(&["true"]), &wrong, b"").code
        }
        "nobody answers for the server" => {
            stage.amply_with(&run(&["true"]), &[("AMPLY_BASE_URL", "http://127.0.0.1:1")], b"").code
        }
        "what was typed cannot be meant" => {
            stage.amply(&["run", "store 1M vectors", "--dimension", "0", "--", "true"]).code
        }
        // No row of ours: it ends with no exit code at all.
        _ => None,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn amply_ends_as_the_page_says_and_reports_what_it_says() {
    let rows = table("docs/outcomes.md", "What `amply run` reports");
    assert_eq!(rows.len(), 13);
    for row in rows {
        let [what_happens, code, reported] = row.as_slice() else { panic!("{row:?}") };
        let stage = Stage::new().await;
        let ended = play(what_happens, &stage).await;
        assert_eq!(ended.map(|code| code.to_string()).as_ref(), Some(code), "{what_happens}");
        let outcomes = stage.outcomes();
        let seen = if outcomes.is_empty() { "nothing".to_owned() } else { outcomes.join(", ") };
        assert_eq!(&seen, reported, "{what_happens}");
        assert_eq!(stage.outbox(), Vec::<Value>::new(), "{what_happens}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_report_has_the_provider_and_the_time_that_the_command_took() {
    let stage = Stage::new().await;
    let begun = Instant::now();
    assert_eq!(stage.amply(&run(&["sleep", "0.2"])).code, Some(0));
    let most = begun.elapsed();
    let reported = stage.reported();
    let took = Duration::from_secs_f64(reported[0].actual_latency_ms.unwrap() / 1000.0);
    assert!(Duration::from_millis(200) <= took && took <= most, "{took:?} of {most:?}");
    assert_eq!((reported.len(), reported[0].provider_id.as_str()), (1, "qdrant"));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_gets_the_route_and_nothing_that_opens_an_account_or_a_wallet() {
    let stage = Stage::new().await;
    let secret = [
        ("AMPLY_TOPUP_URL", "http://127.0.0.1:9/topup"),
        ("AMPLY_TOPUP_TOKEN", "hidden-1"),
        ("AMPLY_X402_KEY", "hidden-2"),
        ("AMPLY_ADMIN_SECRET", "hidden-3"),
        ("AMPLY_MAX_DAILY_USD", "5"),
        ("AMPLY_OF_A_LATER_VERSION", "hidden-4"),
        ("AMPLY_TICKET", "of an outer run"),
    ];
    let harmless = [("AMPLY_TIMEOUT", "20s"), ("AMPLY_CA_BUNDLE", ""), ("OF_THE_USER", "kept")];
    let finished = stage.amply_with(&run(&["env"]), &[&secret[..], &harmless].concat(), b"");
    assert_eq!(finished.code, Some(0), "{finished:?}");
    let variable = |line: &str| line.split_once('=').map(|(name, value)| (name.to_owned(), value.to_owned()));
    let mut seen: Vec<_> = finished.stdout.lines().filter_map(variable).collect();
    assert!(seen.contains(&("OF_THE_USER".to_owned(), "kept".to_owned())), "{seen:?}");
    seen.retain(|(name, _)| name.starts_with("AMPLY_"));
    seen.sort();
    let names: Vec<_> = seen.iter().map(|(name, _)| name.trim_start_matches("AMPLY_")).collect();
    assert_eq!(
        names,
        ["BASE_URL", "CA_BUNDLE", "PROVIDER", "ROUTE_FILE", "ROUTE_ID", "STORE", "TICKET", "TIMEOUT"]
    );
    let value = |name: &str| seen.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str());
    let reported = stage.reported();
    assert_eq!(value("AMPLY_PROVIDER"), Some("qdrant"));
    assert_eq!(value("AMPLY_ROUTE_ID"), Some(reported[0].route_id.as_str()));
    assert!(value("AMPLY_TICKET").unwrap().starts_with("amply-ticket-1."));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_answer_is_in_a_file_for_its_owner_alone_and_is_gone_afterwards() {
    let body = "{\"recommended\": \"qdrant\",\n \"request_id\":\"r-1\", \"new\":1.0}";
    let server = Scripted::answering("200 OK", "application/json", body);
    let stage = Stage::new().await;
    let script = "stat -c %a $AMPLY_ROUTE_FILE; echo $AMPLY_ROUTE_FILE; cd /; cat $AMPLY_ROUTE_FILE; exit 4";
    let folder = stage.folder.path().to_str().unwrap();
    let variables = [("AMPLY_BASE_URL", server.url()), ("TMPDIR", folder)];
    let finished = stage.amply_with(&run(&["sh", "-c", script]), &variables, b"");
    let mut lines = finished.stdout.splitn(3, '\n');
    let (mode, path) = (lines.next().unwrap(), lines.next().unwrap());
    assert_eq!((mode, lines.next().unwrap(), finished.code), ("600", body, Some(4)));
    assert!(path.starts_with(folder) && !std::path::Path::new(path).exists(), "{path}");
    // Without a place for it the command does not run.
    let nowhere = [("TMPDIR", "/no/such/folder")];
    let refused = stage.amply_with(&["run", "x", "--json", "--", "echo", "ran"], &nowhere, b"");
    let (code, kind, message) = error_of(&refused);
    assert_eq!((code, kind.as_str(), refused.stdout.as_str()), (Some(125), "local", ""));
    assert!(message.contains("the answer cannot be handed to the command: `/no/such/folder/"), "{message}");
    assert!(message.contains("(route "), "{message}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_streams_are_the_commands_and_what_stands_after_the_dashes_is_too() {
    let stage = Stage::new().await;
    let finished = stage.amply_with(&run(&["sh", "-c", "cat; echo no >&2"]), &[], b"in\n\tand out");
    assert_eq!((finished.stdout.as_str(), finished.stderr.as_str()), ("in\n\tand out", "no\n"));
    let finished = stage.amply(&run(&["echo", "--json", "--color=never", "-h", "--", "run"]));
    assert_eq!(finished.stdout, "--json --color=never -h -- run\n");
    // Of what is wrong with a command of this name nothing is printed as JSON, either.
    let finished = stage.amply(&["run", "x", "--", "no-such-command", "--json"]);
    assert_eq!(finished.stderr, "error: `no-such-command` is no command: there is none of this name\n");
    let not_utf8 = "amply -q --sandbox run x -- printf \"$(printf 'a\\377b')\" | od -An -tx1";
    assert_eq!(at_terminal(not_utf8).0.trim(), "61 ff 62");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_that_cannot_be_run_costs_nothing() {
    let stage = Stage::new().await;
    let folder = stage.folder.path().to_str().unwrap();
    for (command, code, says) in [
        ("no-such-command", 127, "is no command"),
        ("/no/such/command", 127, "is no command"),
        ("", 127, "is no command"),
        (folder, 126, "cannot be run"),
    ] {
        let finished = stage.amply(&["run", "x", "--json", "--", command]);
        let (ended, kind, message) = error_of(&finished);
        assert_eq!((ended, kind.as_str()), (Some(code), "command"), "{command}");
        assert!(message.contains(says), "{command}: {message}");
    }
    assert!(stage.sandbox.control().calls().is_empty() && !stage.has_store());
    // What only the system finds out is found out after the route.
    let file = stage.folder.file("no-program");
    write(file.as_ref(), "neither a script nor a program");
    let mode = std::process::Command::new("chmod").args(["755", &file]).status().unwrap();
    assert!(mode.success());
    assert_eq!(stage.amply(&run(&[&file])).code, Some(126));
    assert_eq!(stage.outcomes(), [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_fails_before_the_command_ends_in_125_whatever_it_is() {
    let stage = Stage::new().await;
    for arguments in [
        &["run", "x", "--json"][..],
        &["run", "--json", "--", "true"],
        &["run", "x", "--bogus", "--json", "--", "true"],
        &["--bogus", "--json", "run", "x", "--", "true"],
        &["run", "-", "--json", "--", "cat"],
        &["run", "x", "--api-key-stdin", "--json", "--", "cat"],
        &["run", "x", "--track", "--json", "--", "true"],
        &["run", "x", "--pay", "--json", "--", "true"],
        &["--sandbox", "--store", "f", "run", "x", "--json", "--", "true"],
    ] {
        let (code, kind, message) = error_of(&stage.amply(arguments));
        assert_eq!((code, kind.as_str()), (Some(125), "usage"), "{arguments:?}: {message}");
    }
    let (_, _, message) = error_of(&stage.amply(&["run", "-", "--json", "--", "cat"]));
    assert_eq!(message, "the task `-` cannot be used with `amply run`: its command has standard input");
    assert!(stage.sandbox.control().calls().is_empty());
    assert_eq!(stage.amply(&["run", "--help"]).code, Some(0));
    // A server's refusal, too; its own code stays in the JSON.
    stage.sandbox.control().fault(Fault::on("/route").status(429).code("quota_exceeded"));
    let (code, kind, _) = error_of(&stage.amply(&["run", "x", "--json", "--", "true"]));
    assert_eq!((code, kind.as_str()), (Some(125), "quota_exceeded"));
}

#[tokio::test(flavor = "multi_thread")]
async fn each_signal_that_asks_for_an_end_is_passed_on() {
    use rustix::process::Signal;
    let stage = Stage::new().await;
    for (signal, name) in
        [(Signal::HUP, "HUP"), (Signal::INT, "INT"), (Signal::QUIT, "QUIT"), (Signal::TERM, "TERM")]
    {
        let script = format!("trap 'echo {name}; exit 9' {name}; echo ready; {FOR_EVER}");
        let mut running = stage.start(&run(&["sh", "-c", &script]));
        assert_eq!(running.first_line(), "ready\n");
        let finished = running.end_by(signal);
        assert_eq!((finished.stdout.trim(), finished.code), (name, Some(9)), "{finished:?}");
    }
    assert_eq!(stage.outcomes(), [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn ctrl_c_at_a_terminal_reaches_the_command_once() {
    use rustix::process::Signal;
    let stage = Stage::new().await;
    let script = format!(
        "n=0; trap 'n=$((n+1)); echo got $n' INT; trap 'echo $n in all; exit 5' TERM; echo ready; {FOR_EVER}"
    );
    let terminal = stage.at_terminal(&run(&["sh", "-c", &script]));
    terminal.wait_for("ready");
    terminal.type_in(b"\x03");
    terminal.wait_for("got 1");
    // Signals are passed on in their order: had there been a second one it would be there before this.
    terminal.send(Signal::TERM);
    let (seen, code) = terminal.finish();
    assert!(seen.contains("1 in all") && !seen.contains("got 2"), "{seen}");
    assert_eq!((code, stage.outcomes()), (Some(5), vec![]));

    let terminal = stage.at_terminal(&run(&["sh", "-c", &format!("echo ready; {FOR_EVER}")]));
    terminal.wait_for("ready");
    terminal.type_in(b"\x03");
    assert_eq!(terminal.finish().1, Some(130));
    assert_eq!(stage.outcomes(), [""; 0]);
}

#[test]
fn what_was_ignored_at_the_start_stays_ignored() {
    for signal in ["HUP", "INT"] {
        let line = format!(
            "trap '' {signal}; amply --sandbox -q run x -- sh -c 'kill -{signal} $$; echo still here'"
        );
        assert_eq!(at_terminal(&line), ("still here\n".to_owned(), Some(0)));
    }
}

#[test]
fn a_reader_that_has_seen_enough_ends_the_command_and_nothing_is_said() {
    let line = "{ amply --sandbox -q run x -- yes; echo \"ended with $?\" >&2; } | head -n 1";
    assert_eq!(at_terminal(line), ("y\nended with 141\n".to_owned(), Some(0)));
}

#[test]
fn the_embedded_sandbox_runs_commands_too() {
    let finished = amply(
        &["--sandbox", "run", "x", "--", "sh", "-c", "echo $AMPLY_PROVIDER; exit 2"],
        &[("AMPLY_STORE", "/no/such/folder/store.db")],
        b"",
    );
    assert_eq!((finished.stdout.as_str(), finished.code), ("qdrant\n", Some(2)));
    assert_eq!(finished.stderr, "note: this is the embedded sandbox: a local server with sample data\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_takes_no_reports_holds_nobody_up_and_the_outbox_keeps_them() {
    let stage = Stage::new().await;
    stage.sandbox.control().fault(Fault::on("/outcome").delay(Duration::from_secs(300)).always());
    let begun = Instant::now();
    let finished = stage.amply(&["run", "store 1M vectors", "--", "sh", "-c", "exit 3"]);
    assert_eq!(finished.code, Some(3), "{finished:?}");
    assert!(begun.elapsed() < Duration::from_secs(60), "{:?}", begun.elapsed());
    assert!(
        finished.stderr.ends_with(
            "note: how the command went is kept in the outbox; `amply outbox flush` delivers it\n"
        ),
        "{finished:?}"
    );
    let [report] = stage.outbox().try_into().unwrap();
    assert_eq!((&report["is_dead"], &report["outcome"]["error_code"]), (&false.into(), &"exit_3".into()));
    // The next one delivers what was left behind.
    stage.sandbox.control().clear_faults();
    assert_eq!(stage.amply(&run(&["true"])).code, Some(0));
    let mut outcomes = stage.outcomes();
    outcomes.sort();
    assert_eq!((outcomes, stage.outbox().len()), (vec!["exit_3".to_owned(), "success".into()], 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_store_the_report_is_made_at_once_or_lost_with_a_warning() {
    let stage = Stage::new().await;
    write(stage.folder.path().join("state").as_ref(), "a file where the folder should be");
    let arguments = ["run", "store 1M vectors", "--", "true"];
    let finished = stage.amply(&arguments);
    assert_eq!((finished.code, stage.outcomes()), (Some(0), vec!["success".to_owned()]));
    let warning = "warning: reports are made at once and not kept: the folder ";
    assert!(finished.stderr.starts_with(warning), "{finished:?}");
    assert!(!finished.stderr.contains("is not reported"), "{finished:?}");
    stage.sandbox.control().fault(Fault::on("/outcome").status(401).always());
    let finished = stage.amply(&arguments);
    assert!(finished.stderr.contains("\nwarning: how the command went is not reported: "), "{finished:?}");
    assert_eq!((finished.code, stage.outcomes().len()), (Some(0), 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_route_without_an_id_is_run_and_cannot_be_reported() {
    let server = Scripted::answering("200 OK", "application/json", r#"{"recommended":"qdrant"}"#);
    let stage = Stage::new().await;
    let script = "echo $AMPLY_PROVIDER ${AMPLY_TICKET-no ticket} ${AMPLY_ROUTE_ID-no id}; exit 6";
    let arguments = ["run", "x", "--", "sh", "-c", script];
    let finished = stage.amply_with(&arguments, &[("AMPLY_BASE_URL", server.url())], b"");
    assert_eq!((finished.stdout.as_str(), finished.code), ("qdrant no ticket no id\n", Some(6)));
    assert!(finished.stderr.contains("warning: there is no ticket: "), "{finished:?}");
    assert_eq!(server.seen().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_route_that_must_be_paid_for_is_paid_run_and_reported() {
    let stage = Stage::of(Sandbox::builder().strict_wallet(true).balance("0")).await;
    let service =
        [("AMPLY_TOPUP_URL", stage.sandbox.topup_url()), ("AMPLY_TOPUP_TOKEN", stage.sandbox.topup_token())];
    let arguments = [
        "run",
        "x",
        "--pay",
        "--max-daily-usd",
        "1",
        "--",
        "sh",
        "-c",
        "echo ${AMPLY_TOPUP_TOKEN-none} ${AMPLY_TOPUP_URL-none}",
    ];
    let finished = stage.amply_with(&arguments, &service, b"");
    assert_eq!((finished.stdout.as_str(), finished.code), ("none none\n", Some(0)), "{finished:?}");
    assert_eq!(stage.sandbox.control().credits().len(), 1);
    assert_eq!((stage.outcomes(), stage.outbox().len()), (vec!["success".to_owned()], 0));
    // Nobody pays: the command does not run.
    let (code, kind, _) = error_of(&stage.amply(&["run", "x", "--json", "--", "echo", "ran"]));
    assert_eq!((code, kind.as_str()), (Some(125), "payment_required"));
}
