//! CPU time of a domain's vCPUs and of the host.

use std::time::Duration;

use super::control::Control;
use super::domain;
use crate::error::Result;
use crate::host::{CpuTimes, DomId};

/// Reads both at one moment.
pub(super) fn times(control: &Control, id: DomId, cpus: u32) -> Result<CpuTimes> {
    let info = domain::raw(control, id)?;
    let mut vcpus = Vec::new();
    // max_vcpu_id is all ones for a domain that has no vCPUs yet.
    for vcpu in 0..=info.max_vcpu_id {
        if vcpus.len() >= info.nr_online_vcpus as usize {
            break;
        }
        let state = control.vcpu(id, vcpu)?;
        if state.online != 0 {
            vcpus.push(Duration::from_nanos(state.cpu_time));
        }
    }
    let idle = control.idle_times(cpus)?.into_iter().map(Duration::from_nanos).collect();
    Ok(CpuTimes { at: now(), vcpus, idle })
}

/// The host's wall clock, in seconds since 1970.
pub(super) fn unix_s() -> i64 {
    rustix::time::clock_gettime(rustix::time::ClockId::Realtime).tv_sec
}

/// The host's monotonic clock.
pub(super) fn now() -> Duration {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    Duration::new(now.tv_sec.unsigned_abs(), u32::try_from(now.tv_nsec).unwrap_or(0))
}
