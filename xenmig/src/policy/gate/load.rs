//! Rules about CPU load: the paper's conclusions (a) and (e).

use serde_json::json;

use super::Facts;
use super::reason::Fired;

/// A share as people read it: `93 %`.
fn percent(share: f64) -> String {
    format!("{:.0} %", share * 100.0)
}

/// CPU use of the guest, 0 to 1, averaged over its vCPUs; `None` when unknown.
fn guest_cpu(facts: &Facts<'_>) -> Option<f64> {
    let vcpus = facts.sample()?.vcpu_utilisation();
    (!vcpus.is_empty()).then(|| vcpus.iter().sum::<f64>() / vcpus.len() as f64)
}

pub(super) fn host_saturated(facts: &Facts<'_>) -> Option<Fired> {
    let host = facts.sample()?.host_cpu_utilisation()?;
    let limit = facts.thresholds.host_cpu;
    (host >= limit).then(|| {
        let message = format!(
            "the host is saturated: {} of its CPUs' time is used, the limit is {}",
            percent(host),
            percent(limit)
        );
        Fired::wait(message)
            .evidence(json!({ "host_cpu_utilisation": host, "threshold": limit }))
            .advice("wait for a calmer moment, or move or cap another guest first")
    })
}

pub(super) fn guest_on_short_host(facts: &Facts<'_>) -> Option<Fired> {
    let host = facts.sample()?.host_cpu_utilisation()?;
    let guest = guest_cpu(facts)?;
    let (short, busy) = (facts.thresholds.short_host_cpu, facts.thresholds.guest_cpu);
    (host >= short && guest >= busy).then(|| {
        let message = format!(
            "the guest uses {} of its vCPUs' time on a host that is short of CPU ({} used)",
            percent(guest),
            percent(host)
        );
        Fired::wait(message)
            .evidence(json!({
                "guest_cpu_utilisation": guest,
                "guest_threshold": busy,
                "host_cpu_utilisation": host,
                "host_threshold": short,
            }))
            .advice("wait until guest or host is calmer, or free CPU on the host first")
    })
}
