//! The JSON document `xenmig.check/1`: names and order of its fields are a contract.

use serde::Serialize;
use serde_json::Value;

use super::{BandwidthSource, Report, Subject};
use crate::dirty::Curve;
use crate::host::GuestType;
use crate::model::Outcome;
use crate::policy::gate::{Reason, Severity, Verdict};
use crate::units::BytesPerSecond;

/// `xenmig.check/1`, to be serialised.
#[derive(Debug, Serialize)]
pub struct Document<'a> {
    schema: &'static str,
    domain: DomainPart<'a>,
    verdict: Verdict,
    reasons: Vec<ReasonPart<'a>>,
    measured: Option<Measured<'a>>,
    predicted: Option<Predicted>,
    budget: BudgetPart,
    bandwidth_bytes_per_s: Option<BytesPerSecond>,
    bandwidth_source: Option<BandwidthSource>,
}

/// A domain that does not exist has nothing but the domid or the name it was asked for by.
#[derive(Debug, Serialize)]
struct DomainPart<'a> {
    domid: Option<u16>,
    name: Option<&'a str>,
    r#type: Option<GuestType>,
    memory_bytes: Option<u64>,
    vcpus: Option<u32>,
}

#[derive(Debug, Serialize)]
struct ReasonPart<'a> {
    code: &'static str,
    severity: Severity,
    message: &'a str,
    evidence: &'a Value,
}

#[derive(Debug, Serialize)]
struct Measured<'a> {
    window_s: f64,
    curve: &'a [(f64, f64)],
    dirty_rate_pages_per_s: f64,
    vcpu_utilisation: Vec<f64>,
    host_cpu_utilisation: Option<f64>,
}

#[derive(Debug, Serialize)]
struct Predicted {
    total_s: f64,
    downtime_s: f64,
    downtime_p90_s: f64,
    bytes: u64,
    rounds: Vec<RoundPart>,
}

/// The last one is the stop-and-copy.
#[derive(Debug, Serialize)]
struct RoundPart {
    pages: u64,
    bytes: u64,
    s: f64,
}

#[derive(Debug, Serialize)]
struct BudgetPart {
    downtime_s: Option<f64>,
    total_s: Option<f64>,
}

impl<'a> Document<'a> {
    pub(super) fn new(report: &'a Report) -> Self {
        let measured = report.curve.as_ref().map(|curve| Measured::new(report, curve));
        let predicted = report
            .prediction
            .as_ref()
            .map(|prediction| Predicted::new(&prediction.expected, prediction.downtime_s.p90));
        Self {
            schema: "xenmig.check/1",
            domain: DomainPart::new(&report.subject),
            verdict: report.judgement.verdict,
            reasons: report.judgement.reasons.iter().map(ReasonPart::new).collect(),
            measured,
            predicted,
            budget: BudgetPart {
                downtime_s: report.budget.downtime.map(|limit| limit.as_secs_f64()),
                total_s: report.budget.total.map(|limit| limit.as_secs_f64()),
            },
            bandwidth_bytes_per_s: report.bandwidth.map(|(rate, _)| rate),
            bandwidth_source: report.bandwidth.map(|(_, source)| source),
        }
    }
}

impl<'a> DomainPart<'a> {
    fn new(subject: &'a Subject) -> Self {
        match subject {
            Subject::Domain(domain) => Self {
                domid: Some(domain.id.0),
                name: Some(&domain.name),
                r#type: Some(domain.guest_type),
                memory_bytes: Some(domain.memory.bytes().0),
                vcpus: Some(domain.vcpus),
            },
            Subject::Unknown(asked) => {
                let domid = asked.parse().ok();
                let name = domid.is_none().then_some(asked.as_str());
                Self { domid, name, r#type: None, memory_bytes: None, vcpus: None }
            }
        }
    }
}

impl<'a> ReasonPart<'a> {
    fn new(reason: &'a Reason) -> Self {
        let Reason { code, severity, message, evidence, .. } = reason;
        Self { code, severity: *severity, message, evidence }
    }
}

impl<'a> Measured<'a> {
    fn new(report: &'a Report, curve: &'a Curve) -> Self {
        let sample = report.sample.as_ref();
        Self {
            window_s: curve.sampled().as_secs_f64(),
            curve: curve.points(),
            dirty_rate_pages_per_s: curve.dirty_rate(),
            vcpu_utilisation: sample.map(|s| s.vcpu_utilisation()).unwrap_or_default(),
            host_cpu_utilisation: sample.and_then(|s| s.host_cpu_utilisation()),
        }
    }
}

impl Predicted {
    fn new(expected: &Outcome, downtime_p90_s: f64) -> Self {
        let rounds = expected.rounds.iter().map(|round| RoundPart {
            pages: round.pages.round() as u64,
            bytes: round.bytes.round() as u64,
            s: round.s,
        });
        Self {
            total_s: expected.total_s,
            downtime_s: expected.downtime_s,
            downtime_p90_s,
            bytes: expected.bytes.round() as u64,
            rounds: rounds.collect(),
        }
    }
}
