//! The meter: what a guest's UDP service delivers, seen from outside the guest, and what a live
//! migration does to it.
//!
//! [`Arrival`]s are recorded by `xenlab-listen` on one clock ([`Listener`]). [`Phases`] are
//! recognised from them alone, without knowing when a migration began or ended.

mod arrivals;
mod listener;
mod phases;

pub use arrivals::{Arrival, parse, throughput};
pub use listener::Listener;
pub use phases::{Estimate, Phases};
