//! The socket to whoever started the save. Nothing here ever blocks for longer than a set time:
//! what a caller does not read is dropped, and a caller that has gone is forgotten.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketAddrUnix, SocketFlags, SocketType, connect, recv,
    send, socket_with,
};
use serde_json::Value;
use xenmig::migrate::hook::{Hello, Settings};
use xenmig::{Error, Kind, Result};

/// How long a caller has for its settings.
const PATIENCE: Duration = Duration::from_secs(2);
/// Longest line that a caller may send.
const LONGEST: usize = 64 * 1024;

/// A caller that listens, or listened.
pub struct Caller {
    /// `None` when it has gone.
    socket: Option<OwnedFd>,
    /// It may still say something.
    speaks: bool,
    heard: Vec<u8>,
    /// The rest of a line that the socket had no room for.
    unsent: Vec<u8>,
    aborts: bool,
}

impl Caller {
    /// Connects to the one that listens at `path`.
    pub fn connect(path: &Path) -> Result<Self> {
        let failed = |errno: Errno| Error::new(Kind::Io, path.display().to_string()).because(errno);
        let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
        let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None);
        let socket = socket.map_err(failed)?;
        let address = SocketAddrUnix::new(path).map_err(failed)?;
        connect(&socket, &address).map_err(failed)?;
        Ok(Self::over(socket))
    }

    const fn over(socket: OwnedFd) -> Self {
        Self {
            socket: Some(socket),
            speaks: true,
            heard: Vec::new(),
            unsent: Vec::new(),
            aborts: false,
        }
    }

    /// Says `hello` and waits for the settings.
    pub fn settings(&mut self, hello: &Hello) -> Result<Settings> {
        self.say(&line(hello)?);
        let begun = Instant::now();
        loop {
            if let Some(line) = self.line() {
                return serde_json::from_slice(&line).map_err(|cause| {
                    Error::new(Kind::Data, "the caller's settings cannot be read").because(cause)
                });
            }
            if !self.speaks {
                return Err(Error::new(Kind::Io, "the caller gave no settings"));
            }
            let left = PATIENCE.saturating_sub(begun.elapsed());
            if left.is_zero() {
                let what = format!("the caller gave no settings within {} s", PATIENCE.as_secs());
                return Err(Error::new(Kind::Io, what));
            }
            if let Some(socket) = self.words() {
                let wait = Timespec::try_from(left).ok();
                // Whatever ends the wait shows in what is read.
                let _ = poll(&mut [PollFd::from_borrowed_fd(socket, PollFlags::IN)], wait.as_ref());
            }
            self.listen();
        }
    }

    /// Whether the caller wants the save given up.
    pub fn aborts(&mut self) -> bool {
        self.listen();
        while let Some(line) = self.line() {
            match serde_json::from_slice::<Value>(&line) {
                Ok(Value::String(word)) if word == "abort" => self.aborts = true,
                _ => log::warn!("the caller said something unknown"),
            }
        }
        self.aborts
    }

    /// What is readable when the caller says something; `None` when it cannot any more.
    pub fn words(&self) -> Option<BorrowedFd<'_>> {
        self.socket.as_ref().filter(|_| self.speaks).map(AsFd::as_fd)
    }

    /// Sends a line, or drops it when the caller has not read those before.
    pub fn say(&mut self, line: &[u8]) {
        self.flush();
        if self.unsent.is_empty() && self.socket.is_some() {
            self.unsent.extend_from_slice(line);
            self.flush();
            // Not a byte of it went: no later line need wait for it.
            if self.unsent.len() == line.len() {
                self.unsent.clear();
            }
        }
    }

    fn flush(&mut self) {
        let Some(socket) = self.socket.as_ref().filter(|_| !self.unsent.is_empty()) else {
            return;
        };
        match send(socket, &self.unsent, SendFlags::NOSIGNAL | SendFlags::DONTWAIT) {
            Ok(sent) => drop(self.unsent.drain(..sent)),
            Err(Errno::AGAIN | Errno::INTR) => {}
            Err(errno) => {
                log::info!("the caller has gone ({errno}); steering goes on");
                self.socket = None;
            }
        }
    }

    /// Takes in what the caller has said.
    fn listen(&mut self) {
        let mut chunk = [0; 4096];
        while let Some(socket) = self.words() {
            match recv(socket, chunk.as_mut_slice(), RecvFlags::DONTWAIT) {
                Ok((1.., got)) if self.heard.len() + got <= LONGEST => {
                    self.heard.extend_from_slice(&chunk[..got]);
                }
                Err(Errno::AGAIN) => return,
                Err(Errno::INTR) => {}
                // It has gone, or talks nonsense. What it was told holds; it can still read.
                _ => self.speaks = false,
            }
        }
    }

    fn line(&mut self) -> Option<Vec<u8>> {
        let end = self.heard.iter().position(|byte| *byte == b'\n')?;
        let mut line: Vec<u8> = self.heard.drain(..=end).collect();
        line.pop();
        Some(line)
    }
}

/// `document` as a line of the protocol.
pub fn line(document: &impl serde::Serialize) -> Result<Vec<u8>> {
    let mut line = serde_json::to_vec(document)
        .map_err(|cause| Error::new(Kind::Internal, "cannot write JSON").because(cause))?;
    line.push(b'\n');
    Ok(line)
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader, Write};
    use std::os::unix::net::UnixStream;

    use xenmig::migrate::hook::SCHEMA;

    use super::*;

    fn pair() -> (Caller, UnixStream) {
        let (ours, theirs) = UnixStream::pair().unwrap();
        ours.set_nonblocking(true).unwrap();
        (Caller::over(ours.into()), theirs)
    }

    fn hello() -> Hello {
        Hello { schema: SCHEMA.into(), domid: 7, pid: 42 }
    }

    #[test]
    fn settings_are_asked_for_and_read() {
        let (mut caller, theirs) = pair();
        let settings = Settings {
            downtime_s: Some(0.3),
            total_s: None,
            bytes: None,
            steering: Default::default(),
            bandwidth_bytes_per_s: None,
            costs: Default::default(),
            finish_spread_s: 0.0,
            steady: Some(true),
            telemetry: None,
        };
        (&theirs).write_all(&line(&settings).unwrap()).unwrap();
        assert_eq!(caller.settings(&hello()).unwrap(), settings);
        let mut said = String::new();
        BufReader::new(&theirs).read_line(&mut said).unwrap();
        assert_eq!(serde_json::from_str::<Hello>(&said).unwrap(), hello());

        assert!(!caller.aborts());
        (&theirs).write_all(b"\"ab").unwrap();
        assert!(!caller.aborts());
        (&theirs).write_all(b"ort\"\n").unwrap();
        assert!(caller.aborts());
        // It stays so when the caller dies.
        drop(theirs);
        assert!(caller.aborts());
    }

    #[test]
    fn no_settings_and_bad_settings_are_errors() {
        let (mut caller, theirs) = pair();
        drop(theirs);
        assert!(caller.settings(&hello()).is_err());
        let (mut caller, theirs) = pair();
        (&theirs).write_all(b"{\"downtime_s\":\"soon\"}\n").unwrap();
        assert_eq!(caller.settings(&hello()).unwrap_err().kind(), Kind::Data);
        let (mut caller, _silent) = pair();
        let begun = Instant::now();
        assert!(caller.settings(&hello()).is_err());
        assert!(begun.elapsed() >= PATIENCE);
    }

    #[test]
    fn a_caller_that_does_not_read_loses_lines_but_never_gets_half_of_one() {
        let (mut caller, theirs) = pair();
        let line = [&[b'x'; 5000][..], b"\n"].concat();
        for _ in 0..1000 {
            caller.say(&line);
        }
        theirs.set_nonblocking(true).unwrap();
        let mut reader = BufReader::new(&theirs);
        let mut read = Vec::new();
        let mut whole = 0;
        for _ in 0..3 {
            while reader.read_until(b'\n', &mut read).is_ok_and(|got| got > 0) {
                assert_eq!(read, line);
                read.clear();
                whole += 1;
            }
            caller.say(&line);
        }
        assert!((10..1000).contains(&whole), "{whole}");
    }

    #[test]
    fn a_caller_that_has_gone_is_forgotten() {
        let (mut caller, theirs) = pair();
        drop(theirs);
        caller.say(b"\"a\"\n");
        caller.say(b"\"b\"\n");
        assert!(caller.socket.is_none() && !caller.aborts());
    }
}
