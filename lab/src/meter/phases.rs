//! Recognises the phases of a live migration in the arrivals of a service's datagrams.
//!
//! A service sends at a regular interval, and the host hands its datagrams on at once while it has
//! nothing else to do. The save disturbs that from its first moment on, by little: intervals are
//! longer and shorter than they were. The cumulative sum of the deviations (Page's CUSUM) tells
//! a lasting change from a single late datagram and dates it. Offline is the longest time in which
//! the guest's own clock stood still.

use serde::{Deserialize, Serialize};

use super::Arrival;
use crate::measure::quantile;

/// Deviations beyond this many of the undisturbed spread count as this many, so that one late
/// datagram alone is no change.
const CLIP: f64 = 8.0;
/// What is subtracted from each deviation: those below are undisturbed.
const ALLOWANCE: f64 = 1.25;
/// The sum that is a change: four very late datagrams in a row, or some dozen that are a little.
const ALARM: f64 = 24.0;
/// The spread of an undisturbed service is taken for at least this share of its interval.
const LEAST_SPREAD: f64 = 0.005;
/// An offline phase is at least this many intervals long.
const OFFLINE_INTERVALS: f64 = 4.0;
/// Fewer datagrams than this before a migration say nothing about the undisturbed service.
const LEAST_CALM: usize = 10;

/// A measured value; the true one lies within `± uncertainty_s`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Estimate {
    /// Seconds.
    pub s: f64,
    /// Seconds.
    pub uncertainty_s: f64,
}

impl Estimate {
    fn between(low: f64, high: f64) -> Self {
        Self { s: (low + high) / 2.0, uncertainty_s: (high - low).abs() / 2.0 }
    }

    /// The time from `earlier` to this.
    fn since(self, earlier: Self) -> Self {
        let uncertainty_s = self.uncertainty_s + earlier.uncertainty_s;
        Self { s: self.s - earlier.s, uncertainty_s }
    }
}

/// What was recognised. Moments are on the receiver's clock.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Phases {
    /// When the push phase began to disturb the service; `None` where nothing shows it.
    pub push_begins: Option<Estimate>,
    /// When the service stopped.
    pub offline_begins: Estimate,
    /// When it was there again.
    pub offline_ends: Estimate,
    /// How long it was away.
    pub offline: Estimate,
    /// How long the guest's clock stood still meanwhile. What the service was away longer, it ran
    /// and was not heard.
    pub suspended: Estimate,
    /// Datagrams that never arrived, or after a later one.
    pub lost: u64,
}

impl Phases {
    /// Recognises them in the arrivals of one service, in order, of which the first `calm_s`
    /// seconds are taken for undisturbed. `None` when the service never stopped, or too little of
    /// it was seen before.
    pub fn recognise(arrivals: &[Arrival], calm_s: f64) -> Option<Self> {
        let calm_until = arrivals.first()?.at_s + calm_s;
        let calm = arrivals.iter().take_while(|arrival| arrival.at_s <= calm_until).count();
        let gaps: Vec<f64> = arrivals.windows(2).map(|two| two[1].at_s - two[0].at_s).collect();
        let calm_gaps = gaps.get(..calm.checked_sub(1)?).filter(|gaps| gaps.len() >= LEAST_CALM)?;
        let interval = quantile(calm_gaps, 0.5)?;
        let deviations: Vec<f64> = calm_gaps.iter().map(|gap| (gap - interval).abs()).collect();
        // Nine of ten: a single late datagram is no spread.
        let spread = quantile(&deviations, 0.9)?.max(LEAST_SPREAD * interval);

        let still = |nth: &usize| gaps[*nth] - (arrivals[nth + 1].guest_s - arrivals[*nth].guest_s);
        let stopped = (calm - 1..gaps.len()).max_by(|a, b| still(a).total_cmp(&still(b)))?;
        if still(&stopped) < OFFLINE_INTERVALS * interval {
            return None;
        }
        let (before, after) = (arrivals[stopped].at_s, arrivals[stopped + 1].at_s);
        let deviation = |gap: &f64| (gap - interval).abs() / spread;
        let changed = change(gaps[calm - 1..stopped].iter().map(deviation));
        Some(Self {
            push_begins: changed.map(|nth| {
                let nth = calm - 1 + nth;
                Estimate::between(arrivals[nth].at_s, arrivals[nth + 1].at_s)
            }),
            offline_begins: Estimate::between(before, before + interval + spread),
            offline_ends: Estimate::between(after - interval - spread, after),
            offline: Estimate {
                s: after - before - interval,
                uncertainty_s: interval / 2.0 + spread,
            },
            suspended: Estimate { s: still(&stopped), uncertainty_s: 2.0 * spread },
            lost: lost(arrivals),
        })
    }

    /// From the beginning of the push phase to the end of the offline phase; `None` where the
    /// beginning does not show.
    pub fn total(&self) -> Option<Estimate> {
        Some(self.offline_ends.since(self.push_begins?))
    }
}

/// The index of the deviation with which a lasting change begins.
fn change(deviations: impl Iterator<Item = f64>) -> Option<usize> {
    let (mut sum, mut begin) = (0.0, 0);
    for (nth, deviation) in deviations.enumerate() {
        if sum == 0.0 {
            begin = nth;
        }
        sum = f64::max(0.0, sum + deviation.min(CLIP) - ALLOWANCE);
        if sum >= ALARM {
            return Some(begin);
        }
    }
    None
}

/// How many sequence numbers between the first and the last did not arrive in order.
fn lost(arrivals: &[Arrival]) -> u64 {
    let mut highest: Option<u64> = None;
    let mut missing = 0;
    for Arrival { sequence, .. } in arrivals {
        if let Some(highest) = highest.filter(|highest| sequence > highest) {
            missing += sequence - highest - 1;
        }
        highest = highest.max(Some(*sequence));
    }
    missing
}

#[cfg(test)]
mod tests;
