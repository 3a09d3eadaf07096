//! The control: what the other tests rely on to see a damaged guest does see one.

use std::process::Command;

use crate::scene::{Scene, scratch, succeed};

/// 40 Mbit/s, so that the sampler ends in the midst of the first round.
const SLOW: u64 = 5_000_000;

#[test]
fn a_sampler_without_the_guard_destroys_its_guest() {
    let Some(scene) = Scene::new() else { return };
    let guest = scene.guest("g1", "hot:3000,2000");
    scene.host.push(unguarded(), "/root/unguarded").unwrap();

    let mut sampler = scene.host.spawn(["/root/unguarded", &guest.domid.to_string()]).unwrap();
    assert_eq!(sampler.next_line().unwrap().as_deref(), Some("on"));
    let migration = scene.migrating("g1", SLOW);
    sampler.close_stdin();
    sampler.wait_ok().unwrap();
    let xl = migration.wait_ok().unwrap();
    assert!(xl.stderr().contains("Migration successful"), "nobody notices: {}", xl.stderr());

    let damage = scene.host.verify("g1");
    println!("{damage:?}");
    let Err(xenlab::Error::Guest { .. }) = damage else {
        panic!("the guest should be damaged, but verify says {damage:?}");
    };
}

/// A program that samples as xenmig must not: `unguarded.c`.
fn unguarded() -> std::path::PathBuf {
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/lab/unguarded.c");
    let xen = succeed(Command::new("pkg-config").args(["--cflags", "--libs", "xencontrol"]));
    let xen = String::from_utf8(xen).unwrap();
    let program = scratch("unguarded");
    // Another Xen's libraries may want a newer C library than this machine's.
    let mut cc = Command::new("cc");
    cc.args(["-Wall", "-Werror", "-Wl,--allow-shlib-undefined", "-o"]).arg(&program).arg(source);
    succeed(cc.args(xen.split_whitespace()));
    program
}
