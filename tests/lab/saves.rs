//! Saves that meet a sampler, other than at random moments (`race`).

use std::time::Duration;

use crate::scene::{Ran, Scene, codes};

/// 40 Mbit/s: a save of one of these guests takes some 20 virtual seconds.
const SLOW: u64 = 5_000_000;

#[test]
fn a_save_that_runs_keeps_samplers_away() {
    let Some((scene, guest)) = Scene::with_guest() else { return };
    let id = guest.domid.to_string();
    let migration = scene.migrating("g1", SLOW);

    let ran = scene.xenmig(&["sample", &id]);
    ran.refused(70, &[&format!("domain {id} is being saved by process"), "hint: wait"]);
    let ran = scene.xenmig(&["check", &id, "--bandwidth", "1Gbit/s", "--json"]);
    let check = ran.json();
    assert_eq!((ran.status, &check["verdict"]), (1, &"no-go".into()), "{}", ran.all());
    assert!(codes(&check).contains(&"being-saved"), "{}", ran.all());
    assert!(check["measured"].is_null(), "it was sampled: {}", ran.all());

    // So is the domain that the receiver builds.
    let ran = scene.xenmig(&["check", "g1--incoming", "--bandwidth", "1Gbit/s", "--json"]);
    let check = ran.json();
    assert_eq!(ran.status, 2, "{}", ran.all());
    assert!(codes(&check).contains(&"arriving"), "{}", ran.all());
    assert!(check["measured"].is_null(), "it was sampled: {}", ran.all());

    let xl = Ran::of(migration.wait().unwrap());
    assert!(xl.stderr.contains("Migration successful"), "{}", xl.all());
    scene.intact("g1");
    scene.log_is_off("g1");
}

#[test]
fn a_save_of_another_domain_disturbs_nobody() {
    let Some(scene) = Scene::new() else { return };
    scene.guest("g1", "hot:1000,500");
    scene.guest("g2", "hot:2000,1000");
    scene.migrate("g2");
    let alone = scene.migrate("g2").elapsed;

    let sampler = scene.sampling("g1", "20s");
    let beside = scene.migrate("g2").elapsed;
    let ran = Ran::of(sampler.wait().unwrap());
    assert_eq!(ran.status, 0, "{}", ran.all());
    let sample = ran.json();
    assert_eq!(sample["ended"], "complete", "{}", ran.all());
    let last = sample["windows"][0]["curve"].as_array().unwrap().last().unwrap()[0].clone();
    assert!(last.as_f64().unwrap() >= 20.0, "{sample}");

    let ratio = beside.as_secs_f64() / alone.as_secs_f64();
    println!("migration alone {alone:?}, beside a sampler {beside:?}: {ratio:.4}");
    assert!(beside < Duration::from_secs(20), "the sampler ended first: {beside:?}");
    // Held back, it would have waited for the end of the sample. What is left is that the sampler,
    // a debug build, and a guest whose pages are logged share the only CPU with the migration.
    assert!((0.95..1.05).contains(&ratio), "{alone:?} alone, {beside:?} beside a sampler");
    for guest in ["g1", "g2"] {
        scene.intact(guest);
    }
    scene.log_is_off("g1");
}

#[test]
fn a_save_by_a_copy_of_the_helper_is_noticed() {
    let Some((scene, _)) = Scene::with_guest() else { return };
    let copy = "cp /usr/l*/xen-*/bin/libxl-save-helper /root/my-helper";
    scene.host.shell(copy, &[]).unwrap();
    let sampler = scene.sampling("g1", "60s");
    let env = [("LIBXL_SAVE_HELPER", "/root/my-helper")];
    scene.host.migrate_env("g1", None, &env).unwrap();
    let ran = Ran::of(sampler.wait().unwrap());
    assert_eq!((ran.status, &ran.json()["ended"]), (0, &"save_began".into()), "{}", ran.all());
    scene.intact("g1");
    scene.log_is_off("g1");
}
