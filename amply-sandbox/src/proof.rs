//! What the proof of an audit is made of: one form of JSON for all who read it, and a hash that others have too.
//!
//! Pure.

use std::{collections::BTreeMap, fmt};

use serde::ser::{Serialize, Serializer};
use serde_json::value::RawValue;
use sha3::{Digest, Sha3_256};

/// As FIPS 202 names it, in lower case; Python has it as `hashlib.sha3_256`.
pub(crate) const ALGORITHM: &str = "sha3-256";

/// A SHA3-256 hash. Its text is 64 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Hash([u8; 32]);

impl Hash {
    pub(crate) fn of(text: &str) -> Self {
        Hash(Sha3_256::digest(text).into())
    }
}

impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for Hash {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// The fields of every object sorted by their names, no blanks, and numbers and texts as they were written, so that no reader
/// needs another's rules for either. `None` of what is no JSON.
pub(crate) fn canonical(json: &RawValue) -> Option<String> {
    match json.get().as_bytes().first()? {
        b'{' => {
            let fields: BTreeMap<String, &RawValue> = serde_json::from_str(json.get()).ok()?;
            let texts = fields.iter().map(|(name, value)| {
                let name = serde_json::to_string(name).ok()?;
                Some(format!("{name}:{}", canonical(value)?))
            });
            Some(format!("{{{}}}", texts.collect::<Option<Vec<_>>>()?.join(",")))
        }
        b'[' => {
            let items: Vec<&RawValue> = serde_json::from_str(json.get()).ok()?;
            let texts: Option<Vec<_>> = items.into_iter().map(canonical).collect();
            Some(format!("[{}]", texts?.join(",")))
        }
        _ => Some(json.get().to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_is_that_of_fips_202() {
        let empty = "a7ffc6f8bf1ed76651c14756a061d662f580ff4de43b49fa82d80a4b80f8434a";
        assert_eq!(Hash::of("").to_string(), empty);
        let abc = "3a985da74fe225b2045c172d6bd390bd855f086e3e9d525b46bfe24511431532";
        assert_eq!(serde_json::to_string(&Hash::of("abc")).unwrap(), format!("{abc:?}"));
    }

    #[test]
    fn fields_are_sorted_and_values_are_left_as_they_were_written() {
        let json =
            r#" {"b": {"z": 1.50, "é": "é", "a": null}, "a": [ {"y": 1, "x": 1e21}, [ ], true ], "A": {}} "#;
        let json: Box<RawValue> = serde_json::from_str(json).unwrap();
        assert_eq!(
            canonical(&json).unwrap(),
            r#"{"A":{},"a":[{"x":1e21,"y":1},[],true],"b":{"a":null,"z":1.50,"é":"é"}}"#
        );
    }
}
