//! How the service samples and what it keeps.

use std::time::Duration;

use crate::dirty::Plan;
use crate::history::Keep;
use crate::units::Bytes;

/// See the module.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// From one sample of a domain to the next.
    pub interval: Duration,
    /// How long each sample looks.
    pub window: Duration,
    /// Share of the host's CPU time in use from which on only every sixth interval brings a sample.
    pub busy: f64,
    /// For so long samples are kept as they are ...
    pub keep_whole: Duration,
    /// ... and thinned out for so long.
    pub keep: Duration,
    /// Largest file; beyond, domains that are not on this host any more are forgotten.
    pub max_size: Bytes,
    /// Where metrics are served, as `127.0.0.1:9817`; `None`: nowhere.
    pub listen: Option<String>,
}

/// On a busy host one interval in so many brings a sample.
pub(super) const BUSY_INTERVALS: u32 = 6;

const DAY: Duration = Duration::from_secs(86_400);

impl Default for Settings {
    fn default() -> Self {
        Self {
            interval: Duration::from_secs(300),
            window: Duration::from_secs(2),
            busy: 0.9,
            keep_whole: 14 * DAY,
            keep: 365 * DAY,
            max_size: Bytes(500 << 20),
            listen: Some("127.0.0.1:9817".to_owned()),
        }
    }
}

impl Settings {
    /// One window of each sample: looks at times that double, as few as a curve needs.
    #[must_use]
    pub fn plan(&self) -> Plan {
        let plan = Plan { window: self.window, windows: 1, brief_windows: 0, ..Plan::default() };
        Plan { ratio: 2.0, ..plan }
    }

    /// What the store keeps, in samples and hours.
    #[must_use]
    pub fn keep(&self) -> Keep {
        let count = |time: Duration, each: Duration| time.div_duration_f64(each).ceil() as u32;
        Keep {
            whole: count(self.keep_whole, self.interval),
            hours: count(self.keep, Duration::from_secs(3600)),
            bytes: self.max_size.0,
        }
    }
}
