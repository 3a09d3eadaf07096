//! What happened when, put together from this process's clock and the hook's events. Pure.
//!
//! All times are on the host's monotonic clock, in seconds.

use std::time::Duration;

use super::event::Stage;
use super::hook::Event;
use crate::error::{Error, Kind};
use crate::history::{OutcomeRecord, SentRound};
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

/// What a migration took, as far as it was seen.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Costs {
    /// Start of the save to the guest running at the target.
    pub total_s: Option<f64>,
    /// Guest suspended to guest running at the target; the sum of `last_copy_s`, `transport_s`
    /// and `resume_s`.
    pub downtime_s: Option<f64>,
    /// Asking the guest to suspend until it was: it still ran.
    pub suspend_s: Option<f64>,
    /// Sending what was left.
    pub last_copy_s: Option<f64>,
    /// From there until the target had put everything together.
    pub transport_s: Option<f64>,
    /// From there until the guest ran: devices, network, the report's way back.
    pub resume_s: Option<f64>,
    /// Bytes of memory on the wire, with their headers.
    pub bytes: Option<u64>,
    /// Sends while the guest ran.
    pub rounds: Vec<SentRound>,
    /// The send while it was suspended.
    pub last: Option<SentRound>,
    /// Start of the save to its first page.
    pub start_s: Option<f64>,
    /// Why the last decision of the save was taken; `None` when nobody steered it.
    pub why_stopped: Option<Why>,
    /// Pages the guest has and one above its highest pfn, as the save saw them.
    pub pages: Option<(u64, u64)>,
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
        let mut since = 0.0;
        let mut holes = 0;
        for event in events {
            match event {
                Event::Begin { populated_pages, p2m_pages, .. } => {
                    holes = p2m_pages.saturating_sub(*populated_pages);
                    sends.guest = Some((*populated_pages, *p2m_pages));
                }
                Event::Send { t, .. } if sends.first.is_none() => {
                    sends.first = Some(begin + t);
                    since = *t;
                }
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
                Event::Decision { t, why, .. } => {
                    since = *t;
                    sends.why = Some(*why);
                    sends.live_end = sends.live_end.map(|_| begin + t);
                }
                Event::Last { pages, .. } => sends.last = Some((*pages, 0)),
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
    /// When the last set was on its way.
    copied: Option<f64>,
    why: Option<Why>,
}

fn batch_bytes(pages: u64) -> u64 {
    let (pages, holes) = Format::XEN.bytes(&Load::dirtied(pages as f64));
    (pages + holes).round() as u64
}

impl Costs {
    /// The record that later predictions are calibrated by; `None` when not all of it was seen.
    #[must_use]
    pub fn record(&self, about: About<'_>) -> Option<OutcomeRecord> {
        let (populated_pages, p2m_pages) = self.pages?;
        let (total_s, downtime_s) = (self.total_s?, self.downtime_s?);
        if self.rounds.is_empty() {
            return None;
        }
        Some(OutcomeRecord {
            schema: Default::default(),
            at_unix_s: about.at_unix_s,
            domain: about.domain.to_owned(),
            uuid: about.uuid,
            target: about.target.to_owned(),
            populated_pages,
            p2m_pages,
            sender_share: about.sender_share,
            start_s: self.start_s?,
            rounds: self.rounds.clone(),
            suspend_request_s: self.suspend_s?,
            last: self.last,
            finish_s: (downtime_s - self.last.map_or(0.0, |last| last.s)).max(0.0),
            total_s,
            downtime_s,
        })
    }
}

/// What a record says besides costs.
#[derive(Debug, Clone)]
pub struct About<'a> {
    /// The guest's name.
    pub domain: &'a str,
    /// Its identity.
    pub uuid: String,
    /// The target, as the user named it.
    pub target: &'a str,
    /// When it ended, in seconds since 1970.
    pub at_unix_s: u64,
    /// How much of a CPU the sender could have; `None` when unknown.
    pub sender_share: Option<f64>,
}

#[cfg(test)]
mod tests {
    use super::*;

    const ABOUT: About<'_> =
        About { domain: "g", uuid: String::new(), target: "h2", at_unix_s: 5, sender_share: None };

    fn event(json: &str) -> Event {
        serde_json::from_str(json).unwrap()
    }

    /// A save from 100.0 on whose hook starts its clock at 100.1.
    fn timeline() -> Timeline {
        let mut timeline = Timeline::default();
        timeline.stage(Stage::Sending, 100.0);
        for json in [
            r#"{"event":"begin","monotonic_s":100.1,"populated_pages":1000,"p2m_pages":1500}"#,
            r#"{"event":"send","t":0.1,"round":0,"pages":1000}"#,
            r#"{"event":"sent","t":2.1,"round":0,"pages":1000,"bytes":4108016,"s":2.0,"pending":200}"#,
            r#"{"event":"decision","t":2.1,"pending":200,"decision":"continue","why":"shrinks","downtime_s":1.0,"bandwidth_bytes_per_s":2e6}"#,
            r#"{"event":"send","t":2.2,"round":1,"pages":200}"#,
            r#"{"event":"sent","t":2.6,"round":1,"pages":200,"bytes":820816,"s":0.4,"pending":50}"#,
            r#"{"event":"decision","t":3.6,"pending":30,"decision":"stop_and_copy","why":"keeps_budget","downtime_s":0.2,"bandwidth_bytes_per_s":2e6}"#,
            r#"{"event":"suspending","t":3.6}"#,
            r#"{"event":"suspended","t":3.7}"#,
            r#"{"event":"last","t":3.75,"pages":40}"#,
            r#"{"event":"end","t":3.9,"result":0}"#,
        ] {
            timeline.hook(&event(json));
        }
        timeline.stage(Stage::Waiting, 104.1);
        timeline.stage(Stage::HandedOver, 104.3);
        timeline.stage(Stage::Arrived, 104.5);
        timeline
    }

    fn close(a: Option<f64>, b: f64) {
        assert!(a.is_some_and(|a| (a - b).abs() < 1e-9), "{a:?} is not {b}");
    }

    #[test]
    fn downtime_is_the_sum_of_its_parts() {
        let costs = timeline().costs();
        close(costs.total_s, 4.5);
        close(costs.downtime_s, 0.7);
        close(costs.suspend_s, 0.1);
        close(costs.last_copy_s, 0.2);
        close(costs.transport_s, 0.3);
        close(costs.resume_s, 0.2);
        assert_eq!(costs.bytes, Some(4_108_016 + 820_816 + 40 * 4104 + 16));
        assert_eq!(costs.why_stopped, Some(Why::KeepsBudget));
    }

    #[test]
    fn the_record_has_rounds_from_clean_to_end() {
        let record = timeline().costs().record(ABOUT).unwrap();
        assert_eq!((record.populated_pages, record.p2m_pages), (1000, 1500));
        close(Some(record.start_s), 0.2);
        assert_eq!(record.rounds.iter().map(|r| r.holes).collect::<Vec<_>>(), [500, 0]);
        close(Some(record.rounds[0].s), 2.0);
        close(Some(record.rounds[1].s), 0.5);
        // The second that the controller waited is no part of the request.
        close(Some(record.suspend_request_s), 0.1);
        close(record.last.map(|last| last.s), 0.2);
        close(Some(record.finish_s), 0.5);
    }

    #[test]
    fn without_a_hook_there_are_times_but_no_record() {
        let mut timeline = Timeline::default();
        for (stage, at) in [
            (Stage::Sending, 1.0),
            (Stage::Suspended, 3.0),
            (Stage::Waiting, 3.5),
            (Stage::HandedOver, 3.6),
            (Stage::Arrived, 4.0),
        ] {
            timeline.stage(stage, at);
        }
        let costs = timeline.costs();
        close(costs.total_s, 3.0);
        close(costs.downtime_s, 1.0);
        close(costs.last_copy_s, 0.5);
        assert_eq!((costs.bytes, costs.record(ABOUT)), (None, None));
    }

    #[test]
    fn what_was_not_seen_is_not_made_up() {
        let costs = Timeline::default().costs();
        assert_eq!((costs.total_s, costs.downtime_s, costs.last), (None, None, None));
    }
}
