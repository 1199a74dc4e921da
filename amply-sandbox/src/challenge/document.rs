//! A JSON object of which single fields are set and taken away, the text of the others untouched.

use indexmap::IndexMap;
use serde_json::value::RawValue;

/// An object, flat: the path of each field that is no object with its JSON text, e.g. `/x402/top_up/path`.
#[derive(Clone, Debug, Default)]
pub(crate) struct Document(IndexMap<String, String>);

impl Document {
    /// Puts `json` where `path` leads, in place of what was there.
    pub(crate) fn set(&mut self, path: &str, json: String) {
        self.0.retain(|field, _| field == path || !is_within(field, path));
        self.0.insert(path.to_owned(), json);
    }

    /// Adds the fields of `other` that are not there yet.
    pub(crate) fn add(&mut self, other: Document) {
        for (path, json) in other.0 {
            self.0.entry(path).or_insert(json);
        }
    }

    /// Takes away the field and all that is within it.
    pub(crate) fn remove(&mut self, path: &str) {
        self.0.retain(|field, _| !is_within(field, path));
    }

    pub(crate) fn has(&self, path: &str) -> bool {
        self.0.keys().any(|field| is_within(field, path))
    }

    /// The object as JSON text, its fields in the order in which they were first set.
    pub(crate) fn text(&self) -> String {
        let fields = self.0.iter().map(|(path, json)| (path.trim_start_matches('/'), json.as_str()));
        object(fields.collect())
    }
}

fn is_within(field: &str, path: &str) -> bool {
    field.strip_prefix(path).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

fn object(fields: Vec<(&str, &str)>) -> String {
    let mut by_name: IndexMap<&str, Vec<(&str, &str)>> = IndexMap::new();
    for (path, json) in fields {
        let (name, rest) = path.split_once('/').unwrap_or((path, ""));
        by_name.entry(name).or_default().push((rest, json));
    }
    let texts = by_name.into_iter().map(|(name, within)| {
        let text = match within.as_slice() {
            [("", json)] => (*json).to_owned(),
            // A field that is both a value and an object is the object.
            _ => object(within.into_iter().filter(|(path, _)| !path.is_empty()).collect()),
        };
        // Raw text stays as it is: a number keeps every digit.
        (name, RawValue::from_string(text).ok())
    });
    serde_json::to_string(&texts.collect::<IndexMap<_, _>>()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn document() -> Document {
        let mut document = Document::default();
        for (path, json) in [("/a", "1"), ("/b/c", "0.010000000001"), ("/b/d/e", "[]"), ("/bc", "\"x\"")] {
            document.set(path, json.to_owned());
        }
        document
    }

    #[test]
    fn fields_are_set_and_taken_away_by_their_paths() {
        let after = |edit: &dyn Fn(&mut Document)| {
            let mut document = document();
            edit(&mut document);
            document.text()
        };
        let whole = r#"{"a":1,"b":{"c":0.010000000001,"d":{"e":[]}},"bc":"x"}"#;
        assert_eq!(after(&|_| ()), whole);
        assert_eq!(after(&|d| d.remove("/b")), r#"{"a":1,"bc":"x"}"#);
        assert_eq!(after(&|d| d.remove("/b/d/e")), r#"{"a":1,"b":{"c":0.010000000001},"bc":"x"}"#);
        assert_eq!(after(&|d| d.remove("/nothing")), whole);
        assert_eq!(after(&|d| d.set("/a", "1e308".to_owned())), whole.replace(":1,", ":1e308,"));
        assert_eq!(after(&|d| d.set("/b", "null".to_owned())), r#"{"a":1,"bc":"x","b":null}"#);
        assert_eq!(after(&|d| d.set("/b/f", "2".to_owned())), whole.replace("[]}", r#"[]},"f":2"#));
        assert!(document().has("/b") && !document().has("/b/d/f"));
    }
}
