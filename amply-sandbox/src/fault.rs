//! What shall go wrong, and with which calls. It is carried out in `endpoint::fault` and, byte by byte, in `wire`.

use std::time::Duration;

use serde::Serialize;

use crate::calls::{Calls, Planned};

/// A fault and the calls it is for. Given to [`Control::fault`](crate::Control::fault).
///
/// ```
/// use amply_sandbox::Fault;
///
/// // The first two routes are refused, and never happened:
/// Fault::on("/route").first(2).status(503);
/// // The third is answered, charged and counted, and the answer is lost:
/// Fault::on("/route").nth(3).after_effect().reset_before_headers();
/// ```
///
/// Without a choice of calls it is for all of them, without a kind it is [`status(500)`](Fault::status).
#[derive(Clone, Debug)]
#[must_use = "a fault happens once it is given to `Control::fault`"]
pub struct Fault {
    /// Without the path that all endpoints begin with; `None` is any.
    path: Option<String>,
    calls: Calls,
    kind: Kind,
    effect: Option<Effect>,
    pub(crate) answer: FaultAnswer,
}

/// What goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Status(u16),
    Html(u16),
    Delay(Duration),
    ResetBeforeHeaders,
    ResetAfterHeaders,
    Truncate { after_bytes: usize },
    WrongLength { more: usize },
    Drip { bytes_per_tick: usize, every: Duration },
}

/// Whether the endpoint has done its work when the fault happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Effect {
    Before,
    After,
}

/// What an answer with a status says.
#[derive(Clone, Debug, Default)]
pub(crate) struct FaultAnswer {
    /// JSON text.
    pub(crate) body: Option<String>,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) code: Option<String>,
}

impl Fault {
    /// For calls to one endpoint, whatever the method: `/route`, or in full `/api/v1/route`. `/topup` is the guarded service
    /// at [`Sandbox::topup_url`](crate::Sandbox::topup_url).
    pub fn on(path: &str) -> Self {
        Fault { path: Some(endpoint_of(path)), ..Fault::anywhere() }
    }

    /// For calls to any path but those of the control itself.
    pub fn anywhere() -> Self {
        Fault {
            path: None,
            calls: Calls::Always,
            kind: Kind::Status(500),
            effect: None,
            answer: FaultAnswer::default(),
        }
    }

    /// The first `count` calls after it was added.
    pub fn first(mut self, count: u64) -> Self {
        self.calls = Calls::First(count);
        self
    }

    /// Only one call: the `number`th after it was added, counted from 1.
    pub fn nth(mut self, number: u64) -> Self {
        self.calls = Calls::Nth(number);
        self
    }

    /// Every call, until faults are cleared. The default.
    pub fn always(mut self) -> Self {
        self.calls = Calls::Always;
        self
    }

    /// The endpoint does nothing: no route is counted, charged or limited.
    ///
    /// The default, but for faults that spoil an answer: [`reset_after_headers`](Fault::reset_after_headers),
    /// [`truncate`](Fault::truncate), [`wrong_length`](Fault::wrong_length) and [`drip`](Fault::drip). With this, the answer
    /// they spoil is a 503. A [`delay`](Fault::delay) goes on to the endpoint when it is over, even if the client has left by then.
    pub fn before_effect(mut self) -> Self {
        self.effect = Some(Effect::Before);
        self
    }

    /// The endpoint does its work first; only then the answer is lost, replaced, spoiled or late.
    pub fn after_effect(mut self) -> Self {
        self.effect = Some(Effect::After);
        self
    }

    /// Another answer: this status, from 200 to 999 (500 stands for others), and an error in JSON as the server writes them.
    /// [`body`](Fault::body), [`header`](Fault::header) and [`code`](Fault::code) change what it says.
    pub fn status(mut self, status: u16) -> Self {
        self.kind = Kind::Status(valid(status));
        self
    }

    /// The JSON of an answer with a status, in place of the server's error.
    pub fn body(mut self, json: impl Serialize) -> Self {
        // What cannot be written as JSON leaves the server's own error.
        self.answer.body = serde_json::to_string(&json).ok();
        self
    }

    /// A header of an answer with a status or a page, e.g. `Retry-After`. One that HTTP does not allow is left out.
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.answer.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// The `error` code of an answer with a status, e.g. `overloaded`, where no [`body`](Fault::body) is given. Release
    /// 3.1.12 sends none.
    pub fn code(mut self, code: &str) -> Self {
        self.answer.code = Some(code.to_owned());
        self
    }

    /// Another answer: a page for people, as a proxy sends it, with a status from 200 to 999 (500 stands for others).
    pub fn html(mut self, status: u16) -> Self {
        self.kind = Kind::Html(valid(status));
        self
    }

    /// The answer comes this much later.
    pub fn delay(mut self, by: Duration) -> Self {
        self.kind = Kind::Delay(by);
        self
    }

    /// The connection is reset, and nothing of an answer was sent.
    pub fn reset_before_headers(mut self) -> Self {
        self.kind = Kind::ResetBeforeHeaders;
        self
    }

    /// The connection is reset after the headers and before the body.
    pub fn reset_after_headers(mut self) -> Self {
        self.kind = Kind::ResetAfterHeaders;
        self
    }

    /// The connection is closed after this many bytes of the body. A body that is not longer arrives whole.
    pub fn truncate(mut self, after_bytes: usize) -> Self {
        self.kind = Kind::Truncate { after_bytes };
        self
    }

    /// The `Content-Length` promises `more` bytes than are sent before the connection is closed.
    pub fn wrong_length(mut self, more: usize) -> Self {
        self.kind = Kind::WrongLength { more };
        self
    }

    /// The answer, headers included, comes in pieces of this many bytes (at least 1), one each time `every` has passed; then
    /// the connection is closed.
    pub fn drip(mut self, bytes_per_tick: usize, every: Duration) -> Self {
        self.kind = Kind::Drip { bytes_per_tick: bytes_per_tick.max(1), every };
        self
    }

    pub(crate) fn kind(&self) -> Kind {
        self.kind
    }

    pub(crate) fn effect(&self) -> Effect {
        self.effect.unwrap_or(match self.kind {
            Kind::Status(_) | Kind::Html(_) | Kind::Delay(_) | Kind::ResetBeforeHeaders => Effect::Before,
            Kind::ResetAfterHeaders
            | Kind::Truncate { .. }
            | Kind::WrongLength { .. }
            | Kind::Drip { .. } => Effect::After,
        })
    }

    fn is_for(&self, path: &str) -> bool {
        self.path.as_deref().is_none_or(|of| of == endpoint_of(path))
    }
}

/// `/route` for `/api/v1/route`, `route` and itself.
fn endpoint_of(path: &str) -> String {
    let rest = path.strip_prefix(crate::endpoint::BASE).filter(|rest| rest.starts_with('/')).unwrap_or(path);
    format!("/{}", rest.trim_start_matches('/'))
}

fn valid(status: u16) -> u16 {
    if (200..=999).contains(&status) { status } else { 500 }
}

/// The faults of a sandbox, each with the calls it has seen.
#[derive(Debug, Default)]
pub(crate) struct Faults(Planned<Fault>);

impl Faults {
    pub(crate) fn add(&self, fault: Fault) {
        self.0.add(fault.calls, fault);
    }

    pub(crate) fn clear(&self) {
        self.0.clear();
    }

    /// The fault of a call that has come in: of several the one that was added first. All of them count it.
    pub(crate) fn of_call(&self, path: &str) -> Option<Fault> {
        self.0.of_call(|fault| fault.is_for(path))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fault_counts_every_call_of_its_endpoint_and_the_first_added_wins() {
        let faults = Faults::default();
        faults.add(Fault::on("/route").nth(2).status(502));
        faults.add(Fault::on("api/v1/route").always());
        faults.add(Fault::on("/api/v1/route").first(3).status(503));
        faults.add(Fault::anywhere().nth(4).status(504));
        let kinds: Vec<_> = ["/api/v1/route", "/api/v1/status", "/api/v1/route", "/api/v1/route", "/"]
            .map(|path| faults.of_call(path).map(|fault| fault.kind()))
            .into();
        let status = |status| Some(Kind::Status(status));
        assert_eq!(kinds, [status(503), None, status(502), status(503), None]);
        faults.clear();
        assert!(faults.of_call("/api/v1/route").is_none());
    }

    #[test]
    fn a_path_is_that_of_the_endpoint_with_or_without_its_base() {
        for path in ["/route", "route", "/api/v1/route"] {
            assert_eq!(endpoint_of(path), "/route", "{path}");
        }
        assert_eq!(endpoint_of("/api/v1beta"), "/api/v1beta");
    }

    #[test]
    fn a_status_that_is_none_is_500() {
        for (given, status) in [(200, 200), (999, 999), (100, 500), (0, 500), (1000, 500)] {
            assert_eq!(Fault::anywhere().status(given).kind(), Kind::Status(status));
        }
    }
}
