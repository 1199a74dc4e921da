//! Transcripts: what a person types after `$ `, and what they see. The file is the test.
//!
//! A command's output is followed by `[exit N]` unless N is 0. Ports and times are replaced by `[PORT]` and `[TIME]`.
//! `AMPLY_UPDATE_TRANSCRIPTS=1` writes what is seen into the file.

use std::path::Path;

use crate::at_terminal;

/// Checks every command of a file that is one transcript.
pub fn check_file(path: &Path) {
    let expected = std::fs::read_to_string(path).unwrap();
    settle(path, &expected, &replay(&expected));
}

/// Checks every ```` ```console ```` block of a Markdown file.
pub fn check_markdown(path: &Path) {
    let expected = std::fs::read_to_string(path).unwrap();
    let mut seen = String::new();
    let mut block: Option<String> = None;
    for line in expected.split_inclusive('\n') {
        match &mut block {
            Some(text) if line.trim_end() == "```" => {
                seen.push_str(&replay(text));
                seen.push_str(line);
                block = None;
            }
            Some(text) => text.push_str(line),
            None => {
                seen.push_str(line);
                if line.trim_end() == "```console" {
                    block = Some(String::new());
                }
            }
        }
    }
    assert!(block.is_none(), "{} ends within a block", path.display());
    settle(path, &expected, &seen);
}

/// The transcript as it is today.
fn replay(transcript: &str) -> String {
    let mut today = String::new();
    for line in transcript.lines() {
        if let Some(command) = line.strip_prefix("$ ") {
            if !today.is_empty() {
                today.push('\n');
            }
            let (seen, code) = at_terminal(command);
            today.push_str(&format!("{line}\n{}", redact(&seen)));
            match code {
                Some(0) => {}
                Some(code) => today.push_str(&format!("[exit {code}]\n")),
                None => today.push_str("[ended by a signal]\n"),
            }
        }
    }
    today
}

fn settle(path: &Path, expected: &str, seen: &str) {
    if std::env::var_os("AMPLY_UPDATE_TRANSCRIPTS").is_some() {
        std::fs::write(path, seen).unwrap();
    } else {
        assert_eq!(seen, expected, "{} shows what is no longer so", path.display());
    }
}

/// Replaces what differs from run to run.
fn redact(text: &str) -> String {
    let mut out = String::new();
    for line in text.split_inclusive('\n') {
        let words = line.split_inclusive(' ').map(|word| {
            let bare = word.trim_end();
            let rest = word.strip_prefix(bare).unwrap_or_default();
            match bare.len() {
                20 | 24 if bare.ends_with('Z') && bare.starts_with("20") => format!("[TIME]{rest}"),
                _ => ports(word),
            }
        });
        out.extend(words);
    }
    out
}

fn ports(word: &str) -> String {
    const HOST: &str = "127.0.0.1:";
    match word.split_once(HOST) {
        Some((before, after)) => {
            let rest = after.trim_start_matches(|c: char| c.is_ascii_digit());
            match after.len() - rest.len() {
                // Ports below 1024 were written by hand.
                0..=3 => word.to_owned(),
                _ => format!("{before}{HOST}[PORT]{rest}"),
            }
        }
        None => word.to_owned(),
    }
}
