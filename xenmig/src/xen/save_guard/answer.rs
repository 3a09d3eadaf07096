//! The thread that answers the kernel: what it holds back goes on when the log is off.

use std::os::fd::{AsFd, OwnedFd};

use log::Level;
use nix::sys::fanotify::{Fanotify, FanotifyEvent, FanotifyResponse, MaskFlags, Response};
use rustix::event::{PollFd, PollFlags, poll};

use super::Shared;
use crate::xen::marks::Marks;
use crate::xen::process::{self, Intent};

/// Ends the watch however the thread ends: the log first, then whatever the kernel still holds
/// back, which closing the descriptor lets through.
struct EndOfWatch<'s>(&'s Shared);

impl Drop for EndOfWatch<'_> {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.watching = false;
        if let Err(error) = state.let_go() {
            state.unsaid.push((Level::Error, error.to_string()));
        }
        self.0.changed.notify_all();
    }
}

/// Answers until `end` can be read.
pub(super) fn answer_events(marks: &Marks, end: &OwnedFd, shared: &Shared) {
    let _end_of_watch = EndOfWatch(shared);
    let fanotify = marks.group();
    loop {
        let mut waiting = [PollFd::new(fanotify, PollFlags::IN), PollFd::new(end, PollFlags::IN)];
        match poll(&mut waiting, None) {
            Err(rustix::io::Errno::INTR) => continue,
            Err(errno) => {
                return shared.say(format!("the save guard cannot wait: {errno}"));
            }
            Ok(_) if !waiting[1].revents().is_empty() => return,
            Ok(_) => {}
        }
        match fanotify.read_events() {
            Ok(events) => {
                for event in &events {
                    answer(fanotify, shared, event);
                }
            }
            Err(nix::Error::EAGAIN | nix::Error::EINTR) => {}
            Err(errno) => {
                return shared.say(format!("the save guard cannot read its events: {errno}"));
            }
        }
    }
}

fn answer(fanotify: &Fanotify, shared: &Shared, event: &FanotifyEvent) {
    let pid = event.pid().unsigned_abs();
    let intent = if pid == std::process::id() {
        None
    } else if event.mask().contains(MaskFlags::FAN_OPEN_EXEC_PERM) {
        // While the exec is held back, the process still looks like its parent.
        Some(process::held_exec(pid).map_or(Intent::Unknown, |(_, words)| process::intent(&words)))
    } else {
        // Many programs load the library; only the helper's arguments make it a save.
        process::arguments(pid)
            .map(|words| process::intent(&words))
            .ok()
            .filter(|intent| *intent != Intent::Unknown)
    };
    if let Some(intent) = intent {
        let mut state = shared.lock();
        let ours = state.held.as_ref().map(|held| held.id).filter(|id| intent.concerns(*id));
        if let Some(id) = ours {
            let said = match state.let_go() {
                Ok(()) => {
                    (Level::Info, format!("a save of domain {id} begins: its dirty log was let go"))
                }
                // The save takes the log over by itself.
                Err(error) => (Level::Error, error.to_string()),
            };
            state.unsaid.push(said);
            shared.changed.notify_all();
        }
        state.begun.add([(pid, intent)]);
    }
    let Some(fd) = event.fd() else { return };
    let allow = FanotifyResponse::new(fd.as_fd(), Response::FAN_ALLOW);
    if let Err(errno) = fanotify.write_response(allow) {
        shared.say(format!("cannot let process {pid} go on: {errno}"));
    }
}
