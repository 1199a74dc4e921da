//! What `GET /billing/status` answers.

use super::fields::{Fields, FromFields};
use super::json::Extra;
use crate::money::Usd;

/// What the wallet of a principal holds (API documentation, `GET /billing/status`).
///
/// Billing is not a guaranteed v1 contract of the API, so every field may be missing.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct BillingStatus {
    /// What the wallet holds, in USD; it may be below zero.
    pub balance_usd: Option<Usd>,
    /// The currency of the amounts, `USD`.
    pub currency: Option<String>,
    /// Whose wallet it is.
    pub principal_id: Option<String>,
    /// Whether the balance allows a call.
    pub can_call: Option<bool>,
    /// What one route costs, in USD, on a server that says so.
    pub charge_per_route_usd: Option<Usd>,
    /// The id of this request.
    pub request_id: Option<String>,
    /// Fields that have no name here.
    pub extra: Extra,
}

impl BillingStatus {
    /// How many routes the balance pays for, as far as the server tells what one costs.
    pub fn runway_routes(&self) -> Option<u64> {
        let (balance, charge) = (self.balance_usd?.to_decimal(), self.charge_per_route_usd?.to_decimal());
        if charge.is_sign_negative() || charge.is_zero() {
            return None;
        }
        let routes = balance.checked_div(charge)?.floor();
        // Below zero there is none left.
        u64::try_from(routes.max(rust_decimal::Decimal::ZERO)).ok()
    }
}

impl FromFields for BillingStatus {
    fn from_fields(mut fields: Fields<'_>) -> Result<Self, String> {
        Ok(Self {
            balance_usd: fields.take("balance_usd"),
            currency: fields.take("currency"),
            principal_id: fields.take("principal_id"),
            can_call: fields.take("can_call"),
            // [our] the documentation does not say where the price of a route is told
            charge_per_route_usd: fields.take("charge_per_route_usd"),
            request_id: fields.take("request_id"),
            extra: fields.rest(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_runway_is_counted_in_whole_routes_and_exactly() {
        for (body, routes) in [
            (r#"{"balance_usd":0.3,"charge_per_route_usd":0.1}"#, Some(3)),
            (r#"{"balance_usd":"9.99","charge_per_route_usd":"0.01"}"#, Some(999)),
            (r#"{"balance_usd":0.009,"charge_per_route_usd":0.01}"#, Some(0)),
            (r#"{"balance_usd":-1,"charge_per_route_usd":0.01}"#, Some(0)),
            (r#"{"balance_usd":1,"charge_per_route_usd":0}"#, None),
            (r#"{"balance_usd":1,"charge_per_route_usd":-1}"#, None),
            (r#"{"balance_usd":1}"#, None),
            (r#"{"balance_usd":1e400,"charge_per_route_usd":0.01}"#, None),
        ] {
            let status: BillingStatus = serde_json::from_str(body).unwrap();
            assert_eq!(status.runway_routes(), routes, "{body}");
        }
    }
}
