//! A migration in the model only: the save loop over the curve that the gate sampled, decided by
//! the same controller, told by the same events. Nothing leaves.

use super::event::{Event, Stage};
use super::hook::Event as HookEvent;
use super::report::{Fate, Report};
use super::timeline::Timeline;
use crate::check::{Options, deadline};
use crate::error::{Error, Kind, Result};
use crate::host::Domain;
use crate::model::{
    Decision, Format, Guest, Link, Load, Outcome, PrecopyPolicy, PrecopyStats, Stock, save_live,
};
use crate::policy::precopy::Controller;

/// Rehearses the migration of `domain` that the gate of `report` has let through.
///
/// # Errors
/// [`Kind::Unsupported`] when the gate could not sample, or the bandwidth is unknown.
pub(super) fn rehearse(
    domain: &Domain,
    options: &Options<'_>,
    mut report: Report,
    tell: &mut dyn FnMut(&Event),
) -> Result<Report> {
    let known = options.link().zip(report.gate.curve.as_ref());
    let (link, curve) = known.ok_or_else(|| {
        Error::new(Kind::Unsupported, "without a sample and a bandwidth nothing can be rehearsed")
            .hint("give `--bandwidth 10Gbit/s`")
    })?;
    let guest = Guest::from(domain);
    let controller = options.controller(domain, report.gate.sample.as_ref(), &link);
    report.rehearsed = true;
    (report.to_be_steered, report.steered) = (controller.is_some(), controller.is_some());
    let mut player = Player { guest, controller, sending: 0.0, sent: 0, events: Vec::new() };
    let outcome = save_live(&guest, &link, curve, &mut player, deadline(&guest, &link));
    let mut stages = vec![(Stage::Connecting, 0.0), (Stage::Sending, 0.0)];
    if outcome.moved() {
        stages.extend(player.last(&outcome, &link));
    } else {
        player.events.push(HookEvent::End { t: outcome.total_s, result: -1 });
    }
    stages.push((Stage::Done, outcome.total_s));
    let timeline = play(stages, player.events, tell);
    report.fate = match timeline.aborted(report.gate.budget.downtime) {
        None if outcome.moved() => Fate::Moved,
        None => Fate::Stayed(Error::new(Kind::Unsupported, "the migration does not converge")),
        Some(why) => Fate::Stayed(why),
    };
    report.costs = timeline.costs();
    Ok(report)
}

/// Tells what happened in its order.
fn play(
    stages: Vec<(Stage, f64)>,
    events: Vec<HookEvent>,
    tell: &mut dyn FnMut(&Event),
) -> Timeline {
    let mut timeline = Timeline::default();
    let mut stages = stages.into_iter().peekable();
    let mut stage_up_to = |t: f64, timeline: &mut Timeline, tell: &mut dyn FnMut(&Event)| {
        while let Some((stage, at)) = stages.next_if(|(_, at)| *at <= t) {
            timeline.stage(stage, at);
            tell(&Event::Stage { stage, since_start_s: at });
        }
    };
    for event in events {
        stage_up_to(event.t(), &mut timeline, tell);
        timeline.hook(&event);
        tell(&Event::Save(event));
    }
    stage_up_to(f64::INFINITY, &mut timeline, tell);
    timeline
}

/// Decides, and notes what the hook would have told.
struct Player {
    guest: Guest,
    /// `None`: the stock policy.
    controller: Option<Controller>,
    /// Pages of the send that runs.
    sending: f64,
    /// Sends that were told of.
    sent: u32,
    events: Vec<HookEvent>,
}

impl PrecopyPolicy for Player {
    fn decide(&mut self, stats: &PrecopyStats) -> Decision {
        let t = stats.elapsed.as_secs_f64();
        if self.events.is_empty() {
            let (populated_pages, p2m_pages) = (self.guest.populated.0, self.guest.p2m_size.0);
            self.events.push(HookEvent::Begin { monotonic_s: 0.0, populated_pages, p2m_pages });
        }
        if let Some(dirty) = stats.dirty_count {
            let all = self.guest.populated.0 as f64;
            self.sending = if stats.iteration == 0 { all } else { dirty };
            let pages = self.sending.round() as u64;
            self.events.push(HookEvent::Send { t, round: stats.iteration, pages });
        } else if self.sent < stats.iteration {
            self.sent = stats.iteration;
            self.events.push(HookEvent::Sent {
                t,
                round: stats.iteration - 1,
                pages: self.sending.round() as u64,
                bytes: self.bytes(stats.iteration),
                s: stats.last_send.as_secs_f64(),
                pending: stats.pending.round() as u64,
            });
        }
        let Some(controller) = &mut self.controller else { return Stock.decide(stats) };
        let decision = controller.decide(stats);
        if stats.dirty_count.is_none() {
            self.events.push(HookEvent::Decision {
                t,
                pending: stats.pending.round() as u64,
                fresh: stats.fresh.round() as u64,
                decision: decision.name().to_owned(),
                why: controller.why(),
                downtime_s: controller.downtime_s(stats.pending),
                expected_downtime_s: controller.expected_downtime_s(stats.pending),
                bandwidth_bytes_per_s: None,
            });
        }
        decision
    }
}

impl Player {
    /// Of the send before the iteration.
    fn bytes(&self, iteration: u32) -> u64 {
        let first = self.guest.everything();
        let load = if iteration == 1 { first } else { Load::dirtied(self.sending) };
        let (pages, holes) = Format::XEN.bytes(&load);
        (pages + holes).round() as u64
    }

    /// What follows the last decision.
    fn last(&mut self, outcome: &Outcome, link: &Link) -> Vec<(Stage, f64)> {
        let suspended = outcome.total_s - outcome.downtime_s;
        let (pages, s) = outcome.rounds.last().map_or((0.0, 0.0), |last| (last.pages, last.s));
        let copied = suspended + s;
        let asked = suspended - link.costs.suspend_request.as_secs_f64();
        self.events.extend([
            HookEvent::Suspending { t: asked },
            HookEvent::Suspended { t: suspended },
            HookEvent::Last { t: suspended, pages: pages.round() as u64 },
            HookEvent::End { t: copied, result: 0 },
        ]);
        vec![
            (Stage::Suspended, suspended),
            (Stage::Waiting, copied),
            (Stage::HandedOver, copied),
            (Stage::Arrived, outcome.total_s),
        ]
    }
}
