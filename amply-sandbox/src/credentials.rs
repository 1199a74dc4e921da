//! The credentials that principals have stored for executions. Of each secret only a hash is kept: nothing here is to be shown
//! or used.
//!
//! Pure but for its own books; the time is passed in.

use std::sync::{Mutex, MutexGuard, PoisonError};

use indexmap::IndexMap;
use serde::Serialize;

use crate::{clock::Timestamp, proof::Hash};

/// How many are remembered, of all principals together: a sandbox that serves for days must not grow.
const REMEMBERED: usize = 10_000;
/// Of RFC 4648, in lower case.
const ALPHABET: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";

/// A credential as it is kept. From [`Control::credentials`](crate::Control::credentials).
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct StoredCredential {
    /// `cred_` and 24 letters and digits.
    pub id: String,
    /// Whose it is.
    pub principal_id: String,
    /// Which provider of the catalog it is for.
    pub provider_id: String,
    /// What people call it, if they do.
    pub label: Option<String>,
    /// When it was added, by the sandbox's clock: RFC 3339, UTC.
    pub created_at: String,
    /// When a route was last executed with it; `None` of one that never was.
    pub last_used_at: Option<String>,
    /// The SHA3-256 hash of the secret's bytes, 64 hexadecimal digits: tells whether it arrived as it was sent.
    pub secret_sha3_256: String,
}

/// A credential that is to be stored. Its secret is gone with it.
pub(crate) struct NewCredential {
    pub(crate) provider_id: String,
    pub(crate) label: Option<String>,
    pub(crate) secret: Hash,
}

/// All that are stored, by id, the oldest first.
#[derive(Debug)]
pub(crate) struct Credentials(Mutex<Books>);

#[derive(Debug)]
struct Books {
    random: fastrand::Rng,
    stored: IndexMap<String, StoredCredential>,
}

impl Credentials {
    pub(crate) fn from_seed(seed: u64) -> Self {
        // A stream of its own, so that a credential changes no id of a request.
        let random = fastrand::Rng::with_seed(seed ^ 0x6372_6564);
        Credentials(Mutex::new(Books { random, stored: IndexMap::new() }))
    }

    pub(crate) fn add(&self, principal: &str, new: NewCredential, now: Timestamp) -> StoredCredential {
        let mut books = self.books();
        let letters = (0..24).map(|_| books.random.choice(ALPHABET).copied().map_or('a', char::from));
        let id: String = "cred_".chars().chain(letters).collect();
        let credential = StoredCredential {
            id: id.clone(),
            principal_id: principal.to_owned(),
            provider_id: new.provider_id,
            label: new.label,
            created_at: now.to_millis_text(),
            last_used_at: None,
            secret_sha3_256: new.secret.to_string(),
        };
        if books.stored.len() == REMEMBERED {
            books.stored.shift_remove_index(0);
        }
        books.stored.insert(id, credential.clone());
        credential
    }

    pub(crate) fn all(&self) -> Vec<StoredCredential> {
        self.books().stored.values().cloned().collect()
    }

    pub(crate) fn of(&self, principal: &str) -> Vec<StoredCredential> {
        let books = self.books();
        books.stored.values().filter(|one| one.principal_id == principal).cloned().collect()
    }

    pub(crate) fn is_of(&self, principal: &str, id: &str) -> bool {
        self.books().stored.get(id).is_some_and(|one| one.principal_id == principal)
    }

    /// Whether there was one of `principal`.
    pub(crate) fn remove(&self, principal: &str, id: &str) -> bool {
        let mut books = self.books();
        let is_there = books.stored.get(id).is_some_and(|one| one.principal_id == principal);
        is_there && books.stored.shift_remove(id).is_some()
    }

    pub(crate) fn used(&self, id: &str, now: Timestamp) {
        if let Some(credential) = self.books().stored.get_mut(id) {
            credential.last_used_at = Some(now.to_millis_text());
        }
    }

    fn books(&self) -> MutexGuard<'_, Books> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn new() -> NewCredential {
        NewCredential { provider_id: "qdrant".to_owned(), label: None, secret: Hash::of("hush") }
    }

    #[test]
    fn ids_follow_from_the_seed_and_have_their_form() {
        let some = |seed| {
            let credentials = Credentials::from_seed(seed);
            [(); 2].map(|()| credentials.add("p", new(), Timestamp(0)).id)
        };
        assert_eq!(some(7), some(7));
        assert_ne!(some(7), some(8));
        let [first, second] = some(7);
        assert_ne!(first, second);
        let random = first.strip_prefix("cred_").unwrap();
        assert_eq!(random.len(), 24);
        assert!(random.bytes().all(|b| ALPHABET.contains(&b)), "{first}");
    }

    #[test]
    fn a_credential_is_seen_and_removed_by_its_principal_alone() {
        let credentials = Credentials::from_seed(0);
        let id = credentials.add("p", new(), Timestamp(0)).id;
        assert!(
            credentials.of("q").is_empty() && !credentials.is_of("q", &id) && !credentials.remove("q", &id)
        );
        credentials.used(&id, Timestamp(1));
        assert_eq!(credentials.of("p")[0].last_used_at.as_deref(), Some("1970-01-01T00:00:00.001Z"));
        assert!(credentials.is_of("p", &id) && credentials.remove("p", &id) && !credentials.remove("p", &id));
        assert!(credentials.all().is_empty());
    }

    #[test]
    fn the_oldest_are_forgotten_once_there_are_many() {
        let credentials = Credentials::from_seed(0);
        let first = credentials.add("p", new(), Timestamp(0)).id;
        for _ in 0..REMEMBERED {
            credentials.add("p", new(), Timestamp(0));
        }
        assert_eq!((credentials.all().len(), credentials.is_of("p", &first)), (REMEMBERED, false));
    }
}
