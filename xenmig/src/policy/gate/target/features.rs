//! Whether the target's CPUs have what the guest was given. A guest looks once, when it boots.

use serde_json::json;

use crate::host::FeatureSet;
use crate::policy::gate::Facts;
use crate::policy::gate::reason::Fired;

/// Features that a message names.
const NAMED: usize = 8;

pub(in crate::policy::gate) fn cpu_features(facts: &Facts<'_>) -> Option<Fired> {
    let (target, kind) = (facts.target?, facts.domain.guest_type);
    let (here, there) = (&target.here.cpu_features, &target.inventory.cpu_features);
    let at_most = there.most_of(kind);
    let offered = at_most.or_else(|| there.default_of(kind));
    let assumed = here.default_of(kind).filter(|_| target.given.is_none());
    let Some((given, offered)) = target.given.or(assumed).zip(offered) else {
        let fired =
            Fired::info("whether the target's CPUs have what the guest was given is unknown")
                .evidence(json!({
                    "guest_type": kind,
                    "given_known": target.given.is_some(),
                    "target_at_most_known": at_most.is_some(),
                }))
                .advice("compare `xen-cpuid` at both hosts");
        return Some(fired);
    };
    let mut missing = given.promises().without(offered);
    if let Some(own) = here.most_of(kind) {
        // What not even this host can give is Xen's own doing, and the same everywhere.
        missing = missing.and(own);
    }
    if missing.count() == 0 {
        return None;
    }
    let list = list(&missing);
    // Only what was given, held against all that can be had, is certain.
    let fired = if assumed.is_some() {
        Fired::wait(format!(
            "guests here get CPU features that the target lacks, and whether this one did cannot be \
             read: {list}"
        ))
    } else if at_most.is_none() {
        Fired::wait(format!("the target does not give such guests by default: {list}"))
    } else {
        Fired::block(format!("the guest was given CPU features that the target lacks: {list}"))
    };
    let fired = fired
        .evidence(json!({
            "missing": missing.names(),
            "guest_type": kind,
            "given_known": target.given.is_some(),
            "target_at_most_known": at_most.is_some(),
        }))
        .advice(
            "restart the guest with these masked (`cpuid` in its configuration), or choose a target \
             with such a CPU",
        );
    Some(fired)
}

/// The first few names, and how many more there are.
fn list(features: &FeatureSet) -> String {
    let names = features.names();
    let first = names[..names.len().min(NAMED)].join(", ");
    match names.len().saturating_sub(NAMED) {
        0 => first,
        more => format!("{first} and {more} more"),
    }
}
