//! Where a server's own document and this client differ. This file compares and decides; it asks nobody.

use std::cell::Cell;
use std::fmt;

use indexmap::IndexMap;
use serde::Serialize;

use crate::contract::{self, Sent, Spoken};
use crate::text::printable;
use crate::wire::{OpenApi, RawJson, Shape, read};

/// How deep schemas may lie within each other, and how many are looked at for one value: a document comes from elsewhere.
const DEEPEST: u32 = 24;
const MOST: u32 = 5_000;

/// The methods that an endpoint of the API may have.
const METHODS: [&str; 5] = ["delete", "get", "patch", "post", "put"];

/// One way in which a server's document and this client differ; see [`OpenApi::drift`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Drift {
    /// Method and path below the base URL, such as `POST /route`.
    pub endpoint: String,
    /// Which part of it differs.
    pub place: DriftPlace,
    /// The field; `None` where it is the whole part. A dot leads into a field's own fields, `[]` into the items of a list, `{}`
    /// into the values of an object whose names are data.
    pub field: Option<String>,
    /// How it differs.
    pub kind: DriftKind,
}

/// The part of an endpoint that a [`Drift`] is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum DriftPlace {
    /// All of it.
    Endpoint,
    /// The query of the URL.
    Query,
    /// The body that is sent.
    Request,
    /// The body of a successful answer.
    Answer,
}

/// How a document and this client differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum DriftKind {
    /// This client speaks of it, and the document does not.
    MissingThere,
    /// The document speaks of it, and this client does not.
    MissingHere,
    /// The document requires it, and this client may leave it out.
    RequiredThere,
    /// This client always sends it, and the document does not require it.
    OptionalThere,
    /// The document does not say which fields there are.
    NotDescribed,
}

impl Drift {
    /// Whether a call may fail over it, or say less than it could. What is none is worth a note at most: a field of an
    /// answer that has no name here is in `extra`, and what is not described cannot be compared.
    pub fn is_difference(&self) -> bool {
        match self.kind {
            DriftKind::MissingThere | DriftKind::RequiredThere => true,
            DriftKind::MissingHere => self.place != DriftPlace::Answer,
            DriftKind::OptionalThere | DriftKind::NotDescribed => false,
        }
    }
}

/// In a sentence, without the endpoint: ``the request's `task` is not in the document``.
impl fmt::Display for Drift {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let part = match self.place {
            DriftPlace::Endpoint => "the endpoint",
            DriftPlace::Query => "the query",
            DriftPlace::Request => "the request",
            DriftPlace::Answer => "the answer",
        };
        match &self.field {
            Some(field) => write!(f, "{part}'s `{}`", printable(field))?,
            None => f.write_str(part)?,
        }
        f.write_str(match self.kind {
            DriftKind::MissingThere => " is not in the document",
            DriftKind::MissingHere => " is not known to this client",
            DriftKind::RequiredThere => " is required by the document, and not always sent",
            DriftKind::OptionalThere => " is always sent, and the document does not require it",
            DriftKind::NotDescribed => " is not described field by field",
        })
    }
}

impl OpenApi {
    /// Compares this document with what this client sends and reads, by endpoint and field name: first the endpoints that it
    /// speaks with, then those that only the document has.
    ///
    /// References within the document are followed; `allOf`, `oneOf` and `anyOf` count with all their fields. Types, headers
    /// and errors are not compared.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let sandbox = amply_sandbox::Sandbox::builder().start().await?;
    /// # let client = amply_sdk::Client::builder().base_url(sandbox.url()).build()?;
    /// let document = client.openapi().await?;
    /// let differences = document.drift().into_iter().filter(|drift| drift.is_difference());
    /// for drift in differences {
    ///     println!("{}: {drift}", drift.endpoint);
    /// }
    /// # Ok(()) }
    /// ```
    pub fn drift(&self) -> Vec<Drift> {
        let document = Document::new(self);
        let mut found = Vec::new();
        for spoken in contract::ALL {
            let mut about = About { endpoint: spoken.name(), found: &mut found };
            match document.operation(spoken) {
                None => about.note(DriftPlace::Endpoint, None, DriftKind::MissingThere),
                Some(operation) => document.compare(spoken, operation, &mut about),
            }
        }
        for (method, path) in document.operations.keys() {
            let endpoint = format!("{method} {path}");
            let is_known = contract::ALL.iter().any(|spoken| is_of(spoken, method, path));
            if !is_known {
                About { endpoint, found: &mut found }.note(
                    DriftPlace::Endpoint,
                    None,
                    DriftKind::MissingHere,
                );
            }
        }
        found
    }
}

/// What is found about one endpoint.
struct About<'a> {
    endpoint: String,
    found: &'a mut Vec<Drift>,
}

impl About<'_> {
    fn note(&mut self, place: DriftPlace, field: Option<&str>, kind: DriftKind) {
        let (endpoint, field) = (self.endpoint.clone(), field.map(str::to_owned));
        self.found.push(Drift { endpoint, place, field, kind });
    }
}

type Members = IndexMap<String, RawJson>;

struct Document {
    /// By method, in capitals, and path below the base.
    operations: IndexMap<(String, String), Members>,
    components: IndexMap<String, Members>,
    /// How many schemas may still be looked at for this value.
    left: Cell<u32>,
}

/// What one or more schemas say of a value, together.
#[derive(Default)]
struct Described {
    properties: IndexMap<String, Vec<RawJson>>,
    required: Vec<String>,
    items: Vec<RawJson>,
    values: Vec<RawJson>,
}

impl Document {
    fn new(document: &OpenApi) -> Self {
        let mut operations = IndexMap::new();
        for (path, item) in &document.paths {
            let item = members(item);
            for method in METHODS {
                let Some(mut operation) = item.get(method).and_then(read::<Members>) else { continue };
                // Those of all methods count for each.
                if let Some(parameters) = item.get("parameters") {
                    operation.insert("parameters of the path".to_owned(), parameters.clone());
                }
                operations.insert((method.to_ascii_uppercase(), below_base(path)), operation);
            }
        }
        let components = document.extra.get("components").map(members).unwrap_or_default();
        let components = components.into_iter().map(|(name, group)| (name, members(&group))).collect();
        Self { operations, components, left: Cell::default() }
    }

    fn operation(&self, spoken: &Spoken) -> Option<&Members> {
        let mut all = self.operations.iter();
        all.find(|((method, path), _)| is_of(spoken, method, path)).map(|(_, operation)| operation)
    }

    fn compare(&self, spoken: &Spoken, operation: &Members, about: &mut About<'_>) {
        let query = self.query(operation);
        for sent in spoken.query {
            match query.get(sent.name) {
                None => about.note(DriftPlace::Query, Some(sent.name), DriftKind::MissingThere),
                Some(required) => requirement(*sent, *required, DriftPlace::Query, about),
            }
        }
        for name in query.keys() {
            if spoken.query.iter().all(|sent| sent.name != name) {
                about.note(DriftPlace::Query, Some(name), DriftKind::MissingHere);
            }
        }
        match operation.get("requestBody") {
            Some(body) => self.request(&self.schemas(body), spoken.sends, "", about),
            None if !spoken.sends.is_empty() => {
                about.note(DriftPlace::Request, None, DriftKind::MissingThere)
            }
            None => {}
        }
        let shape = (spoken.reads)();
        if shape != Shape::Value {
            self.answer(&self.answers(operation), &shape, "", about);
        }
    }

    /// The parameters of the query, and whether each is required.
    fn query(&self, operation: &Members) -> IndexMap<String, bool> {
        let mut query = IndexMap::new();
        for group in ["parameters of the path", "parameters"] {
            for parameter in operation.get(group).and_then(read::<Vec<RawJson>>).unwrap_or_default() {
                let parameter = self.resolved(&parameter);
                let word = |name: &str| parameter.get(name).and_then(read::<String>);
                if let (Some("query"), Some(name)) = (word("in").as_deref(), word("name")) {
                    query.insert(name, parameter.get("required").and_then(read::<bool>) == Some(true));
                }
            }
        }
        query
    }

    /// The schemas of the first success that is documented.
    fn answers(&self, operation: &Members) -> Vec<RawJson> {
        let responses = operation.get("responses").map(members).unwrap_or_default();
        let success = responses.iter().find(|(status, _)| status.starts_with('2'));
        let success = success.map(|(_, response)| response).or_else(|| responses.get("default"));
        success.map(|response| self.schemas(response)).unwrap_or_default()
    }

    /// The schemas of a body, as JSON.
    fn schemas(&self, body: &RawJson) -> Vec<RawJson> {
        let content = self.resolved(body).get("content").map(members).unwrap_or_default();
        let json = content.iter().find(|(kind, _)| kind.contains("json"));
        json.and_then(|(_, body)| members(body).swap_remove("schema")).into_iter().collect()
    }

    fn request(&self, schemas: &[RawJson], sends: &[Sent], at: &str, about: &mut About<'_>) {
        let described = self.described(schemas);
        let below = |sent: &&Sent| sent.name.strip_prefix(at).is_some_and(|name| !name.contains('.'));
        if described.properties.is_empty() {
            if !sends.is_empty() && at.is_empty() {
                about.note(DriftPlace::Request, None, DriftKind::NotDescribed);
            }
            return;
        }
        for sent in sends.iter().filter(below) {
            let name = sent.name.strip_prefix(at).unwrap_or(sent.name);
            let Some(schemas) = described.properties.get(name) else {
                about.note(DriftPlace::Request, Some(sent.name), DriftKind::MissingThere);
                continue;
            };
            let required = described.required.iter().any(|required| required == name);
            requirement(*sent, required, DriftPlace::Request, about);
            let within = format!("{}.", sent.name);
            if sends.iter().any(|other| other.name.starts_with(&within)) {
                self.request(schemas, sends, &within, about);
            }
        }
        for name in described.properties.keys() {
            let name = format!("{at}{name}");
            if sends.iter().all(|sent| sent.name != name) {
                about.note(DriftPlace::Request, Some(&name), DriftKind::MissingHere);
            }
        }
    }

    fn answer(&self, schemas: &[RawJson], shape: &Shape, at: &str, about: &mut About<'_>) {
        let described = self.described(schemas);
        let known = match shape {
            Shape::Value => return,
            Shape::List(shape) => return self.answer(&described.items, shape, &format!("{at}[]"), about),
            Shape::Map(shape) => return self.answer(&described.values, shape, &format!("{at}{{}}"), about),
            Shape::Object(known) => known,
        };
        if described.properties.is_empty() {
            if at.is_empty() {
                about.note(DriftPlace::Answer, None, DriftKind::NotDescribed);
            }
            return;
        }
        let path = |name: &str| if at.is_empty() { name.to_owned() } else { format!("{at}.{name}") };
        for field in known {
            let there: Vec<_> =
                field.names.iter().filter_map(|name| described.properties.get(name)).collect();
            match (there.as_slice(), field.names.first()) {
                ([], Some(name)) if !field.is_guess => {
                    about.note(DriftPlace::Answer, Some(&path(name)), DriftKind::MissingThere);
                }
                ([schemas, ..], Some(name)) => self.answer(schemas, &field.shape, &path(name), about),
                _ => {}
            }
        }
        for name in described.properties.keys() {
            if known.iter().all(|field| !field.names.contains(name)) {
                about.note(DriftPlace::Answer, Some(&path(name)), DriftKind::MissingHere);
            }
        }
    }

    fn described(&self, schemas: &[RawJson]) -> Described {
        let mut described = Described::default();
        self.left.set(MOST);
        for schema in schemas {
            self.gather(schema, 0, &mut described);
        }
        described
    }

    fn gather(&self, schema: &RawJson, depth: u32, into: &mut Described) {
        let left = self.left.get();
        if depth > DEEPEST || left == 0 {
            return;
        }
        self.left.set(left - 1);
        let mut schema = members(schema);
        if let Some(target) = schema.get("$ref").and_then(|name| self.referred(name)) {
            self.gather(&target, depth + 1, into);
        }
        for (name, property) in schema.get("properties").map(members).unwrap_or_default() {
            into.properties.entry(name).or_default().push(property);
        }
        into.required.extend(schema.get("required").and_then(read::<Vec<String>>).unwrap_or_default());
        into.items.extend(schema.swap_remove("items"));
        into.values.extend(schema.swap_remove("additionalProperties"));
        let list = |name: &str| schema.get(name).and_then(read::<Vec<RawJson>>).unwrap_or_default();
        for part in list("allOf") {
            self.gather(&part, depth + 1, into);
        }
        for group in [list("oneOf"), list("anyOf")] {
            // What every choice requires is required.
            let mut required: Option<Vec<String>> = None;
            for choice in &group {
                let mut described = Described::default();
                self.gather(choice, depth + 1, &mut described);
                if members(choice).get("type").and_then(read::<String>).is_some_and(|kind| kind == "null") {
                    continue;
                }
                required = Some(match required {
                    None => described.required,
                    Some(all) => all.into_iter().filter(|name| described.required.contains(name)).collect(),
                });
                for (name, schemas) in described.properties {
                    into.properties.entry(name).or_default().extend(schemas);
                }
                into.items.extend(described.items);
                into.values.extend(described.values);
            }
            into.required.extend(required.unwrap_or_default());
        }
    }

    /// What a reference within the document names.
    fn referred(&self, reference: &RawJson) -> Option<RawJson> {
        let path = read::<String>(reference)?;
        let (group, name) = path.strip_prefix("#/components/")?.split_once('/')?;
        let name = name.replace("~1", "/").replace("~0", "~");
        self.components.get(group)?.get(&name).cloned()
    }

    /// The members of an object that may be a reference to one, or to a reference.
    fn resolved(&self, object: &RawJson) -> Members {
        let mut found = members(object);
        for _ in 0..DEEPEST {
            match found.get("$ref").and_then(|reference| self.referred(reference)) {
                Some(target) => found = members(&target),
                None => break,
            }
        }
        found
    }
}

fn requirement(sent: Sent, required: bool, place: DriftPlace, about: &mut About<'_>) {
    match (sent.is_always, required) {
        (false, true) => about.note(place, Some(sent.name), DriftKind::RequiredThere),
        (true, false) => about.note(place, Some(sent.name), DriftKind::OptionalThere),
        _ => {}
    }
}

fn members(object: &RawJson) -> Members {
    read(object).unwrap_or_default()
}

/// The path without the base that documents of this API write before it.
fn below_base(path: &str) -> String {
    match path.strip_prefix("/api/v1") {
        Some(rest) if rest.starts_with('/') => rest.to_owned(),
        _ => path.to_owned(),
    }
}

/// Whether it is this endpoint. Names of parameters of the path do not count.
fn is_of(spoken: &Spoken, method: &str, path: &str) -> bool {
    let ours = format!("{}{}", spoken.endpoint.path, spoken.tail);
    let same =
        |(ours, theirs): (&str, &str)| ours == theirs || ours.starts_with('{') && theirs.starts_with('{');
    spoken.endpoint.method.as_str() == method
        && ours.split('/').count() == path.split('/').count()
        && ours.split('/').zip(path.split('/')).all(same)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drift(paths: &str, components: &str) -> Vec<String> {
        let text = format!(r##"{{"paths":{{{paths}}},"components":{{"schemas":{{{components}}}}}}}"##);
        let document: OpenApi = serde_json::from_str(&text).unwrap();
        let is_of_interest =
            |drift: &Drift| !(drift.kind == DriftKind::MissingThere && drift.field.is_none());
        let found = document.drift().into_iter().filter(is_of_interest);
        found
            .map(|drift| {
                format!("{} {}{drift}", drift.endpoint, if drift.is_difference() { "! " } else { "" })
            })
            .collect()
    }

    fn report(schema: &str) -> String {
        format!(
            r##""/api/v1/route/outcome":{{"post":{{"requestBody":{{"content":{{"application/json":{{"schema":{schema}}}}}}},
               "responses":{{"200":{{"content":{{"application/json":{{"schema":{{"properties":{{"received":{{}}}}}}}}}}}}}}}}}}"##
        )
    }

    #[test]
    fn an_operation_without_a_body_takes_nothing_of_what_is_sent() {
        let document: OpenApi = serde_json::from_str(r#"{"paths":{"/api/v1/route":{"post":{}}}}"#).unwrap();
        let request = document
            .drift()
            .into_iter()
            .find(|drift| drift.endpoint == "POST /route" && drift.place == DriftPlace::Request)
            .unwrap();
        assert!(request.is_difference());
        assert_eq!(request.to_string(), "the request is not in the document");
    }

    #[test]
    fn an_empty_document_lacks_every_endpoint_and_one_more_is_not_known() {
        let empty: OpenApi = serde_json::from_str("{}").unwrap();
        let found = empty.drift();
        assert_eq!(found.len(), contract::ALL.len());
        assert!(found.iter().all(|drift| drift.kind == DriftKind::MissingThere && drift.is_difference()));
        assert_eq!(
            drift(r#""/api/v1/mint":{"post":{},"head":{}}"#, ""),
            ["POST /mint ! the endpoint is not known to this client"]
        );
    }

    #[test]
    fn fields_of_a_request_are_compared_through_references_and_choices() {
        let whole = r##"{"allOf":[{"$ref":"#/components/schemas/A"},{"oneOf":[{"$ref":"#/components/schemas/B"},
            {"properties":{"outcome":{}},"required":["outcome"]}]}]}"##;
        let schemas = r#""A":{"properties":{"request_id":{},"provider_id":{}},"required":["request_id","provider_id"]},
            "B":{"properties":{"outcome":{}},"required":["outcome"]}"#;
        assert_eq!(drift(&report(whole), schemas), Vec::<String>::new());
        let other =
            r#"{"properties":{"request_id":{},"outcome":{},"region":{}},"required":["request_id","region"]}"#;
        assert_eq!(
            drift(&report(other), ""),
            [
                "POST /route/outcome ! the request's `provider_id` is not in the document",
                "POST /route/outcome the request's `outcome` is always sent, and the document does not require it",
                "POST /route/outcome ! the request's `region` is not known to this client",
            ]
        );
        assert_eq!(
            drift(&report("{}"), ""),
            ["POST /route/outcome the request is not described field by field"]
        );
    }

    #[test]
    fn fields_of_an_answer_are_compared_within_lists() {
        let health = r#""/health":{"get":{"responses":{"200":{"content":{"application/json":{"schema":{"properties":{
            "ok":{},"as_of":{},"request_id":{},"compute_ms":{},"providers":{"items":{"properties":{"provider_id":{},"state":{},
            "last_probe_at":{},"region":{}}}}}}}}}}}}"#;
        assert_eq!(
            drift(health, ""),
            [
                "GET /health ! the answer's `providers[].latency_ms` is not in the document",
                "GET /health the answer's `providers[].region` is not known to this client",
            ]
        );
    }

    #[test]
    fn a_query_that_is_required_there_or_gone_is_said() {
        let audit = |parameters: &str| {
            let paths = format!(r#""/route/audit":{{"parameters":[{parameters}],"get":{{}}}}"#);
            drift(&paths, "").into_iter().filter(|line| line.contains("query")).collect::<Vec<_>>()
        };
        assert!(audit(r#"{"in":"query","name":"request_id","required":true}"#).is_empty());
        assert_eq!(audit(r#"{"in":"header","name":"request_id"}"#).len(), 1);
        assert_eq!(
            audit(r#"{"in":"query","name":"request_id","required":true},{"in":"query","name":"proof"}"#),
            ["GET /route/audit ! the query's `proof` is not known to this client"]
        );
    }

    #[test]
    fn a_document_that_refers_to_itself_or_grows_without_end_is_read_to_an_end() {
        let schemas = r##""A":{"allOf":[{"$ref":"#/components/schemas/A"},{"$ref":"#/components/schemas/A"},{"$ref":"#/components/schemas/A"}]}"##;
        assert_eq!(drift(&report(r##"{"$ref":"#/components/schemas/A"}"##), schemas).len(), 1);
    }
}
