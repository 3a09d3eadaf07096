//! Medians and spreads of the repetitions, and what they say.

use super::plan::{Curve, Figure};
use super::run::Run;
use crate::measure::quantile;

/// A figure of several repetitions.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Spread {
    pub(super) median: f64,
    pub(super) least: f64,
    pub(super) most: f64,
}

impl Spread {
    pub(super) fn of(values: &[f64]) -> Option<Self> {
        let at = |q| quantile(values, q);
        Some(Self { median: at(0.5)?, least: at(0.0)?, most: at(1.0)? })
    }
}

/// What was measured at one value of the axis.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Place {
    pub(super) x: f64,
    pub(super) total_s: Option<Spread>,
    pub(super) downtime_s: Option<Spread>,
    pub(super) offline_s: Option<Spread>,
    /// Migrations to the end.
    pub(super) moved: usize,
    /// Migrations that xenmig, had it not been told to, would not have begun.
    pub(super) warned: usize,
    /// Why, each reason once.
    pub(super) reasons: Vec<String>,
    pub(super) runs: usize,
}

/// A curve: its places in the order of the axis.
pub(super) fn places(runs: &[&Run], curve: Curve) -> Vec<Place> {
    let place = |x: f64| {
        let here = at(runs, curve, x);
        let spread = |what: &dyn Fn(&Run) -> Option<f64>| {
            Spread::of(&here.iter().filter_map(|run| what(run)).collect::<Vec<_>>())
        };
        let warned = || here.iter().filter_map(|run| run.verdict.as_ref()).filter(|v| !v.go());
        Place {
            x,
            total_s: spread(&Run::total_s),
            downtime_s: spread(&Run::downtime_s),
            offline_s: spread(&Run::offline_s),
            moved: here.iter().filter(|run| run.moved().is_some()).count(),
            warned: warned().count(),
            reasons: {
                let mut reasons: Vec<_> = warned().flat_map(|v| v.reasons.clone()).collect();
                reasons.sort();
                reasons.dedup();
                reasons
            },
            runs: here.len(),
        }
    };
    axis(runs, curve).into_iter().map(place).collect()
}

/// Where a curve was measured, in order.
fn axis(runs: &[&Run], curve: Curve) -> Vec<f64> {
    let of = runs.iter().filter(|run| run.curve == curve);
    let mut values: Vec<f64> = of.map(|run| run.x).collect();
    values.sort_by(f64::total_cmp);
    values.dedup();
    values
}

/// The repetitions at one of these places.
fn at<'a>(runs: &[&'a Run], curve: Curve, x: f64) -> Vec<&'a Run> {
    runs.iter().copied().filter(|run| run.curve == curve && run.x == x).collect()
}

/// Medians of a figure of the runs along a curve, as (place, median).
pub(super) fn medians(
    runs: &[&Run],
    curve: Curve,
    what: impl Fn(&Run) -> Option<f64>,
) -> Vec<(f64, f64)> {
    let median = |x: f64| {
        let values: Vec<_> = at(runs, curve, x).into_iter().filter_map(&what).collect();
        quantile(&values, 0.5)
    };
    axis(runs, curve).into_iter().filter_map(|x| Some((x, median(x)?))).collect()
}

/// Where along its axis a time first exceeds its first value by this share, on straight lines
/// between the places.
pub(super) fn crossing(times: &[(f64, f64)], share: f64) -> Option<f64> {
    let limit = times.first()?.1 * (1.0 + share);
    let two = times.windows(2).find(|two| two[1].1 > limit)?;
    let ((a, low), (b, high)) = (two[0], two[1]);
    Some(between((low, a), (high, b), limit))
}

/// The value there, on straight lines between the places.
pub(super) fn value_at(values: &[(f64, f64)], x: f64) -> Option<f64> {
    let two = values.windows(2).find(|two| two[0].0 <= x && x <= two[1].0)?;
    Some(between(two[0], two[1], x))
}

/// The value at `x` on the line through two places.
fn between((a, low): (f64, f64), (b, high): (f64, f64), x: f64) -> f64 {
    low + (high - low) * (x - a) / (b - a)
}

/// By what factor the largest value exceeds the first.
pub(super) fn growth(values: &[(f64, f64)]) -> Option<f64> {
    let (_, first) = *values.first()?;
    values.iter().map(|(_, value)| value / first).max_by(f64::total_cmp)
}

/// The first place from which on all values exceed the first by this share.
pub(super) fn rises_from(values: &[(f64, f64)], share: f64) -> Option<f64> {
    let (_, first) = *values.first()?;
    let limit = first * (1.0 + share);
    let above = values.iter().rev().take_while(|(_, value)| *value > limit);
    above.last().map(|(x, _)| *x)
}

/// The least-squares line through the values: its slope, its value at 0, and how much of their
/// variance it leaves (1 − R²).
pub(super) fn line(values: &[(f64, f64)]) -> Option<(f64, f64, f64)> {
    let n = values.len() as f64;
    let mean = |what: &dyn Fn(&(f64, f64)) -> f64| values.iter().map(what).sum::<f64>() / n;
    let (x, y) = (mean(&|v| v.0), mean(&|v| v.1));
    let (xx, xy) = (mean(&|v| (v.0 - x).powi(2)), mean(&|v| (v.0 - x) * (v.1 - y)));
    if values.len() < 3 || xx == 0.0 {
        return None;
    }
    let slope = xy / xx;
    let all = mean(&|v| (v.1 - y).powi(2));
    let left = mean(&|v| (v.1 - y - slope * (v.0 - x)).powi(2));
    Some((slope, y - slope * x, if all == 0.0 { 0.0 } else { left / all }))
}

/// Which of the figures' runs, as [`places`] wants them.
pub(super) fn of(runs: &[Run], figure: Figure) -> Vec<&Run> {
    runs.iter().filter(|run| run.figure == figure).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rise_begins_where_no_value_comes_back() {
        let values = [(0.0, 10.0), (20.0, 12.0), (40.0, 10.1), (60.0, 12.0), (80.0, 15.0)];
        assert_eq!(rises_from(&values, 0.1), Some(60.0));
        assert_eq!(rises_from(&values, 0.6), None);
        assert_eq!(growth(&values), Some(1.5));
        assert_eq!(growth(&[]), None);
    }

    #[test]
    fn a_limit_is_crossed_between_two_places() {
        let times = [(0.0, 10.0), (20.0, 9.0), (40.0, 11.0), (60.0, 15.0)];
        assert_eq!(crossing(&times, 0.25), Some(47.5));
        assert_eq!(crossing(&times, 0.6), None);
        assert_eq!(value_at(&times, 47.5), Some(12.5));
        assert_eq!(value_at(&times, 61.0), None);
        assert_eq!(crossing(&[], 0.1), None);
    }

    #[test]
    fn a_line_is_found() {
        let (slope, at_zero, left) = line(&[(1.0, 5.0), (2.0, 7.0), (4.0, 11.0)]).unwrap();
        assert!((slope - 2.0).abs() < 1e-9 && (at_zero - 3.0).abs() < 1e-9 && left < 1e-12);
        assert_eq!(line(&[(1.0, 5.0), (2.0, 7.0)]), None);
    }
}
