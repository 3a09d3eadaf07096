//! When to suspend, when to send once more, when to wait, when to give up.
//!
//! After each send the exact number of dirty pages is known. In this order:
//!
//! 1. If suspending now would keep the budget, do so; unless a round that is cheap beside what was
//!    sent already would make the downtime clearly shorter.
//! 2. If a round now would leave what keeps the budget, by how fast the guest dirties pages now,
//!    send it.
//! 3. If the guest is in a busy phase, wait for a calmer one, as far as that is allowed and has not
//!    been in vain before: what is sent now would be sent again.
//! 4. As long as rounds leave less than the best one before, send. Where pages can be held back
//!    ([`super::parts`]) these are small ones of the coldest pages, which leave less. If they no
//!    longer do and waits were in vain, this is tried once more without any.
//! 5. The budget cannot be kept: do what [`OnMiss`] says.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::growth::{Growth, TICK};
use super::parts;
use super::rate::Rate;
use super::{Known, OnMiss, Steering};
use crate::model::{Decision, Load, PrecopyPolicy, PrecopyStats};
use crate::policy::Budget;
use crate::units::BytesPerSecond;

/// A round that leaves less than this share of the least left before is progress.
const PROGRESS: f64 = 0.9;
/// Rounds without progress after which more of them will not help.
const PATIENCE: u32 = 2;
/// Rounds that all together cost less than this share of the bytes sent are cheap ...
const CHEAP: f64 = 0.05;
/// ... and worth it if it makes the downtime shorter than this share of what it would be now.
const CLEARLY: f64 = 0.97;
/// Rounds after which the search ends: none of the loads it was tried on needs half of them.
const MOST_ROUNDS: u32 = 40;
/// Growth that leaves more than this many times the expected after a send means that pages were
/// being written that were dirty already, and no calm phase.
const DECEIVED: f64 = 2.0;
/// Waits that may be in vain.
const MOST_DECEIVED: u32 = 2;
/// Share of the save's time that may be waited before it is clear that nothing else helps, for a
/// guest of which it is not known whether it has calmer moments.
const FIRST_WAIT: f64 = 0.25;
/// A cap makes the guest this much slower at most, and at least, step by step.
const STEP: (f64, f64) = (0.3, 0.8);

/// Why the controller decided as it did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Why {
    /// A send has to come first.
    NothingSent,
    /// Suspending now keeps the budget.
    KeepsBudget,
    /// The budget is kept, and a cheap round makes the downtime shorter.
    Cheap,
    /// How fast the guest dirties pages now is being looked at.
    Looking,
    /// How fast the guest dirties pages is found out by a small round.
    Probing,
    /// Pages dirtied now are so few that the next round leaves what keeps the budget.
    Calm,
    /// The guest is busy; a calmer moment may come.
    Busy,
    /// Rounds leave less and less.
    Shrinks,
    /// The coldest pages go first, and less and less is left.
    Sifts,
    /// No round will leave less.
    CannotKeep,
    /// Total time or bytes would exceed their budget.
    OverTotal,
    /// The guest has less CPU time than before.
    Throttled,
}

/// Keeps a [`Budget`] for one save.
#[derive(Debug, Clone)]
pub struct Controller {
    budget: Budget,
    steering: Steering,
    pub(super) known: Known,
    rate: Rate,
    pub(super) growth: Growth,
    /// What the send in progress, or the last one, has.
    sending: Load,
    /// The last send that was taken in.
    taken: u32,
    sent_bytes: f64,
    /// Fewest pages that any send left.
    pub(super) least: f64,
    /// Sends since one left clearly less than all before.
    pub(super) stale: u32,
    /// Bytes of sends that only made better what was good already.
    polish_bytes: f64,
    /// Pages that became dirty per second since the log was cleaned.
    dirtying: f64,
    /// The guest was waited for before the send in progress: buffers on the way have run empty, and
    /// take up a part of it at once.
    rested: bool,
    /// When the log was last cleaned.
    cleaned: Duration,
    /// Since then the guest was waited for because it was busy: pages per second at the beginning.
    pub(super) busy: Option<f64>,
    /// What the last send was expected to leave, if the guest was calm.
    pub(super) hoped: Option<f64>,
    deceived: u32,
    pub(super) waited: Duration,
    wait_from: Option<Duration>,
    /// The send after which no pages were held back any more.
    whole_from: u32,
    cap: Option<u32>,
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
            rate: Rate::default(),
            growth: Growth::default(),
            sending: known.guest.everything(),
            taken: 0,
            sent_bytes: 0.0,
            least: f64::INFINITY,
            stale: 0,
            polish_bytes: 0.0,
            dirtying: 0.0,
            rested: false,
            cleaned: Duration::ZERO,
            busy: None,
            hoped: None,
            deceived: 0,
            waited: Duration::ZERO,
            wait_from: None,
            whole_from: 0,
            cap: None,
            why: Why::NothingSent,
        }
    }

    /// From here on no pages can be held back.
    pub const fn send_whole_rounds(&mut self) {
        self.known.holds_back = false;
    }

    /// Why the last decision was taken.
    #[must_use]
    pub const fn why(&self) -> Why {
        self.why
    }

    /// The bandwidth as far as it is known.
    #[must_use]
    pub fn bandwidth(&self) -> Option<BytesPerSecond> {
        self.rate.now(&self.known).map(|(rate, _)| rate)
    }

    /// Seconds of downtime to be expected if the guest were suspended with `pending` pages dirty;
    /// `None` before a bandwidth is known.
    #[must_use]
    pub fn expected_downtime_s(&self, pending: f64) -> Option<f64> {
        self.downtime(pending, false)
    }

    /// The same, upper quantile: on a link as slow as it was at its slowest, and with what nine of
    /// ten migrations take at most besides.
    #[must_use]
    pub fn downtime_s(&self, pending: f64) -> Option<f64> {
        self.downtime(pending, true)
    }

    fn downtime(&self, pending: f64, careful: bool) -> Option<f64> {
        let (known, costs) = (&self.known, &self.known.costs);
        let link = self.rate.link(known, careful)?;
        let last = Load::dirtied(pending + self.gained());
        let spread = if careful { known.finish_spread } else { Duration::ZERO };
        let finish = costs.finish + spread;
        Some(link.round_s(&last, known.guest.p2m_size) + finish.as_secs_f64())
    }

    /// Pages that the last set has beside those that are pending when the guest is asked to suspend.
    fn gained(&self) -> f64 {
        let (guest, costs) = (&self.known.guest, &self.known.costs);
        let request = self.dirtying * costs.suspend_request.as_secs_f64();
        request + costs.suspend_pages + guest.deferred.0 as f64
    }

    /// Seconds that sending `pages` takes while the guest runs.
    fn round_s(&self, pages: f64) -> Option<f64> {
        let link = self.rate.link(&self.known, false)?;
        Some(link.round_s(&Load::dirtied(pages), self.known.guest.p2m_size))
    }

    fn bytes(&self, pages: f64) -> f64 {
        crate::model::Format::XEN.bytes(&Load::dirtied(pages)).0
    }

    pub(super) fn keeps_downtime(&self, pending: f64) -> bool {
        let limit = self.budget.downtime.map_or(f64::INFINITY, |limit| limit.as_secs_f64());
        self.downtime_s(pending).is_some_and(|s| s <= limit)
    }

    /// Whether total time and bytes keep their budget if `more` pages are sent live and then the
    /// guest is suspended with `pending`.
    fn keeps_the_rest(&self, elapsed: Duration, more: f64, pending: f64) -> bool {
        let time = self.budget.total.is_none_or(|total| {
            let costs = &self.known.costs;
            let live = if more > 0.0 { self.round_s(more).unwrap_or(0.0) } else { 0.0 };
            let down = self.downtime_s(pending).unwrap_or(0.0);
            let left = costs.start + costs.suspend_request + elapsed;
            left.as_secs_f64() + live + down <= total.as_secs_f64()
        });
        let bytes = self.budget.bytes.is_none_or(|limit| {
            self.sent_bytes + self.bytes(more) + self.bytes(pending + self.gained())
                <= limit.0 as f64
        });
        time && bytes
    }

    /// What a send showed.
    fn take_in(&mut self, stats: &PrecopyStats) {
        self.taken = stats.iteration;
        let load = self.sending;
        self.sent_bytes += self.bytes(load.pages) + 8.0 * load.holes;
        if !self.rested {
            self.rate.sent(&self.known, &load, stats.last_send.as_secs_f64());
        }
        if let Some(hoped) = self.hoped.take() {
            let wrong = stats.pending > DECEIVED * hoped && !self.keeps_downtime(stats.pending);
            self.deceived += u32::from(wrong);
        }
        let progress = if self.known.holds_back { parts::PROGRESS } else { PROGRESS };
        if stats.pending < progress * self.least {
            (self.stale, self.least) = (0, stats.pending);
        } else if self.why != Why::Probing {
            self.stale += 1;
        }
        self.growth.reset();
    }

    /// Pages a round would leave that sends `pending` now, if they go on growing like this. W bends
    /// down, so it is more where many are dirty already.
    pub(super) fn left(&self, pending: f64, growth: f64) -> Option<f64> {
        Some((growth * self.round_s(pending)?).min(pending))
    }

    fn after_send(&mut self, stats: &PrecopyStats) -> (Why, Decision) {
        let pending = stats.pending;
        if self.keeps_downtime(pending) && self.keeps_the_rest(stats.elapsed, 0.0, pending) {
            return if self.is_worth_a_round(stats) {
                self.polish_bytes += self.bytes(pending);
                (Why::Cheap, Decision::Continue)
            } else {
                (Why::KeepsBudget, Decision::StopAndCopy)
            };
        }
        if !self.keeps_the_rest(stats.elapsed, pending, 0.0) {
            return self.miss(Why::OverTotal, stats);
        }
        let next = if self.known.holds_back { self.parts(stats) } else { self.rounds(stats) };
        next.unwrap_or_else(|| self.miss(Why::CannotKeep, stats))
    }

    /// The next step where every round sends all that is dirty; `None` when no round will help.
    fn rounds(&mut self, stats: &PrecopyStats) -> Option<(Why, Decision)> {
        let pending = stats.pending;
        let Some(growth) = self.growth.lately() else {
            return Some((Why::Looking, Decision::Wait(TICK)));
        };
        let left = self.left(pending, growth).unwrap_or(0.0);
        let goes_on = stats.iteration - self.whole_from < MOST_ROUNDS;
        let hopeful = self.stale < 2 * PATIENCE && goes_on;
        if hopeful && !self.was_deceived_too_often() && self.keeps_downtime(left) {
            self.hoped = Some(left.max(1.0));
            return Some((Why::Calm, Decision::Continue));
        }
        let shrinks = self.stale < PATIENCE && goes_on;
        if self.may_wait(stats.elapsed, !shrinks) {
            return Some((Why::Busy, Decision::Wait(TICK)));
        }
        shrinks.then_some((Why::Shrinks, Decision::Continue))
    }

    /// The same from now on, where small rounds do too little.
    pub(super) fn whole_rounds(&mut self, stats: &PrecopyStats) -> Option<(Why, Decision)> {
        self.send_whole_rounds();
        self.whole_from = stats.iteration;
        (self.stale, self.least) = (0, f64::INFINITY);
        self.rounds(stats)
    }

    /// A round that costs next to nothing is sent although the budget is kept already.
    fn is_worth_a_round(&self, stats: &PrecopyStats) -> bool {
        let pending = stats.pending;
        let enough = self.polish_bytes + self.bytes(pending) > CHEAP * self.sent_bytes;
        // The last round left no less than an earlier one: neither will this one.
        if enough || self.stale > 0 {
            return false;
        }
        let growth = self.dirtying;
        let (Some(s), Some(now)) = (self.round_s(pending), self.expected_downtime_s(pending))
        else {
            return false;
        };
        // Over a longer time than it was seen, growth slows down: more than that is a guess.
        let shorter = s < self.since_clean(stats);
        let then = self.expected_downtime_s((growth * s).min(pending));
        shorter
            && then.is_some_and(|then| then < CLEARLY * now)
            && self.keeps_the_rest(stats.elapsed, pending, pending)
    }

    /// Growth looked small too often where pages were written that were dirty already.
    pub(super) fn was_deceived_too_often(&self) -> bool {
        self.deceived >= MOST_DECEIVED
    }

    /// Seconds since the log was last cleaned.
    pub(super) fn since_clean(&self, stats: &PrecopyStats) -> f64 {
        stats.elapsed.saturating_sub(self.cleaned).as_secs_f64().max(1e-9)
    }

    /// Whether a busy guest may be waited for, if nothing else helps (`last`) or before that.
    pub(super) fn may_wait(&self, elapsed: Duration, last: bool) -> bool {
        let waiting = self.wait_from.map_or(Duration::ZERO, |from| elapsed.saturating_sub(from));
        let waited = self.waited + waiting;
        let most = self.steering.max_wait;
        let limit = match self.known.steady {
            // A sample may have missed the calm moments, so they are waited for before giving up.
            // Elsewhere it would cost more than it promises: meanwhile the set grows again.
            Some(true) if !last || self.steering.on_miss != OnMiss::Abort => return false,
            None if !last => most.min(elapsed.mul_f64(FIRST_WAIT)),
            Some(_) | None => most,
        };
        !self.was_deceived_too_often() && waited < limit
    }

    fn miss(&mut self, why: Why, stats: &PrecopyStats) -> (Why, Decision) {
        match self.steering.on_miss {
            // CPU time cannot help where total time or bytes run out.
            OnMiss::Throttle if why == Why::OverTotal => (why, Decision::Abort),
            OnMiss::Throttle => match self.next_cap(stats) {
                Some(cap) => {
                    self.cap = Some(cap);
                    // A slower guest is another one: what was learnt of it no longer holds.
                    (self.least, self.stale, self.deceived) = (f64::INFINITY, 0, 0);
                    self.growth.reset();
                    (Why::Throttled, Decision::Throttle(cap))
                }
                None => (why, Decision::Abort),
            },
            OnMiss::Abort => (why, Decision::Abort),
            OnMiss::Stop if stats.pending * PROGRESS <= self.least => (why, Decision::StopAndCopy),
            OnMiss::Stop if stats.iteration < MOST_ROUNDS && self.stale < 2 * PATIENCE => {
                (Why::Shrinks, Decision::Continue)
            }
            OnMiss::Stop => (why, Decision::StopAndCopy),
        }
    }

    /// The next cap, in proportion to how much too fast the guest dirties pages; `None` when the
    /// floor is reached.
    fn next_cap(&self, stats: &PrecopyStats) -> Option<u32> {
        let now = self.cap.unwrap_or(self.known.cpu_percent);
        let left = self.growth.lately().and_then(|growth| self.left(stats.pending, growth));
        let kept = self.most_kept().unwrap_or(0.0);
        let share = (kept / left.unwrap_or(f64::INFINITY)).clamp(STEP.0, STEP.1);
        let cap = ((f64::from(now) * share) as u32).max(self.steering.cap_floor.max(1));
        (cap < now).then_some(cap)
    }

    /// Most pending pages that keep the downtime; `None` without bandwidth or limit.
    pub(super) fn most_kept(&self) -> Option<f64> {
        let limit = self.budget.downtime?.as_secs_f64();
        let (none, thousand) = (self.downtime_s(0.0)?, self.downtime_s(1000.0)?);
        Some(((limit - none) / (thousand - none) * 1000.0).max(0.0))
    }
}

impl PrecopyPolicy for Controller {
    fn decide(&mut self, stats: &PrecopyStats) -> Decision {
        if let Some(dirty) = stats.dirty_count {
            if stats.iteration > 0 {
                self.sending = Load::dirtied(dirty);
            }
            self.cleaned = stats.elapsed;
            self.busy = None;
            self.rested = self.wait_from.is_some();
            if let Some(from) = self.wait_from.take() {
                self.waited += stats.elapsed.saturating_sub(from);
            }
            return Decision::Continue;
        }
        if self.taken != stats.iteration {
            self.take_in(stats);
        }
        self.dirtying = stats.fresh / self.since_clean(stats);
        self.growth.see(stats.elapsed, stats.fresh);
        let (why, decision) = self.after_send(stats);
        self.why = why;
        if why == Why::Busy {
            self.wait_from.get_or_insert(stats.elapsed);
        }
        decision
    }
}
