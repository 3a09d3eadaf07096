//! The dirty log of one simulated domain.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::host::SimHost;
use super::scene::Guest;
use super::workload::DirtyPages;
use crate::dirty::Bitmap;
use crate::error::Result;
use crate::host::{DirtyLog, Peek, Wake};
use crate::units::{Pages, Pfn};

/// First page above the hole that PC hardware has below 4 GiB.
const HOLE_BEGINS: u64 = 0xf_0000;
/// Where memory goes on above it.
const HOLE_ENDS: u64 = 0x10_0000;

pub(super) struct SimLog<'a> {
    host: &'a SimHost,
    guest: &'a Guest,
    stop: &'a AtomicBool,
    dirty: DirtyPages,
    on_since: Duration,
}

impl<'a> SimLog<'a> {
    /// Switches the log on; the caller has seen that it may.
    pub fn switch_on(host: &'a SimHost, guest: &'a Guest, stop: &'a AtomicBool) -> Self {
        let on_since = host.clock().now();
        let mut streams = Vec::new();
        let mut first = 0;
        for workload in &guest.workloads {
            streams.extend(workload.streams(first, host.seed()));
            first += workload.pages();
        }
        host.set_log(guest.domid(), true);
        Self { host, guest, stop, dirty: DirtyPages::clean(streams, on_since), on_since }
    }

    /// The guest writes until now.
    fn advance(&mut self) -> Result<Peek> {
        let now = self.host.clock().now();
        self.host.living(self.guest.domid())?;
        self.dirty.advance(now);
        Ok(Peek { at: now.saturating_sub(self.on_since), dirty: Pages(self.dirty.count()) })
    }
}

impl DirtyLog for SimLog<'_> {
    fn wait_until(&mut self, at: Duration) -> Result<Wake> {
        let until = self.on_since + at;
        let fault = &self.guest.fault;
        let before = |event: Option<super::scene::Span>| event.filter(|event| event.0 <= until);
        if let Some(pressed) = before(fault.interrupted_after) {
            self.host.clock().wait_until(pressed.0, self.stop);
            self.stop.store(true, Ordering::Relaxed);
        }
        let save = before(fault.save_begins_after);
        let until = save.map_or(until, |save| save.0);
        Ok(match (self.host.clock().wait_until(until, self.stop), save) {
            (false, _) => Wake::Interrupted,
            (true, Some(_)) => {
                self.host.set_log(self.guest.domid(), false);
                Wake::SaveBegins
            }
            (true, None) => Wake::Due,
        })
    }

    fn peek(&mut self) -> Result<Peek> {
        self.advance()
    }

    fn peek_bitmap(&mut self, into: &mut Bitmap) -> Result<Peek> {
        let peek = self.advance()?;
        for page in self.dirty.pages() {
            into.set(pfn(page));
        }
        Ok(peek)
    }

    fn close(self: Box<Self>) -> Result<()> {
        Ok(())
    }
}

impl Drop for SimLog<'_> {
    fn drop(&mut self) {
        self.host.set_log(self.guest.domid(), false);
    }
}

/// Where the guest's page number `page` lies.
fn pfn(page: u64) -> Pfn {
    Pfn(if page < HOLE_BEGINS { page } else { page - HOLE_BEGINS + HOLE_ENDS })
}

/// One above the highest pfn of a guest with `memory`. Xen's own pages (the last ones below 4 GiB)
/// count, so an HVM or PVH guest that fits below the hole has the hole too.
pub(super) fn p2m_size(memory: Pages, holes: bool) -> Pages {
    match memory.0 {
        _ if !holes => memory,
        // Measured on a PVH guest of 160 MiB.
        pages if pages <= HOLE_BEGINS => Pages(1_044_480),
        pages => Pages(pages - HOLE_BEGINS + HOLE_ENDS),
    }
}
