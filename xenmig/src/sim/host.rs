//! [`SimHost`]: a host made of a scene, a clock, and a note of whose dirty log is on.

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use super::clock::Clock;
use super::log::{SimLog, p2m_size};
use super::scene::{Guest, Scene};
use super::workload::mix;
use crate::error::{Error, Kind, Result};
use crate::host::{
    CpuFeatures, CpuTimes, DirtyLog, DomId, Domain, Equipment, FeatureSet, Finding, GuestType,
    Health, Host, HostInfo, Now, Recovered, Recovery, RunState, Setup, Transfer, Uuid,
};
use crate::units::{Bytes, BytesPerSecond};

/// A simulated Xen host. One per thread: its clock is not shared.
#[derive(Debug)]
pub struct SimHost {
    scene: Scene,
    clock: Clock,
    /// Domains whose dirty log is on, ours or not.
    logged: RefCell<BTreeSet<DomId>>,
    /// Dirty logs switched on so far.
    logs: Cell<u64>,
}

impl SimHost {
    /// The built-in host: `idle`, `web`, `db` and `batch`.
    ///
    /// # Panics
    /// Never: a test reads the built-in scene.
    #[must_use]
    pub fn builtin() -> Self {
        Self::from_toml(include_str!("builtin.toml"), "builtin.toml").expect("it is tested")
    }

    /// The host that the scene in a file describes.
    ///
    /// # Errors
    /// [`Kind::Io`] or [`Kind::Permission`] when it cannot be read, [`Kind::Usage`] when it is no
    /// scene.
    pub fn open(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path)
            .map_err(|cause| Error::file(path, "read the simulated host", cause))?;
        Self::from_toml(&text, &path.display().to_string())
    }

    /// The host that a scene describes; `origin` names the scene in errors.
    ///
    /// # Errors
    /// [`Kind::Usage`] when it is no scene.
    pub fn from_toml(text: &str, origin: &str) -> Result<Self> {
        let scene = Scene::parse(text, origin)?;
        let left_on = scene.domains.iter().filter(|guest| guest.fault.log_dirty_left_on);
        let logged = RefCell::new(left_on.map(Guest::domid).collect());
        Ok(Self { clock: Clock::new(scene.real_time), scene, logged, logs: Cell::new(0) })
    }

    /// Bandwidth of its link to other hosts; `None` when the scene does not say.
    #[must_use]
    pub fn link(&self) -> Option<BytesPerSecond> {
        self.scene.link
    }

    /// What a migration adds to the downtime beside sending, as [`crate::model::Costs::finish`];
    /// `None` when the scene does not say.
    #[must_use]
    pub fn finish(&self) -> Option<Duration> {
        self.scene.finish.map(|span| span.0)
    }

    /// Whether the dirty log of a domain is on.
    #[must_use]
    pub fn log_is_on(&self, id: DomId) -> bool {
        self.logged.borrow().contains(&id)
    }

    /// How many dirty logs have been switched on.
    #[must_use]
    pub fn logs_switched_on(&self) -> u64 {
        self.logs.get()
    }

    pub(super) fn clock(&self) -> &Clock {
        &self.clock
    }

    pub(super) fn seed(&self) -> u64 {
        self.scene.seed
    }

    pub(super) fn set_log(&self, id: DomId, on: bool) {
        if on {
            self.logged.borrow_mut().insert(id);
            self.logs.set(self.logs.get() + 1);
        } else {
            self.logged.borrow_mut().remove(&id);
        }
    }

    /// The domain, if it is still there.
    pub(super) fn living(&self, id: DomId) -> Result<&Guest> {
        let found = self.guests().find(|guest| guest.domid() == id);
        found.ok_or_else(|| {
            Error::new(Kind::NoSuchDomain, format!("there is no domain {id}"))
                .hint("`xl list` shows the domains of this host")
        })
    }

    fn guests(&self) -> impl Iterator<Item = &Guest> {
        let now = self.clock.now();
        let there = move |guest: &&Guest| {
            guest.appears_after.is_none_or(|at| now >= at.0)
                && guest.fault.vanishes_after.is_none_or(|at| now < at.0)
        };
        self.scene.domains.iter().filter(there)
    }

    fn permitted(&self) -> Result<()> {
        if !self.scene.host.no_permission {
            return Ok(());
        }
        let what = "the hypervisor says that this user may not";
        Err(Error::new(Kind::Permission, what).hint("run xenmig as root in Dom0"))
    }

    fn dom0(&self) -> Domain {
        let memory = self.scene.host.dom0_memory.pages();
        Domain {
            id: DomId::DOM0,
            name: "Domain-0".to_owned(),
            uuid: Uuid([0; 16]),
            guest_type: GuestType::Pv,
            state: RunState::Running,
            memory,
            max_memory: memory,
            p2m_size: memory,
            vcpus: self.scene.host.cpus.min(4),
            hap: false,
        }
    }

    fn describe(&self, guest: &Guest) -> Domain {
        let memory = guest.memory.pages();
        let hvm = guest.guest_type != GuestType::Pv;
        let mut uuid = [0; 16];
        let identity = guest.identity.unwrap_or(u64::from(guest.domid().0));
        let seed = mix(self.scene.seed ^ identity);
        uuid[..8].copy_from_slice(&seed.to_be_bytes());
        uuid[8..].copy_from_slice(&mix(seed).to_be_bytes());
        Domain {
            id: guest.domid(),
            name: guest.name.clone(),
            uuid: Uuid(uuid),
            guest_type: guest.guest_type,
            state: guest.state,
            memory,
            max_memory: guest.max_memory.map_or(memory, super::scene::Size::pages),
            p2m_size: p2m_size(memory, hvm),
            vcpus: guest.vcpus,
            hap: hvm && self.scene.host.hap,
        }
    }

    /// Time that each of its vCPUs has run.
    fn vcpu_time(&self, guest: &Guest) -> Duration {
        let up = self.clock.now();
        let extra: Duration = guest.workloads.iter().map(|w| w.cpu_time(up)).sum();
        (up.mul_f64(guest.cpu) + extra).min(up)
    }

    fn can_log(&self, guest: &Guest) -> bool {
        let host = &self.scene.host;
        !guest.fault.log_dirty_unsupported
            && if guest.guest_type == GuestType::Pv { host.shadow } else { host.hap }
    }
}

impl Host for SimHost {
    fn info(&self) -> Result<HostInfo> {
        let host = &self.scene.host;
        let used: u64 = self.scene.domains.iter().map(|guest| guest.memory.0.0).sum();
        let version = &host.xen_version;
        Ok(HostInfo {
            xen_version: version.clone(),
            built_for: version.split('.').take(2).collect::<Vec<_>>().join("."),
            cpus: host.cpus,
            memory: host.memory.0,
            free_memory: Bytes(host.memory.0.0 - used - host.dom0_memory.0.0),
            scheduler: host.scheduler.clone(),
            hap: host.hap,
            shadow: Some(host.shadow),
        })
    }

    fn domains(&self) -> Result<Vec<Domain>> {
        self.permitted()?;
        let mut domains: Vec<_> = self.guests().map(|guest| self.describe(guest)).collect();
        domains.push(self.dom0());
        domains.sort_by_key(|domain| domain.id);
        Ok(domains)
    }

    fn domain(&self, id: DomId) -> Result<Domain> {
        self.permitted()?;
        if id == DomId::DOM0 {
            return Ok(self.dom0());
        }
        self.living(id).map(|guest| self.describe(guest))
    }

    fn setup(&self, id: DomId) -> Result<Setup> {
        if id == DomId::DOM0 {
            return Ok(Setup::default());
        }
        self.living(id).map(|guest| Setup::from(&guest.setup))
    }

    fn transfer(&self, id: DomId) -> Result<Option<Transfer>> {
        if id == DomId::DOM0 {
            return Ok(None);
        }
        let fault = &self.living(id)?.fault;
        let begun = fault.save_begins_after.is_some_and(|at| self.clock.now() >= at.0);
        let outgoing = begun.then_some(Transfer::Outgoing { pid: 4242 });
        Ok(outgoing.or(fault.incoming.then_some(Transfer::Incoming)))
    }

    fn cpu_times(&self, id: DomId) -> Result<CpuTimes> {
        let up = self.clock.now();
        let vcpus = if id == DomId::DOM0 {
            vec![up.mul_f64(self.scene.host.load); self.dom0().vcpus as usize]
        } else {
            let guest = self.living(id)?;
            vec![self.vcpu_time(guest); guest.vcpus as usize]
        };
        let cpus = self.scene.host.cpus;
        let guests = self.guests().map(|guest| self.vcpu_time(guest) * guest.vcpus);
        let busy = up.mul_f64(self.scene.host.load) + guests.sum::<Duration>() / cpus;
        Ok(CpuTimes { at: up, vcpus, idle: vec![up.saturating_sub(busy); cpus as usize] })
    }

    fn equipment(&self) -> Result<Equipment> {
        let host = &self.scene.host;
        let features = || Some(host.features.clone());
        Ok(Equipment {
            name: host.name.clone(),
            cpu_features: CpuFeatures {
                host: features(),
                pv: features(),
                hvm: features(),
                pv_max: features(),
                hvm_max: features(),
            },
            bridges: host.bridges.clone(),
            dom0_gives_memory: Some(host.dom0_gives_memory),
        })
    }

    fn has_path(&self, path: &Path) -> bool {
        self.scene.host.paths.iter().any(|there| Path::new(there) == path)
    }

    fn given_features(&self, id: DomId) -> Result<Option<FeatureSet>> {
        if id == DomId::DOM0 {
            return Ok(None);
        }
        let given = &self.living(id)?.features;
        Ok(Some(given.as_ref().unwrap_or(&self.scene.host.features).clone()))
    }

    fn now(&self) -> Now {
        let up = self.clock.now();
        let jumped = self.scene.clock_jumps.iter().filter(|jump| up >= jump.after.0);
        let jumps: i64 = jumped.map(|jump| jump.by_s).sum();
        Now { monotonic: up, unix_s: self.scene.start_unix_s + up.as_secs() as i64 + jumps }
    }

    fn pause(&self, time: Duration, stop: &AtomicBool) -> bool {
        self.clock.wait_until(self.clock.now() + time, stop)
    }

    fn dirty_log<'a>(&'a self, id: DomId, stop: &'a AtomicBool) -> Result<Box<dyn DirtyLog + 'a>> {
        self.permitted()?;
        if id == DomId::DOM0 {
            return Err(Error::new(Kind::Unsupported, "Domain-0 cannot be migrated"));
        }
        let guest = self.living(id)?;
        if !self.can_log(guest) {
            let what = format!("Xen cannot log the dirty pages of domain {id} (EOPNOTSUPP)");
            return Err(Error::new(Kind::Unsupported, what)
                .hint("PV guests need a hypervisor with shadow paging, others one with HAP"));
        }
        if let Some(transfer) = self.transfer(id)? {
            let what = match transfer {
                Transfer::Outgoing { pid } => format!("domain {id} is being saved by pid {pid}"),
                Transfer::Incoming => format!("domain {id} is just arriving"),
            };
            return Err(Error::new(Kind::Busy, what).hint("wait until that is over"));
        }
        if guest.fault.log_dirty_busy || self.log_is_on(id) {
            let what = format!("somebody else has the dirty log of domain {id} on");
            return Err(Error::new(Kind::Busy, what)
                .hint("`xenmig recover` cleans up if it was a killed xenmig"));
        }
        Ok(Box::new(SimLog::switch_on(self, guest, stop)))
    }

    fn findings(&self) -> Vec<Finding> {
        let host = &self.scene.host;
        let finding = |what, bad: Option<(Health, &str)>, found: &str| Finding {
            what,
            state: bad.map_or(Health::Good, |bad| bad.0),
            found: found.to_owned(),
            advice: bad.map(|bad| bad.1.to_owned()),
        };
        let no_hap = (Health::Bad, "migrate from a machine with EPT or NPT");
        let no_shadow = (Health::Limited, "run guests as PVH");
        let no_rights = (Health::Bad, "run xenmig as root");
        vec![
            finding("xen", None, &format!("Xen {}, simulated", host.xen_version)),
            if host.hap {
                finding("log-dirty", None, "PVH and HVM guests can be sampled and migrated live")
            } else {
                finding("log-dirty", Some(no_hap), "there is no hardware-assisted paging")
            },
            if host.shadow {
                finding("pv-log-dirty", None, "PV guests can be sampled and migrated live")
            } else {
                finding("pv-log-dirty", Some(no_shadow), "PV guests cannot migrate live")
            },
            finding("scheduler", None, &host.scheduler),
            if host.no_permission {
                finding("save-guard", Some(no_rights), "this user may not hold saves back")
            } else {
                finding("save-guard", None, "simulated saves are held back in time")
            },
        ]
    }

    /// None of its domains is ever suspended, so there is one way only.
    fn recover(&self, _: Recovery) -> Result<Vec<Recovered>> {
        self.permitted()?;
        let left_on = self.guests().filter(|guest| guest.fault.log_dirty_left_on);
        let ours: Vec<_> = left_on.map(Guest::domid).filter(|id| self.log_is_on(*id)).collect();
        let clean = |domid| {
            self.set_log(domid, false);
            let what = "a killed xenmig had left its dirty log on; switched off".to_owned();
            Recovered { domid, what, clean: true }
        };
        Ok(ours.into_iter().map(clean).collect())
    }
}
