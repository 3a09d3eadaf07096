//! [`XenHost`]: the real host behind the trait [`Host`].

use std::cell::RefCell;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use xen_sys as sys;

use super::control::Control;
use super::lease::{self, Lease};
use super::light::Light;
use super::log_dirty::LogDirty;
use super::process::{self, Intent};
use super::save_guard::{SaveGuard, save_helpers};
use super::source::XenSource;
use super::store::Store;
use super::{abandoned, cap, cpu, domain, equipment, features, findings, setup};
use crate::error::{Error, Kind, Result};
use crate::host::{
    CpuTimes, DirtyLog, DomId, Domain, Equipment, FeatureSet, Finding, GuestType, Host, HostInfo,
    Now, Recovered, Recovery, RunState, Setup, Transfer,
};
use crate::migrate::Source;
use crate::units::{Bytes, PAGE_SIZE, Pages};

/// How to work with this host.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where locks and notes are kept.
    pub run_directory: PathBuf,
    /// Programs that save domains; empty means those that are found.
    pub save_helpers: Vec<PathBuf>,
    /// The wrapper through which saves are steered; `None` means the one that is found.
    pub hook: Option<PathBuf>,
}

impl Default for Options {
    fn default() -> Self {
        let run_directory = PathBuf::from("/run/xenmig");
        Self { run_directory, save_helpers: Vec::new(), hook: None }
    }
}

/// A real Xen host, seen from its control domain.
pub struct XenHost {
    control: Control,
    store: Store,
    options: Options,
    /// One above the highest number of a CPU, whether it is online or not.
    cpu_ids: u32,
    guard: RefCell<Option<Arc<SaveGuard>>>,
}

impl XenHost {
    /// Connects to the hypervisor and to xenstore.
    ///
    /// # Errors
    /// [`Kind::NoXen`] when this is no control domain, when the program was built without Xen, or
    /// when the hypervisor is not the version it was built for; [`Kind::Permission`] for users
    /// who may not.
    pub fn open(options: Options) -> Result<Self> {
        if !sys::LINKED {
            return Err(Error::new(Kind::NoXen, "this xenmig was built without Xen").hint(
                "install libxen-dev (Debian) or xen-devel, rebuild, and run it in the control \
                 domain; `--host sim` works without",
            ));
        }
        if !["/dev/xen/privcmd", "/proc/xen/privcmd"].iter().any(|path| Path::new(path).exists()) {
            return Err(Error::new(Kind::NoXen, "there is no Xen hypervisor under this system")
                .hint("run xenmig in the control domain (Dom0); `--host sim` works anywhere"));
        }
        let control = Control::open()?;
        let (major, minor) = control.version()?;
        if (major, minor) != (sys::XEN_VERSION_MAJOR, sys::XEN_VERSION_MINOR) {
            let what = format!(
                "this is Xen {major}.{minor}, but xenmig was built for {}; it touches nothing",
                sys::BUILT_FOR
            );
            return Err(Error::new(Kind::NoXen, what)
                .hint("rebuild it against the libraries of the running version"));
        }
        let cpu_ids = control.physical()?.max_cpu_id.saturating_add(1);
        Ok(Self { control, store: Store::open()?, options, cpu_ids, guard: RefCell::default() })
    }

    /// Whether each domain runs: one hypercall and nothing else, so cheap enough to watch the
    /// moments at which domains suspend and resume.
    ///
    /// # Errors
    /// As the hypervisor says.
    pub fn run_states(&self) -> Result<Vec<(DomId, RunState)>> {
        const MOST: usize = 64;
        let all = self.control.domains(DomId::DOM0, MOST)?;
        Ok(all.iter().map(|info| (DomId(info.domain), domain::run_state(info.flags))).collect())
    }

    /// The guard over saves, started when it is first needed and kept as long as it watches.
    fn guard(&self) -> Result<Arc<SaveGuard>> {
        kept(&mut self.guard.borrow_mut(), SaveGuard::watches, || {
            SaveGuard::start(&save_helpers(&self.options.save_helpers))
        })
    }

    /// The same for what can do without; why it cannot be had is said.
    fn guard_if_any(&self) -> Option<Arc<SaveGuard>> {
        self.guard().inspect_err(|error| log::warn!("{error}")).ok()
    }

    fn can_log(&self, domain: &Domain) -> Result<()> {
        if domain.state == RunState::Dying {
            return Err(domain::torn_down(domain.id));
        }
        let abilities = self.control.physical()?.capabilities;
        let shadow = abilities & sys::XEN_SYSCTL_PHYSCAP_shadow != 0;
        if domain.guest_type == GuestType::Pv && !shadow {
            // ENABLE would fail and leave the domain in a state where it fails differently.
            return Err(Error::new(
                Kind::Unsupported,
                format!(
                    "domain {} is PV and this hypervisor has no shadow paging, so its writes \
                     cannot be logged",
                    domain.id
                ),
            )
            .hint("no PV guest migrates live on this host; use PVH or HVM, or stop the guest"));
        }
        Ok(())
    }

    fn recover_one(&self, id: DomId, how: Recovery) -> Result<Option<Recovered>> {
        let mut lease = match Lease::take(&self.options.run_directory, id) {
            Ok(lease) => lease,
            // Its owner lives.
            Err(error) if error.kind() == Kind::Busy => return Ok(None),
            Err(error) => return Err(error),
        };
        let Some(note) = lease.note()? else {
            return Ok(None);
        };
        let same = match self.domain(id) {
            Ok(domain) => note.is_of(&domain.uuid.to_string()),
            Err(error) if error.kind() == Kind::NoSuchDomain => false,
            Err(error) => return Err(error),
        };
        if let Some(leaving) = note.leaving.filter(|_| same) {
            let (control, store) = (&self.control, &self.store);
            let guard = self.guard_if_any();
            let guard = guard.as_deref();
            return abandoned::recover(control, store, guard, id, &leaving, lease, how).map(Some);
        }
        let what = if !same {
            "the domain that a killed xenmig sampled or migrated has gone"
        } else if self.guard()?.clean_up(id)? {
            "switched off the dirty log that a killed xenmig had left on"
        } else {
            "a save runs and has taken over the dirty log that a killed xenmig had left on"
        };
        lease.clear();
        Ok(Some(Recovered { domid: id, what: what.to_owned(), clean: true }))
    }

    fn recover_cap(&self, id: DomId) -> Result<Option<Recovered>> {
        let directory = &self.options.run_directory;
        let Some(cap) = cap::restore_noted(&self.control, &self.store, directory, id)? else {
            return Ok(None);
        };
        // A save that was killed has left its log on.
        let off =
            self.domain(id).is_ok() && unless_in_use(directory, id, || self.guard()?.clean_up(id))?;
        let log = if off { "; switched off its dirty log" } else { "" };
        Ok(Some(Recovered { domid: id, what: format!("{cap}{log}"), clean: true }))
    }
}

/// What `place` holds, if it still `works`, or else a new one.
fn kept<T>(
    place: &mut Option<Arc<T>>,
    works: impl FnOnce(&T) -> bool,
    start: impl FnOnce() -> Result<T>,
) -> Result<Arc<T>> {
    if let Some(old) = place.take().filter(|old| works(old)) {
        return Ok(Arc::clone(place.insert(old)));
    }
    Ok(Arc::clone(place.insert(Arc::new(start()?))))
}

/// Has `clean` switch off the log of domain `id`, unless it belongs to another xenmig that lives.
/// Says whether that was done.
fn unless_in_use(
    directory: &Path,
    id: DomId,
    clean: impl FnOnce() -> Result<bool>,
) -> Result<bool> {
    match Lease::take(directory, id) {
        // Held until it is off: nobody begins to sample meanwhile.
        Ok(_lease) => clean(),
        Err(error) if error.kind() == Kind::Busy => Ok(false),
        Err(error) => Err(error),
    }
}

impl Host for XenHost {
    fn info(&self) -> Result<HostInfo> {
        let physical = self.control.physical()?;
        let (major, minor) = self.control.version()?;
        let has = |flag| physical.capabilities & flag != 0;
        Ok(HostInfo {
            xen_version: format!("{major}.{minor}{}", self.control.extra_version()?),
            built_for: sys::BUILT_FOR.to_owned(),
            cpus: physical.nr_cpus,
            memory: Bytes(physical.total_pages * PAGE_SIZE),
            free_memory: Bytes(physical.free_pages * PAGE_SIZE),
            scheduler: findings::scheduler_name(self.control.scheduler()?),
            hap: has(sys::XEN_SYSCTL_PHYSCAP_hap),
            shadow: Some(has(sys::XEN_SYSCTL_PHYSCAP_shadow)),
        })
    }

    fn domains(&self) -> Result<Vec<Domain>> {
        domain::all(&self.control, &self.store)
    }

    fn domain(&self, id: DomId) -> Result<Domain> {
        domain::one(&self.control, &self.store, id)
    }

    fn setup(&self, id: DomId) -> Result<Setup> {
        let mut setup = match Light::open()?.configuration(id) {
            Ok(config) => setup::from_config(&config),
            // Domains that libxl did not build have no configuration; the rest is still known.
            Err(error) if self.domain(id).is_ok() => {
                log::warn!("{error}");
                Setup::default()
            }
            Err(error) => return Err(error),
        };
        setup::add_from_store(&mut setup, &self.store, id);
        if self.domain(id)?.guest_type != GuestType::Pv {
            setup.pod_pages = self.control.pod_entries(id).ok().map(Pages);
        }
        Ok(setup)
    }

    fn transfer(&self, id: DomId) -> Result<Option<Transfer>> {
        let programs: Vec<_> = save_helpers(&self.options.save_helpers)
            .iter()
            .filter_map(|path| process::Program::at(path).ok())
            .collect();
        let running = process::running(&programs).map_err(|cause| {
            Error::new(Kind::Permission, "cannot read /proc to look for saves").because(cause)
        })?;
        for (pid, intent) in running {
            match intent {
                Intent::Restore(restored) if restored == id => return Ok(Some(Transfer::Incoming)),
                other if other.concerns(id) => return Ok(Some(Transfer::Outgoing { pid })),
                _ => {}
            }
        }
        Ok(None)
    }

    fn cpu_times(&self, id: DomId) -> Result<CpuTimes> {
        cpu::times(&self.control, id, self.cpu_ids)
    }

    fn equipment(&self) -> Result<Equipment> {
        equipment::read(&self.control)
    }

    fn given_features(&self, id: DomId) -> Result<Option<FeatureSet>> {
        features::of_domain(&self.control, id).map(Some)
    }

    fn now(&self) -> Now {
        Now { monotonic: cpu::now(), unix_s: cpu::unix_s() }
    }

    fn pause(&self, time: Duration, stop: &AtomicBool) -> bool {
        // Long pauses are a service's, which nobody waits for so eagerly.
        let notice = (time / 100).max(Duration::from_millis(20));
        let begun = Instant::now();
        while !stop.load(Ordering::Relaxed) {
            let left = time.saturating_sub(begun.elapsed());
            if left.is_zero() {
                return true;
            }
            std::thread::sleep(left.min(notice));
        }
        false
    }

    fn dirty_log<'a>(&'a self, id: DomId, stop: &'a AtomicBool) -> Result<Box<dyn DirtyLog + 'a>> {
        let domain = self.domain(id)?;
        self.can_log(&domain)?;
        let guard = self.guard()?;
        let lease = Lease::take(&self.options.run_directory, id)?;
        Ok(Box::new(LogDirty::new(guard, &self.control, &domain, lease, stop)?))
    }

    fn source(&self, domain: &Domain) -> Result<Box<dyn Source>> {
        let guard = self.guard_if_any();
        let lease = Lease::take(&self.options.run_directory, domain.id)?;
        Ok(Box::new(XenSource::new(domain, lease, guard, self.options.run_directory.clone())?))
    }

    fn release(&self, domain: &Domain) -> Result<()> {
        let mut lease = Lease::take(&self.options.run_directory, domain.id)?;
        abandoned::release(self.guard_if_any().as_deref(), domain, &mut lease)
    }

    fn findings(&self) -> Vec<Finding> {
        findings::all(self, &self.options)
    }

    fn recover(&self, how: Recovery) -> Result<Vec<Recovered>> {
        let directory = &self.options.run_directory;
        let caps = lease::known_caps(directory)?.into_iter().map(|id| (id, self.recover_cap(id)));
        let others = lease::known(directory)?.into_iter().map(|id| (id, self.recover_one(id, how)));
        let done = caps.chain(others).filter_map(|(id, done)| {
            done.unwrap_or_else(|error| {
                Some(Recovered { domid: id, what: error.to_string(), clean: false })
            })
        });
        Ok(done.collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_no_longer_works_is_replaced() {
        let mut place = None;
        let mut get = |works, start: Result<u8>| kept(&mut place, |_| works, || start).ok();
        let failed = || Err(Error::new(Kind::Internal, "no"));
        assert_eq!(get(true, failed()), None);
        assert_eq!(get(true, Ok(1)).as_deref(), Some(&1));
        assert_eq!(get(true, Ok(2)).as_deref(), Some(&1));
        assert_eq!(get(false, Ok(3)).as_deref(), Some(&3));
        assert_eq!(get(false, failed()), None);
        assert_eq!(get(true, Ok(4)).as_deref(), Some(&4));
    }

    #[test]
    fn the_log_of_a_domain_that_another_xenmig_has_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let id = DomId(7);
        let other = Lease::take(dir.path(), id).unwrap();
        assert!(!unless_in_use(dir.path(), id, || panic!("it was touched")).unwrap());
        drop(other);
        let off = unless_in_use(dir.path(), id, || {
            assert_eq!(Lease::take(dir.path(), id).unwrap_err().kind(), Kind::Busy);
            Ok(true)
        });
        assert!(off.unwrap());
        assert!(Lease::take(dir.path(), id).is_ok());
    }
}
