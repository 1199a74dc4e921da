//! What a route costs, and who pays it in which way: the wallet of the principal, or an open x402 payment.

use axum::{
    body::Body,
    http::{HeaderMap, Response},
};

use super::Asked;
use crate::{
    auth::Caller,
    endpoint::{
        open_payment::{self, Demands, Verified},
        payment_required::{self, Shortfall},
        reply::Stamp,
    },
    money::NanoUsd,
    state::State,
    validate::RouteInput,
    x402::accept::OpenPayments,
};

/// The economics of one route, before it is charged.
#[derive(Clone, Copy, Debug)]
pub(super) struct Charge<'a> {
    pub(super) unit_price: NanoUsd,
    /// Whose wallet it is taken from.
    payer: Option<&'a str>,
    is_billable: bool,
}

impl<'a> Charge<'a> {
    pub(super) fn of(state: &State, caller: &'a Caller, input: &RouteInput) -> Self {
        let settings = &state.settings;
        // [our] a call in sandbox mode costs nothing, nor does one that is not metered or has no principal to pay it.
        let is_metered = settings.release.is_documented() && settings.metering;
        let is_due = is_metered && !input.sandbox_mode;
        let payer = caller.principal().filter(|_| is_due);
        // What costs nothing cannot be offered: there is no payment of nothing.
        let is_asked_of_all = settings.charge_per_route > NanoUsd::default()
            && settings.open_payments.as_ref().is_some_and(|open| open.without_principal);
        Charge {
            unit_price: settings.charge_per_route,
            payer,
            is_billable: is_due && (payer.is_some() || is_asked_of_all),
        }
    }

    pub(super) fn is_billable(&self) -> bool {
        self.is_billable
    }

    /// What the route costs its caller.
    pub(super) fn amount(&self) -> NanoUsd {
        if self.is_billable { self.unit_price } else { NanoUsd::default() }
    }

    /// Collects the price once, or not at all: then the 402. A payment is only verified here; the route settles it.
    pub(super) fn collect(
        &self,
        asked: Asked,
        state: &State,
        stamp: &Stamp,
        headers: &HeaderMap,
    ) -> Result<Option<Verified>, Box<Response<Body>>> {
        if !self.is_billable {
            return Ok(None);
        }
        let open = state.settings.open_payments.as_ref();
        let demands = |open: &OpenPayments| Demands::of(asked, state, open, self.unit_price);
        // [our] before the wallet: whoever brings a payment wants to pay with it.
        if let Some(open) = open
            && let Some(presented) = open_payment::presented(headers, open)
        {
            return open_payment::verify(state, stamp, demands(open), presented, headers).map(Some);
        }
        let (wallets, challenges) = (state.control.wallets(), state.control.challenges());
        let (balance, challenge) = match (challenges.of_route(), self.payer) {
            (Some(challenge), payer) => (payer.map(|payer| wallets.look(payer)), challenge),
            (None, None) => (None, challenges.of_shortfall()),
            (None, Some(payer)) => {
                match wallets.debit(payer, self.unit_price, state.settings.strict_wallet) {
                    Ok(()) => return Ok(None),
                    Err(balance) => (Some(balance), challenges.of_shortfall()),
                }
            }
        };
        let shortfall = Shortfall { price: self.unit_price, balance };
        let demands = open.map(demands);
        Err(Box::new(payment_required::reply(asked, state, stamp, shortfall, &challenge, demands.as_ref())))
    }
}
