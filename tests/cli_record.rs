//! `xenmig record`: what it keeps, what it serves, and what it survives.
#![allow(clippy::unwrap_used, reason = "these are tests")]

mod common;
#[path = "common/service.rs"]
mod service;

use std::time::{Duration, Instant};

use common::{Place, Ran};
use service::Service;
use xenmig::history::{HistoryStore, Observation};

/// Half of a CPU, a day's rhythm; one that goes, one that comes as the same guest by another name.
const SCENE: &str = r#"
link = "1Gbit/s"
finish = "100ms"
[[domain]]
name = "web"
memory = "1GiB"
cpu = 0.2
[[domain.workload]]
kind = "diurnal"
low = 10
high = 8000
pages = 60000
[[domain]]
name = "leaver"
identity = 77
memory = "1GiB"
fault.vanishes_after = "10h"
[[domain]]
name = "returned"
identity = 77
memory = "1GiB"
appears_after = "20h"
[[domain]]
name = "moving"
memory = "1GiB"
fault.save_begins_after = "12h"
"#;

fn place() -> Place {
    Place::new().file("scene.toml", SCENE)
}

const RECORD: [&str; 4] = ["--host", "sim:scene.toml", "record", "--store"];

fn observations(place: &Place, store: &str, name: &str) -> Vec<Observation> {
    let store = HistoryStore::read(&place.path(store)).unwrap().unwrap();
    let domain = store.find(name).unwrap().unwrap();
    store.observations(domain.uuid, (i64::MIN, i64::MAX)).unwrap()
}

fn record(place: &Place, length: &str) -> Ran {
    let more = ["log.sqlite", "--listen", "none", "--for", length];
    place.run(&[&RECORD[..], &more].concat())
}

#[test]
fn a_day_of_every_domain_is_kept() {
    let place = place();
    let ran = record(&place, "1d");
    assert_eq!((ran.status, ran.stdout.as_str(), ran.stderr.as_str()), (0, "", ""));
    let web = observations(&place, "log.sqlite", "web");
    assert!((270..=300).contains(&web.len()), "{}", web.len());
    let busiest = web.iter().max_by(|a, b| a.dirty_rate().total_cmp(&b.dirty_rate())).unwrap();
    assert_eq!(busiest.at_unix_s.rem_euclid(86_400) / 3600, 11);
    // The same guest under two names, with the gap between.
    let guest = observations(&place, "log.sqlite", "returned");
    assert!((150..=175).contains(&guest.len()), "{}", guest.len());
    // Sampled until its save began, then left alone.
    let moving = observations(&place, "log.sqlite", "moving");
    assert!((130..=150).contains(&moving.len()), "{}", moving.len());
}

#[test]
fn a_second_run_goes_on_with_the_same_log() {
    let place = place();
    record(&place, "2h");
    let first = observations(&place, "log.sqlite", "web").len();
    record(&place, "2h");
    assert!(observations(&place, "log.sqlite", "web").len() > first + 15);
}

#[test]
fn what_was_committed_survives_a_kill() {
    let place = place();
    let more = ["log.sqlite", "--listen", "none"];
    let mut child = place.command(&[&RECORD[..], &more].concat()).spawn().unwrap();
    let begun = Instant::now();
    let seen = |place: &Place| {
        HistoryStore::read(&place.path("log.sqlite")).ok().flatten().is_some_and(|store| {
            let web = store.find("web").unwrap();
            web.is_some_and(|w| store.observations(w.uuid, (0, i64::MAX)).unwrap().len() > 500)
        })
    };
    while !seen(&place) {
        assert!(begun.elapsed() < Duration::from_secs(60));
        std::thread::sleep(Duration::from_millis(50));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    let before = observations(&place, "log.sqlite", "web").len();
    assert!(before > 500);
    let ran = record(&place, "1h");
    assert_eq!(ran.status, 0, "{}", ran.all());
    assert!(observations(&place, "log.sqlite", "web").len() > before);
}

#[test]
fn a_clock_that_jumps_costs_nothing() {
    let jumps = "clock_jumps = [{ after = '6h', by_s = -7200 }, { after = '12h', by_s = 3155760000 }, \
                 { after = '13h', by_s = -3155760000 }]\n";
    let place = Place::new().file("scene.toml", format!("{jumps}{SCENE}"));
    let ran = record(&place, "1d");
    assert_eq!(ran.status, 0, "{}", ran.all());
    let web = observations(&place, "log.sqlite", "web");
    assert!((270..=300).contains(&web.len()), "{}", web.len());
}

#[test]
fn wrong_words_are_refused_before_anything_is_made() {
    let place = place();
    for (words, says) in [
        (["--interval", "0s"], "--interval"),
        (["--window", "soon"], "--window"),
        (["--for", "0s"], "--for"),
    ] {
        let words = [&RECORD[..], &["log.sqlite"], &words].concat();
        place.run(&words).refused(64, &[says]);
        assert!(!place.path("log.sqlite").exists());
    }
    place
        .run(&[&RECORD[..], &["log.sqlite", "--json"]].concat())
        .refused(64, &["--json", "report"]);
    let words = [&RECORD[..], &["log.sqlite", "--listen", "nowhere:x"]].concat();
    place.run(&words).refused(64, &["cannot serve metrics at nowhere:x", "--listen takes"]);
}

#[test]
fn a_log_that_cannot_be_one_is_told_of() {
    let place = place().file("log.sqlite", "this is no database, only a text that is in the way");
    record(&place, "1h").refused(65, &["log.sqlite", "move the file away"]);
    let words = [&RECORD[..], &["/proc/nowhere/log.sqlite"]].concat();
    assert!([65, 77].contains(&place.run(&words).status));
}

/// On a disk of its own, which is filled and emptied again under the running service.
#[test]
fn a_full_disk_costs_no_sample() {
    const SCRIPT: &str = r#"
        mount -t tmpfs -o size=1m tmpfs disk || exit 99
        said() { for i in $(seq 300); do grep -q "$1" said && return; sleep 0.1; done; exit 98; }
        "$@" 2>said &
        said 'web: '
        cat /dev/zero >disk/filler 2>/dev/null
        said 'wait in memory'
        sleep 1
        rm disk/filler
        said 'can be written to again'
        kill -TERM $!
        wait $!
        status=$?
        cp disk/log.sqlite* .
        exit $status"#;
    if !rustix::process::geteuid().is_root() {
        return eprintln!("skipped: only root can mount a disk");
    }
    let place = Place::new().file("scene.toml", format!("real_time = true\n{SCENE}"));
    std::fs::create_dir(place.path("disk")).unwrap();
    let words = ["disk/log.sqlite", "--listen", "none", "-v", "--interval", "100ms"];
    let service = place.command(&[&RECORD[..], &words, &["--window", "20ms"]].concat());
    let mut command = std::process::Command::new("unshare");
    command.current_dir(place.path(".")).args(["-m", "bash", "-c", SCRIPT, "bash"]);
    let ran = Ran::of(command.arg(service.get_program()).args(service.get_args()));
    if ran.status == 99 || ran.stderr.starts_with("unshare: ") {
        return eprintln!("skipped: no disk can be mounted here: {}", ran.all());
    }
    assert_eq!(ran.status, 0, "{}", ran.all());
    let said = std::fs::read_to_string(place.path("said")).unwrap();
    assert!(said.contains("make room on the disk"), "{said}");
    let seen = observations(&place, "log.sqlite", "web").len();
    assert!(seen > 5, "{said}");
    assert_eq!(said.matches("web: ").count(), seen, "{said}");
}

#[test]
fn metrics_are_served_and_sigterm_ends_it() {
    let place = Place::new();
    let service = Service::start(&place, SCENE);
    let metrics = service.metrics();
    assert!(metrics.starts_with("HTTP/1.1 200"), "{metrics}");
    for wanted in [
        "Content-Type: text/plain; version=0.0.4",
        "# TYPE xenmig_samples_total counter",
        "# TYPE xenmig_domain_predicted_downtime_seconds gauge",
        "xenmig_domain_dirty_pages{domain=\"web\",uuid=\"",
        "within_seconds=\"0.0200\"",
        "xenmig_samples_skipped_total{reason=\"moving\"} 0",
        "xenmig_host_cpus 8",
        "xenmig_build_info{",
    ] {
        assert!(metrics.contains(wanted), "no {wanted} in {metrics}");
    }
    assert!(service.get("/").starts_with("HTTP/1.1 404"));
    assert_eq!(service.end(), 0);
    assert!(!observations(&place, "log.sqlite", "web").is_empty());
}

/// What the dashboard asks for is what there is.
#[test]
fn the_dashboard_knows_the_metrics() {
    let place = Place::new();
    let service = Service::start(&place, SCENE);
    let metrics = service.metrics();
    service.end();
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/contrib/grafana/xenmig.json");
    let dashboard: serde_json::Value =
        serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let text = dashboard["panels"].to_string() + &dashboard["templating"].to_string();
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    let asked: Vec<_> = words.filter(|word| word.starts_with("xenmig_")).collect();
    assert!(asked.len() > 15);
    // There are no migrations on a simulated host.
    for name in asked.into_iter().filter(|name| !name.starts_with("xenmig_last_migration_")) {
        assert!(metrics.contains(&format!("# TYPE {name} ")), "{name}");
    }
}
