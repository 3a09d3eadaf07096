//! The dirty curve W(t): how many distinct pages a guest dirties within `t` of a clean state.
//!
//! Every curve is piecewise linear and hits its points. A curve from a file has no other corners,
//! and follows the rules of the file format outside its points ([`CurveFile`]). A measured one takes
//! from a fit ([`fit`]) how it bends between its points and how it goes on after the last: lines
//! alone would lie up to 1.5 % below a curve that bends.

mod file;
mod fit;

use std::time::Duration;

pub use file::CurveFile;

use self::fit::Fit;
use super::Window;
use crate::units::Pages;

/// A non-decreasing W(t) for every `t` from 0.
#[derive(Debug, Clone, PartialEq)]
pub struct Curve {
    /// (seconds, pages); times strictly ascending, pages non-decreasing. Never empty.
    points: Vec<(f64, f64)>,
    /// All corners, the points among them.
    corners: Vec<(f64, f64)>,
    /// No guest dirties more pages than it has.
    limit: f64,
    fit: Fit,
}

impl Curve {
    /// The curve through `points` (seconds, pages), which obeys the rules of curve files: left of
    /// the first point the line through the first two, not below 0; right of the last the slope of
    /// the last segment until `limit`. A single point is continued by its line from the origin.
    ///
    /// `None` unless there is a point, all are finite and not negative, times ascend strictly and
    /// pages do not fall.
    #[must_use]
    pub fn from_points(points: Vec<(f64, f64)>, limit: Pages) -> Option<Self> {
        let sound = |(t, pages): &(f64, f64)| {
            t.is_finite() && pages.is_finite() && *t >= 0.0 && *pages >= 0.0
        };
        let ascending = |pair: &[(f64, f64)]| pair[0].0 < pair[1].0 && pair[0].1 <= pair[1].1;
        if points.is_empty() || !points.iter().all(sound) || !points.windows(2).all(ascending) {
            return None;
        }
        let slope = match points[..] {
            [.., a, b] => slope(a, b),
            [(t, pages)] if t > 0.0 => pages / t,
            _ => 0.0,
        };
        let corners = points.clone();
        Some(Self { points, corners, limit: limit.0 as f64, fit: Fit::line(slope) })
    }

    /// The curve that one window of a sample shows, for a guest of `limit` pages. It begins at
    /// (0, 0). Beyond the window it grows as the mixture of saturating exponentials (pages written
    /// at random moments, each at its own rate) and a line that fits best what was measured, but
    /// no faster than over the window's last octave. `None` when the window ended before its first
    /// PEEK.
    #[must_use]
    pub fn measured(window: &Window, limit: Pages) -> Option<Self> {
        Self::seen(&window.points, limit)
    }

    /// The same from the window's points alone.
    #[must_use]
    pub fn seen(window: &[(Duration, Pages)], limit: Pages) -> Option<Self> {
        let limit = limit.0 as f64;
        let mut points = vec![(0.0, 0.0)];
        for (at, pages) in window {
            let (t, last) = (at.as_secs_f64(), points[points.len() - 1]);
            // Xen's count may include pages outside the guest's memory, such as grant frames.
            let pages = (pages.0 as f64).clamp(last.1, limit.max(last.1));
            if t > last.0 {
                points.push((t, pages));
            }
        }
        (points.len() > 1).then(|| Self::fitted(points, limit))
    }

    /// The curves of all windows of a sample, in order. Windows that ended before their first PEEK
    /// give none.
    #[must_use]
    pub fn all_measured(windows: &[Window], limit: Pages) -> Vec<Self> {
        windows.iter().filter_map(|window| Self::measured(window, limit)).collect()
    }

    /// The mean of measured curves at the times of the longest. Where a shorter one has ended, the
    /// mean grows as the others do. `None` when there is no curve.
    #[must_use]
    pub fn mean(curves: &[Self]) -> Option<Self> {
        let longest = curves.iter().max_by(|a, b| a.end().total_cmp(&b.end()))?;
        let mut points = vec![longest.points[0]];
        let first = longest.points[0].0;
        points[0].1 = mean(curves.iter().map(|curve| curve.pages_at(first)));
        for pair in longest.points.windows(2) {
            let (from, to) = (pair[0].0, pair[1].0);
            // A window whose PEEKs came a little earlier has still seen this segment.
            let seen = |curve: &&Self| curve.end() >= (from + to) / 2.0;
            let growth = |curve: &Self| curve.pages_at(to) - curve.pages_at(from);
            let last = points[points.len() - 1].1;
            points.push((to, last + mean(curves.iter().filter(seen).map(growth))));
        }
        Some(Self::fitted(points, longest.limit))
    }

    fn fitted(points: Vec<(f64, f64)>, limit: f64) -> Self {
        /// Lines that a segment is made of: their error is a sixteenth of a single one's.
        const LINES: u32 = 4;
        let fit = Fit::new(&points);
        let mut corners = vec![points[0]];
        for pair in points.windows(2) {
            let (a, b) = (pair[0], pair[1]);
            let fitted = fit.grown(a.0, b.0);
            for nth in 1..LINES {
                let part = f64::from(nth) / f64::from(LINES);
                let t = a.0 + part * (b.0 - a.0);
                let share = if fitted > 0.0 { fit.grown(a.0, t) / fitted } else { part };
                corners.push((t, a.1 + share.clamp(0.0, 1.0) * (b.1 - a.1)));
            }
            corners.push(b);
        }
        Self { points, corners, limit, fit }
    }

    /// W(`seconds`), in pages; a fraction where it lies between two points. Times below 0 count
    /// as 0.
    #[must_use]
    pub fn pages_at(&self, seconds: f64) -> f64 {
        let t = seconds.max(0.0);
        let right = self.corners.partition_point(|corner| corner.0 < t);
        match (right.checked_sub(1).map(|left| self.corners[left]), self.corners.get(right)) {
            (Some(a), Some(b)) => a.1 + slope(a, *b) * (t - a.0),
            (None, Some(first)) => self.before(*first, t),
            (Some(last), None) => {
                let grown = last.1 + self.fit.growth_after(t - last.0);
                grown.min(self.limit.max(last.1))
            }
            (None, None) => 0.0,
        }
    }

    /// W(`time`), in pages.
    #[must_use]
    pub fn at(&self, time: Duration) -> f64 {
        self.pages_at(time.as_secs_f64())
    }

    /// Left of the first point.
    fn before(&self, first: (f64, f64), t: f64) -> f64 {
        let slope = match (self.points.get(1), first.0) {
            (Some(second), _) => slope(first, *second),
            (None, 0.0) => 0.0,
            (None, _) => first.1 / first.0,
        };
        (first.1 - slope * (first.0 - t)).max(0.0)
    }

    /// The points, as (seconds, pages).
    #[must_use]
    pub fn points(&self) -> &[(f64, f64)] {
        &self.points
    }

    /// The most pages that can be dirtied.
    #[must_use]
    pub const fn limit(&self) -> f64 {
        self.limit
    }

    /// Up to where the curve was measured; beyond, it is extended.
    #[must_use]
    pub fn sampled(&self) -> Duration {
        Duration::from_secs_f64(self.end().min(1e9))
    }

    /// Distinct pages per second over the measured time: 0 when that is 0.
    #[must_use]
    pub fn dirty_rate(&self) -> f64 {
        let (t, pages) = self.points[self.points.len() - 1];
        if t > 0.0 { pages / t } else { 0.0 }
    }

    /// The least and the most that W could be at `seconds`: the same as [`Curve::pages_at`] where
    /// the curve was measured. Beyond, the least is a guest that dirties only what it has dirtied
    /// already, and the most one that goes on as over the last octave: W bends down, if anything.
    #[must_use]
    pub fn bounds_at(&self, seconds: f64) -> (f64, f64) {
        let (end, last) = self.points[self.points.len() - 1];
        let likely = self.pages_at(seconds);
        if seconds <= end {
            return (likely, likely);
        }
        let recent = slope((end / 2.0, self.pages_at(end / 2.0)), (end, last));
        let most = (last + recent * (seconds - end)).min(self.limit.max(last));
        (last, if most > likely { most } else { likely })
    }

    fn end(&self) -> f64 {
        self.points[self.points.len() - 1].0
    }
}

fn slope(a: (f64, f64), b: (f64, f64)) -> f64 {
    (b.1 - a.1) / (b.0 - a.0)
}

fn mean(values: impl Iterator<Item = f64>) -> f64 {
    let (sum, count) = values.fold((0.0, 0u32), |(sum, count), value| (sum + value, count + 1));
    sum / f64::from(count.max(1))
}
