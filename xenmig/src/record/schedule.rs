//! Whose turn it is, and when. Pure: times come in.
//!
//! Each domain has its turn once an interval, a tenth earlier or later, so that turns do not keep
//! step with what guests do every so often. Turns never overlap. With so many domains that their
//! windows would take more than half of the time, the interval is longer.

use std::collections::BTreeMap;
use std::time::Duration;

use super::settings::{BUSY_INTERVALS, Settings};
use crate::dirty::scattered;
use crate::host::Uuid;

/// Most of the time that a dirty log is on, whichever domain's.
const MOST: f64 = 0.5;
/// Turns come earlier or later by up to this share of the interval.
const JITTER: f64 = 0.1;

/// The turns of all domains.
#[derive(Debug, Clone)]
pub struct Schedule {
    interval: Duration,
    window: Duration,
    turns: BTreeMap<Uuid, Turn>,
    /// Turns given so far.
    given: u64,
}

#[derive(Debug, Clone, Copy)]
struct Turn {
    due: Duration,
    sampled: Option<Duration>,
}

impl Schedule {
    /// Nobody's turn.
    #[must_use]
    pub fn new(settings: &Settings) -> Self {
        let (interval, window) = (settings.interval, settings.window);
        Self { interval, window, turns: BTreeMap::new(), given: 0 }
    }

    /// From one turn of a domain to the next.
    #[must_use]
    pub fn interval(&self) -> Duration {
        let all = self.window.mul_f64(self.turns.len() as f64 / MOST);
        self.interval.max(all)
    }

    /// These domains are there at `now`. New ones have their turn within an interval; those that are
    /// missing have none any more.
    pub fn see(&mut self, now: Duration, present: impl IntoIterator<Item = Uuid>) {
        let before = std::mem::take(&mut self.turns);
        for uuid in present {
            let known = before.get(&uuid).copied();
            let turn = known.unwrap_or_else(|| {
                // Not in the order of their names: neighbours are often alike.
                let wait = self.interval().mul_f64(self.next_fraction());
                Turn { due: now + wait, sampled: None }
            });
            self.turns.insert(uuid, turn);
        }
    }

    /// The next turn; `None` without domains.
    #[must_use]
    pub fn next(&self) -> Option<(Uuid, Duration)> {
        let next = self.turns.iter().min_by_key(|(_, turn)| turn.due);
        next.map(|(uuid, turn)| (*uuid, turn.due))
    }

    /// Whether a turn may be put off because the host is busy: the domain was sampled not long ago.
    #[must_use]
    pub fn may_wait(&self, uuid: Uuid, now: Duration) -> bool {
        let longest = self.interval() * (BUSY_INTERVALS - 1);
        let sampled = self.turns.get(&uuid).and_then(|turn| turn.sampled);
        sampled.is_some_and(|at| now.saturating_sub(at) < longest)
    }

    /// The turn of a domain is over; `sampled`, or put off.
    pub fn done(&mut self, uuid: Uuid, now: Duration, sampled: bool) {
        let jitter = 1.0 + JITTER * (2.0 * self.next_fraction() - 1.0);
        let due = now + self.interval().mul_f64(jitter);
        if let Some(turn) = self.turns.get_mut(&uuid) {
            turn.due = due;
            turn.sampled = if sampled { Some(now) } else { turn.sampled };
        }
    }

    fn next_fraction(&mut self) -> f64 {
        self.given += 1;
        scattered(self.given)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    fn uuids(count: u16) -> Vec<Uuid> {
        let uuid = |n: u16| {
            let mut bytes = [0; 16];
            bytes[..2].copy_from_slice(&n.to_be_bytes());
            Uuid(bytes)
        };
        (0..count).map(uuid).collect()
    }

    /// Runs the turns of a time; (who, when) each.
    fn run(schedule: &mut Schedule, mut now: Duration, end: Duration) -> Vec<(Uuid, Duration)> {
        let mut turns = Vec::new();
        while let Some((uuid, due)) = schedule.next().filter(|(_, due)| *due < end) {
            now = now.max(due);
            turns.push((uuid, now));
            now += schedule.window;
            schedule.done(uuid, now, true);
        }
        turns
    }

    #[test]
    fn everybody_has_a_turn_once_an_interval_and_no_two_at_once() {
        let mut schedule = Schedule::new(&Settings::default());
        schedule.see(Duration::ZERO, uuids(20));
        let turns = run(&mut schedule, Duration::ZERO, 100 * MINUTE);
        for uuid in uuids(20) {
            let own = turns.iter().filter(|(who, _)| *who == uuid).count();
            assert!((19..=21).contains(&own), "{own}");
        }
        assert!(turns.windows(2).all(|pair| pair[1].1 >= pair[0].1 + schedule.window));
    }

    #[test]
    fn many_domains_make_the_interval_longer() {
        let mut schedule = Schedule::new(&Settings::default());
        schedule.see(Duration::ZERO, uuids(1000));
        assert_eq!(schedule.interval(), Duration::from_secs(4000));
        let turns = run(&mut schedule, Duration::ZERO, Duration::from_secs(40_000));
        assert!((9000..=10_500).contains(&turns.len()), "{}", turns.len());
    }

    #[test]
    fn who_goes_has_no_turn_and_who_comes_has_one_soon() {
        let mut schedule = Schedule::new(&Settings::default());
        let all = uuids(3);
        schedule.see(Duration::ZERO, all[..2].iter().copied());
        let due = schedule.next().unwrap();
        schedule.see(MINUTE, all[1..].iter().copied());
        let turns = run(&mut schedule, MINUTE, 7 * MINUTE);
        assert!(turns.iter().all(|(who, _)| *who != all[0]));
        assert!(all[1..].iter().all(|uuid| turns.iter().any(|(who, _)| who == uuid)));
        // That a neighbour came changes nothing for who was there.
        assert!(due.0 != all[1] || turns.iter().any(|(who, at)| (*who, *at) == due));
    }

    #[test]
    fn turns_are_put_off_for_some_intervals_only() {
        let mut schedule = Schedule::new(&Settings::default());
        let uuid = uuids(1)[0];
        schedule.see(Duration::ZERO, [uuid]);
        assert!(!schedule.may_wait(uuid, MINUTE), "it was never sampled");
        schedule.done(uuid, MINUTE, true);
        assert!(schedule.may_wait(uuid, 20 * MINUTE));
        assert!(!schedule.may_wait(uuid, 27 * MINUTE));
    }
}
