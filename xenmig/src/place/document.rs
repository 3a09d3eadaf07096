//! The JSON document `xenmig.place/1`: names and order of its fields are a contract.

use serde::Serialize;

use super::{Placement, Unknown, headroom, is_fit};
use crate::check::{
    BandwidthSource, BudgetPart, DomainPart, Measured, Predicted, ReasonPart, Report, TargetPart,
    reason_parts,
};
use crate::policy::gate::Verdict;
use crate::units::BytesPerSecond;

/// `xenmig.place/1`, to be serialised.
#[derive(Debug, Serialize)]
pub struct Document<'a> {
    schema: &'static str,
    domain: DomainPart<'a>,
    /// Null when the domain may go to none of them.
    best: Option<&'a str>,
    hosts: Vec<HostPart<'a>>,
    measured: Option<Measured<'a>>,
}

/// A host that could not be judged has a name and an error only.
#[derive(Debug, Serialize)]
struct HostPart<'a> {
    name: &'a str,
    fit: bool,
    verdict: Option<Verdict>,
    reasons: Vec<ReasonPart<'a>>,
    predicted: Option<Predicted>,
    budget: Option<BudgetPart>,
    bandwidth_bytes_per_s: Option<BytesPerSecond>,
    bandwidth_source: Option<BandwidthSource>,
    target: Option<TargetPart<'a>>,
    headroom: Option<f64>,
    error: Option<String>,
}

impl<'a> Document<'a> {
    pub(super) fn new(placement: &'a Placement) -> Self {
        let Placement { domain, ranked, unknown } = placement;
        let hosts = ranked.iter().map(HostPart::judged);
        Self {
            schema: "xenmig.place/1",
            domain: DomainPart::of(domain),
            best: placement.best().map(name),
            hosts: hosts.chain(unknown.iter().map(HostPart::unknown)).collect(),
            measured: ranked.iter().find_map(Measured::of),
        }
    }
}

fn name(report: &Report) -> &str {
    report.target.as_ref().map_or("", |target| &target.name)
}

impl<'a> HostPart<'a> {
    fn judged(report: &'a Report) -> Self {
        Self {
            name: name(report),
            fit: is_fit(report),
            verdict: Some(report.judgement.verdict),
            reasons: reason_parts(report),
            predicted: Predicted::of(report),
            budget: Some(BudgetPart::new(&report.budget)),
            bandwidth_bytes_per_s: report.bandwidth.map(|(rate, _)| rate),
            bandwidth_source: report.bandwidth.map(|(_, source)| source),
            target: TargetPart::of(report),
            headroom: headroom(report),
            error: None,
        }
    }

    fn unknown(unknown: &'a Unknown) -> Self {
        Self {
            name: &unknown.name,
            fit: false,
            verdict: None,
            reasons: Vec::new(),
            predicted: None,
            budget: None,
            bandwidth_bytes_per_s: None,
            bandwidth_source: None,
            target: None,
            headroom: None,
            error: Some(unknown.error.to_string()),
        }
    }
}
