//! Lends the terminal to the transport while it connects, so that ssh can ask for a password
//! although it has a process group of its own.
//!
//! Meanwhile a ^C is the transport's: it ends, and nothing has begun yet. Afterwards a ^C is
//! xenmig's again, and does not cut the line.

use std::fs::{File, OpenOptions};

use nix::sys::signal::{SigSet, SigmaskHow, Signal};
use rustix::process::{Pid, getpgrp, kill_process_group};
use rustix::termios::{tcgetpgrp, tcsetpgrp};

/// The terminal, lent out. Taken back when dropped.
pub(super) struct Lent {
    terminal: File,
    own: Pid,
}

impl Lent {
    /// Lends it to `group`; `None` when there is no terminal, or it is not this process's to lend.
    pub(super) fn to(group: Pid) -> Option<Self> {
        let terminal = OpenOptions::new().read(true).write(true).open("/dev/tty").ok()?;
        let own = getpgrp();
        if tcgetpgrp(&terminal).ok()? != own {
            return None;
        }
        let lent = Self { terminal, own };
        lent.give(group);
        // It may have asked before it had the terminal, and was stopped for that.
        if let Err(errno) = kill_process_group(group, rustix::process::Signal::CONT) {
            log::debug!("the transport has ended already: {errno}");
        }
        Some(lent)
    }

    fn give(&self, group: Pid) {
        // Who is not in the foreground is stopped for doing this, unless the signal is blocked.
        let stop = SigSet::from(Signal::SIGTTOU);
        let mut before = SigSet::empty();
        let change = |how, set: &SigSet, old: Option<&mut SigSet>| {
            if let Err(errno) = nix::sys::signal::pthread_sigmask(how, Some(set), old) {
                log::debug!("cannot change the signal mask: {errno}");
            }
        };
        change(SigmaskHow::SIG_BLOCK, &stop, Some(&mut before));
        if let Err(errno) = tcsetpgrp(&self.terminal, group) {
            log::debug!("cannot hand over the terminal: {errno}");
        }
        change(SigmaskHow::SIG_SETMASK, &before, None);
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        self.give(self.own);
    }
}
