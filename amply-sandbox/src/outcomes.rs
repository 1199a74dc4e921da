//! The routes that were served and how they went: a route counts once, however often it is reported and whichever way.
//!
//! Pure but for its own books; the time is passed in.

mod reported;
mod savings;
mod served;

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use crate::{clock::Timestamp, hours::Hours};

pub use reported::{ReportedOutcome, ReportedVia};
pub(crate) use reported::{Told, Verdict};
pub(crate) use savings::Savings;
pub(crate) use served::{Costs, Served};

/// How many routes are remembered, and as many reports: a sandbox that serves for days must not grow.
/// Few in unit tests, where filling it up would take seconds.
const REMEMBERED: usize = if cfg!(test) { 2_000 } else { 200_000 };

/// [our] for one route, whose principal gets it.
pub(crate) const CREDITS: u32 = 1;

#[derive(Debug, Default)]
pub(crate) struct Outcomes(Mutex<Books>);

/// Every call finds its place by an id or a number, so that the last of many reports is as cheap as the first.
#[derive(Debug, Default)]
struct Books {
    routes: HashMap<Arc<str>, Entry>,
    /// The keys of `routes`, the oldest first.
    order: VecDeque<Arc<str>>,
    reports: Reports,
    telemetry: Hours<Telemetry>,
}

#[derive(Debug)]
struct Entry {
    route: Served,
    /// The number of its report. It stays when the report itself is forgotten, so that the route does not count twice.
    report: Option<u64>,
}

/// What came of reports.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Telemetry {
    /// The first of their routes.
    pub(crate) accepted: u64,
    /// Later ones of the same routes.
    pub(crate) duplicates: u64,
    /// Of routes that are not known, or another's.
    pub(crate) not_found: u64,
}

impl Telemetry {
    pub(crate) fn all(self) -> u64 {
        self.accepted + self.duplicates + self.not_found
    }
}

/// What whoever reports is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Receipt {
    pub(crate) credits_awarded: u32,
    pub(crate) is_duplicate: bool,
}

/// There is no such route, or it is another's: whoever asks must not learn which.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NoSuchRoute;

impl Outcomes {
    /// Remembers a route that was served.
    pub(crate) fn served(&self, route_id: &str, route: Served) {
        let mut books = self.books();
        if books.order.len() == REMEMBERED
            && let Some(oldest) = books.order.pop_front()
        {
            books.routes.remove(&oldest);
        }
        let id: Arc<str> = route_id.into();
        books.order.push_back(Arc::clone(&id));
        books.routes.insert(id, Entry { route, report: None });
    }

    /// Takes a report of a route by the principal behind it, or by nobody in particular of a route without one.
    pub(crate) fn report(
        &self,
        told: Told,
        by: Option<&str>,
        now: Timestamp,
    ) -> Result<Receipt, NoSuchRoute> {
        let mut books = self.books();
        let Books { routes, reports, telemetry, .. } = &mut *books;
        let telemetry = telemetry.at(now);
        let Some(entry) = routes.get_mut(told.route_id.as_str()).filter(|entry| entry.route.is_of(by)) else {
            telemetry.not_found += 1;
            return Err(NoSuchRoute);
        };
        if let Some(number) = entry.report {
            telemetry.duplicates += 1;
            if let Some(report) = reports.get_mut(number) {
                report.came_again(&told);
            }
            return Ok(Receipt { credits_awarded: 0, is_duplicate: true });
        }
        telemetry.accepted += 1;
        // [our] there is nobody to credit where there is no principal.
        let credits_awarded = by.map_or(0, |_| CREDITS);
        entry.report = Some(reports.add(ReportedOutcome::of(told, &entry.route, credits_awarded, now)));
        Ok(Receipt { credits_awarded, is_duplicate: false })
    }

    /// A route of `principal`, and how it went if that was reported.
    pub(crate) fn of_route(
        &self,
        route_id: &str,
        principal: &str,
    ) -> Result<(Served, Option<ReportedOutcome>), NoSuchRoute> {
        let books = self.books();
        let entry = books.routes.get(route_id).filter(|entry| entry.route.is_of(Some(principal)));
        let entry = entry.ok_or(NoSuchRoute)?;
        let report = entry.report.and_then(|number| books.reports.get(number));
        Ok((entry.route.clone(), report.cloned()))
    }

    /// What the routes of `principal` since `from` cost, and what they would have.
    pub(crate) fn savings(&self, principal: &str, from: Timestamp) -> Savings {
        let books = self.books();
        let of_principal =
            |entry: &&Entry| entry.route.is_of(Some(principal)) && entry.route.served_at >= from;
        books.routes.values().filter(of_principal).fold(Savings::default(), |mut sum, entry| {
            sum.add(&entry.route, entry.report.and_then(|number| books.reports.get(number)));
            sum
        })
    }

    /// The oldest first.
    pub(crate) fn all(&self) -> Vec<ReportedOutcome> {
        self.books().reports.latest.iter().cloned().collect()
    }

    /// Of this hour and the 23 before it.
    pub(crate) fn last_24h(&self, now: Timestamp) -> Telemetry {
        self.books().telemetry.last_24h(now).fold(Telemetry::default(), |sum, counts| Telemetry {
            accepted: sum.accepted + counts.accepted,
            duplicates: sum.duplicates + counts.duplicates,
            not_found: sum.not_found + counts.not_found,
        })
    }

    fn books(&self) -> MutexGuard<'_, Books> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The latest reports, each with a number that it keeps when older ones are forgotten.
#[derive(Debug, Default)]
struct Reports {
    forgotten: u64,
    latest: VecDeque<ReportedOutcome>,
}

impl Reports {
    fn add(&mut self, report: ReportedOutcome) -> u64 {
        if self.latest.len() == REMEMBERED {
            self.latest.pop_front();
            self.forgotten += 1;
        }
        let number = self.forgotten.saturating_add(u64::try_from(self.latest.len()).unwrap_or(u64::MAX));
        self.latest.push_back(report);
        number
    }

    fn get(&self, number: u64) -> Option<&ReportedOutcome> {
        self.latest.get(self.position(number)?)
    }

    fn get_mut(&mut self, number: u64) -> Option<&mut ReportedOutcome> {
        let position = self.position(number)?;
        self.latest.get_mut(position)
    }

    fn position(&self, number: u64) -> Option<usize> {
        usize::try_from(number.checked_sub(self.forgotten)?).ok()
    }
}

#[cfg(test)]
mod tests;
