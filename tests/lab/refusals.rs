//! Domains that are not there, must not be sampled, or go away meanwhile.

use crate::scene::{Ran, Scene, XENMIG, codes};

#[test]
fn domains_that_are_not_there_and_dom0() {
    let Some(scene) = Scene::new() else { return };
    for nobody in ["4711", "no-such-guest"] {
        scene.xenmig(&["sample", nobody]).refused(64, &["error: ", nobody, "xl list"]);
        let ran = scene.xenmig(&["check", nobody, "--bandwidth", "1Gbit/s", "--json"]);
        let check = ran.json();
        assert_eq!((ran.status, codes(&check)), (1, vec!["no-such-domain"]), "{}", ran.all());
    }
    for dom0 in ["0", "Domain-0"] {
        let ran = scene.xenmig(&["check", dom0, "--bandwidth", "1Gbit/s", "--json"]);
        let check = ran.json();
        assert_eq!((ran.status, codes(&check)), (1, vec!["dom0"]), "{}", ran.all());
        assert!(check["measured"].is_null(), "{}", ran.all());
    }
    scene.xenmig(&["sample", "0"]).refused(70, &["domain 0"]);
    scene.no_notes();
}

#[test]
fn a_paused_guest_is_not_sampled_and_stays_paused() {
    let Some((scene, _)) = Scene::with_guest() else { return };
    scene.host.shell("xl pause g1", &[]).unwrap();
    let ran = scene.xenmig(&["check", "g1", "--bandwidth", "1Gbit/s", "--json"]);
    let check = ran.json();
    assert_eq!(ran.status, 2, "{}", ran.all());
    assert!(codes(&check).contains(&"domain-paused"), "{}", ran.all());
    assert!(check["measured"].is_null(), "{}", ran.all());
    let state = scene.run(&["xl", "list", "g1"]);
    assert!(state.stdout.contains("--p---"), "{}", state.all());
    scene.host.shell("xl unpause g1", &[]).unwrap();
    scene.log_is_off("g1");
    scene.intact("g1");
}

#[test]
fn a_guest_destroyed_while_sampled_ends_the_sample() {
    let Some((scene, guest)) = Scene::with_guest() else { return };
    let sampler = scene.sampling("g1", "60s");
    let before = scene.host.now().unwrap();
    scene.host.destroy("g1").unwrap();
    let ran = Ran::of(sampler.wait().unwrap());
    let took = (scene.host.now().unwrap() - before).as_secs_f64();
    assert!(took < 60.0, "it went on for {took} s");
    assert_eq!((ran.status, &ran.json()["ended"]), (0, &"domain_gone".into()), "{}", ran.all());
    let said = format!("domain {} went away, which ended the sample", guest.domid);
    assert!(ran.stderr.contains(&said), "{}", ran.all());
    scene.no_notes();

    // And a check says so as a reason.
    scene.guest("g1", "hot:2000,1000");
    let script = r#"(sleep 1.5; xl destroy g1) & "$@"; status=$?; wait; exit $status"#;
    let check = [XENMIG, "check", "g1", "--bandwidth", "1Gbit/s", "--json"];
    let ran = scene.run(&[&["bash", "-c", script, "bash"], &check[..]].concat());
    assert_eq!(ran.status, 1, "{}", ran.all());
    let document = ran.json();
    let reasons = codes(&document);
    let known = |code: &&str| ["domain-gone", "domain-dying"].contains(code);
    assert!(reasons.iter().any(known), "{}", ran.all());
    scene.no_notes();
}

#[test]
fn a_dying_domain_is_left_alone() {
    let Some((scene, guest)) = Scene::with_guest() else { return };
    let id = guest.domid.to_string();
    let sampler = scene.sampling("g1", "60s");
    // The console daemon holds one of its pages; while it sleeps, the domain cannot go.
    let script = r#"kill -STOP $(pidof xenconsoled); timeout 20 xl destroy "$1"; xl list"#;
    scene.run(&["bash", "-c", script, "bash", &id]);
    let ran = scene.xenmig(&["check", &id, "--bandwidth", "1Gbit/s", "--json"]);
    let sampled = scene.xenmig(&["sample", &id]);
    scene.host.shell("kill -CONT $(pidof xenconsoled)", &[]).unwrap();

    // Xen answers a sampler that is at work as if nothing were dirty any more.
    let during = Ran::of(sampler.wait().unwrap());
    assert_eq!(during.json()["ended"], "domain_gone", "{}", during.all());
    let check = ran.json();
    assert_eq!(ran.status, 1, "{}", ran.all());
    assert!(codes(&check).contains(&"domain-dying"), "{}", ran.all());
    assert!(check["measured"].is_null(), "{}", ran.all());
    sampled.refused(64, &[&format!("domain {id} is being torn down")]);
    scene.no_notes();
}

#[test]
fn a_second_sampler_of_the_same_guest_is_refused() {
    let Some((scene, guest)) = Scene::with_guest() else { return };
    let id = guest.domid;
    scene.guest("g2", "idle");
    let sampler = scene.sampling("g1", "20s");
    let said = format!("another xenmig samples or migrates domain {id}");
    scene.xenmig(&["sample", "g1"]).refused(70, &[&said, "hint: wait"]);
    // Another guest can be sampled, and nobody cleans up after a sampler that lives.
    let ran = scene.xenmig(&["sample", "g2", "--window", "1s", "--windows", "1"]);
    assert_eq!((ran.status, ran.stderr.as_str()), (0, ""), "{}", ran.all());
    let ran = scene.xenmig(&["recover"]);
    assert_eq!(ran.stdout.trim(), "Nothing to clean up.", "{}", ran.all());
    let ran = Ran::of(sampler.wait().unwrap());
    assert_eq!((ran.status, &ran.json()["ended"]), (0, &"complete".into()), "{}", ran.all());
    scene.log_is_off("g1");
    scene.intact("g1");
}
