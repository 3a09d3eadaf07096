//! What became of a migration.

use std::time::Duration;

use super::costs::Costs;
use super::document::Document;
use super::handover::Ended;
use crate::check;
use crate::error::Error;
use crate::host::Domain;
use crate::policy::Budget;

/// Where the guest is now.
#[derive(Debug)]
pub enum Fate {
    /// It runs at the target; [`Report::paused`] says whether it is paused there.
    Moved,
    /// The gate refused; nothing was touched.
    Refused,
    /// It did not move and runs at the source.
    Stayed(Error),
    /// It did not move, is suspended at the source and could not be resumed: why it did not move,
    /// why it does not run. The target may not run it.
    Stuck(Error, Error),
    /// It did not move, and ended meanwhile: why it did not move, and how it ended.
    Gone(Error, Error),
    /// The line broke after the target had been given permission: it may run there, or not. It is
    /// suspended at the source.
    Undefined(Error),
}

/// One migration, afterwards.
#[derive(Debug)]
pub struct Report {
    /// The guest, as it was.
    pub domain: Domain,
    /// Where it was to go, as the user named it.
    pub target: String,
    /// What the gate found.
    pub gate: check::Report,
    /// Where the guest is now.
    pub fate: Fate,
    /// The target was told to leave it paused.
    pub paused: bool,
    /// It took place in the model only: nothing left.
    pub rehearsed: bool,
    /// The save was to be steered.
    pub to_be_steered: bool,
    /// The hook steered it. Otherwise Xen's stock policy decided.
    pub steered: bool,
    /// Why the hook left the save to Xen's stock policy; `None` when it did not, or said nothing.
    pub stock_because: Option<String>,
    /// What it took.
    pub costs: Costs,
    /// What could not be tidied up at the source, if anything.
    pub untidy: Option<Error>,
    /// Its outcome is kept, and later predictions learn from it.
    pub remembered: bool,
    /// The last lines of what the command that leads to the target said.
    pub said: Vec<String>,
}

impl Report {
    /// A migration that has not begun: the gate refused it.
    pub(super) fn refused(domain: &Domain, target: &str, gate: check::Report) -> Self {
        Self {
            domain: domain.clone(),
            target: target.to_owned(),
            gate,
            fate: Fate::Refused,
            paused: false,
            rehearsed: false,
            to_be_steered: false,
            steered: false,
            stock_because: None,
            costs: Costs::default(),
            untidy: None,
            remembered: false,
            said: Vec::new(),
        }
    }

    pub(super) fn ended(mut self, ended: Ended) -> Self {
        (self.fate, self.untidy) = match ended {
            Ended::Moved(untidy) => (Fate::Moved, untidy),
            Ended::Stayed(why, untidy) => (Fate::Stayed(why), untidy),
            Ended::Stuck(why, stuck) => (Fate::Stuck(why, stuck), None),
            Ended::Gone(why, how) => (Fate::Gone(why, how), None),
            Ended::Undefined(why) => (Fate::Undefined(why), None),
        };
        self
    }

    /// Whether each limit of the budget was kept; `None` when the guest did not move, is paused at
    /// the target, or when a limit is held against something that was not seen.
    #[must_use]
    pub fn kept(&self) -> Option<bool> {
        if !matches!(self.fate, Fate::Moved) || self.paused {
            return None;
        }
        let Budget { downtime, total, bytes } = self.gate.budget;
        let time = |limit: Option<Duration>, took: Option<f64>| match limit {
            None => Some(true),
            Some(limit) => took.map(|took| took <= limit.as_secs_f64()),
        };
        let sent = match bytes {
            None => Some(true),
            Some(limit) => self.costs.bytes.map(|sent| sent <= limit.0),
        };
        let kept = [time(downtime, self.costs.downtime_s), time(total, self.costs.total_s), sent];
        if kept.contains(&Some(false)) {
            return Some(false);
        }
        kept.iter().all(Option::is_some).then_some(true)
    }

    /// The JSON document `xenmig.migrate/1`.
    #[must_use]
    pub fn document(&self) -> Document<'_> {
        Document::new(self)
    }
}
