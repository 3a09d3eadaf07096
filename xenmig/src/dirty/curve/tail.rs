//! How a measured curve goes on beyond its last point.
//!
//! A guest whose pages are each written at random moments, page i at the rate r_i, has
//! W(t) = Σ (1 − exp(−r_i t)): a mixture of saturating exponentials, whatever the rates. (The same
//! sum stands behind the working-set curves of Denning and Schwartz, "Properties of the
//! working-set model", CACM 15(3), 1972.) So the mixture that fits the measured points best, over
//! a fixed ladder of rates and with weights not below zero, is used for how much W *grows* after
//! the last point. Rates too low to bend within the window cannot be told from a straight line:
//! they are one linear term, which overestimates rather than underestimates. It ends only at the
//! guest's memory size.

/// Growth of W after the last point: a sum of saturating terms and a linear one.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Tail {
    /// Pages per second that never saturate.
    slope: f64,
    /// (rate in 1/s, pages that are still to come).
    terms: Vec<(f64, f64)>,
}

/// Lowest rate of the ladder, in units of 1/window: a term that has lost 22 % of its slope at the
/// end of the window.
const SLOWEST: f64 = 0.25;
/// Step of the ladder.
const STEP: f64 = 2.0;
/// Rounds of coordinate descent; it has settled long before.
const SWEEPS: usize = 2000;

impl Tail {
    /// A straight line.
    pub(super) fn line(slope: f64) -> Self {
        Self {
            slope,
            terms: Vec::new(),
        }
    }

    /// Fits `points`, which begin at (0, 0).
    pub(super) fn fit(points: &[(f64, f64)]) -> Self {
        let Some(&(end, last)) = points.last().filter(|last| last.0 > 0.0 && last.1 > 0.0) else {
            return Self::line(0.0);
        };
        let shortest = points
            .iter()
            .map(|point| point.0)
            .find(|t| *t > 0.0)
            .unwrap_or(end);
        let mut rates = vec![0.0];
        let fastest = 4.0 / shortest;
        rates.extend(
            std::iter::successors(Some(SLOWEST / end), |rate| Some(rate * STEP))
                .take_while(|rate| *rate < fastest),
        );
        // Each basis function is scaled to 1 at the end of the window.
        let base = |rate: f64, t: f64| match rate {
            0.0 => t / end,
            rate => (1.0 - (-rate * t).exp()) / (1.0 - (-rate * end).exp()),
        };
        let rows: Vec<_> = points
            .iter()
            .filter(|point| point.0 > 0.0)
            .map(|&(t, pages)| {
                // A count of independent events varies by its square root; the last points matter
                // most for what comes after them.
                let weight = (t / end).sqrt() / (pages + 1.0).sqrt();
                let row: Vec<_> = rates.iter().map(|rate| weight * base(*rate, t)).collect();
                (row, weight * pages)
            })
            .collect();
        let weights = non_negative_least_squares(&rows, rates.len(), last);
        let mut tail = Self::line(weights[0] / end);
        for (rate, pages) in rates
            .iter()
            .zip(&weights)
            .skip(1)
            .filter(|(_, pages)| **pages > 0.0)
        {
            let left = (-rate * end).exp();
            tail.terms.push((*rate, pages * left / (1.0 - left)));
        }
        tail
    }

    /// Pages dirtied in the `t` seconds after the last point.
    pub(super) fn growth(&self, t: f64) -> f64 {
        let saturating: f64 = self
            .terms
            .iter()
            .map(|(rate, pages)| pages * (1.0 - (-rate * t).exp()))
            .sum();
        self.slope * t + saturating
    }
}

/// Minimises |A x − b| for x ≥ 0 by coordinate descent; a row holds one of A's and one of b.
fn non_negative_least_squares(rows: &[(Vec<f64>, f64)], unknowns: usize, scale: f64) -> Vec<f64> {
    let dot = |i: usize, j: usize| rows.iter().map(|(row, _)| row[i] * row[j]).sum::<f64>();
    let gram: Vec<Vec<f64>> = (0..unknowns)
        .map(|i| (0..unknowns).map(|j| dot(i, j)).collect())
        .collect();
    let aim: Vec<f64> = (0..unknowns)
        .map(|i| rows.iter().map(|(row, value)| row[i] * value).sum())
        .collect();
    let mut x = vec![0.0; unknowns];
    for _ in 0..SWEEPS {
        let mut moved = 0.0f64;
        for i in 0..unknowns {
            let rest: f64 = (0..unknowns).map(|j| gram[i][j] * x[j]).sum();
            let next = (x[i] + (aim[i] - rest) / gram[i][i]).max(0.0);
            moved = moved.max((next - x[i]).abs());
            x[i] = next;
        }
        if moved < 1e-6 * scale {
            break;
        }
    }
    x
}
