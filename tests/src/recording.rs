//! The exchanges recorded from a server 3.1.12, and how one of them is served again.

use std::collections::BTreeMap;
use std::fs;

use indexmap::IndexMap;
use serde::Deserialize;
use serde_json::value::RawValue;
use wiremock::matchers::{method, path};
use wiremock::{Mock, MockServer, ResponseTemplate};

use crate::json::Json;
use crate::{answer, root};

/// Headers that belong to a connection and not to an answer, and those that say how long the body is.
const NOT_SERVED: [&str; 5] = ["content-length", "transfer-encoding", "connection", "keep-alive", "date"];

/// One exchange.
#[derive(Deserialize)]
pub struct Recording {
    /// What was asked.
    pub request: Request,
    /// What was answered.
    pub response: Response,
}

/// What was asked.
#[derive(Deserialize)]
pub struct Request {
    /// The HTTP method.
    pub method: String,
    /// The path on the server.
    pub path: String,
    headers: IndexMap<String, String>,
    body: Box<RawValue>,
}

/// What was answered.
#[derive(Deserialize)]
pub struct Response {
    /// The HTTP status.
    pub status: u16,
    headers: IndexMap<String, String>,
    body: Box<RawValue>,
}

/// All recordings, by name without `.json`, with the tasks that are shortened in the files at their full length.
pub fn recordings() -> BTreeMap<String, Recording> {
    let files = fs::read_dir(root().join("tests/fixtures/server-3.1.12")).unwrap();
    let read = |file: fs::DirEntry| {
        let name = file.path().file_stem().unwrap().to_string_lossy().into_owned();
        let mut recording: Recording =
            serde_json::from_str(&fs::read_to_string(file.path()).unwrap()).unwrap();
        if let Some(task) = full_task(&name) {
            let body = format!(r#"{{"task":"{task}"}}"#);
            recording.request.body = RawValue::from_string(body).unwrap();
        }
        (name, recording)
    };
    files.map(|file| read(file.unwrap())).collect()
}

/// The task that a recording's note tells of.
fn full_task(name: &str) -> Option<String> {
    match name {
        "open-route-task-8000" => Some("a".repeat(8000)),
        "open-400-task-8001" => Some("a".repeat(8001)),
        "open-400-task-4001-emoji" => Some("\u{1f680}".repeat(4001)),
        _ => None,
    }
}

impl Request {
    /// The body as it was sent; none where there was none.
    pub fn body(&self) -> Option<String> {
        match self.body.get() {
            "null" => None,
            text if text.starts_with('"') => Some(serde_json::from_str(text).unwrap()),
            json => Some(json.to_owned()),
        }
    }

    /// The body, where it was JSON.
    pub fn json(&self) -> Option<Json> {
        Json::parse(&self.body()?).ok()
    }

    /// The key of a Bearer header, if there was one.
    pub fn key(&self) -> Option<&str> {
        let (scheme, key) = header(&self.headers, "authorization")?.split_once(' ')?;
        (scheme.eq_ignore_ascii_case("bearer") && !key.is_empty()).then_some(key)
    }

    /// The headers with a meaning: those of the connection, the length and the recorder's name left out.
    pub fn headers(&self) -> impl Iterator<Item = (&str, &str)> {
        let technical = ["host", "connection", "content-length", "user-agent"];
        let headers = self.headers.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        headers.filter(move |(name, _)| !technical.contains(&name.to_ascii_lowercase().as_str()))
    }
}

impl Response {
    /// The body, byte for byte.
    pub fn body(&self) -> String {
        match self.body.get() {
            text if text.starts_with('"') => serde_json::from_str(text).unwrap(),
            json => json.to_owned(),
        }
    }

    /// The body, where it is a JSON object.
    pub fn json(&self) -> Option<Json> {
        Json::parse(self.body.get()).ok().filter(|body| matches!(body, Json::Object(_)))
    }

    /// A header.
    pub fn header(&self, name: &str) -> Option<&str> {
        header(&self.headers, name)
    }

    /// The headers that belong to the answer itself.
    fn served(&self) -> impl Iterator<Item = (&str, &str)> {
        let headers = self.headers.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        headers.filter(|(name, _)| !NOT_SERVED.contains(&name.to_ascii_lowercase().as_str()))
    }

    /// The answer, byte for byte, for a server of scripts to give, with another body where one is named.
    pub fn bytes(&self, body: Option<&str>) -> Vec<u8> {
        let headers: String = self.served().map(|(name, value)| format!("\r\n{name}: {value}")).collect();
        let body = body.map_or_else(|| self.body(), str::to_owned);
        answer(&format!("{} Recorded{headers}", self.status), &body)
    }

    /// The answer for a server to give.
    pub fn template(&self) -> ResponseTemplate {
        let mut template = ResponseTemplate::new(self.status).set_body_bytes(self.body());
        for (name, value) in self.served() {
            template = template.insert_header(name, value);
        }
        template
    }
}

impl Recording {
    /// A server that gives the recorded answer to the recorded method and path, and to no others.
    pub async fn serve(&self) -> MockServer {
        let server = MockServer::start().await;
        self.mount(&server).await;
        server
    }

    /// Adds the recorded answer to a server.
    pub async fn mount(&self, server: &MockServer) {
        let asked = Mock::given(method(self.request.method.as_str())).and(path(self.request.path.as_str()));
        asked.respond_with(self.response.template()).mount(server).await;
    }
}

fn header<'a>(headers: &'a IndexMap<String, String>, name: &str) -> Option<&'a str> {
    headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
}
