//! What a host has, and its domains.

use xenmig::host::FeatureSet;
use xenmig::inventory::{Capacity, Inventory, Load};
use xenmig::units::Bytes;

use super::{field, lines};
use crate::output::style::Style;
use crate::output::table::{align, percent};

/// A line per fact, a row per domain.
pub fn hostinfo(host: &Inventory, style: Style) -> String {
    let Inventory { name, xen, capacity, load, cpu_features, bridges, disks } = host;
    let word = |yes| if yes { "yes" } else { "no" };
    let shadow = xen.shadow.map_or("unknown", word);
    let hypervisor =
        format!("{}, {}; HAP {}, shadow {shadow}", xen.version, xen.scheduler, word(xen.hap));
    let mut out = field("Host", name, style);
    out += &field("Xen", &hypervisor, style);
    out += &field("CPUs", &cpus(capacity, load), style);
    out += &field("Memory", &memory(capacity), style);
    let count =
        |set: &Option<FeatureSet>| set.as_ref().map_or("?".to_owned(), |s| s.count().to_string());
    let features = format!(
        "{} in use; PV guests get {}, at most {}; HVM and PVH {}, at most {}",
        count(&cpu_features.host),
        count(&cpu_features.pv),
        count(&cpu_features.pv_max),
        count(&cpu_features.hvm),
        count(&cpu_features.hvm_max),
    );
    out += &field("Features", &features, style);
    let bridges = if bridges.is_empty() { "none".to_owned() } else { bridges.join(", ") };
    out += &field("Bridges", &bridges, style);
    for disk in disks {
        let there = if disk.exists { "exists" } else { "does not exist" };
        out += &field("Disk", &format!("{} {there}", disk.path), style);
    }
    out += &format!("\n{}\n", style.strong("Domains"));
    out + &domains(load)
}

/// `16, 12.8 of them free (20 % used)`
fn cpus(capacity: &Capacity, load: &Load) -> String {
    match (load.free_cpus, load.cpu_utilisation) {
        (Some(free), Some(used)) => {
            format!("{}, {free:.1} of them free ({} used)", capacity.cpus, percent(used))
        }
        _ => format!("{}, their use is unknown", capacity.cpus),
    }
}

fn memory(capacity: &Capacity) -> String {
    let (all, free) = (Bytes(capacity.memory_bytes), Bytes(capacity.free_memory_bytes));
    let more = match capacity.dom0_gives_memory {
        Some(true) => ", and xl may take some from Dom0",
        Some(false) | None => "",
    };
    format!("{all}, {free} free{more}")
}

fn domains(load: &Load) -> String {
    let head = ["name", "domid", "vCPUs", "memory", "CPUs used"];
    let mut rows = vec![head.map(str::to_owned).to_vec()];
    rows.extend(load.domains.iter().map(|domain| {
        vec![
            domain.name.clone(),
            domain.domid.to_string(),
            domain.vcpus.to_string(),
            Bytes(domain.memory_bytes).to_string(),
            format!("{:.2}", domain.used_cpus),
        ]
    }));
    lines(align(&rows, 2, 1))
}
