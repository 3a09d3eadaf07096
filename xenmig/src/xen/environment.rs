//! What a process must set up before libxl saves a domain for it.

use std::fs::DirBuilder;
use std::io;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::os::unix::net::UnixListener;
use std::path::Path;

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

/// Has writes to a broken pipe fail instead of ending the process: libxl writes to the transport
/// from within this process.
pub(super) fn ignore_broken_pipes() {
    // SAFETY: SIG_IGN is no handler, so nothing runs that would have to be signal-safe.
    unsafe { libc::signal(libc::SIGPIPE, libc::SIG_IGN) };
}
