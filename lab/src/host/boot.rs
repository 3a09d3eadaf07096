//! From a wish to a host that answers.

use std::fs::{self, File};
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use rustix::fs::{FlockOperation, flock};
use rustix::thread::CpuSet;

use super::channel::Channel;
use super::lan::{Lan, Port};
use super::qemu::{Qemu, Start};
use super::qmp::Qmp;
use super::{Guest, GuestSpec, Host, snapshot};
use crate::Result;
use crate::error::Context;
use crate::guest::BRIDGE;
use crate::images::{Images, XenVersion, cache_dir, lock, sweep};

/// The file in a host's folder that says which CPU it runs on.
const CORE: &str = "core";

/// Wall-clock time for Dom0 to come up; it takes some ten seconds.
const BOOT: Duration = Duration::from_secs(300);

/// Puts Dom0's network card on the guests' bridge, which has the same address on every host.
const JOIN: &str = r#"set -e
    ip link set eth0 master "$1" up
    ip address flush dev "$1"
    ip address add "$2/24" dev "$1""#;

/// What a host is to be like. The defaults are what tests want.
#[derive(Debug, Clone)]
pub struct HostBuilder {
    pub(super) version: XenVersion,
    pub(super) memory_mib: u32,
    pub(super) dom0_memory_mib: u32,
    pub(super) cpus: u32,
    pub(super) xen_arguments: Vec<String>,
    pub(super) real_time: bool,
    pub(super) limit: Duration,
    pub(super) cold: bool,
    pub(super) lan: Option<Lan>,
}

impl Default for HostBuilder {
    fn default() -> Self {
        Self::new(XenVersion::default())
    }
}

impl HostBuilder {
    /// A host with Xen `version`, one CPU, 2 GiB, of which Dom0 has 768 MiB.
    pub fn new(version: XenVersion) -> Self {
        Self {
            version,
            memory_mib: 2048,
            dom0_memory_mib: 768,
            cpus: 1,
            xen_arguments: Vec::new(),
            real_time: false,
            limit: Duration::from_secs(600),
            cold: false,
            lan: None,
        }
    }

    /// Memory of the whole host.
    #[must_use]
    pub fn memory_mib(mut self, mib: u32) -> Self {
        self.memory_mib = mib;
        self
    }

    /// Memory of Dom0.
    #[must_use]
    pub fn dom0_memory_mib(mut self, mib: u32) -> Self {
        self.dom0_memory_mib = mib;
        self
    }

    /// Physical CPUs, emulated in turn by one thread.
    #[must_use]
    pub fn cpus(mut self, cpus: u32) -> Self {
        self.cpus = cpus;
        self
    }

    /// A word for the hypervisor's command line.
    #[must_use]
    pub fn xen_argument(mut self, word: &str) -> Self {
        self.xen_arguments.push(word.into());
        self
    }

    /// Idle time inside takes as long outside; for more than one host.
    #[must_use]
    pub fn real_time(mut self, real_time: bool) -> Self {
        self.real_time = real_time;
        self
    }

    /// How long any one command may take, in time outside (10 minutes).
    #[must_use]
    pub fn limit(mut self, limit: Duration) -> Self {
        self.limit = limit;
        self
    }

    /// Boots from the firmware even where a snapshot of the booted host is
    /// cached.
    #[must_use]
    pub fn cold(mut self, cold: bool) -> Self {
        self.cold = cold;
        self
    }

    /// Puts its network card into `lan`, and on the guests' bridge. Implies
    /// [`real_time`](Self::real_time): hosts that stand still answer nobody.
    #[must_use]
    pub fn lan(mut self, lan: &Lan) -> Self {
        self.lan = Some(lan.clone());
        self.real_time(true)
    }

    /// Whether a snapshot is kept of such a host: of what is as by default.
    fn has_snapshot(&self) -> bool {
        let plain = Self::new(self.version);
        let sizes = |b: &Self| (b.memory_mib, b.dom0_memory_mib, b.cpus, b.real_time);
        let default = sizes(self) == sizes(&plain);
        default && self.xen_arguments.is_empty() && self.lan.is_none() && !self.cold
    }

    /// Builds what is missing, boots, and waits for Dom0.
    ///
    /// # Errors
    /// Those of [`Images::ensure`]; [`HostGone`](crate::Error::HostGone) and
    /// [`Timeout`](crate::Error::Timeout) when the host does not come up.
    pub fn boot(&self) -> Result<Host> {
        let images = Images::ensure(self.version)?;
        if self.has_snapshot() {
            return self.load(&images, None);
        }
        let machine = Machine::prepare(&images, &images.disk, "raw")?;
        self.start(&images, machine, &Start::Cold)
    }

    /// [`HostBuilder::boot`], and creates a guest; from a snapshot with the guest, where such are
    /// kept. The guest is then at the same point of its work each time.
    ///
    /// # Errors
    /// As [`HostBuilder::boot`] and [`Host::guest`].
    pub fn boot_with(&self, spec: &GuestSpec) -> Result<(Host, Guest)> {
        if !self.has_snapshot() {
            let host = self.boot()?;
            let guest = host.guest(spec)?;
            return Ok((host, guest));
        }
        let host = self.load(&Images::ensure(self.version)?, Some(spec))?;
        let guest = Guest { name: spec.name.clone(), domid: host.domid(&spec.name)? };
        Ok((host, guest))
    }

    /// From a snapshot, made now if need be.
    fn load(&self, images: &Images, guest: Option<&GuestSpec>) -> Result<Host> {
        let saved = snapshot::ensure(images, self, guest)?;
        let machine = Machine::prepare(images, &saved.join("disk.qcow2"), "qcow2")?;
        self.start(images, machine, &Start::Saved(&saved.join("state")))
    }

    /// Starts QEMU in a prepared folder and waits for the agent.
    fn start(&self, images: &Images, mut machine: Machine, start: &Start<'_>) -> Result<Host> {
        let port = self.lan.as_ref().map(Lan::connect).transpose()?;
        let (dir, core) = (machine.dir.path(), machine.core);
        let mut qemu = Qemu::start(images, self, dir, start, core, port.as_ref())?;
        let agent = qemu.connect("agent.sock")?;
        let mut qmp = Qmp::new(qemu.connect("qmp.sock")?)?;
        qmp.wait_loaded(BOOT)?;
        let serial = qemu.serial.clone();
        machine.qemu = Some(qemu);
        let (channel, qmp) = if self.real_time {
            qmp.cont()?;
            (Channel::new(agent, None)?, Some(qmp.into()))
        } else {
            (Channel::new(agent, Some(qmp))?, None)
        };
        let host = Host {
            channel,
            serial,
            limit: self.limit,
            tokens: AtomicU32::new(0),
            address: port.as_ref().map(Port::address),
            qmp,
            _machine: Some(machine),
        };
        // No number that was given before the snapshot is given again.
        host.tokens.store(host.ping(BOOT)?.as_millis() as u32, Ordering::Relaxed);
        if let Some(address) = host.address {
            host.shell(JOIN, &[BRIDGE, &address.to_string()])?;
        }
        Ok(host)
    }

    /// Boots in `dir`, for a snapshot.
    pub(super) fn boot_in(&self, images: &Images, dir: &Path) -> Result<(Host, Channel)> {
        let machine = Machine::prepare_in(images, dir, &images.disk, "raw")?;
        let host = self.start(images, machine, &Start::Cold)?;
        let channel = host.channel.clone();
        Ok((host, channel))
    }
}

/// A QEMU and the folder it works in, which goes with it.
pub(super) struct Machine {
    qemu: Option<Qemu>,
    dir: tempfile::TempDir,
    core: usize,
    _lock: File,
}

impl Machine {
    fn prepare(images: &Images, base: &Path, format: &str) -> Result<Self> {
        Self::prepare_in(images, &cache_dir().join("run"), base, format)
    }

    fn prepare_in(images: &Images, parent: &Path, base: &Path, format: &str) -> Result<Self> {
        fs::create_dir_all(parent).context(|| format!("creating {}", parent.display()))?;
        let _preparing = lock(&cache_dir().join("run.lock"))?;
        sweep(parent);
        let dir = tempfile::Builder::new()
            .prefix("host-")
            .tempdir_in(parent)
            .context(|| format!("a folder in {}", parent.display()))?;
        let lock = File::create(dir.path().join("lock")).context(|| "creating lock".into())?;
        flock(&lock, FlockOperation::LockExclusive).context(|| "locking lock".into())?;
        let core = free_core(parent);
        fs::write(dir.path().join(CORE), core.to_string()).context(|| "writing core".into())?;
        images.qemu.overlay(&dir.path().join("disk.qcow2"), base, format)?;
        Ok(Self { qemu: None, dir, core, _lock: lock })
    }

    /// The folder with its sockets and logs.
    pub(super) fn dir(&self) -> &Path {
        self.dir.path()
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        // Before its folder.
        self.qemu = None;
    }
}

/// The CPU of this machine that the fewest hosts in `parent` run on.
fn free_core(parent: &Path) -> usize {
    let taken: Vec<usize> = fs::read_dir(parent)
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|e| fs::read_to_string(e.path().join(CORE)).ok()?.parse().ok())
        .collect();
    let hosts_on = |core: &usize| taken.iter().filter(|t| *t == core).count();
    // Without the list of allowed CPUs there is always the first.
    let allowed = rustix::thread::sched_getaffinity(None).unwrap_or_default();
    (0..CpuSet::MAX_CPU).filter(|&c| allowed.is_set(c)).min_by_key(hosts_on).unwrap_or(0)
}

/// Why the lab cannot be used here, for tests that skip: `XENLAB=off`, or not
/// root. `None` when it can.
pub fn unavailable() -> Option<String> {
    if std::env::var("XENLAB").is_ok_and(|v| v == "off") {
        return Some("XENLAB=off".into());
    }
    crate::images::require_root().err().map(|e| e.to_string())
}
