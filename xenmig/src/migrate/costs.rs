//! What a migration took, and the record of it that later predictions are calibrated by.

use crate::history::{OutcomeRecord, Predicted, SentRound};
use crate::policy::precopy::Why;

/// What a migration took, as far as it was seen.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Costs {
    /// Start of the save to the guest running at the target.
    pub total_s: Option<f64>,
    /// Guest suspended to guest running at the target; the sum of `last_copy_s`, `transport_s`
    /// and `resume_s`.
    pub downtime_s: Option<f64>,
    /// Asking the guest to suspend until it was: it still ran.
    pub suspend_s: Option<f64>,
    /// Sending what was left.
    pub last_copy_s: Option<f64>,
    /// From there until the target had put everything together.
    pub transport_s: Option<f64>,
    /// From there until the guest ran: devices, network, the report's way back.
    pub resume_s: Option<f64>,
    /// Bytes of memory on the wire, with their headers.
    pub bytes: Option<u64>,
    /// Sends while the guest ran.
    pub rounds: Vec<SentRound>,
    /// The send while it was suspended.
    pub last: Option<SentRound>,
    /// Pages of that send beyond those that were dirty when the guest was asked to suspend.
    pub suspend_pages: Option<u64>,
    /// Start of the save to its first page.
    pub start_s: Option<f64>,
    /// Why the last decision of the save was taken; `None` when nobody steered it.
    pub why_stopped: Option<Why>,
    /// Pages the guest has and one above its highest pfn, as the save saw them.
    pub pages: Option<(u64, u64)>,
}

impl Costs {
    /// The record that later predictions are calibrated by; `None` when not all of it was seen.
    #[must_use]
    pub fn record(&self, about: About<'_>) -> Option<OutcomeRecord> {
        let (populated_pages, p2m_pages) = self.pages?;
        let (total_s, downtime_s) = (self.total_s?, self.downtime_s?);
        if self.rounds.is_empty() {
            return None;
        }
        Some(OutcomeRecord {
            schema: Default::default(),
            at_unix_s: about.at_unix_s,
            domain: about.domain.to_owned(),
            uuid: about.uuid,
            target: about.target.to_owned(),
            populated_pages,
            p2m_pages,
            sender_share: about.sender_share,
            predicted: about.predicted,
            kept: about.kept,
            start_s: self.start_s?,
            rounds: self.rounds.clone(),
            suspend_request_s: self.suspend_s?,
            suspend_pages: self.suspend_pages,
            last: self.last,
            finish_s: (downtime_s - self.last.map_or(0.0, |last| last.s)).max(0.0),
            total_s,
            downtime_s,
        })
    }
}

/// What a record says besides costs.
#[derive(Debug, Clone)]
pub struct About<'a> {
    /// The guest's name.
    pub domain: &'a str,
    /// Its identity.
    pub uuid: String,
    /// The target, as the user named it.
    pub target: &'a str,
    /// When it ended, in seconds since 1970.
    pub at_unix_s: u64,
    /// How much of a CPU the sender could have; `None` when unknown.
    pub sender_share: Option<f64>,
    /// What had been predicted; `None` when nothing was.
    pub predicted: Option<Predicted>,
    /// Whether the budget was kept; `None` when that could not be judged.
    pub kept: Option<bool>,
}
