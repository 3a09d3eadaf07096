//! The host and the guests of a scene.

use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::Duration;

use super::plan::{Kind, RATE, Scene};
use super::run::{GUEST, PORT};
use crate::guest::{DOM0, Network, Service, Workload};
use crate::measure::observe::{Steering, observe_judged};
use crate::measure::{OUTCOMES, Programs};
use crate::{Error, GuestSpec, Host, HostBuilder, Result, XenVersion};

/// Another guest on the same host.
const OTHER: &str = "g2";
/// Enough to see the offline phase, and few per cent of a guest's CPU.
const RATE_PER_S: f64 = 50.0;
const BYTES: usize = 512;
/// A copy of what xenmig remembers of them.
const CALIBRATION: &str = "/var/lib/xenmig/calibration.jsonl";
/// A guest reports its load this often, and so has done it when it was watched ([`super::run::load`]).
const TICK: Duration = Duration::from_secs(2);

/// The migrated guest's address.
pub(super) const fn address() -> Ipv4Addr {
    Ipv4Addr::new(10, 77, 0, 2)
}

/// Boots a host on which xenmig has seen migrations of guests like those that are measured.
pub(super) fn host(version: XenVersion, programs: &Programs) -> Result<Host> {
    let host = HostBuilder::new(version).boot()?;
    programs.push(&host)?;
    for (workload, memory_mib) in [("sweep:2000,1000", 112), ("hot:1000,500", 128)] {
        let workload: Workload =
            workload.parse().map_err(|cause| Error::Unexpected(format!("{cause}")))?;
        host.guest(&spec(workload, memory_mib, Kind::Weak))?;
        let (long, forced) =
            (Duration::from_secs(60), ["--force", "--window", "1s", "--windows", "1"]);
        match observe_judged(&host, GUEST, RATE, long, &forced)?.0 {
            Steering::Moved { .. } => {}
            ended => return Err(Error::Unexpected(format!("calibration: {ended:?}"))),
        }
        host.destroy(GUEST)?;
    }
    host.run_ok(["cp", OUTCOMES, CALIBRATION])?;
    Ok(host)
}

/// Has xenmig forget all migrations but those that [`host`] made: no point may depend on those that
/// came before it.
pub(super) fn forget(host: &Host) -> Result<()> {
    host.run_ok(["cp", CALIBRATION, OUTCOMES]).map(drop)
}

/// Creates its guests.
pub(super) fn create(host: &Host, scene: &Scene) -> Result<()> {
    let cap = scene.kind.dom0_cap().to_string();
    host.run_ok(["xl", "sched-credit2", "-d", "0", "-c", &cap])?;
    host.guest(&spec(scene.workload, scene.memory_mib, scene.kind))?;
    if let Some(workload) = scene.other {
        let extra_config = capped(scene.kind);
        let other = GuestSpec { memory_mib: 96, extra_config, ..GuestSpec::new(OTHER, workload) };
        host.guest(&other)?;
    }
    Ok(())
}

/// Fails unless all of them are alive with their memory intact: a guest that hangs is no load.
pub(super) fn verify(host: &Host, scene: &Scene) -> Result<()> {
    host.verify(GUEST)?;
    scene.other.as_ref().map_or(Ok(()), |_| host.verify(OTHER).map(drop))
}

/// Takes them away, and the caps.
pub(super) fn remove(host: &Host, scene: &Scene) -> Result<()> {
    host.destroy(GUEST)?;
    if scene.other.is_some() {
        host.destroy(OTHER)?;
    }
    host.run_ok(["xl", "sched-credit2", "-d", "0", "-c", "0"]).map(drop)
}

fn capped(kind: Kind) -> String {
    format!("cap = {}", kind.guest_cap())
}

fn spec(workload: Workload, memory_mib: u32, kind: Kind) -> GuestSpec {
    let service = Service { to: SocketAddrV4::new(DOM0, PORT), rate: RATE_PER_S, bytes: BYTES };
    GuestSpec {
        memory_mib,
        network: Some(Network { address: address(), service: Some(service) }),
        tick: TICK,
        extra_config: capped(kind),
        ..GuestSpec::new(GUEST, workload)
    }
}
