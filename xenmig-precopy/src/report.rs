//! What is said on stderr, which the save helper shares with `xl` or the daemon that runs libxl.

use std::io::Write;

use log::{Level, LevelFilter, Log, Metadata, Record};

struct Stderr;

static STDERR: Stderr = Stderr;

impl Log for Stderr {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.level() <= log::max_level()
    }

    fn log(&self, record: &Record<'_>) {
        if !self.enabled(record.metadata()) {
            return;
        }
        let word = match record.level() {
            Level::Error => "error: ",
            Level::Warn => "warning: ",
            _ => "",
        };
        // One write, so that lines of several processes stay whole. Nobody is left to tell when
        // it fails.
        let line = format!("xenmig: {word}{}\n", record.args());
        let _ = std::io::stderr().write_all(line.as_bytes());
    }

    fn flush(&self) {}
}

/// Has everything that is logged go to stderr, from warnings up; from `RUST_LOG=info` or `debug` on,
/// more.
pub fn start() {
    let asked = std::env::var("RUST_LOG").ok().and_then(|level| level.parse().ok());
    // Another logger can only be our own, of an earlier save.
    let _ = log::set_logger(&STDERR);
    log::set_max_level(asked.unwrap_or(LevelFilter::Warn));
}
