//! `xenmig check` without a command line: gathers facts, samples, predicts and judges.

mod document;

use std::sync::atomic::AtomicBool;
use std::time::Duration;

use serde::Serialize;

pub use document::Document;

use crate::config::Settings;
use crate::dirty::{self, Curve, Plan, Sample};
use crate::error::{Error, Kind, Result};
use crate::history::Calibration;
use crate::host::{DomId, Domain, GuestType, Host, HostInfo, RunState, Setup, Transfer};
use crate::model::{Costs, Format, Guest, Link, Prediction, Stock, predict};
use crate::policy::Budget;
use crate::policy::gate::{self, Facts, Judgement, Sampling, Verdict};
use crate::policy::precopy::{Controller, Known};
use crate::units::BytesPerSecond;

/// A steered save that still copies after so long does not converge.
const DEADLINE: Duration = Duration::from_secs(3600);

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
        let predicted = predict(&guest, &link, curves, || controller.clone(), DEADLINE)?;
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

    /// How to sample `domain`: see [`crate::config::SamplingSettings::plan_for`].
    #[must_use]
    pub fn plan(&self, domain: &Domain) -> Plan {
        let guest = Guest::from(domain);
        let first = self.link().map(|link| link.round_s(&guest.everything(), guest.p2m_size));
        let first = first.and_then(|s| Duration::try_from_secs_f64(s).ok());
        self.settings.sampling.plan_for(first)
    }
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
    match Looked::gather(host, domain) {
        Ok(looked) => looked.check(host, options, stop, progress),
        Err(error) if error.kind() == Kind::NoSuchDomain => {
            Ok(Report::no_such_domain(&domain.id.to_string(), &error, options))
        }
        Err(error) => Err(error),
    }
}

/// What is known without sampling.
struct Looked {
    domain: Domain,
    setup: Option<Setup>,
    transfer: Option<Transfer>,
    host: HostInfo,
}

impl Looked {
    fn gather(host: &dyn Host, domain: &Domain) -> Result<Self> {
        let setup = match host.setup(domain.id) {
            Ok(setup) => Some(setup),
            Err(error) if error.kind() == Kind::NoSuchDomain => return Err(error),
            Err(error) => {
                log::warn!("how domain {} was built is unknown: {error}", domain.id);
                None
            }
        };
        let transfer = host.transfer(domain.id)?;
        Ok(Self { domain: domain.clone(), setup, transfer, host: host.info()? })
    }

    fn check(
        mut self,
        host: &dyn Host,
        options: &Options<'_>,
        stop: &AtomicBool,
        progress: &mut dyn FnMut(f64),
    ) -> Result<Report> {
        let bandwidth = options.link_bandwidth();
        let report = |looked: Self, judgement, sample| Report {
            subject: Subject::Domain(looked.domain),
            judgement,
            sample,
            curve: None,
            prediction: None,
            predicted_steered: false,
            budget: options.settings.budget,
            bandwidth,
        };
        let early = gate::judge(&self.facts(options, Sampling::NotTried, None));
        let certain = early.verdict == Verdict::NoGo || self.domain.state != RunState::Running;
        if !self.may_be_sampled() || (certain && !options.sample_anyway) {
            return Ok(report(self, early, None));
        }
        let plan = options.plan(&self.domain);
        let sample = match dirty::sample(host, &self.domain, &plan, stop, progress) {
            Ok(sample) => sample,
            Err(error) => {
                let judgement = gate::judge(&self.facts(options, Sampling::Failed(&error), None));
                return Ok(report(self, judgement, None));
            }
        };
        // Seconds have passed.
        self.look_again(host)?;
        let curves = Curve::all_measured(&sample.windows, self.domain.memory);
        let steered = options.predict_steered(&self.domain, &sample, &curves);
        let predicted_steered = steered.is_some();
        let prediction = steered.or_else(|| options.predict_stock(&self.domain, &sample, &curves));
        let spread = options.finish_spread();
        let prediction = prediction.map(|prediction| prediction.with_finish_spread(spread));
        let facts = self.facts(options, Sampling::Taken(&sample), prediction.as_ref());
        let judgement = gate::judge(&facts);
        let curve = Curve::mean(&curves);
        Ok(Report { curve, prediction, predicted_steered, ..report(self, judgement, Some(sample)) })
    }

    fn facts<'a>(
        &'a self,
        options: &Options<'a>,
        sampling: Sampling<'a>,
        prediction: Option<&'a Prediction>,
    ) -> Facts<'a> {
        Facts {
            domain: &self.domain,
            setup: self.setup.as_ref(),
            transfer: self.transfer.as_ref(),
            host: &self.host,
            target: None,
            sampling,
            bandwidth: options.link_bandwidth().map(|(rate, _)| rate),
            costs: options.costs(),
            prediction,
            budget: &options.settings.budget,
            thresholds: &options.settings.thresholds,
        }
    }

    /// Whether its dirty log may be touched at all.
    fn may_be_sampled(&self) -> bool {
        let lives = matches!(self.domain.state, RunState::Running | RunState::Paused);
        lives && self.domain.id != DomId::DOM0 && self.transfer.is_none()
    }

    /// What may have changed while sampling. A domain that has gone by now is left as it was: the
    /// sample says that it went, or it did so after the last window, which no check can exclude.
    fn look_again(&mut self, host: &dyn Host) -> Result<()> {
        let id = self.domain.id;
        let now = host.domain(id).and_then(|domain| Ok((domain, host.transfer(id)?)));
        match now {
            Ok((domain, transfer)) => {
                self.domain = domain;
                self.transfer = transfer;
                Ok(())
            }
            Err(error) if error.kind() == Kind::NoSuchDomain => {
                self.domain.state = RunState::Dying;
                Ok(())
            }
            Err(error) => Err(error),
        }
    }
}

impl Report {
    /// The report on a domain that does not exist: `error`, of kind [`Kind::NoSuchDomain`], is
    /// what [`Host::find`] gave for `name`.
    #[must_use]
    pub fn no_such_domain(name: &str, error: &Error, options: &Options<'_>) -> Self {
        Self {
            subject: Subject::Unknown(name.to_owned()),
            judgement: gate::no_such_domain(name, error),
            sample: None,
            curve: None,
            prediction: None,
            predicted_steered: false,
            budget: options.settings.budget,
            bandwidth: options.link_bandwidth(),
        }
    }

    /// The JSON document `xenmig.check/1`.
    #[must_use]
    pub fn document(&self) -> Document<'_> {
        Document::new(self)
    }
}
