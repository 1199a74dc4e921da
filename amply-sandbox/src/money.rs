//! Amounts of money. Whole billionths of a dollar: no amount is ever computed, read or written as a double.

use std::{convert::Infallible, fmt, str::FromStr};

use serde::{
    de::{Deserialize, Deserializer, Error as _},
    ser::{Error as _, Serialize, Serializer},
};
use serde_json::value::RawValue;

use crate::js;

/// An amount of US dollars, exact to a billionth. May be negative.
///
/// It is read from decimal text, such as `10`, `0.05` or `5e-2`, and written as its shortest decimals. As JSON it is a number
/// in dollars; it is read from a number or a text.
///
/// ```
/// use amply_sandbox::NanoUsd;
///
/// # fn main() -> Result<(), amply_sandbox::AmountError> {
/// let amount: NanoUsd = "10.050".parse()?;
/// assert_eq!(amount.nanos(), 10_050_000_000);
/// assert_eq!(amount.to_string(), "10.05");
/// # Ok(()) }
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NanoUsd(pub(crate) i64);

impl NanoUsd {
    const PER_DOLLAR: u64 = 1_000_000_000;
    const DECIMALS: i64 = 9;

    /// From billionths of a US dollar.
    #[must_use]
    pub const fn from_nanos(nanos: i64) -> Self {
        NanoUsd(nanos)
    }

    /// Billionths of a US dollar.
    #[must_use]
    pub const fn nanos(self) -> i64 {
        self.0
    }

    /// A figure of the catalog's arithmetic, which is that of doubles, at its shortest decimals. What is beyond all amounts is
    /// the largest.
    pub(crate) fn of_figure(usd: f64) -> Self {
        js::to_text(usd).parse().unwrap_or(NanoUsd(i64::MAX))
    }

    pub(crate) fn saturating_add(self, other: Self) -> Self {
        NanoUsd(self.0.saturating_add(other.0))
    }

    /// `1,240.55`: whole cents, what is less than one left out.
    pub(crate) fn to_cents_text(self) -> String {
        let cents = self.0.unsigned_abs() / (Self::PER_DOLLAR / 100);
        let dollars = (cents / 100).to_string();
        let grouped: String = dollars
            .char_indices()
            .flat_map(|(i, digit)| {
                let begins_group = i > 0 && (dollars.len() - i).is_multiple_of(3);
                begins_group.then_some(',').into_iter().chain([digit])
            })
            .collect();
        format!("{}{grouped}.{:02}", if self.0 < 0 { "-" } else { "" }, cents % 100)
    }

    /// The JSON number or text that `json` is.
    pub(crate) fn of_json(json: &RawValue) -> Result<Self, AmountError> {
        match serde_json::from_str::<String>(json.get()) {
            Ok(text) => text.parse(),
            Err(_) => json.get().parse(),
        }
    }
}

/// Why something is no amount.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AmountError {
    /// Not a decimal number.
    #[error("not an amount in USD; write it as a decimal number such as 10 or 0.05")]
    NotANumber,

    /// It has digits beyond the ninth decimal.
    #[error("an amount in USD has at most 9 decimals")]
    TooPrecise,

    /// More than about nine billion dollars.
    #[error("an amount in USD is at most 9223372036")]
    TooLarge,

    /// Less than nothing, where that makes no sense.
    #[error("an amount that is charged must not be negative")]
    Negative,
}

impl From<Infallible> for AmountError {
    fn from(never: Infallible) -> Self {
        match never {}
    }
}

impl FromStr for NanoUsd {
    type Err = AmountError;

    fn from_str(text: &str) -> Result<Self, AmountError> {
        let (sign, unsigned) = text.strip_prefix('-').map_or((1, text), |rest| (-1, rest));
        let (mantissa, exponent) = unsigned.split_once(['e', 'E']).unwrap_or((unsigned, "0"));
        let (whole, fraction) = match mantissa.split_once('.') {
            Some((_, "")) => return Err(AmountError::NotANumber),
            Some(parts) => parts,
            None => (mantissa, ""),
        };
        let is_digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
        if whole.is_empty() || !is_digits(whole) || !is_digits(fraction) {
            return Err(AmountError::NotANumber);
        }
        let all = format!("{whole}{fraction}");
        let digits = all.trim_end_matches('0');
        let idle_zeros = length(all.len() - digits.len());
        let digits = digits.trim_start_matches('0');
        let exponent: i64 = i32::from_str(exponent).map_err(|_| AmountError::NotANumber)?.into();
        if digits.is_empty() {
            return Ok(NanoUsd::default());
        }
        // How many zeros follow the digits when the amount is written in billionths.
        let shift = exponent - length(fraction.len()) + idle_zeros + NanoUsd::DECIMALS;
        if shift < 0 {
            return Err(AmountError::TooPrecise);
        }
        let power = u32::try_from(shift).ok().and_then(|shift| 10_i64.checked_pow(shift));
        let nanos =
            i64::from_str(digits).ok().zip(power).and_then(|(digits, power)| digits.checked_mul(power));
        nanos.map(|nanos| NanoUsd(sign * nanos)).ok_or(AmountError::TooLarge)
    }
}

fn length(bytes: usize) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}

impl TryFrom<&str> for NanoUsd {
    type Error = AmountError;

    fn try_from(text: &str) -> Result<Self, AmountError> {
        text.parse()
    }
}

impl fmt::Display for NanoUsd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.0 < 0 { "-" } else { "" };
        let (dollars, nanos) =
            (self.0.unsigned_abs() / Self::PER_DOLLAR, self.0.unsigned_abs() % Self::PER_DOLLAR);
        if nanos == 0 {
            return write!(f, "{sign}{dollars}");
        }
        let decimals = format!("{nanos:09}");
        write!(f, "{sign}{dollars}.{}", decimals.trim_end_matches('0'))
    }
}

impl Serialize for NanoUsd {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        // As its own text: a detour over a double would be exact today and a trap for whoever adds to it.
        RawValue::from_string(self.to_string()).map_err(S::Error::custom)?.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for NanoUsd {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let json = Box::<RawValue>::deserialize(deserializer)?;
        NanoUsd::of_json(&json).map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_amount_is_written_as_a_number_without_idle_zeros() {
        for (nanos, text) in [
            (0, "0"),
            (1, "0.000000001"),
            (10_000_000, "0.01"),
            (1_500_000_000, "1.5"),
            (20_000_000_000, "20"),
            (-10_000_000, "-0.01"),
            (i64::MAX, "9223372036.854775807"),
            (i64::MIN, "-9223372036.854775808"),
        ] {
            assert_eq!(serde_json::to_string(&NanoUsd(nanos)).unwrap(), text);
        }
    }

    #[test]
    fn an_amount_in_cents_has_its_thousands_set_apart_and_says_no_more_than_there_is() {
        for (nanos, text) in [
            (0, "0.00"),
            (9_999_999, "0.00"),
            (19_999_999, "0.01"),
            (999_990_000_000, "999.99"),
            (1_240_550_000_000, "1,240.55"),
            (1_234_567_000_000_000, "1,234,567.00"),
            (-1_500_000_000, "-1.50"),
        ] {
            assert_eq!(NanoUsd(nanos).to_cents_text(), text);
        }
    }

    #[test]
    fn a_figure_is_an_amount_at_its_shortest_decimals() {
        for (figure, nanos) in
            [(0.00475, 4_750_000), (0.0001, 100_000), (1e21, i64::MAX), (f64::INFINITY, i64::MAX)]
        {
            assert_eq!(NanoUsd::of_figure(figure), NanoUsd(nanos), "{figure}");
        }
    }

    #[test]
    fn an_amount_is_read_to_the_last_digit() {
        for (text, nanos) in [
            ("0", 0),
            ("-0.0", 0),
            ("0e-400", 0),
            ("10.00", 10_000_000_000),
            ("0.05", 50_000_000),
            ("5e-2", 50_000_000),
            ("5E+1", 50_000_000_000),
            ("50000e-6", 50_000_000),
            ("0.0000000010000", 1),
            ("-1", -1_000_000_000),
            ("007", 7_000_000_000),
            ("9223372036.854775807", i64::MAX),
        ] {
            assert_eq!(text.parse(), Ok(NanoUsd(nanos)), "{text}");
            assert_eq!(serde_json::from_str::<NanoUsd>(&format!("{text:?}")).unwrap(), NanoUsd(nanos));
        }
        assert_eq!(serde_json::from_str::<NanoUsd>("0.1").unwrap(), NanoUsd(100_000_000));
    }

    #[test]
    fn what_is_no_amount_is_told_apart_from_what_is_too_large_or_too_precise() {
        use AmountError::{NotANumber, TooLarge, TooPrecise};
        for (text, error) in [
            ("", NotANumber),
            ("-", NotANumber),
            ("NaN", NotANumber),
            ("inf", NotANumber),
            ("1.", NotANumber),
            (".5", NotANumber),
            ("+1", NotANumber),
            (" 1", NotANumber),
            ("1,5", NotANumber),
            ("1e", NotANumber),
            ("1e99999999999", NotANumber),
            ("٣", NotANumber),
            ("1e308", TooLarge),
            ("9223372036.854775808", TooLarge),
            ("0.010000000001", TooPrecise),
            ("1e-400", TooPrecise),
        ] {
            assert_eq!(text.parse::<NanoUsd>(), Err(error), "{text}");
        }
    }
}
