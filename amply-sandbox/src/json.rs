//! From the bytes of a request body to JSON text that serde_json reads as JavaScript would.

use std::borrow::Cow;

/// The body as text: bytes that are not UTF-8 replaced, one byte order mark dropped, halves of surrogate pairs mended.
pub(crate) fn text_of_body(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(body);
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
    mend_surrogates(text).into_owned()
}

/// Writes U+FFFD for each `\uD8xx` that has no partner. JavaScript accepts such a half and counts it as one unit, as it
/// does U+FFFD; serde_json would refuse the whole document.
fn mend_surrogates(text: &str) -> Cow<'_, str> {
    if !text.contains("\\ud") && !text.contains("\\uD") {
        return Cow::Borrowed(text);
    }
    let mut mended = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, escape)) = rest.split_once('\\') {
        mended.push_str(before);
        mended.push('\\');
        let unit = escaped_unit(escape);
        let partner = escape.get(5..).and_then(|next| next.strip_prefix('\\')).and_then(escaped_unit);
        let (kept, length) = match (unit, partner) {
            (Some(0xd800..=0xdbff), Some(0xdc00..=0xdfff)) => (escape.get(..11), 11),
            (Some(0xd800..=0xdfff), _) => (Some("ufffd"), 5),
            (Some(_), _) => (escape.get(..5), 5),
            (None, _) => {
                // One character, so that the second of two backslashes does not open an escape of its own.
                let length = escape.chars().next().map_or(0, char::len_utf8);
                (escape.get(..length), length)
            }
        };
        mended.push_str(kept.unwrap_or_default());
        rest = escape.get(length..).unwrap_or_default();
    }
    mended.push_str(rest);
    Cow::Owned(mended)
}

/// The UTF-16 unit of an escape `uXXXX`, the backslash already read.
fn escaped_unit(escape: &str) -> Option<u16> {
    let digits = escape.strip_prefix('u')?.get(..4)?;
    digits.bytes().all(|b| b.is_ascii_hexdigit()).then(|| u16::from_str_radix(digits, 16).ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_of_a_surrogate_pair_is_replaced_and_a_whole_pair_kept() {
        for (text, mended) in [
            (r#""\ud83d\ude80""#, r#""\ud83d\ude80""#),
            (r#""\ud83d""#, r#""\ufffd""#),
            (r#""\ud83dx\uDE80""#, r#""\ufffdx\ufffd""#),
            (r#""\ud83d\ud83d\ude80""#, r#""\ufffd\ud83d\ude80""#),
            (r#""\\ud83d""#, r#""\\ud83d""#),
            (r#""\\\ud83d""#, r#""\\\ufffd""#),
            (r#""é\u00e9\n\ud800""#, r#""é\u00e9\n\ufffd""#),
            (r#""\ud8"#, r#""\ud8"#),
            (r#""\ud8\"#, r#""\ud8\"#),
            (r#""\udé""#, r#""\udé""#),
        ] {
            assert_eq!(mend_surrogates(text), mended, "{text}");
        }
    }

    #[test]
    fn bad_bytes_are_replaced_and_one_byte_order_mark_is_dropped() {
        assert_eq!(text_of_body(b"\xef\xbb\xbf{}"), "{}");
        assert_eq!(text_of_body(b"\xef\xbb\xbf\xef\xbb\xbf{}"), "\u{feff}{}");
        assert_eq!(text_of_body(b"\"a\xff\xfeb\""), "\"a\u{fffd}\u{fffd}b\"");
    }
}
