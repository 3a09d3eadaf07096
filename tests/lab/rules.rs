//! Each conclusion of the paper, applied by a rule of the gate to a guest that calls for it.

use serde_json::Value;

use crate::scene::Scene;

/// 20 Mbit/s: no guest here converges over it.
const LINK: [&str; 2] = ["--bandwidth", "2500000B/s"];

/// Fails unless a check of `name` gives a reason with this code that names this conclusion.
#[track_caller]
fn fires(scene: &Scene, name: &str, arguments: &[&str], expected: &[(&str, char)]) {
    let ran = scene.xenmig(&[&["check", name, "--json"], &LINK[..], arguments].concat());
    let check = ran.json();
    let reasons = check["reasons"].as_array().unwrap();
    for (code, conclusion) in expected {
        let named = format!("(paper, conclusion {conclusion})");
        let is = |reason: &&Value| {
            let message = reason["message"].as_str().unwrap();
            reason["code"] == *code && message.ends_with(&named)
        };
        assert!(reasons.iter().any(|reason| is(&reason)), "{code} {named}: {}", ran.all());
    }
}

#[test]
fn every_conclusion_of_the_paper_is_applied_on_real_xen() {
    let Some(scene) = Scene::new() else { return };
    scene.guest("g1", "hot:4000,4000");
    fires(
        &scene,
        "g1",
        &["--downtime", "100ms"],
        &[("downtime-over-budget", 'g'), ("resends-much", 'd')],
    );
    fires(&scene, "g1", &["--total", "1s"], &[("memory-too-large", 'c')]);
    let costs = b"[costs]\nfinish = \"100ms\"\nper_p2m_page_s = 5e-6\n";
    scene.host.push_bytes(costs, "/root/large.toml", 0o644).unwrap();
    let large = ["--config", "/root/large.toml"];
    fires(&scene, "g1", &large, &[("downtime-grows-with-memory", 'b')]);
    scene.host.destroy("g1").unwrap();

    scene.guest("g2", "burst:3000,4000,3000,3000");
    let windows = ["--window", "1s", "--windows", "6", "--downtime", "1s"];
    fires(&scene, "g2", &windows, &[("downtime-at-risk", 'f')]);

    // Beside a guest that computes all the time, on the host's only CPU.
    scene.guest("g3", "cpu:1.0");
    fires(&scene, "g2", &["--window", "1s"], &[("host-saturated", 'e')]);
    scene.host.destroy("g2").unwrap();
    fires(&scene, "g3", &["--window", "1s"], &[("guest-load-on-short-host", 'a')]);
}
