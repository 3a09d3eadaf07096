//! The file's sections as they are written: every key may be missing. What a missing key means is
//! in the defaults of the types they apply to.

use std::num::NonZeroU32;
use std::path::PathBuf;

use serde::Deserialize;

use super::settings::{CostOverride, SamplingSettings};
use super::value::{
    Cpus, Factor, Glob, Listen, Seconds, Share, Size, SizeLimit, Span, Time, TimeLimit,
};
use crate::policy::Budget;
use crate::policy::gate::Thresholds;
use crate::policy::precopy::{OnMiss, Steering};
use crate::record;
use crate::units::BytesPerSecond;

/// Puts what was written, if anything was, in place of what held before.
fn set<T, V>(place: &mut T, written: Option<V>, open: impl FnOnce(V) -> T) {
    if let Some(value) = written {
        *place = open(value);
    }
}

/// `[link]`
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct LinkSection {
    pub(super) bandwidth: Option<BytesPerSecond>,
}

/// `[budget]`
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct BudgetSection {
    downtime: Option<TimeLimit>,
    total: Option<TimeLimit>,
    bytes: Option<SizeLimit>,
}

impl BudgetSection {
    pub(super) fn apply(&self, budget: &mut Budget) {
        set(&mut budget.downtime, self.downtime, |limit| limit.0);
        set(&mut budget.total, self.total, |limit| limit.0);
        set(&mut budget.bytes, self.bytes, |limit| limit.0);
    }
}

/// `[sample]`
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct SampleSection {
    window: Option<Span>,
    min_window: Option<Span>,
    max_window: Option<Span>,
    windows: Option<NonZeroU32>,
    brief: Option<Span>,
    brief_windows: Option<u32>,
    pause: Option<Time>,
    first: Option<Span>,
    ratio: Option<Factor>,
}

impl SampleSection {
    pub(super) fn apply(&self, sampling: &mut SamplingSettings) {
        set(&mut sampling.plan.window, self.window, |time| time.0);
        set(&mut sampling.min_window, self.min_window, |time| time.0);
        set(&mut sampling.max_window, self.max_window, |time| time.0);
        set(&mut sampling.plan.windows, self.windows, NonZeroU32::get);
        set(&mut sampling.plan.brief, self.brief, |time| time.0);
        set(&mut sampling.plan.brief_windows, self.brief_windows, |count| count);
        set(&mut sampling.plan.pause, self.pause, |time| time.0);
        set(&mut sampling.plan.first, self.first, |time| time.0);
        set(&mut sampling.plan.ratio, self.ratio, |factor| factor.0);
    }
}

/// `[thresholds]`
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct ThresholdsSection {
    free_cpus_without_guest: Option<Cpus>,
    free_cpus: Option<Cpus>,
    max_extrapolation: Option<Factor>,
    min_windows: Option<u32>,
    ease: Option<Share>,
    convergence: Option<Share>,
    resent: Option<Share>,
    size_in_downtime: Option<Share>,
    balloon_slack: Option<Size>,
    shared_storage: Option<Vec<Glob>>,
}

impl ThresholdsSection {
    pub(super) fn apply(&self, thresholds: &mut Thresholds) {
        let free = self.free_cpus_without_guest;
        set(&mut thresholds.free_cpus_without_guest, free, |cpus| cpus.0);
        set(&mut thresholds.free_cpus, self.free_cpus, |cpus| cpus.0);
        set(&mut thresholds.max_extrapolation, self.max_extrapolation, |factor| factor.0);
        set(&mut thresholds.min_windows, self.min_windows, |count| count);
        set(&mut thresholds.ease, self.ease, |share| share.0);
        set(&mut thresholds.convergence, self.convergence, |share| share.0);
        set(&mut thresholds.resent, self.resent, |share| share.0);
        set(&mut thresholds.size_in_downtime, self.size_in_downtime, |share| share.0);
        set(&mut thresholds.balloon_slack, self.balloon_slack, |size| size.0);
        set(&mut thresholds.shared_storage, self.shared_storage.as_ref(), |patterns| {
            patterns.iter().map(|pattern| pattern.0.clone()).collect()
        });
    }
}

/// `[costs]`
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct CostsSection {
    start: Option<Time>,
    per_round: Option<Time>,
    per_p2m_page_s: Option<Seconds>,
    per_page_s: Option<Seconds>,
    per_hole_s: Option<Seconds>,
    suspend_request: Option<Time>,
    suspend_pages: Option<u32>,
    finish: Option<Time>,
}

impl CostsSection {
    pub(super) fn apply(&self, costs: &mut CostOverride) {
        set(&mut costs.start, self.start, |time| Some(time.0));
        set(&mut costs.per_round, self.per_round, |time| Some(time.0));
        set(&mut costs.per_p2m_page, self.per_p2m_page_s, |seconds| Some(seconds.0));
        set(&mut costs.per_page, self.per_page_s, |seconds| Some(seconds.0));
        set(&mut costs.per_hole, self.per_hole_s, |seconds| Some(seconds.0));
        set(&mut costs.suspend_request, self.suspend_request, |time| Some(time.0));
        set(&mut costs.suspend_pages, self.suspend_pages, |pages| Some(f64::from(pages)));
        set(&mut costs.finish, self.finish, |time| Some(time.0));
    }
}

/// `[steer]`
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct SteerSection {
    on_miss: Option<OnMiss>,
    cap_floor: Option<Share>,
    hold_back: Option<bool>,
    max_wait: Option<Time>,
}

impl SteerSection {
    pub(super) fn apply(&self, steering: &mut Steering) {
        set(&mut steering.on_miss, self.on_miss, |on_miss| on_miss);
        set(&mut steering.cap_floor, self.cap_floor, |share| (share.0 * 100.0).ceil() as u32);
        set(&mut steering.hold_back, self.hold_back, |yes| yes);
        set(&mut steering.max_wait, self.max_wait, |time| time.0);
    }
}

/// `[record]`
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RecordSection {
    interval: Option<Span>,
    window: Option<Span>,
    busy: Option<Share>,
    keep_whole: Option<Span>,
    keep: Option<Span>,
    max_size: Option<Size>,
    listen: Option<Listen>,
}

impl RecordSection {
    pub(super) fn apply(&self, record: &mut record::Settings) {
        set(&mut record.interval, self.interval, |time| time.0);
        set(&mut record.window, self.window, |time| time.0);
        set(&mut record.busy, self.busy, |share| share.0);
        set(&mut record.keep_whole, self.keep_whole, |time| time.0);
        set(&mut record.keep, self.keep, |time| time.0);
        set(&mut record.max_size, self.max_size, |size| size.0);
        set(&mut record.listen, self.listen.as_ref(), |listen| listen.0.clone());
    }
}

/// `[xen]`
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct XenSection {
    pub(super) save_helpers: Vec<PathBuf>,
    pub(super) hook: Option<PathBuf>,
}

/// `[paths]`
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct PathsSection {
    pub(super) state_dir: Option<PathBuf>,
}

/// `[[target]]`
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TargetSection {
    pub(super) name: Glob,
    #[serde(default)]
    pub(super) bandwidth: Option<BytesPerSecond>,
}

/// `[[domain]]`
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct DomainSection {
    pub(super) name: Glob,
    #[serde(default)]
    pub(super) bandwidth: Option<BytesPerSecond>,
    #[serde(default)]
    pub(super) budget: BudgetSection,
    #[serde(default)]
    pub(super) sample: SampleSection,
    #[serde(default)]
    pub(super) thresholds: ThresholdsSection,
    #[serde(default)]
    pub(super) steer: SteerSection,
}
