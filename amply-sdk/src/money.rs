//! US dollars, exactly.
//!
//! An amount is read from the text it came in (`0.00475`, `"5.00"`, `1e-7`), never through arithmetic on
//! floating point numbers, so that what is printed, compared or paid is what was said.

use std::fmt;
use std::str::FromStr;

use rust_decimal::{Decimal, RoundingStrategy};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// Billionths in a dollar.
const NANO: i64 = 1_000_000_000;

/// An exact amount of US dollars.
///
/// ```
/// use amply_sdk::Usd;
///
/// let cost: Usd = "0.00475".parse()?;
/// assert!(cost < Usd::dollars(1));
/// assert_eq!(cost.to_string(), "0.00475");
/// # Ok::<(), amply_sdk::ParseUsdError>(())
/// ```
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Usd(Decimal);

impl Usd {
    /// Nothing.
    pub const ZERO: Self = Self(Decimal::ZERO);

    /// A whole number of dollars.
    pub fn dollars(dollars: i64) -> Self {
        Self(Decimal::from(dollars))
    }

    /// The amount as a decimal number of dollars.
    pub fn to_decimal(self) -> Decimal {
        self.0
    }

    /// Whether the amount is below zero.
    pub fn is_negative(self) -> bool {
        self.0.is_sign_negative() && !self.0.is_zero()
    }

    /// Whether the amount is above zero.
    pub fn is_positive(self) -> bool {
        self.0.is_sign_positive() && !self.0.is_zero()
    }

    /// The sum, if it can be kept exactly.
    pub fn checked_add(self, other: Self) -> Option<Self> {
        self.0.checked_add(other.0).map(Self::from)
    }

    /// The difference, if it can be kept exactly.
    pub fn checked_sub(self, other: Self) -> Option<Self> {
        self.0.checked_sub(other.0).map(Self::from)
    }

    /// The next whole cent, or the amount itself where it is one.
    pub(crate) fn up_to_a_cent(self) -> Self {
        Self::from(self.0.round_dp_with_strategy(2, RoundingStrategy::ToPositiveInfinity))
    }

    /// Billionths of a dollar, rounded up; `None` beyond about nine billion dollars.
    pub(crate) fn to_nano_up(self) -> Option<i64> {
        let nano = self.0.checked_mul(Decimal::from(NANO))?;
        nano.round_dp_with_strategy(0, RoundingStrategy::ToPositiveInfinity).try_into().ok()
    }

    #[cfg_attr(
        not(any(feature = "durable", feature = "x402-evm")),
        allow(dead_code, reason = "amounts are written down as billionths by these two alone")
    )]
    pub(crate) fn from_nano(nano: i64) -> Self {
        Self::from(Decimal::new(nano, 9))
    }

    /// The nearest double, for a field that the API defines as a plain number and that is no payment.
    pub(crate) fn to_f64(self) -> f64 {
        // The text of a decimal is always a number, and the parser rounds correctly.
        self.0.to_string().parse().unwrap_or(f64::NAN)
    }

    /// The amount that a double says in its shortest text, `None` when it is not finite or too large.
    pub(crate) fn from_shortest(value: f64) -> Option<Self> {
        // `{:e}` is the shortest text that reads back as the same double.
        value.is_finite().then(|| format!("{value:e}").parse().ok())?
    }
}

impl From<Decimal> for Usd {
    fn from(amount: Decimal) -> Self {
        Self(amount.normalize())
    }
}

impl From<Usd> for Decimal {
    fn from(amount: Usd) -> Self {
        amount.0
    }
}

impl fmt::Display for Usd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl fmt::Debug for Usd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Usd({})", self.0)
    }
}

/// A text that is not an amount of US dollars that can be kept exactly.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not an amount in USD; write a plain decimal number such as 0.05")]
pub struct ParseUsdError {
    text: String,
}

impl FromStr for Usd {
    type Err = ParseUsdError;

    /// Reads a decimal number, with an exponent or without.
    ///
    /// # Errors
    /// When the text is no number, or has more digits than can be kept exactly (28).
    fn from_str(text: &str) -> Result<Self, ParseUsdError> {
        let amount = match text.contains(['e', 'E']) {
            true => Decimal::from_scientific(text).ok(),
            false => Decimal::from_str_exact(text).ok(),
        };
        // `_` between digits is the decimal crate's own liberty, not a way to write money.
        match amount {
            Some(amount) if !text.contains('_') => Ok(Self(amount.normalize())),
            _ => Err(ParseUsdError { text: crate::text::one_line(text, 40) }),
        }
    }
}

/// Written as text (`"0.05"`), which keeps every digit whoever reads it.
impl Serialize for Usd {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

/// Read from a number or from text.
impl<'de> Deserialize<'de> for Usd {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Amount;

        impl de::Visitor<'_> for Amount {
            type Value = Usd;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an amount in USD, as a number or as text")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Usd, E> {
                text.parse().map_err(E::custom)
            }

            fn visit_i64<E: de::Error>(self, value: i64) -> Result<Usd, E> {
                Ok(Usd(Decimal::from(value)))
            }

            fn visit_u64<E: de::Error>(self, value: u64) -> Result<Usd, E> {
                Ok(Usd(Decimal::from(value)))
            }

            fn visit_f64<E: de::Error>(self, value: f64) -> Result<Usd, E> {
                Usd::from_shortest(value).ok_or_else(|| E::custom("not an amount in USD"))
            }
        }

        deserializer.deserialize_any(Amount)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_amount_keeps_every_digit_it_was_written_with() {
        for (text, shown) in
            [("0.1", "0.1"), ("5.00", "5"), ("1e-7", "0.0000001"), ("0.000000000001", "0.000000000001")]
        {
            assert_eq!(text.parse::<Usd>().unwrap().to_string(), shown);
        }
    }

    #[test]
    fn billionths_are_rounded_up_and_never_wrap() {
        let nano = |text: &str| text.parse::<Usd>().unwrap().to_nano_up();
        assert_eq!(nano("0.05"), Some(50_000_000));
        assert_eq!(nano("0.0000000001"), Some(1));
        assert_eq!(nano("9223372036.854775807"), Some(i64::MAX));
        assert_eq!(nano("9223372036.8547758071"), None);
        assert_eq!(nano("79228162514264337593543950335"), None);
        assert_eq!(Usd::from_nano(50_000_000).to_string(), "0.05");
    }

    #[test]
    fn what_is_no_amount_is_refused_and_named() {
        for text in ["", "NaN", "inf", "1_000", "five", "1e308", "$5", "1,5", "0x10"] {
            let error = text.parse::<Usd>().unwrap_err().to_string();
            assert!(error.starts_with(&format!("`{text}` is not an amount in USD")), "{error}");
        }
    }

    #[test]
    fn numbers_and_text_read_as_the_same_amount() {
        for json in ["0.1", "\"0.1\"", "1e-1"] {
            assert_eq!(serde_json::from_str::<Usd>(json).unwrap(), "0.1".parse().unwrap());
        }
        assert_eq!(serde_json::from_str::<Usd>("3").unwrap(), Usd::dollars(3));
        assert_eq!(serde_json::to_string(&Usd::dollars(3)).unwrap(), "\"3\"");
    }
}
