//! The simulated host's clock: jumps to where a wait ends, or really waits where the scene says so.

use std::cell::Cell;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// How often a wait in real time looks whether it should stop.
const POLL: Duration = Duration::from_millis(2);

/// Time since the simulated host came up.
#[derive(Debug)]
pub(super) struct Clock {
    now: Cell<Duration>,
    /// When it came up; `None` in virtual time.
    started: Option<Instant>,
}

impl Clock {
    pub fn new(real_time: bool) -> Self {
        Self { now: Cell::default(), started: real_time.then(Instant::now) }
    }

    pub fn now(&self) -> Duration {
        self.started.map_or_else(|| self.now.get(), |started| started.elapsed())
    }

    /// Waits until `at`; `false` when `stop` was set before that.
    pub fn wait_until(&self, at: Duration, stop: &AtomicBool) -> bool {
        loop {
            if stop.load(Ordering::Relaxed) {
                return false;
            }
            let left = at.saturating_sub(self.now());
            if left.is_zero() {
                return true;
            }
            if self.started.is_some() {
                std::thread::sleep(left.min(POLL));
            } else {
                self.now.set(at);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn virtual_time_jumps_and_never_goes_back() {
        let clock = Clock::new(false);
        let stop = AtomicBool::new(false);
        assert!(clock.wait_until(Duration::from_secs(3600), &stop));
        assert!(clock.wait_until(Duration::from_secs(5), &stop));
        assert_eq!(clock.now(), Duration::from_secs(3600));
    }

    #[test]
    fn a_set_stop_ends_a_wait_at_once() {
        for real_time in [false, true] {
            let clock = Clock::new(real_time);
            assert!(!clock.wait_until(Duration::from_secs(3600), &AtomicBool::new(true)));
            assert!(clock.now() < Duration::from_secs(1));
        }
    }
}
