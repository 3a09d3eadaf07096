//! The naive way to find out what a migration costs: sets of pages, sent one by one at the head of
//! a clock that lets the guest write.

use super::{Guest, PageSet};

/// Bytes of a page and its pfn.
pub const PAGE: f64 = 4104.0;
/// Bytes of the two headers of a batch.
const BATCH: f64 = 16.0;

/// A guest and a link.
pub struct Oracle {
    guest: Guest,
    rate: f64,
    dirty: PageSet,
    now: f64,
    /// Sent so far.
    pub bytes: f64,
}

impl Oracle {
    /// `rate` in bytes per second.
    pub fn new(guest: Guest, rate: f64) -> Self {
        Self { guest, rate, dirty: PageSet::default(), now: 0.0, bytes: 0.0 }
    }

    fn pass(&mut self, seconds: f64) {
        self.now += seconds;
        let dirty = &mut self.dirty;
        self.guest.run(seconds, |page, _| dirty.insert(page));
    }

    fn send(&mut self, pages: &PageSet, guest_runs: bool) {
        for nth in 0..pages.len() {
            let bytes = PAGE + if nth % 1024 == 0 { BATCH } else { 0.0 };
            self.bytes += bytes;
            let s = bytes / self.rate;
            if guest_runs { self.pass(s) } else { self.now += s }
        }
    }

    fn clean(&mut self) -> PageSet {
        std::mem::take(&mut self.dirty)
    }

    /// Pages of each send of a stock save of a guest of so many pages, its total time and its
    /// downtime.
    pub fn save(&mut self, pages: u64, request_s: f64) -> (Vec<f64>, f64, f64) {
        let began = self.now;
        let mut sends = vec![pages as f64];
        self.clean();
        let mut everything = PageSet::default();
        (0..pages).for_each(|page| everything.insert(page));
        self.send(&everything, true);
        while sends.len() < 5 {
            let set = self.clean();
            // Xen skips an empty send, which the model's fraction of a page never is.
            sends.push(set.len() as f64);
            self.send(&set, true);
            if set.len() < 50 {
                break;
            }
        }
        self.pass(request_s);
        let set = self.clean();
        sends.push(set.len() as f64);
        let suspended = self.now;
        self.send(&set, false);
        (sends, self.now - began, self.now - suspended)
    }
}
