//! `xenmig window`: what it recommends from a log, and when it does not.
#![allow(clippy::unwrap_used, reason = "these are tests")]

mod common;
#[path = "common/recorded.rs"]
mod recorded;

use common::{Place, Ran};
use insta::assert_snapshot;
use recorded::recorded;

/// Quiet at midnight; and one that is always the same.
const SCENE: &str = r#"
link = "1Gbit/s"
finish = "50ms"
[[domain]]
name = "web"
memory = "1GiB"
[[domain.workload]]
kind = "diurnal"
low = 10
high = 60000
pages = 200000
[[domain]]
name = "flat"
memory = "1GiB"
[[domain.workload]]
kind = "steady"
rate = 2000
pages = 9000
"#;

/// A log of some days.
fn log(length: &str) -> Place {
    let log = recorded(SCENE, length, "20min");
    Place::new().file("scene.toml", SCENE).file("log.sqlite", log)
}

fn window(place: &Place, words: &[&str]) -> Ran {
    let all = [&["--host", "sim:scene.toml", "window"], words, &["--store", "log.sqlite"]].concat();
    let mut command = place.command(&all);
    Ran::of(command.env("TZ", "UTC"))
}

/// Thursday noon, ten days after the log began.
const NOON: [&str; 4] = ["--at", "2026-01-15T12:00", "--horizon", "2d"];

#[test]
fn nights_are_recommended_for_a_load_that_sleeps() {
    let place = log("10d");
    let ran = window(&place, &[&["web", "--downtime", "300ms"], &NOON[..]].concat());
    assert_snapshot!(ran.all());
    let ran = window(&place, &[&["web", "--downtime", "300ms", "--json"], &NOON[..]].concat());
    let document = ran.json();
    assert_eq!(document["schema"], "xenmig.window/1");
    assert_eq!(document["pattern"], "daily");
    for window in document["windows"].as_array().unwrap() {
        assert!(window["downtime_p90_s"].as_f64().unwrap() <= 0.3, "{window}");
        let hour: u32 = window["from"].as_str().unwrap()[11..13].parse().unwrap();
        assert!(!(4..=20).contains(&hour), "{window}");
    }
}

#[test]
fn no_time_is_recommended_where_none_keeps_the_budget() {
    let place = log("5d");
    let words = [&["web", "--downtime", "40ms"], &["--at", "2026-01-10T12:00"][..]].concat();
    let ran = window(&place, &words);
    assert_eq!(ran.status, 0);
    let said = ran.stdout.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(said.contains("no time in the next 7.00 days keeps the budget"), "{}", ran.stdout);
}

#[test]
fn a_load_without_a_pattern_and_a_short_history_are_told() {
    let place = log("5d");
    let ran = window(&place, &["flat", "--at", "2026-01-10T12:00"]);
    assert!(ran.stdout.contains("any time is as good as any other"), "{}", ran.stdout);
    let place = log("1d");
    let ran = window(&place, &["web", "--at", "2026-01-06T12:00"]);
    assert!(ran.stdout.contains("the history is too short"), "{}", ran.stdout);
}

#[test]
fn what_is_old_is_said_to_be() {
    let place = log("4d");
    let ran = window(&place, &["web", "--at", "2026-02-15T12:00"]);
    assert!(ran.stdout.contains("is `xenmig record` running?"), "{}", ran.stdout);
}

#[test]
fn wrong_words_are_told() {
    let place = log("1h");
    window(&place, &["nobody"]).refused(64, &["has nothing of domain `nobody`"]);
    window(&place, &["web", "--at", "soon"]).refused(64, &["--at: `soon` is no time"]);
    let nothing = Place::new();
    let words = ["--host", "sim", "window", "web", "--store", "none.sqlite"];
    nothing.run(&words).refused(64, &["there is no log none.sqlite", "`xenmig record` keeps it"]);
    let words = ["--host", "sim", "window", "web", "--prometheus", "http://127.0.0.1:9"];
    nothing.run(&words).refused(65, &["cannot ask Prometheus at http://127.0.0.1:9"]);
}
