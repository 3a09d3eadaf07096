//! `xenmig sample`: what it shows, what it writes, and that it lets go when it has to.
#![allow(clippy::unwrap_used, reason = "these are tests")]

mod common;

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use common::{FAULTY, Place, faulty, sim};
use insta::assert_snapshot;

#[test]
fn the_curve_of_a_bursty_domain() {
    assert_snapshot!(sim(&["sample", "db"]).all());
}

#[test]
fn the_curve_without_unicode() {
    let place = Place::new();
    let mut command = place.command(&["--host", "sim", "sample", "web", "--windows", "1"]);
    assert_snapshot!(common::Ran::of(command.env("LC_ALL", "C")).all());
}

#[test]
fn the_hottest_pages() {
    assert_snapshot!(sim(&["sample", "db", "--bitmap", "--window", "2s"]).all());
}

#[test]
fn the_document_of_a_sample() {
    let arguments = ["sample", "idle", "--json", "--bitmap", "--windows", "2", "--window", "1s"];
    assert_snapshot!(sim(&arguments).all());
}

#[test]
fn a_domain_can_be_named_by_its_number() {
    let sample = |domain| sim(&["sample", domain, "--json"]).stdout;
    assert_eq!(sample("3"), sample("db"));
}

#[test]
fn an_unknown_domain_is_a_wrong_argument() {
    sim(&["sample", "nobody"]).refused(64, &["there is no domain `nobody`", "hint: `xl list`"]);
    sim(&["sample", "99"]).refused(64, &["there is no domain 99"]);
}

#[test]
fn a_trace_that_cannot_be_written_costs_the_guest_nothing() {
    sim(&["sample", "db", "--trace", "no/such/directory"]).refused(65, &["no/such/directory"]);
}

#[test]
fn a_domain_that_somebody_else_logs() {
    faulty(&["sample", "owned"]).refused(70, &["somebody else"]);
    faulty(&["sample", "arriving"]).refused(70, &["just arriving"]);
    faulty(&["sample", "pv"]).refused(70, &["cannot log the dirty pages", "shadow paging"]);
    faulty(&["sample", "Domain-0"]).refused(70, &["cannot be migrated"]);
}

#[test]
fn a_save_that_begins_ends_the_sample() {
    let ran = faulty(&["sample", "leaving", "--json"]);
    assert_eq!(ran.status, 0, "{}", ran.all());
    assert_eq!(ran.json()["ended"], "save_began");
    assert!(ran.stderr.contains("a save of domain 7 began"), "{}", ran.stderr);
}

#[test]
fn a_domain_that_vanishes_ends_the_sample() {
    let ran = faulty(&["sample", "vanishing", "--json"]);
    assert_eq!((ran.status, &ran.json()["ended"]), (0, &"domain_gone".into()), "{}", ran.all());
}

#[test]
fn an_interrupted_sample_shows_what_it_saw() {
    let ran = faulty(&["sample", "stopped", "--json"]);
    assert_eq!(ran.status, 130, "{}", ran.all());
    assert_eq!(ran.json()["ended"], "interrupted");
    assert!(!ran.json()["curve"].as_array().unwrap().is_empty());
    assert!(ran.stderr.contains("the dirty log of domain 10 is off"), "{}", ran.stderr);
}

/// A real signal, in real time: the sample must end at once, with the dirty log off.
fn signalled(signal: &str) {
    let place = Place::new().file("slow.toml", format!("real_time = true\n{FAULTY}"));
    let arguments = ["--host", "sim:slow.toml", "sample", "left-on", "--json", "--window", "60s"];
    let mut command = place.command(&arguments);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut stderr = BufReader::new(child.stderr.take().unwrap());
    let mut line = String::new();
    // It is said after signals are watched for, and just before sampling begins.
    while !line.contains("left its dirty log on") {
        line.clear();
        assert!(stderr.read_line(&mut line).unwrap() > 0, "it ended early");
    }
    std::thread::sleep(Duration::from_millis(100));
    let sent = Instant::now();
    let kill = Command::new("kill").args([signal, &child.id().to_string()]).status().unwrap();
    assert!(kill.success());
    let output = child.wait_with_output().unwrap();
    assert!(sent.elapsed() < Duration::from_secs(5), "{:?}", sent.elapsed());
    assert_eq!(output.status.code(), Some(130), "{output:?}");
    let document: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(document["ended"], "interrupted");
}

#[test]
fn ctrl_c_ends_a_sample_at_once() {
    signalled("-INT");
}

#[test]
fn sigterm_ends_a_sample_at_once() {
    signalled("-TERM");
}
