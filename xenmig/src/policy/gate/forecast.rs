//! Rules about what the migration would cost, held against the budget.
//!
//! A limit is judged by three quantiles of the prediction, which come from the spread among the
//! sampled windows. The 10 % quantile is what the calmest windows promise: if even that is above
//! the limit, no calmer moment is in sight, and the answer is no. If it is below and the 90 %
//! quantile above, the moment decides: wait. If the 90 % quantile is below, the limit is kept.

use std::time::Duration;

use serde_json::{Value, json};

use super::reason::Fired;
use super::{Facts, Severity};
use crate::dirty::Sample;
use crate::model::{Format, Guest, Quantiles};
use crate::units::{Bytes, show_duration};

pub(super) fn bandwidth_unknown(facts: &Facts<'_>) -> Option<Fired> {
    facts.bandwidth.is_none().then(|| {
        Fired::wait("the link's bandwidth is unknown, so nothing is predicted")
            .evidence(json!({ "bandwidth_bytes_per_s": null }))
            .advice("give `--bandwidth 10Gbit/s`, or `link.bandwidth` in the configuration")
    })
}

pub(super) fn no_prediction(facts: &Facts<'_>) -> Option<Fired> {
    let sample = facts.sample()?;
    // An unknown bandwidth has a rule of its own.
    (facts.bandwidth.is_some() && facts.prediction.is_none()).then(|| {
        Fired::wait("the sample is too short to predict anything")
            .evidence(json!({ "complete_windows": complete(sample) }))
            .advice("check again, with a longer window if need be")
    })
}

/// Windows that reached their planned end.
fn complete(sample: &Sample) -> usize {
    sample.complete().count()
}

pub(super) fn uncertain(facts: &Facts<'_>) -> Option<Fired> {
    let (prediction, windows) = (facts.prediction?, complete(facts.sample()?));
    let (horizon, sampled) = (prediction.horizon, prediction.sampled);
    let wanted = facts.thresholds.min_windows;
    let too_few = windows < wanted as usize;
    let factor = facts.thresholds.max_extrapolation;
    let too_short = horizon.as_secs_f64() > factor * sampled.as_secs_f64();
    if !too_few && !too_short {
        return None;
    }
    let message = if too_short {
        format!(
            "the prediction is uncertain: a round may last {}, the longest window {}",
            show_duration(horizon),
            show_duration(sampled)
        )
    } else {
        format!("the prediction is uncertain: {windows} complete windows show no spread")
    };
    let severity = if kept_with_ease(facts) { Severity::Info } else { Severity::Wait };
    let fired = Fired::new(severity, message)
        .evidence(json!({
            "horizon_s": horizon.as_secs_f64(),
            "sampled_s": sampled.as_secs_f64(),
            "complete_windows": windows,
            "max_extrapolation": factor,
            "min_windows": wanted,
        }))
        .advice("sample longer or more windows, or use a faster link");
    Some(fired)
}

pub(super) fn fixed_costs_unknown(facts: &Facts<'_>) -> Option<Fired> {
    let downtime = facts.prediction?.expected.downtime_s;
    facts.costs.is_none().then(|| {
        Fired::info("downtime is predicted without what devices and resumption cost on these hosts")
            .evidence(json!({ "predicted_downtime_s": downtime }))
            .advice(
                "migrations made with xenmig teach it, or set `costs.finish` in the configuration",
            )
    })
}

/// Whether the upper quantiles stay within the configured share of all limits. A save that is
/// suspended only where it keeps the downtime uses up what it has of that.
fn kept_with_ease(facts: &Facts<'_>) -> bool {
    let downtime = downtime(facts).filter(|_| !facts.downtime_enforced);
    let limits = [total(facts), downtime, bytes(facts)];
    limits.iter().flatten().all(|limit| limit.quantiles.p90 <= facts.thresholds.ease * limit.most)
}

/// Bytes that go over the link even if the guest dirties nothing.
fn least_bytes(facts: &Facts<'_>) -> f64 {
    let (pages, holes) = Format::XEN.bytes(&Guest::from(facts.domain).everything());
    pages + holes
}

/// Seconds those bytes take; `None` when the bandwidth is unknown.
fn least_total_s(facts: &Facts<'_>) -> Option<f64> {
    Some(least_bytes(facts) / facts.bandwidth?.get())
}

pub(super) fn too_large(facts: &Facts<'_>) -> Option<Fired> {
    let budget = facts.budget;
    let memory = facts.domain.memory.bytes();
    let (least_s, least) = (least_total_s(facts), least_bytes(facts));
    let late = least_s.zip(budget.total).filter(|(s, limit)| *s > limit.as_secs_f64());
    let much = budget.bytes.filter(|limit| least > limit.0 as f64);
    let what = match (late, much) {
        (Some((s, limit)), _) => {
            format!("takes {}, and the budget allows {} in all", show_s(s), show_duration(limit))
        }
        (None, Some(limit)) => {
            format!("takes {} on the link, and the budget allows {limit}", show_bytes(least))
        }
        (None, None) => return None,
    };
    let fired = Fired::block(format!("sending its {memory} once {what}"))
        .evidence(json!({
            "memory_bytes": memory,
            "least_bytes": least,
            "least_total_s": least_s,
            "budget_total_s": budget.total.map(|limit| limit.as_secs_f64()),
            "budget_bytes": budget.bytes,
        }))
        .advice(
            "no calmer moment helps: raise the budget, use a faster link, or balloon the guest \
             down",
        );
    Some(fired)
}

pub(super) fn grows_with_memory(facts: &Facts<'_>) -> Option<Fired> {
    let downtime = facts.prediction?.expected.downtime_s;
    let scan = facts.costs?.per_p2m_page * facts.domain.p2m_size.0 as f64;
    let limit = facts.thresholds.size_in_downtime;
    (scan > 0.0 && scan >= limit * downtime).then(|| {
        let message = format!(
            "its size alone takes {} of {} of downtime: the dirty bitmap is looked through once more",
            show_s(scan),
            show_s(downtime),
        );
        Fired::info(message)
            .evidence(json!({
                "bitmap_s": scan,
                "downtime_s": downtime,
                "p2m_pages": facts.domain.p2m_size,
                "threshold": limit,
            }))
            .advice("no calmer moment makes that shorter; a guest with less memory would")
    })
}

/// One limit of the budget beside what is predicted.
struct Limited<'a> {
    what: &'static str,
    unit: &'static str,
    expected: f64,
    quantiles: &'a Quantiles,
    most: f64,
    show: fn(f64) -> String,
}

/// Total time; nothing for a guest that could not keep it anyway, which has a rule of its own.
fn total<'a>(facts: &Facts<'a>) -> Option<Limited<'a>> {
    let (prediction, most) = (facts.prediction?, facts.budget.total?.as_secs_f64());
    least_total_s(facts).is_none_or(|least| least <= most).then_some(Limited {
        what: "total time",
        unit: "s",
        expected: prediction.expected.total_s,
        quantiles: &prediction.total_s,
        most,
        show: show_s,
    })
}

/// Downtime.
fn downtime<'a>(facts: &Facts<'a>) -> Option<Limited<'a>> {
    let (prediction, most) = (facts.prediction?, facts.budget.downtime?.as_secs_f64());
    Some(Limited {
        what: "downtime",
        unit: "s",
        expected: prediction.expected.downtime_s,
        quantiles: &prediction.downtime_s,
        most,
        show: show_s,
    })
}

/// Bytes on the link; as [`total`].
fn bytes<'a>(facts: &Facts<'a>) -> Option<Limited<'a>> {
    let (prediction, most) = (facts.prediction?, facts.budget.bytes?.0 as f64);
    (least_bytes(facts) <= most).then_some(Limited {
        what: "traffic",
        unit: "bytes",
        expected: prediction.expected.bytes,
        quantiles: &prediction.bytes,
        most,
        show: show_bytes,
    })
}

/// What is shown of a quantile of guests that were not moved at all.
const NOT_MOVED: &str = "never";

fn show_s(seconds: f64) -> String {
    Duration::try_from_secs_f64(seconds).map_or_else(|_| NOT_MOVED.to_owned(), show_duration)
}

fn show_bytes(bytes: f64) -> String {
    if bytes.is_finite() { Bytes(bytes as u64).to_string() } else { NOT_MOVED.to_owned() }
}

impl Limited<'_> {
    fn evidence(&self) -> Value {
        let Self { unit, quantiles, .. } = self;
        json!({
            format!("expected_{unit}"): self.expected,
            format!("p10_{unit}"): quantiles.p10,
            format!("p50_{unit}"): quantiles.p50,
            format!("p90_{unit}"): quantiles.p90,
            format!("budget_{unit}"): self.most,
        })
    }

    /// Fires when even the lower quantile is above the limit.
    fn over(&self) -> Option<Fired> {
        (self.quantiles.p10 > self.most).then(|| {
            let message = format!(
                "{} is above the budget at any moment sampled: {} expected, {} at best, {} \
                 allowed",
                self.what,
                (self.show)(self.expected),
                (self.show)(self.quantiles.p10),
                (self.show)(self.most)
            );
            Fired::block(message).evidence(self.evidence()).advice(
                "raise the budget, use a faster link, or migrate when the guest modifies fewer \
                 pages",
            )
        })
    }

    /// Fires when the limit is between the lower and the upper quantile.
    fn at_risk(&self) -> Option<Fired> {
        (self.quantiles.p10 <= self.most && self.most < self.quantiles.p90).then(|| {
            let message = format!(
                "{} may exceed the budget: {} expected, {} in a calm moment, {} in a bad one, {} \
                 allowed",
                self.what,
                (self.show)(self.expected),
                (self.show)(self.quantiles.p10),
                (self.show)(self.quantiles.p90),
                (self.show)(self.most)
            );
            Fired::wait(message)
                .evidence(self.evidence())
                .advice("check again soon, or sample more windows to know better")
        })
    }
}

pub(super) fn total_over(facts: &Facts<'_>) -> Option<Fired> {
    total(facts)?.over()
}

pub(super) fn total_at_risk(facts: &Facts<'_>) -> Option<Fired> {
    total(facts)?.at_risk()
}

pub(super) fn downtime_over(facts: &Facts<'_>) -> Option<Fired> {
    downtime(facts)?.over()
}

pub(super) fn downtime_at_risk(facts: &Facts<'_>) -> Option<Fired> {
    downtime(facts)?.at_risk()
}

pub(super) fn bytes_over(facts: &Facts<'_>) -> Option<Fired> {
    bytes(facts)?.over()
}

pub(super) fn bytes_at_risk(facts: &Facts<'_>) -> Option<Fired> {
    bytes(facts)?.at_risk()
}

pub(super) fn does_not_converge(facts: &Facts<'_>) -> Option<Fired> {
    let rounds = &facts.prediction?.expected.rounds;
    // The first round sends everything, so a second and a third are needed to compare.
    let [_, .., before, last] = &rounds[..] else {
        return None;
    };
    // What fits into one batch goes out at once, and any guest's kernel dirties that much again.
    if rounds.len() < 3 || last.pages <= Format::XEN.batch as f64 {
        return None;
    }
    (last.pages >= facts.thresholds.convergence * before.pages).then(|| {
        let message = format!(
            "rounds do not get smaller: {:.0} pages in the last but one, {:.0} in the last",
            before.pages, last.pages
        );
        Fired::info(message)
            .evidence(json!({
                "pages": rounds.iter().map(|round| round.pages).collect::<Vec<_>>(),
                "threshold": facts.thresholds.convergence,
            }))
            .advice("downtime is what the workload makes it; more rounds would not help")
    })
}

pub(super) fn resends_much(facts: &Facts<'_>) -> Option<Fired> {
    let rounds = &facts.prediction?.expected.rounds;
    let again: f64 = rounds.iter().skip(1).map(|round| round.pages).sum();
    let share = again / (facts.domain.memory.0 as f64).max(1.0);
    (share >= facts.thresholds.resent).then(|| {
        let message =
            format!("page modifications make it send {:.0} % of its memory again", share * 100.0);
        Fired::info(message)
            .evidence(json!({ "resent_pages": again, "share": share }))
            .advice("migrate when the guest modifies fewer pages")
    })
}
