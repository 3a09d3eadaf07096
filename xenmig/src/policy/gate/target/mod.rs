//! Rules about the host to which the domain is to go, by what that host tells of itself. None fires
//! when no target was named.

mod attachments;
mod capacity;
mod features;
mod load;

pub(super) use attachments::{bridge, disk, name_taken};
pub(super) use capacity::{memory, paging, xen_older};
pub(super) use features::cpu_features;
pub use load::Arrival;
pub(super) use load::{overloaded, saturated};
