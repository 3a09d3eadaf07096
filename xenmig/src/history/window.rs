//! When a migration would cost least, within the next hours or days. Pure.

use std::time::Duration;

use super::profile::{Expected, Pattern, Profile, STEP_MIN};

/// A stretch of time that is about as good as the best.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Window {
    /// Its begin, in seconds since 1970.
    pub from_unix_s: i64,
    /// Its end.
    pub to_unix_s: i64,
    /// What a migration in it would cost: the worst of its steps.
    pub expected: Expected,
}

/// What to do.
#[derive(Debug, Clone, PartialEq)]
pub enum Advice {
    /// The cheapest windows, best first. Never empty.
    Windows {
        /// Each keeps the budget in nine of ten cases.
        windows: Vec<Window>,
    },
    /// The cost has no pattern, and keeps the budget at any time.
    AnyTime {
        /// What it is.
        expected: Expected,
    },
    /// No time keeps the budget.
    NoTime {
        /// The least that it costs, and when, in seconds since 1970; that is no recommendation.
        least: Expected,
    },
    /// The history is too short to say anything.
    TooShort {
        /// Days that it has.
        days: usize,
    },
}

/// What is asked.
#[derive(Debug, Clone, Copy)]
pub struct Wanted {
    /// Seconds since 1970.
    pub now_unix_s: i64,
    /// How far to look.
    pub horizon: Duration,
    /// Longest downtime; `None` is without limit.
    pub downtime: Option<Duration>,
    /// Longest total time; `None` is without limit.
    pub total: Option<Duration>,
    /// Most windows that are named.
    pub count: usize,
}

/// A step is as good as the best if it costs at most this share more.
const ALIKE: f64 = 0.1;
/// Seconds of a step.
const STEP: i64 = STEP_MIN * 60;

impl Wanted {
    fn keeps(&self, expected: &Expected) -> bool {
        let within = |limit: Option<Duration>, s: f64| limit.is_none_or(|l| s <= l.as_secs_f64());
        within(self.downtime, expected.downtime_p90_s) && within(self.total, expected.total_p90_s)
    }
}

/// When would a migration cost least?
#[must_use]
pub fn advise(profile: &Profile, wanted: &Wanted) -> Advice {
    let first = wanted.now_unix_s.div_euclid(STEP) * STEP + STEP;
    let end = wanted.now_unix_s.saturating_add(wanted.horizon.as_secs().min(1 << 40) as i64);
    let steps: Vec<_> = (0..)
        .map(|nth| first + nth * STEP)
        .take_while(|at| *at == first || at + STEP <= end)
        .map(|at| (at, profile.at(at)))
        .collect();
    let cheaper =
        |a: &&(i64, Expected), b: &&(i64, Expected)| a.1.downtime_s.total_cmp(&b.1.downtime_s);
    let least = steps.iter().min_by(cheaper).map_or(profile.at(first), |(_, least)| *least);
    let kept = || steps.iter().filter(|(_, expected)| wanted.keeps(expected));
    let Some((_, best)) = kept().min_by(cheaper) else {
        return Advice::NoTime { least };
    };
    if profile.pattern() == Pattern::None {
        return Advice::AnyTime { expected: *best };
    }
    let good: Vec<_> =
        kept().filter(|(_, e)| e.downtime_s <= (1.0 + ALIKE) * best.downtime_s).collect();
    let mut windows: Vec<_> = good
        .chunk_by(|a, b| a.0 + STEP == b.0)
        .flat_map(|run| run.iter().copied().map(window).reduce(join))
        // It has to end in the window as well.
        .filter(|window| {
            let length = (window.to_unix_s - window.from_unix_s) as f64;
            window.expected.total_p90_s <= length
        })
        .collect();
    windows.sort_by(|a, b| {
        let level = |w: &Window| w.expected.downtime_s;
        level(a).total_cmp(&level(b)).then(a.from_unix_s.cmp(&b.from_unix_s))
    });
    windows.truncate(wanted.count.max(1));
    if windows.is_empty() { Advice::NoTime { least } } else { Advice::Windows { windows } }
}

fn window((at, expected): &(i64, Expected)) -> Window {
    Window { from_unix_s: *at, to_unix_s: at + STEP, expected: *expected }
}

/// Two neighbours as one: what holds for both.
fn join(a: Window, b: Window) -> Window {
    let (x, y) = (a.expected, b.expected);
    Window {
        from_unix_s: a.from_unix_s,
        to_unix_s: b.to_unix_s,
        expected: Expected {
            downtime_s: x.downtime_s.max(y.downtime_s),
            downtime_p90_s: x.downtime_p90_s.max(y.downtime_p90_s),
            total_p90_s: x.total_p90_s.max(y.total_p90_s),
            days: x.days.min(y.days),
        },
    }
}

#[cfg(test)]
mod tests {
    use jiff::tz::TimeZone;

    use super::*;
    use crate::history::profile::Seen;

    const MONDAY: i64 = 1_767_571_200;

    /// Cheap from 3 to 4 at night.
    fn profile(days: i64) -> Profile {
        let at = |nth: i64| {
            let hour = nth % 144 / 6;
            let downtime_s = if hour == 3 { 0.08 } else { 0.9 };
            let at_unix_s = MONDAY + 600 * nth;
            Seen { at_unix_s, downtime_s, total_s: 60.0, weight: 1.0 }
        };
        Profile::learn(&(0..days * 144).map(at).collect::<Vec<_>>(), TimeZone::UTC).unwrap()
    }

    fn wanted(downtime_ms: u64) -> Wanted {
        Wanted {
            now_unix_s: MONDAY + 10 * 86_400 + 12 * 3600,
            horizon: Duration::from_secs(2 * 86_400),
            downtime: Some(Duration::from_millis(downtime_ms)),
            total: None,
            count: 3,
        }
    }

    #[test]
    fn the_night_is_recommended_and_only_where_it_keeps_the_budget() {
        let Advice::Windows { windows } = advise(&profile(10), &wanted(500)) else { panic!() };
        assert_eq!(windows.len(), 2);
        for window in &windows {
            let (from, to) = (window.from_unix_s % 86_400, window.to_unix_s % 86_400);
            assert!(from >= 3 * 3600 && to <= 4 * 3600 && to - from >= 1800, "{window:?}");
            assert!(window.expected.downtime_p90_s <= 0.5);
        }
        assert!(matches!(advise(&profile(10), &wanted(50)), Advice::NoTime { .. }));
    }

    #[test]
    fn a_window_that_is_too_short_for_the_migration_is_none() {
        let total = Some(Duration::from_secs(30));
        let wanted = Wanted { total, ..wanted(500) };
        assert!(matches!(advise(&profile(10), &wanted), Advice::NoTime { .. }));
    }
}
