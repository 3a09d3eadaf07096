//! Rules about how the guest was built and what is attached to it: what ties it to this machine,
//! what Xen's save refuses, what would not be there at the target.

use serde_json::json;

use super::Facts;
use super::reason::Fired;
use crate::units::Bytes;

pub(super) fn unknown(facts: &Facts<'_>) -> Option<Fired> {
    facts.setup.is_none().then(|| {
        Fired::wait("the tool stack does not say what is attached to the guest")
            .advice("was it created by another tool stack than libxl? `xl list -l` should show it")
    })
}

pub(super) fn disabled(facts: &Facts<'_>) -> Option<Fired> {
    facts.setup?.migration_disabled.then(|| {
        Fired::block("its configuration forbids migration (disable_migrate)")
            .evidence(json!({ "disable_migrate": true }))
            .advice("a guest built so can only be shut down and started elsewhere")
    })
}

/// Fires when `devices` is not empty.
fn attached(devices: &[String], what: &str, advice: &str) -> Option<Fired> {
    (!devices.is_empty()).then(|| {
        Fired::block(format!("it has {what}: {}", devices.join(", ")))
            .evidence(json!({ "devices": devices }))
            .advice(advice)
    })
}

pub(super) fn pci(facts: &Facts<'_>) -> Option<Fired> {
    let advice = "detach it with `xl pci-detach` for the time of the migration";
    attached(&facts.setup?.pci_devices, "PCI devices of this machine", advice)
}

pub(super) fn usb(facts: &Facts<'_>) -> Option<Fired> {
    let advice = "detach it with `xl usbdev-detach` or `xl usbctrl-detach`";
    attached(&facts.setup?.usb_devices, "USB devices of this machine", advice)
}

pub(super) fn vtpm(facts: &Facts<'_>) -> Option<Fired> {
    let advice = "its state lives in a vTPM domain of this host and does not move with the guest";
    attached(&facts.setup?.vtpms, "a virtual TPM", advice)
}

pub(super) fn pinned(facts: &Facts<'_>) -> Option<Fired> {
    let advice = "remove it from the guest's configuration and restart the guest";
    attached(&facts.setup?.other_pinned_devices, "what ties it to this machine", advice)
}

pub(super) fn nested(facts: &Facts<'_>) -> Option<Fired> {
    facts.setup?.nested_hvm.then(|| {
        Fired::block("nested virtualisation is on, and Xen does not move its state")
            .evidence(json!({ "nested_hvm": true }))
            .advice("set `nestedhvm=0` and restart the guest")
    })
}

pub(super) fn vnuma(facts: &Facts<'_>) -> Option<Fired> {
    let nodes = facts.setup?.vnuma_nodes;
    (nodes > 0).then(|| {
        Fired::block(format!("it has {nodes} vNUMA nodes, and Xen's save refuses such a guest"))
            .evidence(json!({ "vnuma_nodes": nodes }))
            .advice("remove `vnuma` from its configuration and restart the guest")
    })
}

pub(super) fn disk(facts: &Facts<'_>) -> Option<Fired> {
    let local = facts.setup?.local_disks.iter();
    let local: Vec<_> = local.filter(|disk| !facts.thresholds.is_shared(disk)).collect();
    (!local.is_empty()).then(|| {
        let list = local.iter().map(|disk| disk.as_str()).collect::<Vec<_>>().join(", ");
        Fired::block(format!("writable disks are on paths of this host: {list}"))
            .evidence(json!({ "disks": local }))
            .advice(
                "move them to shared storage; if they are on it, say so in \
                 `thresholds.shared_storage`",
            )
    })
}

pub(super) fn pod(facts: &Facts<'_>) -> Option<Fired> {
    let pages = facts.setup?.pod_pages.filter(|pages| pages.0 > 0)?;
    let fired = Fired::wait(format!("{} of it are populated on demand and not there yet", pages))
        .evidence(json!({ "pod_pages": pages }))
        .advice("wait until its balloon driver has started and reached the target");
    Some(fired)
}

pub(super) fn ballooning(facts: &Facts<'_>) -> Option<Fired> {
    let target = facts.setup?.memory_target?;
    let now = facts.domain.memory.bytes();
    let above = Bytes(now.0.saturating_sub(target.0));
    (above > facts.thresholds.balloon_slack).then(|| {
        Fired::wait(format!("its balloon is in flight: it has {now} and is to reach {target}"))
            .evidence(json!({ "memory_bytes": now, "target_bytes": target }))
            .advice("wait until it has reached the target, or set another with `xl mem-set`")
    })
}

pub(super) fn no_suspend(facts: &Facts<'_>) -> Option<Fired> {
    (facts.setup?.can_suspend == Some(false)).then(|| {
        Fired::block("the guest's kernel says that it cannot suspend")
            .evidence(json!({ "can_suspend": false }))
            .advice("it needs a kernel that can suspend on Xen (Linux: HIBERNATE_CALLBACKS)")
    })
}

pub(super) fn maybe_suspend(facts: &Facts<'_>) -> Option<Fired> {
    facts.setup?.can_suspend.is_none().then(|| {
        Fired::info("the guest's kernel does not say whether it can suspend")
            .evidence(json!({ "can_suspend": null }))
            .advice("if it cannot, the migration fails after a minute and the guest goes on here")
    })
}
