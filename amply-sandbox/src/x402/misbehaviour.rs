//! What goes wrong with open payments, and with which: the offers of a request, and the settlement of a payment.

use serde::Serialize;

use super::Version;
use crate::{calls::Calls, challenge::Document};

/// What is wrong with the offers of open payments, and of which requests. Given to
/// [`Control::offering`](crate::Control::offering).
///
/// A server makes its offers anew for each request that has to be paid, with a payment in it or without: those are what is
/// counted, and a payment has to fit the offers of its own request. Fields are named by their path: `/payTo`,
/// `/extra/version`.
///
/// ```
/// use amply_sandbox::Offering;
///
/// // Whoever answers the first 402 is told that somebody else was to be paid:
/// Offering::new().pay_to("0x90F79bf6EB2c4f870365E785982E1f101E93b906").nth(1);
/// // And so on for ever:
/// Offering::new().changing_pay_to();
/// // What a server sends that computes prices in doubles:
/// Offering::new().amount("1000999.9999999999");
/// // A token that no one knows, and money that is taken before the route is:
/// Offering::new().asset("0x1111111111111111111111111111111111111111");
/// Offering::new().upfront();
/// ```
#[derive(Clone, Debug)]
#[must_use = "offers are changed once it is given to `Control::offering`"]
pub struct Offering {
    pub(crate) calls: Calls,
    changing_pay_to: bool,
    edits: Vec<Edit>,
}

/// JSON text for the field at `path`, or `None` to leave it out.
#[derive(Clone, Debug)]
struct Edit {
    of: Part,
    path: String,
    json: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    /// Each offer of this version, or of both.
    Offer(Option<Version>),
    /// The object that has the offers as `accepts`.
    Around(Option<Version>),
}

impl Offering {
    /// Offers as they should be, until something is changed.
    pub fn new() -> Self {
        Offering { calls: Calls::Always, changing_pay_to: false, edits: Vec::new() }
    }

    /// The first `count` requests that have to be paid, after it was set.
    pub fn first(mut self, count: u64) -> Self {
        self.calls = Calls::First(count);
        self
    }

    /// Only one such request, counted from 1 since it was set.
    pub fn nth(mut self, number: u64) -> Self {
        self.calls = Calls::Nth(number);
        self
    }

    /// Every such request. The default.
    pub fn always(mut self) -> Self {
        self.calls = Calls::Always;
        self
    }

    /// Another address each time: a payment never fits.
    pub fn changing_pay_to(mut self) -> Self {
        self.changing_pay_to = true;
        self
    }

    /// `payTo`.
    pub fn pay_to(self, address: &str) -> Self {
        self.set("/payTo", address)
    }

    /// `amount`, in version 1 `maxAmountRequired`: text of atomic units, or anything else.
    pub fn amount(self, json: impl Serialize) -> Self {
        let json = serde_json::to_string(&json).ok();
        let of = |version| Part::Offer(Some(version));
        self.edit(of(Version::V1), "/maxAmountRequired", json.clone()).edit(of(Version::V2), "/amount", json)
    }

    /// `asset`. The names that are signed stay.
    pub fn asset(self, address: &str) -> Self {
        self.set("/asset", address)
    }

    /// `extra.paymentFlow` is `upfront`: a payment is settled before the handler runs. Version 2 only.
    pub fn upfront(self) -> Self {
        self.edit(Part::Offer(Some(Version::V2)), "/extra/paymentFlow", Some("\"upfront\"".to_owned()))
    }

    /// What is said to be paid for: `resource` of each offer in version 1, `resource.url` beside them in version 2.
    pub fn resource(self, url: &str) -> Self {
        let json = serde_json::to_string(url).ok();
        self.edit(Part::Offer(Some(Version::V1)), "/resource", json.clone()).edit(
            Part::Around(Some(Version::V2)),
            "/resource/url",
            json,
        )
    }

    /// Sets any field of each offer, one that it does not have included.
    pub fn set(self, path: &str, json: impl Serialize) -> Self {
        let json = serde_json::to_string(&json).ok();
        self.edit(Part::Offer(None), path, json)
    }

    /// Leaves a field of each offer out.
    pub fn without(mut self, path: &str) -> Self {
        self.edits.push(Edit { of: Part::Offer(None), path: path.to_owned(), json: None });
        self
    }

    /// Sets a field of the object that has the offers as `accepts`: `/x402Version`, `/error`, `/extensions/name`, `/accepts`
    /// itself. Not of Amply's object, which is changed by a [`Challenge`](crate::Challenge).
    pub fn set_around(self, path: &str, json: impl Serialize) -> Self {
        let json = serde_json::to_string(&json).ok();
        self.edit(Part::Around(None), path, json)
    }

    /// What cannot be written as JSON leaves the field as it is.
    fn edit(mut self, of: Part, path: &str, json: Option<String>) -> Self {
        if json.is_some() {
            self.edits.push(Edit { of, path: path.to_owned(), json });
        }
        self
    }

    pub(crate) fn changes_pay_to(&self) -> bool {
        self.changing_pay_to
    }

    pub(crate) fn edit_offer(&self, version: Version, offer: &mut Document) {
        self.apply(|of| matches!(of, Part::Offer(only) if only.is_none_or(|only| only == version)), offer);
    }

    pub(crate) fn edit_around(&self, version: Version, object: &mut Document) {
        self.apply(|of| matches!(of, Part::Around(only) if only.is_none_or(|only| only == version)), object);
    }

    fn apply(&self, is_for: impl Fn(Part) -> bool, document: &mut Document) {
        for edit in self.edits.iter().filter(|edit| is_for(edit.of)) {
            match &edit.json {
                Some(json) => document.set(&edit.path, json.clone()),
                None => document.remove(&edit.path),
            }
        }
    }
}

impl Default for Offering {
    fn default() -> Self {
        Offering::new()
    }
}

/// What becomes of an open payment that is in order: whether the money moves, and what is said of it. Given to
/// [`Control::settling`](crate::Control::settling); without one it is settled once the route is there, and the answer has a receipt.
///
/// ```
/// use amply_sandbox::Settling;
///
/// // The money moves, and the answer says that it did not; in words, as a server that cannot read what it was told:
/// Settling::as_asked().says_failed("Facilitator settle failed (500): upstream error").first(1);
/// // Nothing moves, and the answer says so:
/// Settling::nothing().says_failed("insufficient_funds");
/// // A transaction was sent, and moves the money after two more routes have been asked for:
/// Settling::as_asked().late(2).says_failed_with_transaction("settlement_pending");
/// // The money moves, and there is never an answer; or a 502 in its place:
/// Settling::as_asked().never_answers();
/// Settling::as_asked().answers(502);
/// ```
///
/// For an answer that is cut, dripped or reset there are faults: `Fault::on("/route").nth(2).truncate(20)`.
#[derive(Clone, Debug)]
#[must_use = "payments are settled so once it is given to `Control::settling`"]
pub struct Settling {
    pub(crate) calls: Calls,
    pub(crate) money: Money,
    pub(crate) says: Says,
    pub(crate) handler_fails: bool,
}

/// When money moves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Money {
    Now,
    AfterLooks(u32),
    Never,
}

/// What is said of a payment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Says {
    /// That it was settled; if it could not be, the truth.
    Settled,
    Failed {
        reason: String,
        with_transaction: bool,
    },
    /// That it is not in order, and so there is no route.
    Refused(String),
    /// A status, and no word of the payment.
    Status(u16),
    /// No answer, and the connection stays open.
    Nothing,
    /// The route with this text for its receipt, or with none.
    Receipt(Option<String>),
}

impl Settling {
    /// The money moves once, as it was authorized.
    pub fn as_asked() -> Self {
        Settling { calls: Calls::Always, money: Money::Now, says: Says::Settled, handler_fails: false }
    }

    /// No money moves, while the answer says that it did.
    pub fn nothing() -> Self {
        Settling { money: Money::Never, ..Settling::as_asked() }
    }

    /// The money moves only after this many more requests that have to be paid have come, with a payment in them or without;
    /// by `validBefore` at the latest, or else never. The same authorization that comes again before is settled then.
    pub fn late(mut self, looks: u32) -> Self {
        self.money = if looks == 0 { Money::Now } else { Money::AfterLooks(looks) };
        self
    }

    /// The payment failed, it is said, with this reason: a code such as `insufficient_funds`, or free text. As a 402: in
    /// version 1 its `error`, in version 2 a receipt with `success: false` and no transaction.
    pub fn says_failed(mut self, reason: &str) -> Self {
        self.says = Says::Failed { reason: reason.to_owned(), with_transaction: false };
        self
    }

    /// The same, and the receipt of version 2 names a transaction. Version 1 has no receipt then.
    pub fn says_failed_with_transaction(mut self, reason: &str) -> Self {
        self.says = Says::Failed { reason: reason.to_owned(), with_transaction: true };
        self
    }

    /// The payment is not in order, it is said, before there is a route: a 402 with this reason and new offers. No money moves.
    pub fn refused(reason: &str) -> Self {
        Settling { says: Says::Refused(reason.to_owned()), ..Settling::nothing() }
    }

    /// An answer with this status, from 400 to 999 (500 stands for others), and no receipt, in place of the route.
    pub fn answers(mut self, status: u16) -> Self {
        self.says = Says::Status(if (400..=999).contains(&status) { status } else { 500 });
        self
    }

    /// No answer ever comes, and the connection is held.
    pub fn never_answers(mut self) -> Self {
        self.says = Says::Nothing;
        self
    }

    /// The route comes without a receipt.
    pub fn without_receipt(mut self) -> Self {
        self.says = Says::Receipt(None);
        self
    }

    /// The route comes with a receipt that is neither base64 nor JSON.
    pub fn garbage_receipt(mut self) -> Self {
        self.says = Says::Receipt(Some("%%%not-base64%%%".to_owned()));
        self
    }

    /// The route comes with this JSON for its receipt.
    pub fn receipt(mut self, json: impl Serialize) -> Self {
        // What cannot be written as JSON leaves the true one.
        if let Ok(json) = serde_json::to_vec(&json) {
            self.says = Says::Receipt(Some(super::payment::encode(&json)));
        }
        self
    }

    /// The handler answers 500 in place of a route. Then nothing is settled, unless that was done
    /// [upfront](Offering::upfront).
    pub fn handler_fails(mut self) -> Self {
        self.handler_fails = true;
        self
    }

    /// The first `count` payments that are in order, after it was set.
    pub fn first(mut self, count: u64) -> Self {
        self.calls = Calls::First(count);
        self
    }

    /// Only one such payment, counted from 1 since it was set.
    pub fn nth(mut self, number: u64) -> Self {
        self.calls = Calls::Nth(number);
        self
    }

    /// Every such payment. The default.
    pub fn always(mut self) -> Self {
        self.calls = Calls::Always;
        self
    }
}

impl Default for Settling {
    fn default() -> Self {
        Settling::as_asked()
    }
}
