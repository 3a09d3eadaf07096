//! What the target's hypervisor can do, and the memory it has.

use serde_json::json;

use crate::host::{Domain, GuestType};
use crate::inventory::version;
use crate::policy::gate::Facts;
use crate::policy::gate::reason::Fired;
use crate::units::Bytes;

pub(in crate::policy::gate) fn xen_older(facts: &Facts<'_>) -> Option<Fired> {
    let (here, there) = (&facts.host.xen_version, &facts.target?.inventory.xen.version);
    (version(there)? < version(here)?).then(|| {
        Fired::block(format!("the target runs Xen {there}, which is older than this host's {here}"))
            .evidence(json!({ "xen_version": here, "target_xen_version": there }))
            .advice("migrate to the same or a newer version; guests do not go back")
    })
}

pub(in crate::policy::gate) fn paging(facts: &Facts<'_>) -> Option<Fired> {
    let xen = &facts.target?.inventory.xen;
    let kind = facts.domain.guest_type;
    let runs = kind == GuestType::Pv || xen.hap || xen.shadow != Some(false);
    (!runs).then(|| {
        Fired::block(format!(
            "the target has neither hardware-assisted nor shadow paging, so it runs no {kind} guest"
        ))
        .evidence(json!({ "guest_type": kind, "target_hap": xen.hap, "target_shadow": xen.shadow }))
        .advice("switch on AMD-V with NPT, or VT-x with EPT, in the target's firmware")
    })
}

/// Memory that Dom0 keeps at least where xl takes some from it. Our choice; libxl stops at 128 MiB,
/// with which no Dom0 can work.
const DOM0_KEEPS: u64 = 1 << 30;

/// What a guest takes at the target besides its own memory: per vCPU 1 MiB and per MiB one page for
/// paging, two where it is not hardware-assisted, and 2 MiB to spare
/// (`libxl__get_required_paging_memory`, `libxl_domain_need_memory`).
fn needed(domain: &Domain) -> u64 {
    let memory = domain.memory.bytes().0;
    let pages_per_mib = match (domain.guest_type, domain.hap) {
        (GuestType::Pvh | GuestType::Hvm, false) => 2,
        _ => 1,
    };
    let mib = 1 << 20;
    memory + (u64::from(domain.vcpus) + 2) * mib + pages_per_mib * 4096 * memory.div_ceil(mib)
}

pub(in crate::policy::gate) fn memory(facts: &Facts<'_>) -> Option<Fired> {
    let inventory = facts.target?.inventory;
    let (free, needed) = (inventory.free_memory(), Bytes(needed(facts.domain)));
    if free >= needed {
        return None;
    }
    let missing = Bytes(needed.0 - free.0);
    let dom0 = inventory.dom0().map_or(0, |dom0| dom0.memory_bytes);
    let gives = inventory.capacity.dom0_gives_memory == Some(true);
    let evidence = json!({
        "needed_bytes": needed,
        "target_free_bytes": free,
        "target_dom0_bytes": dom0,
        "target_dom0_gives_memory": inventory.capacity.dom0_gives_memory,
    });
    let fired = if gives && dom0.saturating_sub(missing.0) >= DOM0_KEEPS {
        Fired::info(format!(
            "it needs {missing} of memory that the target's Dom0 has to give up first"
        ))
        .advice("xl does that by itself, unless its configuration says `autoballoon=\"off\"`")
    } else {
        Fired::block(format!("it needs {needed} of memory, and the target has {free} free"))
            .advice("balloon guests there down, or choose another target")
    };
    Some(fired.evidence(evidence))
}
