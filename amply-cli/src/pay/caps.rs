//! The caps of what may be paid: of flag and variable the smaller one holds.

use std::ffi::OsString;

use amply_sdk::{Cap, SpendPolicy, Usd, env};

use super::args::PayArgs;
use crate::exit::Failed;
use crate::table::cents;

/// The caps that hold, and what each was set by. There is always one over time, and for x402 one for a route.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Caps {
    per_topup: Option<Setting>,
    per_request: Option<Setting>,
    per_day: Setting,
}

#[derive(Clone, Copy, Debug, PartialEq)]
struct Setting {
    amount: Usd,
    /// What to change to change it, as it is typed.
    set_by: &'static str,
}

impl Caps {
    pub(crate) fn read(args: &PayArgs, variable: &dyn Fn(&str) -> Option<OsString>) -> Result<Self, Failed> {
        let per_topup = smaller(args.max_topup_usd, "`--max-topup-usd`", env::MAX_TOPUP_USD, variable)?;
        let per_request =
            smaller(args.max_request_usd, "`--max-request-usd`", env::MAX_REQUEST_USD, variable)?;
        let per_day = over_time("`--pay`", args.max_daily_usd, variable)?;
        if per_request.is_none() && !args.x402_network.is_empty() {
            return Err(Failed::Usage(format!(
                "`--x402-network` has no cap for a route, whose price the server says; add one, like `--max-request-usd 0.10`, \
                 or set {}",
                env::MAX_REQUEST_USD
            )));
        }
        Ok(Self { per_topup, per_request, per_day })
    }

    /// The caps of a top-up that is ordered.
    pub(crate) fn of_topup(
        max_topup_usd: Option<Usd>,
        max_daily_usd: Option<Usd>,
        variable: &dyn Fn(&str) -> Option<OsString>,
    ) -> Result<Self, Failed> {
        let per_topup = smaller(max_topup_usd, "`--max-topup-usd`", env::MAX_TOPUP_USD, variable)?;
        let per_day = over_time("`amply wallet topup`", max_daily_usd, variable)?;
        Ok(Self { per_topup, per_request: None, per_day })
    }

    /// The caps of a top-up, for a sentence.
    pub(crate) fn of_topup_in_words(&self) -> String {
        let per_topup = self.per_topup.map(|cap| format!("{} USD for one top-up and ", cents(cap.amount)));
        format!("{}{} USD for a day (UTC)", per_topup.unwrap_or_default(), cents(self.per_day.amount))
    }

    pub(crate) fn policy(&self) -> SpendPolicy {
        let policy = self
            .per_topup
            .map_or_else(SpendPolicy::default, |cap| SpendPolicy::per_topup(cap.amount))
            .per_day(self.per_day.amount);
        match self.per_request {
            Some(cap) => policy.per_request(cap.amount),
            None => policy,
        }
    }

    /// What to change where this cap forbids a payment.
    pub(crate) fn set_by(&self, cap: Cap) -> Option<&'static str> {
        match cap {
            Cap::PerTopup => self.per_topup.map(|cap| cap.set_by),
            Cap::PerRequest => self.per_request.map(|cap| cap.set_by),
            Cap::PerDay => Some(self.per_day.set_by),
            _ => None,
        }
    }
}

/// Of what was typed and what the environment says the smaller one.
fn smaller(
    typed: Option<Usd>,
    flag: &'static str,
    name: &'static str,
    variable: &dyn Fn(&str) -> Option<OsString>,
) -> Result<Option<Setting>, Failed> {
    let typed = typed.map(|amount| Setting { amount, set_by: flag });
    let read = variable(name).map(|text| amount(name, text)).transpose()?;
    let read = read.map(|amount| Setting { amount, set_by: name });
    // Of two that are equal the flag, which is at hand.
    Ok(typed.into_iter().chain(read).min_by_key(|cap| cap.amount))
}

/// The cap of a day, which must be there.
fn over_time(
    what: &str,
    typed: Option<Usd>,
    variable: &dyn Fn(&str) -> Option<OsString>,
) -> Result<Setting, Failed> {
    smaller(typed, "`--max-daily-usd`", env::MAX_DAILY_USD, variable)?.ok_or_else(|| {
        Failed::Usage(format!(
            "{what} has no cap over time; add one for a day, like `--max-daily-usd 5`, or set {}",
            env::MAX_DAILY_USD
        ))
    })
}

fn amount(name: &'static str, text: OsString) -> Result<Usd, Failed> {
    let text = text.to_string_lossy().into_owned();
    let amount: Usd = text.parse().map_err(|error| Failed::Usage(format!("{name}: {error}")))?;
    match amount.is_positive() {
        true => Ok(amount),
        false => Err(Failed::Usage(format!("{name} is {amount} USD; it must be above 0"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read([topup, request, day]: [Option<&str>; 3], variables: &[(&str, &str)]) -> Result<Caps, Failed> {
        let usd = |text: Option<&str>| text.map(|text| text.parse().unwrap());
        let args = PayArgs {
            pay: true,
            topup_url: None,
            x402_network: Vec::new(),
            max_topup_usd: usd(topup),
            max_request_usd: usd(request),
            max_daily_usd: usd(day),
        };
        let find = |name: &str| variables.iter().find(|(known, _)| *known == name);
        Caps::read(&args, &|name| find(name).map(|(_, value)| value.into()))
    }

    #[test]
    fn the_smaller_of_flag_and_variable_holds_and_is_what_is_named() {
        let variables =
            [("AMPLY_MAX_TOPUP_USD", "2"), ("AMPLY_MAX_REQUEST_USD", "0.50"), ("AMPLY_MAX_DAILY_USD", "20")];
        let caps = read([Some("3"), Some("0.5"), Some("10")], &variables).unwrap();
        let usd = |text: &str| text.parse::<Usd>().unwrap();
        let policy = SpendPolicy::per_topup(usd("2")).per_request(usd("0.5")).per_day(usd("10"));
        assert_eq!(caps.policy(), policy);
        assert_eq!(caps.set_by(Cap::PerTopup), Some("AMPLY_MAX_TOPUP_USD"));
        assert_eq!(caps.set_by(Cap::PerRequest), Some("`--max-request-usd`"));
        assert_eq!(caps.set_by(Cap::PerDay), Some("`--max-daily-usd`"));
        let caps = read([None, None, Some("30")], &variables[2..]).unwrap();
        assert_eq!(caps.policy(), SpendPolicy::default().per_day(usd("20")));
    }

    #[test]
    fn a_variable_that_is_no_amount_is_refused_even_where_a_flag_is_given() {
        for (value, says) in [
            ("five", "AMPLY_MAX_DAILY_USD: `five` is not an amount in USD"),
            ("0", "AMPLY_MAX_DAILY_USD is 0 USD; it must be above 0"),
            ("-1", "AMPLY_MAX_DAILY_USD is -1 USD; it must be above 0"),
        ] {
            let refused = read([None, None, Some("5")], &[("AMPLY_MAX_DAILY_USD", value)]);
            assert!(matches!(refused, Err(Failed::Usage(why)) if why.contains(says)), "{value}");
        }
    }
}
