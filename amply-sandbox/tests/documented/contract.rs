//! The OpenAPI document as a contract: what an answer must be to keep it.
//!
//! Closed: a status, a header of the API's own or a field that is not declared breaks it. The document is of OpenAPI 3.0, whose
//! schemas are those of JSON Schema, draft 4, but for `nullable`; a validator of that draft judges them.

use std::collections::{BTreeSet, HashMap};

use boon::{Compiler, Draft, SchemaIndex, Schemas};
use serde_json::{Value, json};

use crate::common::{Answer, Failure};

/// Where the validator has the document.
const PLACE: &str = "mem:///openapi.json";

pub(crate) struct Contract {
    pub(crate) document: Value,
    schemas: Schemas,
    /// By their place in the document.
    compiled: HashMap<String, SchemaIndex>,
}

/// One method of one path.
#[derive(Clone, Copy)]
pub(crate) struct Operation<'a> {
    /// In capitals.
    pub(crate) method: &'a str,
    /// With names in braces where an id belongs.
    pub(crate) path: &'a str,
    pub(crate) of: &'a Value,
    at: usize,
}

const METHODS: [(&str, &str); 3] = [("get", "GET"), ("post", "POST"), ("delete", "DELETE")];

impl Contract {
    /// # Errors
    /// A schema that is none.
    pub(crate) fn of(document: Value) -> Result<Self, Failure> {
        let mut compiler = Compiler::new();
        compiler.set_default_draft(Draft::V4);
        compiler.enable_format_assertions();
        let mut judged = document.clone();
        to_draft_4(&mut judged);
        compiler.add_resource(PLACE, judged)?;
        let mut contract = Contract { document, schemas: Schemas::new(), compiled: HashMap::new() };
        let mut places = Vec::new();
        find_schemas(&contract.document, "", &mut places);
        for place in places {
            let url = format!("{PLACE}#{}", place.replace('{', "%7B").replace('}', "%7D"));
            let index = compiler.compile(&url, &mut contract.schemas);
            let index = index.map_err(|error| format!("{place} is no schema: {error:#}"))?;
            contract.compiled.insert(place, index);
        }
        Ok(contract)
    }

    pub(crate) fn operations(&self) -> impl Iterator<Item = Operation<'_>> {
        let paths = self.document.get("paths").and_then(Value::as_object).into_iter().flatten();
        paths.flat_map(|(path, methods)| {
            METHODS.into_iter().enumerate().filter_map(move |(at, (name, method))| {
                Some(Operation { method, path, of: methods.get(name)?, at })
            })
        })
    }

    /// The operation that a request goes to. `path` may have a query.
    pub(crate) fn operation(&self, method: &str, path: &str) -> Option<Operation<'_>> {
        let path = path.split('?').next().unwrap_or(path);
        // A path that is written out goes before one with a name in it.
        let mut fitting: Vec<_> =
            self.operations().filter(|one| one.method == method && is_at(one.path, path)).collect();
        fitting.sort_by_key(|one| one.path.contains('{'));
        fitting.first().copied()
    }

    /// Every operation and status that the document has.
    pub(crate) fn declared(&self) -> BTreeSet<String> {
        self.operations()
            .flat_map(|operation| {
                let statuses = operation.of["responses"].as_object().into_iter().flatten();
                statuses.map(move |(status, _)| format!("{} {} {status}", operation.method, operation.path))
            })
            .collect()
    }

    /// What in an answer is not as it is declared.
    pub(crate) fn breaches(&self, operation: Operation<'_>, answer: &Answer) -> Vec<String> {
        let what = format!("{} {} {}", operation.method, operation.path, answer.status);
        let response = operation.of["responses"].get(answer.status.to_string());
        let Some(response) = response.map(|response| resolved(&self.document, response)) else {
            return vec![format!("{what}: not declared: {}", answer.body)];
        };
        let at = format!("{}/responses/{}", operation.place(), answer.status);
        let mut breaches = self.headers(response, &at, answer);
        let schema = format!("{at}/content/application~1json/schema");
        if self.compiled.contains_key(&schema) {
            match serde_json::from_str(&answer.body) {
                Ok(json) => breaches.extend(self.mismatch(&schema, &json)),
                Err(error) => breaches.push(format!("no JSON: {error}: {}", answer.body)),
            }
            let kind = answer.header("content-type");
            if kind != Some("application/json") {
                breaches.push(format!("the type of the content is {kind:?}"));
            }
        } else if !answer.body.is_empty() {
            breaches.push(format!("a body that is not declared: {}", answer.body));
        }
        breaches.into_iter().map(|breach| format!("{what}: {breach}")).collect()
    }

    /// What in `value` is not as the schema at this place of the document says.
    pub(crate) fn mismatch(&self, schema: &str, value: &Value) -> Option<String> {
        let Some(index) = self.compiled.get(schema) else { return Some(format!("no schema at {schema}")) };
        self.schemas.validate(value, *index).err().map(|error| error.to_string())
    }

    fn headers(&self, response: &Value, at: &str, answer: &Answer) -> Vec<String> {
        let mut breaches = Vec::new();
        for (name, text) in &answer.headers {
            if !name.starts_with("x-amply-") && name != "retry-after" {
                continue;
            }
            let declared = response["headers"].as_object().into_iter().flatten();
            let Some((written, header)) =
                declared.into_iter().find(|(key, _)| key.eq_ignore_ascii_case(name))
            else {
                breaches.push(format!("header {name} is not declared"));
                continue;
            };
            let reference = header["$ref"].as_str().and_then(|to| to.strip_prefix('#'));
            let place = reference.map_or_else(|| format!("{at}/headers/{written}"), str::to_owned);
            let value = match resolved(&self.document, header).pointer("/schema/type").and_then(Value::as_str)
            {
                Some("integer") => serde_json::from_str(text).unwrap_or(Value::Null),
                _ => json!(text),
            };
            let mismatch = self.mismatch(&format!("{place}/schema"), &value);
            breaches.extend(mismatch.map(|mismatch| format!("header {name}: {mismatch}")));
        }
        breaches
    }
}

impl Operation<'_> {
    /// Of the operation in the document.
    pub(crate) fn place(&self) -> String {
        let method = METHODS.get(self.at).map_or("", |(name, _)| name);
        format!("/paths/{}/{method}", escaped(self.path))
    }

    /// The schema of the request's body, if it has one.
    pub(crate) fn request(&self) -> Option<(String, &Value)> {
        const PLACE: &str = "/requestBody/content/application~1json/schema";
        Some((format!("{}{PLACE}", self.place()), self.of.pointer(PLACE)?))
    }
}

/// The thing itself where `value` is a reference.
pub(crate) fn resolved<'a>(document: &'a Value, value: &'a Value) -> &'a Value {
    let pointer = value["$ref"].as_str().and_then(|reference| reference.strip_prefix('#'));
    pointer.map_or(value, |pointer| document.pointer(pointer).unwrap_or(&Value::Null))
}

/// Every place in the document where there is a schema that others are not a part of.
fn find_schemas(value: &Value, at: &str, places: &mut Vec<String>) {
    if at == "/components/schemas" {
        let schemas = value.as_object().into_iter().flatten();
        places.extend(schemas.map(|(name, _)| format!("{at}/{}", escaped(name))));
        return;
    }
    match value {
        Value::Object(fields) => {
            for (name, field) in fields {
                let at = format!("{at}/{}", escaped(name));
                if name == "schema" { places.push(at) } else { find_schemas(field, &at, places) }
            }
        }
        Value::Array(items) => {
            for (i, item) in items.iter().enumerate() {
                find_schemas(item, &format!("{at}/{i}"), places);
            }
        }
        _ => {}
    }
}

/// A step of a JSON pointer.
fn escaped(step: &str) -> String {
    step.replace('~', "~0").replace('/', "~1")
}

fn is_at(template: &str, path: &str) -> bool {
    let (mut names, mut steps) = (template.split('/'), path.split('/'));
    loop {
        match (names.next(), steps.next()) {
            (None, None) => return true,
            (Some(name), Some(step)) if name == step => {}
            (Some(name), Some(step)) if name.starts_with('{') && !step.is_empty() => {}
            _ => return false,
        }
    }
}

/// Writes what OpenAPI 3.0 has of its own in the words of draft 4, and closes every object whose fields are declared.
fn to_draft_4(value: &mut Value) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(to_draft_4),
        Value::Object(fields) => {
            fields.values_mut().for_each(to_draft_4);
            if fields.get("type") == Some(&json!("object")) && fields.contains_key("properties") {
                fields.entry("additionalProperties").or_insert(json!(false));
            }
            if fields.remove("nullable") == Some(json!(true)) {
                let schema = std::mem::take(fields);
                *value = json!({"anyOf": [{"type": "null"}, schema]});
            }
        }
        _ => {}
    }
}

/// A document of one operation.
fn small() -> Result<Contract, Failure> {
    Contract::of(json!({
        "paths": {"/api/v1/things/{id}": {"get": {"responses": {"200": {
            "headers": {"X-Amply-Count": {"$ref": "#/components/headers/Count"}},
            "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Thing"}}}
        }, "204": {}}}}},
        "components": {
            "headers": {"Count": {"schema": {"type": "integer", "minimum": 1}}},
            "schemas": {
                "Thing": {"type": "object", "required": ["id"], "properties": {
                    "id": {"type": "string", "format": "uuid"},
                    "part": {"$ref": "#/components/schemas/Part"},
                    "any": {"description": "Anything", "nullable": true}
                }},
                "Part": {"type": "object", "properties": {
                    "share": {"type": "number", "minimum": 0, "exclusiveMinimum": true, "nullable": true}
                }}
            }
        }
    }))
}

fn breaches(status: u16, header: &str, body: &str) -> Result<Vec<String>, Failure> {
    let contract = small()?;
    let operation = contract.operation("GET", "/api/v1/things/a?b=c").ok_or("no operation")?;
    let kind = ("content-type".to_owned(), "application/json".to_owned());
    let headers = vec![kind, ("x-amply-count".to_owned(), header.to_owned())];
    Ok(contract.breaches(operation, &Answer { status, headers, body: body.to_owned() }))
}

#[test]
fn a_contract_is_broken_by_whatever_it_does_not_have() -> Result<(), Failure> {
    const ID: &str = "0b1f6f6e-3f0c-4f6e-9a52-2f6a0f0f3c11";
    let thing = |more: &str| format!(r#"{{"id": "{ID}"{more}}}"#);
    for kept in
        ["", r#", "part": {"share": 0.5}"#, r#", "part": {"share": null}, "any": [1]"#, r#", "any": null"#]
    {
        assert_eq!(breaches(200, "1", &thing(kept))?, Vec::<String>::new(), "{kept}");
    }
    for (status, header, body, said) in [
        (201, "1", thing(""), "not declared"),
        (204, "1", String::new(), "header x-amply-count is not declared"),
        (200, "0", thing(""), "header x-amply-count"),
        (200, "one", thing(""), "header x-amply-count"),
        (200, "1", "{}".to_owned(), "missing properties 'id'"),
        (200, "1", r#"{"id": "x"}"#.to_owned(), "uuid"),
        (200, "1", thing(r#", "more": 1"#), "additionalProperties 'more'"),
        (200, "1", thing(r#", "part": {"more": 1}"#), "additionalProperties 'more'"),
        (200, "1", thing(r#", "part": {"share": 0}"#), "share"),
        (200, "1", thing(r#", "part": null"#), "part"),
        (200, "1", thing(",").clone(), "no JSON"),
        (200, "1", String::new(), "no JSON"),
    ] {
        let found = breaches(status, header, &body)?.join("\n");
        assert!(found.contains(said), "{status} {header} {body}: {found}");
    }
    Ok(())
}

#[test]
fn a_schema_that_is_none_makes_no_contract() {
    for schema in
        [json!({"type": "objekt"}), json!({"minimum": "0"}), json!({"$ref": "#/components/schemas/Nothing"})]
    {
        let document = json!({"paths": {}, "components": {"schemas": {"A": schema}}});
        assert!(Contract::of(document).is_err());
    }
}
