//! Compares JSON with the order of its keys and the form of its numbers.

use std::collections::HashSet;

use indexmap::IndexMap;
use serde_json::value::RawValue;

use crate::common::Failure;

/// Compares two JSON values: kinds, order of keys, numbers as they are written. Ids and times need only be of one kind.
pub(crate) fn json(
    pointer: &str,
    expected: &RawValue,
    found: &RawValue,
    ignored: &HashSet<&str>,
    wrong: &mut Vec<String>,
) -> Result<(), Failure> {
    if ignored.contains(pointer) {
        return Ok(());
    }
    let kind = |value: &RawValue| match value.get().as_bytes().first() {
        Some(b'0'..=b'9' | b'-') => '0',
        Some(first) => char::from(*first),
        None => ' ',
    };
    if kind(expected) != kind(found) {
        wrong.push(format!("{pointer}: {found} and not {expected}"));
        return Ok(());
    }
    match kind(expected) {
        '{' => {
            let (expected, found) = (fields(expected)?, fields(found)?);
            if !expected.keys().eq(found.keys()) {
                let (expected, found): (Vec<_>, Vec<_>) = (expected.keys().collect(), found.keys().collect());
                wrong.push(format!("{pointer}: keys {found:?} and not {expected:?}"));
                return Ok(());
            }
            for ((key, expected), found) in expected.iter().zip(found.values()) {
                json(&format!("{pointer}/{key}"), expected, found, ignored, wrong)?;
            }
        }
        '[' => {
            let (expected, found): (Vec<&RawValue>, Vec<&RawValue>) =
                (serde_json::from_str(expected.get())?, serde_json::from_str(found.get())?);
            if expected.len() != found.len() {
                wrong.push(format!("{pointer}: {} elements and not {}", found.len(), expected.len()));
            }
            for (i, (expected, found)) in expected.iter().zip(&found).enumerate() {
                json(&format!("{pointer}/{i}"), expected, found, ignored, wrong)?;
            }
        }
        '"' => {
            let (expected, found): (String, String) =
                (serde_json::from_str(expected.get())?, serde_json::from_str(found.get())?);
            if expected != found && pointer != "/request_id" {
                wrong.push(format!("{pointer}: {found:?} and not {expected:?}"));
            }
        }
        _ => {
            if expected.get() != found.get() && pointer != "/compute_ms" {
                wrong.push(format!("{pointer}: {found} and not {expected}"));
            }
        }
    }
    Ok(())
}

pub(crate) fn fields(value: &RawValue) -> Result<IndexMap<String, &RawValue>, Failure> {
    Ok(serde_json::from_str(value.get())?)
}

pub(crate) fn at<'a>(value: &'a RawValue, path: &[&str]) -> Result<&'a RawValue, Failure> {
    path.iter().try_fold(value, |value, key| {
        fields(value)?.get(*key).copied().ok_or_else(|| format!("no `{key}`").into())
    })
}
