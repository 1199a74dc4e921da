//! Percent-encoding of paths, read back.

/// What `text` stands for. An escape that is none is left as it is, and bytes that are not UTF-8 are replaced.
pub(super) fn decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        let escaped = after.first_chunk::<2>().filter(|_| first == b'%').and_then(|digits| byte(*digits));
        bytes.push(escaped.unwrap_or(first));
        rest = if escaped.is_some() { after.get(2..).unwrap_or_default() } else { after };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn byte([high, low]: [u8; 2]) -> Option<u8> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    Some(digit(high)? << 4 | digit(low)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_become_what_they_stand_for_and_others_stay() {
        for (text, read) in [
            ("", ""),
            ("cred_a", "cred_a"),
            ("cred%5Fa%5f", "cred_a_"),
            ("a%2Fb%0A", "a/b\n"),
            ("%2E%2e", ".."),
            ("%C3%A9%ff", "é\u{fffd}"),
            ("%", "%"),
            ("%4", "%4"),
            ("%zz%+1", "%zz%+1"),
            ("%%41", "%A"),
        ] {
            assert_eq!(decoded(text), read, "{text}");
        }
    }
}
