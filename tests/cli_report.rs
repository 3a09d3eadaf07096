//! `xenmig report`: what the page has, and what it does not need.
#![allow(clippy::unwrap_used, reason = "these are tests")]

mod common;
#[path = "common/recorded.rs"]
mod recorded;

use std::fs;

use common::{Place, Ran};
use recorded::recorded;
use xenmig::history::{OutcomeRecord, OutcomeStore, Predicted, SentRound};

/// Quiet at midnight, with a name that no page may take for markup; and one that is always the same.
const SCENE: &str = r#"
[[domain]]
name = "<web> & \"co\""
memory = "1GiB"
[[domain.workload]]
kind = "diurnal"
low = 10
high = 60000
pages = 200000
[[domain]]
name = "flat"
memory = "1GiB"
vcpus = 2
[[domain.workload]]
kind = "steady"
rate = 2000
pages = 9000
"#;

const CONFIG: &str = "[link]\nbandwidth = '1Gbit/s'\n[costs]\nfinish = '50ms'\n[budget]\n\
                      downtime = '300ms'\n[paths]\nstate_dir = 'state'\n";

/// What ended when it did, and whether it kept its budget.
fn outcome(domain: &str, downtime_s: f64, kept: Option<bool>) -> OutcomeRecord {
    OutcomeRecord {
        schema: xenmig::history::outcome::Schema::V1,
        at_unix_s: 1_768_000_000,
        domain: domain.to_owned(),
        uuid: "00000000-0000-0000-0000-0000000000aa".to_owned(),
        target: "h2".to_owned(),
        populated_pages: 262_144,
        p2m_pages: 262_144,
        sender_share: None,
        predicted: Some(Predicted { total_s: 9.0, downtime_s: 0.2 }),
        kept,
        start_s: 0.0,
        rounds: vec![SentRound { pages: 262_144, holes: 0, bytes: 1 << 30, s: 9.0 }],
        suspend_request_s: 0.0,
        suspend_pages: None,
        last: None,
        finish_s: 0.1,
        total_s: 9.5,
        downtime_s,
    }
}

/// A host whose service has run for some days.
fn host(length: &str) -> Place {
    let place = Place::new().file("xenmig.toml", CONFIG);
    fs::create_dir(place.path("state")).unwrap();
    place.file("state/history.sqlite", recorded(SCENE, length, "30min"))
}

/// At the end of the ten days of most tests.
fn report(place: &Place, words: &[&str]) -> Ran {
    let all = [&["--config", "xenmig.toml", "report", "--at", "2026-01-15T00:00"], words].concat();
    let mut command = place.command(&all);
    Ran::of(command.env("TZ", "UTC"))
}

#[test]
fn the_page_has_everything_and_needs_nothing() {
    let place = host("10d");
    let outcomes = OutcomeStore::new(&place.path("state"));
    for (name, downtime_s, kept) in
        [("flat", 0.21, Some(true)), ("<web>", 0.9, Some(false)), ("flat", 0.3, None)]
    {
        outcomes.append(&outcome(name, downtime_s, kept)).unwrap();
    }
    let ran = report(&place, &[]);
    assert_eq!(ran.all(), "exit status 0\n--- stdout\nWrote xenmig-report.html: 2 domains.\n");
    let page = fs::read_to_string(place.path("xenmig-report.html")).unwrap();

    let web = "&lt;web&gt; &amp; &quot;co&quot;";
    assert_eq!(page.matches(&format!("<h2>{web}</h2>")).count(), 1);
    assert!(!page.contains("<web>"), "unescaped");
    // Seven days of 24 hours, all seen; two pictures for each domain, one for the migrations.
    assert_eq!(page.matches("title=\"p90 ").count(), 2 * 7 * 24);
    assert_eq!(page.matches("<svg").count(), 5);
    assert_eq!(page.matches("</svg>").count(), 5);
    assert!(page.contains("Bold and underlined"));
    assert!(page.contains("Any time is as good as any other"));
    for words in
        ["3 remembered: 1 kept their budget, 1 did not", "not judged", "broken", "budget: 300 ms"]
    {
        assert!(page.contains(words), "{words}");
    }
    // Nothing is fetched, nothing is run.
    let namespace = "xmlns=\"http://www.w3.org/2000/svg\"";
    let rest = page.replace(namespace, "");
    for outside in ["http:", "https:", "<script", "src=", "url(", "@import", "<link", "<iframe"] {
        assert!(!rest.contains(outside), "{outside}");
    }
}

#[test]
fn only_what_is_asked_for_is_drawn() {
    let place = host("4d");
    let words = ["flat", "--at", "2026-01-09T00:00", "-o", "-"];
    let all = [&["--config", "xenmig.toml", "report"], &words[..]].concat();
    let ran = place.run(&all);
    assert_eq!(ran.status, 0, "{}", ran.stderr);
    assert!(ran.stdout.starts_with("<!DOCTYPE html>") && ran.stdout.contains("<h2>flat</h2>"));
    assert!(!ran.stdout.contains("&lt;web"));
    assert!(!place.path("xenmig-report.html").exists());
}

#[test]
fn programs_get_the_figures() {
    let place = host("10d");
    let document = report(&place, &["--json"]).json();
    assert_eq!(document["schema"], "xenmig.report/1");
    assert!(!place.path("xenmig-report.html").exists());
    let domains = document["domains"].as_array().unwrap();
    let names: Vec<_> = domains.iter().map(|domain| domain["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["<web> & \"co\"", "flat"]);
    let web = &domains[0];
    assert_eq!(web["window"]["schema"], "xenmig.window/1");
    assert_eq!(
        (&web["window"]["advice"], &web["window"]["pattern"]),
        (&"windows".into(), &"daily".into())
    );
    let at =
        |weekday: usize, hour: usize| web["week"][weekday][hour]["downtime_s"].as_f64().unwrap();
    assert!(at(2, 12) > 2.0 * at(2, 0), "{} {}", at(2, 12), at(2, 0));
    let dirtied = web["dirtied"].as_array().unwrap();
    let pages = |at: &serde_json::Value, which: &str| at[which].as_f64().unwrap();
    assert!(dirtied.iter().all(|at| pages(at, "p10_pages") <= pages(at, "p90_pages")));
    let links = web["by_bandwidth"].as_array().unwrap();
    assert!(links.len() >= 24);
    assert!(links.iter().any(|at| at["bandwidth_bytes_per_s"] == 125e6));
    let fits: Vec<_> = links.iter().map(|at| at["fits"].as_f64().unwrap()).collect();
    assert!(fits[0] < fits[links.len() - 1]);
}

#[test]
fn what_cannot_be_drawn_is_told() {
    let place = host("3h");
    report(&place, &["nobody"]).refused(64, &["has nothing of domain `nobody`"]);
    report(&place, &["--past", "1d"])
        .refused(64, &["has nothing in the last", "--past looks further"]);
    report(&place, &["--past", "0s"]).refused(64, &["--past"]);
    report(&place, &["--downtime", "soon"]).refused(64, &["--downtime"]);
    let away = ["-o", "nowhere/report.html"];
    report(&place, &away).refused(65, &["cannot write nowhere/report.html", "--output names"]);
    let words = ["--config", "xenmig.toml", "report", "--store", "none.sqlite"];
    place.run(&words).refused(64, &["there is no log none.sqlite"]);
}

#[test]
fn links_and_pipes_stay_what_they_are() {
    let place = host("3h");
    let words = ["flat", "--past", "30d", "-o"];
    std::os::unix::fs::symlink("real.html", place.path("link.html")).unwrap();
    fs::write(place.path("real.html"), "old").unwrap();
    assert_eq!(report(&place, &[&words[..], &["link.html"]].concat()).status, 0);
    assert!(place.path("link.html").is_symlink());
    assert!(fs::read_to_string(place.path("real.html")).unwrap().starts_with("<!DOCTYPE"));

    let pipe = place.path("pipe");
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let reader = std::thread::spawn({
        let pipe = pipe.clone();
        move || fs::read_to_string(pipe).unwrap()
    });
    assert_eq!(report(&place, &[&words[..], &["pipe"]].concat()).status, 0);
    assert!(reader.join().unwrap().ends_with("</html>"));
    assert!(!fs::metadata(&pipe).unwrap().is_file());
}

/// The same domain by name and by UUID; a log that may be another host's.
#[test]
fn nothing_is_drawn_twice_or_taken_for_this_hosts() {
    let place = host("3h");
    OutcomeStore::new(&place.path("state")).append(&outcome("flat", 0.2, None)).unwrap();
    let own = report(&place, &["flat", "--json"]).json();
    assert!(own["host"].is_string());
    assert_eq!(own["migrations"].as_array().unwrap().len(), 1);
    let uuid = own["domains"][0]["uuid"].as_str().unwrap();
    let twice = report(&place, &["flat", uuid, "--json"]).json();
    assert_eq!(twice["domains"].as_array().unwrap().len(), 1);
    fs::copy(place.path("state/history.sqlite"), place.path("h2.sqlite")).unwrap();
    let other = report(&place, &["--store", "h2.sqlite", "--json"]).json();
    assert!(other["host"].is_null() && other["migrations"].as_array().unwrap().is_empty());
}

/// A file that cannot be replaced stays as it was.
#[test]
fn a_full_disk_costs_no_earlier_page() {
    let place = host("3h");
    assert_eq!(report(&place, &[]).status, 0);
    let page = place.path("xenmig-report.html");
    let before = fs::read(&page).unwrap();
    let mut command = place.command(&["--config", "xenmig.toml", "report"]);
    // No file may grow past 48 KiB, as on a disk with little room: the log's index has 32.
    let limited = format!("ulimit -f 48; trap '' XFSZ; exec {:?} \"$@\"", command.get_program());
    let words: Vec<_> = command.get_args().map(ToOwned::to_owned).collect();
    command = std::process::Command::new("bash");
    command.current_dir(place.path(".")).args(["-c", &limited, "bash"]).args(words);
    let ran = Ran::of(command.args(["--at", "2026-01-15T00:00"]).env("TZ", "UTC"));
    ran.refused(65, &["cannot write xenmig-report.html"]);
    assert_eq!(fs::read(&page).unwrap(), before);
    let left = fs::read_dir(place.path(".")).unwrap().count();
    assert_eq!(left, 3, "a temporary file was left");
}
