//! How fast the pages grow in number that were dirtied since the log was cleaned, while nothing is
//! sent: what tells a busy guest from a calm one.

use std::time::Duration;

/// How long the guest is looked at before anything is concluded. Several timer ticks of any guest,
/// and short beside a round that is worth thinking about.
pub(super) const LOOK: Duration = Duration::from_millis(100);
/// Time between two looks.
pub(super) const TICK: Duration = Duration::from_millis(25);

/// Dirty pages over time since the last send.
#[derive(Debug, Clone, Default)]
pub(super) struct Growth {
    /// (seconds, pages), oldest first.
    seen: Vec<(f64, f64)>,
}

impl Growth {
    /// A send has ended, or something else has changed: what was seen before says nothing.
    pub(super) fn reset(&mut self) {
        self.seen.clear();
    }

    /// Takes in what is dirty at `now`.
    pub(super) fn see(&mut self, now: Duration, pages: f64) {
        self.seen.push((now.as_secs_f64(), pages));
    }

    /// How long the guest has been looked at.
    pub(super) fn looked(&self) -> Duration {
        match (self.seen.first(), self.seen.last()) {
            (Some(first), Some(last)) => Duration::from_secs_f64((last.0 - first.0).max(0.0)),
            _ => Duration::ZERO,
        }
    }

    /// Pages per second that became dirty lately; `None` before the guest was looked at for
    /// [`LOOK`].
    pub(super) fn lately(&self) -> Option<f64> {
        if self.looked() < LOOK {
            return None;
        }
        let (now, pages) = *self.seen.last()?;
        let since = now - LOOK.as_secs_f64();
        let (then, fewer) = *self.seen.iter().rfind(|(t, _)| *t <= since + 1e-9)?;
        Some((pages - fewer).max(0.0) / (now - then))
    }
}
