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
    /// How much longer than usual the hosts take in nine of ten migrations at most
    /// ([`Calibration::finish_spread`](super::Calibration::finish_spread)).
    pub finish_spread: Duration,
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

    /// What a migration at that time would cost. That both are slow at once is rare, so this is an
    /// upper bound, as in the gate.
    fn expected(&self, profile: &Profile, at: i64) -> Expected {
        let (expected, more) = (profile.at(at), self.finish_spread.as_secs_f64());
        let (downtime_p90_s, total_p90_s) =
            (expected.downtime_p90_s + more, expected.total_p90_s + more);
        Expected { downtime_p90_s, total_p90_s, ..expected }
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
        .map(|at| (at, wanted.expected(profile, at)))
        .collect();
    let cheaper =
        |a: &&(i64, Expected), b: &&(i64, Expected)| a.1.downtime_s.total_cmp(&b.1.downtime_s);
    let now = || wanted.expected(profile, first);
    let least = steps.iter().min_by(cheaper).map_or_else(now, |(_, least)| *least);
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
        .chunk_by(neighbours)
        .flat_map(|run| run.iter().copied().map(window).reduce(join))
        .filter(Window::is_long_enough)
        .collect();
    if windows.is_empty() {
        // A long migration may find no such stretch: what there is are stretches that keep the
        // budget, each just long enough.
        let kept: Vec<_> = kept().collect();
        windows = kept.chunk_by(neighbours).flat_map(just_long_enough).collect();
    }
    windows.sort_by(|a, b| {
        let level = |w: &Window| w.expected.downtime_s;
        level(a).total_cmp(&level(b)).then(a.from_unix_s.cmp(&b.from_unix_s))
    });
    let mut named: Vec<Window> = Vec::new();
    for window in windows {
        if named.len() < wanted.count.max(1) && named.iter().all(|other| other.is_apart(&window)) {
            named.push(window);
        }
    }
    if named.is_empty() { Advice::NoTime { least } } else { Advice::Windows { windows: named } }
}

/// A step: its begin, and what a migration would cost then.
type Step = (i64, Expected);

fn neighbours(a: &&Step, b: &&Step) -> bool {
    a.0 + STEP == b.0
}

fn window((at, expected): &Step) -> Window {
    Window { from_unix_s: *at, to_unix_s: at + STEP, expected: *expected }
}

/// From each step of a run the shortest window in which a migration ends as well.
fn just_long_enough(run: &[&Step]) -> Vec<Window> {
    let from = |nth: usize| {
        let mut longer = run[nth..].iter().copied().map(window);
        let first = longer.next()?;
        let growing =
            std::iter::successors(Some(first), |all| longer.next().map(|w| join(*all, w)));
        growing.into_iter().find(Window::is_long_enough)
    };
    (0..run.len()).filter_map(from).collect()
}

impl Window {
    /// A migration has to end in it as well.
    fn is_long_enough(&self) -> bool {
        self.expected.total_p90_s <= (self.to_unix_s - self.from_unix_s) as f64
    }

    fn is_apart(&self, other: &Self) -> bool {
        self.to_unix_s <= other.from_unix_s || other.to_unix_s <= self.from_unix_s
    }
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
            finish_spread: Duration::ZERO,
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
    fn what_the_hosts_may_take_longer_counts_against_the_budget() {
        let Advice::Windows { windows } = advise(&profile(10), &wanted(100)) else { panic!() };
        let p90 = windows[0].expected.downtime_p90_s;
        let finish_spread = Duration::from_millis(300);
        let slow = |downtime| Wanted { finish_spread, ..wanted(downtime) };
        assert!(matches!(advise(&profile(10), &slow(100)), Advice::NoTime { .. }));
        let Advice::Windows { windows } = advise(&profile(10), &slow(500)) else { panic!() };
        assert!((windows[0].expected.downtime_p90_s - p90 - 0.3).abs() < 1e-9, "{windows:?}");
    }

    /// Three steps long, in nights in which every third step costs half as much again.
    #[test]
    fn a_long_migration_takes_what_keeps_the_budget() {
        let at = |nth: i64| {
            let night = nth % 144 < 36;
            let downtime_s = match nth % 3 {
                _ if !night => 30.0,
                0 => 0.12,
                _ => 0.08,
            };
            Seen { at_unix_s: MONDAY + 600 * nth, downtime_s, total_s: 1700.0, weight: 1.0 }
        };
        let seen: Vec<_> = (0..14 * 144).map(at).collect();
        let profile = Profile::learn(&seen, TimeZone::UTC).unwrap();
        let Advice::Windows { windows } = advise(&profile, &wanted(5000)) else {
            panic!("{:?}", advise(&profile, &wanted(5000)))
        };
        for window in &windows {
            let (from, to) = (window.from_unix_s % 86_400, window.to_unix_s % 86_400);
            assert!(to <= 6 * 3600 && to - from >= 1800, "{window:?}");
        }
        assert!(windows.windows(2).all(|pair| pair[0].is_apart(&pair[1])), "{windows:?}");
    }

    #[test]
    fn a_window_that_is_too_short_for_the_migration_is_none() {
        let total = Some(Duration::from_secs(30));
        let wanted = Wanted { total, ..wanted(500) };
        assert!(matches!(advise(&profile(10), &wanted), Advice::NoTime { .. }));
    }
}
