//! Bringing a migration to its end before the target has permission to run the guest: gently first.
//!
//! The hook is asked, for it ends the save in good order. Then libxl's save helper, which lets its
//! next write fail and puts the guest's state right on its way out. Then the line is cut, under
//! which the helper may die without doing so; [`Source::settle`] does it then. A target that has
//! everything is let speak first, for it cleans up only when nobody cuts it short.

use std::time::{Duration, Instant};

use super::event::Stage;
use super::source::Source;
use super::steer::Steered;
use super::transport::Carrier;
use crate::error::Error;

/// How long each means may take before the next, harsher one.
const GRACE: Duration = Duration::from_secs(3);
/// How often a save helper is asked to end.
const AGAIN: Duration = Duration::from_secs(1);

/// A migration that is given up.
pub(super) struct GivenUp {
    pub(super) why: Error,
    since: Instant,
    /// The hook was asked.
    asked: bool,
    /// When the save helper was asked last.
    interrupted: Option<Instant>,
    /// When the transport was asked to end.
    cut: Option<Instant>,
    /// It was killed.
    killed: bool,
}

impl GivenUp {
    pub(super) fn new(why: Error) -> Self {
        let since = Instant::now();
        Self { why, since, asked: false, interrupted: None, cut: None, killed: false }
    }

    /// Does what is due now in this stage, to the save and its hook, if there is one.
    pub(super) fn press(
        &mut self,
        stage: Stage,
        source: &dyn Source,
        steered: Option<&Steered<'_>>,
        carrier: &Carrier,
    ) {
        let waits = match stage {
            Stage::Sending | Stage::Suspended => self.end_save(source, steered),
            Stage::Waiting => self.since.elapsed() < GRACE,
            _ => false,
        };
        if waits {
            return;
        }
        match self.cut {
            None => {
                carrier.cut(false);
                self.cut = Some(Instant::now());
            }
            Some(asked) if !self.killed && asked.elapsed() > GRACE => {
                carrier.cut(true);
                self.killed = true;
            }
            Some(_) => {}
        }
    }

    /// Whether the save still has time to end by itself.
    fn end_save(&mut self, source: &dyn Source, steered: Option<&Steered<'_>>) -> bool {
        if !self.asked && steered.is_some_and(Steered::abort) {
            self.asked = true;
        }
        let waited = self.since.elapsed();
        if self.asked && waited < GRACE {
            return true;
        }
        if self.interrupted.is_none_or(|last| last.elapsed() > AGAIN) {
            source.interrupt();
            self.interrupted = Some(Instant::now());
        }
        waited < 2 * GRACE
    }
}
