//! From the tool stack's configuration of a domain (libxl's JSON) and xenstore to [`Setup`].
//!
//! libxl leaves out fields that have their default, and its field names are those of
//! `libxl_types.idl`; a field that is missing here means "no".

use serde_json::Value;

use super::store::Store;
use crate::host::{DomId, Setup};
use crate::units::Bytes;

/// What the configuration says.
pub(super) fn from_config(config: &Value) -> Setup {
    let build = &config["b_info"];
    let list = |name: &str| config[name].as_array().map(Vec::as_slice).unwrap_or_default();
    Setup {
        pci_devices: list("pcidevs").iter().map(pci_address).collect(),
        usb_devices: named(list("usbctrls"), "controller")
            .chain(named(list("usbdevs"), "device"))
            .collect(),
        vtpms: named(list("vtpms"), "vTPM").collect(),
        other_pinned_devices: named(list("rdms"), "reserved memory region")
            .chain(list("dtdevs").iter().map(|device| text(device, "path")))
            .collect(),
        local_disks: list("disks").iter().filter_map(local_disk).collect(),
        disk_paths: list("disks").iter().filter_map(path_here).map(str::to_owned).collect(),
        bridges: list("nics")
            .iter()
            .map(|nic| text(nic, "bridge"))
            .filter(|bridge| !bridge.is_empty())
            .collect(),
        nested_hvm: yes(&build["nested_hvm"]) || yes(&build["type.hvm"]["nested_hvm"]),
        vnuma_nodes: build["vnuma_nodes"]
            .as_array()
            .map_or(0, |nodes| u32::try_from(nodes.len()).unwrap_or(u32::MAX)),
        migration_disabled: yes(&build["disable_migrate"]),
        ..Setup::default()
    }
}

/// What only xenstore knows.
pub(super) fn add_from_store(setup: &mut Setup, store: &Store, id: DomId) {
    let read = |path: &str| store.read(&format!("/local/domain/{id}/{path}"));
    setup.memory_target = read("memory/target")
        .and_then(|kib| kib.trim().parse::<u64>().ok())
        .map(|kib| Bytes(kib * 1024));
    // The kernel writes it when it boots. After a migration the new domain has it empty, which
    // says nothing.
    setup.can_suspend = read("control/feature-suspend")
        .and_then(|answer| answer.trim().parse::<u8>().ok())
        .map(|answer| answer != 0);
    // Devices plugged in after the start are not in every configuration.
    if setup.pci_devices.is_empty() && store.has_entries(&format!("/local/domain/{id}/device/pci"))
    {
        setup.pci_devices.push("attached after the start".into());
    }
}

/// libxl writes its "default boolean" as a boolean, or as a text when nobody set it.
fn yes(value: &Value) -> bool {
    value.as_bool().unwrap_or_else(|| value.as_str() == Some("True"))
}

fn text(of: &Value, field: &str) -> String {
    of[field].as_str().unwrap_or_default().to_owned()
}

fn number(of: &Value, field: &str) -> u64 {
    of[field].as_u64().unwrap_or(0)
}

fn named<'v>(list: &'v [Value], what: &'static str) -> impl Iterator<Item = String> + 'v {
    list.iter().map(move |item| format!("{what} {}", number(item, "devid")))
}

fn pci_address(device: &Value) -> String {
    let part = |field| number(device, field);
    let (domain, bus) = (part("domain"), part("bus"));
    format!("{domain:04x}:{bus:02x}:{:02x}.{:x}", part("dev"), part("func"))
}

/// The path of a disk that the control domain provides.
fn path_here(disk: &Value) -> Option<&str> {
    let path = disk["pdev_path"].as_str().filter(|path| path.starts_with('/'))?;
    let elsewhere = number(disk, "backend_domid") != 0
        || disk["backend_domname"].as_str().is_some_and(|name| !name.is_empty());
    (!elsewhere).then_some(path)
}

/// The path of a writable disk that the control domain provides.
fn local_disk(disk: &Value) -> Option<String> {
    let writable = number(disk, "readwrite") != 0;
    let cdrom = number(disk, "is_cdrom") != 0;
    path_here(disk).filter(|_| writable && !cdrom).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_pins_a_guest_is_found() {
        let setup = from_config(&json!({
            "c_info": {"type": "hvm", "name": "web"},
            "b_info": {
                "disable_migrate": true, "nested_hvm": true,
                "vnuma_nodes": [{"memkb": 1}, {"memkb": 1}]
            },
            "disks": [
                {"pdev_path": "/dev/vg/web", "vdev": "xvda", "readwrite": 1},
                {"pdev_path": "/iso/install.iso", "vdev": "hdc", "readwrite": 0, "is_cdrom": 1},
                {"pdev_path": "rbd:pool/web", "vdev": "xvdb", "readwrite": 1},
                {"pdev_path": "/dev/sda", "vdev": "xvdc", "readwrite": 1, "backend_domid": 3}
            ],
            "nics": [{"bridge": "xenbr0"}, {}],
            "pcidevs": [{"domain": 0, "bus": 3, "dev": 0, "func": 1}],
            "vtpms": [{"devid": 0}],
            "usbdevs": [{"devid": 2}],
            "dtdevs": [{"path": "/soc/uart"}]
        }));
        assert_eq!(setup.pci_devices, ["0000:03:00.1"]);
        assert_eq!(setup.local_disks, ["/dev/vg/web"]);
        assert_eq!(setup.disk_paths, ["/dev/vg/web", "/iso/install.iso"]);
        assert_eq!(setup.bridges, ["xenbr0"]);
        assert_eq!(setup.usb_devices, ["device 2"]);
        assert_eq!(setup.vtpms.len(), 1);
        assert_eq!(setup.other_pinned_devices, ["/soc/uart"]);
        assert!(setup.nested_hvm && setup.migration_disabled);
        assert_eq!(setup.vnuma_nodes, 2);
    }

    #[test]
    fn a_plain_guest_has_nothing() {
        let setup = from_config(&json!({"c_info": {"type": "pvh"}, "b_info": {}}));
        assert!(setup.pci_devices.is_empty() && setup.local_disks.is_empty());
        assert!(!setup.nested_hvm && !setup.migration_disabled);
        assert_eq!(setup.vnuma_nodes, 0);
        assert!(!yes(&json!("<default>")));
    }
}
