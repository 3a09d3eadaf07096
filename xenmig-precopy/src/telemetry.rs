//! Where events go: to the caller, and to a file. Neither may disturb the save: what cannot be
//! written is dropped.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use rustix::fs::OFlags;
use xenmig::migrate::hook::Event;
use xenmig::{Error, Kind, Result};

use crate::caller::{Caller, line};

/// The places that events go to; none by default.
#[derive(Default)]
pub struct Telemetry {
    /// Whoever started the save.
    pub caller: Option<Caller>,
    file: Option<File>,
}

impl Telemetry {
    /// From now on events are also appended to the file at `path`. One that cannot be opened is a
    /// warning, no more.
    pub fn also_to(&mut self, path: &Path) {
        match open(path) {
            Ok(file) => self.file = Some(file),
            Err(error) => log::warn!("no telemetry: {error}"),
        }
    }

    /// Tells everybody.
    pub fn tell(&mut self, event: &Event) {
        let line = match line(event) {
            Ok(line) => line,
            Err(error) => return log::warn!("{error}"),
        };
        if let Some(caller) = &mut self.caller {
            caller.say(&line);
        }
        if let Some(file) = &mut self.file
            && let Err(cause) = file.write_all(&line)
        {
            log::warn!("no more telemetry to the file: {cause}");
            self.file = None;
        }
    }
}

/// Pipes and devices could hold the save up, so it must be a regular file.
fn open(path: &Path) -> Result<File> {
    let failed = |cause| Error::new(Kind::Io, path.display().to_string()).because(cause);
    let flags = OFlags::NONBLOCK.bits().cast_signed();
    let mut options = OpenOptions::new();
    let options = options.append(true).create(true).mode(0o600).custom_flags(flags);
    let file = options.open(path).map_err(failed)?;
    if file.metadata().map_err(failed)?.is_file() {
        Ok(file)
    } else {
        Err(Error::new(Kind::Io, format!("{} is no regular file", path.display())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_appended_to_a_regular_file_and_to_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("events");
        for domain in 0..2 {
            let mut telemetry = Telemetry::default();
            telemetry.also_to(&path);
            telemetry.tell(&Event::Suspending { t: f64::from(domain) });
        }
        let text = std::fs::read_to_string(&path).unwrap();
        let expected =
            "{\"event\":\"suspending\",\"t\":0.0}\n{\"event\":\"suspending\",\"t\":1.0}\n";
        assert_eq!(text, expected);

        assert!(open(Path::new("/dev/full")).is_err());
        assert!(open(dir.path()).is_err());
        let mut telemetry = Telemetry::default();
        telemetry.also_to(Path::new("/nonexistent/events"));
        telemetry.tell(&Event::Suspending { t: 0.0 });
    }
}
