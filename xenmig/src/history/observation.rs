//! What the continuous log keeps of one short sample.

use std::time::Duration;

use crate::dirty::{Curve, Window};
use crate::host::{Domain, Uuid};
use crate::model::Guest;
use crate::units::Pages;

/// A guest as the log knows it: as it was when it was last seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Logged {
    /// Its identity across renames and migrations.
    pub uuid: Uuid,
    /// Its name.
    pub name: String,
    /// Its vCPUs.
    pub vcpus: u32,
    /// Pages it really has.
    pub memory: Pages,
    /// One above its highest pfn.
    pub p2m_size: Pages,
}

impl From<&Domain> for Logged {
    fn from(domain: &Domain) -> Self {
        Self {
            uuid: domain.uuid,
            name: domain.name.clone(),
            vcpus: domain.vcpus,
            memory: domain.memory,
            p2m_size: domain.p2m_size,
        }
    }
}

impl From<&Logged> for Guest {
    fn from(logged: &Logged) -> Self {
        Self::new(logged.memory, logged.p2m_size)
    }
}

/// One short sample of a domain.
#[derive(Debug, Clone, PartialEq)]
pub struct Observation {
    /// When, by the host's wall clock, in seconds since 1970.
    pub at_unix_s: i64,
    /// How many samples it stands for: 1, or more where older ones were thinned out.
    pub weight: u32,
    /// (time since the log was clean, distinct pages dirtied since), both non-decreasing. Never
    /// empty.
    pub points: Vec<(Duration, Pages)>,
    /// CPUs' worth of time that the guest used.
    pub guest_cpus: f64,
    /// CPUs' worth of time that all domains used, and CPUs there are; `None` when it could not be
    /// read.
    pub host_cpus: Option<(f64, u32)>,
}

impl Observation {
    /// What `window` showed at `at_unix_s`; `None` when it ended before its first look.
    #[must_use]
    pub fn of(window: &Window, at_unix_s: i64) -> Option<Self> {
        let host = window.host_cpu_utilisation.zip(window.host_cpus);
        (!window.points.is_empty()).then(|| Self {
            at_unix_s,
            weight: 1,
            points: window.points.clone(),
            guest_cpus: window.vcpu_utilisation.iter().sum(),
            host_cpus: host.map(|(used, cpus)| (used * f64::from(cpus), cpus)),
        })
    }

    /// Its dirty curve, for a guest of `memory` pages.
    #[must_use]
    pub fn curve(&self, memory: Pages) -> Option<Curve> {
        Curve::seen(&self.points, memory)
    }

    /// Distinct pages per second over the time it was looked at.
    #[must_use]
    pub fn dirty_rate(&self) -> f64 {
        dirty_rate(&self.points)
    }
}

/// See [`Observation::dirty_rate`].
pub(super) fn dirty_rate(points: &[(Duration, Pages)]) -> f64 {
    let rate = |(at, pages): &(Duration, Pages)| pages.0 as f64 / at.as_secs_f64().max(1e-9);
    points.last().map_or(0.0, rate)
}
