//! Delivers what is in the outbox: a few at a time, and one at a time while the server fails.
//!
//! It runs while there is something to deliver. A report is leased before it is sent; when this process dies, another one
//! delivers it after the lease. What the server refuses is dead, with the reason; what it cannot take now waits.

use std::collections::{HashSet, VecDeque};
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::Poll;
use std::time::Duration;

use tokio::task::{JoinError, JoinSet};
use tokio::time::{Instant, sleep_until};

use super::delivery::deliver;
use super::shared::Shared;
use super::ticket::Bound;
use super::value::Outcome;
use crate::error::Error;
use crate::event::Event;
use crate::payment::Clock;
use crate::retry::delays_within;
use crate::store::outbox::{Letter, Tried};

/// How many times the store's lease a report is this process's alone: 30 s unless set. One delivery, repeats included, may take
/// half of it.
const LEASES: u32 = 5;
/// How many are leased ahead.
const AHEAD: usize = 32;
/// The longest time between two looks at what waits.
const LOOK_AGAIN: Duration = Duration::from_secs(60);
/// How long a report that cannot be delivered is tried again.
const GIVE_UP_AFTER: Duration = Duration::from_secs(7 * 86_400);
/// How long a delivered report is remembered, so that its route is not reported twice.
const REMEMBER: Duration = Duration::from_secs(86_400);
const FORGET_EVERY: Duration = Duration::from_secs(3600);
/// How often it is tried at least before it is given up: a machine that was off for a week has not tried at all.
const TRIES_AT_LEAST: u32 = 20;

/// Sees to it that somebody delivers.
pub(crate) fn call(shared: &Arc<Shared>) -> Result<(), Error> {
    shared.calls.fetch_add(1, Ordering::AcqRel);
    let mut courier = shared.courier();
    match courier.as_ref().filter(|courier| !courier.is_finished()) {
        Some(_) => shared.wake.notify_one(),
        None => {
            *courier = Some(crate::background::handle()?.spawn(Courier::new(Arc::clone(shared)).run()));
        }
    }
    Ok(())
}

/// What one delivery came to, for those that come after it.
enum End {
    /// The server answers.
    Answered,
    /// It cannot take reports now; perhaps it says for how long.
    Outage(Option<Duration>),
}

struct Courier {
    shared: Arc<Shared>,
    ready: VecDeque<Letter>,
    flying: JoinSet<(String, End)>,
    /// The ids of those.
    leased: HashSet<String>,
    /// Waits, while the server fails.
    delays: Option<Box<dyn Iterator<Item = Duration> + Send>>,
    paused_until: Option<Instant>,
}

impl Courier {
    fn new(shared: Arc<Shared>) -> Self {
        Self {
            shared,
            ready: VecDeque::new(),
            flying: JoinSet::new(),
            leased: HashSet::new(),
            delays: None,
            paused_until: None,
        }
    }

    async fn run(mut self) {
        let shared = Arc::clone(&self.shared);
        loop {
            let calls = shared.calls.load(Ordering::Acquire);
            if shared.is_hurried.swap(false, Ordering::AcqRel) {
                self.paused_until = None;
                self.delays = self.delays.is_some().then(outage);
            }
            if self.must_end().await {
                return;
            }
            let idle_until = self.send_off().await;
            let Some(until) = idle_until else {
                forget(&shared).await;
                shared.idle.notify_waiters();
                // A call that came since the last look is in the number.
                let mut courier = shared.courier();
                if shared.calls.load(Ordering::Acquire) == calls {
                    *courier = None;
                    return;
                }
                continue;
            };
            if let Some(ended) = self.something(until).await {
                self.note(ended);
            }
        }
    }

    /// Waits for the end of a delivery, a call, or a time.
    async fn something(&mut self, until: Instant) -> Option<Result<(String, End), JoinError>> {
        let (mut called, mut late) = (pin!(self.shared.wake.notified()), pin!(sleep_until(until)));
        let flying = &mut self.flying;
        poll_fn(|context| match flying.poll_join_next(context) {
            Poll::Ready(Some(ended)) => Poll::Ready(Some(ended)),
            _ => {
                let is_over =
                    called.as_mut().poll(context).is_ready() || late.as_mut().poll(context).is_ready();
                if is_over { Poll::Ready(None) } else { Poll::Pending }
            }
        })
        .await
    }

    /// When the last client is gone: what is in a file stays there, what is in memory is still delivered while the server
    /// takes it.
    async fn must_end(&mut self) -> bool {
        let shared = &self.shared;
        let must_stop = shared.must_stop.load(Ordering::Acquire);
        let is_orphaned = shared.is_orphaned.load(Ordering::Acquire);
        let is_lost = !shared.store.is_durable() && self.delays.is_some();
        if !must_stop && !(is_orphaned && (shared.store.is_durable() || is_lost)) {
            return false;
        }
        self.flying.shutdown().await;
        let ids = self.ready.drain(..).map(|letter| letter.id).chain(self.leased.drain()).collect::<Vec<_>>();
        let given_back = self.shared.store.letters(move |letters| letters.give_back(&ids)).await;
        if let Err(error) = given_back {
            tracing::debug!("leased reports wait until their leases end: {error}");
        }
        if is_lost && !must_stop {
            self.shared.lose(self.shared.pending().await.unwrap_or(0));
        }
        true
    }

    /// Sends as many as may be under way. Until when there is nothing else to do; `None` when nothing waits at all.
    async fn send_off(&mut self) -> Option<Instant> {
        let now = Instant::now();
        self.paused_until = self.paused_until.filter(|until| *until > now);
        if let Some(until) = self.paused_until {
            return Some(until);
        }
        // A server that has failed gets one report at a time until it takes one.
        let at_once = if self.delays.is_some() { 1 } else { self.shared.limits.in_flight.max(1) };
        while self.flying.len() < at_once {
            let letter = match self.next().await {
                Ok(Some(letter)) => letter,
                Ok(None) => break,
                Err(error) => {
                    tracing::debug!("the outbox cannot be read: {error}");
                    return Some(now + Duration::from_secs(1));
                }
            };
            let shared = Arc::clone(&self.shared);
            self.leased.insert(letter.id.clone());
            self.flying.spawn(try_once(shared, letter));
        }
        if !self.flying.is_empty() {
            return Some(now + LOOK_AGAIN);
        }
        let (sender, now_ms) = (self.shared.sender.clone(), Clock::System.now_ms());
        match self.shared.store.letters(move |letters| letters.waiting(&sender, now_ms)).await {
            Ok(waiting) => {
                let due = u64::try_from(waiting.next_due_ms? - now_ms).unwrap_or(0);
                Some(now + Duration::from_millis(due.max(1)).min(LOOK_AGAIN))
            }
            Err(error) => {
                tracing::debug!("the outbox cannot be read: {error}");
                Some(now + Duration::from_secs(1))
            }
        }
    }

    /// The next one that is leased for long enough to be delivered.
    async fn next(&mut self) -> Result<Option<Letter>, Error> {
        let now_ms = Clock::System.now_ms();
        let lease = lease(&self.shared);
        while let Some(letter) = self.ready.pop_front() {
            if letter.leased_until_ms > now_ms.saturating_add(ms(lease / 2)) {
                return Ok(Some(letter));
            }
        }
        let (sender, until_ms) = (self.shared.sender.clone(), now_ms.saturating_add(ms(lease)));
        let at_most = if self.delays.is_some() { 1 } else { AHEAD };
        let leased =
            self.shared.store.letters(move |letters| letters.lease(&sender, now_ms, until_ms, at_most));
        self.ready = leased.await?.into();
        Ok(self.ready.pop_front())
    }

    fn note(&mut self, ended: Result<(String, End), JoinError>) {
        let end = match ended {
            Ok((id, end)) => {
                self.leased.remove(&id);
                end
            }
            // It is leased until somebody else delivers it.
            Err(_) => End::Outage(None),
        };
        match end {
            End::Answered => self.delays = None,
            // The others that were under way tell of the same outage.
            End::Outage(_) if self.paused_until.is_some() => {}
            End::Outage(wait) => {
                let delays = self.delays.get_or_insert_with(outage);
                let next = delays.next().unwrap_or(LOOK_AGAIN);
                self.paused_until =
                    Some(Instant::now() + wait.map_or(next, |wait| wait.min(LOOK_AGAIN).max(next)));
            }
        }
    }
}

fn lease(shared: &Shared) -> Duration {
    shared.store.lease_time().saturating_mul(LEASES)
}

/// Forgets what was delivered a day ago, once an hour.
async fn forget(shared: &Shared) {
    let now_ms = Clock::System.now_ms();
    let last = shared.forgotten_ms.load(Ordering::Relaxed);
    if (last..last.saturating_add(ms(FORGET_EVERY))).contains(&now_ms) {
        return;
    }
    shared.forgotten_ms.store(now_ms, Ordering::Relaxed);
    loop {
        let forgotten = shared.store.letters(move |letters| letters.forget(now_ms - ms(REMEMBER)));
        match forgotten.await {
            Ok(0) => return,
            Ok(_) => {}
            Err(error) => return tracing::debug!("old reports stay in the outbox: {error}"),
        }
    }
}

/// The waits of an outage.
fn outage() -> Box<dyn Iterator<Item = Duration> + Send> {
    Box::new(delays_within(Duration::from_millis(500), LOOK_AGAIN))
}

/// Delivers one report and writes down what came of it.
async fn try_once(shared: Arc<Shared>, letter: Letter) -> (String, End) {
    let bound = Bound {
        route_id: letter.route_id,
        provider_id: letter.provider_id,
        endpoint: letter.endpoint,
        base_url: letter.base_url,
        principal: letter.principal,
    };
    let answered = match (serde_json::from_str::<Outcome>(&letter.body), shared.exchange()) {
        (Ok(outcome), Ok(exchange)) => {
            let options = shared.options.clone().timeout(lease(&shared) / 2);
            deliver(exchange, &options, &shared.lacks, &bound, &outcome).await
        }
        (Err(error), _) => Err(Error::invalid("body", format!("the kept outcome cannot be read ({error})"))),
        (_, Err(error)) => Err(error),
    };
    let (tried, end) = match answered {
        Ok(receipt) => {
            shared.counters.delivered.add(1);
            shared.counters.credits_awarded.add(receipt.credits_awarded.unwrap_or(0));
            (Tried::Delivered, End::Answered)
        }
        Err(error) => judge(&error, letter.created_ms, letter.attempts + 1),
    };
    if let Tried::Dead { reason } = &tried {
        shared.counters.dead.add(1);
        tracing::warn!("the outcome of the route {} cannot be reported: {reason}", bound.route_id);
        shared.observer.tell(Event::OutcomeDead { route_id: bound.route_id, reason: reason.clone() });
    }
    let id = letter.id.clone();
    // Until it is written down the report is leased, and then delivered again: the server counts it once.
    let now_ms = Clock::System.now_ms();
    if let Err(error) = shared.store.letters(move |letters| letters.tried(&id, &tried, now_ms)).await {
        tracing::warn!("what became of a report cannot be written down: {error}");
    }
    (letter.id, end)
}

/// What an error means for the report, and for the next one.
fn judge(error: &Error, created_ms: i64, tries: u32) -> (Tried, End) {
    let reason = error.to_string();
    match error {
        Error::Invalid { .. } | Error::Rejected(_) | Error::NotFound(_) | Error::Unsupported(_)
            if !is_of_the_moment(error) =>
        {
            (Tried::Dead { reason }, End::Answered)
        }
        // A key may be renewed, a proxy mended: it is tried again, but not for ever.
        _ if tries >= TRIES_AT_LEAST && Clock::System.now_ms() - created_ms > ms(GIVE_UP_AFTER) => {
            let days = GIVE_UP_AFTER.as_secs() / 86_400;
            (Tried::Dead { reason: format!("given up after {days} days: {reason}") }, End::Outage(None))
        }
        _ => {
            let wait = match error {
                Error::RateLimited { retry_after, .. } => *retry_after,
                _ => None,
            };
            // What failed goes behind those that have not been tried.
            let not_before_ms = Clock::System.now_ms() + ms(wait.unwrap_or_default().min(LOOK_AGAIN));
            (Tried::Later { not_before_ms, reason }, End::Outage(wait))
        }
    }
}

/// A refusal of this connection, not of this report: 408, 421, 425.
fn is_of_the_moment(error: &Error) -> bool {
    error.status().is_some_and(|status| matches!(status.as_u16(), 408 | 421 | 425))
}

fn ms(time: Duration) -> i64 {
    i64::try_from(time.as_millis()).unwrap_or(i64::MAX)
}
