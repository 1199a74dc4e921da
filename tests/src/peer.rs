//! The reference servers of the open x402 protocol in a process of Node, and what a test asks of them.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use amply_sdk::{Client, Method};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

/// Where `cargo xtask x402-peer` has put the server and its packages.
const FOLDER: &str = "AMPLY_X402_PEER";

/// For the packages to be loaded.
const PATIENCE: Duration = Duration::from_secs(120);

/// A server of each version, with the facilitator that both ask. They end with this.
pub struct Peer {
    node: Child,
    listens: Listens,
    control: Client,
}

#[derive(Deserialize)]
struct Listens {
    v1: String,
    v2: String,
    facilitator: String,
}

/// What came to the servers and to the facilitator.
#[derive(Debug, Deserialize)]
pub struct Seen {
    /// The payments that were taken.
    pub settled: Vec<Authorization>,
    /// How often a payment was to be verified.
    pub verified: usize,
    /// Why some were not good.
    pub refused: Vec<String>,
    /// How often a payment was to be taken.
    pub settles: usize,
    /// How often a route was made.
    pub runs: usize,
    /// The headers that carried a payment.
    pub payments: Vec<Value>,
}

/// What was signed.
#[derive(Debug, Deserialize)]
pub struct Authorization {
    /// Who pays.
    pub from: String,
    /// Who is paid.
    pub to: String,
    /// How much, in the token's units.
    pub value: String,
    /// What makes it the only one of its kind.
    pub nonce: String,
}

impl Peer {
    /// Starts the servers.
    pub fn start() -> Self {
        let folder = std::env::var_os(FOLDER)
            .unwrap_or_else(|| panic!("{FOLDER} is not set; start this test by `cargo xtask x402-peer`"));
        let mut node = Command::new("node");
        let mut node = node
            .arg("server.mjs")
            .current_dir(folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut output = BufReader::new(node.stdout.take().unwrap());
        let (tell, told) = mpsc::channel();
        std::thread::spawn(move || {
            let mut line = String::new();
            // The test may have given up.
            let _ = output.read_line(&mut line).map(|_| tell.send(line));
            drain(output);
        });
        let line = told.recv_timeout(PATIENCE).expect("the servers of the peer start");
        let listens: Listens =
            serde_json::from_str(&line).expect("the servers of the peer tell where they are");
        let control = Client::builder().base_url(format!("{}/test", listens.facilitator)).build().unwrap();
        Self { node, listens, control }
    }

    /// The origin of the server of a version, 1 or 2.
    pub fn origin(&self, version: u8) -> &str {
        if version == 1 { &self.listens.v1 } else { &self.listens.v2 }
    }

    /// What happens to the payments from now on.
    pub async fn mode(&self, mode: &str) {
        let _: Value = self.ask("/mode", &json!({ "mode": mode })).await;
    }

    /// Sends the last payment to the server of a version once more, as somebody would who has got hold of it.
    pub async fn replay(&self, version: u8) -> u64 {
        let answer: Value = self.ask("/replay", &json!({ "origin": self.origin(version) })).await;
        answer.get("status").unwrap().as_u64().unwrap()
    }

    /// What has come so far.
    pub async fn seen(&self) -> Seen {
        self.ask("/seen", &json!({})).await
    }

    async fn ask<T: DeserializeOwned>(&self, path: &str, body: &Value) -> T {
        let answer: Value = self.control.request(Method::POST, path, Some(body)).await.unwrap();
        serde_json::from_value(answer).unwrap()
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.node.kill();
        let _ = self.node.wait();
    }
}

/// What it says besides is for nobody, but it must not wait for a reader.
fn drain(output: impl BufRead) {
    for line in output.lines() {
        let Ok(_) = line else { return };
    }
}
