//! The caller's end of the hook: one socket for all migrations of the process, at which the hook
//! in each save helper asks how to steer and tells what happens ([`super::hook`]).

use std::collections::HashMap;
use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use rustix::io::Errno;

use super::hook::{Event, HELPER_VARIABLE, Hello, SCHEMA, SOCKET_VARIABLE, Settings};
use crate::error::{Error, Kind, Result};
use crate::host::DomId;
use crate::xen;

/// The steering of saves, set up for this process.
#[derive(Debug)]
pub struct Hook {
    path: PathBuf,
    expected: Expected,
}

/// What the hook in one save says.
#[derive(Debug)]
pub(super) enum Said {
    /// It is there, and was told how to steer.
    Hello(Hello),
    /// Something happened in the save.
    Event(Event),
}

/// A save that is to be steered.
struct Save {
    settings: Settings,
    to: Sender<Said>,
    stream: Option<UnixStream>,
}

type Expected = Arc<Mutex<HashMap<u16, Save>>>;

impl std::fmt::Debug for Save {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Save").field("settings", &self.settings).finish_non_exhaustive()
    }
}

impl Hook {
    /// Has every save of this process run through `wrapper`, and listens for the hook at a socket
    /// in `run_directory`. Once per process, before it starts any thread: the environment, which
    /// libxl hands on to its save helper, cannot be changed safely later.
    ///
    /// # Errors
    /// [`Kind::Usage`] when the process has threads already or `wrapper` is not there;
    /// [`Kind::Permission`] or [`Kind::Io`] when the socket cannot be made.
    pub fn install(run_directory: &Path, wrapper: &Path) -> Result<Self> {
        if !wrapper.is_file() {
            return Err(Error::new(Kind::Usage, format!("there is no {}", wrapper.display())));
        }
        let path = run_directory.join(format!("hook-{}.sock", std::process::id()));
        let failed = |cause| Error::file(&path, "listen at", cause);
        let listener = xen::private_socket(run_directory, &path).map_err(failed)?;
        let variables = [(HELPER_VARIABLE, wrapper), (SOCKET_VARIABLE, &path)];
        if let Err(error) = xen::set_environment(&variables) {
            remove(&path);
            return Err(error);
        }
        Ok(Self::listen(path, listener))
    }

    fn listen(path: PathBuf, listener: UnixListener) -> Self {
        let expected = Expected::default();
        let saves = Arc::clone(&expected);
        thread::spawn(move || accept(listener.incoming(), &saves));
        Self { path, expected }
    }

    /// Steers the next save of `id` by `settings`; what its hook says goes to `to`.
    pub(super) fn steer(&self, id: DomId, settings: Settings, to: Sender<Said>) -> Steered<'_> {
        self.saves().insert(id.0, Save { settings, to, stream: None });
        Steered { hook: self, id }
    }

    fn saves(&self) -> MutexGuard<'_, HashMap<u16, Save>> {
        lock(&self.expected)
    }
}

impl Drop for Hook {
    fn drop(&mut self) {
        remove(&self.path);
    }
}

/// A save that is steered while this lives.
pub(super) struct Steered<'a> {
    hook: &'a Hook,
    id: DomId,
}

impl Steered<'_> {
    /// Asks the hook to give the save up; `false` when there is no hook that could hear it.
    pub(super) fn abort(&self) -> bool {
        let saves = self.hook.saves();
        let Some(mut stream) = saves.get(&self.id.0).and_then(|save| save.stream.as_ref()) else {
            return false;
        };
        stream.write_all(b"\"abort\"\n").is_ok()
    }
}

impl Drop for Steered<'_> {
    fn drop(&mut self) {
        self.hook.saves().remove(&self.id.0);
    }
}

fn lock(expected: &Expected) -> MutexGuard<'_, HashMap<u16, Save>> {
    expected.lock().unwrap_or_else(PoisonError::into_inner)
}

fn remove(path: &Path) {
    if let Err(cause) = std::fs::remove_file(path) {
        log::debug!("cannot remove {}: {cause}", path.display());
    }
}

/// Listens to each hook that comes. One that cannot be let in is alone in that.
fn accept(hooks: impl Iterator<Item = io::Result<UnixStream>>, expected: &Expected) {
    /// Until somebody may have closed a file.
    const PAUSE: Duration = Duration::from_millis(50);
    for stream in hooks {
        let expected = Arc::clone(expected);
        let listening = stream.and_then(|stream| {
            thread::Builder::new().spawn(move || listen_to(&stream, &expected)).map(drop)
        });
        let Err(cause) = listening else { continue };
        match cause.raw_os_error().map(Errno::from_raw_os_error) {
            Some(Errno::BADF | Errno::INVAL | Errno::NOTSOCK) => {
                return log::error!("saves are no longer steered: {cause}");
            }
            Some(Errno::CONNABORTED | Errno::INTR) => log::debug!("a hook went away: {cause}"),
            _ => {
                log::warn!("a save may be not steered: {cause}");
                thread::sleep(PAUSE);
            }
        }
    }
}

/// Answers one hook and passes on what it says. A hook that makes no sense gets no answer, which
/// for it means the stock policy.
fn listen_to(stream: &UnixStream, expected: &Expected) {
    let mut lines = BufReader::new(stream).lines().map_while(io::Result::ok);
    let Some(hello) = lines.next().and_then(|line| understood::<Hello>(&line)) else { return };
    if hello.schema != SCHEMA {
        return log::warn!(
            "the hook speaks {}, and not {SCHEMA}: install that of this xenmig",
            hello.schema
        );
    }
    let Some(to) = introduce(&hello, stream, expected) else {
        return log::warn!("a save of domain {} that nobody asked for says hello", hello.domid);
    };
    let events = lines.filter_map(|line| understood(&line)).map(Said::Event);
    for said in std::iter::once(Said::Hello(hello)).chain(events) {
        if to.send(said).is_err() {
            return;
        }
    }
}

fn introduce(hello: &Hello, stream: &UnixStream, expected: &Expected) -> Option<Sender<Said>> {
    let mut saves = lock(expected);
    let save = saves.get_mut(&hello.domid)?;
    let mut answer = serde_json::to_vec(&save.settings).ok()?;
    answer.push(b'\n');
    let mut own = stream.try_clone().ok()?;
    own.write_all(&answer).ok()?;
    save.stream = Some(own);
    Some(save.to.clone())
}

fn understood<T: serde::de::DeserializeOwned>(line: &str) -> Option<T> {
    match serde_json::from_str(line) {
        Ok(words) => Some(words),
        Err(error) => {
            log::warn!("the hook says {line:?}: {error}");
            None
        }
    }
}

#[cfg(test)]
mod tests;
