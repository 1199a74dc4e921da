//! A server, a store, and the command that reports to the one and keeps in the other.

use amply_sandbox::{ReportedOutcome, Sandbox, SandboxBuilder};
use serde_json::Value;

use crate::{Finished, Running, TempFolder, Terminal, amply, bin_dir};

/// Where a command finds a server, a key and a store.
pub struct Stage {
    /// The server.
    pub sandbox: Sandbox,
    /// For the files of the test.
    pub folder: TempFolder,
}

impl Stage {
    /// With a server as it is by default.
    pub async fn new() -> Self {
        Self::of(Sandbox::builder()).await
    }

    /// With a server of these settings.
    pub async fn of(builder: SandboxBuilder) -> Self {
        Self { sandbox: builder.start().await.unwrap(), folder: TempFolder::new("stage") }
    }

    /// The file of the store; its folder is not there at first.
    pub fn store(&self) -> String {
        self.folder.file("state/store.db")
    }

    /// What the environment says; the last value of a name holds.
    pub fn variables(&self, more: &[(&str, &str)]) -> Vec<(String, String)> {
        let path = std::env::join_paths([bin_dir().to_owned(), "/usr/bin".into(), "/bin".into()]);
        let (path, store) = (path.unwrap().into_string().unwrap(), self.store());
        let usual = [
            ("AMPLY_BASE_URL", self.sandbox.url()),
            ("AMPLY_API_KEY", self.sandbox.user_key()),
            ("AMPLY_STORE", &store),
            ("PATH", &path),
        ];
        let all = usual.iter().chain(more).map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        all.collect()
    }

    /// Runs the command to its end.
    pub fn amply(&self, arguments: &[&str]) -> Finished {
        self.amply_with(arguments, &[], b"")
    }

    /// The same with further variables and standard input.
    pub fn amply_with(&self, arguments: &[&str], more: &[(&str, &str)], stdin: &[u8]) -> Finished {
        let variables = self.variables(more);
        let finished = amply(arguments, &borrowed(&variables), stdin);
        assert!(!finished.stderr.contains(self.sandbox.user_key()), "{finished:?}");
        finished
    }

    /// Starts it, without standard input.
    pub fn start(&self, arguments: &[&str]) -> Running {
        Running::start_with(arguments, &borrowed(&self.variables(&[])))
    }

    /// At a terminal, where what is typed reaches it as signals.
    pub fn at_terminal(&self, arguments: &[&str]) -> Terminal {
        Terminal::session(arguments, &borrowed(&self.variables(&[])))
    }

    /// What a command printed as JSON.
    pub fn json(&self, arguments: &[&str]) -> Value {
        let finished = self.amply(arguments);
        assert_eq!(finished.code, Some(0), "{arguments:?}: {finished:?}");
        serde_json::from_str(&finished.stdout).unwrap()
    }

    /// A new route: its id and its ticket.
    pub fn route(&self) -> (String, String) {
        let route = self.json(&["route", "store 1M vectors", "--track"]);
        let text = |name: &str| route.get(name).and_then(Value::as_str).unwrap().to_owned();
        (text("request_id"), text("amply_ticket"))
    }

    /// What the outbox lists.
    pub fn outbox(&self) -> Vec<Value> {
        self.json(&["outbox", "list"]).get("reports").unwrap().as_array().unwrap().clone()
    }

    /// The reports that counted.
    pub fn reported(&self) -> Vec<ReportedOutcome> {
        self.sandbox.control().outcomes()
    }

    /// The same in words: `success`, or the code of the failure.
    pub fn outcomes(&self) -> Vec<String> {
        let word = |one: ReportedOutcome| one.error_code.unwrap_or_else(|| "success".to_owned());
        self.reported().into_iter().map(word).collect()
    }

    /// Whether anything made the folder of the store.
    pub fn has_store(&self) -> bool {
        self.folder.path().join("state").exists()
    }
}

fn borrowed(variables: &[(String, String)]) -> Vec<(&str, &str)> {
    variables.iter().map(|(name, value)| (&**name, &**value)).collect()
}

/// The error that a command with `--json` left: its exit code, its code and its sentence.
pub fn error_of(finished: &Finished) -> (Option<i32>, String, String) {
    let error = finished.error();
    let text = |name: &str| error.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    assert_eq!(error.get("exit_code").and_then(Value::as_i64), finished.code.map(i64::from), "{error}");
    (finished.code, text("code"), text("message"))
}

/// The same for its hint.
pub fn hint_of(finished: &Finished) -> String {
    finished.error().get("hint").and_then(Value::as_str).unwrap_or_default().to_owned()
}
