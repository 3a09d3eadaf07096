//! What a host tells of itself, and a check of a guest against a target: here the host itself, by a
//! command in ssh's place that runs things at once.

use std::time::Instant;

use serde_json::{Value, json};
use xenlab::in_step;

use crate::scene::{Ran, Scene, XENMIG, codes};

/// Runs what it is told to run at the host that it is told.
const HERE: &str = r#"sh -c 'eval "$1"'"#;

#[test]
fn a_host_tells_of_itself_and_a_guest_is_checked_against_it() {
    let Some((scene, guest)) = Scene::with_guest() else { return };
    let ran = scene.xenmig(&["hostinfo", "--json", "--disk", XENMIG, "--disk", "/nowhere"]);
    assert_eq!((ran.status, ran.stderr.as_str()), (0, ""), "{}", ran.all());
    let host = ran.json();
    is_this_host(&scene, &host, guest.domid);

    // The host itself is as good a target as any, but the guest is there already.
    let to = |more: &[&str]| {
        let check = ["check", "g1", "--bandwidth", "1Gbit/s", "--window", "1s", "--json"];
        scene.xenmig(&[&check, more].concat())
    };
    let ran = to(&["--to", "localhost", "-s", HERE]);
    let check = ran.json();
    let fired = codes(&check);
    let about_target: Vec<_> = fired.iter().filter(|code| code.starts_with("target-")).collect();
    assert_eq!(about_target, [&"target-name-taken"], "{}", ran.all());
    assert_eq!(check["target"]["name"], "localhost");
    assert!(check["target"]["free_cpus_with_guest"].is_number(), "{check}");

    // What the guest was given is read from Xen: a target without the SSE2 of each guest.
    let mut poor = host;
    for set in ["hvm", "hvm_max"] {
        poor["cpu_features"][set] = without_sse2(&poor["cpu_features"][set]);
    }
    poor["xen"]["version"] = "4.11.4".into();
    poor["capacity"]["free_memory_bytes"] = (64 << 20).into();
    poor["load"]["free_cpus"] = 0.1.into();
    let text = serde_json::to_vec(&poor).unwrap();
    scene.host.push_bytes(&text, "/root/poor.json", 0o644).unwrap();
    let ran = to(&["--to-file", "/root/poor.json"]);
    let check = ran.json();
    assert_eq!(ran.status, 1, "{}", ran.all());
    let fired = codes(&check);
    for code in ["target-xen-older", "target-memory", "target-cpu-features"] {
        assert!(fired.contains(&code), "no {code}: {}", ran.all());
    }
    assert!(check["measured"].is_null(), "it is refused before it is sampled: {}", ran.all());
    let features = check["reasons"].as_array().unwrap();
    let features = features.iter().find(|r| r["code"] == "target-cpu-features").unwrap();
    assert_eq!(features["evidence"]["given_known"], true, "{features}");
    assert_eq!(features["evidence"]["missing"], json!(["sse2"]), "{features}");
    assert_eq!(features["severity"], "block", "{features}");

    // Without xenmig at the target.
    let gone = r#"sh -c 'PATH=/nowhere; eval "$1"'"#;
    to(&["--to", "localhost", "-s", gone]).refused(69, &["localhost has no xenmig", "hint: "]);

    let ran = scene.xenmig(&[
        "place",
        "g1",
        "--hosts",
        "localhost",
        "--hosts-files",
        "/root/poor.json",
        "-s",
        HERE,
        "--bandwidth",
        "1Gbit/s",
        "--window",
        "1s",
        "--json",
    ]);
    let document = ran.json();
    assert_eq!(document["hosts"][0]["name"], "localhost", "{}", ran.all());
    assert_eq!(document["hosts"][1]["verdict"], "no-go", "{}", ran.all());
    scene.log_is_off("g1");
    scene.intact("g1");
}

/// What stands in for ssh between two hosts: at the target, whatever comes over a port is run.
const ASKED: &str = "#!/bin/sh\nread -r command\neval \"$command\"\n";
const ASK: &str = r#"#!/bin/sh
host=$1
shift
printf '%s\n' "$*" | socat -t 60 - "TCP:$host:8003"
"#;

#[test]
fn another_host_is_asked_over_the_network() {
    let Some([source, target]) = Scene::two() else { return };
    source.guest("g1", "hot:2000,1000");
    target.host.push_bytes(ASKED.as_bytes(), "/root/asked", 0o755).unwrap();
    source.host.push_bytes(ASK.as_bytes(), "/root/ask", 0o755).unwrap();
    let listen = r#"setsid socat -t 60 TCP-LISTEN:8003,reuseaddr,fork EXEC:/root/asked \
            </dev/null >/var/log/asked.log 2>&1 &
        until ss -Htln "sport = :8003" | grep -q .; do sleep 0.05; done"#;
    target.host.shell(listen, &[]).unwrap();
    let way = target.host.receive(8002, None).unwrap();
    let address = way.split(':').nth(1).unwrap();

    // Neither clock may run away from the other.
    let together = |words: &[&str]| {
        let sampling = ["-s", "/root/ask", "--bandwidth", "1Gbit/s", "--window", "1s", "--json"];
        let words = [words, &sampling].concat();
        let run = || source.host.run([XENMIG].iter().chain(&words));
        let hosts = [&source.host, &target.host];
        Ran::of(in_step(hosts, Instant::now(), run).unwrap().0)
    };
    let ran = together(&["check", "g1", "--to", address]);
    let check = ran.json();
    assert_eq!(check["target"]["name"], address, "{}", ran.all());
    // An idle host of its own: but for Dom0, its CPU is free.
    assert!(check["target"]["free_cpus_with_guest"].as_f64().unwrap() > 0.3, "{}", ran.all());
    let fired = codes(&check);
    let against = ["target-name-taken", "target-memory", "target-xen-older", "target-cpu-features"];
    assert!(!against.iter().any(|code| fired.contains(code)), "{}", ran.all());

    // The first one does not answer.
    let hosts = format!("10.77.0.250,{address}");
    let ran = together(&["place", "g1", "--hosts", &hosts, "--timeout", "2s"]);
    let document = ran.json();
    assert_eq!(document["best"], address, "{}", ran.all());
    assert!(document["hosts"][1]["error"].is_string(), "{}", ran.all());
    source.intact("g1");
}

/// Fails unless the document is about the lab's host with this guest on it.
#[track_caller]
fn is_this_host(scene: &Scene, host: &Value, domid: u32) {
    assert_eq!(host["schema"], "xenmig.hostinfo/1");
    let facts = scene.run(&["xl", "info"]).stdout;
    let fact = |name: &str| {
        let line = facts.lines().find(|line| line.split(':').next().unwrap().trim() == name);
        line.and_then(|line| line.split_once(':')).unwrap().1.trim().to_owned()
    };
    assert_eq!(host["xen"]["version"], fact("xen_version"));
    assert_eq!(host["xen"]["scheduler"], fact("xen_scheduler"));
    assert_eq!(host["name"], fact("host"));
    assert_eq!(host["capacity"]["cpus"].to_string(), fact("nr_cpus"));
    let mib = |value: &Value| value.as_f64().unwrap() / 1048576.0;
    let free: f64 = fact("free_memory").parse().unwrap();
    assert!((mib(&host["capacity"]["free_memory_bytes"]) - free).abs() < 4.0, "{host}");
    let load = &host["load"];
    let window = load["window_s"].as_f64().unwrap();
    assert!((0.9..3.0).contains(&window), "{load}");
    let free = load["free_cpus"].as_f64().unwrap();
    assert!((0.0..=1.0).contains(&free), "{load}");
    let guest = load["domains"].as_array().unwrap().iter().find(|d| d["domid"] == domid).unwrap();
    assert_eq!((&guest["name"], &guest["vcpus"]), (&"g1".into(), &1.into()));
    let used = guest["used_cpus"].as_f64().unwrap();
    assert!((0.001..0.9).contains(&used), "{guest}");
    assert!(host["bridges"].as_array().unwrap().contains(&"xenbr0".into()), "{host}");
    assert_eq!(host["disks"][0], json!({ "path": XENMIG, "exists": true }));
    assert_eq!(host["disks"][1], json!({ "path": "/nowhere", "exists": false }));
    let features = &host["cpu_features"];
    println!("CPU features: {features}");
    assert!(sse2_of(&features["hvm_max"]), "every 64-bit CPU has it: {features}");
}

/// SSE2 is bit 26 of the first word.
const SSE2: u32 = 1 << 26;

fn words(set: &Value) -> Vec<u32> {
    let words = set.as_str().unwrap().split(':');
    words.map(|word| u32::from_str_radix(word, 16).unwrap()).collect()
}

fn sse2_of(set: &Value) -> bool {
    words(set)[0] & SSE2 != 0
}

fn without_sse2(set: &Value) -> Value {
    let mut words = words(set);
    words[0] &= !SSE2;
    let words: Vec<_> = words.iter().map(|word| format!("{word:08x}")).collect();
    words.join(":").into()
}
