//! What a guest of the lab runs, as pure code: its workload, the content its
//! memory must have, and its UDP service. The program around it is
//! `xenlab-load`.

mod content;
mod network;
mod workload;

pub use content::{Content, Corruption};
pub use network::{BRIDGE, DOM0, Datagram, Network, ParseService, Service};
pub use workload::{Parse, Pattern, Rng, Workload};
