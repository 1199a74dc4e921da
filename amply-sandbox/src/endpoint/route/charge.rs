//! What a route costs, and the debit of it.

use axum::{body::Body, http::Response};

use crate::{
    auth::Caller,
    endpoint::{
        payment_required::{self, Shortfall},
        reply::Stamp,
    },
    money::NanoUsd,
    state::State,
    validate::RouteInput,
};

/// The economics of one route, before it is charged.
#[derive(Clone, Copy, Debug)]
pub(super) struct Charge<'a> {
    pub(super) unit_price: NanoUsd,
    /// Who pays.
    payer: Option<&'a str>,
}

impl<'a> Charge<'a> {
    pub(super) fn of(state: &State, caller: &'a Caller, input: &RouteInput) -> Self {
        // [our] a call in sandbox mode costs nothing, nor does one that is not metered or has no principal to pay it.
        let is_metered = state.settings.release.is_documented() && state.settings.metering;
        Charge {
            unit_price: state.settings.charge_per_route,
            payer: caller.principal().filter(|_| is_metered && !input.sandbox_mode),
        }
    }

    pub(super) fn is_billable(&self) -> bool {
        self.payer.is_some()
    }

    /// What is taken from the wallet.
    pub(super) fn amount(&self) -> NanoUsd {
        if self.is_billable() { self.unit_price } else { NanoUsd::default() }
    }

    /// Debits the wallet once, or not at all: then the 402.
    pub(super) fn debit(&self, state: &State, stamp: &Stamp) -> Result<(), Box<Response<Body>>> {
        let Some(payer) = self.payer else { return Ok(()) };
        let (wallets, challenges) = (state.control.wallets(), state.control.challenges());
        let (balance, challenge) = match challenges.of_route() {
            Some(challenge) => (wallets.look(payer), challenge),
            None => match wallets.debit(payer, self.unit_price, state.settings.strict_wallet) {
                Ok(()) => return Ok(()),
                Err(balance) => (balance, challenges.of_shortfall()),
            },
        };
        let shortfall = Shortfall { price: self.unit_price, balance };
        Err(Box::new(payment_required::reply(state, stamp, shortfall, &challenge)))
    }
}
