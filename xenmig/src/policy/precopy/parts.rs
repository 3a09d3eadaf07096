//! Rounds of a part of the dirty pages, coldest first, where the driver can hold the others back.
//!
//! A whole round sends every dirty page, hot ones too, and while it is under way the guest dirties
//! them again: it ends at the fixed point of n = W(n / R), with R in pages per second. A small round
//! of pages that were not written to lately makes nearly as many pages clean as it sends. If a guest
//! writes λ pages per second, evenly over N pages, of which d are dirty, then λ·(1 − d/N) of them get
//! dirty per second, while R get clean: d falls to N·(1 − R/λ), or to what a single small round
//! leaves where the guest is slower than the link. Besides, the log is cleaned in every round, so W
//! is known for a time as short as that: a saturated hot set is not taken for a calm guest.

use std::time::Duration;

use super::controller::{Controller, Why};
use super::growth::TICK;
use crate::model::{Decision, Format, Load, PrecopyStats};

/// How long a small round lasts: short beside what dirties a hot set again, long beside the fixed
/// cost of a round.
const CHUNK: Duration = Duration::from_millis(300);
/// Fewest pages of a small round: fewer cost more in fixed costs than in bytes.
const SMALLEST: f64 = 256.0;
/// A small round that leaves less than this share of the least left before is progress.
pub(super) const PROGRESS: f64 = 0.985;
/// Small rounds without progress after which more of them will not help.
const PATIENCE: u32 = 6;
/// Small rounds after which the search ends.
const MOST: u32 = 400;
/// A set that takes so many small rounds is large: what one of them clears is too little of it to
/// tell whether they help. Whole rounds leave less and less of it if the guest is slower than the
/// link.
const LARGE: f64 = 20.0;
/// A whole round is better than small ones if it leaves less than this share of what it sends.
const CONVERGES: f64 = 0.5;
/// The guest is busy if it dirties more than this share of what the link carries ...
const BUSY: f64 = 0.5;
/// ... and calmer once it dirties less than this share of what it did when the wait for it began: one
/// that is always about as busy as that has no calmer moments.
const CALMER: f64 = 0.5;

impl Controller {
    /// The next step; `None` when no round will help.
    pub(super) fn parts(&mut self, stats: &PrecopyStats) -> Option<(Why, Decision)> {
        let pending = stats.pending;
        let carried = self.carried(CHUNK)?;
        let chunk = self.chunk(pending, carried);
        let part = Decision::Part(chunk as u64);
        let since = self.since_clean(stats);
        // While waiting, what became dirty lately; before, all since the log was cleaned.
        let growth = self.growth.lately().unwrap_or(stats.fresh / since);
        let busy = growth * CHUNK.as_secs_f64() > BUSY * carried;
        let outrun = self.busy.unwrap_or(growth).max(growth) * CHUNK.as_secs_f64() > carried;
        let many = stats.iteration >= MOST;
        let too_little = self.stale >= PATIENCE && pending > LARGE * carried;
        if (many || too_little) && !outrun {
            return self.whole_rounds(stats);
        }
        if many {
            return None;
        }
        // Little growth may mean a calm guest, or one all of whose hot pages are dirty already.
        let long_ago = since > 3.0 * CHUNK.as_secs_f64() && self.growth.looked().is_zero();
        let subsided = self.busy.is_some_and(|growing| !busy && growth < CALMER * growing);
        if (long_ago || subsided) && self.why() != Why::Probing {
            // Where calm is awaited nothing is sent that will be dirty again; elsewhere a probe may as
            // well be a small round, and what fits into two of those goes at once.
            let awaits = subsided || self.known.steady == Some(false);
            let probe = match () {
                () if awaits => Decision::Part(SMALLEST.min(chunk) as u64),
                () if pending < 2.0 * carried => Decision::Continue,
                () => part,
            };
            return Some((Why::Probing, probe));
        }
        if !busy && !self.waited.is_zero() && self.why() == Why::Probing {
            // It was worth it: that no round left less before says nothing any more.
            (self.stale, self.least) = (0, f64::INFINITY);
        }
        let left = self.left(pending, growth)?;
        let hopeful = self.stale < PATIENCE && !self.was_deceived_too_often();
        if hopeful && self.keeps_downtime(left) {
            self.hoped = Some(left.max(1.0));
            return Some((Why::Calm, Decision::Continue));
        }
        let last = self.stale >= PATIENCE;
        if (busy || self.busy.is_some()) && self.may_wait(stats.elapsed, last) {
            self.busy.get_or_insert(growth);
            return Some((Why::Busy, Decision::Wait(TICK)));
        }
        if last {
            if outrun || self.known.steady == Some(true) || self.waited.is_zero() {
                return None;
            }
            // No calmer moment came, and during the waits the set grew: what rounds leave without
            // them is not known yet. Where the guest outruns the link they would leave it all.
            self.known.steady = Some(true);
            (self.stale, self.least) = (0, f64::INFINITY);
        }
        if left < CONVERGES * pending {
            return Some((Why::Shrinks, Decision::Continue));
        }
        Some((Why::Sifts, part))
    }

    /// Pages that the link carries in `time`.
    fn carried(&self, time: Duration) -> Option<f64> {
        let (page, _) = Format::XEN.bytes(&Load::dirtied(1.0));
        Some(self.bandwidth()?.get() * time.as_secs_f64() / page)
    }

    /// Pages of a small round, at most what is `carried` in its time. Near the goal it is as small as
    /// that: what is dirtied during the last one has to fit the budget too.
    fn chunk(&self, pending: f64, carried: f64) -> f64 {
        let near = pending < 2.0 * carried;
        let goal = self.most_kept().filter(|_| near).unwrap_or(carried);
        goal.clamp(SMALLEST.min(carried), carried)
    }
}
