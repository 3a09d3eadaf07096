//! Rules about CPU load: the paper's conclusions (a) and (e). A save keeps one CPU of the control
//! domain busy, and what comes after it another part of one; these rules ask what is left of that.

use serde_json::{Value, json};

use super::Facts;
use super::reason::Fired;

/// CPUs' worth of time per second that nobody uses.
struct Free {
    /// While the guest runs, as the save's rounds find it.
    now: f64,
    /// Without what the guest uses, as the downtime finds it.
    without_guest: f64,
}

impl Free {
    /// `None` when the host's or the guest's use is unknown.
    fn of(facts: &Facts<'_>) -> Option<Self> {
        let sample = facts.sample()?;
        let cpus = f64::from(sample.host_cpus()?);
        let now = cpus * (1.0 - sample.host_cpu_utilisation()?);
        let guest: f64 = sample.vcpu_utilisation().iter().sum();
        Some(Self { now, without_guest: (now + guest).min(cpus) })
    }

    fn evidence(&self, facts: &Facts<'_>, threshold: f64) -> Value {
        let sample = facts.sample();
        json!({
            "host_cpu_utilisation": sample.and_then(|sample| sample.host_cpu_utilisation()),
            "host_cpus": sample.and_then(|sample| sample.host_cpus()),
            "free_cpus": self.now,
            "free_cpus_without_guest": self.without_guest,
            "threshold": threshold,
        })
    }
}

/// As people read it: `0.12 CPUs`.
fn cpus(count: f64) -> String {
    format!("{count:.2} CPUs")
}

pub(super) fn host_saturated(facts: &Facts<'_>) -> Option<Fired> {
    let free = Free::of(facts)?;
    let limit = facts.thresholds.free_cpus_without_guest;
    (free.without_guest < limit).then(|| {
        let message = format!(
            "the host is saturated: other load leaves {} to the save and the downtime, which are \
             longer below {}",
            cpus(free.without_guest),
            cpus(limit)
        );
        Fired::wait(message)
            .evidence(free.evidence(facts, limit))
            .advice("wait for a calmer moment, or move or cap another guest first")
    })
}

pub(super) fn guest_on_short_host(facts: &Facts<'_>) -> Option<Fired> {
    let free = Free::of(facts)?;
    let limit = facts.thresholds.free_cpus;
    // Others alone have a rule of their own.
    let others = free.without_guest < facts.thresholds.free_cpus_without_guest;
    (!others && free.now < limit).then(|| {
        let message = format!(
            "the guest itself uses the CPU that its save needs: {} are free, and {} without it; \
             total time is longer below {}",
            cpus(free.now),
            cpus(free.without_guest),
            cpus(limit)
        );
        Fired::wait(message)
            .evidence(free.evidence(facts, limit))
            .advice("wait until the guest is calmer, or free CPU on the host first")
    })
}
