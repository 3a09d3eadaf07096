//! `xenmig check` without a command line: gathers facts, samples, predicts and judges.

mod document;
mod looked;

use std::sync::atomic::AtomicBool;
use std::time::Duration;

use serde::Serialize;

pub use document::Document;
pub(crate) use document::{
    BudgetPart, DomainPart, Measured, Predicted, ReasonPart, TargetPart, reason_parts,
};

use looked::Looked;

use crate::config::Settings;
use crate::dirty::{Curve, Plan, Sample};
use crate::error::{Error, Kind, Result};
use crate::history::Calibration;
use crate::host::{Domain, GuestType, Host};
use crate::inventory::Inventory;
use crate::model::{Costs, Format, Guest, Link, Outcome, Prediction, Stock, predict, save_live};
use crate::policy::Budget;
use crate::policy::gate::{self, Arrival, Judgement};
use crate::policy::precopy::{Controller, Known};
use crate::units::BytesPerSecond;

/// What to check by.
#[derive(Debug, Clone, Copy)]
pub struct Options<'a> {
    /// What holds for this domain.
    pub settings: &'a Settings,
    /// What earlier migrations showed, if there were any.
    pub calibration: Option<&'a Calibration>,
    /// The bandwidth that the user gave; it wins over configuration and calibration.
    pub bandwidth: Option<BytesPerSecond>,
    /// Sample even where the verdict is certain without, or the guest is paused. A domain that is
    /// being moved, torn down or Dom0 is not sampled even then.
    pub sample_anyway: bool,
    /// Whose cost is predicted.
    pub policy: Policy,
    /// The host to which the domain is to go; `None` leaves out the rules about it.
    pub target: Option<&'a Target>,
}

/// A host to which a domain may go.
#[derive(Debug, Clone, PartialEq)]
pub struct Target {
    /// As the user called it.
    pub name: String,
    /// What it tells of itself.
    pub inventory: Inventory,
}

/// What decides when the guest is suspended.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Policy {
    /// Xen's own policy, as under `xl migrate`.
    #[default]
    Stock,
    /// The controller that keeps the budget of the settings, as far as their steering allows.
    Steered,
}

/// Where the bandwidth comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum BandwidthSource {
    /// The user gave it.
    #[serde(rename = "given")]
    Given,
    /// The configuration file.
    #[serde(rename = "configuration")]
    Configuration,
    /// Calibration.
    #[serde(rename = "earlier migrations")]
    EarlierMigrations,
}

/// Whom a check was about.
#[derive(Debug, Clone)]
pub enum Subject {
    /// A domain of this host.
    Domain(Domain),
    /// Nobody: there is no domain of this name or domid.
    Unknown(String),
}

/// All that a check found.
#[derive(Debug, Clone)]
pub struct Report {
    /// Whom it was about.
    pub subject: Subject,
    /// The verdict and its reasons.
    pub judgement: Judgement,
    /// What sampling showed; `None` when nothing was sampled.
    pub sample: Option<Sample>,
    /// The mean of the sample's windows; `None` when none of them has a point.
    pub curve: Option<Curve>,
    /// What a migration would cost; `None` without curve or bandwidth.
    pub prediction: Option<Prediction>,
    /// That is predicted for a save that is steered; otherwise for Xen's stock policy. A save that
    /// no steering can bring within the budget is predicted as stock.
    pub predicted_steered: bool,
    /// What it may cost.
    pub budget: Budget,
    /// The link's bandwidth, and how it is known; `None` when it is not.
    pub bandwidth: Option<(BytesPerSecond, BandwidthSource)>,
    /// The host to which it was to go; `None` when none was named.
    pub target: Option<Target>,
}

impl Options<'_> {
    /// The bandwidth to predict with: given, configured, or learnt.
    #[must_use]
    pub fn link_bandwidth(&self) -> Option<(BytesPerSecond, BandwidthSource)> {
        let learnt = self.calibration.map(|calibration| calibration.bandwidth);
        let given = self.bandwidth.map(|rate| (rate, BandwidthSource::Given));
        given
            .or(self.settings.bandwidth.map(|rate| (rate, BandwidthSource::Configuration)))
            .or(learnt.map(|rate| (rate, BandwidthSource::EarlierMigrations)))
    }

    /// What the hosts add: configured, or learnt; `None` when neither says what comes after the last
    /// copy.
    #[must_use]
    pub fn costs(&self) -> Option<Costs> {
        let learnt = self.calibration.map(|calibration| calibration.costs);
        let known = learnt.is_some() || self.settings.costs.finish.is_some();
        known.then(|| self.settings.costs.over(learnt.unwrap_or_default()))
    }

    /// The link to predict with, and with such costs as are known.
    #[must_use]
    pub fn link(&self) -> Option<Link> {
        let (bandwidth, _) = self.link_bandwidth()?;
        let costs = self.costs().unwrap_or_else(|| self.settings.costs.over(Costs::default()));
        Some(Link { bandwidth, format: Format::XEN, costs })
    }

    /// The controller of a steered save of `domain` over `link`, as far as `sample` shows the guest;
    /// `None` under the stock policy.
    #[must_use]
    pub fn controller(
        &self,
        domain: &Domain,
        sample: Option<&Sample>,
        link: &Link,
    ) -> Option<Controller> {
        if self.policy == Policy::Stock {
            return None;
        }
        let steering = self.settings.steering;
        let known = Known {
            guest: Guest::from(domain),
            bandwidth: Some(link.bandwidth),
            costs: link.costs,
            finish_spread: self.finish_spread(),
            holds_back: steering.hold_back && domain.guest_type != GuestType::Pv,
            steady: sample.and_then(Sample::is_steady),
            cpu_percent: domain.vcpus.saturating_mul(100),
        };
        Some(Controller::new(self.settings.budget, steering, known))
    }

    /// See [`Known::finish_spread`]; 0 where nothing was learnt.
    #[must_use]
    pub fn finish_spread(&self) -> Duration {
        self.calibration.map_or(Duration::ZERO, |calibration| calibration.finish_spread)
    }

    /// The link beside what the host of `sample` does besides.
    fn link_beside(&self, sample: &Sample) -> Option<Link> {
        let link = self.link()?;
        Some(Link { costs: link.costs.beside(sample), ..link })
    }

    /// What a steered save would cost; `None` when it would not move the guest.
    fn predict_steered(
        &self,
        domain: &Domain,
        sample: &Sample,
        curves: &[Curve],
    ) -> Option<Prediction> {
        let (link, guest) = (self.link_beside(sample)?, Guest::from(domain));
        let controller = self.controller(domain, Some(sample), &link)?;
        let deadline = deadline(&guest, &link);
        let predicted = predict(&guest, &link, curves, || controller.clone(), deadline)?;
        predicted.expected.moved().then_some(predicted)
    }

    fn predict_stock(
        &self,
        domain: &Domain,
        sample: &Sample,
        curves: &[Curve],
    ) -> Option<Prediction> {
        let link = self.link_beside(sample)?;
        predict(&Guest::from(domain), &link, curves, || Stock, Duration::MAX)
    }

    /// What a stock migration of `domain` would cost, if it went on as in `sample`, whose dirty curve
    /// is `curve`; `None` without bandwidth.
    #[must_use]
    pub fn expected(&self, domain: &Domain, sample: &Sample, curve: &Curve) -> Option<Outcome> {
        let link = self.link_beside(sample)?;
        Some(save_live(&Guest::from(domain), &link, curve, &mut Stock, Duration::MAX))
    }

    /// How to sample `domain`: see [`crate::config::SamplingSettings::plan_for`].
    #[must_use]
    pub fn plan(&self, domain: &Domain) -> Plan {
        let guest = Guest::from(domain);
        let first = self.link().map(|link| link.round_s(&guest.everything(), guest.p2m_size));
        let first = first.and_then(|s| Duration::try_from_secs_f64(s).ok());
        self.settings.sampling.plan_for(first)
    }
}

/// A steered save of `guest` over `link` that still copies after so long does not converge.
pub(crate) fn deadline(guest: &Guest, link: &Link) -> Duration {
    const LEAST: Duration = Duration::from_secs(3600);
    let first = link.round_s(&guest.everything(), guest.p2m_size);
    LEAST.max(Duration::try_from_secs_f64(3.0 * first).unwrap_or(Duration::MAX))
}

/// Checks whether `domain` may be migrated now.
///
/// Facts that cost nothing come first: if one of them blocks, nothing is sampled. `progress` is
/// called while sampling, with the share that is done, 0 to 1; setting `stop` ends the sampling,
/// and the report says so.
///
/// # Errors
/// What keeps the domain or the host from being looked at at all, as [`Host::info`] and
/// [`Host::transfer`]. A domain that goes away meanwhile is no error but a reason, and so is a
/// sampling that fails.
pub fn check(
    host: &dyn Host,
    domain: &Domain,
    options: &Options<'_>,
    stop: &AtomicBool,
    progress: &mut dyn FnMut(f64),
) -> Result<Report> {
    let reports = check_all(host, domain, &[*options], stop, progress)?;
    // One question has one answer.
    reports.into_iter().next().ok_or_else(|| Error::new(Kind::Internal, "the check said nothing"))
}

/// The same by several `questions`, which may differ in anything: one report for each, in their
/// order. The domain is sampled once at most, as long as the most demanding of them asks.
///
/// # Errors
/// As [`check`].
pub fn check_all(
    host: &dyn Host,
    domain: &Domain,
    questions: &[Options<'_>],
    stop: &AtomicBool,
    progress: &mut dyn FnMut(f64),
) -> Result<Vec<Report>> {
    let with_target = questions.iter().any(|options| options.target.is_some());
    match Looked::gather(host, domain, with_target) {
        Ok(looked) => looked.check(host, questions, stop, progress),
        Err(error) if error.kind() == Kind::NoSuchDomain => {
            let report = |options| Report::no_such_domain(&domain.id.to_string(), &error, options);
            Ok(questions.iter().map(report).collect())
        }
        Err(error) => Err(error),
    }
}

impl Report {
    /// The report on a domain that does not exist: `error`, of kind [`Kind::NoSuchDomain`], is
    /// what [`Host::find`] gave for `name`.
    #[must_use]
    pub fn no_such_domain(name: &str, error: &Error, options: &Options<'_>) -> Self {
        let subject = Subject::Unknown(name.to_owned());
        Self::unsampled(subject, gate::no_such_domain(name, error), options)
    }

    /// A report without a sample.
    fn unsampled(subject: Subject, judgement: Judgement, options: &Options<'_>) -> Self {
        Self {
            subject,
            judgement,
            sample: None,
            curve: None,
            prediction: None,
            predicted_steered: false,
            budget: options.settings.budget,
            bandwidth: options.link_bandwidth(),
            target: options.target.cloned(),
        }
    }

    /// What the target's CPUs have to spare; `None` without a target, or one that does not say.
    #[must_use]
    pub fn arrival(&self) -> Option<Arrival> {
        Arrival::at(&self.target.as_ref()?.inventory, self.sample.as_ref())
    }

    /// The JSON document `xenmig.check/1`.
    #[must_use]
    pub fn document(&self) -> Document<'_> {
        Document::new(self)
    }
}
