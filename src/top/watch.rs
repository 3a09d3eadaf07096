//! Looks at the host and its domains, and samples these in turn. Log-dirty has one owner, so there
//! is never more than one sample; and none of the domains pays for it all the time.

use std::time::{Duration, Instant};

use xenmig::check::{self, Options, Policy};
use xenmig::history::Calibration;
use xenmig::host::{CpuTimes, Domain, Host};
use xenmig::{Kind, Result};

use super::meter::{Meter, SHORTEST};
use super::{Asked, Row, Snapshot};
use crate::session::Session;

/// A domain rests for so many times as long as its check took: its log is on for at most a fifth of
/// the time.
const REST: u32 = 4;
/// How soon a request to stop is noticed between refreshes.
const NOTICE: Duration = Duration::from_millis(20);

/// Called while a domain is sampled, with the share that is done, 0 to 1.
pub type Progress<'a> = &'a mut dyn FnMut(&Domain, f64);

/// What is watched.
pub struct Watch<'a> {
    session: &'a Session,
    asked: &'a Asked<'a>,
    calibration: Option<Calibration>,
    watched: Vec<Watched>,
    /// Checks made so far.
    checks: u64,
}

struct Watched {
    row: Row,
    meter: Meter,
    /// Which check was its last one; 0 before the first.
    checked: u64,
    /// Until when it is left alone, on the host's clock.
    rests_until: Duration,
}

/// When a refresh began, on the clock of this machine and on the host's.
pub struct Begun {
    here: Instant,
    there: Duration,
}

impl<'a> Watch<'a> {
    /// `session` is ready to sample.
    pub fn new(session: &'a Session, asked: &'a Asked<'a>) -> Self {
        let calibration = session.calibration(None);
        Self { session, asked, calibration, watched: Vec::new(), checks: 0 }
    }

    /// Looks at the host and at all its domains, and costs them nothing.
    pub fn look(&mut self) -> Result<Snapshot> {
        let host = self.host();
        let mut before = std::mem::take(&mut self.watched);
        let mut cpu_utilisation = None;
        for domain in host.domains()? {
            let times = match host.cpu_times(domain.id) {
                Err(error) if error.kind() == Kind::NoSuchDomain => continue,
                times => times?,
            };
            let same = |watched: &Watched| watched.is(&domain);
            let known = before.iter().position(same).map(|at| before.swap_remove(at));
            let mut watched = known.unwrap_or_else(|| Watched::new(domain.clone()));
            watched.update(domain, times);
            cpu_utilisation = cpu_utilisation.or(watched.meter.host);
            self.watched.push(watched);
        }
        let rows = self.watched.iter().map(|watched| watched.row.clone()).collect();
        Ok(Snapshot { at: self.now(), host: host.info()?, cpu_utilisation, rows })
    }

    /// Checks the domains whose turn it is, up to the first that is sampled.
    pub fn turn(&mut self, progress: Progress<'_>) -> Result<()> {
        let begun = self.checks;
        let now = self.now();
        while let Some(at) = self.next(begun, now) {
            if self.session.interrupted() || self.check(at, progress)? {
                break;
            }
        }
        Ok(())
    }

    /// Looks, checks each domain once, and looks again.
    pub fn once(&mut self, progress: Progress<'_>) -> Result<Snapshot> {
        let begun = self.look()?.at;
        for at in 0..self.watched.len() {
            if self.session.interrupted() {
                break;
            }
            self.check(at, progress)?;
        }
        let left = SHORTEST.saturating_sub(self.now().saturating_sub(begun));
        self.host().pause(left, &self.session.stop);
        self.look()
    }

    /// A refresh begins.
    pub fn begin(&self) -> Result<Begun> {
        Ok(Begun { here: Instant::now(), there: self.now() })
    }

    /// Waits until the next refresh is due; `false` when the user wants to stop.
    pub fn rest(&self, begun: &Begun) -> Result<bool> {
        let (interval, stop) = (self.asked.interval, &self.session.stop);
        let left = interval.saturating_sub(self.now().saturating_sub(begun.there));
        if !self.host().pause(left, stop) {
            return Ok(false);
        }
        // In virtual time that was over at once, but the user's time is real.
        while !self.session.interrupted() {
            let left = interval.saturating_sub(begun.here.elapsed());
            if left.is_zero() {
                return Ok(true);
            }
            std::thread::sleep(left.min(NOTICE));
        }
        Ok(false)
    }

    /// Whose turn it is of those that were not checked since check number `begun` and have rested:
    /// whoever has waited longest.
    fn next(&self, begun: u64, now: Duration) -> Option<usize> {
        let due = |watched: &Watched| watched.checked <= begun && watched.rests_until <= now;
        let due = self.watched.iter().enumerate().filter(|(_, watched)| due(watched));
        due.min_by_key(|(_, watched)| watched.checked).map(|(at, _)| at)
    }

    /// Checks a domain; says whether it was sampled.
    fn check(&mut self, at: usize, progress: Progress<'_>) -> Result<bool> {
        let domain = self.watched[at].row.domain.clone();
        let settings = self.asked.settings(self.session.settings(&domain.name, None))?;
        let options = Options {
            settings: &settings,
            calibration: self.calibration.as_ref(),
            bandwidth: self.asked.bandwidth,
            sample_anyway: false,
            policy: Policy::Stock,
            target: None,
        };
        let begun = self.now();
        let mut progress = |done| progress(&domain, done);
        let stop = &self.session.stop;
        let report = check::check(self.host(), &domain, &options, stop, &mut progress)?;
        let sampled = report.sample.is_some();
        if sampled && self.session.interrupted() {
            log::info!("the sample was cut short; the dirty log of domain {} is off", domain.id);
        }
        let now = self.now();
        self.checks += 1;
        let watched = &mut self.watched[at];
        watched.checked = self.checks;
        watched.rests_until = now + now.saturating_sub(begun) * REST;
        watched.row.checked(report, now);
        Ok(sampled)
    }

    fn host(&self) -> &'a dyn Host {
        self.session.host()
    }

    /// The time on the host's clock.
    fn now(&self) -> Duration {
        self.host().now().monotonic
    }
}

impl Watched {
    fn new(domain: Domain) -> Self {
        let rests_until = Duration::ZERO;
        Self { row: Row::new(domain), meter: Meter::default(), checked: 0, rests_until }
    }

    /// Whether it is this one, and not another that was given its domid.
    fn is(&self, domain: &Domain) -> bool {
        (self.row.domain.id, self.row.domain.uuid) == (domain.id, domain.uuid)
    }

    fn update(&mut self, domain: Domain, times: CpuTimes) {
        self.meter.read(times);
        self.row.domain = domain;
        self.row.vcpu_utilisation.clone_from(&self.meter.vcpus);
    }
}

#[cfg(test)]
mod tests;
