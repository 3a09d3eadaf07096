//! `xenmig migrate` as a user or a script sees it; the simulator rehearses.

mod common;

use common::{Place, Ran, faulty, sim};
use insta::assert_snapshot;
use serde_json::Value;

/// The JSON lines of a run.
fn lines(ran: &Ran) -> Vec<Value> {
    let read = |line: &str| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"));
    ran.stdout.lines().map(read).collect()
}

#[test]
fn a_migration_that_keeps_its_budget() {
    assert_snapshot!(sim(&["migrate", "web", "h2"]).all());
}

#[test]
fn a_migration_that_nobody_steers() {
    assert_snapshot!(sim(&["migrate", "web", "h2", "--unsteered", "-q"]).all());
}

#[test]
fn a_domain_that_outruns_the_link_is_refused() {
    assert_snapshot!(sim(&["migrate", "batch", "h2", "-q"]).all());
}

#[test]
fn forced_it_is_given_up_when_the_budget_cannot_be_kept() {
    assert_snapshot!(sim(&["migrate", "batch", "h2", "--force"]).all());
}

#[test]
fn at_the_best_moment_that_can_be_had() {
    assert_snapshot!(sim(&["migrate", "batch", "h2", "--on-miss", "stop", "-q"]).all());
}

#[test]
fn what_would_be_done() {
    assert_snapshot!(sim(&["migrate", "idle", "root@h2", "--dry-run", "-s", "ssh -p 2222"]).all());
    let ran = sim(&["migrate", "idle", "h2", "--dry-run", "--json", "-e", "-p", "--debug"]);
    let plan = ran.json();
    assert_eq!((ran.status, &plan["would_start"]), (0, &true.into()));
    assert_eq!(plan["schema"], "xenmig.migrate-plan/1");
    assert_eq!(plan["transport"], "exec ssh h2 xl migrate-receive -e -d -p");
    assert_eq!(plan["check"]["schema"], "xenmig.check/1");
    let transport = ["--transport", "socat - TCP:h2:8002"];
    let plan = sim(&[&["migrate", "idle", "h2", "--dry-run", "--json"], &transport[..]].concat());
    assert_eq!(plan.json()["transport"], "socat - TCP:h2:8002");
    assert_eq!(sim(&["migrate", "batch", "h2", "--dry-run"]).status, 1);
}

#[test]
fn events_are_json_lines_and_the_last_is_the_report() {
    let ran = sim(&["migrate", "web", "h2", "--json"]);
    assert_eq!((ran.status, ran.stderr.as_str()), (0, ""));
    let lines = lines(&ran);
    let (report, events) = lines.split_last().unwrap();
    let names: Vec<_> = events.iter().map(|event| event["event"].as_str().unwrap()).collect();
    for name in ["judged", "stage", "begin", "send", "sent", "decision", "suspended", "end"] {
        assert!(names.contains(&name), "no {name} in {names:?}");
    }
    let keys: Vec<_> = report.as_object().unwrap().keys().map(String::as_str).collect();
    let all = [
        "budget",
        "budget_kept",
        "domain",
        "measured",
        "outcome",
        "paused",
        "predicted",
        "reasons",
        "rehearsed",
        "remembered",
        "schema",
        "steered",
        "stock_because",
        "stopped_because",
        "target",
        "to_be_steered",
        "untidy",
        "verdict",
        "why",
    ];
    assert_eq!(keys, all);
    assert_eq!(report["schema"], "xenmig.migrate/1");
    assert_eq!((&report["outcome"], &report["rehearsed"]), (&"moved".into(), &true.into()));
}

#[test]
fn the_parts_of_downtime_add_up() {
    let ran = sim(&["migrate", "web", "h2", "--json"]);
    let measured = lines(&ran).pop().unwrap()["measured"].clone();
    let s = |name: &str| measured[name].as_f64().unwrap();
    let parts = s("last_copy_s") + s("transport_s") + s("resume_s");
    assert!((parts - s("downtime_s")).abs() < 1e-9, "{measured}");
}

#[test]
fn the_exit_status_says_what_became_of_it() {
    assert_eq!(sim(&["migrate", "idle", "h2"]).status, 0);
    assert_eq!(sim(&["migrate", "batch", "h2"]).status, 1);
    assert_eq!(sim(&["migrate", "batch", "h2", "--force"]).status, 3);
    assert_eq!(faulty(&["migrate", "stopped", "h2"]).status, 130);
    sim(&["migrate", "nobody", "h2"]).refused(64, &["nobody"]);
}

#[test]
fn what_would_lose_the_guest_cannot_be_forced() {
    for domain in ["pinned", "forbidden", "crashed", "paused", "arriving", "leaving", "mute"] {
        let ran = faulty(&["migrate", domain, "h2", "--force", "-q"]);
        assert_eq!(ran.status, 1, "{domain}: {}", ran.all());
        assert!(!ran.stdout.contains("--force goes"), "{domain}: {}", ran.all());
    }
}

#[test]
fn a_host_that_is_none_and_options_that_exclude_each_other() {
    Place::new().run(&["migrate", "db", "h2;reboot"]).refused(64, &["`h2;reboot`"]);
    let option = ["migrate", "db", "--config", "/dev/null", "--", "-oProxyCommand=x"];
    Place::new().run(&option).refused(64, &["`-oProxyCommand=x` is no host"]);
    let both = ["migrate", "db", "h2", "--transport", "x", "-s", "ssh"];
    Place::new().run(&both).refused(64, &["cannot be used with"]);
    Place::new().run(&["migrate", "db"]).refused(64, &["<HOST>"]);
    let miss = ["migrate", "db", "h2", "--on-miss", "pray"];
    Place::new().run(&miss).refused(64, &["abort", "throttle", "stop"]);
}
