//! `Number(value)` and `String(value)` of a JSON value, straight from its text.
//!
//! From the text, since a parsed value cannot hold `1e999`, which JavaScript reads as Infinity.

use serde_json::value::RawValue;

use super::{to_text, trim};

/// How deep lists in lists are looked into. `[our]` the server's own limit is not known; nothing sensible comes near.
const MAX_NESTING: usize = 64;

/// `Number(value)`; NaN when it is none.
pub(crate) fn number(value: &RawValue) -> f64 {
    match value.get().as_bytes().first() {
        Some(b'n' | b'f') => 0.0,
        Some(b't') => 1.0,
        Some(b'"' | b'[') => text(value).map_or(f64::NAN, |text| number_of_text(&text)),
        Some(b'{') | None => f64::NAN,
        Some(_) => value.get().parse().unwrap_or(f64::NAN),
    }
}

/// `String(value)`; `None` for what no field of the API accepts anyway: a list of several elements, lists nested too deeply.
pub(crate) fn text(value: &RawValue) -> Option<String> {
    let mut value = value;
    for depth in 0..MAX_NESTING {
        match value.get().as_bytes().first() {
            Some(b'[') => match serde_json::from_str::<Vec<&RawValue>>(value.get()).ok()?.as_slice() {
                [] => return Some(String::new()),
                [only] => value = only,
                _ => return None,
            },
            Some(b'"') => return serde_json::from_str(value.get()).ok(),
            Some(b'{') => return Some("[object Object]".to_owned()),
            // A list writes its null as nothing at all.
            Some(b'n') if depth > 0 => return Some(String::new()),
            Some(b'n' | b't' | b'f') => return Some(value.get().to_owned()),
            _ => return value.get().parse().ok().map(to_text),
        }
    }
    None
}

/// JavaScript's reading of a text as a number: blanks around it, `0x` `0o` `0b`, `Infinity`; an empty text is 0.
fn number_of_text(text: &str) -> f64 {
    let text = trim(text);
    if text.is_empty() {
        return 0.0;
    }
    for (prefixes, bits) in [(["0x", "0X"], 4), (["0o", "0O"], 3), (["0b", "0B"], 1)] {
        if let Some(digits) = prefixes.iter().find_map(|prefix| text.strip_prefix(prefix)) {
            return power_of_two_radix(digits, bits).unwrap_or(f64::NAN);
        }
    }
    let (sign, magnitude) = match text.strip_prefix('-') {
        Some(rest) => (-1.0, rest),
        None => (1.0, text.strip_prefix('+').unwrap_or(text)),
    };
    if magnitude == "Infinity" {
        return sign * f64::INFINITY;
    }
    // Rust's own grammar also has `inf`, `nan`, `infinity`.
    if is_decimal(magnitude) { magnitude.parse().map_or(f64::NAN, |x: f64| sign * x) } else { f64::NAN }
}

/// `12`, `12.`, `.5`, `1.5e-3`, without a sign.
fn is_decimal(text: &str) -> bool {
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (text, None),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let all_digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    let exponent_is_fine = exponent.is_none_or(|exponent| {
        let digits = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
        !digits.is_empty() && all_digits(digits)
    });
    !(whole.is_empty() && fraction.is_empty())
        && all_digits(whole)
        && all_digits(fraction)
        && exponent_is_fine
}

/// A whole number in base 2^`bits`, rounded once, to the nearest double.
fn power_of_two_radix(digits: &str, bits: u32) -> Option<f64> {
    if digits.is_empty() {
        return None;
    }
    let (mut top, mut dropped_bits, mut sticky) = (0_u64, 0_i32, 0_u64);
    for c in digits.chars() {
        let mut digit = u64::from(c.to_digit(1 << bits)?);
        if top >> (63 - bits) == 0 {
            top = (top << bits) | digit;
        } else {
            // Enough for any rounding: what follows only matters by being zero or not.
            sticky |= std::mem::take(&mut digit);
            dropped_bits = dropped_bits.saturating_add_unsigned(bits);
        }
    }
    Some((top | u64::from(sticky != 0)) as f64 * 2_f64.powi(dropped_bits))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw(text: &str) -> Box<RawValue> {
        RawValue::from_string(text.to_owned()).unwrap()
    }

    #[test]
    fn values_become_the_numbers_that_javascript_makes_of_them() {
        for (json, expected) in [
            ("true", 1.0),
            ("false", 0.0),
            (r#""""#, 0.0),
            (r#"" ""#, 0.0),
            ("[]", 0.0),
            ("[null]", 0.0),
            (r#""0x10""#, 16.0),
            (r#""0X1f""#, 31.0),
            (r#""0o17""#, 15.0),
            (r#""0b11""#, 3.0),
            (r#""1e2""#, 100.0),
            ("[5]", 5.0),
            (r#"["5"]"#, 5.0),
            ("[[7]]", 7.0),
            (r#""64.0""#, 64.0),
            (r#"" \n+5.\t""#, 5.0),
            (r#""\ufeff.5\u3000""#, 0.5),
            ("1e999", f64::INFINITY),
            (r#""Infinity""#, f64::INFINITY),
            (r#""-Infinity""#, f64::NEG_INFINITY),
            (r#""1e99999999999999999999""#, f64::INFINITY),
            ("[1e999]", f64::INFINITY),
            ("128.0", 128.0),
            ("-0", 0.0),
            (r#""0x20000000000001""#, 9_007_199_254_740_992.0),
            (r#""0x20000000000003""#, 9_007_199_254_740_996.0),
            (r#""0x200000000000010000000000001""#, 9_007_199_254_740_994.0 * 2_f64.powi(52)),
        ] {
            assert_eq!(number(&raw(json)), expected, "{json}");
        }
    }

    #[test]
    fn what_javascript_cannot_read_is_not_a_number() {
        for json in [
            r#""1_000""#,
            r#""1,5""#,
            r#""$5""#,
            r#""50ms""#,
            "{}",
            "[1,2]",
            "[true]",
            "[{}]",
            r#""0x""#,
            r#""0xg""#,
            r#""-0x10""#,
            r#"".""#,
            r#""1e""#,
            r#""e5""#,
            r#""inf""#,
            r#""infinity""#,
            r#""NaN""#,
            r#""5 5""#,
            r#""+-5""#,
            r#""0b12""#,
            r#""５""#,
        ] {
            assert!(number(&raw(json)).is_nan(), "{json}");
        }
    }

    #[test]
    fn values_become_the_texts_that_javascript_makes_of_them() {
        for (json, expected) in [
            (r#""a b""#, Some("a b")),
            (r#"["hybrid"]"#, Some("hybrid")),
            (r#"[["x"]]"#, Some("x")),
            ("5", Some("5")),
            ("5.0", Some("5")),
            ("1e21", Some("1e+21")),
            ("-0", Some("0")),
            ("true", Some("true")),
            ("false", Some("false")),
            ("[]", Some("")),
            ("[null]", Some("")),
            ("{}", Some("[object Object]")),
            ("[1,2]", None),
        ] {
            assert_eq!(text(&raw(json)).as_deref(), expected, "{json}");
        }
    }

    #[test]
    fn lists_nested_without_end_are_refused_without_looking_at_each_level() {
        let deep = format!("{}{}", "[".repeat(20_000), "]".repeat(20_000));
        assert_eq!(text(&raw(&deep)), None);
        assert!(number(&raw(&deep)).is_nan());
    }
}
