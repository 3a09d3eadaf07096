//! The connection to a host's agent: many commands at the same time over one
//! stream, and virtual time that passes only while one of them runs.

use std::collections::HashMap;
use std::io::Write;
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::qmp::Qmp;
use crate::Result;
use crate::error::Context;
use crate::protocol::{Frame, Kind};

/// A connection; clones share it.
#[derive(Clone)]
pub(super) struct Channel(Arc<Shared>);

struct Shared {
    next_id: AtomicU32,
    writer: Mutex<UnixStream>,
    state: Mutex<State>,
}

struct State {
    routes: HashMap<u32, Sender<Frame>>,
    gone: bool,
    /// Present when this process decides whether time passes.
    clock: Option<Qmp>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Channel {
    /// Over `stream`. With a `clock`, the machine behind it is stopped now and
    /// whenever nothing is under way.
    pub(super) fn new(stream: UnixStream, clock: Option<Qmp>) -> Result<Self> {
        let mut reader = stream.try_clone().context(|| "the agent's socket".into())?;
        let channel = Self(Arc::new(Shared {
            next_id: AtomicU32::new(1),
            writer: Mutex::new(stream),
            state: Mutex::new(State { routes: HashMap::new(), gone: false, clock }),
        }));
        let weak = Arc::downgrade(&channel.0);
        std::thread::spawn(move || {
            while let Ok(Some(frame)) = Frame::read(&mut reader) {
                let Some(shared) = weak.upgrade() else { return };
                shared.deliver(frame);
            }
            if let Some(shared) = weak.upgrade() {
                let mut state = lock(&shared.state);
                state.gone = true;
                state.routes.clear();
            }
        });
        Ok(channel)
    }

    /// Opens a conversation with the agent that begins with a frame of `kind`.
    /// The receiver ends without a last frame when the host is gone.
    pub(super) fn begin(&self, kind: Kind, payload: Vec<u8>) -> Result<(u32, Receiver<Frame>)> {
        let id = self.0.next_id.fetch_add(1, Ordering::Relaxed);
        let (sender, receiver) = channel();
        {
            let mut state = lock(&self.0.state);
            if state.gone {
                return Ok((id, receiver));
            }
            if state.routes.is_empty()
                && let Some(clock) = &mut state.clock
            {
                clock.cont()?;
            }
            state.routes.insert(id, sender);
        }
        self.send(&Frame::new(id, kind, payload));
        Ok((id, receiver))
    }

    /// Sends a further frame of a conversation.
    pub(super) fn send(&self, frame: &Frame) {
        // A host that is gone is noticed by the reader.
        let _ = frame.write(&mut *lock(&self.0.writer));
    }

    /// Takes the clock away: time passes from now on.
    pub(super) fn take_clock(&self) -> Option<Qmp> {
        lock(&self.0.state).clock.take()
    }
}

impl Shared {
    fn deliver(&self, frame: Frame) {
        let last = matches!(frame.kind, Kind::Pong | Kind::Exit | Kind::Failed);
        let mut state = lock(&self.state);
        let route = if last {
            let route = state.routes.remove(&frame.id);
            if route.is_some()
                && state.routes.is_empty()
                && let Some(clock) = &mut state.clock
            {
                // A QEMU that does not answer shows at the next command.
                let _ = clock.stop();
            }
            route
        } else {
            state.routes.get(&frame.id).cloned()
        };
        drop(state);
        if let Some(route) = route {
            // Nobody listens when the caller dropped the command.
            let _ = route.send(frame);
        }
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        let writer = lock(&self.writer);
        let _ = (&*writer).flush();
        // Wakes the reader, which holds the stream's other half.
        let _ = writer.shutdown(Shutdown::Both);
    }
}
