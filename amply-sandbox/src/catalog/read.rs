//! From JSON to a [`Catalog`], with an error that names the provider and the field.
//!
//! By hand and not with a derived struct: a derived error says "invalid type" somewhere, and refuses `1e999` before
//! anything can be said about it.

use std::collections::HashMap;

use serde_json::value::RawValue;

use super::{Catalog, CatalogError, NO_BACKEND, ORGANIC, Provider, SEED, disclosure_of};

const TEXT: &str = "a text that is not empty";
const AT_LEAST_ZERO: &str = "a number, 0 or more";
const SHARE: &str = "a number from 0 to 1";
const NUMBER_OR_NULL: &str = "a number or null";

type Fields<'a> = HashMap<String, &'a RawValue>;

pub(super) fn catalog(text: &str) -> Result<Catalog, CatalogError> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let document: &RawValue = serde_json::from_str(text).map_err(|error| not_json(&error))?;
    let fields: Fields<'_> =
        object(document)?.ok_or_else(|| CatalogError::NotAnObject { found: shown(document) })?;

    if let Some(version) = given(&fields, "version")
        && version.get().parse() != Ok(1.0)
    {
        return Err(top_level("version", "1, the only one there is", version));
    }
    let rows: Vec<&RawValue> = match given(&fields, "providers") {
        None => return Err(CatalogError::NoProviders),
        Some(list) => serde_json::from_str(list.get()).map_err(|_| top_level("providers", "a list", list))?,
    };
    if rows.is_empty() {
        return Err(CatalogError::NoProviders);
    }

    let mut providers = Vec::with_capacity(rows.len());
    let mut positions = HashMap::new();
    for (row, position) in rows.into_iter().zip(1..) {
        let provider = provider(row, position)?;
        if let Some(first) = positions.insert(provider.id.clone(), position) {
            return Err(CatalogError::DuplicateId { id: provider.id, first, second: position });
        }
        providers.push(provider);
    }
    // The server keeps them in a JavaScript object, which puts such keys first. The sort is stable.
    providers.sort_by_key(|provider| array_index(&provider.id).map_or(u64::MAX, u64::from));

    let label = |field, default: &str| match given(&fields, field) {
        None => Ok(default.to_owned()),
        Some(value) => text_of(value).ok_or_else(|| top_level(field, TEXT, value)),
    };
    Ok(Catalog {
        providers,
        source: label("catalog_source", SEED)?,
        backend: label("catalog_backend", NO_BACKEND)?,
        freshness: given(&fields, "catalog_freshness").unwrap_or(RawValue::NULL).to_owned(),
    })
}

fn provider(row: &RawValue, position: usize) -> Result<Provider, CatalogError> {
    let place = format!("provider {position}");
    let fields = object(row)?
        .ok_or_else(|| CatalogError::NotAProvider { provider: place.clone(), found: shown(row) })?;
    let mut row = Row { fields, place };
    let id = row.required("id", TEXT, text_of)?;
    row.place = format!("{} (`{}`)", row.place, shortened(&id));

    let listing = row.optional("catalog_listing", TEXT, text_of)?.unwrap_or_else(|| ORGANIC.to_owned());
    Ok(Provider {
        display_name: row.optional("display_name", TEXT, text_of)?.unwrap_or_else(|| id.clone()),
        p99_latency_ms: row.required("p99_latency_ms", AT_LEAST_ZERO, at_least_zero)?,
        cost_per_1m_dims_usd: row.required("cost_per_1m_dims_usd", AT_LEAST_ZERO, at_least_zero)?,
        success_rate_last_24h: row.required("success_rate_last_24h", SHARE, share)?,
        success_rate_last_7d: row.required("success_rate_last_7d", SHARE, share)?,
        win_rate: row.required("win_rate", SHARE, share)?,
        revenue_captured_usd: row.optional("revenue_captured_usd", NUMBER_OR_NULL, finite)?,
        missed_opportunity_usd: row.optional("missed_opportunity_usd", NUMBER_OR_NULL, finite)?,
        placement_disclosure: row
            .optional("placement_disclosure", TEXT, text_of)?
            .unwrap_or_else(|| disclosure_of(&listing).to_owned()),
        listing,
        id,
    })
}

/// One provider while it is being read.
struct Row<'a> {
    fields: Fields<'a>,
    place: String,
}

impl Row<'_> {
    fn required<T>(
        &self,
        field: &'static str,
        expected: &'static str,
        read: impl Fn(&RawValue) -> Option<T>,
    ) -> Result<T, CatalogError> {
        let missing = || CatalogError::Missing { provider: self.place.clone(), field, expected };
        self.optional(field, expected, read)?.ok_or_else(missing)
    }

    fn optional<T>(
        &self,
        field: &'static str,
        expected: &'static str,
        read: impl Fn(&RawValue) -> Option<T>,
    ) -> Result<Option<T>, CatalogError> {
        let Some(value) = given(&self.fields, field) else {
            return Ok(None);
        };
        let invalid =
            || CatalogError::Invalid { provider: self.place.clone(), field, expected, found: shown(value) };
        read(value).map(Some).ok_or_else(invalid)
    }
}

/// The fields of an object; `None` for any other value.
fn object(value: &RawValue) -> Result<Option<Fields<'_>>, CatalogError> {
    if !value.get().starts_with('{') {
        return Ok(None);
    }
    // Its syntax was already read once; what may still fail is half a surrogate pair in a key.
    serde_json::from_str(value.get()).map(Some).map_err(|error| not_json(&error))
}

/// The field, unless it is absent or null.
fn given<'a>(fields: &Fields<'a>, field: &str) -> Option<&'a RawValue> {
    fields.get(field).copied().filter(|value| value.get() != "null")
}

fn text_of(value: &RawValue) -> Option<String> {
    serde_json::from_str(value.get()).ok().filter(|text: &String| !text.trim().is_empty())
}

fn finite(value: &RawValue) -> Option<f64> {
    // A JSON number is the only JSON that Rust reads as one; `1e999` is read as infinite.
    value.get().parse().ok().filter(|number: &f64| number.is_finite())
}

fn at_least_zero(value: &RawValue) -> Option<f64> {
    finite(value).filter(|number| *number >= 0.0)
}

fn share(value: &RawValue) -> Option<f64> {
    finite(value).filter(|number| (0.0..=1.0).contains(number))
}

/// The number that `id` is as a JavaScript array index: `7`, but not `07` nor `4294967295`.
fn array_index(id: &str) -> Option<u32> {
    id.parse().ok().filter(|index: &u32| *index != u32::MAX && index.to_string() == id)
}

fn not_json(error: &serde_json::Error) -> CatalogError {
    let text = error.to_string();
    let reason = text.rsplit_once(" at line ").map_or(text.as_str(), |(reason, _)| reason);
    CatalogError::NotJson { line: error.line(), column: error.column(), reason: reason.to_owned() }
}

fn top_level(field: &'static str, expected: &'static str, found: &RawValue) -> CatalogError {
    CatalogError::Field { field, expected, found: shown(found) }
}

/// A value as an error shows it: on one line, not endless.
fn shown(value: &RawValue) -> String {
    match value.get().as_bytes().first() {
        Some(b'{') => "an object".to_owned(),
        Some(b'[') => "a list".to_owned(),
        _ => shortened(value.get()),
    }
}

fn shortened(text: &str) -> String {
    let mut shown: String = text.chars().take(40).collect();
    if shown.len() < text.len() {
        shown.push('…');
    }
    shown
}
