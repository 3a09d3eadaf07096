//! Asking another host for its inventory: `ssh HOST xenmig hostinfo --json`, or what stands in ssh's
//! place.

use std::io::Read;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Duration;

use super::{Inventory, document};
use crate::error::{Error, Kind, Result};
use crate::migrate::{Carrier, host_word};
use crate::units::show_duration;

/// Longest answer that is read.
const MOST: u64 = 16 << 20;
/// How long a command that has said all may take to end.
const PARTING: Duration = Duration::from_secs(2);

/// A host that can be asked.
#[derive(Debug, Clone, Copy)]
pub struct Remote<'a> {
    /// `ssh`, or what stands in its place; given to `sh`.
    pub command: &'a str,
    /// The host as that command knows it.
    pub host: &'a str,
    /// How long to wait for the answer.
    pub patience: Duration,
}

impl Remote<'_> {
    /// Asks for the inventory, and whether the paths `disks` are there.
    ///
    /// # Errors
    /// [`Kind::Usage`] when it is no host's name; [`Kind::Unreachable`] when the command fails, there
    /// is no xenmig at the host, that one fails, or no answer comes in time; [`Kind::Data`] as
    /// [`super::read`].
    pub fn fetch(&self, disks: &[String]) -> Result<Inventory> {
        let line = self.line(disks)?;
        log::debug!("{line}");
        let (say, said) = channel();
        let mut carrier = Carrier::start(&line, move |line| {
            // Nobody listens once the answer is there.
            let _ = say.send(line);
        })?;
        let (output, input) = carrier.ends()?;
        drop(input);
        let (tell, told) = channel();
        thread::spawn(move || {
            let mut text = Vec::new();
            let read = output.take(MOST).read_to_end(&mut text);
            // Nobody listens once the patience is at its end.
            let _ = tell.send(read.map(|_| text));
        });
        let Ok(answer) = told.recv_timeout(self.patience) else {
            carrier.cut(true);
            carrier.end(PARTING);
            let waited = show_duration(self.patience);
            return Err(self.failed(&format!("did not answer within {waited}"), &said));
        };
        let answer = answer.map_err(|cause| self.failed("broke off", &said).because(cause))?;
        let Some(status) = carrier.end_or_cut(PARTING) else {
            return Err(self.failed("did not hang up", &said));
        };
        if !status.success() {
            return Err(self.refused(status, &said));
        }
        let text = String::from_utf8_lossy(&answer);
        document::read(&text, &format!("the answer of {}", self.host))
    }

    /// The line that `sh` gets. What is to run at the host is one word of it, as a shell there will
    /// read it once more.
    fn line(&self, disks: &[String]) -> Result<String> {
        let mut there = "xenmig hostinfo --json".to_owned();
        for disk in disks {
            there += &format!(" --disk {}", quoted(disk));
        }
        Ok(format!("exec {} {} {}", self.command, host_word(self.host)?, quoted(&there)))
    }

    fn refused(&self, status: ExitStatus, said: &Receiver<String>) -> Error {
        let from_file = "write `xenmig hostinfo --json` to a file there and give that";
        match (status.code(), status.signal()) {
            // As shells have it.
            (Some(127), _) => self
                .failed("has no xenmig, or this host no such command", said)
                .hint(format!("install xenmig where commands over ssh find it, or {from_file}")),
            // As ssh has it.
            (Some(255), _) => self.failed("cannot be reached", said),
            (Some(64), _) => self
                .failed("has a xenmig that does not know `hostinfo`", said)
                .hint("install the same xenmig on both hosts"),
            (Some(status), _) => self.failed(&format!("answered with exit status {status}"), said),
            (None, signal) => {
                self.failed(&format!("lost its line by signal {}", signal.unwrap_or(0)), said)
            }
        }
    }

    /// `h2 cannot be reached: ssh: connect to host h2 port 22: Connection refused`
    fn failed(&self, what: &str, said: &Receiver<String>) -> Error {
        let error = Error::new(Kind::Unreachable, format!("{} {what}", self.host));
        match last_words(said) {
            words if words.is_empty() => error,
            words => error.because(words),
        }
    }
}

/// The last lines of what the command said, on one; without what would confuse a terminal.
fn last_words(said: &Receiver<String>) -> String {
    const LINES: usize = 3;
    const MOST_LINES: usize = 1000;
    const STILL_COMING: Duration = Duration::from_millis(100);
    let lines = std::iter::from_fn(|| said.recv_timeout(STILL_COMING).ok()).take(MOST_LINES);
    let clean = |line: String| line.chars().filter(|c| !c.is_control()).collect::<String>();
    let lines = lines.map(clean).filter(|line| !line.trim().is_empty());
    let lines: Vec<_> = lines.map(|line| line.trim().to_owned()).collect();
    lines[lines.len().saturating_sub(LINES)..].join("; ")
}

/// `text` as one word of a shell.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicBool;

    use super::*;
    use crate::sim::SimHost;

    /// Asks a host that `script`, a command of the shell, stands for.
    fn ask(script: &str, seconds: f64) -> Result<Inventory> {
        let command = format!("sh -c {} fake", quoted(script));
        let patience = Duration::from_secs_f64(seconds);
        Remote { command: &command, host: "h2", patience }.fetch(&["/a b/it's".to_owned()])
    }

    #[test]
    fn the_answer_is_read() {
        let host = Inventory::take(&SimHost::builtin(), &[], &AtomicBool::new(false)).unwrap();
        let text = serde_json::to_string(&host.document()).unwrap();
        assert!(!text.contains('\''));
        assert_eq!(ask(&format!("echo Hello >&2; echo '{text}'"), 60.0).unwrap(), host);
    }

    #[test]
    fn the_shell_there_gets_each_path_as_one_word() {
        let error = ask(r#"eval "set -- $2"; for word; do echo "<$word>"; done >&2; exit 3"#, 60.0);
        let error = error.unwrap_err().to_string();
        assert!(error.ends_with("<--json>; <--disk>; </a b/it's>"), "{error}");
    }

    #[test]
    fn each_failure_has_its_words() {
        for (script, kind, words) in [
            ("echo no route >&2; exit 255", Kind::Unreachable, "h2 cannot be reached: no route"),
            ("exec xenmig-is-not-here", Kind::Unreachable, "h2 has no xenmig"),
            ("exit 64", Kind::Unreachable, "does not know `hostinfo`"),
            ("echo 'error: no Xen' >&2; exit 69", Kind::Unreachable, "status 69: error: no Xen"),
            ("kill -9 $$", Kind::Unreachable, "by signal 9"),
            ("printf '{\"schema\":'", Kind::Data, "the answer of h2 is cut off"),
            ("true", Kind::Data, "the answer of h2 is empty"),
        ] {
            let error = ask(script, 60.0).unwrap_err();
            assert_eq!(error.kind(), kind, "{script}: {error}");
            assert!(error.to_string().contains(words), "{script}: {error}");
        }
    }

    #[test]
    fn patience_ends() {
        let error = ask("echo password: >&2; sleep 60", 0.3).unwrap_err();
        assert_eq!(error.to_string(), "h2 did not answer within 300 ms: password:");
    }

    #[test]
    fn a_host_is_no_option() {
        let remote = Remote { command: "ssh", host: "-oProxyCommand=x", patience: PARTING };
        assert_eq!(remote.fetch(&[]).unwrap_err().kind(), Kind::Usage);
    }
}
