//! What a command that looks at a host works with: the host, the configuration, and whether the
//! user wants it to stop.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use xenmig::config::{Config, Settings};
use xenmig::history::Calibration;
use xenmig::host::{Host, Recovery};
use xenmig::migrate::settings::learn;
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
    Sim(Box<SimHost>),
}

impl Session {
    /// Opens the host the user chose.
    pub fn open(global: &Global) -> Result<Self> {
        let config = Config::load(global.config.as_deref())?;
        let opened = match &global.host {
            HostChoice::Xen => Opened::Xen(XenHost::open(options(&config))?),
            HostChoice::Sim => Opened::Sim(Box::new(SimHost::builtin())),
            HostChoice::SimFile(file) => Opened::Sim(Box::new(SimHost::open(file)?)),
        };
        Ok(Self { opened, config, stop: Arc::default() })
    }

    pub fn host(&self) -> &dyn Host {
        match &self.opened {
            Opened::Xen(host) => host,
            Opened::Sim(host) => host.as_ref(),
        }
    }

    /// Makes ready to sample: from here on signals set [`Session::stop`] instead of ending the
    /// process, so that a dirty log is always switched off; and what killed runs left is cleaned,
    /// but for suspended domains: nobody asked about those.
    pub fn prepare_to_sample(&self) -> Result<()> {
        for signal in [SIGINT, SIGTERM, SIGHUP] {
            signal_hook::flag::register(signal, Arc::clone(&self.stop)).map_err(|cause| {
                Error::new(Kind::Internal, "cannot watch for signals").because(cause)
            })?;
        }
        // What cannot be cleaned is found out again, and refused, where it is in the way.
        match self.host().recover(Recovery::Tidy) {
            Ok(cleaned) => {
                for cleaned in cleaned {
                    log::warn!("domain {}: {}", cleaned.domid, cleaned.what);
                }
            }
            Err(error) => log::warn!("cannot clean up after killed runs: {error}"),
        }
        Ok(())
    }

    /// What holds for `domain`, on its way to `target` if that is known. A simulated host knows its
    /// own link and costs; the configuration wins over it as it does over what is learnt.
    pub fn settings(&self, domain: &str, target: Option<&str>) -> Settings {
        let mut settings = self.config.settings(domain, target);
        if let Opened::Sim(host) = &self.opened {
            settings.bandwidth = settings.bandwidth.or(host.link());
            settings.costs.finish = settings.costs.finish.or(host.finish());
        }
        settings
    }

    /// What earlier migrations from this host showed, those to `target` if there were any; `None`
    /// when there were none at all.
    pub fn calibration(&self, target: Option<&str>) -> Option<Calibration> {
        match self.opened {
            Opened::Xen(_) => learn(&self.config, target),
            Opened::Sim(_) => None,
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

/// What is known without opening a real host, for commands that only look into the past.
pub enum Memory {
    /// Of this host, by its configuration.
    Real(Config),
    /// A simulated host knows its link.
    Simulated(Session),
}

impl Memory {
    pub fn open(global: &Global) -> Result<Self> {
        match global.host {
            HostChoice::Xen => Config::load(global.config.as_deref()).map(Self::Real),
            HostChoice::Sim | HostChoice::SimFile(_) => Session::open(global).map(Self::Simulated),
        }
    }

    pub const fn config(&self) -> &Config {
        match self {
            Self::Real(config) => config,
            Self::Simulated(session) => &session.config,
        }
    }

    /// What holds for `domain`, whatever its target.
    pub fn settings(&self, domain: &str) -> Settings {
        match self {
            Self::Real(config) => config.settings(domain, None),
            Self::Simulated(session) => session.settings(domain, None),
        }
    }

    /// See [`Session::calibration`].
    pub fn calibration(&self) -> Option<Calibration> {
        match self {
            Self::Real(config) => learn(config, None),
            Self::Simulated(session) => session.calibration(None),
        }
    }
}

fn options(config: &Config) -> Options {
    Options {
        save_helpers: config.save_helpers().to_vec(),
        hook: config.hook().map(ToOwned::to_owned),
        ..Options::default()
    }
}
