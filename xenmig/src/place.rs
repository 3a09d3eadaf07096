//! Which of several hosts suits a domain best: the check of [`crate::check`] for each of them, on
//! one sample, ranked.

mod document;

use std::cmp::Ordering;
use std::sync::atomic::AtomicBool;

pub use document::Document;

use crate::check::{Options, Policy, Report, Subject, Target, check_all};
use crate::config::Settings;
use crate::error::{Error, Result};
use crate::history::Calibration;
use crate::host::{Domain, Host};
use crate::model::Prediction;
use crate::policy::gate::Verdict;
use crate::units::BytesPerSecond;

/// A host that can be judged.
#[derive(Debug, Clone)]
pub struct Candidate {
    /// The host.
    pub target: Target,
    /// What holds for the domain on its way there.
    pub settings: Settings,
    /// What earlier migrations there showed, if there were any.
    pub calibration: Option<Calibration>,
}

impl Candidate {
    fn question(&self, bandwidth: Option<BytesPerSecond>) -> Options<'_> {
        Options {
            settings: &self.settings,
            calibration: self.calibration.as_ref(),
            bandwidth,
            sample_anyway: false,
            policy: Policy::Stock,
            target: Some(&self.target),
        }
    }
}

/// A host that cannot be judged, and why.
#[derive(Debug)]
pub struct Unknown {
    /// As the user called it.
    pub name: String,
    /// Why it gave no answer that can be used.
    pub error: Error,
}

/// All hosts, ranked.
#[derive(Debug)]
pub struct Placement {
    /// The domain.
    pub domain: Domain,
    /// A report for each host that could be judged, the best one first.
    pub ranked: Vec<Report>,
    /// The others, in the user's order.
    pub unknown: Vec<Unknown>,
}

/// Judges and ranks `candidates`; `bandwidth` is what the user gave for all of them. The domain is
/// sampled once.
///
/// Better is: the better verdict; then the shorter predicted downtime at p90, and then total time, if
/// they differ by a power of two; then the [`headroom`] that remains; then the user's order.
///
/// # Errors
/// As [`crate::check::check`].
pub fn place(
    host: &dyn Host,
    domain: &Domain,
    candidates: &[Candidate],
    unknown: Vec<Unknown>,
    bandwidth: Option<BytesPerSecond>,
    stop: &AtomicBool,
    progress: &mut dyn FnMut(f64),
) -> Result<Placement> {
    let questions = candidates.iter().map(|candidate| candidate.question(bandwidth));
    let questions: Vec<_> = questions.collect();
    let mut ranked = check_all(host, domain, &questions, stop, progress)?;
    ranked.sort_by(better);
    Ok(Placement { domain: domain.clone(), ranked, unknown })
}

impl Placement {
    /// The report on the best host, if the domain may go there.
    #[must_use]
    pub fn best(&self) -> Option<&Report> {
        self.ranked.first().filter(|report| is_fit(report))
    }

    /// The JSON document `xenmig.place/1`.
    #[must_use]
    pub fn document(&self) -> Document<'_> {
        Document::new(self)
    }
}

/// Whether the domain may go there now.
#[must_use]
pub fn is_fit(report: &Report) -> bool {
    report.judgement.verdict == Verdict::Go
}

/// The share of its CPUs or of its memory, whichever is less, that a host has left once the guest is
/// there; below 0 where it has not enough. `None` where the target or the guest's use is unknown.
#[must_use]
pub fn headroom(report: &Report) -> Option<f64> {
    let capacity = &report.target.as_ref()?.inventory.capacity;
    let cpus = report.arrival()?.free_cpus_with_guest? / f64::from(capacity.cpus);
    let guest = match &report.subject {
        Subject::Domain(domain) => domain.memory.bytes().0 as f64,
        Subject::Unknown(_) => return None,
    };
    let memory =
        (capacity.free_memory_bytes as f64 - guest) / (capacity.memory_bytes as f64).max(1.0);
    Some(cpus.min(memory))
}

fn better(one: &Report, other: &Report) -> Ordering {
    let verdict = |report: &Report| match report.judgement.verdict {
        Verdict::Go => 0,
        Verdict::Wait => 1,
        Verdict::NoGo => 2,
    };
    let left = |report: &Report| headroom(report).unwrap_or(f64::NEG_INFINITY);
    let by = |cost: fn(&Prediction) -> f64| octave(one, cost).total_cmp(&octave(other, cost));
    verdict(one)
        .cmp(&verdict(other))
        .then(by(|prediction| prediction.downtime_s.p90))
        .then(by(|prediction| prediction.total_s.p90))
        .then(left(other).total_cmp(&left(one)))
}

/// The power of two next to a predicted time; the shortest that matters is 1 ms.
fn octave(report: &Report, cost: fn(&Prediction) -> f64) -> f64 {
    report.prediction.as_ref().map_or(f64::INFINITY, cost).max(1e-3).log2().round()
}
