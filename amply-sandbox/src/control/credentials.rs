//! What a control sees of credentials.

use super::Control;
use crate::credentials::{Credentials, StoredCredential};

impl Control {
    /// The credentials that are stored, of all principals, the oldest first. Of each secret there is a hash and no more.
    ///
    /// ```
    /// # use amply_sandbox::Control;
    /// # fn check(control: &Control) -> bool {
    /// // None is left, or none was ever used:
    /// control.credentials().iter().all(|one| one.last_used_at.is_none())
    /// # }
    /// ```
    #[must_use]
    pub fn credentials(&self) -> Vec<StoredCredential> {
        self.stored().all()
    }

    pub(crate) fn stored(&self) -> &Credentials {
        &self.0.credentials
    }
}
