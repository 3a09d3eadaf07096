//! What was seen of a domain by hour and weekday, without any model of it. Pure.

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::tz::TimeZone;
use serde::Serialize;

use super::profile::{Moment, Seen, quantile, sort};

/// Days of a week.
pub const DAYS: usize = 7;
/// Hours of a day.
pub const HOURS: usize = 24;

/// What a migration would have cost in one hour of the week.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Hour {
    /// Median downtime, in seconds.
    pub downtime_s: f64,
    /// Nine of ten would have taken at most this.
    pub downtime_p90_s: f64,
    /// Days on which something was seen in that hour.
    pub days: usize,
}

/// The hours of a week.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(transparent)]
pub struct Week {
    /// From Monday, from midnight; `None` where nothing was seen.
    pub hours: [[Option<Hour>; HOURS]; DAYS],
}

#[derive(Default)]
struct Bin {
    downtimes: Vec<(f64, f64)>,
    days: BTreeSet<i64>,
}

impl Bin {
    fn hour(mut self, finish_spread: Duration) -> Option<Hour> {
        sort(&mut self.downtimes);
        Some(Hour {
            downtime_s: quantile(&self.downtimes, 0.5)?,
            downtime_p90_s: quantile(&self.downtimes, 0.9)? + finish_spread.as_secs_f64(),
            days: self.days.len(),
        })
    }
}

impl Week {
    /// The week that `seen`, in any order, makes in the days of `zone`, where the hosts take up to
    /// `finish_spread` longer than usual in nine of ten migrations.
    #[must_use]
    pub fn of(seen: &[Seen], zone: &TimeZone, finish_spread: Duration) -> Self {
        let mut bins: [[Bin; HOURS]; DAYS] = Default::default();
        for seen in seen {
            let moment = Moment::new(seen.at_unix_s, zone);
            let bin = &mut bins[moment.weekday() as usize][moment.hour() as usize];
            bin.downtimes.push((seen.downtime_s, seen.weight));
            bin.days.insert(moment.day);
        }
        Self { hours: bins.map(|day| day.map(|bin| bin.hour(finish_spread))) }
    }

    /// The hours in which something was seen.
    pub fn seen(&self) -> impl Iterator<Item = &Hour> {
        self.hours.iter().flatten().flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Monday 5 January 2026, 00:00 UTC.
    const MONDAY: i64 = 1_767_571_200;

    fn seen(hours_after: i64, downtime_s: f64, weight: f64) -> Seen {
        let at_unix_s = MONDAY + 3600 * hours_after;
        Seen { at_unix_s, downtime_s, total_s: 10.0, weight }
    }

    #[test]
    fn each_hour_has_what_was_seen_in_it() {
        let all = [
            seen(25, 0.1, 1.0),
            seen(25 + 7 * 24, 0.3, 8.0),
            seen(25 + 14 * 24, 0.9, 1.0),
            seen(6 * 24 + 23, 2.0, 1.0),
        ];
        let week = Week::of(&all, &TimeZone::UTC, Duration::ZERO);
        let tuesday = week.hours[1][1];
        assert_eq!(tuesday, Some(Hour { downtime_s: 0.3, downtime_p90_s: 0.3, days: 3 }));
        assert_eq!(week.hours[6][23].map(|hour| hour.downtime_s), Some(2.0));
        assert_eq!(week.seen().count(), 2);
    }

    #[test]
    fn the_hours_are_those_of_the_zone() {
        let zone = TimeZone::fixed(jiff::tz::offset(-1));
        let week = Week::of(&[seen(0, 1.0, 1.0)], &zone, Duration::ZERO);
        assert!(week.hours[6][23].is_some(), "{week:?}");
    }
}
