//! `xenmig top` without a screen: the plain table, the document, the lines.
#![allow(clippy::unwrap_used, reason = "these are tests")]

mod common;

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use common::{FAULTY, Place, Ran, faulty, sim};
use insta::assert_snapshot;
use serde_json::Value;

#[test]
fn the_table_once() {
    assert_snapshot!(sim(&["top", "--once"]).all());
}

#[test]
fn the_table_of_domains_that_cannot_be_sampled() {
    let scene = FAULTY.replace("fault.interrupted_after", "# ");
    let place = Place::new().file("faulty.toml", scene);
    assert_snapshot!(place.run(&["--host", "sim:faulty.toml", "top", "--once"]).all());
}

#[test]
fn the_table_is_plain_and_not_wider_than_80_columns() {
    let ran = sim(&["top", "--once"]);
    assert!(!ran.all().contains('\x1b'));
    assert!(ran.stdout.lines().all(|line| line.chars().count() <= 80), "{}", ran.stdout);
}

#[test]
fn the_document_has_the_fields_that_the_contract_names() {
    let document = sim(&["top", "--once", "--json"]).json();
    let keys = |of: &Value| -> Vec<String> { of.as_object().unwrap().keys().cloned().collect() };
    let sorted = |names: &[&str]| {
        let mut names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
        names.sort();
        names
    };
    assert_eq!(document["schema"], "xenmig.top/1");
    assert_eq!(keys(&document), sorted(&["schema", "host", "domains"]));
    let host = ["cpus", "cpu_utilisation", "memory_bytes", "free_memory_bytes"];
    assert_eq!(keys(&document["host"]), sorted(&host));
    let domain = [
        "domid",
        "name",
        "type",
        "memory_bytes",
        "vcpus",
        "state",
        "vcpu_utilisation",
        "dirty_rates_pages_per_s",
        "checked_s_ago",
        "check",
    ];
    let domains = document["domains"].as_array().unwrap();
    let names: Vec<_> = domains.iter().map(|domain| domain["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["Domain-0", "idle", "web", "db", "batch"]);
    assert!(domains.iter().all(|of| keys(of) == sorted(&domain)), "{document}");
    assert_eq!(domains[2]["check"]["schema"], "xenmig.check/1");
    assert_eq!(domains[2]["state"], "running");
    assert_eq!(domains[2]["vcpu_utilisation"].as_array().unwrap().len(), 2);
}

#[test]
fn options_hold_for_every_domain() {
    let document =
        sim(&["top", "--once", "--json", "--bandwidth", "1Gbit/s", "--downtime", "40ms"]).json();
    for domain in document["domains"].as_array().unwrap() {
        assert_eq!(domain["check"]["bandwidth_bytes_per_s"], 125e6);
        assert_eq!(domain["check"]["budget"]["downtime_s"], 0.04);
    }
}

#[test]
fn a_domain_being_saved_is_not_sampled_and_says_why() {
    let document = faulty(&["top", "--once", "--json"]).json();
    let domains = document["domains"].as_array().unwrap();
    let leaving = domains.iter().find(|domain| domain["name"] == "leaving").unwrap();
    let codes = common::codes(&leaving["check"]);
    assert_eq!(leaving["check"]["verdict"], "no-go");
    assert!(codes.iter().any(|code| code.contains("sav")), "{codes:?}");
}

/// The program, printing lines; and what it has printed.
fn lines(
    place: &Place,
    arguments: &[&str],
) -> (std::process::Child, BufReader<impl std::io::Read>) {
    let mut command =
        place.command(&[arguments, &["top", "--json", "--interval", "100ms"]].concat());
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let stdout = BufReader::new(child.stdout.take().unwrap());
    (child, stdout)
}

fn next(lines: &mut impl BufRead) -> Value {
    let mut line = String::new();
    lines.read_line(&mut line).unwrap();
    serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error} in {line:?}"))
}

#[test]
fn a_line_per_refresh_with_one_more_domain_sampled_in_each() {
    let place = Place::new();
    let (mut child, mut stdout) = lines(&place, &["--host", "sim"]);
    let checked = |document: &Value| {
        let domains = document["domains"].as_array().unwrap().iter();
        domains.filter(|domain| !domain["check"]["measured"].is_null()).count()
    };
    let begun = Instant::now();
    let counts: Vec<_> = (0..4).map(|_| checked(&next(&mut stdout))).collect();
    assert_eq!(counts, [1, 2, 3, 4]);
    assert!(begun.elapsed() >= Duration::from_millis(300), "a refresh takes its interval");
    // A reader that has seen enough ends it.
    drop(stdout);
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[test]
fn sigterm_ends_the_lines() {
    let place = Place::new();
    let (child, mut stdout) = lines(&place, &["--host", "sim"]);
    next(&mut stdout);
    let kill = Command::new("kill").args(["-TERM", &child.id().to_string()]).status().unwrap();
    assert!(kill.success());
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), output.stderr.as_slice()), (Some(130), &b""[..]));
}

#[test]
fn without_a_terminal_it_says_what_to_do() {
    sim(&["top"]).refused(64, &["terminal", "hint: ", "--once", "--json"]);
}

#[test]
fn wrong_quantities_are_named() {
    let wrong = |option: &str, value: &str| {
        Place::new().run(&["top", "--once", option, value]).refused(64, &[option]);
    };
    wrong("--downtime", "300");
    wrong("--bandwidth", "fast");
    wrong("--interval", "1s");
    Place::new().run(&["top", "--json", "--interval", "5"]).refused(64, &["--interval", "5min"]);
}

#[test]
fn without_colour_the_words_are_the_same() {
    let place = Place::new();
    let plain = |locale: &str| {
        let mut command = place.command(&["--host", "sim", "top", "--once"]);
        Ran::of(command.env("LC_ALL", locale)).stdout
    };
    assert_eq!(plain("C"), plain("C.UTF-8"));
}
