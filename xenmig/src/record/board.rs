//! What the service knows now. The recorder writes it, the HTTP server reads it.

use std::collections::BTreeMap;

use crate::history::{Logged, OutcomeRecord};
use crate::host::Uuid;
use crate::units::Pages;

/// Why a domain's turn brought no sample.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Skip {
    /// The host has no CPU time to spare.
    HostBusy,
    /// It is being saved, or arrives.
    Moving,
    /// It does not run.
    NotRunning,
    /// Somebody else has its dirty log.
    LogBusy,
    /// Its pages cannot be logged.
    Unsupported,
    /// It went, or a save began, while it was looked at.
    CutShort,
    /// The hypervisor answered with an error.
    Failed,
}

impl Skip {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::HostBusy,
        Self::Moving,
        Self::NotRunning,
        Self::LogBusy,
        Self::Unsupported,
        Self::CutShort,
        Self::Failed,
    ];

    /// As metrics have it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::HostBusy => "host_busy",
            Self::Moving => "moving",
            Self::NotRunning => "not_running",
            Self::LogBusy => "log_busy",
            Self::Unsupported => "unsupported",
            Self::CutShort => "cut_short",
            Self::Failed => "failed",
        }
    }
}

/// The last sample of a domain.
#[derive(Debug, Clone)]
pub struct Latest {
    /// The domain.
    pub logged: Logged,
    /// When, in seconds since 1970.
    pub at_unix_s: i64,
    /// (seconds, pages) of its dirty curve.
    pub points: Vec<(f64, f64)>,
    /// Pages per second over the window.
    pub dirty_rate: f64,
    /// Distinct pages that it writes to within [`WORKING_SET_S`].
    pub working_set: f64,
    /// CPUs' worth of time that it used.
    pub guest_cpus: f64,
    /// What a stock migration over the configured link would cost; `None` when no bandwidth is
    /// known.
    pub predicted: Option<Cost>,
    /// Samples of it since the service began.
    pub samples: u64,
}

/// The working set is what is written to within so many seconds.
pub const WORKING_SET_S: f64 = 60.0;

/// What a migration costs.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Cost {
    /// Start of the save to the guest running at the target, in seconds.
    pub total_s: f64,
    /// Guest suspended to guest running at the target, in seconds.
    pub downtime_s: f64,
}

/// See the module.
#[derive(Debug, Clone, Default)]
pub struct Board {
    /// Version of the running hypervisor.
    pub xen_version: String,
    /// Domains that are there and were sampled.
    pub domains: BTreeMap<Uuid, Latest>,
    /// CPUs' worth of time in use, and CPUs; `None` before both were read.
    pub host_cpus: Option<(f64, u32)>,
    /// Memory no domain has.
    pub free_memory: Pages,
    /// Samples taken.
    pub samples: u64,
    /// Turns that brought none.
    pub skipped: BTreeMap<Skip, u64>,
    /// Time that dirty logs were on, in seconds.
    pub log_dirty_s: f64,
    /// From one sample of a domain to the next, in seconds.
    pub interval_s: f64,
    /// CPU time that this process has used, in seconds.
    pub cpu_s: f64,
    /// Bytes of the log.
    pub store_bytes: u64,
    /// Attempts to write to it that failed.
    pub store_errors: u64,
    /// Samples that wait for a disk that takes them.
    pub pending: usize,
    /// Samples that were dropped because too many waited.
    pub dropped: u64,
    /// Finished migrations, oldest first.
    pub migrations: Vec<OutcomeRecord>,
}
