//! How a measured curve goes on beyond its last point.
//!
//! A guest whose pages are each written at random moments, page i at the rate r_i, has
//! W(t) = Σ (1 − exp(−r_i t)): a mixture of saturating exponentials, whatever the rates. (Denning
//! and Schwartz, "Properties of the working-set model", CACM 15(3), 1972, have the same sum.) So W
//! grows after the last point as the mixture does that explains best how it grew before, over a
//! fixed ladder of rates. "Best" is most likely, if the growth from one point to the next is a
//! Poisson count: the weights come from the EM iteration of Richardson (1972) and Lucy (1974),
//! which keeps them above zero and the sum of all growth as it was.
//!
//! Two deviations from that, both towards what is safe to assume:
//! - Rates too low to bend much within the window cannot be told from a straight line. They are
//!   one linear term, which errs towards too many pages and ends only at the guest's memory.
//! - W bends down, if anything. So where the fit grew faster over the last octave than the guest
//!   did (a sweep that has come round is flat, with an edge that no mixture has), it is scaled down
//!   to what the guest did. It is not scaled up: then the guest is in a burst, and its mean rate
//!   says more about the time to come.
//!
//! How good that is: `tests/curve.rs`.

/// Growth of W after the last point: a sum of saturating terms and a linear one.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Tail {
    /// Pages per second that never saturate.
    slope: f64,
    /// (rate in 1/s, pages that are still to come).
    terms: Vec<(f64, f64)>,
}

/// Lowest rate of the ladder, in units of 1/window: its slope falls by 40 % within the window.
const SLOWEST: f64 = 0.5;
/// From one rate of the ladder to the next.
const STEP: f64 = 2.0;
/// Share of the growth that the iteration begins with as linear.
const LINEAR: f64 = 0.3;
/// Steps of the iteration. More of them follow the noise of the last points.
const STEPS: usize = 3000;

impl Tail {
    /// A straight line.
    pub(super) fn line(slope: f64) -> Self {
        Self { slope, terms: Vec::new() }
    }

    /// Fits `points`, which begin at (0, 0).
    pub(super) fn fit(points: &[(f64, f64)]) -> Self {
        let [(start, _), .., (end, last)] = *points else {
            return Self::line(0.0);
        };
        let first = points.get(1).map_or(end, |point| point.0) - start;
        // Rates at which nothing is left to come after a fraction of the first segment are the
        // same to all points.
        let saturating = std::iter::successors(Some(SLOWEST / end), |rate| Some(rate * STEP))
            .take_while(|rate| *rate < 4.0 / first);
        let terms: Vec<_> = std::iter::once(0.0).chain(saturating).collect();
        let weights = most_likely(&terms, points);
        let fitted = |t| -> f64 {
            terms.iter().zip(&weights).map(|(rate, pages)| pages * share(*rate, t, end)).sum()
        };
        let seen = last - between(points, end / 2.0);
        let grown = fitted(end) - fitted(end / 2.0);
        let scale = if grown > 0.0 { (seen / grown).min(1.0) } else { 0.0 };
        let left = |(rate, pages): (&f64, &f64)| {
            let left = (-rate * end).exp();
            (*rate, scale * pages * left / (1.0 - left))
        };
        Self {
            slope: scale * weights[0] / end,
            terms: terms.iter().zip(&weights).skip(1).map(left).filter(|t| t.1 > 0.0).collect(),
        }
    }

    /// Pages dirtied in the `t` seconds after the last point.
    pub(super) fn growth(&self, t: f64) -> f64 {
        let term = |(rate, pages): &(f64, f64)| pages * (1.0 - (-rate * t).exp());
        self.slope * t + self.terms.iter().map(term).sum::<f64>()
    }
}

/// What of the pages that a term of this `rate` has dirtied by `end` it has dirtied by `t`. Rate 0
/// is the linear term.
fn share(rate: f64, t: f64, end: f64) -> f64 {
    if rate == 0.0 { t / end } else { (-rate * t).exp_m1() / (-rate * end).exp_m1() }
}

/// Pages that each term has dirtied by the last point.
fn most_likely(rates: &[f64], points: &[(f64, f64)]) -> Vec<f64> {
    let (end, total) = points[points.len() - 1];
    let segment = |pair: &[(f64, f64)]| {
        let (from, to) = (pair[0], pair[1]);
        let row = rates.iter().map(|rate| share(*rate, to.0, end) - share(*rate, from.0, end));
        (row.collect(), to.1 - from.1)
    };
    let segments: Vec<(Vec<f64>, f64)> = points.windows(2).map(segment).collect();
    let saturating = rates.len().saturating_sub(1).max(1) as f64;
    let mut weights = vec![total * (1.0 - LINEAR) / saturating; rates.len()];
    weights[0] = total * LINEAR;
    for _ in 0..STEPS {
        let mut gains = vec![0.0; rates.len()];
        for (row, seen) in &segments {
            let expected: f64 = row.iter().zip(&weights).map(|(share, pages)| share * pages).sum();
            if expected > 0.0 {
                let ratio = seen / expected;
                gains.iter_mut().zip(row).for_each(|(gain, share)| *gain += share * ratio);
            }
        }
        weights.iter_mut().zip(&gains).for_each(|(pages, gain)| *pages *= gain);
    }
    weights
}

/// W at `t` within `points`.
fn between(points: &[(f64, f64)], t: f64) -> f64 {
    let right = points.partition_point(|point| point.0 < t).clamp(1, points.len() - 1);
    let (a, b) = (points[right - 1], points[right]);
    a.1 + (b.1 - a.1) * (t - a.0) / (b.0 - a.0)
}
