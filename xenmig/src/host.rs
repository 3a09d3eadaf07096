//! What the rest of the library needs of a hypervisor. Implemented by [`crate::xen`] on a real
//! Xen host and by [`crate::sim`] in virtual time; nothing here knows which one it is.

mod feature_names;
mod features;

use std::fmt;
use std::path::Path;
use std::str::FromStr;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use serde::{Deserialize, Serialize};

pub use features::{CpuFeatures, FeatureSet};

use crate::dirty::Bitmap;
use crate::error::{Error, Kind, Result};
use crate::migrate::Source;
use crate::units::{Bytes, Pages};

/// Xen's number of a running domain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct DomId(pub u16);

impl DomId {
    /// The control domain, which cannot be migrated.
    pub const DOM0: Self = Self(0);
}

impl fmt::Display for DomId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(out)
    }
}

/// A domain's identity across migrations and renames.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Uuid(pub [u8; 16]);

impl fmt::Display for Uuid {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, byte) in self.0.iter().enumerate() {
            if matches!(i, 4 | 6 | 8 | 10) {
                out.write_str("-")?;
            }
            write!(out, "{byte:02x}")?;
        }
        Ok(())
    }
}

impl FromStr for Uuid {
    type Err = Error;

    /// Reads what [`fmt::Display`] writes.
    fn from_str(text: &str) -> Result<Self> {
        let digits: String = text.chars().filter(|c| *c != '-').collect();
        let byte = |at: usize| digits.get(2 * at..2 * at + 2);
        let mut bytes = [0; 16];
        for (at, place) in bytes.iter_mut().enumerate() {
            let read = byte(at).and_then(|byte| u8::from_str_radix(byte, 16).ok());
            let wrong = || Error::new(Kind::Data, format!("`{text}` is no UUID"));
            *place = read.filter(|_| digits.len() == 32).ok_or_else(wrong)?;
        }
        Ok(Self(bytes))
    }
}

impl fmt::Debug for Uuid {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Uuid({self})")
    }
}

/// How a guest is virtualised.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum GuestType {
    /// Paravirtualised: log-dirty needs a hypervisor with shadow paging.
    Pv,
    /// Hardware-assisted without a device model.
    Pvh,
    /// Hardware-assisted with a device model.
    Hvm,
}

impl fmt::Display for GuestType {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::Pv => "PV",
            Self::Pvh => "PVH",
            Self::Hvm => "HVM",
        })
    }
}

/// Whether a domain runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RunState {
    /// At least one vCPU runs or waits for an event.
    Running,
    /// Paused by the tool stack.
    Paused,
    /// Suspended by its own hand, as at the end of a save.
    Suspended,
    /// It crashed and was kept.
    Crashed,
    /// It shut down and was kept.
    Shutdown,
    /// It is being torn down.
    Dying,
}

/// What the hypervisor says of one domain.
#[derive(Debug, Clone)]
pub struct Domain {
    /// Its number now.
    pub id: DomId,
    /// Its name in xenstore; empty when it has none.
    pub name: String,
    /// Its identity.
    pub uuid: Uuid,
    /// How it is virtualised.
    pub guest_type: GuestType,
    /// Whether it runs.
    pub state: RunState,
    /// Pages it really has (Xen's `tot_pages`).
    pub memory: Pages,
    /// Pages it may grow to (Xen's `max_pages`).
    pub max_memory: Pages,
    /// One above its highest pfn; holes count, so for PVH and HVM this exceeds `memory` by far.
    pub p2m_size: Pages,
    /// vCPUs that are online.
    pub vcpus: u32,
    /// Memory is paged by hardware (HAP). PV guests and guests on shadow paging have `false`.
    pub hap: bool,
}

/// How a domain was built and what is attached to it: the facts that decide whether a migration
/// can work at all. Each list holds texts that name the device for the user.
#[derive(Debug, Clone, Default)]
pub struct Setup {
    /// Passed-through PCI devices, as `0000:03:00.0`.
    pub pci_devices: Vec<String>,
    /// USB controllers or devices.
    pub usb_devices: Vec<String>,
    /// Virtual TPMs.
    pub vtpms: Vec<String>,
    /// Device-tree devices, RDM regions and others that tie the guest to this machine.
    pub other_pinned_devices: Vec<String>,
    /// Writable disks backed by a path of this host (file or local block device).
    pub local_disks: Vec<String>,
    /// Paths that any of its disks is on at the control domain, CD-ROMs included: the target has to
    /// have them too.
    pub disk_paths: Vec<String>,
    /// Network bridges its interfaces use.
    pub bridges: Vec<String>,
    /// The guest may run hypervisors itself.
    pub nested_hvm: bool,
    /// vNUMA nodes; 0 when vNUMA is not used.
    pub vnuma_nodes: u32,
    /// The configuration forbids migration (`disable_migrate`).
    pub migration_disabled: bool,
    /// Memory the balloon is to reach; `None` when xenstore does not say.
    pub memory_target: Option<Bytes>,
    /// Pages that are populated on demand and not yet there; `None` when Xen does not say.
    pub pod_pages: Option<Pages>,
    /// Whether the guest's kernel says that it can suspend; `None` when it says nothing.
    pub can_suspend: Option<bool>,
}

/// A save of a domain that runs now, or its restoration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Transfer {
    /// It is being saved: migrated away or suspended to a file.
    Outgoing {
        /// The process that saves it.
        pid: u32,
    },
    /// It arrives here and does not run yet.
    Incoming,
}

/// The host itself.
#[derive(Debug, Clone, Serialize)]
pub struct HostInfo {
    /// Version of the running hypervisor, as `4.17.7`.
    pub xen_version: String,
    /// Version of Xen's libraries this program was built against, as `4.17`.
    pub built_for: String,
    /// Physical CPUs.
    pub cpus: u32,
    /// All memory.
    pub memory: Bytes,
    /// Memory no domain has.
    pub free_memory: Bytes,
    /// Scheduler: `credit2`, `credit`, `rtds`, `null` or `arinc653`.
    pub scheduler: String,
    /// The hypervisor can log dirty pages of PVH and HVM guests.
    pub hap: bool,
    /// The hypervisor was built with shadow paging, without which no PV guest migrates live.
    /// `None` when it does not say.
    pub shadow: Option<bool>,
}

/// What a guest that arrives at the host may need, beside capacity.
#[derive(Debug, Clone, Default)]
pub struct Equipment {
    /// The name of the host in its network; empty when it has none.
    pub name: String,
    /// What its CPUs offer.
    pub cpu_features: CpuFeatures,
    /// Linux' network bridges of the control domain.
    pub bridges: Vec<String>,
    /// xl takes memory from Dom0 for new guests unless told otherwise, as it does where Xen was
    /// started without `dom0_mem`. `None` when that is unknown.
    pub dom0_gives_memory: Option<bool>,
}

/// What time it is at the host.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Now {
    /// On its monotonic clock, which never jumps.
    pub monotonic: Duration,
    /// On its wall clock, in seconds since 1970. This one may jump.
    pub unix_s: i64,
}

/// CPU time used so far, at one moment. Two of these give a utilisation.
#[derive(Debug, Clone)]
pub struct CpuTimes {
    /// When it was read, on the host's monotonic clock.
    pub at: Duration,
    /// Time each online vCPU of the domain has run.
    pub vcpus: Vec<Duration>,
    /// Time each physical CPU that is online was idle.
    pub idle: Vec<Duration>,
}

impl CpuTimes {
    /// Use of each vCPU since `before`, 0 to 1. Empty when no time has passed.
    #[must_use]
    pub fn vcpu_utilisation_since(&self, before: &Self) -> Vec<f64> {
        self.shares_since(before, &before.vcpus, &self.vcpus)
    }

    /// Use of the whole host since `before`, 0 to 1; `None` when no time has passed, the host did not
    /// say, or one of its CPUs went on or off meanwhile.
    #[must_use]
    pub fn host_utilisation_since(&self, before: &Self) -> Option<f64> {
        if self.idle.len() != before.idle.len() {
            return None;
        }
        let idle = self.shares_since(before, &before.idle, &self.idle);
        let mean = idle.iter().sum::<f64>() / idle.len() as f64;
        (!idle.is_empty()).then(|| (1.0 - mean).clamp(0.0, 1.0))
    }

    /// The share of the time since `before` that each counter advanced.
    fn shares_since(&self, before: &Self, earlier: &[Duration], later: &[Duration]) -> Vec<f64> {
        let elapsed = self.at.saturating_sub(before.at).as_secs_f64();
        if elapsed <= 0.0 {
            return Vec::new();
        }
        let used = earlier.iter().zip(later).map(|(a, b)| b.saturating_sub(*a).as_secs_f64());
        used.map(|used| (used / elapsed).clamp(0.0, 1.0)).collect()
    }
}

/// The count that one PEEK showed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Peek {
    /// When, since the log was last clean.
    pub at: Duration,
    /// Distinct pages dirtied since then.
    pub dirty: Pages,
}

/// Why a wait ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wake {
    /// The moment has come.
    Due,
    /// A save of this domain wants to begin. The log has already been let go; drop it.
    SaveBegins,
    /// The user asked to stop.
    Interrupted,
}

/// The dirty log of one domain, switched on and owned by us.
///
/// Dropping it switches the log off, unless a save has taken it over.
#[must_use = "dropping it switches the dirty log off"]
pub trait DirtyLog {
    /// Sleeps until `at` after the log was switched on, or until something else matters.
    ///
    /// # Errors
    /// When the wait itself fails; the log is then let go.
    fn wait_until(&mut self, at: Duration) -> Result<Wake>;

    /// Counts the distinct pages dirtied since the log was switched on. Changes nothing.
    ///
    /// # Errors
    /// [`Kind::NoSuchDomain`] when the domain has gone; otherwise as the hypervisor says.
    fn peek(&mut self) -> Result<Peek>;

    /// Reads which pages were dirtied since the log was switched on. Changes nothing.
    ///
    /// # Errors
    /// As [`DirtyLog::peek`].
    fn peek_bitmap(&mut self, into: &mut Bitmap) -> Result<Peek>;

    /// Switches the log off and says whether that worked; dropping only logs a failure.
    ///
    /// # Errors
    /// As the hypervisor says. A domain that has gone is no error.
    fn close(self: Box<Self>) -> Result<()>;
}

/// One answer of `xenmig doctor`.
#[derive(Debug, Clone, Serialize)]
pub struct Finding {
    /// What was looked at, as a stable word: `xen`, `rights`, `save-helper`.
    pub what: &'static str,
    /// Whether that is as it should be.
    pub state: Health,
    /// What was found.
    pub found: String,
    /// What to do; `None` when nothing needs doing.
    pub advice: Option<String>,
}

/// How serious a [`Finding`] is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Health {
    /// As it should be.
    Good,
    /// It works, with limits.
    Limited,
    /// xenmig cannot do its work here.
    Bad,
}

/// One domain whose log a dead process had left on.
#[derive(Debug, Clone, Serialize)]
pub struct Recovered {
    /// The domain.
    pub domid: DomId,
    /// What was done, or why nothing was.
    pub what: String,
    /// The domain is as it should be now.
    pub clean: bool,
}

/// How far [`Host::recover`] goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Recovery {
    /// Switches dirty logs off and sets caps back. A domain that is suspended is reported and stays
    /// as it is: a killed migration may have suspended it, or another tool's save since, and then
    /// it is that tool's. For what runs unasked.
    Tidy,
    /// The same, and lets a suspended domain go on whose migration was killed before the target had
    /// permission to run it. For a user who asks for it.
    Resume,
}

/// A Xen host, real or simulated.
pub trait Host {
    /// What sort of host it is.
    ///
    /// # Errors
    /// As the hypervisor says.
    fn info(&self) -> Result<HostInfo>;

    /// All domains, Dom0 included, by domid.
    ///
    /// # Errors
    /// As the hypervisor says.
    fn domains(&self) -> Result<Vec<Domain>>;

    /// One domain.
    ///
    /// # Errors
    /// [`Kind::NoSuchDomain`] when it does not exist.
    fn domain(&self, id: DomId) -> Result<Domain>;

    /// How it was built and what is attached to it.
    ///
    /// # Errors
    /// [`Kind::NoSuchDomain`], or as the tool stack says.
    fn setup(&self, id: DomId) -> Result<Setup>;

    /// A save or restoration of it that runs now; `None` when there is none.
    ///
    /// # Errors
    /// As the kernel says.
    fn transfer(&self, id: DomId) -> Result<Option<Transfer>>;

    /// CPU time used so far by its vCPUs and by the host.
    ///
    /// # Errors
    /// [`Kind::NoSuchDomain`], or as the hypervisor says.
    fn cpu_times(&self, id: DomId) -> Result<CpuTimes>;

    /// What a guest that arrives may need.
    ///
    /// # Errors
    /// As the hypervisor says.
    fn equipment(&self) -> Result<Equipment> {
        Ok(Equipment::default())
    }

    /// Whether its control domain has something at `path`.
    fn has_path(&self, path: &Path) -> bool {
        path.exists()
    }

    /// The CPU features that a domain was given; `None` on a host that does not say.
    ///
    /// # Errors
    /// [`Kind::NoSuchDomain`], or as the hypervisor says.
    fn given_features(&self, id: DomId) -> Result<Option<FeatureSet>> {
        log::debug!("this host does not tell the CPU features of domain {id}");
        Ok(None)
    }

    /// What time it is there.
    fn now(&self) -> Now;

    /// Lets `time` pass. `false` when `stop` was set meanwhile.
    fn pause(&self, time: Duration, stop: &AtomicBool) -> bool;

    /// Switches on its dirty log, under all the rules that keep a save of it safe. Setting `stop`
    /// makes waits end with [`Wake::Interrupted`].
    ///
    /// # Errors
    /// [`Kind::Busy`] when somebody else owns the log or a save runs, [`Kind::Unsupported`] when
    /// this guest's pages cannot be logged, [`Kind::Permission`] or [`Kind::Unguarded`] when
    /// saves cannot be guarded.
    fn dirty_log<'a>(&'a self, id: DomId, stop: &'a AtomicBool) -> Result<Box<dyn DirtyLog + 'a>>;

    /// Takes hold of a domain in order to migrate it. Others are refused while this is kept.
    ///
    /// # Errors
    /// [`Kind::Busy`] when another xenmig works on the domain, [`Kind::Unsupported`] on a host that
    /// cannot migrate.
    fn source(&self, domain: &Domain) -> Result<Box<dyn Source>> {
        let what = format!("this host cannot migrate domain {}", domain.id);
        Err(Error::new(Kind::Unsupported, what))
    }

    /// Lets a suspended domain go on at this host, and gives it its name back. Only for a guest
    /// that is known to run nowhere else.
    ///
    /// # Errors
    /// [`Kind::Usage`] when it is not suspended, [`Kind::Busy`] when another xenmig works on it,
    /// [`Kind::Unsupported`] on a host that cannot do it.
    fn release(&self, domain: &Domain) -> Result<()> {
        let what = format!("this host cannot resume domain {}", domain.id);
        Err(Error::new(Kind::Unsupported, what))
    }

    /// Can this host do what xenmig needs?
    fn findings(&self) -> Vec<Finding>;

    /// Cleans up what killed runs left, as far as `how` says.
    ///
    /// # Errors
    /// When what they left cannot be read; a domain that could not be cleaned is in the list.
    fn recover(&self, how: Recovery) -> Result<Vec<Recovered>>;

    /// The domain that a user means by `name`: a domid or a name.
    ///
    /// # Errors
    /// [`Kind::NoSuchDomain`] when there is none.
    fn find(&self, name: &str) -> Result<Domain> {
        if let Ok(id) = name.parse::<u16>() {
            return self.domain(DomId(id));
        }
        self.domains()?.into_iter().find(|domain| domain.name == name).ok_or_else(|| {
            Error::new(Kind::NoSuchDomain, format!("there is no domain `{name}`"))
                .hint("`xl list` shows the domains of this host")
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hosts_use_is_that_of_cpus_that_were_on_all_the_time() {
        let at = |s, idle: &[u64]| CpuTimes {
            at: Duration::from_secs(s),
            vcpus: Vec::new(),
            idle: idle.iter().map(|s| Duration::from_secs(*s)).collect(),
        };
        let before = at(0, &[5, 50]);
        assert_eq!(at(4, &[9, 52]).host_utilisation_since(&before), Some(0.25));
        // A third has come, or the second gone: which is which cannot be told.
        assert_eq!(at(4, &[9, 1, 52]).host_utilisation_since(&before), None);
        assert_eq!(at(4, &[52]).host_utilisation_since(&before), None);
        assert_eq!(at(4, &[]).host_utilisation_since(&at(0, &[])), None);
    }

    #[test]
    fn a_uuid_reads_back() {
        let uuid = Uuid(std::array::from_fn(|n| n as u8 * 17));
        assert_eq!(uuid.to_string().parse::<Uuid>().unwrap(), uuid);
        assert!("xyz".parse::<Uuid>().is_err());
    }
}
