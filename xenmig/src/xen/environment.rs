//! What a process must set up before libxl saves a domain for it.

use std::fs::DirBuilder;
use std::io;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::os::unix::net::UnixListener;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use crate::error::{Error, Kind, Result};

/// Sets environment variables, which libxl and its helpers read.
///
/// # Errors
/// [`Kind::Usage`] when the process has more than one thread: another one might read the
/// environment meanwhile. [`Kind::Unsupported`] when that cannot be told.
pub fn set_environment(variables: &[(&str, &Path)]) -> Result<()> {
    let threads = std::fs::read_dir("/proc/self/task").map_err(|cause| {
        Error::new(Kind::Unsupported, "cannot count this process's threads").because(cause)
    })?;
    if threads.count() != 1 {
        let what = "saves can be steered only if that is set up before any thread is started";
        return Err(Error::new(Kind::Usage, what));
    }
    for (name, value) in variables {
        // SAFETY: this is the only thread, so nobody reads or writes the environment meanwhile.
        unsafe { std::env::set_var(name, value) };
    }
    Ok(())
}

/// A socket at `path` in `directory` that only this user can reach.
///
/// # Errors
/// As the kernel says.
pub fn private_socket(directory: &Path, path: &Path) -> io::Result<UnixListener> {
    DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
    // What a dead process with this number left.
    match std::fs::remove_file(path) {
        Err(cause) if cause.kind() != io::ErrorKind::NotFound => return Err(cause),
        _ => {}
    }
    let listener = UnixListener::bind(path)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))?;
    Ok(listener)
}

/// Has the terminal stop this process no more: neither ^Z nor using it from the background. What is
/// started from here on inherits that: a save helper that ^Z stopped, while its xenmig goes on, would
/// never be told to continue.
pub(super) fn ignore_stop_signals() {
    for signal in [libc::SIGTSTP, libc::SIGTTIN, libc::SIGTTOU] {
        // SAFETY: SIG_IGN is no handler, so nothing runs that would have to be signal-safe.
        unsafe { libc::signal(signal, libc::SIG_IGN) };
    }
}

/// Has `command` be stopped as usual when it uses the terminal from the background, until it gets
/// the terminal: ssh, ignoring that, would ask for a password over and over. ^Z stays ignored if it
/// is, for whoever would have it go on does not know that it was stopped.
pub(crate) fn wait_for_terminal(command: &mut Command) -> &mut Command {
    fn usual() -> io::Result<()> {
        for signal in [libc::SIGTTIN, libc::SIGTTOU] {
            // SAFETY: SIG_DFL is no handler, and the call may be made between fork and exec.
            unsafe { libc::signal(signal, libc::SIG_DFL) };
        }
        Ok(())
    }
    // SAFETY: `usual` makes two system calls and nothing else.
    unsafe { command.pre_exec(usual) }
}

/// Has writes to a broken pipe fail instead of ending the process: libxl writes to the transport
/// from within this process.
pub(super) fn ignore_broken_pipes() {
    // SAFETY: SIG_IGN is no handler, so nothing runs that would have to be signal-safe.
    unsafe { libc::signal(libc::SIGPIPE, libc::SIG_IGN) };
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The signals that a process started by `start` ignores, of TSTP, TTIN and TTOU.
    fn ignored(start: &mut Command) -> Vec<libc::c_int> {
        let status = start.arg("/proc/self/status").output().unwrap().stdout;
        let status = String::from_utf8(status).unwrap();
        let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:")).unwrap();
        let mask = u64::from_str_radix(mask.trim(), 16).unwrap();
        let signals = [libc::SIGTSTP, libc::SIGTTIN, libc::SIGTTOU];
        signals.into_iter().filter(|signal| mask & (1 << (signal - 1)) != 0).collect()
    }

    #[test]
    fn nothing_stops_what_is_started_but_waiting_for_the_terminal() {
        ignore_stop_signals();
        let all = [libc::SIGTSTP, libc::SIGTTIN, libc::SIGTTOU];
        assert_eq!(ignored(&mut Command::new("cat")), all);
        assert_eq!(ignored(wait_for_terminal(&mut Command::new("cat"))), [libc::SIGTSTP]);
    }
}
