//! What the commands answer about guests whose behaviour is known.

use serde_json::Value;

use crate::scene::{Scene, codes, curve};

/// Pages of the hot set, and writes per second to random ones of them.
const HOT: (f64, f64) = (4000.0, 2000.0);

/// 20 Mbit/s: so slow that what the emulated host adds is little of the total time.
const RATE: u64 = 2_500_000;

#[test]
fn check_measures_the_workload_and_predicts_the_migration() {
    let Some(scene) = Scene::new() else { return };
    let guest = scene.guest("g1", "hot:4000,2000");
    let id = guest.domid.to_string();
    let rate = format!("{RATE}B/s");
    let asked = ["--bandwidth", &rate, "--downtime", "unlimited", "--json"];

    let ran = scene.xenmig(&[&["check", "g1"], &asked[..]].concat());
    assert_eq!(ran.status, 0, "{}", ran.all());
    let check = ran.json();
    assert_eq!((&check["schema"], &check["verdict"]), (&"xenmig.check/1".into(), &"go".into()));
    let domain = &check["domain"];
    assert_eq!((&domain["domid"], &domain["name"]), (&guest.domid.into(), &"g1".into()));
    assert_eq!((&domain["type"], &domain["vcpus"]), (&"pvh".into(), &1.into()));
    let memory = domain["memory_bytes"].as_f64().unwrap() / 1048576.0;
    assert!((90.0..97.0).contains(&memory), "{memory} MiB");
    assert_eq!(check["bandwidth_bytes_per_s"], RATE as f64);
    assert_eq!(check["bandwidth_source"], "given");

    let measured = &check["measured"];
    is_the_workload(&curve(&measured["curve"]));
    let used = measured["vcpu_utilisation"][0].as_f64().unwrap();
    assert!((0.005..0.5).contains(&used), "{used}");
    let rounds = check["predicted"]["rounds"].as_array().unwrap();
    assert!((2..=6).contains(&rounds.len()), "{rounds:?}");

    // By its number it is the same domain.
    let by_id = scene.xenmig(&[&["check", &id], &asked[..]].concat());
    assert_eq!((by_id.status, by_id.json()["domain"].clone()), (0, domain.clone()));

    // A budget that it cannot keep.
    let tight = scene.xenmig(&["check", &id, "--bandwidth", &rate, "--total", "1s", "--json"]);
    assert_eq!(tight.status, 1, "{}", tight.all());
    assert!(codes(&tight.json()).contains(&"memory-too-large"), "{}", tight.all());

    let predicted = check["predicted"]["total_s"].as_f64().unwrap();
    let actual = scene.host.migrate("g1", Some(RATE)).unwrap().elapsed.as_secs_f64();
    println!("total time: predicted {predicted:.2} s, actual {actual:.2} s");
    assert!((predicted / actual - 1.0).abs() < 0.25, "predicted {predicted} s, took {actual} s");
    scene.intact("g1");
}

#[test]
fn sample_writes_a_trace_and_finds_hot_pages() {
    let Some(scene) = Scene::new() else { return };
    scene.guest("g1", "hot:4000,2000");
    scene.guest("g2", "cpu:0.4,200,100");

    let command = ["sample", "g1", "--window", "4s", "--windows", "2", "--bitmap", "--json"];
    let ran = scene.xenmig(&[&command, &["--trace", "/root/g1.trace"][..]].concat());
    assert_eq!(ran.status, 0, "{}", ran.all());
    let sample = ran.json();
    assert_eq!(sample["schema"], "xenmig.sample/1");
    let windows = sample["windows"].as_array().unwrap();
    // After each of the two come two brief ones.
    assert_eq!(windows.len(), 6);
    for window in windows {
        assert_eq!(window["ended"], "complete");
    }
    for window in windows.iter().step_by(3) {
        is_the_workload(&curve(&window["curve"]));
    }
    // Of 4000 pages each window sees 1 - exp(-2), and both see the square of it.
    let hot = &sample["hot"];
    let pages = |name: &str| hot[name].as_f64().unwrap();
    assert!((2850.0..3600.0).contains(&pages("pages_in_every_window")), "{hot}");
    assert!((3850.0..4700.0).contains(&pages("pages_in_some_window")), "{hot}");
    let ranges = hot["ranges"].as_array().unwrap();
    let number = |range: &Value, name: &str| range[name].as_f64().unwrap();
    let dirtied = ranges.iter().map(|range| number(range, "pages") * number(range, "density"));
    assert!((2000.0..4500.0).contains(&dirtied.sum::<f64>()), "{hot}");

    let predict = ["predict", "--trace", "/root/g1.trace", "--bandwidth", "2500000B/s,1Gbit/s"];
    let ran = scene.xenmig(&[&predict, &["--policy", "stock", "--json"][..]].concat());
    assert_eq!(ran.status, 0, "{}", ran.all());
    let rows = ran.json();
    assert_eq!(
        (&rows["schema"], rows["rows"].as_array().unwrap().len()),
        (&"xenmig.predict/1".into(), 2)
    );
    let total = |row: usize| rows["rows"][row]["total_s"].as_f64().unwrap();
    let once = 96.0 * 1048576.0 / RATE as f64;
    assert!((once * 0.9..once * 3.0).contains(&total(0)), "{rows}");
    assert!(total(1) < total(0), "{rows}");

    // A guest that computes 40 % of its time, and little else.
    let ran = scene.xenmig(&["sample", "g2", "--window", "3s", "--windows", "1", "--json"]);
    let used = ran.json()["vcpu_utilisation"][0].as_f64().unwrap();
    assert!((0.28..0.55).contains(&used), "{used}");
    for guest in ["g1", "g2"] {
        scene.intact(guest);
        scene.log_is_off(guest);
    }
}

#[test]
fn text_is_readable() {
    let Some(scene) = Scene::new() else { return };
    scene.guest("g1", "burst:1000,2000,500,500");
    let commands: [(&[&str], &str); 6] = [
        (&["doctor"], "This host can do"),
        (&["recover"], "Nothing to clean up."),
        (&["check", "g1", "--bandwidth", "1Gbit/s"], "GO      g1"),
        (&["check", "g1"], "WAIT    g1"),
        (&["sample", "g1", "--windows", "1", "--bitmap"], "Hot pages"),
        (&["predict", "g1", "--bandwidth", "1Gbit/s,10Gbit/s"], "10.0 Gbit/s"),
    ];
    for (command, part) in commands {
        let ran = scene.xenmig(command);
        let verdict = if command.len() == 2 && command[0] == "check" { 2 } else { 0 };
        assert_eq!(ran.status, verdict, "{}", ran.all());
        assert_eq!(ran.stderr, "", "{}", ran.all());
        assert!(ran.stdout.contains(part), "no `{part}`: {}", ran.all());
        for line in ran.stdout.lines() {
            assert!(line.chars().count() <= 80, "longer than 80: {line}");
            let odd = line.chars().find(|c| c.is_control() || *c == char::REPLACEMENT_CHARACTER);
            assert_eq!(odd, None, "{line:?}");
            assert!(
                !["NaN", "inf ", "Some(", "None"].iter().any(|bad| line.contains(bad)),
                "{line}"
            );
        }
    }
    let doctor = scene.xenmig(&["doctor", "--json"]).json();
    let findings = doctor["findings"].as_array().unwrap();
    let bad: Vec<&Value> = findings.iter().filter(|finding| finding["state"] == "bad").collect();
    assert!(bad.is_empty() && findings.len() >= 4, "{doctor}");
}

/// Fails unless the curve does not fall and is W(t) of the workload, plus what the guest's kernel
/// dirties besides.
#[track_caller]
fn is_the_workload(points: &[(f64, f64)]) {
    assert!(points.len() > 8, "{points:?}");
    for pair in points.windows(2) {
        assert!(pair[0].0 < pair[1].0 && pair[0].1 <= pair[1].1, "falls: {points:?}");
    }
    let (pages, writes) = HOT;
    for &(t, dirtied) in points.iter().filter(|(t, _)| *t > 0.05) {
        let truth = pages * (1.0 - (-writes * t / pages).exp());
        let most = truth * 1.05 + 200.0;
        assert!((truth * 0.95 - 40.0..most).contains(&dirtied), "{dirtied} at {t}: {truth}");
    }
}
