//! When to suspend, when to send once more, when to wait, when to give up.

use serde::{Deserialize, Serialize};

use super::{Known, OnMiss, Steering};
use crate::model::{Decision, Format, Link, Load, PrecopyPolicy, PrecopyStats};
use crate::policy::Budget;
use crate::units::BytesPerSecond;

/// Why the controller decided as it did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Why {
    /// A send has to come first.
    NothingSent,
    /// Suspending now keeps the budget.
    KeepsBudget,
    /// Another round leaves less.
    Shrinks,
    /// No round will leave less.
    CannotKeep,
}

/// Keeps a [`Budget`] for one save.
#[derive(Debug, Clone)]
pub struct Controller {
    budget: Budget,
    steering: Steering,
    known: Known,
    bandwidth: Option<BytesPerSecond>,
    sending: f64,
    least: f64,
    why: Why,
}

impl Controller {
    /// A controller for a save that is about to begin.
    #[must_use]
    pub fn new(budget: Budget, steering: Steering, known: Known) -> Self {
        Self {
            budget,
            steering,
            known,
            bandwidth: known.bandwidth,
            sending: 0.0,
            least: f64::INFINITY,
            why: Why::NothingSent,
        }
    }

    /// Why the last decision was taken.
    #[must_use]
    pub const fn why(&self) -> Why {
        self.why
    }

    /// Seconds of downtime, upper quantile, if the guest were suspended with `pending` pages
    /// dirty; `None` before a bandwidth is known.
    #[must_use]
    pub fn downtime_s(&self, pending: f64) -> Option<f64> {
        let costs = self.known.costs;
        let link = Link { bandwidth: self.bandwidth?, format: Format::XEN, costs };
        let load = Load::dirtied(pending + costs.suspend_pages);
        let finish = costs.finish + self.known.finish_spread;
        Some(link.round_s(&load, self.known.guest.p2m_size) + finish.as_secs_f64())
    }
}

impl PrecopyPolicy for Controller {
    fn decide(&mut self, stats: &PrecopyStats) -> Decision {
        if let Some(dirty) = stats.dirty_count {
            self.sending = dirty;
            return Decision::Continue;
        }
        let pages =
            if stats.iteration <= 1 { self.known.guest.populated.0 as f64 } else { self.sending };
        let (bytes, _) = Format::XEN.bytes(&Load::dirtied(pages));
        self.bandwidth =
            BytesPerSecond::new(bytes / stats.last_send.as_secs_f64()).or(self.bandwidth);
        let limit = self.budget.downtime.map_or(f64::INFINITY, |limit| limit.as_secs_f64());
        let (why, decision) = if self.downtime_s(stats.pending).is_some_and(|s| s <= limit) {
            (Why::KeepsBudget, Decision::StopAndCopy)
        } else if stats.pending < 0.9 * self.least {
            (Why::Shrinks, Decision::Continue)
        } else {
            match self.steering.on_miss {
                OnMiss::Abort | OnMiss::Throttle => (Why::CannotKeep, Decision::Abort),
                OnMiss::Stop => (Why::CannotKeep, Decision::StopAndCopy),
            }
        };
        self.least = self.least.min(stats.pending);
        self.why = why;
        decision
    }
}
