//! What the guest finds of the target's CPUs when it arrives: the paper's conclusion (e).

use serde_json::{Value, json};

use crate::dirty::Sample;
use crate::inventory::{Inventory, Resident};
use crate::policy::gate::Facts;
use crate::policy::gate::reason::Fired;

/// CPUs' worth of time from which on a guest counts as heavily loaded. In the paper a guest's load
/// shows from 60 % of a CPU on (figures 3 to 5).
const HEAVY: f64 = 0.6;

/// CPUs' worth of time that the target has to spare, before and after the guest has come.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Arrival {
    /// Without the guest.
    pub free_cpus: f64,
    /// With it, if it goes on using what it used; below 0 where it cannot. `None` when what it used
    /// is unknown.
    pub free_cpus_with_guest: Option<f64>,
}

impl Arrival {
    /// `None` when the target did not say.
    #[must_use]
    pub fn at(target: &Inventory, sample: Option<&Sample>) -> Option<Self> {
        let free_cpus = target.load.free_cpus?;
        let used = sample.map(Sample::vcpu_utilisation).filter(|vcpus| !vcpus.is_empty());
        let used = used.map(|vcpus| vcpus.iter().sum::<f64>());
        Some(Self { free_cpus, free_cpus_with_guest: used.map(|used| free_cpus - used) })
    }

    fn evidence(&self, target: &Inventory, threshold: f64) -> Value {
        let heavy =
            heavy(target).map(|other| json!({ "name": other.name, "used_cpus": other.used_cpus }));
        json!({
            "target_cpus": target.capacity.cpus,
            "target_cpu_utilisation": target.load.cpu_utilisation,
            "target_free_cpus": self.free_cpus,
            "target_free_cpus_with_guest": self.free_cpus_with_guest,
            "target_heavy_guests": heavy.collect::<Vec<_>>(),
            "threshold": threshold,
        })
    }
}

/// The target's guests that are heavily loaded, Dom0 not among them.
fn heavy(target: &Inventory) -> impl Iterator<Item = &Resident> {
    target.load.domains.iter().filter(|guest| guest.domid != 0 && guest.used_cpus >= HEAVY)
}

/// `, beside db (1.9 CPUs) and web (0.8 CPUs)`; nothing where no guest is heavily loaded.
fn beside(target: &Inventory) -> String {
    let guests = heavy(target).map(|guest| format!("{} ({:.2} CPUs)", guest.name, guest.used_cpus));
    let guests: Vec<_> = guests.collect();
    if guests.is_empty() { String::new() } else { format!(", beside {}", guests.join(" and ")) }
}

pub(in crate::policy::gate) fn saturated(facts: &Facts<'_>) -> Option<Fired> {
    let target = facts.target?.inventory;
    let arrival = Arrival::at(target, facts.sample())?;
    let limit = facts.thresholds.free_cpus_without_guest;
    (arrival.free_cpus < limit).then(|| {
        let message = format!(
            "the target is short of CPU: {:.2} CPUs are free there{}; below {limit:.2} both the \
             migration and its downtime take noticeably longer",
            arrival.free_cpus,
            beside(target)
        );
        Fired::wait(message)
            .evidence(arrival.evidence(target, limit))
            .advice("wait for a calmer moment there, or choose another target")
    })
}

pub(in crate::policy::gate) fn overloaded(facts: &Facts<'_>) -> Option<Fired> {
    let target = facts.target?.inventory;
    let arrival = Arrival::at(target, facts.sample())?;
    let with_guest = arrival.free_cpus_with_guest?;
    let limit = facts.thresholds.free_cpus;
    // Where others alone leave too little, the guest is not to blame.
    let others = arrival.free_cpus < facts.thresholds.free_cpus_without_guest.max(limit);
    (!others && with_guest < limit).then(|| {
        let message = format!(
            "the target has not the CPU that the guest uses: of {:.2} free CPUs it would leave \
             {:.2}{}",
            arrival.free_cpus,
            with_guest.max(0.0),
            beside(target)
        );
        Fired::wait(message).evidence(arrival.evidence(target, limit)).advice(
            "choose a target with more CPU to spare, or wait until one of the guests is calmer",
        )
    })
}
