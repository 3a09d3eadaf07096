//! The command that carries a migration: a child whose stdin and stdout lead to
//! `xl migrate-receive`.
//!
//! It has a process group of its own, so that a ^C on the terminal, which is meant for xenmig,
//! does not cut the line in the midst of the handover ([`super::terminal`]).

use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process, kill_process_group};

use super::terminal::Lent;
use crate::error::{Error, Kind, Result};
use crate::xen::wait_for_terminal;

/// How to reach the receiver.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Transport {
    /// `COMMAND HOST xl migrate-receive …`, as `xl migrate -s COMMAND` does.
    Shell {
        /// `ssh`, or what stands in its place; given to `sh`.
        command: String,
        /// The target as that command knows it.
        host: String,
        /// What the receiver is told.
        receiver: Receiver,
    },
    /// This command, given to `sh`, leads to a receiver that is started by other means.
    Direct(String),
}

/// What `xl migrate-receive` is told.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Receiver {
    /// Not to stay and wait for the death of the domain (`-e`).
    pub forget: bool,
    /// To say more (`-d`).
    pub debug: bool,
    /// To leave the guest paused (`-p`).
    pub pause: bool,
}

impl Transport {
    /// Whether the receiver is told to leave the guest paused.
    pub(super) fn leaves_paused(&self) -> bool {
        matches!(self, Self::Shell { receiver: Receiver { pause: true, .. }, .. })
    }

    /// The line that `sh` gets.
    ///
    /// # Errors
    /// [`Kind::Usage`] when the host's name would mean something else to the shell or to ssh.
    pub fn line(&self) -> Result<String> {
        match self {
            Self::Direct(line) => Ok(line.clone()),
            Self::Shell { command, host, receiver } => {
                let host = host_word(host)?;
                let options = [(receiver.forget, " -e"), (receiver.debug, " -d")];
                let options = options.into_iter().chain([(receiver.pause, " -p")]);
                let options: String = options.filter(|o| o.0).map(|o| o.1).collect();
                Ok(format!("exec {command} {host} xl migrate-receive{options}"))
            }
        }
    }
}

/// `host`, if it is a host's name to the shell and to ssh, and nothing else.
pub(crate) fn host_word(host: &str) -> Result<&str> {
    let plain = |c: char| c.is_alphanumeric() || "-_.:@%[]".contains(c);
    if host.is_empty() || host.starts_with('-') || !host.chars().all(plain) {
        return Err(Error::new(Kind::Usage, format!("`{host}` is no host's name")));
    }
    Ok(host)
}

/// The command while it runs.
pub(crate) struct Carrier {
    child: Child,
    terminal: Option<Lent>,
}

impl Carrier {
    /// Starts it. What it says on stderr goes to `heard`, line by line.
    pub(crate) fn start(line: &str, heard: impl Fn(String) + Send + 'static) -> Result<Self> {
        let mut shell = Command::new("sh");
        shell.args(["-c", line]).process_group(0);
        shell.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = wait_for_terminal(&mut shell)
            .spawn()
            .map_err(|cause| Error::new(Kind::Internal, "cannot start sh").because(cause))?;
        if let Some(said) = child.stderr.take() {
            // Ends with the last process that has the pipe, which may be long after this one.
            thread::spawn(move || {
                BufReader::new(said).lines().map_while(std::io::Result::ok).for_each(heard);
            });
        }
        let terminal = group(&child).and_then(Lent::to);
        Ok(Self { child, terminal })
    }

    /// Its two ends: what it says, and what it is told. Once.
    pub(crate) fn ends(&mut self) -> Result<(ChildStdout, ChildStdin)> {
        let ends = self.child.stdout.take().zip(self.child.stdin.take());
        ends.ok_or_else(|| Error::new(Kind::Internal, "the transport has no pipes"))
    }

    /// It is connected: what is typed is no longer for it.
    pub(super) fn connected(&mut self) {
        self.terminal = None;
    }

    /// Asks the command to end; with `force`, kills it and all that it started.
    pub(crate) fn cut(&self, force: bool) {
        let Some(pid) = group(&self.child) else { return };
        // It is not reaped before it is dropped, so the number is still its own.
        let sent = if force {
            kill_process_group(pid, Signal::KILL)
        } else {
            kill_process(pid, Signal::TERM)
        };
        if let Err(errno) = sent {
            log::debug!("the transport has ended already: {errno}");
        }
    }

    /// Waits for its end, but not long: a receiver that stays to watch the domain may keep it.
    pub(crate) fn end(mut self, patience: Duration) -> Option<ExitStatus> {
        self.ended_within(patience)
    }

    /// The same, and kills it if it does not end.
    pub(crate) fn end_or_cut(mut self, patience: Duration) -> Option<ExitStatus> {
        let status = self.ended_within(patience);
        if status.is_none() {
            self.cut(true);
            self.ended_within(patience);
        }
        status
    }

    fn ended_within(&mut self, patience: Duration) -> Option<ExitStatus> {
        self.connected();
        let begun = Instant::now();
        loop {
            match self.child.try_wait() {
                Ok(Some(status)) => return Some(status),
                Ok(None) if begun.elapsed() < patience => thread::sleep(Duration::from_millis(5)),
                _ => return None,
            }
        }
    }
}

/// Its process group, which has its number.
fn group(child: &Child) -> Option<Pid> {
    i32::try_from(child.id()).ok().and_then(Pid::from_raw)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(host: &str, receiver: Receiver) -> Transport {
        Transport::Shell { command: "ssh -p 22".into(), host: host.into(), receiver }
    }

    #[test]
    fn the_line_is_that_of_xl() {
        let line = shell("root@h2", Receiver::default()).line().unwrap();
        assert_eq!(line, "exec ssh -p 22 root@h2 xl migrate-receive");
        let all = Receiver { forget: true, debug: true, pause: true };
        assert!(shell("h2", all).line().unwrap().ends_with("xl migrate-receive -e -d -p"));
        assert_eq!(Transport::Direct("a | b".into()).line().unwrap(), "a | b");
    }

    #[test]
    fn a_host_is_no_option_and_no_command() {
        for odd in ["", "-oProxyCommand=x", "a b", "a;b", "$(a)", "a\nb"] {
            assert_eq!(shell(odd, Receiver::default()).line().unwrap_err().kind(), Kind::Usage);
        }
    }

    #[test]
    fn what_it_says_is_heard_and_it_can_be_killed() {
        let (heard, lines) = std::sync::mpsc::channel();
        let carrier = Carrier::start("echo no >&2; exec sleep 60", move |line| {
            heard.send(line).unwrap();
        });
        let carrier = carrier.unwrap();
        assert_eq!(lines.recv().unwrap(), "no");
        carrier.cut(true);
        assert!(!carrier.end(Duration::from_secs(10)).unwrap().success());
    }
}
