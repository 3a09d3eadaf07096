//! What a host tells of itself to another from which a guest may come: capacity, load, abilities.
//!
//! | file | holds |
//! | --- | --- |
//! | `document` | the JSON document `xenmig.hostinfo/1`, written and read |
//! | `fetch` | asking another host for it |

mod document;
mod fetch;

use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use serde::{Deserialize, Serialize};

pub(crate) use document::version;
pub use document::{Document, SCHEMA, read};
pub use fetch::Remote;

use crate::error::{Kind, Result};
use crate::host::{CpuFeatures, CpuTimes, DomId, Domain, Host, HostInfo};
use crate::units::Bytes;

/// For how long the load is watched.
const WATCHED: Duration = Duration::from_secs(1);

/// A host as it was at one moment. The fields are those of `xenmig.hostinfo/1`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Inventory {
    /// Its name in its network; empty when it has none.
    pub name: String,
    /// The hypervisor.
    pub xen: Hypervisor,
    /// What it has.
    pub capacity: Capacity,
    /// What is done with it.
    pub load: Load,
    /// What its CPUs offer.
    pub cpu_features: CpuFeatures,
    /// Linux' network bridges of its control domain.
    pub bridges: Vec<String>,
    /// The paths that were asked for.
    pub disks: Vec<Disk>,
}

/// The hypervisor of a host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hypervisor {
    /// As `4.17.7`.
    pub version: String,
    /// As [`HostInfo::scheduler`].
    pub scheduler: String,
    /// As [`HostInfo::hap`].
    pub hap: bool,
    /// As [`HostInfo::shadow`].
    pub shadow: Option<bool>,
}

/// What a host has.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Capacity {
    /// Physical CPUs.
    pub cpus: u32,
    /// All memory.
    pub memory_bytes: u64,
    /// Memory that no domain has.
    pub free_memory_bytes: u64,
    /// As [`crate::host::Equipment::dom0_gives_memory`].
    pub dom0_gives_memory: Option<bool>,
}

/// What is done with a host's CPUs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Load {
    /// For how long that was watched.
    pub window_s: f64,
    /// Use of all CPUs, 0 to 1; `None` when the host did not say.
    pub cpu_utilisation: Option<f64>,
    /// CPUs' worth of time that nobody used; `None` as before.
    pub free_cpus: Option<f64>,
    /// The domains, Dom0 included.
    pub domains: Vec<Resident>,
}

/// A domain of a host.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Resident {
    /// Its number.
    pub domid: u16,
    /// Its name; empty when it has none.
    pub name: String,
    /// Its identity, as `8-4-4-4-12` hexadecimal digits.
    pub uuid: String,
    /// Virtual CPUs that are online.
    pub vcpus: u32,
    /// Memory it has.
    pub memory_bytes: u64,
    /// CPUs' worth of time that it used.
    pub used_cpus: f64,
}

/// A path that was asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Disk {
    /// The path.
    pub path: String,
    /// Whether the control domain has something there.
    pub exists: bool,
}

impl Inventory {
    /// Takes the inventory of `host`, whose load it watches for a second; `disks` are paths to look
    /// for. Setting `stop` makes that second end early.
    ///
    /// # Errors
    /// As [`Host::info`], [`Host::domains`] and [`Host::cpu_times`]. A domain that goes away
    /// meanwhile is left out.
    pub fn take(host: &dyn Host, disks: &[String], stop: &AtomicBool) -> Result<Self> {
        let before = times(host)?;
        host.pause(WATCHED, stop);
        let after = times(host)?;
        let HostInfo { xen_version, cpus, memory, free_memory, scheduler, hap, shadow, .. } =
            host.info()?;
        let equipment = host.equipment()?;
        let disk =
            |path: &String| Disk { path: path.clone(), exists: host.has_path(path.as_ref()) };
        Ok(Self {
            name: equipment.name,
            xen: Hypervisor { version: xen_version, scheduler, hap, shadow },
            capacity: Capacity {
                cpus,
                memory_bytes: memory.0,
                free_memory_bytes: free_memory.0,
                dom0_gives_memory: equipment.dom0_gives_memory,
            },
            load: Load::between(&before, &after),
            cpu_features: equipment.cpu_features,
            bridges: equipment.bridges,
            disks: disks.iter().map(disk).collect(),
        })
    }

    /// Its Dom0; `None` when it is not among the domains.
    #[must_use]
    pub fn dom0(&self) -> Option<&Resident> {
        self.load.domains.iter().find(|resident| resident.domid == DomId::DOM0.0)
    }

    /// Memory that no domain has.
    #[must_use]
    pub const fn free_memory(&self) -> Bytes {
        Bytes(self.capacity.free_memory_bytes)
    }

    /// Whether there is something at `path`; `None` when that was not asked.
    #[must_use]
    pub fn has_path(&self, path: &str) -> Option<bool> {
        let path = Path::new(path);
        self.disks.iter().find(|disk| Path::new(&disk.path) == path).map(|disk| disk.exists)
    }
}

/// All domains, with the CPU time they have used.
fn times(host: &dyn Host) -> Result<Vec<(Domain, CpuTimes)>> {
    let mut all = Vec::new();
    for domain in host.domains()? {
        match host.cpu_times(domain.id) {
            Ok(times) => all.push((domain, times)),
            Err(error) if error.kind() == Kind::NoSuchDomain => {}
            Err(error) => return Err(error),
        }
    }
    Ok(all)
}

impl Load {
    fn between(before: &[(Domain, CpuTimes)], after: &[(Domain, CpuTimes)]) -> Self {
        let both = after.iter().filter_map(|(domain, now)| {
            let same = |then: &Domain| (then.id, then.uuid) == (domain.id, domain.uuid);
            let (_, then) = before.iter().find(|(then, _)| same(then))?;
            Some((domain, then, now))
        });
        let both: Vec<_> = both.filter(|(_, then, now)| now.at > then.at).collect();
        // Every domain's times come with those of the whole host; one pair is enough.
        let host = both.first();
        let cpu_utilisation = host.and_then(|(_, then, now)| now.host_utilisation_since(then));
        let cpus = host.map_or(0.0, |(_, then, _)| then.idle.len() as f64);
        Self {
            window_s: host.map_or(0.0, |(_, then, now)| (now.at - then.at).as_secs_f64()),
            cpu_utilisation,
            free_cpus: cpu_utilisation.map(|used| cpus * (1.0 - used)),
            domains: both
                .iter()
                .map(|(domain, then, now)| Resident {
                    domid: domain.id.0,
                    name: domain.name.clone(),
                    uuid: domain.uuid.to_string(),
                    vcpus: domain.vcpus,
                    memory_bytes: domain.memory.bytes().0,
                    used_cpus: now.vcpu_utilisation_since(then).iter().sum(),
                })
                .collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::SimHost;

    fn take(scene: &str) -> Inventory {
        let host = SimHost::from_toml(scene, "test").unwrap();
        let disks = ["/dev/vg/web".to_owned(), "/dev/vg/db".to_owned()];
        Inventory::take(&host, &disks, &AtomicBool::new(false)).unwrap()
    }

    #[test]
    fn a_hosts_load_is_the_sum_of_its_domains() {
        let scene = "[host]\ncpus = 4\nload = 0.1\nname = 'h1'\npaths = ['/dev/vg/web']\n\
                     [[domain]]\nname = 'a'\nmemory = '1GiB'\nvcpus = 2\ncpu = 0.5\n";
        let host = take(scene);
        assert_eq!((host.name.as_str(), host.capacity.cpus), ("h1", 4));
        let close = |value: f64, expected: f64| (value - expected).abs() < 1e-6;
        assert!(close(host.load.window_s, 1.0));
        assert!(close(host.load.free_cpus.unwrap(), 4.0 * 0.9 - 1.0), "{:?}", host.load);
        assert!(close(host.load.cpu_utilisation.unwrap(), 0.35));
        let guest = &host.load.domains[1];
        assert!(guest.name == "a" && close(guest.used_cpus, 1.0), "{guest:?}");
        assert_eq!(host.dom0().unwrap().name, "Domain-0");
    }

    #[test]
    fn paths_are_looked_for() {
        let host = take("host.paths = ['/dev/vg/web']");
        let has = ["/dev/vg/web", "/dev/vg//web", "/dev/vg/db", "/else"].map(|p| host.has_path(p));
        assert_eq!(has, [Some(true), Some(true), Some(false), None]);
    }
}
