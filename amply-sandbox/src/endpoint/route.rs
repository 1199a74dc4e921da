//! `POST /route`: which provider should run a task. And `POST /route/execute`, which is the same and runs it: both go the same
//! way, from the key to the payment.

mod additions;
mod body;
mod charge;
mod execute;

use axum::{
    Extension,
    body::{Body, Bytes},
    extract::{ConnectInfo, State},
    http::{HeaderMap, Response, StatusCode},
};

pub(super) use body::{WeightsBody, four_decimals};

use self::{
    additions::Additions,
    body::RouteBody,
    charge::Charge,
    execute::{ExecutionBody, Order},
};
use super::{
    exchange::ReceivedBody,
    gate,
    open_payment::Stopped,
    reply::{self, KEYED, Problem, Stamp},
};
use crate::{
    auth::Caller,
    money::NanoUsd,
    outcomes::{Costs, Served},
    proof::Hash,
    scoring,
    state::{self, Shared},
    validate::{self, Limits, Refusal},
    wire::Peer,
};

pub(super) async fn post(
    State(state): State<Shared>,
    ConnectInfo(peer): ConnectInfo<Peer>,
    headers: HeaderMap,
    Extension(body): Extension<ReceivedBody>,
) -> Response<Body> {
    serve(Asked::Route, &state, &peer, &headers, &body).await
}

pub(super) async fn post_execute(
    State(state): State<Shared>,
    ConnectInfo(peer): ConnectInfo<Peer>,
    headers: HeaderMap,
    Extension(body): Extension<ReceivedBody>,
) -> Response<Body> {
    serve(Asked::Execute, &state, &peer, &headers, &body).await
}

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Asked {
    Route,
    /// A route and its execution.
    Execute,
}

impl Asked {
    pub(super) fn path(self) -> &'static str {
        match self {
            Asked::Route => "/route",
            Asked::Execute => "/route/execute",
        }
    }
}

async fn serve(
    asked: Asked,
    state: &state::State,
    peer: &Peer,
    headers: &HeaderMap,
    body: &ReceivedBody,
) -> Response<Body> {
    let stamp = Stamp::new(state);
    // Before the body is looked at: a caller without a key learns nothing about its mistakes.
    let caller = match gate::enter(state, headers, peer.address) {
        Ok(caller) => caller,
        Err(problem) => return problem.reply(&stamp, KEYED),
    };
    let response = match body {
        ReceivedBody::Whole(body) => answer(asked, state, &caller, &stamp, headers, body),
        ReceivedBody::TooLarge => {
            Err(Failure::Problem(Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "Request body too large")))
        }
    };
    let response = match response {
        Ok(response) => response,
        Err(Failure::Problem(problem)) => problem.reply(&stamp, KEYED),
        Err(Failure::Unpaid(response)) => *response,
        Err(Failure::Empty) => reply::empty(StatusCode::INTERNAL_SERVER_ERROR),
        Err(Failure::Held) => std::future::pending().await,
    };
    gate::tell(state, &caller, response)
}

/// Why there is no route.
enum Failure {
    Problem(Problem),
    /// 402, or what else is said of a payment.
    Unpaid(Box<Response<Body>>),
    /// Never an answer.
    Held,
    /// 500, nothing in it.
    Empty,
}

impl From<Problem> for Failure {
    fn from(problem: Problem) -> Self {
        Failure::Problem(problem)
    }
}

fn answer(
    asked: Asked,
    state: &state::State,
    caller: &Caller,
    stamp: &Stamp,
    headers: &HeaderMap,
    body: &Bytes,
) -> Result<Response<Body>, Failure> {
    let settings = &state.settings;
    let input = validate::route_input(body, settings.release).map_err(|refusal| match refusal {
        Refusal::Detail(detail) => Failure::Problem(Problem::new(StatusCode::BAD_REQUEST, detail)),
        Refusal::Null => Failure::Empty,
    })?;
    // [our] before anything is spent: what cannot be executed is not to be paid for either.
    let order = match asked {
        Asked::Route => None,
        Asked::Execute => Some(Order::read(body, state, caller)?),
    };
    let answer = scoring::recommend(&state.catalog, &input).ok_or_else(|| nobody_within(&input.limits))?;
    // Last of all that may refuse: whoever gets no route has spent none. The wallet after the quota, as there is no point in
    // paying for what a quota forbids.
    gate::spend(state, caller, input.sandbox_mode)?;
    let charge = Charge::of(state, caller, &input);
    let payment = charge.collect(asked, state, stamp, headers).map_err(|response| {
        gate::give_back(state, caller);
        Failure::Unpaid(response)
    })?;

    let route = || {
        state.decisions.count(answer.best.provider.is_listed());
        if settings.release.is_documented() && settings.metering {
            state.metering.count(caller.is_bound(), state.control.clock().now());
        }
        let compute_ms = stamp.compute_ms();
        let additions = settings
            .release
            .is_documented()
            .then(|| Additions::of(state, caller, &input, &charge, &answer, &stamp.request_id));
        let execution = order.as_ref().map(|order| ExecutionBody::of(order, answer.best.provider, state));
        let body = RouteBody::of(&state.catalog, &input, &answer, &stamp.request_id, compute_ms, additions)
            .with(execution);
        stamp.on(compute_ms, reply::json(StatusCode::OK, KEYED, &body))
    };
    let response = match payment {
        None => route(),
        Some(payment) => payment.run(state, stamp, route).map_err(|stopped| {
            gate::give_back(state, caller);
            match stopped {
                Stopped::Answered(response) => Failure::Unpaid(response),
                Stopped::Held => Failure::Held,
            }
        })?,
    };
    // After the payment, and not where the handler was made to fail: a route that nobody got has no outcome.
    if settings.release.is_documented() && response.status().is_success() {
        let route = Served {
            principal_id: caller.principal().map(str::to_owned),
            recommended: answer.best.provider.id.clone(),
            score: four_decimals(answer.best.composite).0,
            task_hash: Hash::of(&input.task),
            charge: charge.amount(),
            costs: Costs {
                estimated: NanoUsd::of_figure(answer.estimated_cost_usd),
                baseline: NanoUsd::of_figure(answer.baseline_cost_usd),
            },
            served_at: state.control.clock().now(),
        };
        state.control.reports().served(&stamp.request_id, route);
    }
    Ok(response)
}

/// [our] the documentation does not say what becomes of a request that no provider can meet. A 422: the request is well
/// formed and asks for what there is not. Nothing is counted.
fn nobody_within(limits: &Limits) -> Problem {
    use crate::js::to_text;
    let budget =
        limits.budget_usd_per_1m_ops.map(|limit| format!("budget_usd_per_1m_ops {}", to_text(limit)));
    let slo = limits.slo_p99_ms.map(|limit| format!("slo_p99_ms {}", to_text(limit)));
    let limits: Vec<String> = [budget, slo].into_iter().flatten().collect();
    let detail = format!("No provider is within {}", limits.join(" and "));
    Problem::new(StatusCode::UNPROCESSABLE_ENTITY, detail).code("no_provider_within_limits")
}
