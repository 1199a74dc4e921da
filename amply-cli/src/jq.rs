//! `--jq`: an expression in the language of jq, applied to the JSON that a command prints. It sees that JSON and nothing else:
//! no environment, no files, no standard input, and it ends no process.

use std::fmt::{self, Write as _};
use std::io::{self, Write as _};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::thread;

use jaq_core::load::{Arena, Errors, File, Loader, parse};
use jaq_core::{Compiler, Ctx, Filter, Vars, data, load};
use jaq_json::{Num, Val, read};
use textwrap::core::display_width;
use zeroize::Zeroizing;

use crate::exit::Failed;
use crate::interrupt::on_ctrl_c;

/// More bytes than any expression that is typed.
const MOST: usize = 16 * 1024;
/// Expressions and values lie within each other, and are walked by functions that call themselves.
const STACK: usize = 64 * 1024 * 1024;
/// Characters of a value that an error repeats, and of a line that is shown.
const SHOWN: usize = 200;
/// The name of the thread that applies an expression.
const THREAD: &str = "jq";

/// Definitions that reach out of the JSON, or write on standard error.
const LEFT_OUT: [&str; 8] =
    ["debug", "debug_empty", "env", "halt", "halt_error", "stderr", "stderr_empty", "tobytes"];

/// What people expect of jq and the library has not.
const ADDED: &str = r#"
def cell(f): if . == null then "" elif isstring then f elif . < [] then tostring
  else error("\(type) cannot be a cell of a row") end;
def @csv: [.[] | cell("\"" + (. / "\"" | join("\"\"")) + "\"")] | join(",");
def @tsv: [.[] | cell(. / "\\" | join("\\\\") | . / "\t" | join("\\t") | . / "\n" | join("\\n") | . / "\r" | join("\\r"))]
  | join("\t");
def toarray: if isarray then . else [.] end;
"#;

type Data = data::JustLut<Val>;

/// Why an expression cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Wrong {
    /// What was expected, and what was found.
    pub(crate) why: String,
    pub(crate) at: Option<At>,
}

/// A place in an expression.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub(crate) struct At {
    /// Bytes before it.
    pub(crate) byte: usize,
    /// Counted from 1, columns in characters.
    pub(crate) line: usize,
    pub(crate) column: usize,
    /// The line, and below it a mark.
    #[serde(skip)]
    pub(crate) shown: String,
}

/// Checks an expression before anything is sent.
pub(crate) fn check(expression: &str) -> Result<(), Failed> {
    if expression.len() > MOST {
        let length = expression.len();
        return Err(Failed::Usage(format!(
            "the `--jq` expression is {length} bytes long, at most {MOST} are taken"
        )));
    }
    let expression = expression.to_owned();
    let checking = thread::Builder::new().name(THREAD.to_owned()).stack_size(STACK);
    let checked = checking.spawn(move || compile(&expression).map(drop)).map_err(cannot_start)?;
    match checked.join() {
        Ok(Ok(())) => Ok(()),
        Ok(Err(wrong)) => Err(Failed::Expression(wrong)),
        Err(_) => Err(Failed::Usage("the `--jq` expression cannot be read".to_owned())),
    }
}

/// Why JSON was not printed though standard output would take it. It travels in an [`io::Error`], so that whoever prints need
/// not know whether an expression is applied.
#[derive(Debug)]
pub(crate) enum NotPrinted {
    /// The expression does not fit the answer, which is here, whole.
    Wrong { why: String, answer: String },
    /// Ctrl-C.
    Interrupted,
}

impl fmt::Display for NotPrinted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Wrong { why, .. } => f.write_str(why),
            Self::Interrupted => f.write_str("interrupted"),
        }
    }
}

impl std::error::Error for NotPrinted {}

impl From<NotPrinted> for io::Error {
    fn from(why: NotPrinted) -> Self {
        Self::other(why)
    }
}

/// What is heard while an expression is applied.
enum Heard {
    Listening,
    Interrupted,
    Ended(Result<(), Ended>),
}

/// Why it came to no good end.
enum Ended {
    Error(String),
    Output(io::Error),
}

/// Applies an expression to JSON and prints each value on a line of its own, when it comes: a text as it is, all else as JSON.
/// Ctrl-C ends it, however long it takes.
pub(crate) fn print(expression: &'static str, json: &str, is_terminal: bool) -> io::Result<()> {
    apply_and_print(expression, json, is_terminal, |_| {})
}

/// The same; whether this text was in a line of it.
pub(crate) fn print_with(
    expression: &'static str,
    json: &str,
    is_terminal: bool,
    point: &str,
) -> io::Result<bool> {
    let (is_there, point) = (Arc::<AtomicBool>::default(), Zeroizing::new(point.to_owned()));
    let look = {
        let is_there = is_there.clone();
        move |line: &str| {
            is_there.fetch_or(line.contains(point.as_str()), Ordering::Relaxed);
        }
    };
    apply_and_print(expression, json, is_terminal, look)?;
    Ok(is_there.load(Ordering::Relaxed))
}

fn apply_and_print(
    expression: &'static str,
    json: &str,
    is_terminal: bool,
    printed: impl Fn(&str) + Send + 'static,
) -> io::Result<()> {
    let (tell, heard) = mpsc::channel();
    let (listens, is_pressed) = (tell.clone(), tell.clone());
    // Whoever is told may be done by then.
    on_ctrl_c(
        move || drop(listens.send(Heard::Listening)),
        move || drop(is_pressed.send(Heard::Interrupted)),
    )?;
    // Pressed from now on, it is heard.
    let mut news = heard.recv().ok();
    let is_over = Arc::<AtomicBool>::default();
    if !matches!(news, Some(Heard::Interrupted)) {
        let (input, is_over) = (json.to_owned(), is_over.clone());
        let work = move || {
            let show = |line: &str| match is_over.load(Ordering::Relaxed) {
                true => Err(io::ErrorKind::Interrupted.into()),
                false => write_line(line, is_terminal).map(|()| printed(line)),
            };
            let ended = catch_unwind(AssertUnwindSafe(|| apply(expression, &input, show)));
            let ended = ended.unwrap_or_else(|_| Err(Ended::Error("it broke off".to_owned())));
            let _ = tell.send(Heard::Ended(ended));
        };
        keep_quiet();
        thread::Builder::new().name(THREAD.to_owned()).stack_size(STACK).spawn(work)?;
        news = heard.recv().ok();
    }
    match news {
        Some(Heard::Ended(Ok(()))) => Ok(()),
        Some(Heard::Ended(Err(Ended::Output(error)))) => Err(error),
        Some(Heard::Ended(Err(Ended::Error(why)))) => {
            Err(NotPrinted::Wrong { why, answer: json.to_owned() }.into())
        }
        _ => {
            is_over.store(true, Ordering::Relaxed);
            Err(NotPrinted::Interrupted.into())
        }
    }
}

fn cannot_start(error: io::Error) -> Failed {
    Failed::Local(format!("`--jq` cannot start: {error}"))
}

/// What a thread of ours broke off with is told by the error, once.
fn keep_quiet() {
    let before = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |broken| {
        if thread::current().name() != Some(THREAD) {
            before(broken);
        }
    }));
}

fn write_line(line: &str, is_terminal: bool) -> io::Result<()> {
    let line = if is_terminal { amply_sdk::printable(line) } else { line.into() };
    let mut out = io::stdout().lock();
    out.write_all(line.as_bytes())?;
    out.write_all(b"\n")?;
    out.flush()
}

fn apply(expression: &str, json: &str, show: impl Fn(&str) -> io::Result<()>) -> Result<(), Ended> {
    let filter = compile(expression).map_err(|wrong| Ended::Error(wrong.why))?;
    let input = read_json(json).map_err(Ended::Error)?;
    let context = Ctx::<Data>::new(&filter.lut, Vars::new([]));
    for value in filter.id.run((context, input)) {
        let value = value.map_err(|thrown| {
            Ended::Error(
                thrown.get_err().map_or_else(|_| "it ends".to_owned(), |error| cut(&error.to_string())),
            )
        })?;
        let line = match &value {
            Val::TStr(text) => String::from_utf8_lossy(text).into_owned(),
            value => {
                let mut line = String::new();
                write_json(value, &mut line).map_err(Ended::Error)?;
                line
            }
        };
        show(&line).map_err(Ended::Output)?;
    }
    Ok(())
}

/// JSON as a value; numbers keep their digits.
fn read_json(json: &str) -> Result<Val, String> {
    let json = json.trim_start_matches('\u{feff}');
    read::parse_single(json.as_bytes()).or_else(|error| {
        let refused = |_| format!("the answer is not JSON ({error})");
        read::parse_single(without_halves(json).as_bytes()).map_err(refused)
    })
}

/// JavaScript writes half a surrogate pair as it is; it stands for no character.
fn without_halves(json: &str) -> String {
    let mut whole = String::with_capacity(json.len());
    let mut rest = json;
    while let Some((before, after)) = rest.split_once('\\') {
        whole.push_str(before);
        let unit = |text: &str| u16::from_str_radix(text.strip_prefix('u')?.get(..4)?, 16).ok();
        let low = |text: &str| unit(text.strip_prefix('\\')?).filter(|unit| (0xdc00..0xe000).contains(unit));
        let length = match unit(after) {
            Some(0xd800..0xdc00) if after.get(5..).and_then(low).is_some() => 11,
            Some(0xd800..0xe000) => {
                whole.push_str("\\ufffd");
                rest = after.get(5..).unwrap_or_default();
                continue;
            }
            // The character after a backslash is no backslash that begins anything.
            _ => after.chars().next().map_or(0, char::len_utf8),
        };
        whole.push('\\');
        whole.push_str(after.get(..length).unwrap_or_default());
        rest = after.get(length..).unwrap_or_default();
    }
    whole.push_str(rest);
    whole
}

/// As JSON on one line. What is no number is null, as in jq.
fn write_json(value: &Val, line: &mut String) -> Result<(), String> {
    match value {
        Val::Null => line.push_str("null"),
        Val::Bool(value) => line.push_str(if *value { "true" } else { "false" }),
        Val::Num(Num::Float(number)) if number.is_nan() => line.push_str("null"),
        Val::Num(Num::Float(number)) if number.is_infinite() => {
            line.push_str(if *number > 0.0 { "1.7976931348623157e+308" } else { "-1.7976931348623157e+308" });
        }
        // Whole numbers are written as such, also where they were calculated.
        Val::Num(Num::Float(number)) if number.fract() == 0.0 && number.abs() < 1e17 => {
            let _ = write!(line, "{number:.0}");
        }
        Val::Num(number) => {
            let _ = write!(line, "{number}");
        }
        Val::BStr(text) | Val::TStr(text) => {
            // A text can always be written.
            line.push_str(&serde_json::to_string(&String::from_utf8_lossy(text)).unwrap_or_default());
        }
        Val::Arr(items) => {
            line.push('[');
            for (index, item) in items.iter().enumerate() {
                line.push_str(if index > 0 { "," } else { "" });
                write_json(item, line)?;
            }
            line.push(']');
        }
        Val::Obj(members) => {
            line.push('{');
            for (index, (name, member)) in members.iter().enumerate() {
                if !matches!(name, Val::TStr(_)) {
                    return Err(cut(&format!("{name} cannot be the name of a field; it must be a text")));
                }
                line.push_str(if index > 0 { "," } else { "" });
                write_json(name, line)?;
                line.push(':');
                write_json(member, line)?;
            }
            line.push('}');
        }
    }
    Ok(())
}

fn compile(expression: &str) -> Result<Filter<Data>, Wrong> {
    let is_kept = |name: &str| !LEFT_OUT.contains(&name);
    let known = jaq_core::defs().chain(jaq_std::defs()).chain(jaq_json::defs());
    let added = load::parse(ADDED, |parser| parser.defs()).unwrap_or_default();
    let loader = Loader::new(known.filter(|known| is_kept(known.name)).chain(added));
    let arena = Arena::default();
    let file = File { code: expression, path: () };
    let modules = loader.load(&arena, file).map_err(|errors| of_reading(expression, &errors))?;
    let native = jaq_core::funs().chain(jaq_std::funs()).chain(jaq_json::funs());
    let compiled = Compiler::default().with_funs(native.filter(|native| is_kept(native.0))).compile(modules);
    compiled.map_err(|errors| {
        let first = errors.iter().flat_map(|(_, undefined)| undefined).next();
        first.map_or_else(
            || Wrong { why: "it cannot be used".to_owned(), at: None },
            |(name, undefined)| {
                let name = match undefined {
                    jaq_core::compile::Undefined::Filter(arguments) if *arguments > 0 => {
                        format!("{}/{arguments}", cut(name))
                    }
                    _ => cut(name),
                };
                Wrong {
                    why: format!("there is no {} `{name}`", undefined.as_str()),
                    at: at(expression, name_at(first)),
                }
            },
        )
    })
}

fn name_at<'a>(first: Option<&(&'a str, jaq_core::compile::Undefined)>) -> Option<&'a str> {
    first.map(|(name, _)| *name)
}

fn of_reading(expression: &str, errors: &Errors<&str, ()>) -> Wrong {
    let expected = |what: &str, found: Option<&str>| {
        // Nothing is found at the end.
        let found = found.filter(|found| !found.is_empty());
        let end = expression.get(expression.len()..);
        let seen = match found.and_then(|found| found.split_whitespace().next()) {
            Some(word) => format!("`{}`", cut(word)),
            None => "the end".to_owned(),
        };
        Wrong { why: format!("{what} is expected, not {seen}"), at: at(expression, found.or(end)) }
    };
    let with_article = |what: &str| match what {
        what if what.chars().all(|c| c.is_ascii_alphabetic() || " -0123456789".contains(c))
            && what.contains(' ') =>
        {
            format!("a {what}")
        }
        "term" | "variable" | "pattern" | "key" | "string" | "digit" | "token" => format!("a {what}"),
        "identifier" => "a name".to_owned(),
        "nothing" => "an operator or the end".to_owned(),
        what => format!("`{what}`"),
    };
    match errors.first().map(|(_, error)| error) {
        Some(load::Error::Lex(errors)) if !errors.is_empty() => {
            let (what, found) = errors
                .first()
                .map_or((String::new(), None), |(what, found)| (with_article(what.as_str()), Some(*found)));
            expected(&what, found)
        }
        Some(load::Error::Parse(errors)) if !errors.is_empty() => {
            let (what, found) =
                errors.first().map_or((String::new(), None), |(what, found): &parse::Error<&str>| {
                    (with_article(what.as_str()), Some(*found))
                });
            expected(&what, found)
        }
        Some(load::Error::Io(errors)) => Wrong {
            why: "other files cannot be used in it".to_owned(),
            at: at(expression, errors.first().map(|(path, _)| *path)),
        },
        _ => Wrong { why: "it cannot be read".to_owned(), at: None },
    }
}

/// Where a part of an expression stands; `None` for what is no part of it.
fn at(expression: &str, part: Option<&str>) -> Option<At> {
    let byte = (part?.as_ptr() as usize).checked_sub(expression.as_ptr() as usize)?;
    let before = expression.get(..byte)?;
    let start = before.rfind('\n').map_or(0, |end| end + 1);
    let line = expression.get(start..)?.lines().next().unwrap_or_default();
    let column = expression.get(start..byte)?.chars().count();
    // Of a long line the end up to the place.
    let first = column.saturating_sub(SHOWN / 4);
    let shown: String = line.chars().skip(first).take(SHOWN / 3).collect();
    let shown = amply_sdk::printable(&shown).replace('\t', " ");
    let indent = display_width(&shown.chars().take(column - first).collect::<String>());
    Some(At {
        byte,
        line: before.matches('\n').count() + 1,
        column: column + 1,
        shown: format!("  {shown}\n  {:indent$}^", ""),
    })
}

fn cut(text: &str) -> String {
    let mut shown: String = crate::table::one_line(text).chars().take(SHOWN + 1).collect();
    if let Some((end, _)) = shown.char_indices().nth(SHOWN) {
        shown.truncate(end);
        shown.push('…');
    }
    shown
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;

    fn of(expression: &str, json: &str) -> Result<Vec<String>, String> {
        let lines = RefCell::default();
        let show = |line: &str| {
            RefCell::<Vec<String>>::borrow_mut(&lines).push(line.to_owned());
            Ok(())
        };
        match apply(expression, json, show) {
            Ok(()) => Ok(lines.into_inner()),
            Err(Ended::Error(why)) => Err(why),
            Err(Ended::Output(error)) => Err(error.to_string()),
        }
    }

    fn wrong(expression: &str) -> Wrong {
        compile(expression).map(drop).unwrap_err()
    }

    #[test]
    fn a_text_is_printed_as_it_is_and_all_else_as_json() {
        let json = r#"{"a":"x\ny","b":[1,"z",{"c":null}],"d":true}"#;
        assert_eq!(of(".a, .b, .d, .none", json).unwrap(), ["x\ny", r#"[1,"z",{"c":null}]"#, "true", "null"]);
        assert!(of("empty", json).unwrap().is_empty());
    }

    #[test]
    fn numbers_keep_their_digits_until_something_is_calculated_from_them() {
        let json = r#"[1e400, 0.0100, 123456789012345678901234567890, 1.0, -0.5E-3]"#;
        let kept = ["1e400", "0.0100", "123456789012345678901234567890", "1.0", "-0.5E-3"];
        assert_eq!(of(".[]", json).unwrap(), kept);
        assert_eq!(of(". == .", json).unwrap(), ["true"]);
        assert_eq!(
            of(".[1] + 0.25, 4 / 2, 1e400 + 0, (0 / 0 | tojson | length > 0)", json).unwrap(),
            ["0.26", "2", "1.7976931348623157e+308", "true"]
        );
        assert_eq!(of("[nan, -infinite]", json).unwrap(), ["[null,-1.7976931348623157e+308]"]);
    }

    #[test]
    fn what_people_write_with_jq_works() {
        let json = r#"{"p":[{"id":"b","n":2},{"id":"a","n":1.5}],"at":"2026-01-01T00:00:00Z"}"#;
        for (expression, line) in [
            (".p | sort_by(.n) | map(.id) | join(\",\")", "a,b"),
            (".p[] | select(.id | test(\"^A$\"; \"i\")) | .n", "1.5"),
            (".p[0] | [.id, .n, null, \"q\\\"\"] | @csv", r#""b",2,,"q""""#),
            ("[\"a\\tb\", 1] | @tsv", "a\\tb\t1"),
            (".at | fromdate", "1767225600"),
            ("[.p[] | {(.id): .n}] | add | keys", r#"["a","b"]"#),
            ("\"\\(.p | length) providers\" | @base64", "MiBwcm92aWRlcnM="),
            (".p | first(.[] | select(.n < 2)).id", "a"),
            ("[limit(3; repeat(1))]", "[1,1,1]"),
            (".p | to_entries | map(.key)", "[0,1]"),
            ("if .x then 1 end | type", "object"),
            ("[.p[] | .n] | min, (add | floor)", "1.5"),
        ] {
            assert_eq!(
                of(expression, json).unwrap_or_else(|why| panic!("{expression}: {why}"))[0],
                line,
                "{expression}"
            );
        }
    }

    #[test]
    fn half_a_surrogate_pair_does_not_cost_the_answer() {
        let json = r#"{"\ud83d":"a\ud83d\ude80\\ud83d\udE80","b":"\"\\"}"#;
        assert_eq!(of(".[]", json).unwrap(), ["a🚀\\ud83d\u{fffd}", "\"\\"]);
    }

    #[test]
    fn what_is_wrong_is_said_with_the_place() {
        for (expression, why, byte) in [
            (".a | (", "a closing parenthesis is expected, not the end", 6),
            (".a | ", "a term is expected, not the end", 5),
            (".a || .b", "an operator or the end is expected, not `||`", 3),
            (".a | froo(1)", "there is no filter `froo/1`", 5),
            (".a | $x", "there is no variable `$x`", 5),
            (".a § .b", "a token is expected, not `§`", 3),
            ("env.AMPLY_API_KEY", "there is no filter `env`", 0),
            ("halt", "there is no filter `halt`", 0),
            ("import \"a\" as a; 1", "other files cannot be used in it", 8),
        ] {
            let wrong = wrong(expression);
            assert_eq!((&*wrong.why, wrong.at.as_ref().map(|at| at.byte)), (why, Some(byte)), "{expression}");
        }
        let at = wrong(".a |\n  \t\"漢\" | (").at.unwrap();
        assert_eq!((at.line, at.column), (2, 11));
        assert_eq!(at.shown, "     \"漢\" | (\n             ^");
    }

    #[test]
    fn an_error_of_the_expression_says_what_it_met_and_not_all_of_it() {
        assert_eq!(of(".a.b", r#"{"a":"x"}"#).unwrap_err(), r#"cannot index "x" with "b""#);
        assert!(of(".a[0].b", &format!(r#"{{"a":["{}"]}}"#, "x".repeat(5000))).unwrap_err().len() < 250);
        assert_eq!(of("{(1): 2}", "{}").unwrap_err(), "1 cannot be the name of a field; it must be a text");
        assert!(of(".", "<html>").unwrap_err().starts_with("the answer is not JSON"));
    }
}
