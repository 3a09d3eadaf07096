//! Rules about CPU load: the paper's conclusions (a) and (e). A save keeps one CPU of the control
//! domain busy, and what comes after it another part of one; these rules ask what is left of that.

use serde_json::{Value, json};

use super::Facts;
use super::reason::Fired;

/// CPUs' worth of time that nobody uses.
struct Free {
    cpus: u32,
    utilisation: f64,
    /// While the guest runs, as the save's rounds find it.
    now: f64,
    /// With what the guest uses added, as the downtime finds it. It may be less: others that wait
    /// for a CPU take what the guest gives up.
    without_guest: f64,
}

impl Free {
    /// `None` when the host's or the guest's use is unknown.
    fn of(facts: &Facts<'_>) -> Option<Self> {
        let sample = facts.sample()?;
        let cpus = sample.host_cpus().unwrap_or(facts.host.cpus);
        let utilisation = sample.host_cpu_utilisation()?;
        let vcpus = sample.vcpu_utilisation();
        let guest = (!vcpus.is_empty()).then(|| vcpus.iter().sum::<f64>())?;
        let now = f64::from(cpus) * (1.0 - utilisation);
        Some(Self { cpus, utilisation, now, without_guest: (now + guest).min(f64::from(cpus)) })
    }

    fn evidence(&self, threshold: f64) -> Value {
        json!({
            "host_cpu_utilisation": self.utilisation,
            "host_cpus": self.cpus,
            "free_cpus": self.now,
            "free_cpus_without_guest": self.without_guest,
            "threshold": threshold,
        })
    }
}

pub(super) fn host_saturated(facts: &Facts<'_>) -> Option<Fired> {
    let free = Free::of(facts)?;
    let limit = facts.thresholds.free_cpus_without_guest;
    (free.without_guest < limit).then(|| {
        let message = format!(
            "the host is short of CPU: other load leaves {:.2} CPUs free, and below {limit:.2} both \
             the save and the downtime take noticeably longer",
            free.without_guest
        );
        Fired::wait(message)
            .evidence(free.evidence(limit))
            .advice("wait for a calmer moment, or move or cap another guest first")
    })
}

pub(super) fn guest_on_short_host(facts: &Facts<'_>) -> Option<Fired> {
    let free = Free::of(facts)?;
    let limit = facts.thresholds.free_cpus;
    // Where others alone leave too little, the guest is not to blame.
    let others = free.without_guest < facts.thresholds.free_cpus_without_guest.max(limit);
    (!others && free.now < limit).then(|| {
        let message = format!(
            "the guest itself uses the CPU that its save needs: {:.2} CPUs are free, and up to \
             {:.2} without it; below {limit:.2} the save takes noticeably longer, but not the \
             downtime",
            free.now, free.without_guest
        );
        Fired::wait(message)
            .evidence(free.evidence(limit))
            .advice("wait until the guest is calmer, or free CPU on the host first")
    })
}
