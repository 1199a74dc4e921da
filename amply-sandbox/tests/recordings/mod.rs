//! The recorded exchanges, and the catalogs that the recorded server had.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use amply_sandbox::Catalog;
use indexmap::IndexMap;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::common::Failure;

#[derive(Deserialize)]
pub(crate) struct Recording {
    pub(crate) config: String,
    pub(crate) request: Request,
    pub(crate) response: Response,
}

#[derive(Deserialize)]
pub(crate) struct Request {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) headers: IndexMap<String, String>,
    pub(crate) body: Box<RawValue>,
}

#[derive(Deserialize)]
pub(crate) struct Response {
    pub(crate) status: u16,
    pub(crate) headers: IndexMap<String, String>,
    pub(crate) body: Box<RawValue>,
}

fn fixtures() -> PathBuf {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/fixtures")).to_owned()
}

/// All recordings, by name without `.json`.
pub(crate) fn recordings() -> Result<BTreeMap<String, Recording>, Failure> {
    let mut recordings = BTreeMap::new();
    for entry in fs::read_dir(fixtures().join("server-3.1.12"))? {
        let path = entry?.path();
        let name = path.file_stem().ok_or("a file without a name")?.to_string_lossy().into_owned();
        recordings.insert(name, serde_json::from_str(&fs::read_to_string(&path)?)?);
    }
    Ok(recordings)
}

/// The catalog that was in the database: what `/providers` said of it, with two figures that only a route answer has.
pub(crate) fn live_catalog(name: &str) -> Result<Catalog, Failure> {
    let recordings = recordings()?;
    let body = |name: &str| -> Result<serde_json::Value, Failure> {
        let recording = recordings.get(name).ok_or_else(|| format!("no recording {name}"))?;
        Ok(serde_json::from_str(recording.response.body.get())?)
    };
    let (mut listed, route) = (body("catalog-providers")?, body("catalog-route-user-key")?);
    for provider in listed.get_mut("providers").and_then(|list| list.as_array_mut()).ok_or("no providers")? {
        let id = provider.get("id").and_then(|id| id.as_str()).ok_or("no id")?.to_owned();
        for figure in ["revenue_captured_usd", "missed_opportunity_usd"] {
            let pointer = format!("/raw_metrics/all_providers/{id}/{figure}");
            let value = route.pointer(&pointer).ok_or("no figure")?.clone();
            provider.as_object_mut().ok_or("no object")?.insert(figure.to_owned(), value);
        }
    }
    // Only a status says how old its catalog is; the others share one.
    let said = body(if name.starts_with("catalog-status") { name } else { "catalog-status" })?;
    let catalog = serde_json::json!({
        "providers": listed.get("providers"),
        "catalog_source": "supabase",
        "catalog_backend": "postgres",
        "catalog_freshness": said.get("catalog_freshness"),
    });
    Ok(Catalog::from_json(&catalog.to_string())?)
}

/// The built-in catalog, where a database should have been.
pub(crate) fn fallback_catalog() -> Result<Catalog, Failure> {
    let text = fs::read_to_string(fixtures().join("catalog.json"))?;
    let mut catalog: serde_json::Value = serde_json::from_str(&text)?;
    let fields = catalog.as_object_mut().ok_or("the catalog is no object")?;
    fields.insert("catalog_backend".to_owned(), "postgres".into());
    Ok(Catalog::from_json(&catalog.to_string())?)
}

/// The body of the three recordings whose task is shortened in the file.
pub(crate) fn full_task(name: &str) -> Option<String> {
    let task = match name {
        "open-route-task-8000" => "a".repeat(8000),
        "open-400-task-8001" => "a".repeat(8001),
        "open-400-task-4001-emoji" => "\u{1f680}".repeat(4001),
        _ => return None,
    };
    Some(format!(r#"{{"task":"{task}"}}"#))
}

/// A recorded body: a text is the body itself, null is none, anything else stands for its JSON.
pub(crate) fn text(body: &RawValue) -> Result<Option<String>, Failure> {
    Ok(match body.get() {
        "null" => None,
        text if text.starts_with('"') => Some(serde_json::from_str(text)?),
        json => Some(json.to_owned()),
    })
}
