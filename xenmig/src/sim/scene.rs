//! The TOML file that describes a simulated host: its machine, its domains, what they do and what
//! goes wrong.

use std::collections::BTreeSet;
use std::time::Duration;

use serde::Deserialize;

use super::workload::Workload;
use crate::error::{Error, Kind, Result};
use crate::host::{DomId, FeatureSet, GuestType, RunState, Setup};
use crate::units::{self, Bytes, BytesPerSecond, PAGE_SIZE, Pages};

/// A whole simulated host.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Scene {
    /// Everything random follows from it.
    #[serde(default)]
    pub seed: u64,
    /// Waits take as long as they say, instead of none.
    #[serde(default)]
    pub real_time: bool,
    /// What its wall clock shows when it comes up, in seconds since 1970: Monday 5 January 2026,
    /// 00:00 UTC.
    #[serde(default = "monday")]
    pub start_unix_s: i64,
    /// When that clock is set, and by how much.
    #[serde(default)]
    pub clock_jumps: Vec<ClockJump>,
    /// Bandwidth of the link to other hosts.
    #[serde(default)]
    pub link: Option<BytesPerSecond>,
    /// What migrations to there add to the downtime, beside sending.
    #[serde(default)]
    pub finish: Option<Span>,
    #[serde(default)]
    pub host: Machine,
    #[serde(default, rename = "domain")]
    pub domains: Vec<Guest>,
}

fn monday() -> i64 {
    1_767_571_200
}

/// Somebody sets the wall clock.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ClockJump {
    pub after: Span,
    pub by_s: i64,
}

/// The machine.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Machine {
    pub name: String,
    pub xen_version: String,
    pub cpus: u32,
    pub memory: Size,
    pub scheduler: String,
    /// CPU use by everything but the domains of the scene, 0 to 1.
    pub load: f64,
    pub dom0_memory: Size,
    /// As [`crate::host::Equipment::dom0_gives_memory`].
    pub dom0_gives_memory: bool,
    pub bridges: Vec<String>,
    /// What exists in its control domain.
    pub paths: Vec<String>,
    /// What its CPUs have, and guests of any type get.
    pub features: FeatureSet,
    pub hap: bool,
    pub shadow: bool,
    /// What a user other than root sees.
    pub no_permission: bool,
}

/// About what guests get on an Intel CPU of 2017.
const SKYLAKE: [u32; 10] = [
    0x178b_fbff,
    0xf6fa_3203,
    0x2c10_0800,
    0x0000_0121,
    0x0000_000f,
    0x219c_07ab,
    0x0000_0000,
    0x0000_0100,
    0x0000_1000,
    0x9c00_0400,
];

impl Default for Machine {
    fn default() -> Self {
        Self {
            name: "sim".to_owned(),
            xen_version: "4.17.7".to_owned(),
            cpus: 8,
            memory: Size(Bytes(64 << 30)),
            scheduler: "credit2".to_owned(),
            load: 0.05,
            dom0_memory: Size(Bytes(4 << 30)),
            dom0_gives_memory: false,
            bridges: vec!["xenbr0".to_owned()],
            paths: Vec::new(),
            features: FeatureSet::new(SKYLAKE.to_vec()),
            hap: true,
            shadow: false,
            no_permission: false,
        }
    }
}

/// A domain.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Guest {
    pub name: String,
    /// Its domid; by default its place in the file, from 1.
    #[serde(default)]
    pub id: Option<u16>,
    /// Domains that share this are the same guest, at different times: it was renamed, or left and
    /// came back. By default its domid.
    #[serde(default)]
    pub identity: Option<u64>,
    /// It is not there before.
    #[serde(default)]
    pub appears_after: Option<Span>,
    #[serde(default = "pvh", rename = "type")]
    pub guest_type: GuestType,
    #[serde(default = "running")]
    pub state: RunState,
    pub memory: Size,
    #[serde(default)]
    pub max_memory: Option<Size>,
    #[serde(default = "one")]
    pub vcpus: u32,
    /// Use of each vCPU, 0 to 1, beside what its workloads add.
    #[serde(default)]
    pub cpu: f64,
    /// CPU features that it was given; by default those of the host.
    #[serde(default)]
    pub features: Option<FeatureSet>,
    #[serde(default, rename = "workload")]
    pub workloads: Vec<Workload>,
    #[serde(default)]
    pub setup: SetupFacts,
    #[serde(default)]
    pub fault: Fault,
}

fn pvh() -> GuestType {
    GuestType::Pvh
}

fn running() -> RunState {
    RunState::Running
}

fn one() -> u32 {
    1
}

/// What goes wrong with a domain. Times are the host's, which comes up at 0.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Fault {
    /// Somebody migrates it away.
    pub save_begins_after: Option<Span>,
    /// It is destroyed.
    pub vanishes_after: Option<Span>,
    /// The user presses ^C when its dirty log has been on until then.
    pub interrupted_after: Option<Span>,
    /// It arrives and does not run yet.
    pub incoming: bool,
    /// Another tool holds its dirty log.
    pub log_dirty_busy: bool,
    /// Its pages cannot be logged.
    pub log_dirty_unsupported: bool,
    /// A killed xenmig left its dirty log on.
    pub log_dirty_left_on: bool,
}

/// [`Setup`] as TOML; sizes in words.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct SetupFacts {
    pci_devices: Vec<String>,
    usb_devices: Vec<String>,
    vtpms: Vec<String>,
    other_pinned_devices: Vec<String>,
    local_disks: Vec<String>,
    disk_paths: Vec<String>,
    bridges: Vec<String>,
    nested_hvm: bool,
    vnuma_nodes: u32,
    migration_disabled: bool,
    memory_target: Option<Size>,
    pod_pages: Option<u64>,
    can_suspend: Option<bool>,
}

impl From<&SetupFacts> for Setup {
    fn from(facts: &SetupFacts) -> Self {
        let facts = facts.clone();
        Self {
            pci_devices: facts.pci_devices,
            usb_devices: facts.usb_devices,
            vtpms: facts.vtpms,
            other_pinned_devices: facts.other_pinned_devices,
            local_disks: facts.local_disks,
            disk_paths: facts.disk_paths,
            bridges: facts.bridges,
            nested_hvm: facts.nested_hvm,
            vnuma_nodes: facts.vnuma_nodes,
            migration_disabled: facts.migration_disabled,
            memory_target: facts.memory_target.map(|size| size.0),
            pod_pages: facts.pod_pages.map(Pages),
            can_suspend: facts.can_suspend,
        }
    }
}

/// A duration written as `300ms` or `2s`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(try_from = "String")]
pub(super) struct Span(pub Duration);

impl TryFrom<String> for Span {
    type Error = units::ParseQuantityError;
    fn try_from(text: String) -> Result<Self, Self::Error> {
        units::parse_duration(&text).map(Self)
    }
}

/// A size written as `4GiB`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(super) struct Size(pub Bytes);

impl TryFrom<String> for Size {
    type Error = units::ParseQuantityError;
    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse().map(Self)
    }
}

impl Size {
    pub fn pages(self) -> Pages {
        Pages(self.0.0 / PAGE_SIZE)
    }
}

impl Scene {
    /// Reads a scene; `origin` names the file for the user.
    ///
    /// # Errors
    /// [`Kind::Usage`] when it is not TOML, has an unknown key or says something impossible.
    pub fn parse(text: &str, origin: &str) -> Result<Self> {
        let bad = |what: String| Error::new(Kind::Usage, format!("{origin}: {what}"));
        let mut scene: Self = toml::from_str(text).map_err(|error| bad(error.to_string()))?;
        for (at, guest) in scene.domains.iter_mut().enumerate() {
            // More domains than domids would be caught as a domid in use.
            guest.id.get_or_insert((at + 1) as u16);
        }
        scene.fault().map_or(Ok(scene), |what| Err(bad(what)))
    }

    fn fault(&self) -> Option<String> {
        let Machine { load, memory, dom0_memory, cpus, .. } = &self.host;
        if !(0.0..=1.0).contains(load) {
            return Some(format!("host.load is a number from 0 to 1, not {load}"));
        }
        if *cpus == 0 || *cpus > 4096 {
            return Some(format!("host.cpus is a number from 1 to 4096, not {cpus}"));
        }
        let mut names = BTreeSet::from(["Domain-0"]);
        let mut ids = BTreeSet::from([0]);
        let mut used = dom0_memory.0;
        for guest in &self.domains {
            let name = &guest.name;
            if !names.insert(name) || !ids.insert(guest.domid().0) {
                return Some(format!("domain `{name}`: its name or domid is in use"));
            }
            if let Some(fault) = guest.fault() {
                return Some(format!("domain `{name}`: {fault}"));
            }
            used = Bytes(used.0.saturating_add(guest.memory.0.0));
        }
        (used > memory.0).then(|| format!("the domains take {used}, the host has {}", memory.0))
    }
}

impl Guest {
    /// Its domid; [`Scene::parse`] has given it one.
    pub fn domid(&self) -> DomId {
        DomId(self.id.unwrap_or_default())
    }

    fn fault(&self) -> Option<String> {
        if self.vcpus == 0 || self.vcpus > 512 {
            return Some(format!("vcpus is a number from 1 to 512, not {}", self.vcpus));
        }
        if !(0.0..=1.0).contains(&self.cpu) {
            return Some(format!("cpu is a number from 0 to 1, not {}", self.cpu));
        }
        if let Some(fault) = self.workloads.iter().find_map(Workload::fault) {
            return Some(format!("workload: {fault}"));
        }
        let written = self.workloads.iter().fold(0u64, |sum, w| sum.saturating_add(w.pages()));
        let memory = self.memory.pages();
        (memory.0 == 0 || written > memory.0)
            .then(|| format!("its workloads write to {written} pages, it has {memory}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(text: &str) -> String {
        Scene::parse(text, "lab.toml").unwrap_err().to_string()
    }

    #[test]
    fn an_unknown_key_is_named() {
        assert!(fault("sede = 1").contains("sede"));
        let guest = "[[domain]]\nname = 'a'\nmemory = '1GiB'\n";
        assert!(fault(&format!("{guest}vcpu = 2")).contains("vcpu"));
        assert!(fault(&format!("{guest}fault.vanish = '1s'")).contains("vanish"));
        let workload = "[[domain.workload]]\nkind = 'sweep'\nrate = 1\npages = 1\nshare = 1";
        assert!(fault(&format!("{guest}{workload}")).contains("share"));
    }

    #[test]
    fn impossible_hosts_are_refused_with_the_reason() {
        let guest = |more: &str| fault(&format!("[[domain]]\nname = 'a'\nmemory = '1MiB'\n{more}"));
        assert!(guest("vcpus = 0").contains("domain `a`: vcpus"));
        assert!(guest("cpu = 1.5").contains("cpu is"));
        assert!(guest("id = 0").contains("in use"));
        let workload = |w: &str| guest(&format!("[[domain.workload]]\n{w}"));
        assert!(workload("kind = 'sweep'\nrate = 1\npages = 257").contains("257 pages"));
        assert!(workload("kind = 'sweep'\nrate = -1\npages = 1").contains("a rate is"));
        let burst = "kind = 'burst'\nperiod = '1s'\nbusy = '2s'\nrate = 1\npages = 1";
        assert!(workload(burst).contains("fits into its period"));
        assert!(fault("host.load = 2").contains("host.load"));
        assert!(fault("[[domain]]\nname = 'a'\nmemory = '1TiB'").contains("1.00 TiB"));
        assert!(fault("[[domain]]\nname = 'a'\nmemory = '1'").contains("not a size"));
    }
}
