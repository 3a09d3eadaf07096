//! The JSON document `xenmig.check/1`: names and order of its fields are a contract.

use std::time::Duration;

use serde::Serialize;
use serde_json::Value;

use super::{BandwidthSource, Report, Subject, Target};
use crate::host::{Domain, GuestType};
use crate::policy::Budget;
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
    /// Only where a target was named.
    #[serde(skip_serializing_if = "Option::is_none")]
    target: Option<TargetPart<'a>>,
}

/// A domain that does not exist has nothing but the domid or the name it was asked for by.
#[derive(Debug, Serialize)]
pub(crate) struct DomainPart<'a> {
    domid: Option<u16>,
    name: Option<&'a str>,
    r#type: Option<GuestType>,
    memory_bytes: Option<u64>,
    vcpus: Option<u32>,
}

#[derive(Debug, Serialize)]
pub(crate) struct ReasonPart<'a> {
    code: &'static str,
    severity: Severity,
    message: &'a str,
    evidence: &'a Value,
}

#[derive(Debug, Serialize)]
pub(crate) struct Measured<'a> {
    window_s: f64,
    curve: &'a [(f64, f64)],
    dirty_rate_pages_per_s: f64,
    vcpu_utilisation: Vec<f64>,
    host_cpu_utilisation: Option<f64>,
}

#[derive(Debug, Serialize)]
pub(crate) struct Predicted {
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
pub(crate) struct TargetPart<'a> {
    name: &'a str,
    xen_version: &'a str,
    cpus: u32,
    memory_bytes: u64,
    free_memory_bytes: u64,
    free_cpus: Option<f64>,
    free_cpus_with_guest: Option<f64>,
}

#[derive(Debug, Serialize)]
pub(crate) struct BudgetPart {
    downtime_s: Option<f64>,
    total_s: Option<f64>,
}

impl<'a> Document<'a> {
    pub(super) fn new(report: &'a Report) -> Self {
        Self {
            schema: "xenmig.check/1",
            domain: DomainPart::new(&report.subject),
            verdict: report.judgement.verdict,
            reasons: reason_parts(report),
            measured: Measured::of(report),
            predicted: Predicted::of(report),
            budget: BudgetPart::new(&report.budget),
            bandwidth_bytes_per_s: report.bandwidth.map(|(rate, _)| rate),
            bandwidth_source: report.bandwidth.map(|(_, source)| source),
            target: TargetPart::of(report),
        }
    }
}

impl<'a> DomainPart<'a> {
    pub(crate) fn of(domain: &'a Domain) -> Self {
        Self {
            domid: Some(domain.id.0),
            name: Some(&domain.name),
            r#type: Some(domain.guest_type),
            memory_bytes: Some(domain.memory.bytes().0),
            vcpus: Some(domain.vcpus),
        }
    }

    fn new(subject: &'a Subject) -> Self {
        match subject {
            Subject::Domain(domain) => Self::of(domain),
            Subject::Unknown(asked) => {
                let domid = asked.parse().ok();
                let name = domid.is_none().then_some(asked.as_str());
                Self { domid, name, r#type: None, memory_bytes: None, vcpus: None }
            }
        }
    }
}

/// All reasons of a report.
pub(crate) fn reason_parts(report: &Report) -> Vec<ReasonPart<'_>> {
    let reasons = report.judgement.reasons.iter();
    reasons
        .map(|Reason { code, severity, message, evidence, .. }| ReasonPart {
            code,
            severity: *severity,
            message,
            evidence,
        })
        .collect()
}

impl<'a> TargetPart<'a> {
    /// `None` where no target was named.
    pub(crate) fn of(report: &'a Report) -> Option<Self> {
        let Target { name, inventory } = report.target.as_ref()?;
        let arrival = report.arrival();
        Some(Self {
            name,
            xen_version: &inventory.xen.version,
            cpus: inventory.capacity.cpus,
            memory_bytes: inventory.capacity.memory_bytes,
            free_memory_bytes: inventory.capacity.free_memory_bytes,
            free_cpus: arrival.map(|arrival| arrival.free_cpus),
            free_cpus_with_guest: arrival.and_then(|arrival| arrival.free_cpus_with_guest),
        })
    }
}

impl BudgetPart {
    pub(crate) fn new(budget: &Budget) -> Self {
        let seconds = |limit: Option<Duration>| limit.map(|limit| limit.as_secs_f64());
        Self { downtime_s: seconds(budget.downtime), total_s: seconds(budget.total) }
    }
}

impl<'a> Measured<'a> {
    /// `None` where nothing was sampled.
    pub(crate) fn of(report: &'a Report) -> Option<Self> {
        let (curve, sample) = (report.curve.as_ref()?, report.sample.as_ref());
        Some(Self {
            window_s: curve.sampled().as_secs_f64(),
            curve: curve.points(),
            dirty_rate_pages_per_s: curve.dirty_rate(),
            vcpu_utilisation: sample.map(|s| s.vcpu_utilisation()).unwrap_or_default(),
            host_cpu_utilisation: sample.and_then(|s| s.host_cpu_utilisation()),
        })
    }
}

impl Predicted {
    /// `None` where nothing is predicted.
    pub(crate) fn of(report: &Report) -> Option<Self> {
        let prediction = report.prediction.as_ref()?;
        let expected = &prediction.expected;
        let rounds = expected.rounds.iter().map(|round| RoundPart {
            pages: round.pages.round() as u64,
            bytes: round.bytes.round() as u64,
            s: round.s,
        });
        Some(Self {
            total_s: expected.total_s,
            downtime_s: expected.downtime_s,
            downtime_p90_s: prediction.downtime_s.p90,
            bytes: expected.bytes.round() as u64,
            rounds: rounds.collect(),
        })
    }
}
