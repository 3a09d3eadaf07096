//! What is known of one domain, and of all of them at one moment. Plain values, which one thread
//! sends to the other.

use std::sync::Arc;
use std::time::Duration;

use xenmig::check::Report;
use xenmig::dirty::{Ended, Sample};
use xenmig::host::{Domain, HostInfo};
use xenmig::model::Outcome;
use xenmig::policy::gate::{Reason, Severity, Verdict};

use crate::output::{Style, text};

/// Samples whose rate is remembered.
const HISTORY: usize = 60;

/// One domain.
#[derive(Debug, Clone)]
pub struct Row {
    pub domain: Domain,
    /// Use of each vCPU between the last two looks, 0 to 1; empty while unknown.
    pub vcpu_utilisation: Vec<f64>,
    /// Pages dirtied a second in each of the last samples, the latest last.
    pub rates: Vec<f64>,
    /// `None` until it had its turn.
    pub check: Option<Check>,
}

/// What the last check said.
#[derive(Debug, Clone)]
pub struct Check {
    pub report: Arc<Report>,
    /// When it ended, on the host's clock.
    pub at: Duration,
}

/// The host and its domains at one moment.
#[derive(Debug, Clone)]
pub struct Snapshot {
    /// On the host's clock.
    pub at: Duration,
    pub host: HostInfo,
    /// Use of the whole host, 0 to 1; `None` while unknown.
    pub cpu_utilisation: Option<f64>,
    /// By domid.
    pub rows: Vec<Row>,
}

impl Snapshot {
    /// How long ago a domain was checked; `None` if it was not.
    pub fn age(&self, row: &Row) -> Option<Duration> {
        row.check.as_ref().map(|check| self.at.saturating_sub(check.at))
    }
}

impl Row {
    pub fn new(domain: Domain) -> Self {
        Self { domain, vcpu_utilisation: Vec::new(), rates: Vec::new(), check: None }
    }

    /// Takes what a check found.
    pub fn checked(&mut self, report: Report, at: Duration) {
        self.check = Some(Check { report: Arc::new(report), at });
        if let Some(rate) = self.dirty_rate() {
            self.rates.push(rate);
            self.rates.drain(..self.rates.len().saturating_sub(HISTORY));
        }
    }

    /// Its name, or its domid where it has none.
    pub fn name(&self) -> String {
        match self.domain.name.as_str() {
            "" => self.domain.id.to_string(),
            name => name.to_owned(),
        }
    }

    /// CPUs' worth of time that it uses; `None` while unknown.
    pub fn cpus_used(&self) -> Option<f64> {
        let used = &self.vcpu_utilisation;
        (!used.is_empty()).then(|| used.iter().sum())
    }

    pub fn report(&self) -> Option<&Report> {
        self.check.as_ref().map(|check| check.report.as_ref())
    }

    /// The last check, if its sample reached its end: one that a save cut short, say, is nothing to
    /// go by.
    fn measured(&self) -> Option<&Report> {
        let whole = |sample: &Sample| sample.ended() == Ended::Complete;
        self.report().filter(|report| report.sample.as_ref().is_some_and(whole))
    }

    /// Pages dirtied a second; `None` when the last check did not show it.
    pub fn dirty_rate(&self) -> Option<f64> {
        self.measured()?.curve.as_ref().map(|curve| curve.dirty_rate())
    }

    /// What a migration would cost; `None` when the last check could not say.
    pub fn expected(&self) -> Option<&Outcome> {
        self.measured()?.prediction.as_ref().map(|prediction| &prediction.expected)
    }

    pub fn verdict(&self) -> Option<Verdict> {
        self.report().map(|report| report.judgement.verdict)
    }

    /// Every reason with its advice, as lines.
    pub fn reasons(&self, style: Style) -> Vec<String> {
        let reasons = self.report().into_iter().flat_map(|report| &report.judgement.reasons);
        let text: String = reasons.map(|reason| text::reason(reason, style)).collect();
        text.lines().map(str::to_owned).collect()
    }

    /// What speaks most against migrating it; `None` when nothing does.
    pub fn objection(&self) -> Option<&Reason> {
        let reason = self.report()?.judgement.reasons.first();
        reason.filter(|reason| reason.severity != Severity::Info)
    }
}
