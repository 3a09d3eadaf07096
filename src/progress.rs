//! A bar on stderr while a sample runs, where stderr is a terminal.

use std::io::{IsTerminal, Write};

const WIDTH: usize = 30;

/// Draws over its own line; gone when dropped.
pub struct Progress {
    label: String,
    shown: bool,
    drawn: bool,
}

impl Progress {
    /// A bar for what `label` names; `wanted` is false when the user asked for silence.
    pub fn new(label: String, wanted: bool) -> Self {
        Self { label, shown: wanted && std::io::stderr().is_terminal(), drawn: false }
    }

    /// Shows that the share `done`, 0 to 1, is done.
    pub fn set(&mut self, done: f64) {
        if self.shown {
            let full = (done * WIDTH as f64).round() as usize;
            let bar = format!("{}{}", "#".repeat(full), ".".repeat(WIDTH.saturating_sub(full)));
            self.draw(&format!("{} [{bar}] {:>3.0} %", self.label, done * 100.0));
            self.drawn = true;
        }
    }

    fn draw(&self, line: &str) {
        // A terminal that has gone away is no reason to end a sample before its time.
        let _ = write!(std::io::stderr(), "\r\x1b[K{line}");
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if self.drawn {
            self.draw("");
        }
    }
}
