//! A domain of this host that is being migrated: libxl's calls, the lock and the note that others
//! see, and what has to be put right when a save fails.

use std::os::fd::BorrowedFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use super::control::Control;
use super::lease::{Lease, Leaving, Note};
use super::light::Light;
use super::process::{self, Intent};
use super::save_guard::SaveGuard;
use super::{domain, environment, logger};
use crate::error::{Error, Kind, Result};
use crate::host::{DomId, Domain, RunState};
use crate::migrate::{Progress, Source};

/// See the module.
pub(super) struct XenSource {
    id: DomId,
    uuid: String,
    name: String,
    /// The scheduler's cap before anybody changed it; `None` when it has none.
    cap: Option<u16>,
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
    ) -> Result<Self> {
        if let Some(note) = lease.note()? {
            let what = format!("process {} died while it worked on domain {}", note.pid, domain.id);
            return Err(Error::new(Kind::Busy, what).hint("`xenmig recover` says what to do"));
        }
        let control = Control::open()?;
        // A CPU pool may have another scheduler than the host's; then nobody throttles the domain.
        let cap = control.cap(domain.id).unwrap_or_else(|error| {
            log::debug!("{error}");
            None
        });
        let state = Mutex::new(State { control, lease });
        let (uuid, name) = (domain.uuid.to_string(), domain.name.clone());
        Ok(Self { id: domain.id, uuid, name, cap, state, guard })
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
        let leaving = Leaving { name: self.name.clone(), progress, cap: self.cap };
        let pid = std::process::id();
        let note = Note { uuid: self.uuid.clone(), pid, leaving: Some(leaving) };
        self.state().lease.write(&note)
    }

    fn settle(&self) -> Result<()> {
        let mut state = self.state();
        put_right(&state.control, self.guard.as_deref(), self.id, self.cap)?;
        state.lease.clear();
        Ok(())
    }

    fn forget(&self) {
        self.state().lease.clear();
    }
}

/// What a save that failed, or was killed, may have left: a dirty log that is on, and a cap.
pub(super) fn put_right(
    control: &Control,
    guard: Option<&SaveGuard>,
    id: DomId,
    cap: Option<u16>,
) -> Result<()> {
    let capped = match cap {
        Some(cap) if control.cap(id)? != Some(cap) => control.set_cap(id, cap),
        _ => Ok(()),
    };
    match guard.map(|guard| guard.clean_up(id)) {
        Some(Ok(true)) => capped,
        Some(Ok(false)) => {
            let what = format!("a save of domain {id} still runs");
            Err(Error::new(Kind::Busy, what).hint("run `xenmig recover` when it has ended"))
        }
        Some(Err(error)) => Err(error),
        None => {
            let what = format!("the dirty log of domain {id} may be on, and saves are not guarded");
            Err(Error::new(Kind::Permission, what).hint("the next migration switches it off"))
        }
    }
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
