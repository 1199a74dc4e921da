//! Request ids: random to look at, the same for the same seed and the same order of calls.

use std::sync::{Mutex, PoisonError};

/// Hands out ids.
#[derive(Debug)]
pub(crate) struct Ids(Mutex<fastrand::Rng>);

impl Ids {
    pub(crate) fn from_seed(seed: u64) -> Self {
        Ids(Mutex::new(fastrand::Rng::with_seed(seed)))
    }

    /// The next id, a UUID of version 4 in form.
    pub(crate) fn next(&self) -> String {
        let random = self.0.lock().unwrap_or_else(PoisonError::into_inner).u128(..);
        let versioned = random & !(0xf << 76) | (0x4 << 76);
        let id = versioned & !(0x3 << 62) | (0x2 << 62);
        // Time fields first, as in the text form: 8, 4, 4, 4 and 12 hexadecimal digits.
        format!(
            "{:08x}-{:04x}-{:04x}-{:04x}-{:012x}",
            id >> 96,
            (id >> 80) & 0xffff,
            (id >> 64) & 0xffff,
            (id >> 48) & 0xffff,
            id & 0xffff_ffff_ffff
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_has_the_form_of_a_random_uuid() {
        let ids = Ids::from_seed(0);
        for _ in 0..200 {
            let id = ids.next();
            let parts: Vec<&str> = id.split('-').collect();
            assert_eq!(parts.iter().map(|part| part.len()).collect::<Vec<_>>(), [8, 4, 4, 4, 12], "{id}");
            assert!(parts[2].starts_with('4') && parts[3].starts_with(['8', '9', 'a', 'b']), "{id}");
            assert!(
                id.bytes().all(|b| b == b'-' || b.is_ascii_digit() || (b'a'..=b'f').contains(&b)),
                "{id}"
            );
        }
    }

    #[test]
    fn the_same_seed_gives_the_same_ids_and_another_seed_gives_others() {
        let some = |seed| {
            let ids = Ids::from_seed(seed);
            [ids.next(), ids.next()]
        };
        assert_eq!(some(7), some(7));
        assert_ne!(some(7), some(8));
        let [first, second] = some(7);
        assert_ne!(first, second);
    }
}
