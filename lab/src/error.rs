//! What can go wrong in the lab, with what one needs to know about it.

use std::path::PathBuf;
use std::time::Duration;

/// The result of whatever the lab does.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// An error of the lab.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// An operation on a file or a program failed.
    #[error("{what}: {source}")]
    Io {
        /// What was tried, on what.
        what: String,
        /// What the system answered.
        source: std::io::Error,
    },
    /// Not root.
    #[error("the lab needs root (debootstrap, file systems with owners): run it as root")]
    NotRoot,
    /// A program of the machine is missing.
    #[error("{program} is missing: apt-get install {package} (or make deps)")]
    MissingTool {
        /// The program.
        program: String,
        /// The Debian package that has it.
        package: String,
    },
    /// A program of the machine failed.
    #[error("{command} failed ({status}){}", tail(output))]
    Tool {
        /// The command line.
        command: String,
        /// How it ended.
        status: String,
        /// The end of what it printed.
        output: String,
    },
    /// A command in Dom0 ended with an error.
    #[error("in Dom0: {command} ended with {status}{}", tail(output))]
    Command {
        /// The command line.
        command: String,
        /// How it ended.
        status: crate::host::Status,
        /// stdout and stderr.
        output: String,
    },
    /// A command in Dom0 could not be started.
    #[error("in Dom0: cannot start {command}: {message}")]
    Start {
        /// The command line.
        command: String,
        /// What the agent said.
        message: String,
    },
    /// The emulated host is gone: panic, QEMU ended, or no answer.
    #[error("host is gone: {why}\n--- end of its serial log ---\n{serial}")]
    HostGone {
        /// How it was noticed.
        why: String,
        /// The end of the serial log of Xen and Dom0.
        serial: String,
    },
    /// Something took longer than it may, in time outside.
    #[error("{what}: not done after {} s\n--- end of the serial log ---\n{serial}", after.as_secs())]
    Timeout {
        /// What was waited for.
        what: String,
        /// How long.
        after: Duration,
        /// The end of the serial log.
        serial: String,
    },
    /// A guest is dead, silent or damaged.
    #[error("guest {name}: {what}\n--- end of its console ---\n{console}")]
    Guest {
        /// Its name.
        name: String,
        /// What is wrong.
        what: String,
        /// The end of its console log.
        console: String,
    },
    /// No network can be made on this machine.
    #[error("no network for hosts: {0} (it needs the right to make namespaces, bridges and taps)")]
    NoNetwork(String),
    /// A cached or answered thing is not what it should be.
    #[error("{0}")]
    Unexpected(String),
    /// No such Xen version in the lab.
    #[error("no Xen {0} in the lab: 4.17 (Debian 12) and 4.20 (Debian 13) are there")]
    UnknownXen(String),
    /// The lab's state folder has no such host.
    #[error("no host {name} is up (state in {})", state.display())]
    NoHost {
        /// Its name.
        name: String,
        /// Where hosts that are up would be found.
        state: PathBuf,
    },
}

fn tail(output: &str) -> String {
    let output = output.trim_end();
    if output.is_empty() { String::new() } else { format!(":\n{output}") }
}

/// Adds what was tried to an I/O error.
pub(crate) trait Context<T> {
    /// Turns the error into [`Error::Io`] that says `what`.
    fn context(self, what: impl FnOnce() -> String) -> Result<T>;
}

impl<T, E: Into<std::io::Error>> Context<T> for std::result::Result<T, E> {
    fn context(self, what: impl FnOnce() -> String) -> Result<T> {
        self.map_err(|e| Error::Io { what: what(), source: e.into() })
    }
}
