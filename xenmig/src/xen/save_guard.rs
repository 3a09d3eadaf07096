//! Holds saves back until the dirty log is let go.
//!
//! Xen does not notice two owners of one dirty log: a sampler that switches it off under a running
//! save makes that save lose pages, and the guest dies at the target. libxl runs every save in a
//! fresh program; a fanotify permission mark makes the kernel hold that program's exec back until
//! this guard answers, and it answers only when the log is off. Libraries cannot be hidden behind
//! another path as a program can, so opening libxenguest is watched as well.
//!
//! A thread of its own answers, so that nothing the caller waits for delays a save. If the thread
//! or the process dies, the kernel lets everything through; the next save then takes over a log
//! that was left on, which is harmless. A process that is stopped does neither, so the signals of
//! the terminal must not stop this one; and what the thread has to say others log, for a log that
//! nobody reads, as of a terminal after ^S, can make its writer wait.

mod answer;
mod begun;

use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::thread::JoinHandle;
use std::time::Duration;

use log::Level;
use rustix::event::{EventfdFlags, eventfd};

use answer::answer_events;
use begun::Begun;

use super::control::Control;
use super::environment;
use super::lease::{Lease, Note};
use super::marks::{Marked, Marks};
use super::process::{self, Intent, Program};
use crate::error::{Error, Kind, Result};
use crate::host::{DomId, Uuid};

/// Watches for saves while it lives.
pub struct SaveGuard {
    shared: Arc<Shared>,
    /// What is guarded, by path.
    helpers: Vec<PathBuf>,
    /// What has marks, as of the last look at the paths. Never locked for long.
    marked: Mutex<Marked>,
    /// The thread's: with it they end, and the kernel lets everything through.
    marks: Weak<Marks>,
    end: OwnedFd,
    thread: Option<JoinHandle<()>>,
}

struct Shared {
    state: Mutex<State>,
    /// Signalled when the log was let go.
    changed: Condvar,
}

struct State {
    control: Control,
    /// The thread answers; without it no log may be switched on.
    watching: bool,
    begun: Begun,
    /// The one log that is on.
    held: Option<Held>,
    /// What the thread has to say.
    unsaid: Vec<(Level, String)>,
}

struct Held {
    id: DomId,
    lease: Lease,
}

/// The programs that save domains on this host: `configured`, or those that Xen's packages put in
/// their usual places, xapi's among them.
#[must_use]
pub fn save_helpers(configured: &[PathBuf]) -> Vec<PathBuf> {
    if !configured.is_empty() {
        return configured.to_vec();
    }
    let version = format!("/usr/lib/xen-{}/bin", super::BUILT_FOR);
    let folders = [&version, "/usr/lib/xen/bin", "/usr/libexec/xen/bin", "/usr/local/lib/xen/bin"];
    let names = ["libxl-save-helper", "emu-manager", "xenguest"];
    let usual = folders.iter().flat_map(|f| names.iter().map(move |n| Path::new(f).join(n)));
    let mut found: Vec<_> = usual.filter(|path| path.exists()).collect();
    found.extend(std::env::var_os("LIBXL_SAVE_HELPER").map(PathBuf::from));
    found
}

impl SaveGuard {
    /// Marks `helpers` and starts to answer. From then on ^Z, and using the terminal from the
    /// background, do not stop this process.
    ///
    /// # Errors
    /// [`Kind::Permission`] without CAP_SYS_ADMIN, [`Kind::Unguarded`] when the kernel has no
    /// exec permission events (before 5.0) or there is no program to mark.
    pub fn start(helpers: &[PathBuf]) -> Result<Self> {
        if helpers.is_empty() {
            return Err(Error::new(
                Kind::Unguarded,
                "no save helper of a known tool stack was found, so saves cannot be guarded",
            )
            .hint("name the programs that save domains on this host in `xen.save_helpers`"));
        }
        environment::ignore_stop_signals();
        let marks = Arc::new(Marks::open()?);
        let marked = marks.add(helpers)?;
        let end = eventfd(0, EventfdFlags::CLOEXEC).map_err(|errno| {
            Error::new(Kind::Internal, "cannot make an event descriptor").because(errno)
        })?;
        let wakes = end.try_clone().map_err(|cause| {
            Error::new(Kind::Internal, "cannot copy an event descriptor").because(cause)
        })?;
        let state = State {
            control: Control::open()?,
            watching: true,
            begun: Begun::default(),
            held: None,
            unsaid: Vec::new(),
        };
        let shared = Arc::new(Shared { state: Mutex::new(state), changed: Condvar::new() });
        let watcher = Arc::clone(&shared);
        let lent = Arc::downgrade(&marks);
        let thread = std::thread::Builder::new()
            .name("save-guard".into())
            .spawn(move || answer_events(&marks, &wakes, &watcher))
            .map_err(|cause| Error::new(Kind::Internal, "cannot start a thread").because(cause))?;
        let guard = Self {
            shared,
            helpers: helpers.to_vec(),
            marked: Mutex::new(marked.clone()),
            marks: lent,
            end,
            thread: Some(thread),
        };
        guard.settle(&marked)?;
        Ok(guard)
    }

    /// Marks what has the guarded paths now. The marks are on files, and an update of Xen's packages
    /// puts others in their place.
    fn renew(&self) -> Result<()> {
        let marked = match self.marks.upgrade() {
            Some(marks) => marks.add(&self.helpers)?,
            None => return Err(stopped()),
        };
        if marked != *self.marked() {
            log::info!("what saves domains was replaced; it is guarded anew");
            self.settle(&marked)?;
            *self.marked() = marked;
        }
        Ok(())
    }

    fn marked(&self) -> MutexGuard<'_, Marked> {
        self.marked.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// An exec that began before the mark was set is not held back and, for a moment, not visible
    /// as a save either. It is over before a second look.
    fn settle(&self, marked: &Marked) -> Result<()> {
        let mut seen = running(&marked.helpers)?;
        std::thread::sleep(Duration::from_millis(2));
        seen.extend(running(&marked.helpers)?);
        self.shared.lock().begun.add(seen);
        Ok(())
    }

    /// Whether its thread still answers. If not, it is of no more use.
    pub(super) fn watches(&self) -> bool {
        self.shared.lock().watching
    }

    /// The saves that can be seen now. To be called before the state is locked: a look through /proc
    /// may have to wait, as for a file on a dead server, and the thread that answers would wait for
    /// the lock, and with it every program that it holds back. Nothing is missed by that: whatever
    /// begins after the look is in `begun` or still held back, since the thread puts it there before
    /// it lets it begin, and under the lock.
    fn running(&self) -> Result<Vec<(u32, Intent)>> {
        let helpers = self.marked().helpers.clone();
        running(&helpers)
    }

    /// Switches the dirty log of `id` on. It is let go by [`SaveGuard::let_go`] or when a save of
    /// the domain begins.
    pub(super) fn switch_on(&self, id: DomId, uuid: Uuid, mut lease: Lease) -> Result<()> {
        let uuid = uuid.to_string();
        let left_on = lease.left_on(id, &uuid)?;
        if left_on {
            log::info!("switching off the dirty log of domain {id} that a dead process left on");
        }
        self.renew()?;
        let running = self.running()?;
        let mut state = self.shared.lock_watched()?;
        if state.held.is_some() {
            return Err(Error::new(Kind::Busy, "this process samples another domain already"));
        }
        if let Some(pid) = state.begun.save_of(id, &running) {
            let what = format!("domain {id} is being saved by process {pid}");
            return Err(Error::new(Kind::Busy, what).hint("wait until that migration is over"));
        }
        if left_on {
            state.switch_off(id)?;
        }
        let pid = std::process::id();
        lease.write(&Note { uuid, pid, leaving: None, cap: None })?;
        if let Err(error) = state.control.log_enable(id) {
            lease.clear();
            return Err(error);
        }
        state.held = Some(Held { id, lease });
        // The count survives OFF and ENABLE; only this resets it.
        if let Err(error) = state.control.log_reset_count(id) {
            state.let_go()?;
            return Err(error);
        }
        Ok(())
    }

    /// Switches off the log of a domain whose owner was killed. `false` when a save runs, which
    /// has taken the log over and switches it off itself.
    pub(super) fn clean_up(&self, id: DomId) -> Result<bool> {
        self.renew()?;
        let running = self.running()?;
        let state = self.shared.lock_watched()?;
        if state.begun.save_of(id, &running).is_some() {
            return Ok(false);
        }
        state.switch_off(id).map(|()| true)
    }

    /// Runs `read` while the log is on and cannot be let go; `None` when it is no longer on.
    pub(super) fn while_on<T>(
        &self,
        read: impl FnOnce(&Control) -> Result<T>,
    ) -> Option<Result<T>> {
        let state = self.shared.lock();
        state.held.as_ref().map(|_| read(&state.control))
    }

    /// Waits until the log is let go, or at most `time`. Says whether it is still on.
    pub(super) fn wait(&self, time: Duration) -> bool {
        let state = self.shared.lock();
        if state.held.is_none() {
            return false;
        }
        let waited = self.shared.changed.wait_timeout(state, time);
        waited.unwrap_or_else(PoisonError::into_inner).0.held.is_some()
    }

    /// Switches the log off, unless a save has taken it over or it is off already.
    pub(super) fn let_go(&self) -> Result<()> {
        let done = self.off();
        self.tell();
        done
    }

    /// Logs what the thread had to say.
    fn tell(&self) {
        let unsaid = std::mem::take(&mut self.shared.lock().unsaid);
        for (level, what) in unsaid {
            log::log!(level, "{what}");
        }
    }

    fn off(&self) -> Result<()> {
        let Some(id) = self.held() else { return Ok(()) };
        // Should there be no new marks, the look below still finds a save that began without.
        if let Err(error) = self.renew() {
            log::warn!("{error}");
        }
        let running = self.running().unwrap_or_default();
        let mut state = self.shared.lock();
        if state.held.is_none() {
            // A save began during the look, and the thread has let it go.
            return Ok(());
        }
        // No save can have begun unseen. Should one run nevertheless, the log is its own now, and
        // to touch it would lose the guest.
        let Some(pid) = state.begun.save_of(id, &running) else { return state.let_go() };
        let held = state.held.take();
        drop(state);
        log::error!("process {pid} saves domain {id} unguarded; its dirty log is left to it");
        if let Some(mut held) = held {
            held.lease.clear();
        }
        Ok(())
    }

    fn held(&self) -> Option<DomId> {
        self.shared.lock().held.as_ref().map(|held| held.id)
    }
}

fn running(helpers: &[Program]) -> Result<Vec<(u32, Intent)>> {
    process::running(helpers).map_err(|cause| {
        Error::new(Kind::Permission, "cannot read /proc to look for saves").because(cause)
    })
}

fn stopped() -> Error {
    Error::new(Kind::Internal, "the save guard has stopped; without it no log is touched")
}

impl Drop for SaveGuard {
    fn drop(&mut self) {
        if let Err(error) = self.let_go() {
            log::error!("{error}");
        }
        if let Err(errno) = rustix::io::write(&self.end, &1u64.to_ne_bytes()) {
            log::error!("cannot stop the save guard: {errno}");
            return;
        }
        if self.thread.take().is_some_and(|thread| thread.join().is_err()) {
            log::error!("the save guard ended in a panic");
        }
        self.tell();
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps an error of the thread's for others to log.
    fn say(&self, what: String) {
        self.lock().unsaid.push((Level::Error, what));
    }

    /// The same for what only a guard may do. It is one as long as the lock is kept, for the thread
    /// takes it before it gives up what the kernel holds back.
    fn lock_watched(&self) -> Result<MutexGuard<'_, State>> {
        let state = self.lock();
        if state.watching { Ok(state) } else { Err(stopped()) }
    }
}

impl State {
    fn let_go(&mut self) -> Result<()> {
        let Some(mut held) = self.held.take() else {
            return Ok(());
        };
        let result = self.switch_off(held.id);
        if result.is_ok() {
            held.lease.clear();
        }
        result
    }

    fn switch_off(&self, id: DomId) -> Result<()> {
        // A stale count would double the first round of the next save.
        let reset = self.control.log_reset_count(id).map(|_| ());
        match reset.and(self.control.log_off(id)) {
            Err(error) if error.kind() == Kind::NoSuchDomain => Ok(()),
            Err(error) => self.control.log_off(id).map_err(|_| error),
            done => done,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_without_a_known_helper_cannot_be_guarded_and_says_what_to_set() {
        let error = SaveGuard::start(&[]).err().unwrap();
        assert_eq!(error.kind(), Kind::Unguarded);
        assert!(error.advice().unwrap().contains("xen.save_helpers"));
    }
}
