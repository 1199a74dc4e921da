//! Times as the API writes them: RFC 3339, UTC. Milliseconds since 1970 inside.
//!
//! Enough of a calendar for that and no more, so that no date library is needed.

use std::{
    sync::atomic::{AtomicI64, Ordering},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

const DAY_MS: i64 = 86_400_000;

/// A sandbox's own time: the machine's, or one that stands still. Either can be moved ahead.
#[derive(Debug, Default)]
pub(crate) struct Clock {
    stands_at: Option<Timestamp>,
    ahead_ms: AtomicI64,
}

impl Clock {
    pub(crate) fn standing_at(stands_at: Option<Timestamp>) -> Self {
        Clock { stands_at, ahead_ms: AtomicI64::new(0) }
    }

    pub(crate) fn now(&self) -> Timestamp {
        let Timestamp(ms) = self.stands_at.unwrap_or_else(|| Timestamp::of(SystemTime::now()));
        Timestamp(ms.saturating_add(self.ahead_ms.load(Ordering::Relaxed)))
    }

    pub(crate) fn advance(&self, by: Duration) {
        let by_ms = i64::try_from(by.as_millis()).unwrap_or(i64::MAX);
        // Never fails: the closure always gives a value.
        let _ = self.ahead_ms.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |ahead| {
            Some(ahead.saturating_add(by_ms).min(FAR_AHEAD_MS))
        });
    }
}

/// About 3,000 years: the calendar below goes on to the year 9999.
const FAR_AHEAD_MS: i64 = 1_000_000 * DAY_MS;

/// Milliseconds since 1970, UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Timestamp(pub(crate) i64);

impl Timestamp {
    /// Times before 1970 are 1970.
    pub(crate) fn of(time: SystemTime) -> Self {
        let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
        Timestamp(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
    }

    /// The last multiple of `minutes` that has begun.
    pub(crate) fn whole_minutes(self, minutes: i64) -> Self {
        Timestamp(self.0 - self.0.rem_euclid(minutes * 60 * 1000))
    }

    /// The next midnight.
    pub(crate) fn next_day(self) -> Self {
        Timestamp((self.0 - self.0.rem_euclid(DAY_MS)).saturating_add(DAY_MS))
    }

    /// `2026-11-23T17:45:00Z`
    pub(crate) fn to_seconds_text(self) -> String {
        let (date, ms_of_day) = (self.date(), self.0.rem_euclid(DAY_MS));
        let seconds = ms_of_day / 1000;
        format!("{date}T{:02}:{:02}:{:02}Z", seconds / 3600, seconds / 60 % 60, seconds % 60)
    }

    /// `2026-11-23T17:45:00.000Z`
    pub(crate) fn to_millis_text(self) -> String {
        let seconds = self.to_seconds_text();
        format!("{}.{:03}Z", seconds.trim_end_matches('Z'), self.0.rem_euclid(1000))
    }

    /// Reads what the two above write; `None` for any other form.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (date, time) = text.strip_suffix('Z')?.split_once('T')?;
        let (clock, fraction) = time.split_once('.').unwrap_or((time, "0"));
        let [year, month, day] = numbers(date, '-')?;
        let [hour, minute, second] = numbers(clock, ':')?;
        let in_range = (0..=9999).contains(&year)
            && (1..=12).contains(&month)
            && (1..=31).contains(&day)
            && hour < 24
            && minute < 60
            && second < 61;
        let fraction_is_digits = !fraction.is_empty() && fraction.bytes().all(|b| b.is_ascii_digit());
        let millis: i64 = format!("{fraction:0<3}").get(..3)?.parse().ok()?;
        let of_day = ((hour * 60 + minute) * 60 + second) * 1000 + millis;
        (in_range && fraction_is_digits)
            .then(|| Timestamp(days_from_civil(year, month, day) * DAY_MS + of_day))
    }

    fn date(self) -> String {
        let (year, month, day) = civil_from_days(self.0.div_euclid(DAY_MS));
        format!("{year:04}-{month:02}-{day:02}")
    }
}

fn numbers(text: &str, separator: char) -> Option<[i64; 3]> {
    let numbers: Vec<i64> =
        text.split(separator).map(|part| part.parse::<u16>().ok().map(i64::from)).collect::<Option<_>>()?;
    numbers.try_into().ok()
}

// Both conversions count from 1 March, in eras of 400 years: the leap day is then the last of its year.

fn civil_from_days(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = year - i64::from(month <= 2);
    let (era, year_of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let month_from_march = if month > 2 { month - 3 } else { month + 9 };
    let day_of_year = (153 * month_from_march + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_and_read_back() {
        for (millis, text) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_400_000, "2000-02-29T00:00:00.000Z"),
            (1_795_456_784_200, "2026-11-23T17:59:44.200Z"),
            (4_107_542_399_999, "2100-02-28T23:59:59.999Z"),
            (4_107_542_400_000, "2100-03-01T00:00:00.000Z"),
            (-1, "1969-12-31T23:59:59.999Z"),
        ] {
            assert_eq!(Timestamp(millis).to_millis_text(), text);
            assert_eq!(Timestamp::parse(text), Some(Timestamp(millis)));
        }
    }

    #[test]
    fn a_clock_that_stands_still_moves_only_when_it_is_told_to() {
        let clock = Clock::standing_at(Some(Timestamp(1000)));
        assert_eq!(clock.now(), Timestamp(1000));
        clock.advance(Duration::from_millis(1500));
        assert_eq!(clock.now(), Timestamp(2500));
        clock.advance(Duration::MAX);
        clock.advance(Duration::MAX);
        assert_eq!(clock.now(), Timestamp(1000 + FAR_AHEAD_MS));
    }

    #[test]
    fn other_forms_are_not_read() {
        for text in [
            "",
            "2026-11-23",
            "2026-11-23T17:59Z",
            "2026-13-01T00:00:00Z",
            "2026-11-23T17:59:44.Z",
            "2026-11-23T17:59:44+01:00",
            "2026-11-23T24:00:00Z",
        ] {
            assert_eq!(Timestamp::parse(text), None, "{text}");
        }
    }

    #[test]
    fn a_quarter_of_an_hour_begins_at_its_first_millisecond() {
        let at = |text| Timestamp::parse(text).unwrap().whole_minutes(15).to_seconds_text();
        assert_eq!(at("2026-11-23T17:59:44.200Z"), "2026-11-23T17:45:00Z");
        assert_eq!(at("2026-11-23T17:45:00.000Z"), "2026-11-23T17:45:00Z");
    }
}
