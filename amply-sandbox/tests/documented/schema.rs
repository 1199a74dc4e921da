//! A value against a schema of the kind that the sandbox's OpenAPI document has. Closed: a field that is not declared is wrong.

use serde_json::{Map, Value};

/// What in `value` is not as `schema` says; `document` is where references lead.
pub(crate) fn mismatches(document: &Value, schema: &Value, value: &Value) -> Vec<String> {
    let mut wrong = Vec::new();
    check(document, schema, value, "", &mut wrong);
    wrong
}

/// The thing itself where `value` is a reference.
pub(crate) fn resolved<'a>(document: &'a Value, value: &'a Value) -> &'a Value {
    let pointer = value["$ref"].as_str().and_then(|reference| reference.strip_prefix('#'));
    pointer.map_or(value, |pointer| document.pointer(pointer).unwrap_or(&Value::Null))
}

fn check(document: &Value, schema: &Value, value: &Value, at: &str, wrong: &mut Vec<String>) {
    let schema = resolved(document, schema);
    let Some(schema) = schema.as_object().filter(|schema| !schema.is_empty()) else {
        wrong.push(format!("{at}: no schema"));
        return;
    };
    if let Some(alternatives) = schema.get("anyOf").and_then(Value::as_array) {
        let all = alternatives.iter().map(|one| {
            let mut wrong = Vec::new();
            check(document, one, value, at, &mut wrong);
            wrong
        });
        // Of those that do not fit the closest, which says best what is wrong.
        wrong.extend(all.min_by_key(Vec::len).unwrap_or_default());
        return;
    }
    if value.is_null() {
        if schema.get("nullable") != Some(&Value::Bool(true)) {
            wrong.push(format!("{at}: null"));
        }
        return;
    }
    if let Some(allowed) = schema.get("enum").and_then(Value::as_array)
        && !allowed.contains(value)
    {
        wrong.push(format!("{at}: {value} is not in the enumeration"));
    }
    let number = value.as_f64();
    let is_beyond = |bound: &str, beyond: fn(f64, f64) -> bool| {
        let bound = schema.get(bound).and_then(Value::as_f64);
        number.zip(bound).is_some_and(|(number, bound)| beyond(number, bound))
    };
    if is_beyond("minimum", |number, least| number < least)
        || is_beyond("maximum", |number, most| number > most)
    {
        wrong.push(format!("{at}: {value} is out of range"));
    }
    let fits = match schema.get("type").and_then(Value::as_str) {
        Some("object") => {
            object(document, schema, value, at, wrong);
            value.is_object()
        }
        Some("array") => {
            for (i, item) in value.as_array().into_iter().flatten().enumerate() {
                let items = schema.get("items").unwrap_or(&Value::Null);
                check(document, items, item, &format!("{at}/{i}"), wrong);
            }
            value.is_array()
        }
        Some("string") => value.is_string(),
        Some("boolean") => value.is_boolean(),
        Some("integer") => value.is_i64() || value.is_u64(),
        Some("number") => value.is_number(),
        // A type that the document has not needed so far: teach it here.
        Some(_) => false,
        None => true,
    };
    if !fits {
        wrong.push(format!("{at}: {value} is of another type"));
    }
}

fn object(document: &Value, schema: &Map<String, Value>, value: &Value, at: &str, wrong: &mut Vec<String>) {
    let Some(fields) = value.as_object() else { return };
    for name in schema.get("required").and_then(Value::as_array).into_iter().flatten() {
        if !name.as_str().is_some_and(|name| fields.contains_key(name)) {
            wrong.push(format!("{at}: {name} is missing"));
        }
    }
    let properties = schema.get("properties").and_then(Value::as_object);
    let others = schema.get("additionalProperties");
    if properties.is_none() && others.is_none() {
        return;
    }
    for (name, field) in fields {
        let declared = properties.and_then(|properties| properties.get(name)).or(others);
        check(document, declared.unwrap_or(&Value::Null), field, &format!("{at}/{name}"), wrong);
    }
}
