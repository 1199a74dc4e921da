//! Amounts that are charged. Whole billionths of a dollar: no charge is ever computed in doubles.

use serde::ser::{Error as _, Serialize, Serializer};
use serde_json::value::RawValue;

/// Billionths of a US dollar. On the wire a JSON number in dollars: `0.01`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct NanoUsd(pub(crate) u64);

impl NanoUsd {
    const PER_DOLLAR: u64 = 1_000_000_000;

    fn text(self) -> String {
        let (dollars, nanos) = (self.0 / Self::PER_DOLLAR, self.0 % Self::PER_DOLLAR);
        if nanos == 0 {
            return dollars.to_string();
        }
        format!("{dollars}.{nanos:09}").trim_end_matches('0').to_owned()
    }
}

impl Serialize for NanoUsd {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        // As its own text: a detour over a double would be exact today and a trap for whoever adds to it.
        RawValue::from_string(self.text()).map_err(S::Error::custom)?.serialize(serializer)
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
            (u64::MAX, "18446744073.709551615"),
        ] {
            assert_eq!(serde_json::to_string(&NanoUsd(nanos)).unwrap(), text);
        }
    }
}
