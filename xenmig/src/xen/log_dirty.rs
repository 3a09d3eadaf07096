//! The dirty log of one domain as a guard: it cannot be had without a [`SaveGuard`], and dropping
//! it switches the log off. Between ENABLE and OFF it only PEEKs.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::buffer::PageBuffer;
use super::control::{Control, LogStats};
use super::domain;
use super::lease::Lease;
use super::save_guard::SaveGuard;
use crate::dirty::Bitmap;
use crate::error::{Error, Kind, Result};
use crate::host::{DirtyLog, DomId, Domain, Peek, RunState, Wake};
use crate::units::Pages;

/// How soon a request to stop is noticed.
const NOTICE: Duration = Duration::from_millis(20);

/// The dirty log of one domain, switched on and owned by this process.
#[must_use = "dropping it switches the dirty log off"]
pub struct LogDirty<'a> {
    guard: Arc<SaveGuard>,
    control: &'a Control,
    id: DomId,
    since: Instant,
    stop: &'a AtomicBool,
}

impl<'a> LogDirty<'a> {
    /// Switches the log of `domain` on.
    pub(super) fn new(
        guard: Arc<SaveGuard>,
        control: &'a Control,
        domain: &Domain,
        lease: Lease,
        stop: &'a AtomicBool,
    ) -> Result<Self> {
        guard.switch_on(domain.id, domain.uuid, lease)?;
        Ok(Self { guard, control, id: domain.id, since: Instant::now(), stop })
    }

    /// What a PEEK at `at` saw. Of a domain that is being torn down, Xen says that nothing is dirty.
    fn seen(&self, at: Duration, stats: &LogStats) -> Result<Peek> {
        let dying = || -> Result<bool> {
            let flags = domain::raw(self.control, self.id)?.flags;
            Ok(domain::run_state(flags) == RunState::Dying)
        };
        if stats.dirty == 0 && dying()? {
            return Err(domain::torn_down(self.id));
        }
        Ok(Peek { at, dirty: Pages(stats.dirty) })
    }

    fn gone(&self) -> Error {
        let what = format!("a save of domain {} began; its dirty log was let go", self.id);
        Error::new(Kind::Busy, what)
    }
}

impl DirtyLog for LogDirty<'_> {
    fn wait_until(&mut self, at: Duration) -> Result<Wake> {
        loop {
            let left = at.saturating_sub(self.since.elapsed());
            // Asked even when the moment has come: a save matters more.
            if !self.guard.wait(left.min(NOTICE)) {
                return Ok(Wake::SaveBegins);
            }
            if self.stop.load(Ordering::Relaxed) {
                return Ok(Wake::Interrupted);
            }
            if self.since.elapsed() >= at {
                return Ok(Wake::Due);
            }
        }
    }

    fn peek(&mut self) -> Result<Peek> {
        let at = self.since.elapsed();
        let stats = self.guard.while_on(|control| control.log_peek(self.id));
        let stats = stats.unwrap_or_else(|| Err(self.gone()))?;
        self.seen(at, &stats)
    }

    fn peek_bitmap(&mut self, into: &mut Bitmap) -> Result<Peek> {
        let mut buffer = PageBuffer::for_bits(self.control, into.len())?;
        let at = self.since.elapsed();
        let stats = self.guard.while_on(|control| control.log_peek_bitmap(self.id, &mut buffer));
        let stats = stats.unwrap_or_else(|| Err(self.gone()))?;
        buffer.copy_to(into);
        self.seen(at, &stats)
    }

    fn close(self: Box<Self>) -> Result<()> {
        self.guard.let_go()
    }
}

impl Drop for LogDirty<'_> {
    fn drop(&mut self) {
        if let Err(error) = self.guard.let_go() {
            log::error!("{error}; `xenmig recover` tries again");
        }
    }
}
