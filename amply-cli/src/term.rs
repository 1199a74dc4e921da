//! All that is known about the terminal: is it one, how wide, may it be coloured, may notes be printed.

use std::borrow::Cow;
use std::io::{self, IsTerminal, Write};

use anstyle::Style;

use crate::args::{Color, Global};
use crate::jq;

/// The width of a page where the terminal does not tell.
const DEFAULT_WIDTH: usize = 80;

#[derive(Clone, Copy)]
pub(crate) struct Term {
    json: bool,
    errors_as_json: bool,
    quiet: bool,
    stderr_is_terminal: bool,
    /// Whether a person can read what is said and do something about it.
    has_person: bool,
    width: usize,
    stdout_is_terminal: bool,
    stdout_has_color: bool,
    stderr_has_color: bool,
    /// What is applied to JSON before it is printed.
    jq: Option<&'static str>,
}

impl Term {
    pub(crate) fn new(global: &Global) -> Self {
        let stdout_is_terminal = io::stdout().is_terminal();
        // What a program reads from standard error is an error and nothing else.
        let quiet = global.quiet || global.json;
        Self {
            json: global.json || global.jq.is_some() || !stdout_is_terminal,
            errors_as_json: global.json,
            quiet,
            stderr_is_terminal: io::stderr().is_terminal(),
            has_person: !quiet && io::stdin().is_terminal() && io::stderr().is_terminal(),
            width: terminal_size::terminal_size().map_or(DEFAULT_WIDTH, |(width, _)| width.0.into()),
            stdout_is_terminal,
            stdout_has_color: has_color(global.color, stdout_is_terminal),
            stderr_has_color: has_color(global.color, io::stderr().is_terminal()),
            // Once for a process, and for all of it.
            jq: global.jq.clone().map(|expression| &*expression.leak()),
        }
    }

    /// Whether data is printed as JSON.
    pub(crate) fn is_json(&self) -> bool {
        self.json
    }

    /// Whether an error is printed as JSON: only when JSON was asked for.
    pub(crate) fn is_error_json(&self) -> bool {
        self.errors_as_json
    }

    /// Whether there is a person at a terminal who is told things.
    pub(crate) fn has_person(&self) -> bool {
        self.has_person
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

    /// Prints JSON: as it came, or what the expression of `--jq` makes of it. On a terminal, what would act on it is written as
    /// an escape of JSON. All JSON that is data goes through here.
    pub(crate) fn print_json(&self, text: &str) -> io::Result<()> {
        match (self.jq, self.stdout_is_terminal) {
            (Some(expression), is_terminal) => jq::print(expression, text, is_terminal),
            (None, true) => self.print(&escaped(text)),
            (None, false) => self.print(text),
        }
    }

    /// The same of JSON whose point is a text in it; whether that was printed.
    pub(crate) fn print_json_with(&self, text: &str, point: &str) -> io::Result<bool> {
        match self.jq {
            Some(expression) => jq::print_with(expression, text, self.stdout_is_terminal, point),
            None => self.print_json(text).map(|()| true),
        }
    }

    /// Prints lines that stand before the data, as they are.
    pub(crate) fn print_head(&self, lines: &str) -> io::Result<()> {
        let mut out = io::stdout().lock();
        out.write_all(amply_sdk::printable(lines).as_bytes())?;
        out.flush()
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

    /// Lists names and values below a note, on standard error. A value is never broken: it may be a link.
    pub(crate) fn list(&self, pairs: &[(&str, String)]) {
        if !self.quiet {
            let width = pairs.iter().map(|(name, _)| name.len()).max().unwrap_or_default();
            let line = |(name, value): &(&str, String)| {
                format!("  {name:width$}  {}\n", crate::table::one_line(value))
            };
            write_stderr(&format!("\n{}\n", pairs.iter().map(line).collect::<String>()));
        }
    }

    /// Asks a person at the terminal, on standard error, for yes or no. It waits for a line of standard input on a thread of its
    /// own, so that Ctrl-C is heard meanwhile.
    pub(crate) async fn ask(&self, question: &str) -> io::Result<bool> {
        let mut asked = Asked { is_answered: false };
        write_stderr(&format!("{question} [y/N] "));
        let line = tokio::task::spawn_blocking(|| {
            let mut line = String::new();
            io::stdin().read_line(&mut line).map(|_| line)
        });
        let line = line.await.unwrap_or_else(|_| Err(io::Error::other("the question was broken off")))?;
        // What ends without a line break has left the cursor behind the question.
        asked.is_answered = line.ends_with('\n');
        Ok(matches!(line.trim().to_ascii_lowercase().as_str(), "y" | "yes"))
    }

    /// A line on standard error that shows how far a long work is. Nobody sees it but a person at a terminal.
    pub(crate) fn progress(&self, what: &'static str, all: u64) -> Progress {
        let progress = Progress { what, all, is_shown: self.stderr_is_terminal && !self.quiet };
        progress.show(0);
        progress
    }

    /// Says what went wrong, and what to do, on standard error.
    pub(crate) fn error(&self, text: &str, hint: Option<&str>) {
        self.say("error", anstyle::AnsiColor::Red, text);
        if let Some(hint) = hint {
            write_stderr("\n");
            self.say("hint", anstyle::AnsiColor::Green, hint);
        }
    }

    /// Shows an answer below an error, on standard error: standard output is for what was asked for.
    pub(crate) fn answer(&self, json: &str) {
        write_stderr(&format!("\nThe answer was:\n\n{}\n", escaped(json.trim_end())));
    }

    /// Prints an error as one line of JSON, on standard error.
    pub(crate) fn error_json(&self, json: &str) {
        write_stderr(&format!("{}\n", escaped(json)));
    }

    fn say(&self, word: &str, color: anstyle::AnsiColor, text: &str) {
        let word = paint(self.stderr_has_color, color.on_default().bold(), word);
        write_stderr(&format!("{word}: {}\n", amply_sdk::printable(text)));
    }
}

/// A question that stands at the end of a line.
struct Asked {
    is_answered: bool,
}

impl Drop for Asked {
    fn drop(&mut self) {
        if !self.is_answered {
            write_stderr("\n");
        }
    }
}

/// See [`Term::progress`]. The line goes when this goes.
pub(crate) struct Progress {
    what: &'static str,
    all: u64,
    is_shown: bool,
}

impl Progress {
    /// Marks of a whole bar.
    const WIDTH: u64 = 20;

    pub(crate) fn show(&self, done: u64) {
        if !self.is_shown {
            return;
        }
        // More may have come meanwhile.
        let done = done.min(self.all);
        let marks = (done * Self::WIDTH).checked_div(self.all).unwrap_or(Self::WIDTH);
        let bar: String = (0..Self::WIDTH).map(|mark| if mark < marks { '#' } else { '-' }).collect();
        write_stderr(&format!("\r{} [{bar}] {done} of {}", self.what, self.all));
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if self.is_shown {
            // Blanks, as not every terminal knows how to erase a line.
            write_stderr(&format!("\r{:79}\r", ""));
        }
    }
}

/// The same JSON without a character that acts on a terminal: escaped within texts, and left out between them, where it
/// can only be white space.
fn escaped(json: &str) -> Cow<'_, str> {
    if matches!(amply_sdk::printable(json), Cow::Borrowed(_)) {
        return Cow::Borrowed(json);
    }
    let mut safe = String::with_capacity(json.len());
    let (mut in_text, mut after_backslash) = (false, false);
    for c in json.chars() {
        let mut buffer = [0; 4];
        let acts = matches!(amply_sdk::printable(c.encode_utf8(&mut buffer)), Cow::Owned(_));
        match acts {
            false => safe.push(c),
            true if in_text => {
                let mut units = [0; 2];
                safe.extend(c.encode_utf16(&mut units).iter().map(|unit| format!("\\u{unit:04x}")));
            }
            true => {}
        }
        if c == '"' && !after_backslash {
            in_text = !in_text;
        }
        after_backslash = c == '\\' && !after_backslash;
    }
    Cow::Owned(safe)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_on_a_terminal_stays_json_and_cannot_act() {
        let json = "{\r\n\"a\\\"\u{9b}\":\r\"\u{202e}\"}";
        let shown = escaped(json);
        assert_eq!(shown, "{\n\"a\\\"\\u009b\":\"\\u202e\"}");
        let value = |json: &str| serde_json::from_str::<serde_json::Value>(json).unwrap();
        assert_eq!(value(&shown), value(json));
        assert!(matches!(escaped("{\"a\": 1}\n"), Cow::Borrowed(_)));
    }
}
