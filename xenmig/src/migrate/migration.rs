//! What to migrate, whereto, how; and the order in which it is done.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use super::costs::About;
use super::event::{Event, Stage};
use super::hook::Settings as HookSettings;
use super::rehearsal::rehearse;
use super::report::{Fate, Report};
use super::steer::Hook;
use super::supervise::Supervisor;
use super::timeline::now_s;
use super::transport::Transport;
use crate::check::{self, Options, Policy};
use crate::dirty::Sample;
use crate::error::{Error, Kind, Result};
use crate::history::{OutcomeStore, Predicted};
use crate::host::{Domain, Host};
use crate::model::sender_share;
use crate::policy::gate::{Judgement, Severity, Verdict};
use crate::policy::precopy::OnMiss;

/// Longest wait for the receiver's banner.
const CONNECTING: Duration = Duration::from_secs(60);
/// Longest wait, with the guest suspended, for the target to put it together.
const READY: Duration = Duration::from_secs(120);

/// A migration that is about to be made.
pub struct Migration<'a> {
    pub(super) host: &'a dyn Host,
    pub(super) domain: &'a Domain,
    pub(super) target: &'a str,
    pub(super) transport: Transport,
    pub(super) options: Options<'a>,
    pub(super) hook: Option<&'a Hook>,
    pub(super) force: bool,
    pub(super) debug: bool,
    pub(super) store: Option<&'a OutcomeStore>,
    pub(super) connecting: Duration,
    pub(super) ready: Duration,
}

impl<'a> Migration<'a> {
    /// `domain` to `target`, which `transport` leads to. Settings, budget, steering, bandwidth and
    /// calibration are those of `options`.
    #[must_use]
    pub fn new(
        host: &'a dyn Host,
        domain: &'a Domain,
        target: &'a str,
        transport: Transport,
        options: Options<'a>,
    ) -> Self {
        Self {
            host,
            domain,
            target,
            transport,
            options,
            hook: None,
            force: false,
            debug: false,
            store: None,
            connecting: CONNECTING,
            ready: READY,
        }
    }

    /// Keeps the budget by steering the save; without, Xen's stock policy decides.
    #[must_use]
    pub const fn steered(mut self, hook: &'a Hook) -> Self {
        self.hook = Some(hook);
        self
    }

    /// Goes although the gate says wait, or says no because of what it would cost. What would lose
    /// the guest is refused even then.
    #[must_use]
    pub const fn forced(mut self, force: bool) -> Self {
        self.force = force;
        self
    }

    /// Has the tool stack verify every page.
    #[must_use]
    pub const fn debug(mut self, debug: bool) -> Self {
        self.debug = debug;
        self
    }

    /// Keeps the outcome, so that later predictions learn from it. Of a save that was not steered
    /// nothing is kept: only the hook sees its rounds, which are what is learnt from.
    #[must_use]
    pub const fn remembered(mut self, store: &'a OutcomeStore) -> Self {
        self.store = Some(store);
        self
    }

    /// Longest waits for the receiver's banner, and for its word that it has everything. Default 1
    /// and 2 minutes. Once the target has permission to run the guest the wait is without limit.
    #[must_use]
    pub const fn patience(mut self, connecting: Duration, ready: Duration) -> Self {
        (self.connecting, self.ready) = (connecting, ready);
        self
    }

    /// Asks the gate only: what [`Migration::run`] would begin with.
    ///
    /// # Errors
    /// As [`check::check`], and [`Kind::Interrupted`].
    pub fn judge(&self, stop: &AtomicBool, tell: &mut dyn FnMut(&Event)) -> Result<check::Report> {
        let mut sampling = |done| tell(&Event::Sampling { done });
        let gate = check::check(self.host, self.domain, &self.options, stop, &mut sampling)?;
        if stop.load(Ordering::Relaxed) {
            return Err(Error::new(Kind::Interrupted, "interrupted; nothing was migrated"));
        }
        tell(&Event::Judged {
            verdict: gate.judgement.verdict,
            reasons: gate.judgement.reasons.iter().map(|reason| reason.code).collect(),
        });
        Ok(gate)
    }

    /// Whether it may start after this judgement. What it would cost is no reason against a save
    /// that will be throttled, or suspended at the best moment, if it comes to that.
    #[must_use]
    pub fn may_start(&self, judgement: &Judgement) -> bool {
        let steered = self.options.policy != Policy::Stock;
        let lenient = steered && self.options.settings.steering.on_miss != OnMiss::Abort;
        judgement.verdict == Verdict::Go
            || (self.force && forcible(judgement))
            || (lenient && about_costs_only(judgement))
    }

    /// Runs it. Setting `stop` gives it up as long as the target has no permission to run the
    /// guest; after that it is finished nevertheless. The thread that calls this calls `tell`.
    ///
    /// # Errors
    /// What keeps it from being begun at all; the guest was not touched. Everything later is in the
    /// report.
    pub fn run(&self, stop: &AtomicBool, tell: &mut dyn FnMut(&Event)) -> Result<Report> {
        let (line, started) = (self.transport.line()?, now_s());
        tell(&Event::Stage { stage: Stage::Gate, since_start_s: 0.0 });
        let gate = self.judge(stop, tell)?;
        let report = Report::refused(self.domain, self.target, gate);
        if !self.may_start(&report.gate.judgement) {
            return Ok(report);
        }
        let source = self.host.source(self.domain)?;
        let supervisor = Supervisor::new(self, &*source, stop, tell, started);
        let mut report = supervisor.run(&line, report)?;
        report.remembered = self.remember(&report);
        Ok(report)
    }

    /// Runs it in the model only, over the curve that the gate samples: nothing leaves.
    ///
    /// # Errors
    /// As [`Migration::judge`]; [`Kind::Unsupported`] when nothing could be sampled, or the
    /// bandwidth is unknown.
    pub fn rehearse(&self, stop: &AtomicBool, tell: &mut dyn FnMut(&Event)) -> Result<Report> {
        tell(&Event::Stage { stage: Stage::Gate, since_start_s: 0.0 });
        let gate = self.judge(stop, tell)?;
        let report = Report::refused(self.domain, self.target, gate);
        if !self.may_start(&report.gate.judgement) {
            return Ok(report);
        }
        rehearse(self.domain, &self.options, report, tell)
    }

    /// What the hook is told, with what `sample` showed of the guest.
    pub(super) fn hook_settings(&self, sample: Option<&Sample>) -> HookSettings {
        let options = &self.options;
        HookSettings {
            bandwidth_bytes_per_s: options.link_bandwidth().map(|(rate, _)| rate.get()),
            steady: sample.and_then(Sample::is_steady),
            ..HookSettings::new(options.settings, options.calibration)
        }
    }

    fn remember(&self, report: &Report) -> bool {
        // To verify, Xen sends all pages again while the guest is down: nothing to learn from.
        let typical = matches!(report.fate, Fate::Moved) && !self.debug;
        let Some(store) = self.store.filter(|_| typical) else { return false };
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        let about = About {
            domain: &self.domain.name,
            uuid: self.domain.uuid.to_string(),
            target: self.target,
            at_unix_s: since.map_or(0, |since| since.as_secs()),
            sender_share: report
                .gate
                .sample
                .as_ref()
                .map(|sample| sender_share(sample.host_cpus(), sample.host_cpu_utilisation())),
            predicted: report.gate.prediction.as_ref().map(|prediction| Predicted {
                total_s: prediction.expected.total_s,
                downtime_s: prediction.expected.downtime_s,
            }),
            kept: report.kept(),
        };
        let Some(record) = report.costs.record(about) else { return false };
        match store.append(&record) {
            Ok(()) => true,
            Err(error) => {
                log::warn!("the outcome is not remembered: {error}");
                false
            }
        }
    }
}

/// Codes of reasons that block only because of what it would cost.
const COSTS: [&str; 4] =
    ["memory-too-large", "total-time-over-budget", "downtime-over-budget", "bytes-over-budget"];
/// Codes of reasons to wait because of what it may cost.
const RISKS: [&str; 4] =
    ["prediction-uncertain", "total-time-at-risk", "downtime-at-risk", "bytes-at-risk"];
/// Codes of reasons to wait for something without which no save can succeed.
const NEVER: [&str; 3] = ["domain-paused", "arriving", "sample-interrupted"];

/// Whether [`Migration::forced`] may overrule this judgement: what speaks against the migration is
/// only that it is the wrong moment or costs too much, not that the guest could be lost.
#[must_use]
pub fn forcible(judgement: &Judgement) -> bool {
    judgement.reasons.iter().all(|reason| match reason.severity {
        Severity::Block => COSTS.contains(&reason.code),
        Severity::Wait => !NEVER.contains(&reason.code),
        Severity::Info => true,
    })
}

fn about_costs_only(judgement: &Judgement) -> bool {
    judgement.reasons.iter().all(|reason| {
        reason.severity == Severity::Info
            || COSTS.contains(&reason.code)
            || RISKS.contains(&reason.code)
    })
}
