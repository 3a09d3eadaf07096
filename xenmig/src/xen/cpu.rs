//! CPU time of a domain's vCPUs and of the host.

use std::time::Duration;

use super::control::Control;
use super::domain;
use crate::error::Result;
use crate::host::{CpuTimes, DomId};

/// Reads both at one moment. `cpu_ids` is one above the highest number of a CPU.
pub(super) fn times(control: &Control, id: DomId, cpu_ids: u32) -> Result<CpuTimes> {
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
    let idle = online(&control.idle_times(cpu_ids)?);
    Ok(CpuTimes { at: now(), vcpus, idle })
}

/// The idle times of the CPUs that are online. Xen numbers the others too (with `smt=0` every second
/// one), and says 0 for them (`get_cpu_idle_time` in xen/common/sched/core.c); one that is online
/// has been idle since it came up.
fn online(idle_ns: &[u64]) -> Vec<Duration> {
    let online = idle_ns.iter().filter(|idle| **idle > 0);
    online.map(|idle| Duration::from_nanos(*idle)).collect()
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpus_that_are_offline_do_not_count() {
        let (a, b) = (Duration::from_nanos(7), Duration::from_nanos(9));
        assert_eq!(online(&[7, 0, 9, 0]), [a, b]);
        assert_eq!(online(&[7, 9]), [a, b]);
        assert!(online(&[]).is_empty());
    }
}
