//! What `report` shows, for both kinds of output.

use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};
use xenmig::history::{AtBandwidth, OutcomeRecord, Spread, Week};

use crate::outlook::{Outlook, local};

/// See the module.
pub struct Report {
    /// The host that the log is of; `None` where the past is of many.
    pub host: Option<String>,
    /// Where the past is from.
    pub source: String,
    /// When it was made.
    pub at: Timestamp,
    /// Since when the past is shown.
    pub since: Timestamp,
    pub zone: TimeZone,
    /// By name.
    pub domains: Vec<Portrait>,
    /// Domains that were asked for or are known, and of which nothing was seen since then.
    pub unseen: Vec<String>,
    /// Oldest first.
    pub migrations: Vec<OutcomeRecord>,
}

/// What is known of one domain.
pub struct Portrait {
    pub outlook: Outlook,
    pub week: Week,
    /// What the dirty curves of the last week say.
    pub dirtied: Vec<Spread>,
    /// What migrations would have cost in the last week.
    pub by_bandwidth: Vec<AtBandwidth>,
}

impl Report {
    /// See [`local`].
    pub fn local(&self, unix_s: i64) -> Zoned {
        local(unix_s, &self.zone)
    }
}

impl Portrait {
    /// Downtime of a stock migration over the known link: median and p90, in seconds. `None` when
    /// nothing could be predicted.
    pub fn downtime(&self) -> Option<(f64, f64)> {
        let here = self.outlook.link.bandwidth;
        let at = self.by_bandwidth.iter().find(|at| at.bandwidth_bytes_per_s == here)?;
        at.downtime_s.zip(at.downtime_p90_s)
    }

    /// Pages per second over the time that samples look: median and p90. `None` when nothing was
    /// seen.
    pub fn dirty_rate(&self) -> Option<(f64, f64)> {
        let last = self.dirtied.last().filter(|last| last.s > 0.0)?;
        Some((last.p50_pages / last.s, last.p90_pages / last.s))
    }

    /// The least bandwidth from which on nine of ten stock migrations keep the downtime, and that
    /// from which on nine of ten do that send on until the rest fits; `None` where none does, or
    /// there is no limit.
    pub fn enough(&self) -> (Option<&AtBandwidth>, Option<&AtBandwidth>) {
        let limit = self.outlook.wanted.downtime.map(|limit| limit.as_secs_f64());
        let stock = |at: &AtBandwidth| {
            limit.is_some_and(|limit| at.downtime_p90_s.is_some_and(|s| s <= limit))
        };
        let steered = |at: &AtBandwidth| at.fits.is_some_and(|share| share >= 0.9);
        (from(&self.by_bandwidth, stock), from(&self.by_bandwidth, steered))
    }
}

/// The first from which on all `keep`.
fn from(all: &[AtBandwidth], keep: impl Fn(&AtBandwidth) -> bool) -> Option<&AtBandwidth> {
    all.iter().rev().take_while(|at| keep(at)).last()
}
