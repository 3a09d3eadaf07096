//! The shape of a measured curve between its points, and how it goes on beyond the last.
//!
//! A guest whose pages are each written at random moments, page i at the rate r_i, has
//! W(t) = Σ (1 − exp(−r_i t)): a mixture of saturating exponentials, whatever the rates. (Denning
//! and Schwartz, "Properties of the working-set model", CACM 15(3), 1972, have the same sum.) So W
//! is taken to grow as the mixture that explains best how it grew from point to point, over a
//! fixed ladder of rates. "Best" is most likely, if that growth is a Poisson count: the weights
//! come from the EM iteration of Richardson (1972) and Lucy (1974), which keeps them above zero
//! and the sum of all growth as it was.
//!
//! Two deviations from that beyond the last point, both towards what is safe to assume:
//! - Rates too low to bend much within the window cannot be told from a straight line. They are
//!   one linear term, which errs towards too many pages and ends only at the guest's memory.
//! - W bends down, if anything. So where the fit grew faster over the last octave than the guest
//!   did (a sweep that has come round is flat, with an edge that no mixture has), it is scaled down
//!   to what the guest did. It is not scaled up: then the guest is in a burst, and its mean rate
//!   says more about the time to come.
//!
//! How good that is: `tests/curve.rs`.

/// A sum of saturating terms and a linear one.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Fit {
    /// The last point's time; above 0.
    end: f64,
    /// (rate in 1/s, pages dirtied by `end`). Rate 0 never saturates.
    terms: Vec<(f64, f64)>,
    /// What to make of growth beyond `end`.
    scale: f64,
}

/// Lowest rate of the ladder, in units of 1/window: its slope falls by 40 % within the window.
const SLOWEST: f64 = 0.5;
/// From one rate of the ladder to the next.
const STEP: f64 = 2.0;
/// Share of the growth that the iteration begins with as linear.
const LINEAR: f64 = 0.3;
/// Steps of the iteration. More of them follow the noise of the last points.
const STEPS: usize = 3000;

impl Fit {
    /// A straight line.
    pub(super) fn line(slope: f64) -> Self {
        Self { end: 1.0, terms: vec![(0.0, slope)], scale: 1.0 }
    }

    /// Fits `points`, of which there are at least two and the first is (0, 0).
    pub(super) fn new(points: &[(f64, f64)]) -> Self {
        let (first, (end, last)) = (points[1].0, points[points.len() - 1]);
        // Terms that are saturated after a fraction of the first segment are all alike.
        let saturating = std::iter::successors(Some(SLOWEST / end), |rate| Some(rate * STEP))
            .take_while(|rate| *rate < 4.0 / first);
        let rates: Vec<_> = std::iter::once(0.0).chain(saturating).collect();
        let pages = most_likely(&rates, points);
        let mut fit = Self { end, terms: rates.into_iter().zip(pages).collect(), scale: 1.0 };
        let fitted = fit.grown(end / 2.0, end);
        if fitted > 0.0 {
            fit.scale = ((last - between(points, end / 2.0)) / fitted).min(1.0);
        }
        fit
    }

    /// Pages dirtied first between two times.
    pub(super) fn grown(&self, from: f64, to: f64) -> f64 {
        let term = |(rate, pages): &(f64, f64)| {
            pages * (share(*rate, to, self.end) - share(*rate, from, self.end))
        };
        self.terms.iter().map(term).sum()
    }

    /// Pages dirtied first in the `t` seconds after the last point.
    pub(super) fn growth_after(&self, t: f64) -> f64 {
        self.scale * self.grown(self.end, self.end + t)
    }
}

/// What of the pages that a term of this `rate` has dirtied by `end` it has dirtied by `t`.
fn share(rate: f64, t: f64, end: f64) -> f64 {
    if rate == 0.0 { t / end } else { (-rate * t).exp_m1() / (-rate * end).exp_m1() }
}

/// Pages that each term has dirtied by the last point.
fn most_likely(rates: &[f64], points: &[(f64, f64)]) -> Vec<f64> {
    let ((end, total), n) = (points[points.len() - 1], rates.len());
    let mut pages = vec![total * (1.0 - LINEAR) / (n - 1).max(1) as f64; n];
    pages[0] = total * LINEAR;
    // Segment by segment, each term's share of the segment; and what was seen there.
    let mut shares = Vec::with_capacity(n * points.len());
    let mut seen = Vec::with_capacity(points.len());
    for pair in points.windows(2) {
        let grown = |rate: &f64| share(*rate, pair[1].0, end) - share(*rate, pair[0].0, end);
        shares.extend(rates.iter().map(grown));
        seen.push(pair[1].1 - pair[0].1);
    }
    let mut gains = vec![0.0; n];
    for _ in 0..STEPS {
        gains.fill(0.0);
        for (segment, seen) in seen.iter().enumerate() {
            let shares = &shares[segment * n..(segment + 1) * n];
            let mut expected = 0.0;
            for i in 0..n {
                expected += shares[i] * pages[i];
            }
            if expected > 0.0 {
                let ratio = seen / expected;
                for i in 0..n {
                    gains[i] += shares[i] * ratio;
                }
            }
        }
        for i in 0..n {
            pages[i] *= gains[i];
        }
    }
    pages
}

/// W at `t` within `points`.
fn between(points: &[(f64, f64)], t: f64) -> f64 {
    let right = points.partition_point(|point| point.0 < t).clamp(1, points.len() - 1);
    let (a, b) = (points[right - 1], points[right]);
    a.1 + (b.1 - a.1) * (t - a.0) / (b.0 - a.0)
}
