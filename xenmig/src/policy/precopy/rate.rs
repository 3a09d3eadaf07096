//! What the link carries, as the save itself shows it.

use super::Known;
use crate::model::{Format, Link, Load};
use crate::units::BytesPerSecond;

/// Fewest pages of a send that says something about bandwidth: smaller ones fit into the buffers
/// on the way, and their fixed costs weigh more than their bytes. One batch.
const TELLING: f64 = Format::XEN.batch as f64;
/// Seconds from which on a smaller one says something nevertheless: the link is slow.
const LONG: f64 = 0.2;
/// Sends whose bandwidths are averaged.
const NEWEST: usize = 3;
/// Relative spread of a bandwidth that one send showed, and the least that any number of them show:
/// between sends of the same save in the lab it is 2 to 4 %.
const SPREAD: f64 = 0.04;

/// Bandwidth, learnt send by send.
#[derive(Debug, Clone, Default)]
pub(super) struct Rate {
    /// By the first send, in bytes per second.
    first: Option<f64>,
    /// (bytes, bytes per second) of later sends, newest last.
    later: Vec<(f64, f64)>,
}

impl Rate {
    /// Takes in a send of `load` that took `s` seconds.
    pub(super) fn sent(&mut self, known: &Known, load: &Load, s: f64) {
        let costs = &known.costs;
        let fixed =
            costs.per_round.as_secs_f64() + costs.per_p2m_page * known.guest.p2m_size.0 as f64;
        let (bytes, _) = Format::XEN.bytes(load);
        let rate = bytes / (s - fixed - costs.per_hole * load.holes);
        let telling = load.pages >= TELLING || s >= LONG;
        if !rate.is_finite() || rate <= 0.0 || !telling {
            return;
        }
        if load.holes > 0.0 {
            self.first = Some(rate);
        } else {
            self.later.push((bytes, rate));
        }
    }

    /// The bandwidth, and by what share it may be less. Later sends have no holes, whose cost may
    /// be unknown, so they win over the first; and that wins over earlier migrations where the cost
    /// of its holes is known, or there were none.
    pub(super) fn now(&self, known: &Known) -> Option<(BytesPerSecond, f64)> {
        let newest = &self.later[self.later.len().saturating_sub(NEWEST)..];
        let bytes: f64 = newest.iter().map(|(bytes, _)| bytes).sum();
        if bytes > 0.0 {
            let mean = newest.iter().map(|(bytes, rate)| bytes * rate).sum::<f64>() / bytes;
            let least = newest.iter().map(|(_, rate)| *rate).fold(mean, f64::min);
            return BytesPerSecond::new(mean).map(|rate| (rate, SPREAD.max(1.0 - least / mean)));
        }
        let first = self.first.and_then(BytesPerSecond::new);
        let trusted = known.costs.per_hole > 0.0;
        let rate = if trusted { first.or(known.bandwidth) } else { known.bandwidth.or(first) };
        rate.map(|rate| (rate, 2.0 * SPREAD))
    }

    /// The link as far as it is known, at its likely speed or (`careful`) at the least to be
    /// expected.
    pub(super) fn link(&self, known: &Known, careful: bool) -> Option<Link> {
        let (rate, spread) = self.now(known)?;
        let rate = rate.get() * if careful { 1.0 - spread } else { 1.0 };
        let bandwidth = BytesPerSecond::new(rate)?;
        Some(Link { bandwidth, format: Format::XEN, costs: known.costs })
    }
}
