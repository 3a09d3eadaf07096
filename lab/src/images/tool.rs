//! Programs of this machine, with errors that say which package has them.

use std::ffi::OsStr;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::error::Context;
use crate::{Error, Result};

/// Bytes of a failed program's output that are shown.
const SHOWN: usize = 3000;

/// A program to run to its end.
pub(crate) struct Tool {
    command: Command,
    program: String,
    package: String,
}

impl Tool {
    /// `program`, which the Debian package `package` has.
    pub(crate) fn new(program: &str, package: &str) -> Self {
        let mut command = Command::new(program);
        command.env("LC_ALL", "C").env("DEBIAN_FRONTEND", "noninteractive").stdin(Stdio::null());
        Self { command, program: program.into(), package: package.into() }
    }

    pub(crate) fn arg(mut self, arg: impl AsRef<OsStr>) -> Self {
        self.command.arg(arg);
        self
    }

    pub(crate) fn args<S: AsRef<OsStr>>(mut self, args: impl IntoIterator<Item = S>) -> Self {
        self.command.args(args);
        self
    }

    pub(crate) fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    pub(crate) fn env_remove(mut self, name: &str) -> Self {
        self.command.env_remove(name);
        self
    }

    pub(crate) fn current_dir(mut self, dir: &Path) -> Self {
        self.command.current_dir(dir);
        self
    }

    /// Runs it and gives what it printed on stdout.
    pub(crate) fn bytes(mut self) -> Result<Vec<u8>> {
        let output = match self.command.output() {
            Ok(output) => output,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
                return Err(Error::MissingTool { program: self.program, package: self.package });
            }
            Err(e) => return Err(e).context(|| format!("starting {}", self.program)),
        };
        if output.status.success() {
            return Ok(output.stdout);
        }
        let text = [output.stdout, output.stderr].concat();
        let end = &text[text.len().saturating_sub(SHOWN)..];
        Err(Error::Tool {
            command: format!("{:?}", self.command),
            status: output.status.to_string(),
            output: String::from_utf8_lossy(end).into_owned(),
        })
    }

    /// Runs it and gives what it printed on stdout, as text.
    pub(crate) fn text(self) -> Result<String> {
        Ok(String::from_utf8_lossy(&self.bytes()?).into_owned())
    }

    /// Runs it.
    pub(crate) fn run(self) -> Result<()> {
        self.bytes().map(drop)
    }
}

/// Fails for anybody but root.
pub(crate) fn require_root() -> Result<()> {
    if rustix::process::geteuid().is_root() { Ok(()) } else { Err(Error::NotRoot) }
}
