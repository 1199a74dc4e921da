//! How top-ups are credited: as they should be, or not.

use serde::Serialize;

use crate::{calls::Calls, money::NanoUsd};

/// How top-ups are credited, and which. Given to [`Control::crediting`](crate::Control::crediting); without one they are
/// credited as asked, at once.
///
/// ```
/// use amply_sandbox::Crediting;
///
/// # fn main() -> Result<(), amply_sandbox::AmountError> {
/// // The first top-up is taken, and no balance shows it before it was looked at three times:
/// Crediting::as_asked().late(3).first(1);
/// // The second is answered with `ok`, and the money is gone:
/// Crediting::nothing().nth(2);
/// // Each of them credits four cents, whatever was asked, and says that it was five:
/// Crediting::of("0.04".parse()?).says(0.05);
/// # Ok(()) }
/// ```
///
/// For an answer that is lost, late or wrong as a whole there are faults: `Fault::on("/topup").after_effect().status(500)`.
/// A top-up that is repeated under its idempotency key is not credited again and counts for none of them.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use = "top-ups are credited so once it is given to `Control::crediting`"]
pub struct Crediting {
    pub(crate) calls: Calls,
    /// `None` as asked.
    amount: Option<NanoUsd>,
    /// JSON text; `None` for the truth.
    says: Option<String>,
    late_by: u32,
}

impl Crediting {
    /// What was asked for.
    pub fn as_asked() -> Self {
        Crediting { calls: Calls::Always, amount: None, says: None, late_by: 0 }
    }

    /// This amount, whatever was asked for; the answer says so. A negative one takes money away.
    pub fn of(amount: NanoUsd) -> Self {
        Crediting { amount: Some(amount), ..Crediting::as_asked() }
    }

    /// Nothing, while the answer says what was asked for.
    pub fn nothing() -> Self {
        Crediting::of(NanoUsd::default())
    }

    /// What the answer says as `credited_usd`, true or not, an amount or not.
    pub fn says(mut self, json: impl Serialize) -> Self {
        // What cannot be written as JSON leaves the truth.
        self.says = serde_json::to_string(&json).ok();
        self
    }

    /// The credit shows and counts only after the wallet was looked at this many times: by `GET /billing/status`, or by a
    /// route that it has to pay. With `u32::MAX`, never.
    pub fn late(mut self, looks: u32) -> Self {
        self.late_by = looks;
        self
    }

    /// The first `count` top-ups after it was set.
    pub fn first(mut self, count: u64) -> Self {
        self.calls = Calls::First(count);
        self
    }

    /// Only one top-up: the `number`th after it was set, counted from 1.
    pub fn nth(mut self, number: u64) -> Self {
        self.calls = Calls::Nth(number);
        self
    }

    /// Every top-up. The default.
    pub fn always(mut self) -> Self {
        self.calls = Calls::Always;
        self
    }

    pub(crate) fn amount_for(&self, asked: NanoUsd) -> NanoUsd {
        self.amount.unwrap_or(asked)
    }

    pub(crate) fn late_by(&self) -> u32 {
        self.late_by
    }

    /// JSON text.
    pub(crate) fn said_for(&self, asked: NanoUsd) -> String {
        let credited = self.amount.filter(|amount| *amount != NanoUsd::default());
        self.says.clone().unwrap_or_else(|| credited.unwrap_or(asked).to_string())
    }
}
