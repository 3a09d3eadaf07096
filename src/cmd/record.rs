//! `xenmig record`: the service that keeps a log of every domain's dirtying.

use std::path::PathBuf;
use std::process::ExitCode;

use sd_notify::NotifyState;
use xenmig::check::{Options, Policy};
use xenmig::dirty::{Curve, Sample};
use xenmig::history::store::FILE;
use xenmig::history::{Calibration, HistoryStore};
use xenmig::host::Domain;
use xenmig::record::board::Cost;
use xenmig::record::serve::Metrics;
use xenmig::record::{Event, Predict, Recorder, Settings};
use xenmig::{Error, Kind, Result};

use super::quantity;
use crate::cli::{Global, Record};
use crate::session::Session;

pub fn run(args: &Record, global: &Global) -> Result<ExitCode> {
    let length = args.length.as_deref().map(|time| quantity::time("--for", time)).transpose()?;
    with_options(Settings::default(), args)?;
    if global.json {
        return Err(Error::new(Kind::Usage, "record has no answer that --json could print")
            .hint("its metrics are for programs, and so is `xenmig report --json`"));
    }
    let session = Session::open(global)?;
    let settings = with_options(session.config.record(), args)?;
    let store = HistoryStore::open(&file(args, &session)?)?;
    log::info!("the log is {}", store.path().display());
    session.prepare_to_sample()?;

    let predict: Predict<'_> =
        &|domain, sample, curve, learnt| expected(&session, domain, sample, curve, learnt);
    let mut recorder = Recorder::new(session.host(), &settings, store, predict);
    if session.is_real() {
        recorder = recorder.showing_outcomes(session.config.state_dir().to_owned());
    }
    let metrics = settings.listen.as_deref();
    let metrics = metrics.map(|address| Metrics::serve(address, recorder.board())).transpose()?;
    if let Some(metrics) = &metrics {
        log::info!("metrics are at http://{}/metrics", metrics.address());
    }
    tell_service_manager(&[NotifyState::Ready]);
    let ended = recorder.run(length, &session.stop, &mut tell);
    tell_service_manager(&[NotifyState::Stopping]);
    ended.map(|()| ExitCode::SUCCESS)
}

/// `settings`, with what the command line says in its place.
fn with_options(mut settings: Settings, args: &Record) -> Result<Settings> {
    if let Some(interval) = &args.interval {
        settings.interval = quantity::time("--interval", interval)?;
    }
    if let Some(window) = &args.window {
        settings.window = quantity::time("--window", window)?;
    }
    if let Some(listen) = &args.listen {
        settings.listen = (listen != "none").then(|| listen.clone());
    }
    Ok(settings)
}

/// The log's file: never this host's log for guests that do not exist.
fn file(args: &Record, session: &Session) -> Result<PathBuf> {
    match &args.store {
        Some(file) => Ok(file.clone()),
        None if session.is_real() => Ok(session.config.state_dir().join(FILE)),
        None => Err(Error::new(Kind::Usage, "a simulated host has no log of its own")
            .hint("name a file for it with --store")),
    }
}

/// What a stock migration of `domain` would cost.
fn expected(
    session: &Session,
    domain: &Domain,
    sample: &Sample,
    curve: &Curve,
    calibration: Option<&Calibration>,
) -> Option<Cost> {
    let settings = session.settings(&domain.name, None);
    let options = Options {
        settings: &settings,
        calibration,
        bandwidth: None,
        sample_anyway: false,
        policy: Policy::Stock,
        target: None,
    };
    let outcome = options.expected(domain, sample, curve)?;
    Some(Cost { total_s: outcome.total_s, downtime_s: outcome.downtime_s })
}

fn tell(event: &Event<'_>) {
    match event {
        Event::Alive => tell_service_manager(&[NotifyState::Watchdog]),
        Event::Sampled(domain, observation) => log::info!(
            "{}: {:.0} pages/s, {:.2} CPUs",
            domain.name,
            observation.dirty_rate(),
            observation.guest_cpus,
        ),
        Event::Skipped(domain, skip) => log::info!("{}: not sampled: {}", domain.name, skip.name()),
    }
}

/// Does nothing where no service manager asked for it.
fn tell_service_manager(state: &[NotifyState<'_>]) {
    if let Err(cause) = sd_notify::notify(false, state) {
        log::debug!("the service manager does not listen: {cause}");
    }
}
