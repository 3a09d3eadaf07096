//! Guests that are throttled: their cap comes back, however the save ends.

use xenlab::Running;

use super::{begin, events, stayed, with_guest};
use crate::scene::{Ran, Scene};

/// The cap of `g1`, as xl shows it.
fn cap(scene: &Scene) -> u32 {
    let shown = scene.run(&["xl", "sched-credit2", "-d", "g1"]);
    let cap = shown.stdout.lines().last().and_then(|line| line.split_whitespace().last());
    cap.and_then(|cap| cap.parse().ok()).unwrap_or_else(|| panic!("{}", shown.all()))
}

/// A save of a guest that is throttled in vain, once its cap has been lowered.
fn throttled(scene: &Scene) -> Running {
    let throttle = ["--downtime", "1ms", "--on-miss", "throttle"];
    let migration = begin(scene, &throttle);
    let wait = r#"for i in $(seq 300); do
            grep -qs '"capped"' /root/events && exit
            sleep 0.1
        done
        exit 1"#;
    scene.host.shell(wait, &[]).unwrap();
    assert!(cap(scene) < BEFORE, "the cap is not lower");
    migration
}

/// The cap that the guest has before.
const BEFORE: u32 = 90;

#[test]
fn a_throttled_guest_gets_its_cap_back_however_the_save_ends() {
    let Some((scene, guest)) = with_guest() else { return };
    let set = ["xl", "sched-credit2", "-d", "g1", "-c", "90"];
    assert_eq!(scene.run(&set).status, 0);
    let endings: [(&[&str], &str); 4] = [
        // The controller gives up at its floor.
        (&["true"], "its budget cannot be kept"),
        // ^C reaches xl and its helper.
        (&["pkill", "-INT", "-f", "--", "--save-domain"], "SIGINT came"),
        // The target goes away.
        (&["pkill", "-KILL", "xenlab-shape"], ""),
        // xl goes away, and its helper ends itself.
        (&["pkill", "-KILL", "-f", "--", "xl migrate -s"], ""),
    ];
    for (end, said) in endings {
        let migration = throttled(&scene);
        assert_eq!(scene.run(end).status, 0);
        let ran = Ran::of(migration.wait().unwrap());
        assert!(ran.status != 0 && ran.stderr.contains(said), "{end:?}: {}", ran.all());
        events(&scene);
        assert_eq!(cap(&scene), BEFORE, "{end:?}: {}", ran.all());
        stayed(&scene, guest.domid);
    }
}

#[test]
fn a_killed_save_leaves_a_note_and_recover_restores_the_cap() {
    let Some((scene, guest)) = with_guest() else { return };
    let set = ["xl", "sched-credit2", "-d", "g1", "-c", "90"];
    assert_eq!(scene.run(&set).status, 0);
    let migration = throttled(&scene);
    assert_eq!(scene.run(&["pkill", "-KILL", "-f", "--", "--save-domain"]).status, 0);
    let ran = Ran::of(migration.wait().unwrap());
    assert_ne!(ran.status, 0, "{}", ran.all());
    assert!(cap(&scene) < BEFORE, "nothing is left to recover: {}", ran.all());
    let left = scene.run(&["cat", &format!("/run/xenmig/cap-{}", guest.domid)]);
    assert!(left.stdout.contains("\"cap\":90"), "no note is left: {}", left.all());

    let ran = scene.xenmig(&["recover", "--json"]);
    assert_eq!(ran.status, 0, "{}", ran.all());
    let cleaned = &ran.json()["recovered"][0];
    let what = cleaned["what"].as_str().unwrap();
    assert!(what.contains("cap back to 90 %") && what.contains("dirty log"), "{cleaned}");
    assert_eq!(cap(&scene), BEFORE);
    stayed(&scene, guest.domid);
}

#[test]
fn the_next_save_puts_back_a_cap_that_a_killed_one_left_and_says_what_the_target_has() {
    use super::{migrate, moved};
    let Some((scene, _)) = with_guest() else { return };
    let set = ["xl", "sched-credit2", "-d", "g1", "-c", "90"];
    assert_eq!(scene.run(&set).status, 0);
    let migration = throttled(&scene);
    assert_eq!(scene.run(&["pkill", "-KILL", "-f", "--", "--save-domain"]).status, 0);
    assert_ne!(Ran::of(migration.wait().unwrap()).status, 0);
    let lowered = cap(&scene);
    assert!(lowered < BEFORE);

    // One that fails: the guest is here.
    let ran = migrate(&scene, &["--downtime", "1ms"]);
    assert!(ran.status != 0 && ran.stderr.contains("its cap is 90 % again"), "{}", ran.all());
    assert!(ran.stderr.contains("`xl sched-credit2 -d g1 -c 90`"), "{}", ran.all());
    assert_eq!(cap(&scene), BEFORE);
    scene.no_notes();

    // The next one has nothing to say, and its target is told the right cap.
    let ran = migrate(&scene, &["--downtime", "1s"]);
    moved(&ran);
    assert!(!ran.stderr.contains("throttled"), "{}", ran.all());
    assert_eq!(cap(&scene), BEFORE);
    scene.intact("g1");
    scene.log_is_off("g1");
}
