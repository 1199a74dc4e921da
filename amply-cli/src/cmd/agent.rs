//! `amply agent`: the way from nothing to a route, as a checklist. What is done is looked up, at the server and in the store;
//! of what nothing tells it is said so.

use amply_sdk::{
    AgentManifest, AgentSignup, AgentStep, AuthMode, Client, Error, KeyKind, OutboxEntry, Payment,
    PaymentState,
};

use super::status::{auth, limit};
use crate::exit::Failed;
use crate::session::{Reports, Session, Setup};
use crate::table::{self, text};
use crate::term::Term;

pub(crate) fn setup() -> Setup {
    Setup { reports: Reports::Known, agent_signup: true, ..Setup::default() }
}

pub(crate) async fn run(session: &Session, term: &Term) -> Result<(), Failed> {
    let client = &session.client;
    let manifest = client.agent().await?;
    if term.is_json() {
        return Ok(term.print_json(manifest.text())?);
    }
    let found = look(client, &manifest).await;
    let steps: Vec<(&AgentStep, State)> =
        manifest.steps().iter().map(|step| (step, found.state(&step.id))).collect();
    let columns = [text(""), text("STEP"), text("STATE"), text("WHAT FOR")];
    let row = |(step, state): &(&AgentStep, State)| {
        vec![
            if state.is_done { "[x]" } else { "[ ]" }.to_owned(),
            step.id.clone(),
            state.words.clone(),
            table::or_dash(step.purpose.as_deref()),
        ]
    };
    let list = table::lines(&columns, steps.iter().map(row).collect(), term.width()).join("\n");
    let done = steps.iter().filter(|(_, state)| state.is_done).map(|(step, _)| step.id.as_str());
    let next = match manifest.next_step(done) {
        Some(step) => format!("Next: {}, {}", table::one_line(&step.id), command(step, &manifest, client)),
        None => "Everything is done".to_owned(),
    };
    Ok(term.print(&format!(
        "{list}\n\n{}\n\n{}",
        facts(client, &manifest, term),
        table::wrapped(&next, term.width())
    ))?)
}

fn facts(client: &Client, manifest: &AgentManifest, term: &Term) -> String {
    let workflow = &manifest.workflow;
    let x402 = workflow.x402.as_ref().map(|x402| match x402.enabled {
        Some(true) => x402.spec.clone().unwrap_or_else(|| "on".to_owned()),
        _ => "off".to_owned(),
    });
    let pairs = vec![
        ("server", Some(client.base_url().to_owned())),
        ("auth", workflow.auth_mode.as_ref().map(auth)),
        ("signup", workflow.agent_signup.as_ref().map(|signup| in_words(signup, manifest))),
        ("rate limit", workflow.route_rate_limit.as_ref().map(limit)),
        ("x402", x402),
    ];
    table::pairs(pairs, term.width())
}

fn in_words(signup: &AgentSignup, manifest: &AgentManifest) -> String {
    if signup.enabled == Some(false) {
        return "off".to_owned();
    }
    let version = signup.tos_version.as_ref().or(manifest.tos_version_for_signup.as_ref());
    let version = version.map(|version| format!(", terms of version {version}")).unwrap_or_default();
    let token = if signup.requires_shared_secret == Some(true) { ", with a token" } else { "" };
    format!("on{version}{token}")
}

/// What is known of a step.
struct State {
    is_done: bool,
    words: String,
}

fn done(words: &str) -> State {
    State { is_done: true, words: words.to_owned() }
}

fn open(words: impl Into<String>) -> State {
    State { is_done: false, words: words.into() }
}

/// What was looked up.
struct Found {
    health: Result<Option<bool>, Error>,
    schema: Result<(), Error>,
    /// With the key, where there is one; what it is checked with needs a key.
    credential: Option<(KeyKind, Result<(), Error>)>,
    catalog: Result<usize, Error>,
    /// Whether a route needs a key.
    is_open: bool,
    /// Routes of this server that the store tells of.
    routes: usize,
    /// Reports for it that wait.
    waiting: usize,
}

async fn look(client: &Client, manifest: &AgentManifest) -> Found {
    let credential = async {
        let kind = client.key_kind()?;
        Some((kind, client.health().await.map(drop)))
    };
    let (health, schema, credential, catalog, payments, reports) = tokio::join!(
        async { client.status().await.map(|status| status.ok) },
        async { client.openapi().await.map(drop) },
        credential,
        async { client.providers().await.map(|providers| providers.providers.len()) },
        async { client.payments().list().await.unwrap_or_default() },
        async { client.outbox().list().await.unwrap_or_default() },
    );
    let here = client.base_url();
    let paid = |payment: &&Payment| {
        payment.base_url == here && payment.state == PaymentState::Settled && !payment.calls.is_empty()
    };
    let of_here = |report: &&OutboxEntry| report.base_url == here;
    let reports = reports.iter().filter(of_here);
    Found {
        health,
        schema,
        credential,
        catalog,
        is_open: manifest.workflow.auth_mode == Some(AuthMode::Open),
        routes: payments.iter().filter(paid).count() + reports.clone().count(),
        waiting: reports.count(),
    }
}

impl Found {
    fn state(&self, step: &str) -> State {
        match step {
            // It was read just now.
            "discover" => done("read"),
            "health" => match &self.health {
                Ok(Some(true) | None) => done("it answers"),
                Ok(Some(false)) => open("it says that it is not well"),
                Err(error) => open(error.message()),
            },
            "schema" => match &self.schema {
                Ok(()) => done("it can be read"),
                Err(error) => open(error.message()),
            },
            "credential" => self.credential(),
            "catalog" => match &self.catalog {
                Ok(0) => open("it is empty"),
                Ok(count) => done(&format!("{count} providers")),
                Err(error) => open(error.message()),
            },
            "route" if self.routes > 0 => done("asked for from here"),
            "outcome" if self.waiting > 0 => open("a report waits to be delivered"),
            "route" | "outcome" | "audit" => open("nothing here tells of one"),
            _ => open("not known to this command"),
        }
    }

    fn credential(&self) -> State {
        match &self.credential {
            None if self.is_open => open("no key is set; a route needs none"),
            None => open("no key is set"),
            Some((KeyKind::User, Ok(()))) => done("the key is accepted"),
            Some((_, Ok(()))) => done("the key is accepted, and binds no principal"),
            Some((_, Err(Error::Unauthorized(_)))) => open("the key is not accepted"),
            Some((_, Err(error))) => open(format!("a key is set, and was not checked: {}", error.message())),
        }
    }
}

/// What to type for a step.
fn command(step: &AgentStep, manifest: &AgentManifest, client: &Client) -> String {
    let signup = manifest.workflow.agent_signup.as_ref();
    let can_sign_up = signup.is_some_and(|signup| signup.enabled != Some(false));
    match step.id.as_str() {
        "discover" => "`amply agent`".to_owned(),
        "health" => "`amply status`".to_owned(),
        "schema" => "`amply openapi`".to_owned(),
        "credential" if can_sign_up => "`amply signup`, and set AMPLY_API_KEY to the key".to_owned(),
        "credential" => {
            let origin: Vec<&str> = client.base_url().split('/').take(3).collect();
            format!("make a key at {}/dashboard/api-keys and set AMPLY_API_KEY", origin.join("/"))
        }
        "catalog" => "`amply providers`".to_owned(),
        "route" => "`amply route \"store 1M vectors\"`".to_owned(),
        "outcome" => "`amply outcome ROUTE_ID --success`".to_owned(),
        "audit" => "`amply audit ROUTE_ID`".to_owned(),
        _ => {
            let method = step.method.as_deref().unwrap_or("GET");
            table::one_line(&format!("`{method} {}`", step.path.as_deref().unwrap_or_default()))
        }
    }
}
