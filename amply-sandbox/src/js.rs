//! JavaScript's rules for numbers and white space, as far as the server's answers show them.
//!
//! Pure. [`coerce`] turns JSON values of any kind into numbers and texts; this file has what both directions need.

pub(crate) mod coerce;

use serde::ser::{Error as _, Serialize, Serializer};
use serde_json::value::RawValue;

/// Whether JavaScript's `trim` and `\s` count `c` as white space. Differs from Rust's: U+FEFF is, U+0085 is not.
pub(crate) fn is_blank(c: char) -> bool {
    matches!(
        c,
        '\t'..='\r'
            | ' '
            | '\u{a0}'
            | '\u{1680}'
            | '\u{2000}'..='\u{200a}'
            | '\u{2028}'
            | '\u{2029}'
            | '\u{202f}'
            | '\u{205f}'
            | '\u{3000}'
            | '\u{feff}'
    )
}

/// `text` without the blanks at both ends.
pub(crate) fn trim(text: &str) -> &str {
    text.trim_matches(is_blank)
}

/// `Math.round`: to the nearest whole number, a half goes up.
pub(crate) fn round(x: f64) -> f64 {
    let floor = x.floor();
    // Not (x + 0.5).floor(): that sum is itself rounded and turns 0.49999999999999994 into 1.
    if x - floor >= 0.5 { floor + 1.0 } else { floor }
}

/// `Math.round(x * scale) / scale`, in plain doubles and without correction, as the server rounds.
pub(crate) fn round_to(x: f64, scale: f64) -> f64 {
    round(x * scale) / scale
}

/// The text of `x` as `String(x)` gives it: `14`, `0.19`, `1e-7`, `Infinity`.
pub(crate) fn to_text(x: f64) -> String {
    ryu_js::Buffer::new().format(x).to_owned()
}

/// `x.toFixed(1)`: the exact value of the double decides, a tie goes up.
pub(crate) fn to_fixed_1(x: f64) -> String {
    ryu_js::Buffer::new().format_to_fixed(x, 1).to_owned()
}

/// A number that goes on the wire as `JSON.stringify` writes it: `1` and not `1.0`, `null` when it is not finite.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct JsNumber(pub(crate) f64);

impl Serialize for JsNumber {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let JsNumber(x) = *self;
        if !x.is_finite() {
            return serializer.serialize_none();
        }
        // Below 2^53 a whole double and its integer have the same text; the common case needs no detour.
        if x.fract() == 0.0 && x.abs() < 9_007_199_254_740_992.0 {
            return serializer.serialize_i64(x as i64);
        }
        // serde_json's own form differs: 1e21 for JavaScript's 1e+21.
        RawValue::from_string(to_text(x)).map_err(S::Error::custom)?.serialize(serializer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blanks_are_those_of_javascript() {
        for c in
            "\t\n\u{b}\u{c}\r \u{a0}\u{1680}\u{2000}\u{200a}\u{2028}\u{2029}\u{202f}\u{205f}\u{3000}\u{feff}"
                .chars()
        {
            assert!(is_blank(c), "{c:?}");
        }
        for c in "\u{85}\u{180e}\u{200b}\u{1c}\u{1d}\u{1e}\u{1f}\0a".chars() {
            assert!(!is_blank(c), "{c:?}");
        }
    }

    #[test]
    fn a_half_is_rounded_up() {
        for (x, rounded) in
            [(0.5, 1.0), (1.5, 2.0), (2.5, 3.0), (-0.5, 0.0), (0.499_999_999_999_999_94, 0.0), (1e300, 1e300)]
        {
            assert_eq!(round(x), rounded, "{x}");
        }
        assert_eq!(round(f64::INFINITY), f64::INFINITY);
    }

    #[test]
    fn one_decimal_is_decided_by_the_exact_double() {
        for (x, text) in [
            (0.9825 * 100.0, "98.3"),
            (0.982 * 100.0, "98.2"),
            (0.941 * 100.0, "94.1"),
            (0.9815 * 100.0, "98.2"),
            (1.0 * 100.0, "100.0"),
            (0.0, "0.0"),
            (0.0025 * 100.0, "0.3"),
            (98.25, "98.3"),
            (98.05, "98.0"),
            (98.35, "98.3"),
        ] {
            assert_eq!(to_fixed_1(x), text, "{x}");
        }
    }

    #[test]
    fn numbers_are_written_in_the_form_of_json_stringify() {
        for (x, text) in [
            (1.0, "1"),
            (0.0, "0"),
            (-0.0, "0"),
            (0.19, "0.19"),
            (1e-7, "1e-7"),
            (0.000_001, "0.000001"),
            (1e21, "1e+21"),
            (1e20, "100000000000000000000"),
            (9_007_199_254_740_992.0, "9007199254740992"),
            (13_200.000_000_000_002, "13200.000000000002"),
            (f64::INFINITY, "null"),
            (f64::NAN, "null"),
        ] {
            assert_eq!(serde_json::to_string(&JsNumber(x)).unwrap(), text);
        }
    }
}
