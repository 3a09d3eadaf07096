//! What happened when, put together from this process's clock and the hook's events. Pure.
//!
//! All times are on the host's monotonic clock, in seconds.

use std::time::Duration;

use super::costs::Costs;
use super::event::Stage;
use super::hook::Event;
use crate::error::{Error, Kind};
use crate::history::SentRound;
use crate::model::{Format, Load};
use crate::policy::precopy::Why;
use crate::units::show_duration;

/// The moments of one migration.
#[derive(Debug, Clone, Default)]
pub(super) struct Timeline {
    /// The save was asked for.
    began: Option<f64>,
    /// The stream was complete.
    sent: Option<f64>,
    /// The target had everything.
    ready: Option<f64>,
    /// The target said that the guest runs.
    running: Option<f64>,
    /// This process saw the guest suspended; the hook knows better.
    seen_suspended: Option<f64>,
    /// When the hook's clock began, and what it said.
    hook: Option<(f64, Vec<Event>)>,
}

/// Seconds on the monotonic clock.
pub(super) fn now_s() -> f64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    now.tv_sec as f64 + now.tv_nsec as f64 * 1e-9
}

impl Timeline {
    /// A stage began at `at`.
    pub(super) fn stage(&mut self, stage: Stage, at: f64) {
        match stage {
            Stage::Sending => self.began = Some(at),
            Stage::Suspended => self.seen_suspended = Some(at),
            Stage::Waiting => self.sent = Some(at),
            Stage::HandedOver => self.ready = Some(at),
            Stage::Arrived => self.running = Some(at),
            Stage::Gate | Stage::Connecting | Stage::Done => {}
        }
    }

    /// The hook said something.
    pub(super) fn hook(&mut self, event: &Event) {
        if let Event::Begin { monotonic_s, .. } = event {
            self.hook = Some((*monotonic_s, Vec::new()));
        }
        if let Some((_, events)) = &mut self.hook {
            events.push(event.clone());
        }
    }

    /// Whether the guest is known to be suspended.
    pub(super) fn is_suspended(&self) -> bool {
        self.suspended().is_some()
    }

    fn suspended(&self) -> Option<f64> {
        let hooks = self.last_of(|event| match event {
            Event::Suspended { t } => Some(*t),
            _ => None,
        });
        hooks.or(self.seen_suspended)
    }

    /// The last of the hook's events that `pick` wants, on this process's clock.
    fn last_of(&self, pick: impl Fn(&Event) -> Option<f64>) -> Option<f64> {
        let (begin, events) = self.hook.as_ref()?;
        Some(begin + events.iter().rev().find_map(pick)?)
    }

    /// Why the controller gave the save up; `None` when it did not. `limit` is the most downtime.
    pub(super) fn aborted(&self, limit: Option<Duration>) -> Option<Error> {
        let (_, events) = self.hook.as_ref()?;
        let last = events.iter().rev().find_map(|event| match event {
            Event::Decision { decision, downtime_s, .. } => Some((decision, *downtime_s)),
            _ => None,
        });
        let (_, downtime_s) = last.filter(|(decision, _)| *decision == "abort")?;
        let downtime = downtime_s.and_then(|s| Duration::try_from_secs_f64(s).ok());
        let what = match downtime.zip(limit).filter(|(downtime, limit)| downtime > limit) {
            Some((downtime, limit)) => format!(
                "the budget cannot be kept: {} down if it were suspended now, {} allowed",
                show_duration(downtime),
                show_duration(limit)
            ),
            None => "the budget cannot be kept".to_owned(),
        };
        Some(Error::new(Kind::Unsupported, what).hint(
            "raise the budget, let it be throttled (--on-miss throttle), take the best moment \
             (--on-miss stop), or migrate when it modifies fewer pages",
        ))
    }

    /// What it took.
    pub(super) fn costs(&self) -> Costs {
        let minus = |a: Option<f64>, b: Option<f64>| Some((a? - b?).max(0.0));
        let suspended = self.suspended();
        let sends = self.sends();
        let copied = sends.copied.or(self.sent);
        let bytes = |rounds: &[SentRound]| rounds.iter().map(|round| round.bytes).sum::<u64>();
        let last = sends.last.map(|(pages, holes)| {
            let bytes = batch_bytes(pages);
            let s = minus(copied, suspended).unwrap_or(0.0);
            SentRound { pages, holes, bytes, s }
        });
        let all = bytes(&sends.rounds) + last.map_or(0, |last| last.bytes);
        Costs {
            total_s: minus(self.running, self.began),
            downtime_s: minus(self.running, suspended),
            suspend_s: minus(suspended, sends.live_end),
            last_copy_s: minus(copied, suspended),
            transport_s: minus(self.ready, copied),
            resume_s: minus(self.running, self.ready),
            bytes: self.hook.is_some().then_some(all),
            start_s: minus(sends.first, self.began),
            suspend_pages: sends.suspend_pages(minus(suspended, sends.live_end)),
            rounds: sends.rounds,
            last,
            why_stopped: sends.why,
            pages: sends.guest,
        }
    }

    /// The sends as the hook saw them. A round begins where the one before ended, for that is when
    /// the log was cleaned; after a wait, where the wait ended.
    fn sends(&self) -> Sends {
        let Some((begin, events)) = &self.hook else { return Sends::default() };
        let mut sends = Sends::default();
        let (mut since, mut cleaned) = (0.0, 0.0);
        let mut holes = 0;
        for event in events {
            match event {
                Event::Begin { populated_pages, p2m_pages, .. } => {
                    holes = p2m_pages.saturating_sub(*populated_pages);
                    sends.guest = Some((*populated_pages, *p2m_pages));
                }
                Event::Send { t, .. } if sends.first.is_none() => {
                    sends.first = Some(begin + t);
                    (since, cleaned) = (*t, *t);
                }
                Event::Send { t, .. } => cleaned = *t,
                Event::Sent { t, pages, .. } if sends.last.is_some() => {
                    sends.last = Some((*pages, 0));
                    sends.copied = Some(begin + t);
                }
                Event::Sent { t, pages, bytes, round, .. } => {
                    let holes = if *round == 0 { holes } else { 0 };
                    let s = (t - since).max(0.0);
                    sends.rounds.push(SentRound { pages: *pages, holes, bytes: *bytes, s });
                    since = *t;
                    sends.live_end = Some(begin + t);
                }
                Event::Decision { t, why, pending, fresh, .. } => {
                    let dirtying = *fresh as f64 / (t - cleaned).max(1e-9);
                    sends.pending = Some((*pending as f64, dirtying));
                    since = *t;
                    sends.why = Some(*why);
                    sends.live_end = sends.live_end.map(|_| begin + t);
                }
                Event::Last { pages, .. } => {
                    sends.last = Some((*pages, 0));
                    sends.counted = Some(*pages);
                }
                Event::End { t, result: 0 } => {
                    sends.copied = sends.copied.or(Some(begin + t));
                }
                _ => {}
            }
        }
        sends
    }
}

/// [`Timeline::sends`].
#[derive(Default)]
struct Sends {
    guest: Option<(u64, u64)>,
    first: Option<f64>,
    rounds: Vec<SentRound>,
    live_end: Option<f64>,
    /// Pages and holes.
    last: Option<(u64, u64)>,
    /// Pages dirty at the last decision, and how many more became so per second.
    pending: Option<(f64, f64)>,
    /// Pages of the last set.
    counted: Option<u64>,
    /// When the last set was on its way.
    copied: Option<f64>,
    why: Option<Why>,
}

impl Sends {
    /// Pages of the last set that the workload explains neither by the last decision nor in the
    /// seconds of the suspend request.
    fn suspend_pages(&self, request_s: Option<f64>) -> Option<u64> {
        let ((pending, dirtying), last) = self.pending.zip(self.counted)?;
        let explained = pending + dirtying * request_s?;
        Some((last as f64 - explained).max(0.0).round() as u64)
    }
}

fn batch_bytes(pages: u64) -> u64 {
    let (pages, holes) = Format::XEN.bytes(&Load::dirtied(pages as f64));
    (pages + holes).round() as u64
}

#[cfg(test)]
mod tests;
