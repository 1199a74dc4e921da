//! The secrets that a sandbox knows, made from its seed.

use crate::{auth::Caller, settings::Secret};

/// Url-safe base64, the alphabet of user keys.
const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

#[derive(Clone, Debug)]
pub(crate) struct Keys {
    /// Whom the user key is bound to.
    pub(crate) principal: String,
    /// Operators' keys besides the first.
    pub(crate) more_servers: Vec<Secret>,
    /// Bound to a principal; its prefix says so.
    pub(crate) user: String,
    /// An operator's: it authenticates and binds nobody.
    pub(crate) server: String,
    pub(crate) admin: String,
}

impl Keys {
    pub(crate) fn from_seed(seed: u64) -> Self {
        // Not the stream that ids are drawn from: a new kind of key must not change every id in somebody's tests.
        let mut random = fastrand::Rng::with_seed(seed ^ 0x6b65_7973);
        let mut secret = |prefix: &str, length: usize| {
            let letters = (0..length).map(|_| random.choice(ALPHABET).copied().map_or('A', char::from));
            letters.fold(prefix.to_owned(), |mut secret, letter| {
                secret.push(letter);
                secret
            })
        };
        // In this order: a new kind of secret is made last, so that the others stay what they are for a seed.
        let (user, server) = (secret("amply_sk_", 32), secret("srv_sandbox_", 32));
        let (admin, principal) = (secret("admin_sandbox_", 32), secret("prn_sandbox_", 16));
        Keys { user, server, admin, principal, more_servers: Vec::new() }
    }

    /// Whose key `token` is, if it is one.
    pub(crate) fn caller(&self, token: &str) -> Option<Caller> {
        if token == self.user {
            return Some(Caller::User { principal: self.principal.clone() });
        }
        let is_server = token == self.server || self.more_servers.iter().any(|Secret(key)| key == token);
        is_server.then_some(Caller::Operator)
    }
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
    }
}
