//! What a control sees of reports.

use super::Control;
use crate::outcomes::{Outcomes, ReportedOutcome};

impl Control {
    /// The reports of how routes went, in the order in which they first came: one for each route, however often it was
    /// reported. The last 200,000 are remembered, and as many routes. Reports that were refused are not among them.
    ///
    /// ```
    /// # use amply_sandbox::Control;
    /// # fn check(control: &Control, route_id: &str) -> bool {
    /// // Reported, perhaps more than once, and always with the same key:
    /// control.outcomes().iter().any(|one| one.route_id == route_id && one.times_with_another_key == 0)
    /// # }
    /// ```
    #[must_use]
    pub fn outcomes(&self) -> Vec<ReportedOutcome> {
        self.reports().all()
    }

    pub(crate) fn reports(&self) -> &Outcomes {
        &self.0.outcomes
    }
}
