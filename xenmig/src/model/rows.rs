//! Tables of predictions: the rows of `xenmig.predict/1`.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::budget::within_budget;
use super::link::{Costs, Format, Guest, Link};
use super::save::{Outcome, Round, save_live};
use super::stock::Stock;
use crate::dirty::{Curve, CurveFile};
use crate::units::BytesPerSecond;

/// When copying ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Policy {
    /// As Xen does: [`Stock`].
    Stock,
    /// As soon as the rest fits the budget: [`within_budget`].
    Budget,
}

/// What is to be moved.
#[derive(Debug, Clone, PartialEq)]
pub struct Subject {
    /// Its memory.
    pub guest: Guest,
    /// How its pages are written.
    pub format: Format,
    /// What the hosts add.
    pub costs: Costs,
    /// How it dirties its memory.
    pub curve: Curve,
}

impl From<&CurveFile> for Subject {
    /// Without costs of the hosts.
    fn from(file: &CurveFile) -> Self {
        Self {
            guest: file.into(),
            format: file.into(),
            costs: Costs::default(),
            curve: file.curve(),
        }
    }
}

/// What is asked about it.
#[derive(Debug, Clone, PartialEq)]
pub struct Question {
    /// One group of rows for each.
    pub bandwidths: Vec<BytesPerSecond>,
    /// One row of each group for each; `None` is unlimited.
    pub budgets: Vec<Option<Duration>>,
    /// When copying ends.
    pub policy: Policy,
    /// Policy budget: how long copying may go on. Stock always ends by itself.
    pub deadline: Duration,
}

/// One prediction, as `predict --json` shows it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Row {
    /// Asked for.
    pub bandwidth_bytes_per_s: BytesPerSecond,
    /// Asked for; `None` is unlimited. Policy stock takes no notice of it.
    pub downtime_budget_s: Option<f64>,
    /// Asked for.
    pub policy: Policy,
    /// The guest reaches the target: always so for stock, whatever its downtime.
    pub converges: bool,
    /// Start of the save to guest running at the target; `None` when that is never.
    pub total_s: Option<f64>,
    /// Guest suspended to guest running at the target; `None` when that is never.
    pub downtime_s: Option<f64>,
    /// All bytes sent; `None` when it does not converge.
    pub bytes: Option<f64>,
    /// The sends, the last of which is the stop-and-copy; when it does not converge, those before
    /// that was clear.
    pub rounds: Vec<Round>,
}

/// Predicts `subject` for every bandwidth and, within it, every budget of `question`, in order.
#[must_use]
pub fn rows(subject: &Subject, question: &Question) -> Vec<Row> {
    let each = |&bandwidth: &BytesPerSecond| {
        let link = Link { bandwidth, format: subject.format, costs: subject.costs };
        question.budgets.iter().map(move |&budget| {
            let (guest, curve) = (&subject.guest, &subject.curve);
            let outcome = match question.policy {
                Policy::Stock => save_live(guest, &link, curve, &mut Stock, Duration::MAX),
                Policy::Budget => within_budget(guest, &link, curve, budget, question.deadline),
            };
            row(bandwidth, budget, question.policy, outcome)
        })
    };
    question.bandwidths.iter().flat_map(each).collect()
}

fn row(
    bandwidth: BytesPerSecond,
    budget: Option<Duration>,
    policy: Policy,
    outcome: Outcome,
) -> Row {
    let converges = outcome.moved();
    let known = |value: f64| converges.then_some(value);
    Row {
        bandwidth_bytes_per_s: bandwidth,
        downtime_budget_s: budget.map(|budget| budget.as_secs_f64()),
        policy,
        converges,
        total_s: known(outcome.total_s),
        downtime_s: known(outcome.downtime_s),
        bytes: known(outcome.bytes),
        rounds: outcome.rounds,
    }
}
