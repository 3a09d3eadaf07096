//! What is told while it is measured.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use super::run::Run;

/// Tells it, from any of the hosts.
pub(super) struct Progress<'a> {
    say: Mutex<&'a mut (dyn FnMut(&str) + Send)>,
    begun: Instant,
    migrations: usize,
    done: AtomicUsize,
}

impl<'a> Progress<'a> {
    pub(super) fn new(say: &'a mut (dyn FnMut(&str) + Send), migrations: usize) -> Self {
        Self { say: Mutex::new(say), begun: Instant::now(), migrations, done: AtomicUsize::new(0) }
    }

    pub(super) fn say(&self, line: &str) {
        super::locked(&self.say)(line);
    }

    pub(super) fn ran(&self, run: &Run) {
        let done = self.done.fetch_add(1, Ordering::Relaxed) + 1;
        let (all, s) = (self.migrations, self.begun.elapsed().as_secs());
        self.say(&format!("{done} of {all}, {s} s: {}", run.line()));
    }
}
