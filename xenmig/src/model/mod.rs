//! Xen's save loop, run over a dirty curve instead of a guest: rounds, bytes, total time, downtime.
//! Pure: no I/O, no clock, no randomness but its own seeded one.
//!
//! | module | holds |
//! | --- | --- |
//! | `link` | what goes over the wire and how long it takes: bandwidth, stream format, host costs |
//! | `save` | the loop of `xc_domain_save`, steered by a [`PrecopyPolicy`] |
//! | `stock` | the policy Xen has built in |
//! | `budget` | the loop of `predict --policy budget`: stop as soon as the rest fits the budget |
//! | `predict` | one prediction with quantiles, by resampling the measured windows |
//! | `rows` | tables of predictions: bandwidths × budgets |
//!
//! Page counts are `f64` inside the model: W(t) is an expectation, and rounding it in every round
//! would make results jump. They are rounded where they are shown.

mod budget;
mod link;
mod predict;
mod random;
mod rows;
mod save;
mod stock;

pub use budget::within_budget;
pub use link::{Costs, Format, Guest, Link, Load, sender_share};
pub use predict::{Prediction, Quantiles, predict};
pub use rows::{Policy, Question, Row, Subject, rows};
pub use save::{Decision, Dirtying, End, Outcome, PrecopyPolicy, PrecopyStats, Round, save_live};
pub use stock::Stock;
