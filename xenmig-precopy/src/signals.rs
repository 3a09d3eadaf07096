//! Signals held back while a save is steered, so that it ends in an orderly way and caps are
//! restored.
//!
//! libxl starts its helper with SIGPIPE deadly: a target that goes away would kill the save in the
//! midst. Held back, the write fails instead, and the save cleans up. ^C at `xl migrate` reaches
//! the helper too; it counts as a wish to give up. libxl's own way is SIGTERM, which stays with the
//! helper's handler: that one takes the stream away. A signal that is ignored, as `nohup` and shells
//! do for what runs in the background, stays ignored: held back, Linux would queue it all the same.

use std::os::fd::{AsFd, BorrowedFd};

use nix::sys::signal::{SigSet, SigmaskHow, Signal, raise};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use xenmig::{Error, Kind, Result};

/// Those that ask to end.
const ENDS: [Signal; 3] = [Signal::SIGINT, Signal::SIGHUP, Signal::SIGQUIT];

/// What to hold back in a process whose `/proc/PID/status` is this; without one, all.
fn held(status: &str) -> SigSet {
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let ignored = ignored.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0);
    let counts = |signal: &Signal| (ignored >> (*signal as u32 - 1)) & 1 == 0;
    ENDS.into_iter().filter(counts).chain([Signal::SIGPIPE]).collect()
}

/// Holds them back while it lives; those that came then take effect when it is dropped.
pub struct Held {
    before: SigSet,
    queue: SignalFd,
    came: Option<Signal>,
}

impl Held {
    /// Begins. Concerns the calling thread, which in a save helper is the only one.
    pub fn back() -> Result<Self> {
        let failed = |errno: nix::Error| {
            Error::new(Kind::Internal, "cannot hold signals back").because(errno)
        };
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        let set = held(&status);
        let flags = SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC;
        let queue = SignalFd::with_flags(&set, flags).map_err(failed)?;
        let before = set.thread_swap_mask(SigmaskHow::SIG_BLOCK).map_err(failed)?;
        Ok(Self { before, queue, came: None })
    }

    /// The signal, if one came, that asks to end.
    pub fn came(&mut self) -> Option<Signal> {
        while let Ok(Some(signal)) = self.queue.read_signal() {
            let number = i32::try_from(signal.ssi_signo).ok();
            let signal = number.and_then(|number| Signal::try_from(number).ok());
            // A broken pipe shows where somebody writes to it.
            self.came = self.came.or(signal.filter(|signal| *signal != Signal::SIGPIPE));
        }
        self.came
    }

    /// Readable when one came.
    pub fn queue(&self) -> BorrowedFd<'_> {
        self.queue.as_fd()
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let came = self.came();
        if let Err(errno) = self.before.thread_set_mask() {
            log::error!("signals stay held back: {errno}");
        }
        if let Some(signal) = came
            && let Err(errno) = raise(signal)
        {
            log::error!("{signal} is lost: {errno}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_ignored_stays_ignored() {
        let held = |status| held(status).iter().collect::<Vec<_>>();
        // As `nohup xl migrate &` of a script has it, and somebody who ignores broken pipes.
        let status = "SigBlk:\t0000000000000000\nSigIgn:\t0000000000001007\nSigCgt:\t0\n";
        assert_eq!(held(status), [Signal::SIGPIPE]);
        let hangup = "SigIgn:\t0000000000000001\n";
        assert_eq!(held(hangup), [Signal::SIGINT, Signal::SIGQUIT, Signal::SIGPIPE]);
        assert_eq!(held("").len(), 4);
    }

    #[test]
    fn a_broken_pipe_is_no_wish_to_end_and_an_interrupt_is() {
        let mut held = Held::back().unwrap();
        raise(Signal::SIGPIPE).unwrap();
        assert_eq!(held.came(), None);
        raise(Signal::SIGINT).unwrap();
        assert_eq!((held.came(), held.came()), (Some(Signal::SIGINT), Some(Signal::SIGINT)));
        // It would end the test.
        held.came = None;
    }
}
