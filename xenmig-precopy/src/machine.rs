//! The machine that a save really runs on: hypercalls, the caller, signals, the stream, time.

use std::os::fd::BorrowedFd;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{FileType, OFlags, fcntl_getfl, fstat};
use rustix::stdio::stdout;
use xenmig::Result;
use xenmig::dirty::Bitmap;
use xenmig::migrate::hook::Event;
use xenmig::xen::Saving;

use crate::driver::{Dirty, Machine};
use crate::holding;
use crate::signals::Held;
use crate::telemetry::Telemetry;

/// Longest stretch of a wait between two looks at who wants something.
const SLICE: Duration = Duration::from_millis(50);

/// A save in this process.
pub struct Live {
    pub saving: Saving,
    pub telemetry: Telemetry,
    pub signals: Held,
    /// Where the save writes to.
    pub stream: BorrowedFd<'static>,
    /// Where this process tells its libxl how the save goes; `None` when that cannot be known.
    pub libxl: Option<BorrowedFd<'static>>,
    pub begun: Instant,
    /// How much too high Xen's count of dirty pages is before the save's first CLEAN, which resets
    /// it: what an earlier save that failed has left. `None` before the first look.
    pub stale: Option<u64>,
}

impl Live {
    /// Why the save should be given up; `None` when it should not.
    fn wish(&mut self) -> Option<String> {
        if self.telemetry.caller.as_mut().is_some_and(|caller| caller.aborts()) {
            return Some("its caller asks for it".to_owned());
        }
        if let Some(signal) = self.signals.came() {
            return Some(format!("{signal} came"));
        }
        ended(self.stream, self.libxl).map(str::to_owned)
    }

    /// Sleeps, but no longer than until somebody may want something.
    fn doze(&self, time: Duration) {
        let mut watched = vec![
            PollFd::from_borrowed_fd(self.stream, PollFlags::empty()),
            PollFd::from_borrowed_fd(self.signals.queue(), PollFlags::IN),
        ];
        watched.extend(self.libxl.map(|libxl| PollFd::from_borrowed_fd(libxl, PollFlags::empty())));
        let words = self.telemetry.caller.as_ref().and_then(|caller| caller.words());
        watched.extend(words.map(|words| PollFd::from_borrowed_fd(words, PollFlags::IN)));
        let time = Timespec::try_from(time).unwrap_or_default();
        // Whatever ends it early shows in the look that follows.
        let _ = poll(&mut watched, Some(&time));
    }
}

/// Where this process, if it is libxl's helper, tells its libxl how the save goes: its stdout, a pipe
/// (`transmit` in libxl_save_helper.c).
pub fn libxl() -> Option<BorrowedFd<'static>> {
    pipe(stdout())
}

fn pipe(fd: BorrowedFd<'_>) -> Option<BorrowedFd<'_>> {
    let is_pipe = fstat(fd).is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode).is_fifo());
    is_pipe.then_some(fd)
}

/// Why nothing can come of the save any more; `None` while something can.
fn ended(stream: BorrowedFd<'_>, libxl: Option<BorrowedFd<'_>>) -> Option<&'static str> {
    // libxl's own wish: on SIGTERM, its helper puts something in the stream's place that cannot be
    // written to.
    let writable = |flags: OFlags| flags.intersects(OFlags::WRONLY | OFlags::RDWR);
    if !fcntl_getfl(stream).is_ok_and(writable) {
        return Some("libxl asks for it");
    }
    let broken = |fd| {
        let mut fd = [PollFd::from_borrowed_fd(fd, PollFlags::empty())];
        poll(&mut fd, Some(&Timespec::default())).is_ok_and(|n| n > 0)
    };
    if libxl.is_some_and(broken) {
        return Some("its libxl has gone");
    }
    broken(stream).then_some("nobody reads its stream any more")
}

impl Machine for Live {
    fn now(&self) -> Duration {
        self.begun.elapsed()
    }

    fn pending(&mut self, exact: bool) -> Result<Dirty> {
        if !exact {
            let fresh = self.saving.pending()?.0.saturating_sub(self.stale.unwrap_or(0));
            return Ok(Dirty { all: fresh + holding::held(), fresh });
        }
        if self.stale.is_none() {
            let mut set = Bitmap::new(self.saving.domain().p2m_size);
            let count = self.saving.dirty_set(&mut set, false)?.0;
            let fresh = set.count().0;
            self.stale = Some(count.saturating_sub(fresh));
            return Ok(Dirty { all: fresh, fresh });
        }
        self.stale = Some(0);
        let Some(mut fresh) = holding::room() else {
            let all = self.saving.pending()?.0;
            return Ok(Dirty { all, fresh: all });
        };
        let count = self.saving.dirty_set(&mut fresh, false)?;
        Ok(Dirty { all: holding::with(&fresh), fresh: count.0 })
    }

    fn holds_back(&mut self) -> bool {
        if holding::unlimit() {
            log::warn!("the save's own calls cannot be reached: no pages are held back");
            return false;
        }
        true
    }

    fn hold_back(&mut self, most: u64) {
        holding::limit(most);
    }

    fn last_set(&mut self) -> Result<u64> {
        let Some(mut fresh) = holding::room() else {
            return self.saving.last_set().map(|pages| pages.0);
        };
        self.saving.dirty_set(&mut fresh, true)?;
        Ok(holding::with(&fresh))
    }

    fn cap(&mut self, per_cent: u32) -> Result<u16> {
        self.saving.cap(per_cent)
    }

    fn uncap(&mut self) -> Result<bool> {
        self.saving.uncap()
    }

    fn abandon(&mut self) -> Result<()> {
        self.saving.abandon()
    }

    fn rest(&mut self, time: Duration) -> Option<String> {
        let begun = Instant::now();
        loop {
            let wish = self.wish();
            let left = time.saturating_sub(begun.elapsed());
            if wish.is_some() || left.is_zero() {
                return wish;
            }
            self.doze(left.min(SLICE));
        }
    }

    fn tell(&mut self, event: &Event) {
        self.telemetry.tell(event);
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::pipe as new_pipe;
    use std::os::fd::AsFd;

    use super::*;

    #[test]
    fn a_save_ends_with_its_libxl_and_with_its_stream() {
        let ((reads, stream), (hears, tells)) = (new_pipe().unwrap(), new_pipe().unwrap());
        let libxl = pipe(tells.as_fd());
        assert!(libxl.is_some());
        assert_eq!(ended(stream.as_fd(), libxl), None);
        drop(hears);
        assert_eq!(ended(stream.as_fd(), libxl), Some("its libxl has gone"));
        assert_eq!(ended(stream.as_fd(), None), None);
        drop(reads);
        assert_eq!(ended(stream.as_fd(), None), Some("nobody reads its stream any more"));
        let unwriteable = File::open("/dev/null").unwrap();
        assert_eq!(ended(unwriteable.as_fd(), None), Some("libxl asks for it"));
        // Whoever runs a save otherwise may have nothing there.
        assert!(pipe(unwriteable.as_fd()).is_none());
    }
}
