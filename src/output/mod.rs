//! What goes to stdout, stderr and into reports. `text` and `html` are for people, `json` for
//! programs; all show the same answers of the library.

pub mod html;
pub mod json;
pub mod text;

pub mod graph;
mod layout;
mod live;
mod plan;
pub mod report;
mod style;
pub mod table;

use std::io::{ErrorKind, Write};

use xenmig::{Error, Kind, Result};

pub use live::Live;
pub use plan::Plan;
pub use style::Style;

/// Writes a whole answer to stdout. A reader that has seen enough (`| head`) is no error.
pub fn print(answer: &str) -> Result<()> {
    stream(answer).map(drop)
}

/// Writes one of many answers to stdout; `false` when the reader has seen enough.
pub fn stream(answer: &str) -> Result<bool> {
    let mut out = std::io::stdout().lock();
    match out.write_all(answer.as_bytes()).and_then(|()| out.flush()) {
        Err(cause) if cause.kind() == ErrorKind::BrokenPipe => Ok(false),
        Err(cause) => Err(Error::new(Kind::Io, "cannot write to stdout").because(cause)),
        Ok(()) => Ok(true),
    }
}

/// Tells the user on stderr what went wrong and what to do about it.
pub fn error(error: &Error) {
    let style = Style::stderr();
    let mut text = format!("{} {error}\n", style.bad("error:"));
    if let Some(advice) = error.advice() {
        text += &format!("  {} {advice}\n", style.strong("hint:"));
    }
    // Nobody is left to tell when stderr is closed.
    let _ = std::io::stderr().write_all(text.as_bytes());
}
