//! Signups by the library and by the command, and everything that is ever seen of one that failed.

use std::error::Error as _;

use amply_sandbox::{Sandbox, SandboxBuilder};
use amply_sdk::{Client, Error};
use serde_json::Value;

use crate::{Act, Finished, Scripted, amply, answer};

/// The version of the sandbox's terms.
pub const TERMS: &str = "2026-11-01";
/// A token that a server may ask of a signup.
pub const TOKEN: &str = "hidden-token-1";
/// A key as one looks.
pub const KEY: &str = "amply_sk_Ab3_-xYzAb3_-xYzAb3_-xYzAb3_-xYz";

/// A server that takes signups.
pub async fn taking_signups() -> Sandbox {
    started(Sandbox::builder().agent_signup(true)).await
}

/// A server.
pub async fn started(builder: SandboxBuilder) -> Sandbox {
    builder.start().await.unwrap()
}

/// A client without a key.
pub fn client_of(url: &str) -> Client {
    Client::builder().base_url(url).build().unwrap()
}

/// A server whose `/status` takes signups, and that answers the signup so.
pub fn answering_signups(head: &str, body: &str) -> Scripted {
    let status = format!(
        r#"{{"diagnostics":{{"agent_signup":{{"enabled":true,"requires_shared_secret":true,"tos_version":"{TERMS}"}}}}}}"#
    );
    let json = |head: &str, body: &str| {
        Act::Send(answer(&format!("{head}\r\nContent-Type: application/json\r\nConnection: close"), body))
    };
    Scripted::following(vec![vec![json("200 OK", &status)], vec![json(head, body)]])
}

/// Whatever a person or a log sees of an error: the sentence, `Debug` of all of it, and the causes.
pub fn shown(error: &Error) -> String {
    let mut seen = format!("{error} {error:?} {error:#?} {:?}", error.body().map(String::from_utf8_lossy));
    let mut cause = error.source();
    while let Some(next) = cause {
        seen.push_str(&format!(" {next} {next:?}"));
        cause = next.source();
    }
    seen
}

/// `amply signup`.
pub fn signup(arguments: &[&str], variables: &[(&str, &str)], stdin: &[u8]) -> Finished {
    amply(&[&["signup"], arguments].concat(), variables, stdin)
}

/// What a command printed.
pub fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}
