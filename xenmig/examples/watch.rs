//! Prints the changes of domains' states with their times, as JSON lines, until it is killed: the
//! moments at which a migration suspends a guest and starts it again.
//!
//! `watch`; run it in the control domain. It waits for xenstore to say that a domain has shut
//! down, which includes suspending, and then looks every millisecond until none is suspended any
//! more, for nothing announces that a guest was started again.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};
use xenmig::host::{DomId, RunState};
use xenmig::xen::{Options, XenHost};

const INTERVAL: Duration = Duration::from_millis(1);

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let host = XenHost::open(Options::default())?;
    // It says so once at the beginning, and then at every shutdown.
    let mut shutdowns =
        Command::new("xenstore-watch").arg("@releaseDomain").stdout(Stdio::piped()).spawn()?;
    let lines = shutdowns.stdout.take().map(BufReader::new).ok_or("no output")?.lines();
    let mut known = BTreeMap::new();
    for line in lines {
        line?;
        while report(&host, &mut known)? {
            std::thread::sleep(INTERVAL);
        }
    }
    Err("xenstore-watch ended".into())
}

/// Prints what has changed; says whether a domain is suspended.
fn report(
    host: &XenHost,
    known: &mut BTreeMap<DomId, RunState>,
) -> Result<bool, Box<dyn std::error::Error>> {
    let states: BTreeMap<_, _> = host.run_states()?.into_iter().collect();
    let now = clock_gettime(ClockId::Monotonic);
    let time = now.tv_sec as f64 + now.tv_nsec as f64 * 1e-9;
    let mut out = std::io::stdout().lock();
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
    *known = states;
    Ok(known.values().any(|state| *state == RunState::Suspended))
}
