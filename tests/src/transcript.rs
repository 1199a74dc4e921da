//! Transcripts: what a person types after `$ `, and what they see. The file is the test.
//!
//! A command's output is followed by `[exit N]` unless N is 0. Ports, times, ages and ids of payments (UUIDs of version 7;
//! those of the sandbox follow from its seed) are replaced by `[PORT]`, `[TIME]`, `[AGE]` and `[PAYMENT]`, and nonces,
//! transactions and proofs, 64 hexadecimal digits, by `[HASH]`, keys by `[KEY]`, and tickets by `[TICKET]`. In a file that has `[REPORT]` that stands for
//! the ids of version 7. A command in which `[PAYMENT]`, `[REPORT]` or `[TICKET]` is typed gets the one that was shown last.
//!
//! `AMPLY_UPDATE_TRANSCRIPTS=1` writes what is seen into the file.

use std::path::Path;

use crate::terminal::{at_terminal_with, in_shell};

/// Checks every command of a file that is one transcript.
pub fn check_file(path: &Path) {
    check_file_with(path, &[], "");
}

/// The same with some variables set, and a folder that is shown as `[FOLDER]`.
pub fn check_file_with(path: &Path, variables: &[(&str, &str)], folder: &str) {
    let expected = std::fs::read_to_string(path).unwrap();
    let mut seen = replay(&expected, variables);
    if !folder.is_empty() {
        seen = seen.replace(folder, "[FOLDER]");
    }
    settle(path, &expected, &seen);
}

/// Checks every ```` ```console ```` block of a Markdown file.
pub fn check_markdown(path: &Path) {
    check_markdown_with(path, &[], Path::new("."));
}

/// The same. A block that begins ```` ```console session ```` is one session: its commands are typed into one shell, which is in
/// this folder and has these variables.
pub fn check_markdown_with(path: &Path, variables: &[(&str, &str)], folder: &Path) {
    let expected = std::fs::read_to_string(path).unwrap();
    let mut seen = String::new();
    let mut block: Option<(bool, String)> = None;
    for line in expected.split_inclusive('\n') {
        match &mut block {
            Some((is_session, text)) if line.trim_end() == "```" => {
                seen.push_str(&match is_session {
                    true => replay_session(text, variables, folder),
                    false => replay(text, &[]),
                });
                seen.push_str(line);
                block = None;
            }
            Some((_, text)) => text.push_str(line),
            None => {
                seen.push_str(line);
                block = match line.trim_end() {
                    "```console" => Some((false, String::new())),
                    "```console session" => Some((true, String::new())),
                    _ => None,
                };
            }
        }
    }
    assert!(block.is_none(), "{} ends within a block", path.display());
    settle(path, &expected, &seen);
}

/// The session as it is today.
fn replay_session(transcript: &str, variables: &[(&str, &str)], folder: &Path) -> String {
    // A character that nobody types and nothing shows stands between what the commands show.
    const END: char = '\u{1e}';
    let typed: Vec<&str> = transcript.lines().filter_map(|line| line.strip_prefix("$ ")).collect();
    let script: String =
        typed.iter().map(|command| format!("{command}\nprintf '{END}%s{END}' \"$?\"\n")).collect();
    let (seen, code) = in_shell(&script, variables, folder);
    assert_eq!(code, Some(0), "{seen}");
    let seen = seen.replace(folder.to_str().unwrap(), "/home/you");
    let parts: Vec<&str> = seen.split(END).collect();
    let shown = typed.iter().zip(parts.chunks(2)).map(|(command, part)| {
        let [shown, code] = part else { panic!("{seen}") };
        let shown = redact(shown, PAYMENT);
        let exit = if *code == "0" { String::new() } else { format!("[exit {code}]\n") };
        format!("$ {command}\n{shown}{exit}")
    });
    shown.collect::<Vec<_>>().join("\n")
}

/// The transcript as it is today.
fn replay(transcript: &str, variables: &[(&str, &str)]) -> String {
    let id = if transcript.contains(REPORT) { REPORT } else { PAYMENT };
    let marks: [(&str, Length); 2] = [(id, id_of_ours), (TICKET, ticket)];
    let mut last = [const { String::new() }; 2];
    let mut today = String::new();
    for line in transcript.lines() {
        if let Some(command) = line.strip_prefix("$ ") {
            if !today.is_empty() {
                today.push('\n');
            }
            let mut command = command.to_owned();
            for ((mark, _), last) in marks.iter().zip(&last) {
                command = command.replace(mark, last);
            }
            let (seen, code) = at_terminal_with(&command, variables);
            for ((_, length), last) in marks.iter().zip(&mut last) {
                let mut all =
                    (0..seen.len()).filter_map(|at| seen.get(at..)?.get(..length(seen.get(at..)?)?));
                if let Some(shown) = all.next_back() {
                    *last = shown.to_owned();
                }
            }
            today.push_str(&format!("{line}\n{}", redact(&seen, id)));
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

/// What stands for the id of a payment, of a report, and for a ticket.
const PAYMENT: &str = "[PAYMENT]";
const REPORT: &str = "[REPORT]";
const TICKET: &str = "[TICKET]";

/// How long something is with which a text begins.
type Length = fn(&str) -> Option<usize>;

/// Replaces what differs from run to run.
fn redact(text: &str, id: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let found = [
            ("[TIME]", time(rest)),
            (id, id_of_ours(rest)),
            (TICKET, ticket(rest)),
            ("[KEY]", key(rest)),
            ("[AGE]", age(rest)),
            ("[HASH]", hash(rest)),
            ("127.0.0.1:[PORT]", port(rest)),
        ];
        let length = match found.iter().find_map(|(mark, length)| Some((mark, (*length)?))) {
            Some((mark, length)) => {
                out.push_str(mark);
                length
            }
            None => {
                out.push(c);
                c.len_utf8()
            }
        };
        rest = rest.get(length..).unwrap();
    }
    out
}

/// How long the time is with which a text begins: RFC 3339, in UTC.
fn time(text: &str) -> Option<usize> {
    let whole = shaped(text, "20dd-dd-ddTdd:dd:dd")?;
    let rest = text.get(whole..)?;
    let fraction = rest.strip_prefix('.').map_or(0, |digits| 1 + leading_digits(digits));
    rest.get(fraction..)?.starts_with('Z').then_some(whole + fraction + 1)
}

/// The same for an age.
fn age(text: &str) -> Option<usize> {
    let digits = leading_digits(text);
    let is_age = digits > 0 && text.get(digits..)?.starts_with(" s ago");
    is_age.then_some(digits + " s".len())
}

/// The same for a ticket.
fn ticket(text: &str) -> Option<usize> {
    const BEGINS: &str = "amply-ticket-1.";
    let is_of_it = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_".contains(byte);
    let rest = text.strip_prefix(BEGINS)?.bytes().take_while(is_of_it).count();
    (rest > 40).then_some(BEGINS.len() + rest)
}

/// The same for the key of a user.
fn key(text: &str) -> Option<usize> {
    const BEGINS: &str = "amply_sk_";
    let is_of_it = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_".contains(byte);
    let rest = text.strip_prefix(BEGINS)?.bytes().take_while(is_of_it).count();
    (rest == 32).then_some(BEGINS.len() + rest)
}

/// The same for an id that the client made: of a payment, or of a report.
fn id_of_ours(text: &str) -> Option<usize> {
    shaped(text, "xxxxxxxx-xxxx-7xxx-xxxx-xxxxxxxxxxxx")
}

/// The same for what is unlike in every payment by x402, and in every proof.
fn hash(text: &str) -> Option<usize> {
    let rest = text.strip_prefix("0x").unwrap_or(text);
    let digits = rest.bytes().take_while(u8::is_ascii_hexdigit).count();
    (digits == 64).then_some(text.len() - rest.len() + digits)
}

/// The same for an address of this machine. Ports below 1024 were written by hand.
fn port(text: &str) -> Option<usize> {
    const HOST: &str = "127.0.0.1:";
    let digits = leading_digits(text.strip_prefix(HOST)?);
    (digits > 3).then_some(HOST.len() + digits)
}

/// The length of a shape if a text begins with it: `d` is a digit, `x` a hexadecimal one, all else is itself.
fn shaped(text: &str, shape: &str) -> Option<usize> {
    let mut bytes = text.bytes();
    let fits = shape.bytes().all(|expected| {
        bytes.next().is_some_and(|byte| match expected {
            b'd' => byte.is_ascii_digit(),
            b'x' => byte.is_ascii_hexdigit(),
            itself => byte == itself,
        })
    });
    fits.then_some(shape.len())
}

fn leading_digits(text: &str) -> usize {
    text.bytes().take_while(u8::is_ascii_digit).count()
}
