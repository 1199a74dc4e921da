//! Makes text from elsewhere safe to show.
//!
//! A server's words, a file's name or a caller's value may hold escape sequences that move a cursor, or marks
//! that turn the reading direction. They are replaced here, in one place, before a person sees them.

use std::borrow::Cow;

/// Replaces what would act on a terminal instead of being read: control characters (escape sequences begin with
/// one), and marks that change the direction of writing. Line breaks and tabs stay.
///
/// ```
/// assert_eq!(amply_sdk::printable("a\u{1b}[31mb"), "a\u{fffd}[31mb");
/// ```
pub fn printable(text: &str) -> Cow<'_, str> {
    let acts = |c: char| acts_on_a_terminal(c) && !matches!(c, '\n' | '\t');
    if !text.chars().any(acts) {
        return Cow::Borrowed(text);
    }
    text.chars().map(|c| if acts(c) { char::REPLACEMENT_CHARACTER } else { c }).collect::<String>().into()
}

/// Whether a terminal would do something at this character other than show it.
pub(crate) fn acts_on_a_terminal(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200e}' | '\u{200f}' | '\u{061c}' | '\u{2028}' | '\u{2029}')
        || ('\u{202a}'..='\u{202e}').contains(&c)
        || ('\u{2066}'..='\u{2069}').contains(&c)
}

/// The same on one line, blanks folded, cut after `most` characters.
pub(crate) fn one_line(text: &str, most: usize) -> String {
    let mut line = String::new();
    let mut length = 0;
    for word in text.split(|c: char| c.is_whitespace() || c.is_control()).filter(|word| !word.is_empty()) {
        let blank = usize::from(!line.is_empty());
        let room = most.saturating_sub(length + blank);
        if room == 0 {
            line.push('…');
            break;
        }
        if blank == 1 {
            line.push(' ');
        }
        let whole = word.chars().count();
        line.extend(
            word.chars().take(room).map(
                |c| {
                    if acts_on_a_terminal(c) { char::REPLACEMENT_CHARACTER } else { c }
                },
            ),
        );
        length += blank + whole.min(room);
        if whole > room {
            line.push('…');
            break;
        }
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escape_sequences_and_direction_marks_are_replaced() {
        assert_eq!(printable("ok\r\u{9b}2J\u{202e}x"), "ok\u{fffd}\u{fffd}2J\u{fffd}x");
        assert_eq!(printable("two\nlines\tand é 数 🚀"), "two\nlines\tand é 数 🚀");
    }

    #[test]
    fn a_long_text_becomes_one_short_line() {
        assert_eq!(one_line("  a\n\n b\tc  ", 80), "a b c");
        assert_eq!(one_line("aaaa bbbb", 6), "aaaa b…");
        assert_eq!(one_line("aaaa bbbb", 4), "aaaa…");
        assert_eq!(one_line("aaaa", 4), "aaaa");
    }
}
