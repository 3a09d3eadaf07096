//! What a caller and the hook in its save helper say to each other: JSON, one document a line, over
//! a Unix stream socket that the caller listens at.
//!
//! The hook says [`Hello`]; the caller answers with [`Settings`] (or closes: stock policy); then the
//! hook sends [`Event`]s until the save ends. A caller that wants the save given up writes the line
//! `"abort"`. A telemetry file has the same events.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::model::Costs;
use crate::policy::precopy::{Steering, Why};

/// What both speak.
pub const SCHEMA: &str = "xenmig.hook/1";
/// Environment variable with the path of the caller's socket.
pub const SOCKET_VARIABLE: &str = "XENMIG_HOOK_SOCKET";
/// Environment variable that libxl takes its save helper from.
pub const HELPER_VARIABLE: &str = "LIBXL_SAVE_HELPER";

/// The hook's first line.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Hello {
    /// What follows: [`SCHEMA`].
    pub schema: String,
    /// The domain that is being saved.
    pub domid: u16,
    /// The save helper's process.
    pub pid: u32,
}

/// The caller's answer: how to steer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Settings {
    /// Most downtime; `None` is unlimited.
    pub downtime_s: Option<f64>,
    /// Most total time; `None` is unlimited.
    pub total_s: Option<f64>,
    /// Most bytes; `None` is unlimited.
    pub bytes: Option<u64>,
    /// How far to go.
    pub steering: Steering,
    /// What earlier migrations showed; `None` when there were none.
    pub bandwidth_bytes_per_s: Option<f64>,
    /// What the hosts add.
    pub costs: Costs,
    /// See [`crate::policy::precopy::Known::finish_spread`].
    pub finish_spread_s: f64,
    /// See [`crate::policy::precopy::Known::steady`].
    #[serde(default)]
    pub steady: Option<bool>,
    /// Also write the events to this file.
    pub telemetry: Option<PathBuf>,
}

/// What happens in a save. Times are seconds since it began.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// The save begins.
    Begin {
        /// On the host's monotonic clock, so that others' times can be set beside it.
        monotonic_s: f64,
        /// Pages the guest has.
        populated_pages: u64,
        /// One above its highest pfn.
        p2m_pages: u64,
    },
    /// A send begins.
    Send {
        /// When.
        t: f64,
        /// From 0; round 0 sends everything.
        round: u32,
        /// Pages to send; holes are none.
        pages: u64,
    },
    /// A send has ended.
    Sent {
        /// When.
        t: f64,
        /// Which.
        round: u32,
        /// Pages sent.
        pages: u64,
        /// Bytes on the wire.
        bytes: u64,
        /// How long it took.
        s: f64,
        /// Pages dirty now.
        pending: u64,
    },
    /// What the controller decided after a send or a wait.
    Decision {
        /// When.
        t: f64,
        /// Pages dirty now.
        pending: u64,
        /// Those of them dirtied since the log was cleaned.
        #[serde(default)]
        fresh: u64,
        /// `continue`, `part`, `stop_and_copy`, `abort`, `wait` or `throttle`.
        decision: String,
        /// Why.
        why: Why,
        /// Downtime if the guest were suspended now, upper quantile; `None` before a bandwidth is
        /// known.
        downtime_s: Option<f64>,
        /// The same as it is to be expected.
        #[serde(default)]
        expected_downtime_s: Option<f64>,
        /// Bandwidth as measured so far.
        bandwidth_bytes_per_s: Option<f64>,
    },
    /// The guest is being asked to suspend.
    Suspending {
        /// When.
        t: f64,
    },
    /// It is suspended.
    Suspended {
        /// When.
        t: f64,
    },
    /// The last set is being sent: so many pages, exactly.
    Last {
        /// When.
        t: f64,
        /// Pages of it.
        pages: u64,
    },
    /// The guest's scheduler cap was changed.
    Capped {
        /// When.
        t: f64,
        /// Per cent of a physical CPU; 0 is none.
        cap: u32,
    },
    /// The save is given up for a reason that is not the controller's: the caller asked, a signal
    /// came, or the stream broke. The guest goes on at the source.
    GivenUp {
        /// When.
        t: f64,
        /// Why.
        why: String,
    },
    /// From here on the stock policy decides.
    Stock {
        /// When.
        t: f64,
        /// Why.
        why: String,
    },
    /// The save has ended.
    End {
        /// When.
        t: f64,
        /// What `xc_domain_save` returned; 0 is success.
        result: i32,
    },
}

impl Event {
    /// When it happened, in seconds since the save began.
    #[must_use]
    pub const fn t(&self) -> f64 {
        match self {
            Self::Begin { .. } => 0.0,
            Self::Send { t, .. }
            | Self::Sent { t, .. }
            | Self::Decision { t, .. }
            | Self::Suspending { t }
            | Self::Suspended { t }
            | Self::Last { t, .. }
            | Self::Capped { t, .. }
            | Self::GivenUp { t, .. }
            | Self::Stock { t, .. }
            | Self::End { t, .. } => *t,
        }
    }
}
