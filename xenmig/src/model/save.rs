//! The live part of Xen's `xc_domain_save` (tools/libs/guest/xg_sr_save.c: `send_memory_live`,
//! then `suspend_and_send_dirty`), over a dirty curve and steered by a policy.

use std::time::Duration;

use serde::Serialize;

use super::link::{Guest, Link, Load};
use crate::dirty::Curve;

/// What a policy is told, twice per round: as Xen's `precopy_stats`, and what a driver knows
/// besides.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PrecopyStats {
    /// Sends that are complete.
    pub iteration: u32,
    /// Pfns sent so far. Holes count, so this is no measure of bytes.
    pub total_written: f64,
    /// Before a send: pfns in it (the first has all below the p2m's size). `None` after a send,
    /// where Xen says −1.
    pub dirty_count: Option<f64>,
    /// Pages that are dirty at the target: the final set, if the guest were suspended now. Those
    /// dirtied since the log was last cleaned, and those held back.
    pub pending: f64,
    /// Pages dirtied since the log was last cleaned: what a PEEK would count now.
    pub fresh: f64,
    /// Since the start of the save.
    pub elapsed: Duration,
    /// How long the last send took; 0 before the first.
    pub last_send: Duration,
}

/// What a policy wants next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// Go on copying while the guest runs.
    Continue,
    /// Suspend the guest and send the rest. Said *before* a send, that send still takes place
    /// while the guest runs.
    StopAndCopy,
    /// Give up; the guest goes on at the source.
    Abort,
    /// Ask again after this time, with what is dirty then. Only after a send; before one it counts
    /// as [`Decision::Continue`].
    Wait(Duration),
    /// Copy at most so many of the pages that are dirty, those first that the guest has not written
    /// to lately, and hold the others back. Only after a send, and only where the driver can do it
    /// ([`Known::holds_back`](crate::policy::precopy::Known::holds_back)); elsewhere it counts as
    /// [`Decision::Continue`].
    Part(u64),
    /// Let the guest's vCPUs have at most so many per cent of a physical CPU together (credit2's
    /// cap), then ask again. Only after a send; before one it counts as [`Decision::Continue`].
    Throttle(u32),
}

impl Decision {
    /// As events have it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Continue => "continue",
            Self::Part(_) => "part",
            Self::StopAndCopy => "stop_and_copy",
            Self::Abort => "abort",
            Self::Wait(_) => "wait",
            Self::Throttle(_) => "throttle",
        }
    }
}

/// Decides when copying has to end. Xen calls it before and after every send; so do the model, the
/// simulator and the hook in the real save helper.
pub trait PrecopyPolicy {
    /// What to do next.
    fn decide(&mut self, stats: &PrecopyStats) -> Decision;
}

impl<F: FnMut(&PrecopyStats) -> Decision> PrecopyPolicy for F {
    fn decide(&mut self, stats: &PrecopyStats) -> Decision {
        self(stats)
    }
}

/// A guest that dirties pages.
pub trait Dirtying {
    /// Pages dirtied within `seconds` from a clean state; does not fall as they grow.
    fn dirtied(&self, seconds: f64) -> f64;

    /// `seconds` have passed since the log was cleaned before, and now it is again.
    fn cleaned(&mut self, seconds: f64);
}

/// How long the guest takes to dirty `pages`, at most `longest` seconds: the inverse of W.
fn age(dirtying: &impl Dirtying, pages: f64, longest: f64) -> f64 {
    /// Halvings: a nanosecond of an hour.
    const STEPS: u32 = 42;
    let (mut low, mut high) = (0.0, longest);
    for _ in 0..STEPS {
        let middle = (low + high) / 2.0;
        if dirtying.dirtied(middle) < pages { low = middle } else { high = middle }
    }
    high
}

impl Dirtying for &Curve {
    fn dirtied(&self, seconds: f64) -> f64 {
        self.pages_at(seconds)
    }

    /// All times are alike.
    fn cleaned(&mut self, _seconds: f64) {}
}

/// One send.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Round {
    /// Pages sent, zero pages among them; holes are no pages.
    pub pages: f64,
    /// Bytes on the wire, with all headers.
    pub bytes: f64,
    /// How long it took, in seconds.
    pub s: f64,
}

/// How a simulated save ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// The guest runs at the target.
    Moved,
    /// The policy gave up; the guest runs at the source.
    Aborted,
    /// The policy would never end it, or not before the deadline.
    Endless,
}

/// What a save costs.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    /// How it ended.
    pub end: End,
    /// Start of the save until the guest runs at the target, or until the end otherwise. Seconds.
    pub total_s: f64,
    /// Guest suspended to guest running at the target. Seconds; 0 unless the guest moved.
    pub downtime_s: f64,
    /// All bytes sent.
    pub bytes: f64,
    /// The sends. If the guest moved, the last one is the stop-and-copy.
    pub rounds: Vec<Round>,
    /// Longest time for which W was asked, in seconds.
    pub horizon_s: f64,
}

/// What setting a cap takes; so that a policy which only ever does that comes to an end.
const TICK: Duration = Duration::from_millis(1);
/// Sends after which a policy that never stops is taken to be endless.
const MAX_ROUNDS: usize = 10_000;

/// Runs Xen's loop for `guest` over `link` until `policy` ends it. A save that is still copying
/// live after `deadline` is [`End::Endless`]; Xen itself has no deadline.
///
/// The guest dirties what `dirtying` says while anything is sent. The first send has all pfns;
/// each later one what was dirtied since the CLEAN before the last send; the final one, with the
/// guest suspended, what was dirtied since the last CLEAN, and the deferred pages.
///
/// Where a part is sent, what is held back is taken for the pages that the guest dirties first, as
/// they are its hottest: `d` of them grow to W(t + s) in `s` seconds, with W(t) = `d`.
pub fn save_live(
    guest: &Guest,
    link: &Link,
    mut dirtying: impl Dirtying,
    policy: &mut (impl PrecopyPolicy + ?Sized),
    deadline: Duration,
) -> Outcome {
    let mut run = Run::new(guest, link);
    let mut load = guest.everything();
    let mut stats = PrecopyStats {
        iteration: 0,
        total_written: 0.0,
        dirty_count: Some(load.pfns()),
        pending: load.pfns(),
        fresh: 0.0,
        elapsed: time(run.outcome.total_s),
        last_send: Duration::ZERO,
    };
    // Since the log was cleaned, and how long it takes to dirty what was held back then.
    let (mut since_clean, mut held_for) = (0.0, 0.0);
    let decision = loop {
        let decision = policy.decide(&stats);
        if load.pfns() > 0.0 && decision != Decision::Abort {
            let sent = run.send(&load);
            since_clean += sent;
            stats.last_send = time(sent);
        }
        if matches!(decision, Decision::StopAndCopy | Decision::Abort) {
            break decision;
        }
        stats.iteration += 1;
        stats.total_written += load.pfns();
        stats.dirty_count = None;
        let decision = loop {
            stats.fresh = dirtying.dirtied(since_clean);
            stats.pending = run.asked(&dirtying, held_for + since_clean);
            stats.elapsed = time(run.outcome.total_s);
            match policy.decide(&stats) {
                Decision::Wait(time) if stats.elapsed <= deadline => {
                    since_clean += run.wait(time);
                }
                // A curve knows nothing of CPU time.
                Decision::Throttle(_) if stats.elapsed <= deadline => since_clean += run.wait(TICK),
                decision => break decision,
            }
        };
        if matches!(decision, Decision::StopAndCopy | Decision::Abort) {
            break decision;
        }
        if stats.elapsed > deadline || run.outcome.rounds.len() >= MAX_ROUNDS {
            return run.outcome;
        }
        // CLEAN: what was pending is what is sent next, or some of it.
        let sent = match decision {
            Decision::Part(most) => stats.pending.min(most as f64),
            _ => stats.pending,
        };
        let longest = held_for + since_clean;
        dirtying.cleaned(since_clean);
        let held = stats.pending - sent;
        held_for = if held > 0.0 { age(&dirtying, held, longest) } else { 0.0 };
        since_clean = 0.0;
        load = Load::dirtied(sent);
        stats.dirty_count = Some(sent);
    };
    if decision == Decision::Abort {
        run.outcome.end = End::Aborted;
        return run.outcome;
    }
    since_clean += run.suspend();
    let dirty = run.asked(&dirtying, held_for + since_clean);
    run.stop_and_copy(&Load::dirtied(dirty + link.costs.suspend_pages + guest.deferred.0 as f64));
    run.outcome
}

/// A save in progress.
pub(super) struct Run<'a> {
    guest: &'a Guest,
    link: &'a Link,
    pub(super) outcome: Outcome,
}

impl<'a> Run<'a> {
    pub(super) fn new(guest: &'a Guest, link: &'a Link) -> Self {
        let outcome = Outcome {
            end: End::Endless,
            total_s: link.costs.start.as_secs_f64(),
            downtime_s: 0.0,
            bytes: 0.0,
            rounds: Vec::new(),
            horizon_s: 0.0,
        };
        Self { guest, link, outcome }
    }

    /// Sends `load`; gives how long that took.
    pub(super) fn send(&mut self, load: &Load) -> f64 {
        let s = self.link.round_s(load, self.guest.p2m_size);
        let bytes = self.link.bytes(load);
        self.outcome.total_s += s;
        self.outcome.bytes += bytes;
        self.outcome.rounds.push(Round { pages: load.pages + load.zero, bytes, s });
        s
    }

    /// Nothing is sent for `time`; gives it in seconds.
    fn wait(&mut self, time: Duration) -> f64 {
        let s = time.as_secs_f64();
        self.outcome.total_s += s;
        s
    }

    /// What the guest dirties in `seconds`; notes that it was asked for.
    pub(super) fn asked(&mut self, dirtying: &impl Dirtying, seconds: f64) -> f64 {
        self.outcome.horizon_s = self.outcome.horizon_s.max(seconds);
        dirtying.dirtied(seconds)
    }

    /// The guest is asked to suspend; gives how long that takes.
    pub(super) fn suspend(&mut self) -> f64 {
        let s = self.link.costs.suspend_request.as_secs_f64();
        self.outcome.total_s += s;
        s
    }

    /// The final send, with the guest suspended, and all until it runs at the target.
    pub(super) fn stop_and_copy(&mut self, load: &Load) {
        let finish = self.link.costs.finish.as_secs_f64();
        let sent = self.send(load);
        self.outcome.total_s += finish;
        self.outcome.downtime_s = sent + finish;
        self.outcome.end = End::Moved;
    }
}

impl Outcome {
    /// The guest runs at the target.
    #[must_use]
    pub fn moved(&self) -> bool {
        self.end == End::Moved
    }

    /// [`Outcome::total_s`] as a duration.
    #[must_use]
    pub fn total(&self) -> Duration {
        time(self.total_s)
    }

    /// [`Outcome::downtime_s`] as a duration.
    #[must_use]
    pub fn downtime(&self) -> Duration {
        time(self.downtime_s)
    }
}

/// Seconds as a duration; what is too long for one is its maximum.
pub(super) fn time(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX)
}
