//! What is known of a domain without sampling, and the checks that go on from there.

use std::sync::atomic::AtomicBool;
use std::time::Duration;

use super::{Options, Report, Subject};
use crate::dirty::{self, Curve, Plan, Sample};
use crate::error::{Kind, Result};
use crate::host::{
    DomId, Domain, Equipment, FeatureSet, Host, HostInfo, RunState, Setup, Transfer,
};
use crate::model::Prediction;
use crate::policy::gate::{self, Facts, Judgement, Sampling, Target, Verdict};
use crate::policy::precopy::OnMiss;

/// What is known without sampling.
pub(super) struct Looked {
    domain: Domain,
    setup: Option<Setup>,
    transfer: Option<Transfer>,
    host: HostInfo,
    /// What only matters beside a target, and is empty without one.
    equipment: Equipment,
    given: Option<FeatureSet>,
}

impl Looked {
    pub(super) fn gather(host: &dyn Host, domain: &Domain, with_target: bool) -> Result<Self> {
        let id = domain.id;
        let setup = match host.setup(id) {
            Ok(setup) => Some(setup),
            Err(error) if error.kind() == Kind::NoSuchDomain => return Err(error),
            Err(error) => {
                log::warn!("how domain {id} was built is unknown: {error}");
                None
            }
        };
        let (mut equipment, mut given) = (Equipment::default(), None);
        if with_target {
            equipment = host.equipment()?;
            given = host.given_features(id).unwrap_or_else(|error| {
                log::warn!("the CPU features of domain {id} are unknown: {error}");
                None
            });
        }
        let transfer = host.transfer(id)?;
        let host = host.info()?;
        Ok(Self { domain: domain.clone(), setup, transfer, host, equipment, given })
    }

    /// One report for each question.
    pub(super) fn check(
        mut self,
        host: &dyn Host,
        questions: &[Options<'_>],
        stop: &AtomicBool,
        progress: &mut dyn FnMut(f64),
    ) -> Result<Vec<Report>> {
        let early = |options| self.judge(options, Sampling::NotTried, None, false);
        let early: Vec<_> = questions.iter().map(early).collect();
        let paused = self.domain.state != RunState::Running;
        let needs_sample = |options: &Options<'_>, early: &Judgement| {
            options.sample_anyway || !(paused || early.verdict == Verdict::NoGo)
        };
        let plans = questions.iter().zip(&early).filter(|(q, early)| needs_sample(q, early));
        let longest = plans.map(|(q, _)| q.plan(&self.domain)).max_by_key(length);
        let Some(plan) = longest.filter(|_| self.may_be_sampled()) else {
            let reports = questions.iter().zip(early).map(|(q, early)| self.report(q, early));
            return Ok(reports.collect());
        };
        let sampled = dirty::sample(host, &self.domain, &plan, stop, progress);
        if sampled.is_ok() {
            // Seconds have passed.
            self.look_again(host)?;
        }
        let curves = sampled.as_ref().map(|s| Curve::all_measured(&s.windows, self.domain.memory));
        let curves = curves.unwrap_or_default();
        let report = |(options, early): (&Options<'_>, Judgement)| match &sampled {
            _ if !needs_sample(options, &early) => self.report(options, early),
            Ok(sample) => self.judge_sampled(options, sample, &curves),
            Err(error) => {
                self.report(options, self.judge(options, Sampling::Failed(error), None, false))
            }
        };
        Ok(questions.iter().zip(early).map(report).collect())
    }

    fn judge_sampled(&self, options: &Options<'_>, sample: &Sample, curves: &[Curve]) -> Report {
        let steered = options.predict_steered(&self.domain, sample, curves);
        let predicted_steered = steered.is_some();
        let prediction = steered.or_else(|| options.predict_stock(&self.domain, sample, curves));
        let spread = options.finish_spread();
        let prediction = prediction.map(|prediction| prediction.with_finish_spread(spread));
        let sampling = Sampling::Taken(sample);
        let judgement = self.judge(options, sampling, prediction.as_ref(), predicted_steered);
        let (sample, curve) = (Some(sample.clone()), Curve::mean(curves));
        Report { sample, curve, prediction, predicted_steered, ..self.report(options, judgement) }
    }

    /// A report without a sample.
    fn report(&self, options: &Options<'_>, judgement: Judgement) -> Report {
        Report::unsampled(Subject::Domain(self.domain.clone()), judgement, options)
    }

    fn judge(
        &self,
        options: &Options<'_>,
        sampling: Sampling<'_>,
        prediction: Option<&Prediction>,
        steered: bool,
    ) -> Judgement {
        gate::judge(&Facts {
            domain: &self.domain,
            setup: self.setup.as_ref(),
            transfer: self.transfer.as_ref(),
            host: &self.host,
            target: options.target.map(|target| Target {
                inventory: &target.inventory,
                here: &self.equipment,
                given: self.given.as_ref(),
            }),
            sampling,
            bandwidth: options.link_bandwidth().map(|(rate, _)| rate),
            costs: options.costs(),
            prediction,
            downtime_enforced: steered && options.settings.steering.on_miss == OnMiss::Abort,
            budget: &options.settings.budget,
            thresholds: &options.settings.thresholds,
        })
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

/// How long a sample takes, without its pauses.
fn length(plan: &Plan) -> Duration {
    plan.window.saturating_mul(plan.windows)
}
