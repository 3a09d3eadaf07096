//! Answers for people: at most 80 columns, what matters first, the same with and without colour.

mod check;
mod checks;
mod hook;
mod hostinfo;
mod migrate;
mod place;
mod predict;
mod sample;
mod top;
pub mod window;

pub use check::{budget, check, expected, facts, reason, rounds, verdict};
pub use checks::{doctor, recover};
pub use hook::{exports, hook};
pub use hostinfo::hostinfo;
pub use migrate::migrate;
pub use place::place;
pub use predict::predict;
pub use sample::sample;
pub use top::{cell, host, top};
pub use window::window;

use std::time::Duration;

use xenmig::host::Domain;
use xenmig::units::show_duration;

use super::style::Style;

/// What the lines of a section begin with.
const LABEL: usize = 12;

/// `Memory      8.00 GiB`
pub fn field(label: &str, value: &str, style: Style) -> String {
    format!("{}{value}\n", style.strong(&format!("{label:<LABEL$}")))
}

/// `db (domain 3): PVH, 8.00 GiB, 4 vCPUs`
pub fn about(domain: &Domain) -> String {
    format!("{}: {}", name(domain), make(domain))
}

/// `db (domain 3)`
fn name(domain: &Domain) -> String {
    match domain.name.as_str() {
        "" => format!("domain {}", domain.id),
        name => format!("{name} (domain {})", domain.id),
    }
}

/// `PVH, 8.00 GiB, 4 vCPUs`
fn make(domain: &Domain) -> String {
    let plural = if domain.vcpus == 1 { "" } else { "s" };
    let (kind, memory, vcpus) = (domain.guest_type, domain.memory.bytes(), domain.vcpus);
    format!("{kind}, {memory}, {vcpus} vCPU{plural}")
}

fn lines(lines: Vec<String>) -> String {
    lines.into_iter().map(|line| line + "\n").collect()
}

/// A time that the model gives: it may be infinite, or shorter than any clock can tell.
pub fn seconds(seconds: f64) -> String {
    match Duration::try_from_secs_f64(seconds) {
        Err(_) => "never".to_owned(),
        Ok(_) if seconds > 0.0 && seconds < 0.5e-6 => "<1 µs".to_owned(),
        Ok(time) => show_duration(time),
    }
}
