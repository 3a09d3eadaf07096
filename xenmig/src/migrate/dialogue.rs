//! The words between a sender and `xl migrate-receive`, over its stdin and stdout. The same in
//! Xen 4.14 to 4.20 (tools/xl/xl.h, tools/xl/xl_migrate.c).
//!
//! | from | what | when |
//! | --- | --- | --- |
//! | target | banner | it is there |
//! | source | header with the configuration, then libxl's stream | the save |
//! | target | ready | it has everything; the guest waits |
//! | source | permission | from here on the target may run the guest |
//! | target | report and one byte | 0: it runs; otherwise it could not be started |
//! | target | permission | after such a failure: the source may have it back |

use std::io::{self, Read, Write};

use crate::error::{Error, Kind, Result};

const BANNER: &[u8] = b"xl migration receiver ready, send binary domain data.\n";
const READY: &[u8] = b"domain received, ready to unpause\0";
const PERMISSION: &[u8] = b"domain is yours, you are cleared to unpause\0";
const REPORT: &[u8] = b"my copy unpause results are as follows\0";

const MAGIC: &[u8; 32] = b"Xen saved domain, xl format\n \0 \r";
/// Tells the reader the byte order of the header's numbers.
const BYTE_ORDER: u32 = 0x0102_0304;
/// The configuration is JSON, and the stream is of version 2.
const FLAGS: u32 = 1 | 2;

/// What the target says once it had permission.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Answer {
    /// The guest runs there.
    Runs,
    /// It could not be started there; xl's code.
    Failed(u8),
}

/// A conversation with one receiver.
pub(super) struct Dialogue<R, W> {
    from: R,
    to: W,
}

impl<R: Read, W: Write> Dialogue<R, W> {
    pub(super) const fn new(from: R, to: W) -> Self {
        Self { from, to }
    }

    /// Waits for the receiver.
    pub(super) fn greet(&mut self) -> Result<()> {
        self.expect(BANNER, "its banner").map_err(|error| {
            error.hint(
                "is xl on the target, and does the command reach it? Where nobody can type a \
                 password, ssh needs a key or an agent",
            )
        })
    }

    /// Sends what goes before libxl's stream.
    pub(super) fn announce(&mut self, configuration: &[u8]) -> Result<()> {
        let header = header(configuration).ok_or_else(|| {
            Error::new(Kind::Internal, "the domain's configuration is too long to be sent")
        })?;
        self.send(&header, "the configuration")
    }

    /// Where libxl's stream goes.
    pub(super) const fn stream(&self) -> &W {
        &self.to
    }

    /// Waits until the target has everything.
    pub(super) fn ready(&mut self) -> Result<()> {
        self.expect(READY, "that it has received the domain")
    }

    /// Lets the target run the guest. `false` when it cannot have heard it: a pipe takes so few
    /// bytes as a whole, and none when its reader has gone. After an error it may have.
    pub(super) fn permit(&mut self) -> Result<bool> {
        match self.to.write_all(PERMISSION).and_then(|()| self.to.flush()) {
            Ok(()) => Ok(true),
            Err(cause) if cause.kind() == io::ErrorKind::BrokenPipe => Ok(false),
            Err(cause) => Err(unsent("the permission to go", cause)),
        }
    }

    /// Waits for what became of it.
    pub(super) fn answer(&mut self) -> Result<Answer> {
        let what = "whether the guest runs";
        self.expect(REPORT, what)?;
        let mut code = [0];
        self.from.read_exact(&mut code).map_err(|cause| unheard(what, cause))?;
        Ok(if code[0] == 0 { Answer::Runs } else { Answer::Failed(code[0]) })
    }

    /// Waits, after a failure there, until the target gives the guest back.
    pub(super) fn returned(&mut self) -> Result<()> {
        self.expect(PERMISSION, "that it gives the guest back")
    }

    fn expect(&mut self, words: &[u8], what: &str) -> Result<()> {
        let mut heard = vec![0; words.len()];
        self.from.read_exact(&mut heard).map_err(|cause| unheard(what, cause))?;
        if heard == words {
            return Ok(());
        }
        let said = String::from_utf8_lossy(&heard).into_owned();
        Err(Error::new(Kind::Data, format!("the target was to say {what}, and said {said:?}")))
    }

    fn send(&mut self, bytes: &[u8], what: &str) -> Result<()> {
        let sent = self.to.write_all(bytes).and_then(|()| self.to.flush());
        sent.map_err(|cause| unsent(what, cause))
    }
}

fn unsent(what: &str, cause: io::Error) -> Error {
    Error::new(Kind::Io, format!("cannot send {what} to the target")).because(cause)
}

fn unheard(what: &str, cause: io::Error) -> Error {
    let error = Error::new(Kind::Io, format!("the target did not say {what}"));
    match cause.kind() {
        // Says nothing that the sentence does not.
        io::ErrorKind::UnexpectedEof => error,
        _ => error.because(cause),
    }
}

/// The header: fixed part, length of the configuration, configuration. Numbers are in the sender's
/// byte order.
fn header(configuration: &[u8]) -> Option<Vec<u8>> {
    let length = u32::try_from(configuration.len()).ok()?.checked_add(1)?;
    let mut header = MAGIC.to_vec();
    for number in [BYTE_ORDER, FLAGS, 0, length.checked_add(4)?, length] {
        header.extend(number.to_ne_bytes());
    }
    header.extend(configuration);
    header.push(0);
    Some(header)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(words: &[&[u8]]) -> Dialogue<io::Cursor<Vec<u8>>, Vec<u8>> {
        Dialogue::new(io::Cursor::new(words.concat()), Vec::new())
    }

    #[test]
    fn the_header_is_what_xl_reads() {
        let header = header(b"{}").unwrap();
        assert_eq!(header.len(), 32 + 16 + 4 + 3);
        assert_eq!(&header[..32], MAGIC);
        let number = |at: usize| u32::from_ne_bytes(header[at..at + 4].try_into().unwrap());
        assert_eq!([32, 36, 40, 44, 48].map(number), [0x0102_0304, 3, 0, 7, 3]);
        assert_eq!(&header[52..], b"{}\0");
    }

    #[test]
    fn a_conversation_that_goes_well() {
        let mut talk = told(&[BANNER, READY, REPORT, &[0]]);
        talk.greet().unwrap();
        talk.announce(b"{}").unwrap();
        talk.ready().unwrap();
        assert!(talk.permit().unwrap());
        assert_eq!(talk.answer().unwrap(), Answer::Runs);
        assert!(talk.stream().ends_with(PERMISSION));
    }

    #[test]
    fn a_target_that_cannot_run_it_gives_it_back() {
        let mut talk = told(&[REPORT, &[3], PERMISSION]);
        assert_eq!(talk.answer().unwrap(), Answer::Failed(3));
        talk.returned().unwrap();
    }

    #[test]
    fn a_wrong_word_is_shown_and_an_end_is_an_end() {
        let error = told(&[&[b'x'; 60]]).greet().unwrap_err();
        assert!(error.kind() == Kind::Data && error.to_string().contains("xxx"), "{error}");
        let error = told(&[&BANNER[..20]]).greet().unwrap_err();
        assert_eq!(error.kind(), Kind::Io);
        assert!(error.advice().unwrap().contains("ssh"));
        assert_eq!(told(&[REPORT]).answer().unwrap_err().kind(), Kind::Io);
    }
}
