//! Prints every change of a domain's state with its time, as JSON lines, until it is killed:
//! the moments at which a migration suspends a guest and starts it again.
//!
//! `watch [INTERVAL_MS]` (1 ms when not given); run it in the control domain.

use std::collections::BTreeMap;
use std::io::Write;
use std::time::Duration;

use xenmig::host::DomId;
use xenmig::xen::{Options, XenHost};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let interval = std::env::args().nth(1).map_or(Ok(1.0), |text| text.parse())?;
    let host = XenHost::open(Options::default())?;
    let mut known = BTreeMap::new();
    let mut out = std::io::stdout().lock();
    loop {
        let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
        let states: BTreeMap<_, _> = host.run_states()?.into_iter().collect();
        let time = now.tv_sec as f64 + now.tv_nsec as f64 * 1e-9;
        let mut line = |id: &DomId, state: serde_json::Value| {
            writeln!(out, "{}", serde_json::json!({"t": time, "domid": id, "state": state}))
        };
        for (id, state) in states.iter().filter(|(id, state)| known.get(*id) != Some(*state)) {
            line(id, serde_json::to_value(state)?)?;
        }
        for id in known.keys().filter(|id| !states.contains_key(*id)) {
            line(id, "gone".into())?;
        }
        out.flush()?;
        known = states;
        std::thread::sleep(Duration::from_secs_f64(interval / 1e3));
    }
}
