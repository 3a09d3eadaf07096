//! What a command that looks at a host works with: the host, the configuration, and whether the
//! user wants it to stop.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use xenmig::config::{Config, Settings};
use xenmig::history::{Calibration, OutcomeStore, calibrate};
use xenmig::host::Host;
use xenmig::migrate::finish_spread;
use xenmig::sim::SimHost;
use xenmig::xen::{Options, XenHost};
use xenmig::{Error, Kind, Result};

use crate::cli::{Global, HostChoice};

/// An open host and what belongs to it.
pub struct Session {
    opened: Opened,
    pub config: Config,
    /// Set by SIGINT, SIGTERM and SIGHUP.
    pub stop: Arc<AtomicBool>,
}

enum Opened {
    Xen(XenHost),
    Sim(SimHost),
}

impl Session {
    /// Opens the host the user chose.
    pub fn open(global: &Global) -> Result<Self> {
        let config = Config::load(global.config.as_deref())?;
        let opened = match &global.host {
            HostChoice::Xen => Opened::Xen(XenHost::open(options(&config))?),
            HostChoice::Sim => Opened::Sim(SimHost::builtin()),
            HostChoice::SimFile(file) => Opened::Sim(SimHost::open(file)?),
        };
        Ok(Self { opened, config, stop: Arc::default() })
    }

    pub fn host(&self) -> &dyn Host {
        match &self.opened {
            Opened::Xen(host) => host,
            Opened::Sim(host) => host,
        }
    }

    /// Makes ready to sample: from here on signals set [`Session::stop`] instead of ending the
    /// process, so that a dirty log is always switched off; and what killed runs left is cleaned.
    pub fn prepare_to_sample(&self) -> Result<()> {
        for signal in [SIGINT, SIGTERM, SIGHUP] {
            signal_hook::flag::register(signal, Arc::clone(&self.stop)).map_err(|cause| {
                Error::new(Kind::Internal, "cannot watch for signals").because(cause)
            })?;
        }
        // What cannot be cleaned is found out again, and refused, where it is in the way.
        match self.host().recover() {
            Ok(cleaned) => {
                for cleaned in cleaned {
                    log::warn!("domain {}: {}", cleaned.domid, cleaned.what);
                }
            }
            Err(error) => log::warn!("cannot clean up after killed runs: {error}"),
        }
        Ok(())
    }

    /// What holds for `domain`, on its way to `target` if that is known. A simulated host knows its own link and costs; the configuration
    /// wins over it as it does over what is learnt.
    pub fn settings(&self, domain: &str, target: Option<&str>) -> Settings {
        let mut settings = self.config.settings(domain, target);
        if let Opened::Sim(host) = &self.opened {
            settings.bandwidth = settings.bandwidth.or(host.link());
            settings.costs.finish = settings.costs.finish.or(host.finish());
        }
        settings
    }

    /// What earlier migrations from this host showed.
    pub fn learnt(&self, target: Option<&str>) -> Learnt {
        match self.opened {
            Opened::Xen(_) => learnt(&self.config, target),
            Opened::Sim(_) => Learnt::default(),
        }
    }

    /// Where locks, notes and sockets are kept.
    pub fn run_directory(&self) -> PathBuf {
        Options::default().run_directory
    }

    /// Whether this is a real host.
    pub const fn is_real(&self) -> bool {
        matches!(self.opened, Opened::Xen(_))
    }

    /// Whether a signal came.
    pub fn interrupted(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }
}

fn options(config: &Config) -> Options {
    Options { save_helpers: config.save_helpers().to_vec(), ..Options::default() }
}

/// What earlier migrations showed.
#[derive(Default)]
pub struct Learnt {
    /// `None` when there were none.
    pub calibration: Option<Calibration>,
    /// See [`finish_spread`].
    pub finish_spread: Duration,
}

/// What the outcomes kept in the state directory show: those to `target` if there are any, or else
/// all. A prediction without them is worse, but still one.
pub fn learnt(config: &Config, target: Option<&str>) -> Learnt {
    let store = OutcomeStore::new(config.state_dir());
    let outcomes = match store.read() {
        Ok(outcomes) => outcomes,
        Err(error) => {
            log::warn!("earlier migrations are not taken into account: {error}");
            return Learnt::default();
        }
    };
    for skipped in &outcomes.skipped {
        let (path, line) = (store.path().display(), skipped.line);
        log::warn!("{path}, line {line} is skipped: {}", skipped.why);
    }
    let of = |target: Option<&str>| {
        let calibration = calibrate(&outcomes.records, target)?;
        let finish_spread = finish_spread(&outcomes.records, target);
        Some(Learnt { calibration: Some(calibration), finish_spread })
    };
    target.and_then(|target| of(Some(target))).or_else(|| of(None)).unwrap_or_default()
}
