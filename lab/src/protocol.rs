//! Frames between the machine outside and the agent in Dom0.
//!
//! A frame is a little-endian header (`id: u32`, `kind: u8`, `length: u32`)
//! and `length` bytes. `id` names a command; several run at the same time.

use std::io::{self, Read, Write};

/// The agent answers a [`Kind::Ping`] with this; both sides must agree.
pub const VERSION: u32 = 1;

/// Longest payload either side sends.
pub const MAX_PAYLOAD: usize = 64 * 1024;

const HEADER: usize = 9;

/// What a frame is about. The comment says who sends it and its payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    /// Host: are you there? Empty.
    Ping = 0,
    /// Agent: [`VERSION`] as u32, then Dom0's CLOCK_MONOTONIC in ns as u64.
    Pong = 1,
    /// Host: an encoded [`Exec`].
    Exec = 2,
    /// Host: bytes for the command's stdin; empty means end of input.
    Stdin = 3,
    /// Host: signal number as u32, sent to the command itself.
    Kill = 4,
    /// Host: signal number as u32, sent to the command's process group.
    KillGroup = 5,
    /// Agent: bytes the command wrote to stdout.
    Stdout = 6,
    /// Agent: bytes the command wrote to stderr.
    Stderr = 7,
    /// Agent: the command ended; wait status as u32 (exit code, or 256 + signal).
    Exit = 8,
    /// Agent: the command could not be started; a message.
    Failed = 9,
}

impl Kind {
    const ALL: [Self; 10] = [
        Self::Ping,
        Self::Pong,
        Self::Exec,
        Self::Stdin,
        Self::Kill,
        Self::KillGroup,
        Self::Stdout,
        Self::Stderr,
        Self::Exit,
        Self::Failed,
    ];

    fn from_byte(byte: u8) -> Option<Self> {
        Self::ALL.get(usize::from(byte)).copied()
    }
}

/// One message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// Which command it belongs to.
    pub id: u32,
    /// What it is about.
    pub kind: Kind,
    /// Its content, at most [`MAX_PAYLOAD`] bytes.
    pub payload: Vec<u8>,
}

impl Frame {
    /// A frame of these parts.
    pub fn new(id: u32, kind: Kind, payload: impl Into<Vec<u8>>) -> Self {
        Self { id, kind, payload: payload.into() }
    }

    /// A frame whose payload is one number.
    pub fn number(id: u32, kind: Kind, value: u32) -> Self {
        Self::new(id, kind, value.to_le_bytes())
    }

    /// The payload as the number [`Frame::number`] put there.
    pub fn as_number(&self) -> Option<u32> {
        self.payload.get(..4).and_then(|b| b.try_into().ok()).map(u32::from_le_bytes)
    }

    /// Writes the frame in one `write_all`.
    ///
    /// # Errors
    /// Those of the writer, and `InvalidInput` for a payload that is too long.
    pub fn write(&self, to: &mut impl Write) -> io::Result<()> {
        let length = u32::try_from(self.payload.len())
            .ok()
            .filter(|&n| n as usize <= MAX_PAYLOAD)
            .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "frame too long"))?;
        let mut bytes = Vec::with_capacity(HEADER + self.payload.len());
        bytes.extend_from_slice(&self.id.to_le_bytes());
        bytes.push(self.kind as u8);
        bytes.extend_from_slice(&length.to_le_bytes());
        bytes.extend_from_slice(&self.payload);
        to.write_all(&bytes)
    }

    /// Reads one frame; `None` at a clean end of the stream.
    ///
    /// # Errors
    /// Those of the reader, `UnexpectedEof` inside a frame and `InvalidData`
    /// for a header that no sender writes.
    pub fn read(from: &mut impl Read) -> io::Result<Option<Self>> {
        let mut header = [0u8; HEADER];
        let mut have = 0;
        while have < HEADER {
            match from.read(&mut header[have..]) {
                Ok(0) if have == 0 => return Ok(None),
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(n) => have += n,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
        let [i0, i1, i2, i3, kind, l0, l1, l2, l3] = header;
        let length = u32::from_le_bytes([l0, l1, l2, l3]) as usize;
        let kind = Kind::from_byte(kind).filter(|_| length <= MAX_PAYLOAD).ok_or_else(|| {
            io::Error::new(io::ErrorKind::InvalidData, format!("bad frame header {header:02x?}"))
        })?;
        let mut payload = vec![0; length];
        from.read_exact(&mut payload)?;
        Ok(Some(Self { id: u32::from_le_bytes([i0, i1, i2, i3]), kind, payload }))
    }
}

/// A command to run in Dom0.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Exec {
    /// Program and arguments; the program is looked up in Dom0's PATH.
    pub argv: Vec<String>,
    /// Variables added to the agent's environment.
    pub env: Vec<(String, String)>,
}

impl Exec {
    /// The payload of a [`Kind::Exec`] frame.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        let mut put = |s: &str| {
            out.extend_from_slice(s.as_bytes());
            out.push(0);
        };
        put(&self.argv.len().to_string());
        self.argv.iter().for_each(|a| put(a));
        for (name, value) in &self.env {
            put(name);
            put(value);
        }
        out
    }

    /// The reverse of [`Exec::encode`]; `None` when the bytes are not one.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(bytes).ok()?.strip_suffix('\0')?;
        let mut fields = text.split('\0').map(str::to_owned);
        let count: usize = fields.next()?.parse().ok()?;
        let argv: Vec<String> = fields.by_ref().take(count).collect();
        if argv.is_empty() || argv.len() != count {
            return None;
        }
        let mut env = Vec::new();
        while let Some(name) = fields.next() {
            env.push((name, fields.next()?));
        }
        Some(Self { argv, env })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn frames_survive_the_wire(
            frames in prop::collection::vec(
                (any::<u32>(), 0u8..10, prop::collection::vec(any::<u8>(), 0..300)), 0..8)
        ) {
            let frames: Vec<Frame> = frames
                .into_iter()
                .map(|(id, k, p)| Frame::new(id, Kind::from_byte(k).unwrap(), p))
                .collect();
            let mut wire = Vec::new();
            for frame in &frames {
                frame.write(&mut wire).unwrap();
            }
            let mut from = wire.as_slice();
            for frame in &frames {
                let read = Frame::read(&mut from).unwrap();
                prop_assert_eq!(read.as_ref(), Some(frame));
            }
            prop_assert_eq!(Frame::read(&mut from).unwrap(), None);
        }

        #[test]
        fn commands_survive_the_wire(
            argv in prop::collection::vec("[^\0]{0,12}", 1..5),
            env in prop::collection::vec(("[A-Z]{1,5}", "[^\0]{0,9}"), 0..4),
        ) {
            let exec = Exec { argv, env };
            prop_assert_eq!(Exec::decode(&exec.encode()), Some(exec));
        }
    }

    #[test]
    fn kinds_are_numbered_as_listed() {
        for (i, kind) in Kind::ALL.into_iter().enumerate() {
            assert_eq!(kind as usize, i);
        }
    }

    #[test]
    fn a_torn_or_foreign_stream_is_an_error() {
        let mut wire = Vec::new();
        Frame::new(7, Kind::Stdout, *b"hello").write(&mut wire).unwrap();
        wire.pop();
        assert!(Frame::read(&mut wire.as_slice()).is_err());
        assert!(Frame::read(&mut &[0xff; 20][..]).is_err());
        assert!(Exec::decode(b"2\0one\0").is_none());
    }
}
