//! A domain of this host that is being migrated: libxl's calls, the lock and the note that others
//! see, and what has to be put right when a save fails.

use std::os::fd::BorrowedFd;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use super::control::Control;
use super::lease::{Lease, Leaving, Note};
use super::light::Light;
use super::process::{self, Intent};
use super::save_guard::SaveGuard;
use super::store::Store;
use super::{cap, domain, environment, logger};
use crate::error::{Error, Kind, Result};
use crate::host::{DomId, Domain, RunState};
use crate::migrate::{Progress, Source};

/// See the module.
pub(super) struct XenSource {
    id: DomId,
    uuid: String,
    name: String,
    /// Where notes are.
    directory: PathBuf,
    state: Mutex<State>,
    /// `None` where saves cannot be guarded; then a log that a dead helper left on stays on.
    guard: Option<Arc<SaveGuard>>,
}

struct State {
    control: Control,
    lease: Lease,
}

impl XenSource {
    /// Takes the lock of `domain`.
    pub(super) fn new(
        domain: &Domain,
        mut lease: Lease,
        guard: Option<Arc<SaveGuard>>,
        directory: PathBuf,
    ) -> Result<Self> {
        if let Some(note) = lease.note()? {
            return Err(note.in_the_way(domain.id));
        }
        let control = Control::open()?;
        let state = Mutex::new(State { control, lease });
        let (uuid, name) = (domain.uuid.to_string(), domain.name.clone());
        Ok(Self { id: domain.id, uuid, name, directory, state, guard })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Source for XenSource {
    fn configuration(&self) -> Result<Vec<u8>> {
        let json = Light::open()?.configuration_json(self.id)?;
        without_domid(json)
    }

    fn save(&self, stream: BorrowedFd<'_>, debug: bool) -> Result<()> {
        environment::ignore_broken_pipes();
        let saved = Light::open()?.save(self.id, stream, debug);
        logger::failures_are_expected(false);
        saved
    }

    fn interrupt(&self) {
        // The helper takes SIGTERM as libxl's own request to give up: it lets its next write fail
        // and puts the guest's state right on the way out.
        logger::failures_are_expected(true);
        let me = std::process::id();
        for (pid, intent) in process::running(&[]).unwrap_or_default() {
            if intent != Intent::Save(self.id) || process::parent(pid) != Some(me) {
                continue;
            }
            let helper = i32::try_from(pid).ok().and_then(Pid::from_raw);
            if let Some(Err(errno)) = helper.map(|helper| kill_process(helper, Signal::TERM)) {
                log::debug!("the save helper has ended already: {errno}");
            }
        }
    }

    fn state(&self) -> Result<RunState> {
        let info = domain::raw(&self.state().control, self.id)?;
        Ok(domain::run_state(info.flags))
    }

    fn asked_to_suspend(&self) -> bool {
        Store::open().is_ok_and(|store| domain::is_asked_to_suspend(&store, self.id))
    }

    fn rename(&self, from: &str, to: &str) -> Result<()> {
        Light::open()?.rename(self.id, from, to)
    }

    fn resume(&self) -> Result<()> {
        Light::open()?.resume(self.id)
    }

    fn destroy(&self) -> Result<()> {
        Light::open()?.destroy(self.id)
    }

    fn note(&self, progress: Progress) -> Result<()> {
        let leaving = Leaving { name: self.name.clone(), progress };
        let pid = std::process::id();
        let note = Note { uuid: self.uuid.clone(), pid, leaving: Some(leaving), cap: None };
        self.state().lease.write(&note)
    }

    fn settle(&self) -> Result<()> {
        let state = self.state();
        let cap = Store::open().and_then(|store| {
            cap::restore_noted(&state.control, &store, &self.directory, self.id).map(|_| ())
        });
        let log = put_right(self.guard.as_deref(), self.id);
        both(cap, log)
    }

    fn forget(&self) {
        self.state().lease.clear();
    }
}

/// The first failure of two; the second is said if both failed.
fn both(first: Result<()>, second: Result<()>) -> Result<()> {
    if let (Err(_), Err(error)) = (&first, &second) {
        log::error!("{error}");
    }
    first.and(second)
}

/// What a save that failed, or was killed, may have left: a dirty log that is on.
///
/// # Errors
/// [`Kind::Busy`] while a save of it runs, [`Kind::Unguarded`] without a guard, for a save that
/// begins meanwhile would lose its log; or as the hypervisor says.
pub(super) fn put_right(guard: Option<&SaveGuard>, id: DomId) -> Result<()> {
    let free = match guard {
        Some(guard) => guard.clean_up(id)?,
        None => {
            let running = process::running(&[]).map_err(|cause| {
                Error::new(Kind::Permission, "cannot read /proc to look for saves").because(cause)
            })?;
            !running.iter().any(|(_, intent)| intent.concerns(id))
        }
    };
    if !free {
        let what = format!("a save of domain {id} still runs");
        return Err(Error::new(Kind::Busy, what).hint("run `xenmig recover` when it has ended"));
    }
    if guard.is_none() {
        let what = format!("the dirty log of domain {id} may be on, and saves are not guarded");
        return Err(Error::new(Kind::Unguarded, what).hint("the next migration takes it over"));
    }
    Ok(())
}

/// The target gives it a domid of its own.
fn without_domid(json: Vec<u8>) -> Result<Vec<u8>> {
    let odd = |cause| Error::new(Kind::Internal, "libxenlight's JSON is odd").because(cause);
    let mut config: Value = serde_json::from_slice(&json).map_err(odd)?;
    let about = config.get_mut("c_info").and_then(Value::as_object_mut);
    match about.and_then(|about| about.remove("domid")) {
        // Nothing was changed: as libxl wrote it.
        None => Ok(json),
        Some(_) => serde_json::to_vec(&config).map_err(odd),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_hides_no_other_step() {
        let failed = |what: &str| Err(Error::new(Kind::Io, what));
        assert!(both(Ok(()), Ok(())).is_ok());
        assert_eq!(both(failed("cap"), Ok(())).unwrap_err().to_string(), "cap");
        assert_eq!(both(Ok(()), failed("log")).unwrap_err().to_string(), "log");
        assert_eq!(both(failed("cap"), failed("log")).unwrap_err().to_string(), "cap");
    }

    #[test]
    fn without_a_guard_nobody_touches_the_log_and_that_is_said() {
        let error = put_right(None, DomId(32_001)).unwrap_err();
        assert_eq!(error.kind(), Kind::Unguarded);
        assert!(error.advice().unwrap().contains("next migration"));
    }

    #[test]
    fn the_configuration_goes_without_the_domid() {
        let sent = |json: &str| {
            String::from_utf8(without_domid(json.as_bytes().to_vec()).unwrap()).unwrap()
        };
        let with = r#"{ "c_info": { "type": "pvh", "domid": 3 }, "b_info": { "n": 18446744073709551615 } }"#;
        assert_eq!(sent(with), r#"{"b_info":{"n":18446744073709551615},"c_info":{"type":"pvh"}}"#);
        let without = r#"{ "c_info": { "type": "pvh" } }"#;
        assert_eq!(sent(without), without);
        assert!(without_domid(b"no".to_vec()).is_err());
    }
}
