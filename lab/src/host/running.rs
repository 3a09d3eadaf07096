//! A command in Dom0, while it runs and after.

use std::collections::VecDeque;
use std::fmt;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use super::channel::Channel;
use super::serial::Serial;
use crate::protocol::{Frame, Kind, MAX_PAYLOAD};
use crate::{Error, Result};

/// How often a silent host's serial log is looked at, in time outside.
const LOOK: Duration = Duration::from_secs(2);

/// The next frame of a conversation about `what`.
pub(super) fn receive(
    frames: &Receiver<Frame>,
    deadline: Instant,
    limit: Duration,
    what: &str,
    serial: &Serial,
) -> Result<Frame> {
    let gone = |why: String| Error::HostGone { why, serial: serial.tail() };
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        match frames.recv_timeout(left.min(LOOK)) {
            Ok(frame) => return Ok(frame),
            Err(RecvTimeoutError::Disconnected) => {
                return Err(gone(format!("QEMU ended during {what}")));
            }
            Err(RecvTimeoutError::Timeout) => {}
        }
        if let Some(crash) = serial.crash() {
            return Err(gone(format!("{crash}, during {what}")));
        }
        if left.is_zero() {
            let what = what.to_owned();
            return Err(Error::Timeout { what, after: limit, serial: serial.tail() });
        }
    }
}

/// A command line for messages: a script in it is cut after its first line.
pub(super) fn shown(argv: &[String]) -> String {
    let short = |word: &String| match word.split_once('\n') {
        Some((first, _)) => format!("'{first} …'"),
        None => word.clone(),
    };
    argv.iter().map(short).collect::<Vec<_>>().join(" ")
}

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// By itself, with this exit code.
    Exited(u8),
    /// By this signal.
    Signaled(i32),
}

impl Status {
    /// Exit code 0.
    pub fn success(self) -> bool {
        self == Self::Exited(0)
    }

    fn from_wire(number: u32) -> Self {
        match u8::try_from(number) {
            Ok(code) => Self::Exited(code),
            Err(_) => Self::Signaled((number & 0xff).cast_signed()),
        }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exited(code) => write!(f, "exit code {code}"),
            Self::Signaled(signal) => write!(f, "signal {signal}"),
        }
    }
}

/// What a command left.
#[derive(Debug, Clone)]
pub struct Output {
    /// How it ended.
    pub status: Status,
    /// What it wrote to stdout.
    pub stdout: Vec<u8>,
    /// What it wrote to stderr.
    pub stderr: Vec<u8>,
}

impl Output {
    /// stdout as text.
    pub fn stdout(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }

    /// stderr as text.
    pub fn stderr(&self) -> String {
        String::from_utf8_lossy(&self.stderr).into_owned()
    }
}

/// A command that may still be running. Dropped, it is killed with everything
/// in its process group.
pub struct Running {
    pub(super) id: u32,
    pub(super) command: String,
    pub(super) frames: Receiver<Frame>,
    pub(super) channel: Channel,
    pub(super) serial: Serial,
    pub(super) deadline: Instant,
    pub(super) limit: Duration,
    status: Option<Status>,
    stdout: Vec<u8>,
    stderr: Vec<u8>,
    /// How much of stdout `next_line` has given.
    read: usize,
    pending: VecDeque<Frame>,
}

impl Running {
    pub(super) fn new(
        (id, frames): (u32, Receiver<Frame>),
        command: String,
        channel: Channel,
        serial: Serial,
        limit: Duration,
    ) -> Self {
        Self {
            id,
            command,
            frames,
            channel,
            serial,
            deadline: Instant::now() + limit,
            limit,
            status: None,
            stdout: Vec::new(),
            stderr: Vec::new(),
            read: 0,
            pending: VecDeque::new(),
        }
    }

    /// Sets how long the command may take from now on, in time outside.
    pub fn set_limit(&mut self, limit: Duration) {
        self.limit = limit;
        self.deadline = Instant::now() + limit;
    }

    /// Writes to its stdin. More than some megabytes at once are kept in Dom0's
    /// memory until the command reads them.
    pub fn write_stdin(&self, bytes: &[u8]) {
        for chunk in bytes.chunks(MAX_PAYLOAD) {
            self.channel.send(&Frame::new(self.id, Kind::Stdin, chunk));
        }
    }

    /// Ends its stdin.
    pub fn close_stdin(&self) {
        self.channel.send(&Frame::new(self.id, Kind::Stdin, []));
    }

    /// Sends the command a signal, by number.
    pub fn kill(&self, signal: i32) {
        self.channel.send(&Frame::number(self.id, Kind::Kill, signal.unsigned_abs()));
    }

    /// Sends a signal to its whole process group.
    pub fn kill_group(&self, signal: i32) {
        self.channel.send(&Frame::number(self.id, Kind::KillGroup, signal.unsigned_abs()));
    }

    /// What it has written to stdout so far, without waiting.
    pub fn stdout_so_far(&mut self) -> String {
        while let Ok(frame) = self.frames.try_recv() {
            self.pending.push_back(frame);
        }
        while let Some(frame) = self.pending.pop_front() {
            // A start that failed is reported by whoever waits.
            if self.take(frame).is_err() {
                break;
            }
        }
        String::from_utf8_lossy(&self.stdout).into_owned()
    }

    /// The next line of its stdout, or `None` when it has ended.
    ///
    /// # Errors
    /// When it cannot be started, the host is gone, or the limit is over.
    pub fn next_line(&mut self) -> Result<Option<String>> {
        loop {
            let rest = &self.stdout[self.read..];
            let line = match rest.iter().position(|&b| b == b'\n') {
                Some(end) => Some((end, end + 1)),
                None if self.status.is_some() && !rest.is_empty() => Some((rest.len(), rest.len())),
                None => None,
            };
            if let Some((end, used)) = line {
                let text = String::from_utf8_lossy(&rest[..end]).trim_end_matches('\r').to_owned();
                self.read += used;
                return Ok(Some(text));
            }
            if self.status.is_some() {
                return Ok(None);
            }
            let frame = self.receive()?;
            self.take(frame)?;
        }
    }

    /// Reads stdout up to the first line for which `wanted` is true; `None`
    /// when the command ends without one.
    ///
    /// # Errors
    /// As [`Running::next_line`].
    pub fn line_where(&mut self, wanted: impl Fn(&str) -> bool) -> Result<Option<String>> {
        while let Some(line) = self.next_line()? {
            if wanted(&line) {
                return Ok(Some(line));
            }
        }
        Ok(None)
    }

    /// Waits for its end and gives all of its output.
    ///
    /// # Errors
    /// When it cannot be started, the host is gone, or the limit is over.
    pub fn wait(mut self) -> Result<Output> {
        loop {
            if let Some(status) = self.status {
                return Ok(Output {
                    status,
                    stdout: std::mem::take(&mut self.stdout),
                    stderr: std::mem::take(&mut self.stderr),
                });
            }
            let frame = self.receive()?;
            self.take(frame)?;
        }
    }

    /// [`Running::wait`], and an exit code other than 0 is an error.
    ///
    /// # Errors
    /// As [`Running::wait`], and [`Error::Command`].
    pub fn wait_ok(self) -> Result<Output> {
        let command = self.command.clone();
        let output = self.wait()?;
        if output.status.success() {
            return Ok(output);
        }
        let text = output.stdout() + &output.stderr();
        Err(Error::Command { command, status: output.status, output: text })
    }

    fn receive(&mut self) -> Result<Frame> {
        if let Some(frame) = self.pending.pop_front() {
            return Ok(frame);
        }
        receive(&self.frames, self.deadline, self.limit, &self.command, &self.serial)
    }

    fn take(&mut self, frame: Frame) -> Result<()> {
        match frame.kind {
            Kind::Stdout => self.stdout.extend_from_slice(&frame.payload),
            Kind::Stderr => self.stderr.extend_from_slice(&frame.payload),
            Kind::Exit => {
                self.status = Some(Status::from_wire(frame.as_number().unwrap_or(255)));
            }
            Kind::Failed => {
                self.status = Some(Status::Exited(127));
                return Err(Error::Start {
                    command: self.command.clone(),
                    message: String::from_utf8_lossy(&frame.payload).into_owned(),
                });
            }
            _ => {}
        }
        Ok(())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if self.status.is_none() {
            self.kill_group(9);
        }
    }
}
