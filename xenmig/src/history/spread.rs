//! How much the dirty curves of a domain differ from one sample to the next. Pure.

use serde::Serialize;

use super::observation::Observation;
use super::profile::{quantile, sort};
use crate::dirty::Curve;

/// Distinct pages dirtied within a time of a clean state, over many samples.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Spread {
    /// That time, in seconds.
    pub s: f64,
    /// One sample of ten has fewer pages.
    pub p10_pages: f64,
    /// The median.
    pub p50_pages: f64,
    /// Nine of ten have at most this.
    pub p90_pages: f64,
}

/// The spread at each time that the longest of `observations` looked at, as far as half of them
/// looked as long. Empty when there are none.
#[must_use]
pub fn spread(observations: &[Observation]) -> Vec<Spread> {
    let curves: Vec<_> = observations.iter().filter_map(plain).collect();
    let longest = curves.iter().max_by(|a, b| a.0.sampled().cmp(&b.0.sampled()));
    let times = longest.map_or(&[][..], |(curve, _)| curve.points());
    times.iter().filter_map(|(s, _)| at(*s, &curves)).collect()
}

/// Its curve without a guess at what lies between its points and beyond them, and its weight.
fn plain(observation: &Observation) -> Option<(Curve, f64)> {
    let points = observation.points.iter().map(|(at, pages)| (at.as_secs_f64(), pages.0 as f64));
    let mut all = vec![(0.0, 0.0)];
    all.extend(points.filter(|(s, _)| *s > 0.0));
    let most = observation.points.last()?.1;
    Some((Curve::from_points(all, most)?, f64::from(observation.weight)))
}

fn at(s: f64, curves: &[(Curve, f64)]) -> Option<Spread> {
    // Two samples of the same length differ by the scheduler's whims.
    let long_enough = |curve: &Curve| curve.sampled().as_secs_f64() >= 0.95 * s;
    let seen = curves.iter().filter(|(curve, _)| long_enough(curve));
    let mut pages: Vec<_> = seen.map(|(curve, weight)| (curve.pages_at(s), *weight)).collect();
    let all: f64 = curves.iter().map(|(_, weight)| weight).sum();
    let looked: f64 = pages.iter().map(|(_, weight)| weight).sum();
    // The few that looked longer for once say nothing of the rest.
    if 2.0 * looked < all {
        return None;
    }
    sort(&mut pages);
    Some(Spread {
        s,
        p10_pages: quantile(&pages, 0.1)?,
        p50_pages: quantile(&pages, 0.5)?,
        p90_pages: quantile(&pages, 0.9)?,
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::units::Pages;

    fn observation(points: &[(u64, u64)]) -> Observation {
        let points = points.iter().map(|(ms, pages)| (Duration::from_millis(*ms), Pages(*pages)));
        let points = points.collect();
        Observation { at_unix_s: 0, weight: 1, points, guest_cpus: 0.0, host_cpus: None }
    }

    #[test]
    fn it_lies_between_the_least_and_the_most() {
        let all: Vec<_> = (1..=10).map(|n| observation(&[(500, 10 * n), (1000, 20 * n)])).collect();
        let spread = spread(&all);
        assert_eq!(spread.iter().map(|at| at.s).collect::<Vec<_>>(), [0.0, 0.5, 1.0]);
        let last = spread[2];
        assert_eq!((last.p10_pages, last.p50_pages, last.p90_pages), (20.0, 100.0, 180.0));
        assert_eq!(spread[0].p90_pages, 0.0);
    }

    #[test]
    fn what_was_cut_short_says_nothing_of_later_times() {
        let short = || observation(&[(500, 90)]);
        let all = [observation(&[(500, 10), (1000, 20)]), short()];
        let both = spread(&all);
        assert_eq!((both[1].p90_pages, both[2].p90_pages), (90.0, 20.0));
        let all = [observation(&[(500, 10), (1000, 20)]), short(), short()];
        assert_eq!(spread(&all).last().map(|at| at.s), Some(0.5));
        assert!(spread(&[]).is_empty());
    }
}
