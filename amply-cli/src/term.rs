//! All that is known about the terminal: is it one, how wide, may it be coloured, may notes be printed.

use std::io::{self, IsTerminal, Write};

use anstyle::Style;

use crate::args::{Color, Global};

/// The width of a page where the terminal does not tell.
const DEFAULT_WIDTH: usize = 80;

pub(crate) struct Term {
    json: bool,
    quiet: bool,
    width: usize,
    stdout_is_terminal: bool,
    stdout_has_color: bool,
    stderr_has_color: bool,
}

impl Term {
    pub(crate) fn new(global: &Global) -> Self {
        let stdout_is_terminal = io::stdout().is_terminal();
        Self {
            json: global.json || !stdout_is_terminal,
            quiet: global.quiet,
            width: terminal_size::terminal_size().map_or(DEFAULT_WIDTH, |(width, _)| width.0.into()),
            stdout_is_terminal,
            stdout_has_color: has_color(global.color, stdout_is_terminal),
            stderr_has_color: has_color(global.color, io::stderr().is_terminal()),
        }
    }

    /// Whether data is printed as JSON.
    pub(crate) fn is_json(&self) -> bool {
        self.json
    }

    /// Columns to fill.
    pub(crate) fn width(&self) -> usize {
        self.width
    }

    /// Prints what was asked for, on standard output, with one line break at its end.
    pub(crate) fn print(&self, text: &str) -> io::Result<()> {
        let mut out = io::stdout().lock();
        out.write_all(text.trim_end_matches('\n').as_bytes())?;
        out.write_all(b"\n")?;
        out.flush()
    }

    /// Prints JSON as it came. On a terminal, what would act on it is written as an escape of JSON.
    pub(crate) fn print_json(&self, text: &str) -> io::Result<()> {
        if !self.stdout_is_terminal || matches!(amply_sdk::printable(text), std::borrow::Cow::Borrowed(_)) {
            return self.print(text);
        }
        let mut safe = String::with_capacity(text.len());
        for c in text.chars() {
            let mut buffer = [0; 4];
            if matches!(amply_sdk::printable(c.encode_utf8(&mut buffer)), std::borrow::Cow::Borrowed(_)) {
                safe.push(c);
            } else {
                let mut units = [0; 2];
                for unit in c.encode_utf16(&mut units) {
                    safe.push_str(&format!("\\u{unit:04x}"));
                }
            }
        }
        self.print(&safe)
    }

    /// Text for standard output, in a style where colour is on.
    pub(crate) fn styled(&self, style: Style, text: &str) -> String {
        paint(self.stdout_has_color, style, text)
    }

    /// Says something beside the data, on standard error.
    pub(crate) fn note(&self, text: &str) {
        if !self.quiet {
            self.say("note", anstyle::AnsiColor::Cyan, text);
        }
    }

    /// Warns, on standard error.
    pub(crate) fn warn(&self, text: &str) {
        if !self.quiet {
            self.say("warning", anstyle::AnsiColor::Yellow, text);
        }
    }

    /// Says what went wrong, and what to do, on standard error.
    pub(crate) fn error(&self, text: &str, hint: Option<&str>) {
        self.say("error", anstyle::AnsiColor::Red, text);
        if let Some(hint) = hint {
            write_stderr("\n");
            self.say("hint", anstyle::AnsiColor::Green, hint);
        }
    }

    fn say(&self, word: &str, color: anstyle::AnsiColor, text: &str) {
        let word = paint(self.stderr_has_color, color.on_default().bold(), word);
        write_stderr(&format!("{word}: {}\n", amply_sdk::printable(text)));
    }
}

/// Writes to standard error. Where even that is closed there is nobody left to tell.
pub(crate) fn write_stderr(text: &str) {
    let _ = io::stderr().lock().write_all(text.as_bytes());
}

fn paint(color: bool, style: Style, text: &str) -> String {
    if color { format!("{style}{text}{style:#}") } else { text.to_owned() }
}

fn has_color(choice: Color, is_terminal: bool) -> bool {
    let set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    match choice {
        Color::Always => true,
        Color::Never => false,
        Color::Auto => {
            is_terminal && !set("NO_COLOR") && std::env::var_os("TERM").is_none_or(|term| term != "dumb")
        }
    }
}
