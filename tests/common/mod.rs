//! Runs the program as a user would, in a directory of its own, on a simulated host.
#![allow(dead_code, reason = "no test file uses all of it")]
#![allow(clippy::unwrap_used, reason = "these are tests")]

use std::path::PathBuf;
use std::process::{Command, Output};
use std::time::Duration;
use std::{fs, io, thread};

use serde_json::Value;
use tempfile::TempDir;

/// A host on which something is wrong with every domain.
pub const FAULTY: &str = include_str!("faulty.toml");

/// A working directory.
pub struct Place {
    directory: TempDir,
}

impl Place {
    pub fn new() -> Self {
        Self { directory: tempfile::tempdir().unwrap() }
    }

    /// A file in it.
    pub fn file(self, name: &str, content: impl AsRef<[u8]>) -> Self {
        fs::write(self.path(name), content).unwrap();
        self
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// The program, not started, with nothing of this machine's configuration.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_xenmig"));
        command.current_dir(self.directory.path()).args(arguments);
        if !arguments.contains(&"--config") {
            command.args(["--config", "/dev/null"]);
        }
        for name in ["RUST_LOG", "LC_CTYPE", "LANG", "COLUMNS"] {
            command.env_remove(name);
        }
        command.env("LC_ALL", "C.UTF-8");
        command
    }

    /// Runs it.
    pub fn run(&self, arguments: &[&str]) -> Ran {
        Ran::of(&mut self.command(arguments))
    }

    /// Runs it with `--host sim`.
    pub fn sim(&self, arguments: &[&str]) -> Ran {
        self.run(&[&["--host", "sim"], arguments].concat())
    }
}

/// A run on the built-in simulated host.
pub fn sim(arguments: &[&str]) -> Ran {
    Place::new().sim(arguments)
}

/// A run on the host where something is wrong with every domain.
pub fn faulty(arguments: &[&str]) -> Ran {
    let place = Place::new().file("faulty.toml", FAULTY);
    place.run(&[&["--host", "sim:faulty.toml"], arguments].concat())
}

/// What a run said.
pub struct Ran {
    pub status: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Ran {
    pub fn of(command: &mut Command) -> Self {
        // A program that was copied just now may still be open in a child of another test's, which
        // has been forked and not yet become its own program.
        let busy = |ran: &io::Result<Output>| {
            ran.as_ref().is_err_and(|cause| cause.kind() == io::ErrorKind::ExecutableFileBusy)
        };
        let mut ran = command.output();
        while busy(&ran) {
            thread::sleep(Duration::from_millis(5));
            ran = command.output();
        }
        let output = ran.unwrap();
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        let (stdout, stderr) = (text(&output.stdout), text(&output.stderr));
        Self { status: output.status.code().unwrap_or(-1), stdout, stderr }
    }

    /// Everything, for a snapshot.
    pub fn all(&self) -> String {
        let mut all = format!("exit status {}\n", self.status);
        for (name, text) in [("stdout", &self.stdout), ("stderr", &self.stderr)] {
            if !text.is_empty() {
                all += &format!("--- {name}\n{text}");
            }
        }
        all
    }

    /// The document on stdout, which must be all there is.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.stdout)
            .unwrap_or_else(|error| panic!("{error} in {}\nstderr: {}", self.stdout, self.stderr))
    }

    /// Fails unless it ended with `status`, said nothing on stdout and all of `words` on stderr.
    #[track_caller]
    pub fn refused(&self, status: i32, words: &[&str]) {
        assert_eq!(self.status, status, "{}", self.all());
        assert_eq!(self.stdout, "", "{}", self.all());
        for word in words {
            assert!(self.stderr.contains(word), "no `{word}` in {}", self.stderr);
        }
    }
}

/// The codes of a check's reasons.
pub fn codes(check: &Value) -> Vec<&str> {
    let reasons = check["reasons"].as_array().unwrap();
    reasons.iter().map(|reason| reason["code"].as_str().unwrap()).collect()
}
