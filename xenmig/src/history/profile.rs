//! What a migration costs by hour and weekday, as far as the past tells. Pure.
//!
//! Five models are tried, each with three speeds of forgetting: the cost is the same at all times,
//! follows the time of day, that and whether it is a working day, the time of the week, or a time of
//! day that moves on by some minutes each day. Each has
//! to foretell past days from the days before them, by quantiles at 50 and 90 % of the logarithm of
//! the downtime ("pinball" loss: Koenker and Bassett, "Regression Quantiles", 1978). What foretells
//! no better than the same at all times, clearly and on most days, is no pattern: a load without one
//! must not look as if it had.

use std::collections::BTreeSet;
use std::ops::Range;

use jiff::tz::TimeZone;
use serde::Serialize;

/// One past moment, and what a migration would have cost then.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Seen {
    /// Seconds since 1970.
    pub at_unix_s: i64,
    /// Guest suspended to guest running at the target, in seconds. Above 0.
    pub downtime_s: f64,
    /// Start of the save to that, in seconds.
    pub total_s: f64,
    /// Samples it stands for.
    pub weight: f64,
}

/// What the cost depends on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Pattern {
    /// Nothing that is known.
    None,
    /// The time of day.
    Daily,
    /// The time of day, and whether it is Saturday or Sunday.
    Workdays,
    /// The time of the week.
    Weekly,
    /// A time of day that comes a little later, or earlier, each day.
    Drifting,
}

/// What a migration at some time would cost.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Expected {
    /// Median downtime, in seconds.
    pub downtime_s: f64,
    /// Nine of ten take at most this.
    pub downtime_p90_s: f64,
    /// The same of the total time.
    pub total_p90_s: f64,
    /// Days on which that rests.
    pub days: usize,
}

/// Minutes of a step: times within it are alike.
pub const STEP_MIN: i64 = 10;
/// Steps of a day.
const STEPS: i64 = 24 * 60 / STEP_MIN;
/// Steps before and after that count as well.
const AROUND: i64 = 1;
/// Days below which nothing is said.
pub const LEAST_DAYS: usize = 3;
/// Days below which a model says nothing of a moment, and that of all times is asked instead.
const LEAST_OWN: usize = 2;
/// Newest days that models are tried on.
const TRIED: usize = 21;
/// Every how many of the steps in which something was seen they are.
const TRIED_STEPS: usize = 3;
/// Days after which what was seen counts half; all that is known of loads that shift is recent.
const HALF_LIVES: [f64; 3] = [4.0, 14.0, 60.0];
/// Hours a week by which a time of day may move.
const DRIFTS: [f64; 6] = [-2.0, -1.0, -0.5, 0.5, 1.0, 2.0];
/// A pattern has to foretell better than none by this share of the loss ...
const SKILL: f64 = 0.1;
/// ... and on this share of the days.
const DAYS_WON: f64 = 0.65;
/// A simpler model that is worse by less than this share is taken ...
const SIMPLER: f64 = 0.02;
/// ... and by less than this, one that stands still.
const STILL: f64 = 0.1;

/// A moment in local time.
#[derive(Debug, Clone, Copy)]
pub(super) struct Moment {
    /// Days since 1970.
    pub(super) day: i64,
    /// Of the day.
    pub(super) step: i64,
}

impl Moment {
    pub(super) fn new(unix_s: i64, zone: &TimeZone) -> Self {
        let offset =
            jiff::Timestamp::from_second(unix_s).map_or(0, |at| zone.to_offset(at).seconds());
        let local = unix_s + i64::from(offset);
        let minute = local.rem_euclid(86_400) / 60;
        Self { day: local.div_euclid(86_400), step: minute / STEP_MIN }
    }

    /// Of the day, 0 to 23.
    pub(super) const fn hour(self) -> i64 {
        self.step * STEP_MIN / 60
    }

    /// From Monday, 0. The first of January 1970 was a Thursday.
    pub(super) const fn weekday(self) -> i64 {
        (self.day + 3).rem_euclid(7)
    }
}

impl Pattern {
    /// Simpler ones first.
    const ALL: [Self; 5] = [Self::None, Self::Daily, Self::Workdays, Self::Weekly, Self::Drifting];

    /// Hours a week by which it may move.
    const fn drifts(self) -> &'static [f64] {
        match self {
            Self::Drifting => &DRIFTS,
            _ => &[0.0],
        }
    }

    /// Whether what was seen on one weekday tells of another.
    const fn joins(self, a: Moment, b: Moment) -> bool {
        match self {
            Self::None | Self::Daily | Self::Drifting => true,
            Self::Workdays => (a.weekday() < 5) == (b.weekday() < 5),
            Self::Weekly => a.weekday() == b.weekday(),
        }
    }
}

/// How the future follows from the past.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Model {
    pattern: Pattern,
    half_life: f64,
    /// Hours a week by which the time of day moves.
    drift: f64,
}

impl Model {
    /// Steps by which what was seen on `day` comes later on `other`.
    fn moved(self, day: i64, other: i64) -> i64 {
        let weeks = (other - day) as f64 / 7.0;
        (self.drift * weeks * 60.0 / STEP_MIN as f64).round() as i64
    }
}

/// See the module.
#[derive(Debug, Clone)]
pub struct Profile {
    zone: TimeZone,
    /// What was seen in each step of the day, oldest first.
    steps: Vec<Vec<(Moment, Seen)>>,
    days: Vec<i64>,
    model: Model,
    skill: f64,
    /// What all times say, where the model knows too little of one.
    all: Expected,
}

impl Profile {
    /// Learns from `seen`, in any order, with the days of `zone`. `None` when that is less than
    /// [`LEAST_DAYS`] days.
    #[must_use]
    pub fn learn(seen: &[Seen], zone: TimeZone) -> Option<Self> {
        let mut steps = vec![Vec::new(); STEPS as usize];
        let mut days = BTreeSet::new();
        let sound = |seen: &&Seen| seen.downtime_s.is_finite() && seen.downtime_s > 0.0;
        for seen in seen.iter().filter(sound) {
            let moment = Moment::new(seen.at_unix_s, &zone);
            steps[moment.step as usize].push((moment, *seen));
            days.insert(moment.day);
        }
        let days: Vec<_> = days.into_iter().collect();
        if days.len() < LEAST_DAYS {
            return None;
        }
        steps.iter_mut().for_each(|step| step.sort_by_key(|(moment, _)| moment.day));
        let model = Model { pattern: Pattern::None, half_life: HALF_LIVES[1], drift: 0.0 };
        let all = Expected { downtime_s: 0.0, downtime_p90_s: 0.0, total_p90_s: 0.0, days: 0 };
        let mut profile = Self { zone, steps, days, model, skill: 0.0, all };
        (profile.model, profile.skill) = profile.choose();
        profile.all = profile.all_times(profile.model.half_life, profile.tomorrow())?;
        Some(profile)
    }

    /// What the cost depends on.
    #[must_use]
    pub const fn pattern(&self) -> Pattern {
        self.model.pattern
    }

    /// Hours a week by which the time of day that it follows moves; 0 unless it is drifting.
    #[must_use]
    pub const fn drift(&self) -> f64 {
        self.model.drift
    }

    /// By what share of the loss it foretells better than none does.
    #[must_use]
    pub const fn skill(&self) -> f64 {
        self.skill
    }

    /// Days on which something was seen.
    #[must_use]
    pub fn days(&self) -> usize {
        self.days.len()
    }

    /// What a migration at that time, in seconds since 1970, would cost.
    #[must_use]
    pub fn at(&self, unix_s: i64) -> Expected {
        let moment = Moment::new(unix_s, &self.zone);
        self.foretell(self.model, moment, self.tomorrow()).unwrap_or(self.all)
    }

    /// The day after the last on which something was seen.
    fn tomorrow(&self) -> i64 {
        self.days.last().map_or(0, |newest| newest + 1)
    }

    /// What `model` says of `moment`, from the days before `before`; `None` where it knows too
    /// little, or says the same of all moments.
    fn foretell(&self, model: Model, moment: Moment, before: i64) -> Option<Expected> {
        if model.pattern == Pattern::None {
            return None;
        }
        let around = moment.step - AROUND..moment.step + AROUND + 1;
        let expected = self.expected(model, around, moment, before)?;
        (expected.days >= LEAST_OWN).then_some(expected)
    }

    /// What all times say, from the days before `before`.
    fn all_times(&self, half_life: f64, before: i64) -> Option<Expected> {
        let model = Model { pattern: Pattern::None, half_life, drift: 0.0 };
        self.expected(model, 0..STEPS, Moment { day: before, step: 0 }, before)
    }

    /// By what was seen in `steps` of days that tell of `moment`.
    fn expected(
        &self,
        model: Model,
        steps: Range<i64>,
        moment: Moment,
        before: i64,
    ) -> Option<Expected> {
        let (mut downtimes, mut totals, mut days) = (Vec::new(), Vec::new(), 0);
        let told = |day: &&i64| {
            let then = Moment { day: **day, step: 0 };
            **day < before && model.pattern.joins(then, moment)
        };
        for day in self.days.iter().filter(told) {
            let age = (before - day) as f64;
            let forgotten = 0.5f64.powf(age / model.half_life);
            let (moved, known) = (model.moved(*day, moment.day), downtimes.len());
            for seen in steps.clone().flat_map(|step| self.seen(before, *day, step - moved)) {
                downtimes.push((seen.downtime_s, seen.weight * forgotten));
                totals.push((seen.total_s, seen.weight * forgotten));
            }
            days += usize::from(downtimes.len() > known);
        }
        sort(&mut downtimes);
        sort(&mut totals);
        Some(Expected {
            downtime_s: quantile(&downtimes, 0.5)?,
            downtime_p90_s: quantile(&downtimes, 0.9)?,
            total_p90_s: quantile(&totals, 0.9)?,
            days,
        })
    }

    /// What was seen before the day `before` in `step` of `day`, which may lie on the day before or
    /// after.
    fn seen(&self, before: i64, day: i64, step: i64) -> impl Iterator<Item = &Seen> {
        let day = day + step.div_euclid(STEPS);
        let all = &self.steps[step.rem_euclid(STEPS) as usize];
        let first = all.partition_point(|(then, _)| then.day < day);
        let own = all[first..].iter().take_while(move |(then, _)| then.day == day && day < before);
        own.map(|(_, seen)| seen)
    }

    /// The model that foretells best, and its skill.
    fn choose(&self) -> (Model, f64) {
        let of = |pattern: Pattern| {
            let drifts = pattern.drifts().iter();
            drifts.flat_map(move |&drift| {
                HALF_LIVES.map(|half_life| Model { pattern, half_life, drift })
            })
        };
        let models: Vec<Model> = Pattern::ALL.into_iter().flat_map(of).collect();
        let losses: Vec<_> = models.iter().map(|model| self.losses(*model)).collect();
        let sum = |losses: &[f64]| losses.iter().sum::<f64>();
        // Of each pattern the best speed; simpler ones first.
        let best = |pattern: Pattern| {
            let own = models.iter().zip(&losses).filter(move |(m, _)| m.pattern == pattern);
            own.min_by(|a, b| sum(a.1).total_cmp(&sum(b.1)))
        };
        let Some((none, without)) = best(Pattern::None) else {
            return (self.model, 0.0);
        };
        let (mut chosen, mut loss) = (none, without);
        for (model, own) in Pattern::ALL[1..].iter().filter_map(|pattern| best(*pattern)) {
            let won = own.iter().zip(without).filter(|(own, without)| own < without).count();
            let clearly = sum(own) < (1.0 - SKILL) * sum(without)
                && won as f64 >= DAYS_WON * own.len() as f64;
            let margin = if model.pattern == Pattern::Drifting { STILL } else { SIMPLER };
            let better = chosen.pattern == Pattern::None || sum(own) < (1.0 - margin) * sum(loss);
            if clearly && better {
                (chosen, loss) = (model, own);
            }
        }
        let skill = if sum(without) > 0.0 { 1.0 - sum(loss) / sum(without) } else { 0.0 };
        (*chosen, skill)
    }

    /// The loss on each day it is tried on.
    fn losses(&self, model: Model) -> Vec<f64> {
        let first = self.days.len().saturating_sub(TRIED).max(LEAST_OWN);
        self.days.iter().skip(first).map(|day| self.loss(model, *day)).collect()
    }

    fn loss(&self, model: Model, day: i64) -> f64 {
        let Some(all) = self.all_times(model.half_life, day) else { return 0.0 };
        let step = |step: i64| {
            let moment = Moment { day, step };
            let foretold = self.foretell(model, moment, day).unwrap_or(all);
            let one = |seen: &Seen| {
                let off = |foretold: f64| (seen.downtime_s / foretold).ln();
                pinball(off(foretold.downtime_s), 0.5) + pinball(off(foretold.downtime_p90_s), 0.9)
            };
            self.seen(i64::MAX, day, step).map(|seen| seen.weight * one(seen)).sum::<f64>()
        };
        let known = |step: &i64| self.seen(i64::MAX, day, *step).next().is_some();
        let known: Vec<_> = (0..STEPS).filter(known).collect();
        // Each day others: a model that is good at one end of a quiet hour only is none.
        let first = day.rem_euclid(TRIED_STEPS as i64) as usize;
        let tried = known.iter().skip(first.min(known.len().saturating_sub(1)));
        tried.step_by(TRIED_STEPS).map(|at| step(*at)).sum()
    }
}

/// What it costs to have foretold the quantile `q` when the truth was `off` above it.
fn pinball(off: f64, q: f64) -> f64 {
    if off > 0.0 { q * off } else { (q - 1.0) * off }
}

/// By value.
pub(super) fn sort(values: &mut [(f64, f64)]) {
    values.sort_unstable_by(|a, b| a.0.total_cmp(&b.0));
}

/// Of sorted values with their weights the least with a share `q` of the weight at or below it;
/// `None` without values.
pub(super) fn quantile(values: &[(f64, f64)], q: f64) -> Option<f64> {
    let whole: f64 = values.iter().map(|(_, weight)| weight).sum();
    let mut below = 0.0;
    let reached = values.iter().find(|(_, weight)| {
        below += weight;
        below >= q * whole
    });
    reached.or(values.last()).map(|(value, _)| *value)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Samples every ten minutes from a Monday, of a cost by (weekday, hour).
    fn seen(days: i64, cost: impl Fn(i64, i64) -> f64) -> Vec<Seen> {
        const MONDAY: i64 = 1_767_571_200;
        let at = |nth: i64| {
            let (day, hour) = (nth / 144, nth % 144 / 6);
            let noise = 1.0 + 0.1 * ((nth as f64 * 0.618).fract() - 0.5);
            let downtime_s = cost(day % 7, hour) * noise;
            let at_unix_s = MONDAY + 600 * nth;
            Seen { at_unix_s, downtime_s, total_s: 10.0 * downtime_s, weight: 1.0 }
        };
        (0..days * 144).map(at).collect()
    }

    fn learn(seen: &[Seen]) -> Profile {
        Profile::learn(seen, TimeZone::UTC).unwrap()
    }

    #[test]
    fn a_day_is_known_by_its_hours_and_a_week_by_its_days() {
        let day = seen(10, |_, hour| if hour < 6 { 0.1 } else { 1.0 });
        let profile = learn(&day);
        assert_eq!(profile.pattern(), Pattern::Daily);
        let next = day[0].at_unix_s + 10 * 86_400;
        let (night, noon) = (profile.at(next + 3 * 3600), profile.at(next + 12 * 3600));
        assert!(night.downtime_p90_s < 0.12 && noon.downtime_s > 0.9);

        let week = seen(28, |weekday, hour| if weekday < 5 && hour > 7 { 1.0 } else { 0.1 });
        assert_eq!(learn(&week).pattern(), Pattern::Workdays);
        let backup = seen(28, |weekday, hour| if weekday == 2 && hour == 3 { 5.0 } else { 0.1 });
        assert_ne!(learn(&backup).pattern(), Pattern::Daily);
    }

    #[test]
    fn a_time_that_moves_is_followed() {
        const MINUTES: i64 = 1440;
        // From midnight on, twelve minutes later every day, and quiet for three hours.
        let moving = |day: i64, minute: i64| (minute - 12 * day).rem_euclid(MINUTES) < 180;
        let seen: Vec<_> = seen(28, |_, _| 1.0)
            .iter()
            .enumerate()
            .map(|(nth, seen)| {
                let (day, minute) = (nth as i64 / 144, nth as i64 % 144 * 10);
                let downtime_s = if moving(day, minute) { 0.1 } else { seen.downtime_s };
                Seen { downtime_s, ..*seen }
            })
            .collect();
        let profile = learn(&seen);
        assert_eq!(profile.pattern(), Pattern::Drifting);
        assert!((1.0..=2.0).contains(&profile.drift()), "{}", profile.drift());
        let next = seen[0].at_unix_s + 28 * 86_400;
        // 28 · 12 min = 5:36 is where it begins.
        let at = |minute: i64| profile.at(next + 60 * minute).downtime_s;
        assert!(at(7 * 60) < 0.2 && at(60) > 0.8 && at(12 * 60) > 0.8);
    }

    #[test]
    fn what_is_always_the_same_has_no_pattern() {
        let profile = learn(&seen(14, |_, _| 0.5));
        assert_eq!(profile.pattern(), Pattern::None);
        let expected = profile.at(0);
        assert!((0.45..0.55).contains(&expected.downtime_s) && expected.days == 14);
    }

    #[test]
    fn two_days_are_too_few() {
        assert!(Profile::learn(&seen(2, |_, _| 1.0), TimeZone::UTC).is_none());
        assert!(Profile::learn(&[], TimeZone::UTC).is_none());
    }

    #[test]
    fn quantiles_go_by_weight() {
        let values = [(1.0, 8.0), (2.0, 1.0), (3.0, 1.0)];
        assert_eq!(quantile(&values, 0.5), Some(1.0));
        assert_eq!(quantile(&values, 0.9), Some(2.0));
        assert_eq!(quantile(&values, 1.0), Some(3.0));
        assert_eq!(quantile(&[], 0.5), None);
    }
}
