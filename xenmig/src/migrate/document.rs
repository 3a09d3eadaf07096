//! The JSON document `xenmig.migrate/1`: names and order of its fields are a contract.

use serde::Serialize;

use super::report::{Fate, Report};
use crate::history::SentRound;
use crate::host::GuestType;
use crate::model::Policy as SavePolicy;
use crate::policy::gate::Verdict;
use crate::policy::precopy::Why;

/// `xenmig.migrate/1`, to be serialised.
#[derive(Debug, Serialize)]
pub struct Document<'a> {
    schema: &'static str,
    domain: DomainPart<'a>,
    target: &'a str,
    /// `moved`, `refused`, `stayed`, `stuck`, `gone` or `undefined`.
    outcome: &'static str,
    /// It is paused at the target.
    paused: bool,
    /// In the model only.
    rehearsed: bool,
    /// Why it did not move.
    why: Option<String>,
    /// What could not be tidied up at the source.
    untidy: Option<String>,
    verdict: Verdict,
    reasons: Vec<&'static str>,
    to_be_steered: bool,
    steered: bool,
    stock_because: Option<&'a str>,
    stopped_because: Option<Why>,
    budget: BudgetPart,
    budget_kept: Option<bool>,
    predicted: Option<Predicted>,
    measured: Measured<'a>,
    remembered: bool,
}

#[derive(Debug, Serialize)]
struct DomainPart<'a> {
    domid: u16,
    name: &'a str,
    uuid: String,
    r#type: GuestType,
    memory_bytes: u64,
}

#[derive(Debug, Serialize)]
struct BudgetPart {
    downtime_s: Option<f64>,
    total_s: Option<f64>,
    bytes: Option<u64>,
}

#[derive(Debug, Serialize)]
struct Predicted {
    total_s: f64,
    downtime_s: f64,
    downtime_p90_s: f64,
    bytes: u64,
    /// Whose policy the save follows: `stock` is Xen's, `budget` is xenmig's.
    policy: SavePolicy,
}

#[derive(Debug, Serialize)]
struct Measured<'a> {
    total_s: Option<f64>,
    downtime_s: Option<f64>,
    suspend_s: Option<f64>,
    last_copy_s: Option<f64>,
    transport_s: Option<f64>,
    resume_s: Option<f64>,
    bytes: Option<u64>,
    rounds: &'a [SentRound],
    last: Option<SentRound>,
}

impl<'a> Document<'a> {
    pub(super) fn new(report: &'a Report) -> Self {
        let Report { domain, costs, gate, .. } = report;
        let (outcome, why) = match &report.fate {
            Fate::Moved => ("moved", None),
            Fate::Refused => ("refused", None),
            Fate::Stayed(why) => ("stayed", Some(why.to_string())),
            Fate::Stuck(why, stuck) => ("stuck", Some(format!("{why}; then {stuck}"))),
            Fate::Gone(why, how) => ("gone", Some(format!("{how}: {why}"))),
            Fate::Undefined(why) => ("undefined", Some(why.to_string())),
        };
        let predicted = gate.prediction.as_ref().map(|prediction| Predicted {
            total_s: prediction.expected.total_s,
            downtime_s: prediction.expected.downtime_s,
            downtime_p90_s: prediction.downtime_s.p90,
            bytes: prediction.expected.bytes.round() as u64,
            policy: if gate.predicted_steered { SavePolicy::Budget } else { SavePolicy::Stock },
        });
        Self {
            schema: "xenmig.migrate/1",
            domain: DomainPart {
                domid: domain.id.0,
                name: &domain.name,
                uuid: domain.uuid.to_string(),
                r#type: domain.guest_type,
                memory_bytes: domain.memory.bytes().0,
            },
            target: &report.target,
            outcome,
            paused: report.paused,
            rehearsed: report.rehearsed,
            why,
            untidy: report.untidy.as_ref().map(ToString::to_string),
            verdict: gate.judgement.verdict,
            reasons: gate.judgement.reasons.iter().map(|reason| reason.code).collect(),
            to_be_steered: report.to_be_steered,
            steered: report.steered,
            stock_because: report.stock_because.as_deref(),
            stopped_because: costs.why_stopped,
            budget: BudgetPart {
                downtime_s: gate.budget.downtime.map(|limit| limit.as_secs_f64()),
                total_s: gate.budget.total.map(|limit| limit.as_secs_f64()),
                bytes: gate.budget.bytes.map(|limit| limit.0),
            },
            budget_kept: report.kept(),
            predicted,
            measured: Measured {
                total_s: costs.total_s,
                downtime_s: costs.downtime_s,
                suspend_s: costs.suspend_s,
                last_copy_s: costs.last_copy_s,
                transport_s: costs.transport_s,
                resume_s: costs.resume_s,
                bytes: costs.bytes,
                rounds: &costs.rounds,
                last: costs.last,
            },
            remembered: report.remembered,
        }
    }
}
