//! What the endpoints of one sandbox share.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use crate::{
    catalog::Catalog, control::Control, ids::Ids, keys::Keys, limits::Windows, metering::Metering,
    settings::Settings,
};

/// Handed to every endpoint; a clone is the same sandbox.
pub(crate) type Shared = Arc<State>;

#[derive(Debug)]
pub(crate) struct State {
    pub(crate) catalog: Catalog,
    pub(crate) control: Control,
    pub(crate) decisions: Decisions,
    pub(crate) ids: Ids,
    pub(crate) metering: Metering,
    /// Requests by client address.
    pub(crate) minutes: Windows,
    /// Signups by client address.
    pub(crate) hours: Windows,
    /// Routes by principal.
    pub(crate) days: Windows,
    pub(crate) keys: Arc<Keys>,
    /// `http://127.0.0.1:40123`, without a path.
    pub(crate) origin: String,
    pub(crate) settings: Settings,
}

/// How many routes were answered.
///
/// Since the start and not over days: a sandbox does not live that long.
#[derive(Debug, Default)]
pub(crate) struct Decisions {
    all: AtomicU64,
    to_listed: AtomicU64,
}

impl Decisions {
    pub(crate) fn count(&self, to_listed: bool) {
        self.all.fetch_add(1, Ordering::Relaxed);
        if to_listed {
            self.to_listed.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// All, and those to a provider that pays for its listing.
    pub(crate) fn so_far(&self) -> (u64, u64) {
        (self.all.load(Ordering::Relaxed), self.to_listed.load(Ordering::Relaxed))
    }
}
