//! What a migration says while it runs.

use serde::Serialize;

use super::hook;
use crate::policy::gate::Verdict;

/// One thing that happened.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// The gate samples the domain: the share that is done.
    Sampling {
        /// 0 to 1.
        done: f64,
    },
    /// The gate has judged.
    Judged {
        /// May it start?
        verdict: Verdict,
        /// Codes of the reasons, those that weigh most first.
        reasons: Vec<&'static str>,
    },
    /// A stage begins.
    Stage {
        /// Which.
        stage: Stage,
        /// Since the migration was asked for, in seconds.
        since_start_s: f64,
    },
    /// The hook in the save helper has its settings: from here on the budget is kept.
    Steered {
        /// The save helper's process.
        pid: u32,
    },
    /// The migration is being given up; the guest stays at the source.
    GivingUp {
        /// Why.
        why: String,
    },
    /// What the command that leads to the target says on stderr.
    Said {
        /// One line.
        line: String,
    },
    /// Of the save itself, as the hook saw it.
    #[serde(untagged)]
    Save(hook::Event),
}

/// Stages, in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// May it start?
    Gate,
    /// Waiting for the receiver.
    Connecting,
    /// The save: the guest runs while its memory is copied.
    Sending,
    /// The guest is suspended.
    Suspended,
    /// All is sent; the target puts it together.
    Waiting,
    /// The target may run the guest; nothing is undone from here on.
    HandedOver,
    /// The target says that the guest runs there.
    Arrived,
    /// Over, however it ended.
    Done,
}
