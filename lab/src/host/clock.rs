//! A host's virtual clock beside this machine's: what one showed when the other did.

use std::time::Instant;

/// Of the timer that is read: the ACPI power management timer counts virtual time from the start
/// of the machine, and reading it from outside disturbs nobody inside.
const TICKS_PER_S: f64 = 3_579_545.0;
/// It has 24 bits, some 4.7 s.
const WRAP: u32 = 1 << 24;

/// The clock was read between two moments of this machine's.
#[derive(Debug, Clone, Copy)]
struct Reading {
    before_s: f64,
    after_s: f64,
    inside_s: f64,
}

impl Reading {
    fn middle_s(&self) -> f64 {
        f64::midpoint(self.before_s, self.after_s)
    }

    fn error_s(&self) -> f64 {
        (self.after_s - self.before_s) / 2.0
    }
}

/// A host's virtual clock over some time, from 0.
#[derive(Debug, Clone)]
pub struct Clock {
    epoch: Instant,
    ticks: Option<u32>,
    readings: Vec<Reading>,
}

impl Clock {
    /// Not read yet. Seconds outside count from `epoch`.
    pub(super) fn new(epoch: Instant) -> Self {
        Self { epoch, ticks: None, readings: Vec::new() }
    }

    /// Reads it by `read`, which must be done more often than the timer wraps.
    pub(super) fn read<E>(&mut self, read: impl FnOnce() -> Result<u32, E>) -> Result<(), E> {
        let before_s = self.epoch.elapsed().as_secs_f64();
        let ticks = read()?;
        let after_s = self.epoch.elapsed().as_secs_f64();
        self.note(before_s, after_s, ticks);
        Ok(())
    }

    fn note(&mut self, before_s: f64, after_s: f64, ticks: u32) {
        let passed = ticks.wrapping_sub(self.ticks.unwrap_or(ticks)) % WRAP;
        let inside_s = self.last_s() + f64::from(passed) / TICKS_PER_S;
        self.ticks = Some(ticks);
        self.readings.push(Reading { before_s, after_s, inside_s });
    }

    /// What it showed when it was read last.
    #[must_use]
    pub fn last_s(&self) -> f64 {
        self.readings.last().map_or(0.0, |reading| reading.inside_s)
    }

    /// What it showed at a moment outside, by a line between the readings around that moment, and
    /// how wrong that may be; `None` before the first and after the last.
    #[must_use]
    pub fn at(&self, outside_s: f64) -> Option<(f64, f64)> {
        let next = self.readings.partition_point(|reading| reading.middle_s() < outside_s);
        let (a, b) = (self.readings.get(next.checked_sub(1)?)?, self.readings.get(next)?);
        let share = (outside_s - a.middle_s()) / (b.middle_s() - a.middle_s());
        let inside_s = a.inside_s + share * (b.inside_s - a.inside_s);
        Some((inside_s, a.error_s().max(b.error_s())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Twice as slow as outside, each reading taking `trip` seconds, from a timer about to wrap.
    fn slow(trip: f64) -> Clock {
        let mut clock = Clock::new(Instant::now());
        for n in 0..10 {
            let middle = f64::from(n);
            let ticks = (f64::from(WRAP) - 1e6 + middle / 2.0 * TICKS_PER_S) as u32 % WRAP;
            clock.note(middle - trip / 2.0, middle + trip / 2.0, ticks);
        }
        clock
    }

    #[test]
    fn moments_between_readings_are_on_a_line() {
        let (inside_s, error_s) = slow(0.2).at(3.5).unwrap();
        assert!((inside_s - 1.75).abs() < 1e-6, "{inside_s}");
        assert!((error_s - 0.1).abs() < 1e-9);
    }

    #[test]
    fn nothing_is_known_before_and_after() {
        assert!(slow(0.0).at(-0.1).is_none());
        assert!(slow(0.0).at(9.1).is_none());
        assert!(Clock::new(Instant::now()).at(0.0).is_none());
    }
}
