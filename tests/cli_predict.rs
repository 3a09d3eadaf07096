//! `xenmig predict`: rows for bandwidths × budgets × policies, against numbers done by hand.
#![allow(clippy::unwrap_used, reason = "these are tests")]

mod common;

use common::{Place, sim};
use insta::assert_snapshot;
use serde_json::Value;

/// 1000 pages, 100 of which are dirtied in each second; a page takes 4104 bytes to send.
const CURVE: &str = r#"{"schema":"xenmig.curve/1","page_size_bytes":4096,"total_pages":1000,
    "zero_pages":0,"page_header_bytes":8,"points":[[0,0],[1,100]]}"#;
/// 10,000 pages a second.
const FAST: &str = "41040000B/s";
/// 100 pages a second: as fast as they are dirtied.
const SLOW: &str = "410400B/s";

fn predict(curve: &str, arguments: &[&str]) -> Vec<Value> {
    let place = Place::new().file("curve.json", curve);
    let ran = place.run(&[&["predict", "--curve", "curve.json", "--json"], arguments].concat());
    assert_eq!(ran.status, 0, "{}", ran.all());
    let document = ran.json();
    assert_eq!(document["schema"], "xenmig.predict/1");
    document["rows"].as_array().unwrap().clone()
}

#[track_caller]
fn close(value: &Value, expected: f64) {
    let value = value.as_f64().unwrap_or_else(|| panic!("{value} is not {expected}"));
    assert!((value - expected).abs() <= 1e-9 * expected.abs().max(1e-3), "{value} != {expected}");
}

#[test]
fn a_budget_that_has_room_for_everything_needs_no_live_round() {
    let arguments = ["--bandwidth", FAST, "--downtime", "300ms,unlimited", "--policy", "budget"];
    for row in predict(CURVE, &arguments) {
        assert_eq!(row["converges"], true);
        close(&row["total_s"], 0.1);
        close(&row["downtime_s"], 0.1);
        close(&row["bytes"], 1000.0 * 4104.0);
        assert_eq!(row["rounds"].as_array().unwrap().len(), 1);
    }
}

#[test]
fn a_smaller_budget_needs_one_live_round() {
    // 1000 pages take 0.1 s; meanwhile 10 are dirtied, which take 1 ms.
    let row =
        &predict(CURVE, &["--bandwidth", FAST, "--downtime", "10ms", "--policy", "budget"])[0];
    close(&row["total_s"], 0.101);
    close(&row["downtime_s"], 0.001);
    close(&row["bytes"], 1010.0 * 4104.0);
    let rounds = row["rounds"].as_array().unwrap();
    assert_eq!(rounds.len(), 2);
    close(&rounds[0]["pages"], 1000.0);
    close(&rounds[0]["s"], 0.1);
    close(&rounds[1]["pages"], 10.0);
    close(&rounds[1]["bytes"], 10.0 * 4104.0);
}

#[test]
fn a_guest_as_fast_as_the_link_never_gets_below_its_budget() {
    let row = &predict(CURVE, &["--bandwidth", SLOW, "--downtime", "1s", "--policy", "budget"])[0];
    assert_eq!(row["converges"], false);
    assert!(row["total_s"].is_null() && row["downtime_s"].is_null() && row["bytes"].is_null());
}

#[test]
fn the_deadline_ends_a_search_that_would_succeed_later() {
    // At 125 pages a second each round has 0.8 times as many pages as the one before: 8 s, 6.4 s,
    // 5.12 s, 4.096 s ... are within 5 s after two rounds and 14.4 s.
    let arguments = ["--bandwidth", "513000B/s", "--downtime", "5.2s", "--policy", "budget"];
    let row = &predict(CURVE, &arguments)[0];
    close(&row["downtime_s"], 5.12);
    close(&row["total_s"], 8.0 + 6.4 + 5.12);
    let row = &predict(CURVE, &[&arguments[..], &["--deadline", "10s"]].concat())[0];
    assert_eq!(row["converges"], false);
}

#[test]
fn stock_sends_the_few_that_are_left_once_more_before_it_stops() {
    // After the first round 10 pages are dirty, fewer than 50: they are sent live in 1 ms, and
    // what is dirtied meanwhile is the final set.
    let row =
        &predict(CURVE, &["--bandwidth", FAST, "--downtime", "300ms", "--policy", "stock"])[0];
    close(&row["downtime_s"], 0.1 * 1e-4);
    close(&row["total_s"], 0.1 + 0.001 + 0.1 * 1e-4);
    assert_eq!(row["rounds"].as_array().unwrap().len(), 3);
}

#[test]
fn stock_stops_after_five_rounds_however_much_is_left() {
    let row =
        &predict(CURVE, &["--bandwidth", SLOW, "--downtime", "300ms", "--policy", "stock"])[0];
    assert_eq!(row["converges"], true);
    close(&row["total_s"], 60.0);
    close(&row["downtime_s"], 10.0);
    assert_eq!(row["rounds"].as_array().unwrap().len(), 6);
}

#[test]
fn zero_pages_cost_their_header_and_are_never_dirtied() {
    let curve = CURVE.replace(r#""zero_pages":0"#, r#""zero_pages":600"#);
    let arguments = ["--bandwidth", SLOW, "--downtime", "unlimited", "--policy", "budget"];
    close(&predict(&curve, &arguments)[0]["bytes"], 400.0 * 4104.0 + 600.0 * 8.0);
    // Rounds cannot have more than the 400 pages: 3.9 s each.
    let row = &predict(&curve, &["--bandwidth", SLOW, "--policy", "stock"])[0];
    let last = row["rounds"].as_array().unwrap().last().unwrap();
    assert!(last["pages"].as_f64().unwrap() <= 400.0);
}

#[test]
fn rows_come_by_bandwidth_then_budget_then_policy() {
    let arguments = ["--bandwidth", "1Gbit/s,10Gbit/s", "--downtime", "100ms,unlimited"];
    let rows = predict(CURVE, &arguments);
    let given: Vec<_> = rows
        .iter()
        .map(|row| {
            let bandwidth = row["bandwidth_bytes_per_s"].as_f64().unwrap();
            (bandwidth, row["downtime_budget_s"].as_f64(), row["policy"].as_str().unwrap())
        })
        .collect();
    let mut expected = Vec::new();
    for bandwidth in [125e6, 1.25e9] {
        for budget in [Some(0.1), None] {
            expected.extend([(bandwidth, budget, "stock"), (bandwidth, budget, "budget")]);
        }
    }
    assert_eq!(given, expected);
}

#[test]
fn a_table_from_a_curve() {
    let place = Place::new().file("curve.json", CURVE);
    let speeds = format!("{SLOW},{FAST}");
    let arguments = ["predict", "--curve", "curve.json", "--bandwidth", &speeds];
    let ran = place.run(&[&arguments[..], &["--downtime", "10ms,1s,unlimited"]].concat());
    assert_snapshot!(ran.all());
}

#[test]
fn the_document_from_a_curve() {
    let place = Place::new().file("curve.json", CURVE);
    let arguments = ["predict", "--curve", "curve.json", "--bandwidth", FAST, "--json"];
    let ran = place.run(&[&arguments[..], &["--downtime", "10ms"]].concat());
    assert_snapshot!(ran.all());
}

#[test]
fn a_table_from_a_live_domain() {
    let arguments = ["predict", "web", "--bandwidth", "1Gbit/s,10Gbit/s", "--downtime", "300ms"];
    assert_snapshot!(sim(&arguments).all());
}

#[test]
fn a_trace_gives_what_the_sample_gave() {
    let place = Place::new();
    let place = place.file("costs.toml", "costs = { finish = '200ms' }");
    let bandwidth = ["--bandwidth", "10Gbit/s", "--json", "--config", "costs.toml"];
    let plan = ["--window", "3s", "--windows", "2"];
    let live = place.sim(&[&["predict", "db"], &bandwidth[..], &plan[..]].concat());
    place.sim(&[&["sample", "db", "--trace", "db.trace"], &plan[..]].concat());
    let later = place.run(&[&["predict", "--trace", "db.trace"], &bandwidth[..]].concat());
    assert_eq!(later.status, 0, "{}", later.all());
    assert_eq!(live.json(), later.json());
}

#[test]
fn a_broken_curve_is_bad_data() {
    let broken = |text: &str| {
        let place = Place::new().file("curve.json", text);
        place.run(&["predict", "--curve", "curve.json", "--bandwidth", FAST])
    };
    broken("{").refused(65, &["curve.json"]);
    broken(&CURVE.replace("[1,100]", "[0,100]")).refused(65, &["curve.json", "point 2"]);
    broken(&CURVE.replace("curve/1", "curve/9")).refused(65, &["xenmig.curve/9"]);
    broken(&CURVE.replace("zero_pages", "zeros")).refused(65, &["zeros"]);
    let missing = Place::new().run(&["predict", "--curve", "none.json", "--bandwidth", FAST]);
    missing.refused(65, &["none.json"]);
}

#[test]
fn a_truncated_trace_gives_what_it_has_and_is_bad_data() {
    let place = Place::new();
    assert_eq!(place.sim(&["sample", "web", "--trace", "web.trace"]).status, 0);
    let whole = std::fs::read(place.path("web.trace")).unwrap();
    let predict = |bytes: &[u8]| {
        std::fs::write(place.path("cut.trace"), bytes).unwrap();
        place.run(&["predict", "--trace", "cut.trace", "--bandwidth", FAST, "--json"])
    };
    let cut = predict(&whole[..whole.len() - 100]);
    assert_eq!(cut.status, 65, "{}", cut.all());
    assert!(cut.stderr.contains("cut.trace: record "), "{}", cut.stderr);
    assert_eq!(cut.json()["rows"].as_array().unwrap().len(), 2);
    predict(&whole[..50]).refused(65, &["cut.trace"]);
    predict(b"").refused(65, &["cut.trace is empty"]);
    predict(b"not a trace\n").refused(65, &["cut.trace"]);
}

#[test]
fn without_a_bandwidth_there_is_nothing_to_predict() {
    let place = Place::new().file("curve.json", CURVE);
    place.run(&["predict", "--curve", "curve.json"]).refused(64, &["bandwidth", "--bandwidth"]);
}

#[test]
fn exactly_one_source_is_needed() {
    Place::new().run(&["predict", "--bandwidth", FAST]).refused(64, &["--trace", "--curve"]);
    let both = ["predict", "db", "--curve", "curve.json", "--bandwidth", FAST];
    Place::new().run(&both).refused(64, &["cannot be used with"]);
}
