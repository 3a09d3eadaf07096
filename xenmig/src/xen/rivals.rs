//! Other processes that save the domain which this very process saves.
//!
//! Neither Xen nor libxl keeps two saves of one domain apart. Each CLEAN takes the dirty pages from
//! the other, and an OFF by the one leaves the other without any: the guest dies at its target, and
//! nobody is told. A save whose libxl was killed is such another one for as long as it lives, though
//! it can no longer come to anything: it ends with its next word to libxl.

use std::fs::OpenOptions;
use std::io;
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use super::process;
use crate::error::{Error, Kind, Result};
use crate::host::DomId;

/// How long other saves have to end. One that was asked to takes milliseconds.
const PATIENCE: Duration = Duration::from_secs(5);
/// Between two looks.
const PAUSE: Duration = Duration::from_millis(20);

/// Comes back when no other process saves domain `id`. One whose libxl has gone is asked to end, as
/// libxl would have asked it; any other is left alone.
///
/// A save that begins meanwhile by the same way sees this one, and waits in turn.
///
/// # Errors
/// [`Kind::Busy`] when another one goes on: a save beside it would destroy the guest.
/// [`Kind::Permission`] when it cannot be told.
pub fn outlast_other_saves(id: DomId) -> Result<()> {
    outlast(std::process::id(), id, PATIENCE)
}

fn outlast(me: u32, id: DomId, patience: Duration) -> Result<()> {
    let begun = Instant::now();
    let mut asked = Vec::new();
    loop {
        let others = others_than(me, id)?;
        let Some(first) = others.first() else {
            return Ok(());
        };
        for pid in &others {
            if !asked.contains(pid) && end_deserted(*pid, id) {
                log::warn!(
                    "process {pid} still saves domain {id} though its libxl has gone: ended"
                );
                asked.push(*pid);
            }
        }
        if begun.elapsed() >= patience {
            let what = format!("domain {id} is being saved by process {first} already");
            return Err(Error::new(Kind::Busy, what).hint(format!(
                "wait until that migration is over; if nobody waits for it any more, `kill -KILL \
                 {first}` ends it"
            )));
        }
        std::thread::sleep(PAUSE);
    }
}

/// Processes that save domain `id`, besides this one and what else belongs to it: a script in the
/// helper's place has its arguments too, and so may have what that script has started.
pub(super) fn others(id: DomId) -> Result<Vec<u32>> {
    others_than(std::process::id(), id)
}

fn others_than(me: u32, id: DomId) -> Result<Vec<u32>> {
    let saving = process::saving(id).map_err(|cause| {
        Error::new(Kind::Permission, "cannot read /proc to look for other saves").because(cause)
    })?;
    if saving.is_empty() {
        return Ok(saving);
    }
    let is_script = |pid: &u32| process::is_saving(*pid, id);
    let helper = ancestors(me).into_iter().rfind(is_script).unwrap_or(me);
    let is_ours = |pid: &u32| *pid == helper || ancestors(*pid).contains(&helper);
    Ok(saving.into_iter().filter(|pid| !is_ours(pid)).collect())
}

fn ancestors(pid: u32) -> Vec<u32> {
    std::iter::successors(process::parent(pid), |pid| process::parent(*pid)).collect()
}

/// Asks process `pid` to end if it saves domain `id` and its libxl has gone. Says whether it did.
fn end_deserted(pid: u32, id: DomId) -> bool {
    let number = i32::try_from(pid).ok().and_then(Pid::from_raw);
    // Before Linux 5.3 there is no way to be sure whom a signal reaches.
    let Some(Ok(process)) = number.map(|pid| pidfd_open(pid, PidfdFlags::empty())) else {
        return false;
    };
    // From here on the number may be another's, but a signal is not.
    process::is_saving(pid, id)
        && is_deserted(pid).unwrap_or(false)
        && pidfd_send_signal(process, Signal::TERM).is_ok()
}

/// Whether nobody reads any more what the helper in process `pid` tells its libxl, over a pipe that
/// is its stdout (`run_helper` in libxl_save_callout.c). The reading end is libxl's alone.
fn is_deserted(pid: u32) -> io::Result<bool> {
    let path = format!("/proc/{pid}/fd/1");
    if !std::fs::metadata(&path)?.file_type().is_fifo() {
        return Ok(false);
    }
    let pipe = OpenOptions::new().write(true).custom_flags(libc::O_NONBLOCK).open(path)?;
    let mut waiting = [PollFd::new(&pipe, PollFlags::empty())];
    poll(&mut waiting, Some(&Timespec::default()))?;
    Ok(waiting[0].revents().contains(PollFlags::ERR))
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::process::{Child, Command, Stdio};

    use super::*;

    /// Something that looks like a save of a domain that cannot be, until it is dropped.
    struct Save(Child, DomId);

    impl Save {
        fn of(id: u16, script: &str) -> Self {
            let id = DomId(0xf000 + id);
            let mut shell = Command::new("sh");
            shell.args(["-c", script, "helper", "--save-domain", "15", "-1"]);
            shell.args([&id.to_string(), "1", "56", "0"]);
            let mut shell = shell.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
            // In the midst of its exec a process has no arguments.
            shell.stdout.as_mut().unwrap().read_exact(&mut [0]).unwrap();
            Self(shell, id)
        }

        fn pid(&self) -> u32 {
            self.0.id()
        }

        fn desert(&mut self) {
            drop(self.0.stdout.take());
        }

        fn has_ended(&mut self) -> bool {
            self.0.try_wait().unwrap().is_some()
        }
    }

    impl Drop for Save {
        fn drop(&mut self) {
            self.0.kill().and_then(|()| self.0.wait()).unwrap();
        }
    }

    /// No process has this number, so the saves here are not its own.
    const NOBODY: u32 = u32::MAX;
    const WAIT: &str = "echo; read end";
    const BRIEFLY: Duration = Duration::from_millis(100);

    #[test]
    fn a_save_that_somebody_waits_for_goes_on_and_the_newer_one_does_not_begin() {
        let mut save = Save::of(1, WAIT);
        let error = outlast(NOBODY, save.1, BRIEFLY).unwrap_err();
        assert_eq!(error.kind(), Kind::Busy);
        let said = format!("domain {} is being saved by process {}", save.1, save.pid());
        assert!(error.to_string().contains(&said), "{error}");
        assert!(error.advice().unwrap().contains(&format!("kill -KILL {}", save.pid())));
        assert!(!save.has_ended());
        assert!(outlast(NOBODY, DomId(0xf002), BRIEFLY).is_ok());
    }

    #[test]
    fn a_save_whose_libxl_has_gone_is_ended() {
        let mut save = Save::of(3, WAIT);
        assert!(!is_deserted(save.pid()).unwrap());
        assert!(!end_deserted(save.pid(), DomId(0xf004)));
        save.desert();
        assert!(is_deserted(save.pid()).unwrap());
        assert!(!end_deserted(save.pid(), DomId(0xf004)));
        assert!(!save.has_ended());
        // A zombie has no arguments.
        assert!(outlast(NOBODY, save.1, Duration::from_secs(60)).is_ok());
        assert!(save.0.wait().unwrap().code().is_none());
    }

    #[test]
    fn one_that_does_not_end_is_not_passed_by() {
        let mut save = Save::of(5, "trap '' TERM; echo; read end");
        save.desert();
        assert_eq!(outlast(NOBODY, save.1, BRIEFLY).unwrap_err().kind(), Kind::Busy);
        assert!(!save.has_ended());
    }

    #[test]
    fn what_this_process_has_started_is_no_other_save() {
        let save = Save::of(7, WAIT);
        assert!(others(save.1).unwrap().is_empty(), "it is a child of this one");
    }

    #[test]
    fn what_started_this_process_is_no_other_save() {
        let parents = ancestors(std::process::id());
        assert_eq!(parents.first(), Some(&std::os::unix::process::parent_id()));
        assert!(parents.contains(&1) && !parents.contains(&std::process::id()));
    }
}
