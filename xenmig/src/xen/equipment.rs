//! What a guest that arrives at this host may need: network bridges, CPU features, memory that Dom0
//! gives up.

use std::fs;
use std::path::Path;

use super::control::Control;
use super::features;
use crate::error::Result;
use crate::host::Equipment;

pub(super) fn read(control: &Control) -> Result<Equipment> {
    Ok(Equipment {
        name: rustix::system::uname().nodename().to_string_lossy().into_owned(),
        cpu_features: features::of_host(control)?,
        bridges: bridges(Path::new("/sys/class/net")),
        dom0_gives_memory: control.command_line().ok().map(|line| !fixes_dom0(&line)),
    })
}

/// Linux' network bridges: the interfaces in `interfaces` that have a directory `bridge`.
fn bridges(interfaces: &Path) -> Vec<String> {
    let entries = fs::read_dir(interfaces).into_iter().flatten().flatten();
    let bridges = entries.filter(|entry| entry.path().join("bridge").is_dir());
    let names = bridges.map(|entry| entry.file_name().to_string_lossy().into_owned());
    let mut names: Vec<_> = names.collect();
    names.sort();
    names
}

/// Whether Xen was told how much memory Dom0 has. xl then takes none from it for new guests, unless
/// its configuration says so (`auto_autoballoon` in xl.c).
fn fixes_dom0(command_line: &str) -> bool {
    command_line.split_whitespace().any(|word| word.starts_with("dom0_mem="))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bridges_are_told_from_other_interfaces() {
        let place = tempfile::tempdir().unwrap();
        for name in ["xenbr1/bridge", "xenbr0/bridge", "eth0/queues", "lo"] {
            fs::create_dir_all(place.path().join(name)).unwrap();
        }
        assert_eq!(bridges(place.path()), ["xenbr0", "xenbr1"]);
        assert!(bridges(&place.path().join("none")).is_empty());
    }

    #[test]
    fn dom0s_memory_is_fixed_by_an_option_of_xen() {
        assert!(fixes_dom0("placeholder dom0_mem=4G,max:4G loglvl=all"));
        assert!(!fixes_dom0("placeholder dom0_max_vcpus=4"));
    }
}
