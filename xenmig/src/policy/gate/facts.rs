//! What the rules look at: everything that is known of one domain and its host, borrowed.

use crate::dirty::Sample;
use crate::error::{Error, Kind};
use crate::host::{Domain, Equipment, FeatureSet, HostInfo, Setup, Transfer};
use crate::inventory::Inventory;
use crate::model::{Costs, Prediction};
use crate::policy::Budget;
use crate::units::BytesPerSecond;

use super::Thresholds;

/// How far sampling came.
#[derive(Debug, Clone, Copy)]
pub enum Sampling<'a> {
    /// It was not tried: a look at the facts that cost nothing.
    NotTried,
    /// It failed before it showed anything; the error's kind is the typed cause.
    Failed(&'a Error),
    /// There is a sample; its last window says whether it was cut short.
    Taken(&'a Sample),
}

/// Where the domain is to go.
#[derive(Debug, Clone, Copy)]
pub struct Target<'a> {
    /// What it tells of itself.
    pub inventory: &'a Inventory,
    /// What this host has of the same.
    pub here: &'a Equipment,
    /// The CPU features that the domain was given; `None` when that cannot be read.
    pub given: Option<&'a FeatureSet>,
}

/// Everything the gate judges by.
#[derive(Debug, Clone, Copy)]
pub struct Facts<'a> {
    /// The domain.
    pub domain: &'a Domain,
    /// How it was built; `None` when the tool stack did not say.
    pub setup: Option<&'a Setup>,
    /// A save or restoration of it that runs now.
    pub transfer: Option<&'a Transfer>,
    /// The host.
    pub host: &'a HostInfo,
    /// Where it is to go; `None` when the user did not say.
    pub target: Option<Target<'a>>,
    /// What sampling showed.
    pub sampling: Sampling<'a>,
    /// What is known of the link's bandwidth; `None` when nothing is.
    pub bandwidth: Option<BytesPerSecond>,
    /// What the hosts add, configured or learnt; `None` when neither, and then it is missing from
    /// the prediction.
    pub costs: Option<Costs>,
    /// What the migration would cost; `None` without a sample or a bandwidth.
    pub prediction: Option<&'a Prediction>,
    /// The save keeps the downtime's limit or is given up: what is predicted is one that keeps it.
    pub downtime_enforced: bool,
    /// What it may cost.
    pub budget: &'a Budget,
    /// Where the rules draw their lines.
    pub thresholds: &'a Thresholds,
}

impl Facts<'_> {
    /// The sample, if there is one.
    pub(super) const fn sample(&self) -> Option<&Sample> {
        match self.sampling {
            Sampling::Taken(sample) => Some(sample),
            Sampling::NotTried | Sampling::Failed(_) => None,
        }
    }

    /// The error that sampling ended with, if it is of `kind`.
    pub(super) fn sampling_error(&self, kind: Kind) -> Option<&Error> {
        match self.sampling {
            Sampling::Failed(error) if error.kind() == kind => Some(error),
            _ => None,
        }
    }
}
