//! Which of several hosts suits a domain best.
#![allow(clippy::unwrap_used, reason = "these are tests")]

use std::sync::atomic::AtomicBool;

use xenmig::check::Target;
use xenmig::config::Settings;
use xenmig::host::Host;
use xenmig::inventory::Inventory;
use xenmig::place::{Candidate, Placement, Unknown, headroom, place};
use xenmig::policy::gate::Verdict;
use xenmig::sim::SimHost;
use xenmig::units::BytesPerSecond;
use xenmig::{Error, Kind};

static RUN: AtomicBool = AtomicBool::new(false);

/// The host that a scene describes, reached at `gbits` Gbit/s.
fn candidate(name: &str, gbits: f64, scene: &str) -> Candidate {
    let host = SimHost::from_toml(scene, name).unwrap();
    let inventory = Inventory::take(&host, &[], &RUN).unwrap();
    let bandwidth = BytesPerSecond::new(gbits * 125e6);
    let mut settings = Settings { bandwidth, ..Settings::default() };
    settings.costs.finish = Some(std::time::Duration::from_millis(50));
    let target = Target { name: name.to_owned(), inventory };
    Candidate { target, settings, calibration: None }
}

/// Where to bring `domain` of the built-in host.
fn placed(host: &SimHost, domain: &str, candidates: &[Candidate]) -> Placement {
    let domain = host.find(domain).unwrap();
    let error = Error::new(Kind::Unreachable, "h0 cannot be reached");
    let unknown = vec![Unknown { name: "h0".to_owned(), error }];
    place(host, &domain, candidates, unknown, None, &RUN, &mut |_| {}).unwrap()
}

fn names(placement: &Placement) -> Vec<&str> {
    let ranked = placement.ranked.iter().filter_map(|report| report.target.as_ref());
    ranked.map(|target| target.name.as_str()).collect()
}

const EMPTY: &str = "[host]\ncpus = 8\n";
const BUSY: &str = "[host]\ncpus = 8\nload = 0.5\n";
const FULL: &str = "[host]\ncpus = 8\nload = 0.97\n";
const OLD: &str = "[host]\nxen_version = '4.14.6'\n";

#[test]
fn verdict_comes_before_time_and_that_before_what_is_left() {
    let host = SimHost::builtin();
    let candidates = [
        candidate("old", 10.0, OLD),
        candidate("full", 10.0, FULL),
        candidate("slow", 0.3, EMPTY),
        candidate("busy", 10.0, BUSY),
        candidate("empty", 10.0, EMPTY),
    ];
    let placement = placed(&host, "web", &candidates);
    assert_eq!(names(&placement), ["empty", "busy", "slow", "full", "old"]);
    let verdicts: Vec<_> = placement.ranked.iter().map(|r| r.judgement.verdict).collect();
    use Verdict::{Go, NoGo, Wait};
    assert_eq!(verdicts, [Go, Go, Go, Wait, NoGo]);
    assert_eq!(placement.best().unwrap().target.as_ref().unwrap().name, "empty");
    assert!(headroom(&placement.ranked[0]) > headroom(&placement.ranked[1]));
}

#[test]
fn the_domain_is_sampled_once_and_not_at_all_where_no_host_may_have_it() {
    let host = SimHost::builtin();
    let fit = [candidate("h1", 10.0, EMPTY), candidate("h2", 1.0, EMPTY)];
    let placement = placed(&host, "web", &fit);
    let windows = placement.ranked[0].sample.as_ref().unwrap().windows.len() as u64;
    assert_eq!(host.logs_switched_on(), windows);
    placed(&host, "web", &[candidate("h3", 10.0, OLD)]);
    assert_eq!(host.logs_switched_on(), windows);
}

#[test]
fn where_no_host_answers_nothing_is_sampled() {
    let host = SimHost::builtin();
    let placement = placed(&host, "web", &[]);
    assert!(placement.best().is_none() && placement.ranked.is_empty());
    assert_eq!(host.logs_switched_on(), 0);
    let document = serde_json::to_value(placement.document()).unwrap();
    assert!(document["best"].is_null());
    assert_eq!(document["hosts"][0]["error"], "h0 cannot be reached");
}

#[test]
fn each_host_is_judged_by_its_own_link() {
    let host = SimHost::builtin();
    let placement =
        placed(&host, "db", &[candidate("slow", 1.0, EMPTY), candidate("fast", 40.0, EMPTY)]);
    let document = serde_json::to_value(placement.document()).unwrap();
    let totals: Vec<_> =
        [0, 1].map(|at| document["hosts"][at]["predicted"]["total_s"].as_f64().unwrap()).into();
    assert_eq!(names(&placement)[0], "fast");
    assert!(totals[0] < totals[1], "{totals:?}");
    assert_eq!(document["hosts"][1]["bandwidth_bytes_per_s"], 125e6);
    assert_eq!(document["hosts"][2]["verdict"], serde_json::Value::Null);
}
