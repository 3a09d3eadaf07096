//! Bandwidth and fixed costs from what earlier migrations took. Pure.
//!
//! Every send is one equation of the model ([`crate::model::Link::round_s`]):
//!
//! ```text
//! s = page_bytes / R + (holes · h + fixed) / share,    fixed = per_round + per_p2m_page · p2m_size
//! ```
//!
//! where `share` is how much of a CPU the sender could have,
//!
//! and the unknowns are found by medians, so that a few odd migrations change nothing:
//!
//! - R: the median of `page_bytes / (s − fixed)` over sends without holes, weighted by bytes, for
//!   a large send says most about bandwidth.
//! - fixed: per p2m size, the median of `s − page_bytes / R` over the same sends, weighted by 1/s,
//!   for a small send says most about what is not bandwidth. R and fixed are found in turn until
//!   they stay.
//! - Guests of different p2m size split fixed into its two parts (Theil–Sen: the weighted median
//!   of the slopes between all pairs). With only one size all of it is `per_round`.
//! - h: the median of what is left of the first sends, per hole. It becomes `per_hole` where it is
//!   more than the link needs for a hole's 8 bytes.
//! - start, suspend request: their medians.
//! - finish: the median of the downtimes less the last send as the model has it, weighted by 1 /
//!   downtime. So what sets the last send apart from others is in it.
//! - suspend pages: the median of what the final set had beyond what was dirty before, where that
//!   was counted; or beyond W, of which the record itself shows bounds; the closer they are, the
//!   more it weighs.
//!
//! A sender that is slower than the link looks like a slower link: `per_page` stays 0, and R is
//! what migrations really reach. Where no send without holes is as long as one batch (idle guests
//! only), R comes from the first sends as a whole, and h is not told from it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::outcome::{OutcomeRecord, SentRound};
use crate::model::{Costs, Format, Link, Load};
use crate::units::{BytesPerSecond, Pages};

/// Only the newest migrations count, so that a new network shows.
const NEWEST: usize = 50;
/// Turns of the search for R and fixed. Each halves the error or better.
const TURNS: usize = 60;

/// What earlier migrations showed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Calibration {
    /// The rate they reached.
    pub bandwidth: BytesPerSecond,
    /// What the hosts added.
    pub costs: Costs,
    /// How much longer than [`Costs::finish`] nine of ten of them took at most.
    pub finish_spread: Duration,
    /// How many migrations this rests on.
    pub from: usize,
}

/// A send of a guest of `p2m` pfns, by a sender that had `share` of a CPU.
struct Sent {
    share: f64,
    p2m: u64,
    pages: u64,
    /// Without those of the holes.
    bytes: f64,
    holes: f64,
    s: f64,
}

/// What each round costs besides its bytes, by p2m size: (seconds, weight).
type Fixed = BTreeMap<u64, (f64, f64)>;

/// Fits bandwidth and costs to the newest 50 of `records` (oldest first), or of those to `target`
/// if it is given. `None` when no send among them shows a bandwidth.
#[must_use]
pub fn calibrate(records: &[OutcomeRecord], target: Option<&str>) -> Option<Calibration> {
    let suits = |record: &&OutcomeRecord| target.is_none_or(|target| record.target == target);
    let used: Vec<_> = records.iter().rev().filter(suits).take(NEWEST).collect();
    let sends: Vec<_> = used.iter().flat_map(|record| sends(record)).collect();
    let (hole_free, first): (Vec<_>, Vec<_>) = sends.iter().partition(|send| send.holes == 0.0);
    let batch = Format::XEN.batch;
    let large: Vec<_> = hole_free.iter().filter(|send| send.pages >= batch).copied().collect();
    let told_apart = !large.is_empty();
    let hole_bytes = Format::XEN.pfn_header as f64;

    let mut fixed = Fixed::new();
    let mut rate = None;
    for _ in 0..TURNS {
        let rest =
            |send: &Sent| send.s - fixed.get(&send.p2m).map_or(0.0, |(s, _)| *s / send.share);
        let found = if told_apart {
            weighted_median(large.iter().map(|send| (send.bytes / rest(send), send.bytes)))
        } else {
            let bytes = |send: &Sent| send.bytes + send.holes * hole_bytes;
            weighted_median(first.iter().map(|send| (bytes(send) / rest(send), bytes(send))))
        };
        rate = found.and_then(BytesPerSecond::new);
        fixed = fixed_costs(&hole_free, rate?.get());
    }
    let bandwidth = rate?;
    let r = bandwidth.get();

    let (per_round, per_p2m_page) = split(&fixed);
    let per_hole = first.iter().filter(|_| told_apart).map(|send| {
        let fixed = per_round + per_p2m_page * send.p2m as f64;
        (((send.s - send.bytes / r) * send.share - fixed) / send.holes, send.holes)
    });
    let per_hole = weighted_median(per_hole).filter(|h| *h > hole_bytes / r).unwrap_or(0.0);
    let typical = |value: fn(&OutcomeRecord) -> f64| {
        time(weighted_median(used.iter().map(|record| (value(record), 1.0))))
    };
    let costs = Costs {
        start: typical(|record| record.start_s),
        per_round: time(Some(per_round)),
        per_p2m_page,
        per_page: 0.0,
        per_hole,
        suspend_request: typical(|record| record.suspend_request_s),
        suspend_pages: weighted_median(used.iter().filter_map(|record| suspend_pages(record)))
            .unwrap_or(0.0)
            .max(0.0),
        finish: Duration::ZERO,
    };
    let link = Link { bandwidth, format: Format::XEN, costs };
    let finish: Vec<_> = used.iter().map(|record| finish(record, &link)).collect();
    let costs = Costs { finish: time(weighted_median(finish.iter().copied())), ..costs };
    let finish_spread = spread(finish.iter().map(|(s, _)| *s).collect(), costs.finish);
    Some(Calibration { bandwidth, costs, finish_spread, from: used.len() })
}

/// All of the downtime but what the model says of the last send, with its weight: a small one says
/// most.
fn finish(record: &OutcomeRecord, link: &Link) -> (f64, f64) {
    let last = record.last.map_or(0.0, |last| {
        link.round_s(&Load::dirtied(last.pages as f64), Pages(record.p2m_pages))
    });
    ((record.downtime_s - last).max(0.0), 1.0 / record.downtime_s.max(1e-3))
}

/// From `typical` up to what nine of ten of some times stay below. One odd time among ten or fewer
/// is not that: it would forbid the migrations that could show it to be odd.
fn spread(mut times: Vec<f64>, typical: Duration) -> Duration {
    times.sort_by(f64::total_cmp);
    let nth = times.len().saturating_sub(1) * 9 / 10;
    let most = times.get(nth).copied().unwrap_or(0.0);
    time(Some(most - typical.as_secs_f64()))
}

/// Pages of the final set beyond what the workload dirtied meanwhile, with their weight; `None`
/// when the record says nothing of them. A steered save has counted them, and its rounds may be
/// parts, which say nothing of W.
fn suspend_pages(record: &OutcomeRecord) -> Option<(f64, f64)> {
    if let Some(counted) = record.suspend_pages {
        return Some((counted as f64, 1.0));
    }
    let (least, most) = dirtied(record)?;
    let last = record.last?.pages as f64;
    Some((last - (least + most) / 2.0, 1.0 / (1.0 + most - least)))
}

/// The least and the most that W can be for the stretch before the final set. Each round has what
/// was dirtied during the one before, so a record shows points of W, which rises and bends down:
/// it lies above the chord between two points, and below the chords beside that one, prolonged.
fn dirtied(record: &OutcomeRecord) -> Option<(f64, f64)> {
    if record.rounds.len() < 2 {
        return None;
    }
    let t = record.rounds.last()?.s + record.suspend_request_s;
    let mut shown: Vec<_> =
        record.rounds.windows(2).map(|pair| (pair[0].s, pair[1].pages as f64)).collect();
    shown.push((0.0, 0.0));
    shown.sort_by(|a, b| a.0.total_cmp(&b.0));
    let right = shown.partition_point(|(s, _)| *s < t);
    let chord = |a: usize| {
        let (a, b) = (shown.get(a)?, shown.get(a + 1)?);
        (b.0 > a.0).then(|| a.1 + (b.1 - a.1) / (b.0 - a.0) * (t - a.0))
    };
    let before = right.checked_sub(1).map_or(0.0, |left| shown[left].1);
    let Some((_, after)) = shown.get(right).copied() else {
        // Longer than any stretch that was seen.
        let most = right.checked_sub(2).and_then(chord).unwrap_or(before);
        return Some((before, most.max(before)));
    };
    let least = right.checked_sub(1).and_then(chord).unwrap_or(before);
    let beside = [right.checked_sub(2).and_then(chord), chord(right)];
    let most = beside.into_iter().flatten().fold(after, f64::min);
    Some((least, most.max(least)))
}

/// The sends of one migration that took any time.
fn sends(record: &OutcomeRecord) -> impl Iterator<Item = Sent> {
    let header = Format::XEN.pfn_header;
    let share = record.sender_share.filter(|share| *share > 0.0).unwrap_or(1.0);
    let one = move |round: &SentRound| Sent {
        share,
        p2m: record.p2m_pages,
        pages: round.pages,
        bytes: round.bytes.saturating_sub(round.holes * header) as f64,
        holes: round.holes as f64,
        s: round.s,
    };
    record.rounds.iter().chain(&record.last).filter(|round| round.s > 0.0).map(one)
}

/// What sends took beyond their bytes at `r` bytes a second.
fn fixed_costs(hole_free: &[&Sent], r: f64) -> Fixed {
    let sizes: BTreeSet<_> = hole_free.iter().map(|send| send.p2m).collect();
    let of = |p2m: u64| {
        let own = || hole_free.iter().filter(move |send| send.p2m == p2m);
        let rest = weighted_median(
            own().map(|send| ((send.s - send.bytes / r) * send.share, 1.0 / send.s)),
        )?;
        Some((p2m, (rest.max(0.0), own().map(|send| 1.0 / send.s).sum())))
    };
    sizes.into_iter().filter_map(of).collect()
}

/// Splits what each round costs into (per round, per pfn of the p2m).
fn split(fixed: &Fixed) -> (f64, f64) {
    let slopes = fixed.iter().enumerate().flat_map(|(i, (a, (s_a, w_a)))| {
        fixed.iter().skip(i + 1).map(move |(b, (s_b, w_b))| {
            let apart = (b - a) as f64;
            ((s_b - s_a) / apart, apart * w_a.min(*w_b))
        })
    });
    let per_pfn = weighted_median(slopes).unwrap_or(0.0).max(0.0);
    let rest = fixed.iter().map(|(p2m, (s, weight))| (s - per_pfn * *p2m as f64, *weight));
    (weighted_median(rest).unwrap_or(0.0).max(0.0), per_pfn)
}

/// The value with half of the weight on either side; `None` when there is none. Where two values
/// share the middle it is their mean.
fn weighted_median(values: impl Iterator<Item = (f64, f64)>) -> Option<f64> {
    let mut values: Vec<_> =
        values.filter(|(value, weight)| value.is_finite() && *weight > 0.0).collect();
    values.sort_by(|a, b| a.0.total_cmp(&b.0));
    let half = values.iter().map(|(_, weight)| weight).sum::<f64>() / 2.0;
    let mut below = 0.0;
    for (i, (value, weight)) in values.iter().enumerate() {
        below += weight;
        if below > half {
            return Some(*value);
        }
        if below == half {
            return Some(values.get(i + 1).map_or(*value, |next| (value + next.0) / 2.0));
        }
    }
    values.last().map(|(value, _)| *value)
}

fn time(seconds: Option<f64>) -> Duration {
    seconds.and_then(|s| Duration::try_from_secs_f64(s).ok()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_spread_is_from_the_typical_to_the_ninth_of_ten() {
        let of = |times: Vec<f64>, typical| spread(times, Duration::from_secs(typical)).as_secs();
        assert_eq!(of((1..=10).map(f64::from).collect(), 5), 4);
        assert_eq!(of((1..=10).map(f64::from).collect(), 2), 7);
        assert_eq!(of(vec![7.0], 7), 0);
        assert_eq!(of(vec![1.0, 1.0, 1.0, 2.0, 3.0, 20.0], 1), 2);
        assert_eq!(of(vec![1.0, 20.0], 2), 0);
        assert_eq!(of(Vec::new(), 0), 0);
    }

    #[test]
    fn the_median_goes_by_weight() {
        let of = |values: &[(f64, f64)]| weighted_median(values.iter().copied());
        assert_eq!(of(&[]), None);
        assert_eq!(of(&[(3.0, 1.0), (1.0, 1.0), (2.0, 1.0)]), Some(2.0));
        assert_eq!(of(&[(1.0, 1.0), (2.0, 1.0)]), Some(1.5));
        assert_eq!(of(&[(1.0, 1.0), (9.0, 3.0)]), Some(9.0));
        assert_eq!(of(&[(f64::INFINITY, 5.0), (4.0, 1.0)]), Some(4.0));
    }
}
