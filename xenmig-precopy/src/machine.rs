//! The machine that a save really runs on: hypercalls, the caller, signals, the stream, time.

use std::os::fd::BorrowedFd;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{OFlags, fcntl_getfl};
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
        // libxl's own wish: on SIGTERM, its helper puts something in the stream's place that
        // cannot be written to.
        let writable = |flags: OFlags| flags.intersects(OFlags::WRONLY | OFlags::RDWR);
        if !fcntl_getfl(self.stream).is_ok_and(writable) {
            return Some("libxl asks for it".to_owned());
        }
        let mut stream = [PollFd::from_borrowed_fd(self.stream, PollFlags::empty())];
        let broken = poll(&mut stream, Some(&Timespec::default())).is_ok_and(|n| n > 0);
        broken.then(|| "nobody reads its stream any more".to_owned())
    }

    /// Sleeps, but no longer than until somebody may want something.
    fn doze(&self, time: Duration) {
        let mut watched = vec![
            PollFd::from_borrowed_fd(self.stream, PollFlags::empty()),
            PollFd::from_borrowed_fd(self.signals.queue(), PollFlags::IN),
        ];
        let words = self.telemetry.caller.as_ref().and_then(|caller| caller.words());
        watched.extend(words.map(|words| PollFd::from_borrowed_fd(words, PollFlags::IN)));
        let time = Timespec::try_from(time).unwrap_or_default();
        // Whatever ends it early shows in the look that follows.
        let _ = poll(&mut watched, Some(&time));
    }
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
