//! The service's loop: look who is there, wait for whose turn it is, sample, keep.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use super::board::{Board, Cost, Latest, Skip, WORKING_SET_S};
use super::journal::Journal;
use super::schedule::Schedule;
use super::settings::Settings;
use crate::dirty::{self, Curve, Ended, Sample};
use crate::error::{Error, Kind, Result};
use crate::history::{
    Calibration, HistoryStore, Logged, Observation, OutcomeRecord, OutcomeStore, calibrate,
};
use crate::host::{CpuTimes, DomId, Domain, Host, RunState, Uuid};
use crate::units::{PAGE_SIZE, Pages};

/// How often it is looked who is there.
const LOOK: Duration = Duration::from_secs(30);
/// Longest sleep: the service manager wants to hear of us.
const SLEEP: Duration = Duration::from_secs(10);
/// How often old samples are thinned out.
const THIN: Duration = Duration::from_secs(86_400);
/// Host utilisation over less than this says little.
const BRIEF: Duration = Duration::from_secs(1);

/// What a migration of the sampled domain, of that dirty curve, would cost by what earlier ones
/// showed; `None` when no bandwidth is known.
pub type Predict<'a> = &'a dyn Fn(&Domain, &Sample, &Curve, Option<&Calibration>) -> Option<Cost>;

/// What the service tells while it runs.
#[derive(Debug)]
pub enum Event<'a> {
    /// It is still at work.
    Alive,
    /// A domain was sampled.
    Sampled(&'a Domain, &'a Observation),
    /// A domain's turn brought nothing.
    Skipped(&'a Domain, Skip),
}

/// See the module.
pub struct Recorder<'a> {
    host: &'a dyn Host,
    settings: &'a Settings,
    store: HistoryStore,
    predict: Predict<'a>,
    outcomes: Option<(OutcomeStore, Option<SystemTime>)>,
    /// What those outcomes show.
    calibration: Option<Calibration>,
    board: Arc<Mutex<Board>>,
    schedule: Schedule,
    journal: Journal,
    cpu: Option<CpuTimes>,
    /// Share of the host's CPU time in use.
    busy: f64,
    /// Who is there, Dom0 excluded.
    present: Vec<Domain>,
}

impl<'a> Recorder<'a> {
    /// A service that samples the domains of `host` into `store`.
    #[must_use]
    pub fn new(
        host: &'a dyn Host,
        settings: &'a Settings,
        store: HistoryStore,
        predict: Predict<'a>,
    ) -> Self {
        Self {
            host,
            settings,
            store,
            predict,
            outcomes: None,
            calibration: None,
            board: Arc::default(),
            schedule: Schedule::new(settings),
            journal: Journal::default(),
            cpu: None,
            busy: 0.0,
            present: Vec::new(),
        }
    }

    /// Also shows the outcomes of migrations that are remembered in this state directory, and
    /// predicts by them.
    #[must_use]
    pub fn showing_outcomes(mut self, state_dir: PathBuf) -> Self {
        self.outcomes = Some((OutcomeStore::new(&state_dir), None));
        self
    }

    /// What it knows, for the HTTP server.
    #[must_use]
    pub fn board(&self) -> Arc<Mutex<Board>> {
        Arc::clone(&self.board)
    }

    fn write(&self) -> MutexGuard<'_, Board> {
        self.board.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs until `stop` is set, or for the time `length`.
    ///
    /// # Errors
    /// What makes sampling impossible on this host at all: [`Kind::Permission`],
    /// [`Kind::Unguarded`], [`Kind::NoXen`]. Whatever else fails is logged, counted and tried again.
    pub fn run(
        &mut self,
        length: Option<Duration>,
        stop: &AtomicBool,
        tell: &mut dyn FnMut(&Event<'_>),
    ) -> Result<()> {
        self.write().xen_version = self.host.info()?.xen_version;
        let begun = self.host.now().monotonic;
        let end = length.map(|length| begun + length);
        let (mut look, mut thin) = (begun, begun + THIN);
        while !stop.load(Ordering::Relaxed) {
            let now = self.host.now().monotonic;
            if end.is_some_and(|end| now >= end) {
                break;
            }
            tell(&Event::Alive);
            if now >= look {
                self.look(now)?;
                look = now + LOOK;
            }
            if now >= thin {
                self.thin();
                thin = now + THIN;
            }
            let next = self.schedule.next();
            match next {
                Some((uuid, due)) if due <= now => self.turn(uuid, stop, tell)?,
                _ => {
                    let until = next.map_or(look, |(_, due)| due.min(look)).min(now + SLEEP);
                    self.host.pause(until.saturating_sub(now), stop);
                }
            }
        }
        Ok(())
    }

    /// Who is there now?
    fn look(&mut self, now: Duration) -> Result<()> {
        let looked = self.host.domains().and_then(|domains| Ok((domains, self.host.info()?)));
        let (mut domains, info) = match looked {
            Ok(looked) => looked,
            Err(error) if is_final(&error) => return Err(error),
            Err(error) => {
                log::warn!("cannot look which domains there are, will try again: {error}");
                return Ok(());
            }
        };
        domains.retain(|domain| domain.id != DomId::DOM0 && domain.state != RunState::Dying);
        self.schedule.see(now, domains.iter().map(|domain| domain.uuid));
        self.present = domains;
        self.look_at_cpu();
        let bytes = self.store.size_bytes().unwrap_or_default();
        let outcomes = self.new_outcomes();
        let mut calibration = self.calibration;
        let mut board = self.write();
        board.domains.retain(|uuid, _| self.present.iter().any(|domain| domain.uuid == *uuid));
        board.free_memory = Pages(info.free_memory.0 / PAGE_SIZE);
        board.interval_s = self.schedule.interval().as_secs_f64();
        board.store_bytes = bytes;
        board.cpu_s = cpu_s();
        if let Some(records) = outcomes {
            calibration = calibrate(&records, None);
            board.migrations = records;
        }
        drop(board);
        self.calibration = calibration;
        Ok(())
    }

    /// The outcomes of migrations, if there are new ones.
    fn new_outcomes(&mut self) -> Option<Vec<OutcomeRecord>> {
        let (store, read) = self.outcomes.as_mut()?;
        let changed = std::fs::metadata(store.path()).and_then(|about| about.modified()).ok();
        if changed == *read {
            return None;
        }
        *read = changed;
        store.read().map(|outcomes| outcomes.records).ok()
    }

    /// How busy the host has been since the last look.
    fn look_at_cpu(&mut self) {
        let Ok(now) = self.host.cpu_times(DomId::DOM0) else { return };
        let Some(before) = &self.cpu else {
            self.cpu = Some(now);
            return;
        };
        if now.at.saturating_sub(before.at) < BRIEF {
            return;
        }
        let Some(busy) = now.host_utilisation_since(before) else { return };
        let cpus = now.idle.len() as u32;
        self.busy = busy;
        self.write().host_cpus = Some((busy * f64::from(cpus), cpus));
        self.cpu = Some(now);
    }

    /// The turn of one domain.
    fn turn(
        &mut self,
        uuid: Uuid,
        stop: &AtomicBool,
        tell: &mut dyn FnMut(&Event<'_>),
    ) -> Result<()> {
        let known = self.present.iter().find(|domain| domain.uuid == uuid).cloned();
        let begun = self.host.now().monotonic;
        let Some(known) = known else {
            self.schedule.done(uuid, begun, false);
            return Ok(());
        };
        let sampled = self.sample(&known, stop);
        let now = self.host.now().monotonic;
        self.schedule.done(uuid, now, sampled.is_ok());
        match sampled {
            Ok((domain, sample, observation)) => {
                self.keep(&domain, &sample, &observation);
                tell(&Event::Sampled(&domain, &observation));
            }
            Err(Missed::Final(error)) => return Err(error),
            Err(Missed::Stopped) => {}
            Err(Missed::Skip(skip)) => {
                *self.write().skipped.entry(skip).or_default() += 1;
                tell(&Event::Skipped(&known, skip));
            }
        }
        Ok(())
    }

    fn sample(
        &mut self,
        known: &Domain,
        stop: &AtomicBool,
    ) -> Result<(Domain, Sample, Observation), Missed> {
        let domain = self.host.domain(known.id)?;
        if domain.uuid != known.uuid {
            // Another one has its domid now; the next look will find out.
            return Err(Missed::Skip(Skip::NotRunning));
        }
        if domain.state != RunState::Running {
            return Err(Missed::Skip(Skip::NotRunning));
        }
        if self.host.transfer(domain.id)?.is_some() {
            return Err(Missed::Skip(Skip::Moving));
        }
        self.look_at_cpu();
        let now = self.host.now();
        let busy = self.busy > self.settings.busy;
        if busy && self.schedule.may_wait(domain.uuid, now.monotonic) {
            return Err(Missed::Skip(Skip::HostBusy));
        }
        let plan = self.settings.plan();
        let sample = dirty::sample(self.host, &domain, &plan, stop, &mut |_| {})?;
        let on: Duration = sample.windows.iter().map(dirty::Window::length).sum();
        self.write().log_dirty_s += on.as_secs_f64();
        let window = sample.windows.first().filter(|window| window.ended == Ended::Complete);
        match window.and_then(|window| Observation::of(window, now.unix_s)) {
            Some(observation) => Ok((domain, sample, observation)),
            None if stop.load(Ordering::Relaxed) => Err(Missed::Stopped),
            None => Err(Missed::Skip(Skip::CutShort)),
        }
    }

    fn keep(&mut self, domain: &Domain, sample: &Sample, observation: &Observation) {
        let logged = Logged::from(domain);
        let curve = observation.curve(domain.memory);
        let learnt = self.calibration.as_ref();
        let predict = |curve| (self.predict)(domain, sample, curve, learnt);
        let predicted = curve.as_ref().and_then(predict);
        self.journal.add(&mut self.store, logged.clone(), observation.clone());
        let mut board = self.board.lock().unwrap_or_else(PoisonError::into_inner);
        let samples = board.domains.get(&domain.uuid).map_or(0, |latest| latest.samples) + 1;
        // At the planned times: the real ones differ each time, and a label that does too has no end.
        let plan = self.settings.plan();
        let looks = plan.moments(plan.window).into_iter().map(|at| at.as_secs_f64());
        let at = |s: f64| curve.as_ref().map_or(0.0, |curve| curve.pages_at(s));
        let latest = Latest {
            logged,
            at_unix_s: observation.at_unix_s,
            points: looks.map(|s| (s, at(s))).collect(),
            dirty_rate: observation.dirty_rate(),
            working_set: at(WORKING_SET_S),
            guest_cpus: observation.guest_cpus,
            predicted,
            samples,
        };
        board.domains.insert(domain.uuid, latest);
        board.samples += 1;
        board.pending = self.journal.waiting();
        board.store_errors = self.journal.errors;
        board.dropped = self.journal.dropped;
    }

    fn thin(&mut self) {
        let present: Vec<_> = self.present.iter().map(|domain| domain.uuid).collect();
        match self.store.thin(&self.settings.keep(), &present) {
            Ok(thinned) => log::info!("thinned out the log: {thinned:?}"),
            Err(error) => {
                log::error!("{error}");
                self.write().store_errors += 1;
            }
        }
    }
}

/// Why a turn brought no sample.
enum Missed {
    Skip(Skip),
    /// The user stopped it.
    Stopped,
    /// There will be none on this host.
    Final(Error),
}

/// The host will not let anybody sample, now or later.
fn is_final(error: &Error) -> bool {
    matches!(error.kind(), Kind::Permission | Kind::Unguarded | Kind::NoXen)
}

impl From<Error> for Missed {
    fn from(error: Error) -> Self {
        let skip = match error.kind() {
            _ if is_final(&error) => return Self::Final(error),
            Kind::Interrupted => return Self::Stopped,
            Kind::NoSuchDomain => Skip::CutShort,
            Kind::Busy => Skip::LogBusy,
            Kind::Unsupported => Skip::Unsupported,
            _ => {
                log::warn!("{error}");
                Skip::Failed
            }
        };
        Self::Skip(skip)
    }
}

/// CPU time that this process has used, in seconds.
fn cpu_s() -> f64 {
    let used = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    used.tv_sec as f64 + used.tv_nsec as f64 / 1e9
}
