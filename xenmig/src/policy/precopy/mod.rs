//! The controller of a save: keeps a budget by choosing when the guest is suspended.
//!
//! It is a [`PrecopyPolicy`](crate::model::PrecopyPolicy), with three drivers: the hook in the real
//! save helper, the model's loop, and tests.

mod controller;
mod growth;
mod parts;
mod rate;

use std::time::Duration;

use serde::{Deserialize, Serialize};

pub use controller::{Controller, Why};

use crate::model::{Costs, Guest};
use crate::units::BytesPerSecond;

/// What happens when the budget cannot be kept, whatever is sent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnMiss {
    /// The guest stays at the source.
    #[default]
    Abort,
    /// The guest gets less CPU time, stepwise, until it dirties slowly enough or
    /// [`Steering::cap_floor`] is reached; then it stays at the source.
    Throttle,
    /// The guest is suspended at the best moment that can be had.
    Stop,
}

/// How far the controller may go to keep the budget.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Steering {
    /// What happens when the budget cannot be kept.
    pub on_miss: OnMiss,
    /// Least cap for the guest, in per cent of a physical CPU.
    pub cap_floor: u32,
    /// Hot pages may be held back, to be sent with the last set.
    #[serde(default = "yes")]
    pub hold_back: bool,
    /// Longest wait for a calmer moment, all waits of a save together.
    pub max_wait: Duration,
}

impl Default for Steering {
    fn default() -> Self {
        Self {
            on_miss: OnMiss::Abort,
            cap_floor: 20,
            hold_back: true,
            max_wait: Duration::from_secs(30),
        }
    }
}

const fn yes() -> bool {
    true
}

/// What is known of a save before it begins.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Known {
    /// The guest's memory.
    pub guest: Guest,
    /// What the network carries, if earlier migrations showed it; measured anew in the save.
    pub bandwidth: Option<BytesPerSecond>,
    /// What the hosts add.
    pub costs: Costs,
    /// The driver can hold pages back ([`Decision::Part`](crate::model::Decision::Part)).
    pub holds_back: bool,
    /// Whether the guest dirtied pages about as fast at any time it was sampled. If so, it is no use
    /// to wait for a calmer moment; if not, one is to be expected. `None` if it was not sampled.
    pub steady: Option<bool>,
    /// CPU time the guest could use at most, in per cent of a physical CPU.
    pub cpu_percent: u32,
    /// How much longer than [`Costs::finish`] nine of ten migrations take at most.
    pub finish_spread: Duration,
}
