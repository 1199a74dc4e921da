//! The secrets that a sandbox knows, made from its seed.

use std::sync::{Mutex, MutexGuard, PoisonError};

use indexmap::IndexMap;

use crate::{
    auth::Caller,
    settings::Secret,
    x402::authorization::{hex_text, keccak},
};

/// Url-safe base64, the alphabet of user keys.
const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
/// How many keys that were signed up for are remembered: a sandbox that serves for days must not grow.
const REMEMBERED: usize = 10_000;

#[derive(Debug)]
pub(crate) struct Keys {
    /// Bound to a principal; its prefix says so.
    pub(crate) user: String,
    /// Whom the user key is bound to.
    pub(crate) principal: String,
    /// An operator's: it authenticates and binds nobody.
    pub(crate) server: String,
    /// Operators' keys besides the first.
    more_servers: Vec<Secret>,
    pub(crate) admin: String,
    /// For the guarded top-up service, which is another's than the server's.
    pub(crate) topup: String,
    /// Signs open payments. Any other key does so too: there is no chain here on which one holds more than another.
    pub(crate) x402: String,
    signed_up: Mutex<SignedUp>,
}

#[derive(Debug)]
struct SignedUp {
    random: fastrand::Rng,
    /// By key.
    principals: IndexMap<String, String>,
}

impl Keys {
    pub(crate) fn from_seed(seed: u64) -> Self {
        // Not the stream that ids are drawn from: a new kind of key must not change every id in somebody's tests.
        let mut random = fastrand::Rng::with_seed(seed ^ 0x6b65_7973);
        // In this order: a new kind of secret is made last, so that the others stay what they are for a seed.
        let user = user_key(&mut random);
        let server = secret(&mut random, "srv_sandbox_", 32);
        let admin = secret(&mut random, "admin_sandbox_", 32);
        let principal = principal(&mut random);
        // From a stream of its own, as the one above goes on with the keys that are signed up for.
        let topup = secret(&mut fastrand::Rng::with_seed(seed ^ 0x746f_7075), "topup_sandbox_", 32);
        let x402 = hex_text(&keccak(&[b"amply-sandbox x402-key", &seed.to_be_bytes()]));
        let signed_up = Mutex::new(SignedUp { random, principals: IndexMap::new() });
        Keys { user, principal, server, more_servers: Vec::new(), admin, topup, x402, signed_up }
    }

    /// Adds keys of operators.
    pub(crate) fn with_servers(mut self, keys: Vec<Secret>) -> Self {
        self.more_servers.extend(keys);
        self
    }

    /// Whose key `token` is, if it is one.
    pub(crate) fn caller(&self, token: &str) -> Option<Caller> {
        if token == self.user {
            return Some(Caller::User { principal: self.principal.clone() });
        }
        if token == self.server || self.more_servers.iter().any(|Secret(key)| key == token) {
            return Some(Caller::Operator);
        }
        let signed_up = self.signed_up();
        signed_up.principals.get(token).map(|principal| Caller::User { principal: principal.clone() })
    }

    /// The principal whose id or user key this is.
    pub(crate) fn principal_of(&self, key_or_principal: &str) -> Option<String> {
        if key_or_principal == self.user || key_or_principal == self.principal {
            return Some(self.principal.clone());
        }
        let signed_up = self.signed_up();
        let of_key = signed_up.principals.get(key_or_principal);
        of_key.or_else(|| signed_up.principals.values().find(|id| *id == key_or_principal)).cloned()
    }

    pub(crate) fn is_principal(&self, id: &str) -> bool {
        id == self.principal || self.signed_up().principals.values().any(|principal| principal == id)
    }

    /// A new user key, and the new principal it is bound to.
    pub(crate) fn sign_up(&self) -> (String, String) {
        let mut signed_up = self.signed_up();
        let SignedUp { random, principals } = &mut *signed_up;
        let (key, principal) = (user_key(random), principal(random));
        if principals.len() == REMEMBERED {
            principals.shift_remove_index(0);
        }
        principals.insert(key.clone(), principal.clone());
        (key, principal)
    }

    fn signed_up(&self) -> MutexGuard<'_, SignedUp> {
        self.signed_up.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn user_key(random: &mut fastrand::Rng) -> String {
    secret(random, "amply_sk_", 32)
}

fn principal(random: &mut fastrand::Rng) -> String {
    secret(random, "prn_sandbox_", 16)
}

fn secret(random: &mut fastrand::Rng, prefix: &str, length: usize) -> String {
    let letters = (0..length).map(|_| random.choice(ALPHABET).copied().map_or('A', char::from));
    prefix.chars().chain(letters).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_follow_from_the_seed_and_have_the_form_of_the_documentation() {
        let keys = Keys::from_seed(7);
        assert_eq!(keys.user, Keys::from_seed(7).user);
        assert_ne!(keys.user, Keys::from_seed(8).user);
        let random = keys.user.strip_prefix("amply_sk_").unwrap();
        assert_eq!(random.len(), 32);
        assert!(random.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_'));
        assert!(!keys.server.starts_with("amply_sk_"));
        assert_eq!((keys.x402.len(), keys.x402.get(..2)), (66, Some("0x")));
        assert_ne!(keys.x402, Keys::from_seed(8).x402);
    }
}
