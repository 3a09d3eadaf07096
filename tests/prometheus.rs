//! What the real Prometheus makes of the metrics, and what `window` makes of Prometheus.
//! `scripts/test-prometheus` fetches it; without, every test says "skipped".
#![allow(clippy::unwrap_used, reason = "these are tests")]

mod common;
#[path = "common/recorded.rs"]
mod recorded;
#[path = "common/server.rs"]
mod server;
#[path = "common/service.rs"]
mod service;

use std::fmt::Write;

use common::{Place, Ran};
use recorded::recorded;
use server::{Programs, Server};
use service::Service;
use xenmig::history::{HistoryStore, Logged, Observation};
use xenmig::record::board::{Board, Latest};
use xenmig::record::metrics;

/// Quiet at midnight; and two more.
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
name = "a \"quoted\" \\ name"
memory = "1GiB"
[[domain]]
name = "idle"
memory = "1GiB"
"#;

#[test]
fn promtool_has_nothing_to_say_of_the_metrics() {
    let Some(programs) = Programs::find() else { return };
    let place = Place::new();
    let service = Service::start(&place, SCENE);
    let answer = service.metrics();
    let (_, body) = answer.split_once("\r\n\r\n").unwrap();
    let body = if answer.contains("chunked") { unchunked(body) } else { body.to_owned() };
    let ran = programs.promtool(&place, &["check", "metrics"], &body);
    assert!(ran.status.success() && ran.stderr.is_empty(), "{ran:?}\n{body}");
}

/// The body of an answer that came in pieces.
fn unchunked(mut rest: &str) -> String {
    let mut body = String::new();
    while let Some((length, after)) = rest.split_once("\r\n") {
        let length = usize::from_str_radix(length.trim(), 16).unwrap();
        if length == 0 {
            break;
        }
        body += &after[..length];
        rest = &after[length + 2..];
    }
    body
}

#[test]
fn prometheus_scrapes_it_and_answers_the_dashboard() {
    let Some(programs) = Programs::find() else { return };
    let place = Place::new();
    let service = Service::start(&place, SCENE);
    let server = programs.serve(&place, &[&service.address]);
    server.wait_for(&place, "xenmig_domain_vcpus", 3);
    server.wait_for(&place, "up == 1", 1);
    for expression in dashboard() {
        let answer = server.query(&place, &expression);
        let series = answer.unwrap_or_else(|error| panic!("{expression}: {error}"));
        // Nothing has migrated, and some rates need more than one scrape.
        let later = ["xenmig_last_migration", "rate(", "increase("];
        let now = !later.iter().any(|word| expression.contains(word));
        assert!(!now || !series.as_array().unwrap().is_empty(), "{expression}");
    }
    let ran = window(&place, &["--prometheus", &server.url, "--bandwidth", "1Gbit/s"]);
    assert_eq!(ran.status, 0, "{}", ran.all());
    assert!(ran.stdout.contains("too short"), "{}", ran.stdout);
    let nobody = place.run(&["--host", "sim", "window", "nobody", "--prometheus", &server.url]);
    nobody.refused(64, &["has nothing of domain `nobody`"]);
    assert_eq!(service.end(), 0);
}

/// What the dashboard asks, for all hosts and domains.
fn dashboard() -> Vec<String> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/contrib/grafana/xenmig.json");
    let document: serde_json::Value =
        serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let panels = document["panels"].as_array().unwrap();
    let targets = panels.iter().filter_map(|panel| panel["targets"].as_array()).flatten();
    let asked: Vec<_> = targets
        .map(|target| target["expr"].as_str().unwrap())
        .map(|asked| asked.replace("$instance", ".*").replace("$domain", ".*"))
        .collect();
    assert!(asked.len() > 10 && asked.iter().all(|asked| !asked.contains('$')), "{asked:?}");
    asked
}

fn window(place: &Place, words: &[&str]) -> Ran {
    let all = [&["--host", "sim:scene.toml", "window", "web"], words].concat();
    let mut command = place.command(&all);
    Ran::of(command.env("TZ", "UTC"))
}

/// Ten days that the service has seen, given to Prometheus as if it had scraped them.
#[test]
fn a_window_is_the_same_by_prometheus_as_by_the_log() {
    let Some(programs) = Programs::find() else { return };
    let log = recorded(SCENE, "10d", "20min");
    let place = Place::new().file("scene.toml", SCENE).file("log.sqlite", log);
    let server = backfilled(programs, &place);
    server.wait_for(&place, "count(up) or vector(1)", 1);

    let noon = ["--at", "2026-01-15T12:00", "--horizon", "2d", "--downtime", "300ms", "--json"];
    let log = window(&place, &[&noon[..], &["--store", "log.sqlite"]].concat()).json();
    let asked = window(&place, &[&noon[..], &["--prometheus", &server.url]].concat()).json();
    assert_eq!(asked["advice"], "windows", "{asked}");
    for same in ["advice", "pattern", "domain", "budget", "bandwidth_bytes_per_s", "days"] {
        assert_eq!(asked[same], log[same], "{same}");
    }
    let first = |document: &serde_json::Value| document["windows"][0].clone();
    let (a, b) = (first(&log), first(&asked));
    assert_eq!(a["from"].as_str().unwrap()[..13], b["from"].as_str().unwrap()[..13], "{a} {b}");
    let downtime = |window: &serde_json::Value| window["downtime_s"].as_f64().unwrap();
    assert!((downtime(&a) / downtime(&b) - 1.0).abs() < 0.05, "{a} {b}");
}

/// A server whose storage has what the log of `place` has.
fn backfilled(programs: Programs, place: &Place) -> Server {
    let store = HistoryStore::read(&place.path("log.sqlite")).unwrap().unwrap();
    let mut scrapes = Vec::new();
    for domain in store.domains().unwrap() {
        let all = store.observations(domain.uuid, (i64::MIN, i64::MAX)).unwrap();
        scrapes.extend(all.iter().map(|seen| (seen.at_unix_s, exposed(&domain, seen))));
    }
    scrapes.sort_by_key(|(at, _)| *at);
    let mut text = String::new();
    for (at, exposed) in scrapes {
        stamped(&mut text, &exposed, at);
    }
    text += "# EOF\n";
    std::fs::write(place.path("past.txt"), text).unwrap();
    let words = ["tsdb", "create-blocks-from", "--max-block-duration=744h"];
    let words = [&words[..], &["openmetrics", "past.txt", "data"]].concat();
    let ran = programs.promtool(place, &words, "");
    assert!(ran.status.success(), "{ran:?}");
    programs.serve(place, &[])
}

/// What the service showed after that sample.
fn exposed(domain: &Logged, seen: &Observation) -> String {
    let pages = |(at, pages): &(std::time::Duration, xenmig::units::Pages)| {
        (at.as_secs_f64(), pages.0 as f64)
    };
    let latest = Latest {
        logged: domain.clone(),
        at_unix_s: seen.at_unix_s,
        points: seen.points.iter().map(pages).collect(),
        dirty_rate: seen.dirty_rate(),
        working_set: 0.0,
        guest_cpus: seen.guest_cpus,
        predicted: None,
        samples: 1,
    };
    let domains = [(domain.uuid, latest)].into();
    metrics::text(&Board { domains, host_cpus: seen.host_cpus, ..Board::default() }).unwrap()
}

/// Adds its lines about domain and host, with the label that a scrape adds and the time.
fn stamped(text: &mut String, exposed: &str, at_unix_s: i64) {
    let wanted =
        |line: &&str| line.starts_with("xenmig_domain_") || line.starts_with("xenmig_host_cpu");
    for line in exposed.lines().filter(wanted) {
        let (series, value) = line.rsplit_once(' ').unwrap();
        let series = match series.split_once('{') {
            Some((name, labels)) => format!("{name}{{instance=\"h1\",{labels}"),
            None => format!("{series}{{instance=\"h1\"}}"),
        };
        // Two domains are never sampled in the same second; the host's series come with each.
        writeln!(text, "{series} {value} {at_unix_s}").unwrap();
    }
}
