//! `hostinfo`, `check --to` and `place` as a user or a script sees them. The other hosts are
//! simulated ones, and stand behind a script in ssh's place.
#![allow(clippy::unwrap_used, reason = "these are tests")]

mod common;

use common::{Place, Ran, codes, sim};
use insta::assert_snapshot;
use serde_json::Value;

/// A host with much to spare, and one with two busy guests on its two CPUs.
const ROOMY: &str = "[host]\nname = 'h2'\ncpus = 16\npaths = ['/dev/drbd0']\n";
const BUSY: &str = "[host]\nname = 'h3'\ncpus = 2\n\
    [[domain]]\nname = 'build'\nmemory = '2GiB'\ncpu = 0.9\n\
    [[domain]]\nname = 'video'\nmemory = '2GiB'\ncpu = 0.8\n";
/// A host that no guest of the built-in one may go to.
const UNFIT: &str = "[host]\nname = 'h4'\nxen_version = '4.14.6'\nbridges = ['br1']\n\
    memory = '5GiB'\nfeatures = '178bfbff:00000201'\n";

/// In ssh's place: runs what it is told on the host that the scene HOST.toml describes.
const SSH: &str = r#"#!/bin/sh
[ -f "$1.toml" ] || { echo "ssh: connect to host $1 port 22: No route to host" >&2; exit 255; }
eval "set -- $1 $2"
host=$1
shift 2
exec "$XENMIG" --config /dev/null --host "sim:$host.toml" "$@"
"#;

/// A place with these hosts, their inventories and the script.
fn place() -> Place {
    let mut place = Place::new().file("ssh.sh", SSH);
    for (name, scene) in [("h2", ROOMY), ("h3", BUSY), ("h4", UNFIT)] {
        place = place.file(&format!("{name}.toml"), scene);
        let host = format!("sim:{name}.toml");
        let json = place.run(&["--host", &host, "hostinfo", "--json"]).stdout;
        place = place.file(&format!("{name}.json"), json);
    }
    place
}

/// Runs it with the script in ssh's place.
fn over_ssh(place: &Place, arguments: &[&str]) -> Ran {
    let all = [&["--host", "sim"], arguments, &["-s", "sh ./ssh.sh"]].concat();
    let mut command = place.command(&all);
    Ran::of(command.env("XENMIG", env!("CARGO_BIN_EXE_xenmig")))
}

fn reason<'a>(check: &'a Value, code: &str) -> &'a Value {
    let reasons = check["reasons"].as_array().unwrap();
    reasons.iter().find(|reason| reason["code"] == code).unwrap_or_else(|| panic!("{check}"))
}

#[test]
fn what_a_host_tells_of_itself() {
    assert_snapshot!(sim(&["hostinfo", "--disk", "/dev/drbd0"]).all());
}

#[test]
fn the_document_of_a_host() {
    assert_snapshot!(sim(&["hostinfo", "--disk", "/dev/drbd0", "--json"]).all());
}

#[test]
fn a_check_with_a_fit_target() {
    assert_snapshot!(place().sim(&["check", "web", "--to-file", "h2.json"]).all());
}

#[test]
fn a_check_with_an_unfit_target() {
    let ran = place().sim(&["check", "web", "--to-file", "h4.json"]);
    assert_eq!(ran.status, 1);
    assert_snapshot!(ran.all());
}

#[test]
fn the_target_is_a_new_field_and_only_where_one_was_named() {
    let check = place().sim(&["check", "web", "--to-file", "h2.json", "--json"]).json();
    assert_eq!(check["schema"], "xenmig.check/1");
    let target = &check["target"];
    assert_eq!((&target["name"], &target["cpus"]), (&"h2".into(), &16.into()));
    let free = |field: &str| target[field].as_f64().unwrap();
    assert!(free("free_cpus_with_guest") < free("free_cpus"), "{target}");
    assert!(sim(&["check", "web", "--json"]).json().get("target").is_none());
}

#[test]
fn a_busy_guest_does_not_go_to_a_busy_host() {
    let place = place();
    let ran = place.sim(&["check", "web", "--to-file", "h3.json", "--json"]);
    assert_eq!(ran.status, 2, "{}", ran.all());
    let check = ran.json();
    let load = reason(&check, "target-saturated");
    let message = load["message"].as_str().unwrap();
    assert!(message.contains("beside build (0.90 CPUs) and video (0.80 CPUs)"), "{message}");
    assert!(message.ends_with("(paper, conclusion e)"), "{message}");
}

#[test]
fn over_ssh_the_answer_is_the_same_and_disks_are_asked_for() {
    let scene = "[[domain]]\nname = 'web'\nmemory = '1GiB'\n\
        setup = { can_suspend = true, disk_paths = ['/dev/drbd0', \"/srv/it's here.iso\"] }\n";
    let place = place().file("own.toml", scene);
    let check = |more: &[&str]| {
        let start = ["--host", "sim:own.toml", "check", "web", "--json", "-s", "sh ./ssh.sh"];
        let mut command = place.command(&[&start, more].concat());
        Ran::of(command.env("XENMIG", env!("CARGO_BIN_EXE_xenmig"))).json()
    };
    let asked = check(&["--to", "h2"]);
    let missing = &reason(&asked, "target-disk")["evidence"]["disks"];
    assert_eq!(missing, &serde_json::json!(["/srv/it's here.iso"]));
    assert_eq!(asked["target"]["name"], "h2");
    // A file that was written without these paths does not know.
    let from_file = check(&["--to-file", "h2.json"]);
    assert_eq!(reason(&from_file, "target-disk")["severity"], "info");
}

#[test]
fn settings_for_the_target_count() {
    let config = "[link]\nbandwidth = '1Gbit/s'\n[[target]]\nname = 'h2'\nbandwidth = '5Gbit/s'\n";
    let place = place().file("xenmig.toml", config);
    let check = |more: &[&str]| {
        let command = ["check", "web", "--json", "--config", "xenmig.toml"];
        place.sim(&[&command, more].concat()).json()["bandwidth_bytes_per_s"].clone()
    };
    assert_eq!(check(&["--to-file", "h2.json"]), 625e6);
    assert_eq!(check(&["--to-file", "h3.json"]), 125e6);
    assert_eq!(check(&[]), 125e6);
}

#[test]
fn a_host_that_gives_no_answer_is_an_error_that_says_why() {
    let place = place()
        .file("none.sh", "echo 'xenmig: not found' >&2; exit 127")
        .file("old.sh", "echo \"error: unrecognized subcommand 'hostinfo'\" >&2; exit 64")
        .file("cut.sh", "head -c 200 h2.json")
        .file("new.sh", "sed s,hostinfo/1,hostinfo/9, h2.json")
        .file("slow.sh", "exec sleep 60");
    over_ssh(&place, &["check", "web", "--to", "h9"])
        .refused(69, &["h9 cannot be reached", "No route to host"]);
    for (script, status, words) in [
        ("none.sh", 69, &["h2 has no xenmig", "not found", "hint: install xenmig"][..]),
        ("old.sh", 69, &["does not know `hostinfo`", "same xenmig on both"]),
        ("cut.sh", 65, &["the answer of h2 is cut off"]),
        ("new.sh", 65, &["xenmig.hostinfo/9", "reads `xenmig.hostinfo/1`"]),
        ("slow.sh", 69, &["h2 did not answer within 200 ms"]),
    ] {
        let way = format!("sh ./{script}");
        let check = ["check", "web", "--to", "h2", "-s", &way];
        let more: &[&str] = if script == "slow.sh" { &["--timeout", "200ms"] } else { &[] };
        place.sim(&[&check, more].concat()).refused(status, words);
    }
    place.sim(&["check", "web", "--to-file", "none.json"]).refused(65, &["none.json"]);
    place.sim(&["check", "web", "--to", "-x"]).refused(64, &["unexpected argument"]);
    place.sim(&["check", "web", "--to", "a;b"]).refused(64, &["`a;b` is no host's name"]);
    let both = ["check", "web", "--to", "h2", "--to-file", "h2.json"];
    place.sim(&both).refused(64, &["cannot be used with"]);
    place.sim(&["check", "web", "--timeout", "soon"]).refused(64, &["--timeout"]);
}

#[test]
fn a_domain_that_does_not_exist_asks_no_host() {
    let ran = place().sim(&["check", "nobody", "--to", "h9", "-s", "false", "--json"]);
    assert_eq!((ran.status, codes(&ran.json())), (1, vec!["no-such-domain"]));
}

#[test]
fn hosts_are_ranked() {
    let ran = over_ssh(&place(), &["place", "web", "--hosts", "h9,h4,h3,h2"]);
    assert_eq!(ran.status, 0, "{}", ran.all());
    assert_snapshot!(ran.all());
}

#[test]
fn the_document_of_a_ranking() {
    let ran = place().sim(&["place", "idle", "--hosts-files", "h4.json,h2.json", "--json"]);
    let document = ran.json();
    let keys: Vec<_> = document["hosts"][0].as_object().unwrap().keys().cloned().collect();
    assert_eq!(document["schema"], "xenmig.place/1");
    assert_eq!((ran.status, &document["best"]), (0, &"h2".into()));
    let names: Vec<_> =
        document["hosts"].as_array().unwrap().iter().map(|h| h["name"].clone()).collect();
    assert_eq!(names, ["h2", "h4"]);
    let mut expected = [
        "name",
        "fit",
        "verdict",
        "reasons",
        "predicted",
        "budget",
        "bandwidth_bytes_per_s",
        "bandwidth_source",
        "target",
        "headroom",
        "error",
    ];
    expected.sort_unstable();
    assert_eq!(keys, expected);
}

#[test]
fn without_a_fit_host_the_exit_status_is_1() {
    let place = place();
    let ran = place.sim(&["place", "web", "--hosts-files", "h3.json,h4.json", "--json"]);
    let document = ran.json();
    assert_eq!(ran.status, 1, "{}", ran.all());
    assert!(document["best"].is_null());
    assert_eq!(document["hosts"][0]["verdict"], "wait");
    let nobody = over_ssh(&place, &["place", "web", "--hosts", "h8,h9"]);
    assert_eq!(nobody.status, 69, "{}", nobody.all());
    assert!(nobody.stdout.contains("no host has told of itself"), "{}", nobody.all());
    place.sim(&["place", "web"]).refused(64, &["--hosts"]);
    place.sim(&["place", "nobody", "--hosts-files", "h2.json"]).refused(64, &["nobody"]);
}

#[test]
fn no_line_is_wider_than_80_columns() {
    let place = place();
    let check = |file: &str| place.sim(&["check", "batch", "--to-file", file]);
    let ranking = over_ssh(&place, &["place", "web", "--hosts", "h9,h4,h3,h2"]);
    for ran in [check("h2.json"), check("h3.json"), check("h4.json"), ranking] {
        for line in ran.stdout.lines() {
            assert!(line.chars().count() <= 80, "{line}");
        }
    }
}

#[test]
fn a_migration_judges_its_target_when_it_is_told_to() {
    let place = place();
    let ran = over_ssh(&place, &["migrate", "web", "h4", "--judge-target", "--json"]);
    assert_eq!(ran.status, 1, "{}", ran.all());
    let report: Value = serde_json::from_str(ran.stdout.lines().last().unwrap()).unwrap();
    let reasons = report["reasons"].as_array().unwrap();
    assert!(reasons.contains(&"target-xen-older".into()), "{report}");
    assert_eq!(over_ssh(&place, &["migrate", "web", "h4"]).status, 0);
    assert_eq!(over_ssh(&place, &["migrate", "web", "h2", "--judge-target"]).status, 0);
    let away = over_ssh(&place, &["migrate", "web", "h9", "--judge-target"]);
    away.refused(69, &["No route to host"]);
}
