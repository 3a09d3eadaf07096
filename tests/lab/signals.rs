//! A sampler that is stopped or killed.

use crate::scene::{Ran, Scene, note};

const SIGINT: i32 = 2;
const SIGKILL: i32 = 9;
const SIGTERM: i32 = 15;
const SIGTSTP: i32 = 20;

#[test]
fn interrupted_it_answers_and_the_log_is_off() {
    let Some((scene, guest)) = Scene::with_guest() else { return };
    for signal in [SIGINT, SIGTERM] {
        let sampler = scene.sampling("g1", "60s");
        sampler.kill(signal);
        let ran = Ran::of(sampler.wait().unwrap());
        assert_eq!(ran.status, 130, "{}", ran.all());
        assert_eq!(ran.json()["ended"], "interrupted");
        let said = format!("interrupted; the dirty log of domain {} is off", guest.domid);
        assert!(ran.stderr.contains(&said), "{}", ran.all());
        scene.log_is_off("g1");
    }
    scene.intact("g1");
}

/// Stopped, it could not let saves through, nor any other `xl`.
#[test]
fn the_terminal_cannot_stop_it() {
    let Some((scene, _)) = Scene::with_guest() else { return };
    let sampler = scene.sampling("g1", "60s");
    sampler.kill(SIGTSTP);
    assert_eq!(scene.run(&["timeout", "20", "xl", "list"]).status, 0);
    scene.migrate("g1");
    let ran = Ran::of(sampler.wait().unwrap());
    assert_eq!((ran.status, &ran.json()["ended"]), (0, &"save_began".into()), "{}", ran.all());
    scene.intact("g1");
    scene.log_is_off("g1");
}

#[test]
fn killed_it_leaves_a_note_and_recover_cleans() {
    let Some((scene, guest)) = Scene::with_guest() else { return };
    kill_a_sampler(&scene, guest.domid);

    let ran = scene.xenmig(&["recover"]);
    assert_eq!(ran.status, 0, "{}", ran.all());
    // The text is wrapped.
    let text = ran.stdout.split_whitespace().collect::<Vec<_>>().join(" ");
    let said = format!("domain {}", guest.domid);
    assert!(text.contains(&said) && text.contains("switched off the dirty log"), "{}", ran.all());
    scene.log_is_off("g1");
    let again = scene.xenmig(&["recover"]);
    assert_eq!((again.status, again.stdout.trim()), (0, "Nothing to clean up."), "{}", again.all());

    // A command that samples recovers by itself.
    kill_a_sampler(&scene, guest.domid);
    let ran = scene.xenmig(&["sample", "g1", "--window", "100ms", "--windows", "1", "--json"]);
    assert_eq!(ran.status, 0, "{}", ran.all());
    assert_eq!(ran.json()["ended"], "complete");
    assert!(ran.stderr.contains("switched off the dirty log"), "{}", ran.all());
    scene.no_notes();
    scene.intact("g1");
}

#[test]
fn killed_and_migrated_at_once_the_guest_is_intact() {
    let Some(scene) = Scene::new() else { return };
    let guest = scene.guest("g1", "hot:3000,2000");
    kill_a_sampler(&scene, guest.domid);
    scene.migrate("g1");
    scene.intact("g1");
    assert_ne!(scene.host.domid("g1").unwrap(), guest.domid);

    let ran = scene.xenmig(&["recover", "--json"]);
    assert_eq!(ran.status, 0, "{}", ran.all());
    let cleaned = &ran.json()["recovered"][0];
    assert_eq!((&cleaned["domid"], &cleaned["clean"]), (&guest.domid.into(), &true.into()));
    assert!(cleaned["what"].as_str().unwrap().contains("has gone"), "{cleaned}");
    scene.log_is_off("g1");
}

/// Leaves the log of `g1` on, with the note of a dead process.
fn kill_a_sampler(scene: &Scene, domid: u32) {
    let sampler = scene.sampling("g1", "60s");
    sampler.kill(SIGKILL);
    assert_eq!(Ran::of(sampler.wait().unwrap()).status, 128 + SIGKILL);
    let left = scene.run(&["cat", &note(domid)]);
    assert!(left.stdout.contains("\"uuid\""), "no note is left: {}", left.all());
}
