//! A save whose xl was killed, and another of the same guest.

use xenlab::Running;

use super::{CONFIG, RATE, begin, begin_by, migrate, moved, scene, stayed, with_guest};
use crate::scene::{Ran, Scene};

/// Helpers that save a domain.
fn helpers(scene: &Scene) -> Vec<String> {
    let found = scene.run(&["pgrep", "-f", "--", "--save-domain"]);
    found.stdout.lines().map(str::to_owned).collect()
}

/// Waits for `condition`, at most 30 s.
#[track_caller]
fn until(scene: &Scene, condition: &str) {
    let wait = format!("for i in $(seq 300); do {condition} && exit; sleep 0.1; done; exit 1");
    scene.host.shell(&wait, &[]).unwrap();
}

/// Kills xl, as an administrator or the kernel may, but not its helper.
fn kill_xl(scene: &Scene, migration: Running) {
    assert_eq!(scene.run(&["pkill", "-KILL", "-f", "--", "^[^ ]*xl migrate -s"]).status, 0);
    assert_ne!(Ran::of(migration.wait().unwrap()).status, 0);
}

const STALL: &str = "/root/stall";

fn equip(scene: &Scene) {
    scene.host.push_bytes(include_bytes!("stall.pl"), STALL, 0o755).unwrap();
}

/// A steered save that is held up by its line, and whose xl was killed: its helper.
fn stalled(scene: &Scene) -> String {
    equip(scene);
    let migration = begin_by(scene, STALL, &["--downtime", "1s"]);
    until(scene, "[ -e /root/stalled ]");
    // The pipe to the receiver fills up.
    scene.run(&["sleep", "1"]);
    kill_xl(scene, migration);
    scene.run(&["sleep", "1"]);
    let helpers = helpers(scene);
    assert_eq!(helpers.len(), 1, "the save is not held up: {helpers:?}");
    helpers[0].clone()
}

#[test]
fn a_save_that_waits_ends_with_its_xl() {
    let Some(scene) = scene() else { return };
    let guest = scene.guest("g1", "hot:4000,6000");
    scene.host.push_bytes(b"[steer]\nmax_wait = \"30s\"\n", CONFIG, 0o644).unwrap();
    let migration = begin(&scene, &["--downtime", "1ms"]);
    until(&scene, r#"grep -qs '"decision":"wait"' /root/events"#);
    kill_xl(&scene, migration);
    scene.run(&["sleep", "1"]);
    assert!(helpers(&scene).is_empty());
    stayed(&scene, guest.domid);
    moved(&migrate(&scene, &["--downtime", "1ms", "--on-miss", "stop"]));
    scene.intact("g1");
}

#[test]
fn a_save_held_up_by_its_line_is_ended_for_the_next() {
    let Some((scene, _)) = with_guest() else { return };
    let old = stalled(&scene);
    let ran = migrate(&scene, &["--downtime", "1s"]);
    moved(&ran);
    assert!(ran.stderr.contains(&format!("process {old} still saves domain")), "{}", ran.all());
    scene.intact("g1");
    assert!(helpers(&scene).is_empty());
    scene.log_is_off("g1");
}

#[test]
fn an_old_save_leaves_the_log_to_one_without_the_hook() {
    let Some((scene, _)) = with_guest() else { return };
    let old = stalled(&scene);
    let script = r#"exec xl migrate -s "xenlab-receive $1" g1 localhost"#;
    let rate = RATE.to_string();
    let migration = scene.host.spawn(["sh", "-c", script, "migrate", &rate]).unwrap();
    migration.close_stdin();
    until(&scene, "[ $(pgrep -fc -- '[-]-save-domain') = 2 ]");
    scene.run(&["sleep", "1"]);
    // The line breaks at last, and the old save ends by itself, in the midst of the new one.
    assert_eq!(scene.run(&["pkill", "-KILL", "-f", "--", STALL]).status, 0);
    until(&scene, &format!("[ ! -e /proc/{old} ]"));
    assert_eq!(helpers(&scene).len(), 1, "the new save was over already");
    moved(&Ran::of(migration.wait().unwrap()));
    // Without its log it would have lost what it wrote since.
    scene.intact("g1");
    scene.log_is_off("g1");
}

#[test]
fn of_two_saves_the_second_is_refused() {
    let Some((scene, guest)) = with_guest() else { return };
    equip(&scene);
    // Some 50 s.
    let first = begin_by(&scene, "xenlab-receive 2500000", &["--downtime", "10s"]);
    until(&scene, "grep -qs '\"send\"' /root/events");
    let helper = helpers(&scene).remove(0);
    let second = Ran::of(begin_by(&scene, STALL, &["--downtime", "10s"]).wait().unwrap());
    let said = format!("domain {} is being saved by process {helper} already", guest.domid);
    assert!(second.status != 0 && second.stderr.contains(&said), "{}", second.all());
    assert_eq!(helpers(&scene), [helper]);
    moved(&Ran::of(first.wait().unwrap()));
    scene.intact("g1");
    scene.log_is_off("g1");
}
