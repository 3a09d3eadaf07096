//! The hook has a fault: the save is Xen's own.

use super::{Faults, Row};
use crate::hook::{LIBRARY, panics};

const STEERED: [&str; 3] = ["1Gbit/s", "--downtime", "5s"];

#[test]
fn the_hook_has_a_fault() {
    let Some(mut faults) = Faults::new("7", "hot:1000,500") else { return };
    faults
        .scene
        .host
        .push_bytes(b"[budget]\ndowntme = \"1s\"\n", "/root/broken.toml", 0o644)
        .unwrap();
    let ran = faults.migrate(&[&STEERED[..], &["--config", "/root/broken.toml"]].concat());
    faults.stays("configuration broken", "before anything begins", &ran, 64, &["downtme"]);

    let gone = "rm /run/xenmig/hook-*.sock";
    let here = ["-s", "xenlab-receive 0"];
    let steered = [&STEERED[..], &here].concat();
    let ran = faults.migrate_and(&steered, "waiting for the target", gone);
    let row = Row::of("hook's socket removed", "before the save", &ran, 0, &["Xen's own"]);
    faults.is_there(row);

    faults.scene.host.push(panics(), LIBRARY).unwrap();
    let ran = faults.migrate(&steered);
    assert!(ran.stdout.contains("stock policy decides from here on: a fault"), "{}", ran.all());
    let row = Row::of("hook panics", "after the first send", &ran, 0, &["Xen's own: a fault in"]);
    faults.is_there(row);
}
