//! What `GET /agent` answers: the manifest by which a machine finds its way from nothing to a route and its outcome.
//!
//! This file reads it and puts its steps in order; whether its paths stay on the server is asked by the call, which knows the
//! server.

use std::collections::{HashMap, HashSet};

use serde_json::Value;

use super::fields::{Fields, FromFields};
use super::json::{Extra, FromJson, Part};
use super::status::{AuthMode, RateLimit};
use crate::text::one_line;

/// The steps that the API documentation names, in its order.
const ORDER: [&str; 8] =
    ["discover", "health", "schema", "credential", "catalog", "route", "outcome", "audit"];
/// More steps than any manifest has; putting more in order would take long.
const MAX_STEPS: usize = 256;

/// How an agent gets from nothing to a route and its outcome (API documentation, `GET /agent`).
///
/// The [`steps`](Self::steps) are in order, and [`next_step`](Self::next_step) says which one is next. None of its paths leaves
/// the server: a manifest with one that does is refused by [`Client::agent`](crate::Client::agent). They are for reading: the
/// client itself asks only the endpoints that it knows, below its own base URL.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct AgentManifest {
    /// Whether the service answers.
    pub ok: Option<bool>,
    /// The version of the terms that a signup must accept.
    pub tos_version_for_signup: Option<String>,
    /// The path on the server where an agent gets a key by itself.
    pub autonomous_credential_path: Option<String>,
    /// What is to be done, and by which rules.
    pub workflow: AgentWorkflow,
    /// Where prices are, and whom to ask.
    pub commercial: Option<Commercial>,
    /// Fields that have no name here.
    pub extra: Extra,
}

impl AgentManifest {
    /// The steps, in the order in which they are to be done: discover, health, schema, credential, catalog, route, outcome, audit;
    /// one with another name stays behind the one before it. A step comes after those that it says it waits for.
    pub fn steps(&self) -> &[AgentStep] {
        &self.workflow.steps
    }

    /// The first step that is not among those that are done, by their ids; `None` when all are.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let sandbox = amply_sandbox::Sandbox::builder().start().await?;
    /// # let client = amply_sdk::Client::builder().base_url(sandbox.url()).build()?;
    /// let manifest = client.agent().await?;
    /// let next = manifest.next_step(["discover", "health", "schema"]);
    /// assert_eq!(next.map(|step| step.id.as_str()), Some("credential"));
    /// # Ok(()) }
    /// ```
    pub fn next_step(&self, done: impl IntoIterator<Item = impl AsRef<str>>) -> Option<&AgentStep> {
        let done: Vec<_> = done.into_iter().collect();
        // All that a step waits for stands before it.
        self.steps().iter().find(|step| !done.iter().any(|id| id.as_ref() == step.id))
    }

    /// Says which path does not pass.
    pub(crate) fn check_paths(&self, passes: impl Fn(&str) -> Result<(), String>) -> Result<(), String> {
        let workflow = &self.workflow;
        let steps = workflow.steps.iter().map(|step| {
            let name = if step.id.is_empty() { "a step without a name" } else { &step.id };
            (format!("the step `{}`", one_line(name, 40)), step.path.as_deref())
        });
        let flow =
            workflow.principal_binding_policy.iter().flat_map(|policy| &policy.recommended_machine_flow);
        let flow = flow.enumerate().map(|(index, step)| {
            let number = step.step.unwrap_or(index as u64 + 1);
            (format!("step {number} of the recommended machine flow"), step.path.as_deref())
        });
        let signup = workflow.agent_signup.as_ref().and_then(|signup| signup.path.as_deref());
        let signup = [
            ("the signup".to_owned(), signup),
            ("the autonomous credential".to_owned(), self.autonomous_credential_path.as_deref()),
        ];
        for (what, path) in steps.chain(flow).chain(signup) {
            let Some(path) = path else { continue };
            passes(path)
                .map_err(|why| format!("{what} has the path `{}`, which {why}", one_line(path, 100)))?;
        }
        Ok(())
    }
}

impl FromFields for AgentManifest {
    fn from_fields(mut fields: Fields<'_>) -> Result<Self, String> {
        let workflow: Option<AgentWorkflow> = fields.take("workflow");
        let mut manifest = Self {
            ok: fields.take("ok"),
            tos_version_for_signup: fields.take("tos_version_for_signup"),
            autonomous_credential_path: fields.take("autonomous_credential_path"),
            workflow: workflow.ok_or("it has no `workflow`, and so no steps")?,
            commercial: fields.take("commercial"),
            extra: fields.rest(),
        };
        manifest.workflow.steps = in_order(manifest.workflow.steps)?;
        Ok(manifest)
    }
}

/// What a manifest says is to be done, and by which rules.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct AgentWorkflow {
    /// What the manifest is written in (`$schema`), for example `amply.agent_workflow_manifest/1`.
    pub schema: Option<String>,
    /// The server's release.
    pub version: Option<String>,
    /// Whether calls need a key.
    pub auth_mode: Option<AuthMode>,
    /// Whether a key is to be got before the catalog is looked at.
    pub credential_before_catalog: Option<bool>,
    /// The ids of the steps, in the server's order.
    pub bootstrap_sequence: Vec<String>,
    /// How a route gets to count for somebody, and how that is seen.
    pub principal_binding_policy: Option<PrincipalBindingPolicy>,
    /// The limit on routes per address.
    pub route_rate_limit: Option<RateLimit>,
    /// Whether and how an agent may sign up.
    pub agent_signup: Option<AgentSignup>,
    /// Whether a 402 can be answered by a machine.
    pub x402: Option<AgentX402>,
    /// The steps, in order; see [`AgentManifest::steps`].
    pub steps: Vec<AgentStep>,
    /// Fields that have no name here.
    pub extra: Extra,
}

impl FromFields for AgentWorkflow {
    fn from_fields(mut fields: Fields<'_>) -> Result<Self, String> {
        Ok(Self {
            schema: fields.take("$schema"),
            version: fields.take("version"),
            auth_mode: fields.take("auth_mode"),
            credential_before_catalog: fields.take("credential_before_catalog"),
            bootstrap_sequence: fields.take("bootstrap_sequence").unwrap_or_default(),
            principal_binding_policy: fields.take("principal_binding_policy"),
            route_rate_limit: fields.take("route_rate_limit"),
            agent_signup: fields.take("agent_signup"),
            x402: fields.take("x402"),
            steps: fields.take("steps").unwrap_or_default(),
            extra: fields.rest(),
        })
    }
}

/// One step of a manifest.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct AgentStep {
    /// Its name, for example `credential`.
    pub id: String,
    /// The HTTP method.
    pub method: Option<String>,
    /// The path on the server's origin.
    pub path: Option<String>,
    /// What it is for, in words.
    pub purpose: Option<String>,
    /// What has to be shown for it, in the server's word, such as `none` or `bearer`.
    pub auth: Option<String>,
    /// The ids of the steps that it waits for (`after` or `depends_on`, where the server says so), each once. One that the manifest
    /// does not have is not waited for, and not among them.
    pub after: Vec<String>,
    /// Fields that have no name here.
    pub extra: Extra,
}

impl FromFields for AgentStep {
    fn from_fields(mut fields: Fields<'_>) -> Result<Self, String> {
        // [our] both names: the documentation has the order alone.
        let mut after = fields.take_guess("after").unwrap_or(Names(Vec::new())).0;
        after.extend(fields.take_guess("depends_on").unwrap_or(Names(Vec::new())).0);
        Ok(Self {
            id: fields.take("id").unwrap_or_default(),
            method: fields.take("method"),
            path: fields.take("path"),
            purpose: fields.take("purpose"),
            auth: fields.take("auth"),
            after,
            extra: fields.rest(),
        })
    }
}

/// A list of names, or one alone.
struct Names(Vec<String>);

impl FromJson for Names {
    fn from_json(part: Part<'_>) -> Option<Self> {
        let one = || String::from_json(part).map(|name| vec![name]);
        Vec::from_json(part).or_else(one).map(Self)
    }
}

/// How a route gets to count for a principal, and how that is seen.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct PrincipalBindingPolicy {
    /// The rule, in words.
    pub summary: Option<String>,
    /// The field of a route's answer that tells, for example `integration.principal_attached`.
    pub check_response_field: Option<String>,
    /// The headers of a route's answer that tell.
    pub check_response_headers: Vec<String>,
    /// What the server recommends to a machine, in its order.
    pub recommended_machine_flow: Vec<MachineStep>,
    /// Fields that have no name here.
    pub extra: Extra,
}

impl FromFields for PrincipalBindingPolicy {
    fn from_fields(mut fields: Fields<'_>) -> Result<Self, String> {
        Ok(Self {
            summary: fields.take("summary"),
            check_response_field: fields.take("check_response_field"),
            check_response_headers: fields.take("check_response_headers").unwrap_or_default(),
            recommended_machine_flow: fields.take("recommended_machine_flow").unwrap_or_default(),
            extra: fields.rest(),
        })
    }
}

/// One call of the flow that the server recommends to a machine.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct MachineStep {
    /// Its number, from 1.
    pub step: Option<u64>,
    /// The HTTP method.
    pub method: Option<String>,
    /// The path on the server's origin.
    pub path: Option<String>,
    /// What it is for, in words.
    pub goal: Option<String>,
    /// Fields that have no name here.
    pub extra: Extra,
}

impl FromFields for MachineStep {
    fn from_fields(mut fields: Fields<'_>) -> Result<Self, String> {
        Ok(Self {
            step: fields.take("step"),
            method: fields.take("method"),
            path: fields.take("path"),
            goal: fields.take("goal"),
            extra: fields.rest(),
        })
    }
}

/// Whether and how an agent may sign up: in the manifest, and in the diagnostics of [`Status`](crate::Status).
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct AgentSignup {
    /// Whether it may.
    pub enabled: Option<bool>,
    /// Whether it must bring a token, which whoever runs the server gives out.
    pub requires_shared_secret: Option<bool>,
    /// The version of the terms that a signup must accept.
    pub tos_version: Option<String>,
    /// Where a person reads the terms, on a server that says so. It is the server's word: show it, send nothing to it.
    pub tos_url: Option<String>,
    /// Signups an hour for one IP address.
    pub max_signups_per_hour_per_ip: Option<u64>,
    /// The path on the server's origin.
    pub path: Option<String>,
    /// Fields that have no name here.
    pub extra: Extra,
}

impl FromFields for AgentSignup {
    fn from_fields(mut fields: Fields<'_>) -> Result<Self, String> {
        Ok(Self {
            enabled: fields.take("enabled"),
            requires_shared_secret: fields.take("requires_shared_secret"),
            tos_version: fields.take("tos_version"),
            // [our] the documentation does not say where the terms are.
            tos_url: fields.take_guess("tos_url"),
            max_signups_per_hour_per_ip: fields.take("max_signups_per_hour_per_ip"),
            path: fields.take("path"),
            extra: fields.rest(),
        })
    }
}

/// Whether a 402 of this server can be answered by a machine.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct AgentX402 {
    /// Whether it can.
    pub enabled: Option<bool>,
    /// How a 402 is shaped, for example `amply.x402/1`.
    pub spec: Option<String>,
    /// Fields that have no name here.
    pub extra: Extra,
}

impl FromFields for AgentX402 {
    fn from_fields(mut fields: Fields<'_>) -> Result<Self, String> {
        Ok(Self { enabled: fields.take("enabled"), spec: fields.take("spec"), extra: fields.rest() })
    }
}

/// Where prices are, and whom to ask. Its links are for people, and lead where the server says.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Commercial {
    /// The page with the prices.
    pub pricing_url: Option<String>,
    /// Whom a provider writes to that wants to be listed.
    pub provider_catalog_intent: Option<Value>,
    /// Fields that have no name here.
    pub extra: Extra,
}

impl FromFields for Commercial {
    fn from_fields(mut fields: Fields<'_>) -> Result<Self, String> {
        Ok(Self {
            pricing_url: fields.take("pricing_url"),
            provider_catalog_intent: fields.take("provider_catalog_intent"),
            extra: fields.rest(),
        })
    }
}

/// Puts steps in the documented order, each after those that it waits for. Of those that could be next it is always the one that
/// the documentation has first, so that a manifest that states nothing has the documented order.
fn in_order(steps: Vec<AgentStep>) -> Result<Vec<AgentStep>, String> {
    if steps.is_empty() {
        return Err("it has no steps".to_owned());
    }
    if steps.len() > MAX_STEPS {
        return Err(format!("it has {} steps; at most {MAX_STEPS} are read", steps.len()));
    }
    let mut rank = 0;
    let ranked = steps.into_iter().map(|step| {
        rank = ORDER.iter().position(|id| *id == step.id).unwrap_or(rank);
        (rank, step)
    });
    let mut ranked: Vec<(usize, AgentStep)> = ranked.collect();
    // Stable: equals stay as they came.
    ranked.sort_by_key(|(rank, _)| *rank);
    let mut steps: Vec<AgentStep> = ranked.into_iter().map(|(_, step)| step).collect();
    let blockers = blockers(&mut steps);
    let order = sequence(&blockers).map_err(|waiting| circle(&steps, &blockers, &waiting))?;
    let mut steps: Vec<Option<AgentStep>> = steps.into_iter().map(Some).collect();
    Ok(order.into_iter().filter_map(|place| steps.get_mut(place)?.take()).collect())
}

/// For each step the places of those that it waits for. What a server lists besides is dropped first: it may be far more than
/// there are steps.
fn blockers(steps: &mut [AgentStep]) -> Vec<Vec<usize>> {
    let mut places: HashMap<String, Vec<usize>> = HashMap::new();
    for (place, step) in steps.iter().enumerate() {
        places.entry(step.id.clone()).or_default().push(place);
    }
    let of = |step: &mut AgentStep| {
        let mut seen = HashSet::new();
        let named = std::mem::take(&mut step.after);
        step.after =
            named.into_iter().filter(|id| places.contains_key(id) && seen.insert(id.clone())).collect();
        step.after.iter().filter_map(|id| places.get(id)).flatten().copied().collect()
    };
    steps.iter_mut().map(of).collect()
}

/// The places in an order in which each comes after its blockers, always the first of those that are free; else whether each of
/// them still waits.
fn sequence(blockers: &[Vec<usize>]) -> Result<Vec<usize>, Vec<bool>> {
    let mut left: Vec<usize> = blockers.iter().map(Vec::len).collect();
    let mut is_waiting = vec![true; blockers.len()];
    let mut waiters = vec![Vec::new(); blockers.len()];
    for (place, blockers) in blockers.iter().enumerate() {
        for blocker in blockers {
            if let Some(waiters) = waiters.get_mut(*blocker) {
                waiters.push(place);
            }
        }
    }
    let mut order = Vec::with_capacity(blockers.len());
    while order.len() < blockers.len() {
        let next = is_waiting.iter().zip(&left).position(|(is_waiting, left)| *is_waiting && *left == 0);
        let Some(next) = next else { return Err(is_waiting) };
        if let Some(is_waiting) = is_waiting.get_mut(next) {
            *is_waiting = false;
        }
        for waiter in waiters.get(next).into_iter().flatten() {
            if let Some(left) = left.get_mut(*waiter) {
                *left = left.saturating_sub(1);
            }
        }
        order.push(next);
    }
    Ok(order)
}

/// Of steps that all wait for one another: the first that waits for itself, and through which.
fn circle(steps: &[AgentStep], blockers: &[Vec<usize>], is_waiting: &[bool]) -> String {
    let waits = |place: &usize| is_waiting.get(*place) == Some(&true);
    let mut path: Vec<usize> = (0..steps.len()).filter(waits).take(1).collect();
    while let Some(next) =
        path.last().and_then(|place| blockers.get(*place)?.iter().copied().filter(waits).min())
    {
        let began = path.iter().position(|place| *place == next);
        path.push(next);
        if let Some(began) = began {
            path.drain(..began);
            break;
        }
    }
    let ids = path.iter().filter_map(|place| steps.get(*place));
    let names: Vec<_> = ids.map(|step| format!("`{}`", one_line(&step.id, 40))).collect();
    format!(
        "the step {} waits for itself: {}",
        names.first().map(String::as_str).unwrap_or_default(),
        one_line(&names.join(" after "), 200)
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::fields::from_text;

    fn ids(steps: &str) -> Result<Vec<String>, String> {
        let manifest: AgentManifest = from_text(&format!(r#"{{"workflow":{{"steps":{steps}}}}}"#))?;
        Ok(manifest.steps().iter().map(|step| step.id.clone()).collect())
    }

    #[test]
    fn steps_come_in_the_documented_order_and_others_behind_the_one_before_them() {
        let steps =
            r#"[{"id":"route"},{"id":"warm-up"},{"id":"credential"},{"id":"discover"},{"id":"audit"}]"#;
        assert_eq!(ids(steps).unwrap(), ["discover", "credential", "route", "warm-up", "audit"]);
    }

    #[test]
    fn a_step_comes_after_those_that_it_waits_for() {
        let steps = r#"[{"id":"health","after":"credential"},{"id":"credential"},
            {"id":"schema","depends_on":["health","nowhere"]},{"id":"discover"}]"#;
        assert_eq!(ids(steps).unwrap(), ["discover", "credential", "health", "schema"]);
    }

    #[test]
    fn a_circle_is_refused_with_the_way_round() {
        let steps = r#"[{"id":"discover"},{"id":"route","after":["outcome"]},{"id":"audit","after":["route"]},
            {"id":"outcome","depends_on":"route"}]"#;
        let why = ids(steps).unwrap_err();
        assert_eq!(why, "the step `route` waits for itself: `route` after `outcome` after `route`");
        let why = ids(r#"[{"id":"a","after":"a"}]"#).unwrap_err();
        assert_eq!(why, "the step `a` waits for itself: `a` after `a`");
    }

    #[test]
    fn what_a_step_waits_for_is_no_more_than_there_are_steps() {
        let others: Vec<String> = (0..255).map(|number| format!("\"s{number}\"")).collect();
        let mut after = vec!["\"nowhere\"".to_owned(); 5_000];
        after.extend(others.iter().cycle().take(5_000).cloned());
        let steps = others.iter().map(|id| format!(r#"{{"id":{id},"after":"none"}}"#));
        let last = format!(r#"{{"id":"discover","after":[{}]}}"#, after.join(","));
        let steps = format!("[{}]", std::iter::once(last).chain(steps).collect::<Vec<_>>().join(","));
        let manifest: AgentManifest = from_text(&format!(r#"{{"workflow":{{"steps":{steps}}}}}"#)).unwrap();
        let waits: usize = manifest.steps().iter().map(|step| step.after.len()).sum();
        assert_eq!((manifest.steps().len(), waits), (256, 255));
        assert_eq!(manifest.steps().last().unwrap().id, "discover");
        // One name for all of them, and each waits for it.
        let all = format!("[{}]", vec![r#"{"id":"x","after":["x","x"]}"#; 256].join(","));
        assert_eq!(ids(&all), Err("the step `x` waits for itself: `x` after `x`".to_owned()));
    }

    #[test]
    fn without_steps_it_is_none() {
        for steps in ["[]", "null", "7", "[1,null,\"x\"]"] {
            assert_eq!(ids(steps), Err("it has no steps".to_owned()), "{steps}");
        }
        let error = serde_json::from_str::<AgentManifest>("{}").unwrap_err().to_string();
        assert!(error.contains("no `workflow`, and so no steps"), "{error}");
        let many = format!("[{}]", vec![r#"{"id":"x"}"#; 257].join(","));
        assert_eq!(ids(&many), Err("it has 257 steps; at most 256 are read".to_owned()));
    }

    #[test]
    fn every_path_is_asked_about() {
        let manifest: AgentManifest = from_text(
            r#"{"autonomous_credential_path":"/a","workflow":{"agent_signup":{"path":"/b"},
            "principal_binding_policy":{"recommended_machine_flow":[{"path":"/c"},{"step":"9","path":"/d"}]},
            "steps":[{"id":"route","path":"/e"},{"path":"/f"},{"id":"audit"}]}}"#,
        )
        .unwrap();
        for (bad, says) in [
            ("/a", "the autonomous credential has"),
            ("/b", "the signup has"),
            ("/c", "step 1 of the recommended machine flow has"),
            ("/d", "step 9 of the recommended machine flow has"),
            ("/e", "the step `route` has"),
            ("/f", "the step `a step without a name` has"),
        ] {
            let why = manifest.check_paths(|path| if path == bad { Err("is bad".into()) } else { Ok(()) });
            assert_eq!(why, Err(format!("{says} the path `{bad}`, which is bad")));
        }
        assert_eq!(manifest.check_paths(|_| Ok(())), Ok(()));
    }
}
