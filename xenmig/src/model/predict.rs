//! One prediction with quantiles: the save loop run over many guests that could be the one that
//! was sampled.

use std::time::Duration;

use serde::Serialize;

use super::link::{Guest, Link};
use super::random::Random;
use super::save::{Dirtying, Outcome, PrecopyPolicy, save_live};
use crate::dirty::Curve;

/// Guests that are imagined.
const DRAWS: usize = 500;
/// Any number: the same sample gives the same prediction.
const SEED: u64 = 0x78_656e_6d69_6721;
/// Spread of a guest's dirtying from one stretch of time to another, where a single window cannot
/// show it: standard deviation of its logarithm. An assumption, to be replaced by the history of
/// the guest where there is one: p90 is then 1.47 times the median.
const SINGLE_WINDOW_SPREAD: f64 = 0.3;

/// What a migration would cost.
#[derive(Debug, Clone, PartialEq)]
pub struct Prediction {
    /// The loop run over the mean of the windows.
    pub expected: Outcome,
    /// Total time, in seconds.
    pub total_s: Quantiles,
    /// Downtime, in seconds.
    pub downtime_s: Quantiles,
    /// Bytes sent.
    pub bytes: Quantiles,
    /// The longest time for which W was needed: that of the longest round.
    pub horizon: Duration,
    /// The longest window that was measured.
    pub sampled: Duration,
}

/// One in ten is below `p10`, half are below `p50`, one in ten is above `p90`. Infinite where so
/// many of the imagined guests did not move at all.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Quantiles {
    /// Lower decile.
    pub p10: f64,
    /// Median.
    pub p50: f64,
    /// Upper decile.
    pub p90: f64,
}

impl Prediction {
    /// How many times further than it was measured the curve was needed; at most 1 means that
    /// nothing had to be extended.
    #[must_use]
    pub fn extrapolation(&self) -> f64 {
        self.horizon.as_secs_f64() / self.sampled.as_secs_f64().max(1e-9)
    }

    /// Adds `spread`, how much longer than [`super::Costs::finish`] nine of ten migrations take at
    /// most, to the p90 of total time and downtime: an upper bound, as the two rarely coincide.
    #[must_use]
    pub fn with_finish_spread(mut self, spread: Duration) -> Self {
        self.total_s.p90 += spread.as_secs_f64();
        self.downtime_s.p90 += spread.as_secs_f64();
        self
    }
}

/// Predicts the save of `guest` over `link` under the policy that `policy` makes, from the curves
/// of the windows of one sample. `None` when there is no curve.
///
/// The quantiles speak of how the guest dirties memory, not of what the network does. They come
/// from a bootstrap: each of 500 imagined guests follows one of the windows, drawn at random, and
/// draws anew as time passes: after a stretch between two CLEANs of length `s`, with probability
/// `s` / (length of a window). So long rounds see different stretches of the guest's time, while
/// the short rounds at the end see one and the same, as a burst is not over in a few milliseconds.
/// No p90 is below what is expected. Besides:
///
/// - Few windows show less than the whole spread. So each window's deviation from the mean is
///   widened by √(n/(n−1)) · t/z, with Student's t at 90 % for n−1 degrees of freedom and z for
///   infinitely many: 3.4 for two windows, 1.8 for three, 1.3 for six.
/// - A brief window is a moment like any other. A guest that follows one goes on, when it has ended,
///   as one of the longer ones did from there. So there are two deviations, each widened by the
///   number of windows that saw it.
/// - One window shows no spread at all. Then every imagined guest dirties by a log-normal factor
///   more or less, with a standard deviation of 0.3: an assumption, and said so here.
/// - Beyond the window, where W is extended, each imagined guest lies somewhere between the bounds
///   of [`Curve::bounds_at`]: its part above or below the likely curve is drawn evenly.
pub fn predict<P: PrecopyPolicy>(
    guest: &Guest,
    link: &Link,
    curves: &[Curve],
    mut policy: impl FnMut() -> P,
    deadline: Duration,
) -> Option<Prediction> {
    let mean = Curve::mean(curves)?;
    let expected = save_live(guest, link, &mean, &mut policy(), deadline);
    let windows = Windows::new(curves, &mean);
    let mut random = Random::new(SEED);
    let drawn: Vec<_> = (0..DRAWS)
        .map(|_| {
            let imagined = Imagined::new(&mean, &windows, &mut random);
            save_live(guest, link, imagined, &mut policy(), deadline)
        })
        .collect();
    let of = |value: fn(&Outcome) -> f64| {
        let value = |o: &Outcome| if o.moved() { value(o) } else { f64::INFINITY };
        let drawn = Quantiles::of(drawn.iter().map(value));
        Quantiles { p90: drawn.p90.max(value(&expected)), ..drawn }
    };
    Some(Prediction {
        total_s: of(|outcome| outcome.total_s),
        downtime_s: of(|outcome| outcome.downtime_s),
        bytes: of(|outcome| outcome.bytes),
        horizon: super::save::time(expected.horizon_s),
        sampled: mean.sampled(),
        expected,
    })
}

/// The windows of a sample, brief ones and those that were cut short among them.
struct Windows<'a> {
    all: Vec<&'a Curve>,
    /// Those that were not cut short, which says little about later times. Never empty.
    long: Vec<&'a Curve>,
    /// Up to here all of them have looked on, in seconds.
    shared: f64,
}

impl<'a> Windows<'a> {
    fn new(curves: &'a [Curve], mean: &Curve) -> Self {
        let is_long = |curve: &&Curve| curve.sampled() * 2 >= mean.sampled();
        let shared = curves.iter().map(Curve::sampled).min().unwrap_or_default().as_secs_f64();
        Self { all: curves.iter().collect(), long: curves.iter().filter(is_long).collect(), shared }
    }

    /// A window to follow while all look on, and one to follow then.
    fn draw(&self, random: &mut Random) -> [&'a Curve; 2] {
        let early = self.all[random.below(self.all.len())];
        let is_long = self.long.iter().any(|long| std::ptr::eq(*long, early));
        let late = if is_long { early } else { self.long[random.below(self.long.len())] };
        [early, late]
    }
}

/// A guest that could be the sampled one.
struct Imagined<'a> {
    mean: &'a Curve,
    windows: &'a Windows<'a>,
    random: &'a mut Random,
    /// The windows it follows.
    followed: [&'a Curve; 2],
    /// What their deviations from the mean are widened by.
    widening: [f64; 2],
    /// Factor on all dirtying.
    level: f64,
    /// Where between the bounds of an extended curve this guest lies, −1 to 1.
    beyond: f64,
}

impl<'a> Imagined<'a> {
    fn new(mean: &'a Curve, windows: &'a Windows<'a>, random: &'a mut Random) -> Self {
        // A single one shows no spread at later times.
        let single = windows.long.len() == 1;
        let level = if single { (SINGLE_WINDOW_SPREAD * random.normal()).exp() } else { 1.0 };
        let beyond = 2.0 * random.uniform() - 1.0;
        let widening = [widening(windows.all.len()), widening(windows.long.len())];
        let followed = windows.draw(random);
        Self { mean, windows, random, followed, widening, level, beyond }
    }

    /// How much more than the mean this guest has dirtied.
    fn deviation(&self, seconds: f64) -> f64 {
        let by = |window: &Curve, s: f64| self.pages(window, s) - self.pages(self.mean, s);
        let shared = seconds.min(self.windows.shared);
        let [early, late] = self.followed;
        let [widen_early, widen_late] = self.widening;
        widen_early * by(early, shared) + widen_late * (by(late, seconds) - by(late, shared))
    }

    fn pages(&self, curve: &Curve, seconds: f64) -> f64 {
        let likely = curve.pages_at(seconds);
        let (least, most) = curve.bounds_at(seconds);
        likely + self.beyond * if self.beyond > 0.0 { most - likely } else { likely - least }
    }
}

impl Dirtying for Imagined<'_> {
    fn cleaned(&mut self, seconds: f64) {
        let length = self.mean.sampled().as_secs_f64().max(1e-9);
        if self.random.uniform() < seconds / length {
            self.followed = self.windows.draw(self.random);
        }
    }

    fn dirtied(&self, seconds: f64) -> f64 {
        let pages = (self.pages(self.mean, seconds) + self.deviation(seconds)) * self.level;
        pages.clamp(0.0, self.mean.limit())
    }
}

/// What makes the deviations of `n` windows as wide as what they were drawn from.
fn widening(n: usize) -> f64 {
    /// Student's t at 90 % for 1 to 9 degrees of freedom.
    const T: [f64; 9] = [3.078, 1.886, 1.638, 1.533, 1.476, 1.440, 1.415, 1.397, 1.383];
    const Z: f64 = 1.282;
    let Some(degrees) = n.checked_sub(1).filter(|degrees| *degrees > 0) else {
        return 1.0;
    };
    let t = T.get(degrees - 1).copied().unwrap_or(Z + 0.9 / degrees as f64);
    (n as f64 / degrees as f64).sqrt() * t / Z
}

impl Quantiles {
    fn of(values: impl Iterator<Item = f64>) -> Self {
        let mut values: Vec<_> = values.collect();
        values.sort_by(f64::total_cmp);
        let at = |share: f64| values[((values.len() - 1) as f64 * share).round() as usize];
        Self { p10: at(0.1), p50: at(0.5), p90: at(0.9) }
    }
}
