//! A host that does not let xenmig do what it needs: a clear error, and nothing left on.

use crate::scene::{Ran, Scene, XENMIG, codes};

#[test]
fn without_rights_nothing_is_touched() {
    let Some((scene, _)) = Scene::with_guest() else { return };
    let nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", XENMIG];
    let as_nobody = |arguments: &[&str]| scene.run(&[&nobody, arguments].concat());
    as_nobody(&["sample", "g1"]).refused(77, &["error: cannot", "hint: run as root"]);
    as_nobody(&["check", "g1"]).refused(77, &["error: cannot", "hint: run as root"]);
    let doctor = as_nobody(&["doctor"]);
    assert_eq!(doctor.status, 1, "{}", doctor.all());
    assert!(doctor.stdout.contains("bad     rights"), "{}", doctor.all());

    // Root who may not set fanotify marks: no guard, so no sampling.
    let weak = ["setpriv", "--bounding-set=-sys_admin", "--inh-caps=-sys_admin", XENMIG];
    let as_weak = |arguments: &[&str]| scene.run(&[&weak, arguments].concat());
    as_weak(&["sample", "g1"]).refused(77, &["cannot watch for saves", "CAP_SYS_ADMIN"]);
    let ran = as_weak(&["check", "g1", "--bandwidth", "1Gbit/s", "--json"]);
    let check = ran.json();
    assert_eq!(ran.status, 2, "{}", ran.all());
    assert!(codes(&check).contains(&"sampling-not-permitted"), "{}", ran.all());
    scene.log_is_off("g1");
    scene.intact("g1");
}

#[test]
fn without_room_for_the_note_the_log_stays_off() {
    let Some((scene, _)) = Scene::with_guest() else { return };
    let full = r"mkdir -p /run/xenmig && mount -t tmpfs -o size=16k tmpfs /run/xenmig &&
        ! cat /dev/zero 2>/dev/null >/run/xenmig/filler";
    scene.host.shell(full, &[]).unwrap();
    refused_with(&scene, "No space left on device");
    scene.host.shell("umount /run/xenmig", &[]).unwrap();
    scene.log_is_off("g1");

    scene.host.shell("mount -t tmpfs -o ro tmpfs /run/xenmig", &[]).unwrap();
    refused_with(&scene, "Read-only file system");
    scene.host.shell("umount /run/xenmig", &[]).unwrap();
    scene.log_is_off("g1");
    scene.intact("g1");
}

#[test]
fn without_room_for_the_trace_nothing_is_sampled() {
    let Some((scene, _)) = Scene::with_guest() else { return };
    let trace = ["sample", "g1", "--trace", "/nowhere/g1.trace"];
    scene.xenmig(&trace).refused(65, &["/nowhere/g1.trace", "No such file or directory"]);
    assert_ne!(scene.run(&["test", "-e", "/run/xenmig"]).status, 0, "it was sampled before");
    scene.log_is_off("g1");
}

/// Fails unless a sampler gives up for a reason that names the run directory.
#[track_caller]
fn refused_with(scene: &Scene, why: &str) {
    let ran: Ran = scene.xenmig(&["sample", "g1"]);
    ran.refused(65, &["/run/xenmig", why]);
    let ran = scene.xenmig(&["check", "g1", "--bandwidth", "1Gbit/s", "--json"]);
    let check = ran.json();
    assert_eq!(ran.status, 2, "{}", ran.all());
    assert!(codes(&check).contains(&"sampling-failed"), "{}", ran.all());
}
