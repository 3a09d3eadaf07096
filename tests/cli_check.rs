//! `xenmig check` as a user or a script sees it.

mod common;

use common::{Place, codes, faulty, sim};
use insta::assert_snapshot;

#[test]
fn an_idle_domain_may_go() {
    assert_snapshot!(sim(&["check", "idle"]).all());
}

#[test]
fn a_bursty_domain_with_a_tight_budget() {
    assert_snapshot!(sim(&["check", "db", "--downtime", "50ms", "--total", "8s"]).all());
}

#[test]
fn a_domain_that_outruns_the_link_may_not_go() {
    assert_snapshot!(sim(&["check", "batch"]).all());
}

#[test]
fn a_domain_that_is_tied_to_this_machine() {
    assert_snapshot!(faulty(&["check", "pinned"]).all());
}

#[test]
fn the_document_of_a_check() {
    assert_snapshot!(sim(&["check", "idle", "--json", "--windows", "2"]).all());
}

#[test]
fn the_document_has_the_fields_that_the_contract_names() {
    let ran = sim(&["check", "web", "--json"]);
    let document = ran.json();
    let keys = |of: &serde_json::Value| -> Vec<String> {
        of.as_object().unwrap().keys().cloned().collect()
    };
    let sorted = |names: &[&str]| {
        let mut names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
        names.sort();
        names
    };
    assert_eq!(ran.status, 0);
    assert_eq!(document["schema"], "xenmig.check/1");
    let top = [
        "schema",
        "domain",
        "verdict",
        "reasons",
        "measured",
        "predicted",
        "budget",
        "bandwidth_bytes_per_s",
        "bandwidth_source",
    ];
    assert_eq!(keys(&document), sorted(&top));
    let domain = ["domid", "name", "type", "memory_bytes", "vcpus"];
    assert_eq!(keys(&document["domain"]), sorted(&domain));
    let measured =
        ["window_s", "curve", "dirty_rate_pages_per_s", "vcpu_utilisation", "host_cpu_utilisation"];
    assert_eq!(keys(&document["measured"]), sorted(&measured));
    let predicted = ["total_s", "downtime_s", "downtime_p90_s", "bytes", "rounds"];
    assert_eq!(keys(&document["predicted"]), sorted(&predicted));
    assert_eq!(keys(&document["predicted"]["rounds"][0]), sorted(&["pages", "bytes", "s"]));
    assert_eq!(keys(&document["budget"]), sorted(&["downtime_s", "total_s"]));
}

#[test]
fn the_same_check_twice_says_the_same() {
    let check = || sim(&["check", "db", "--json"]).stdout;
    assert_eq!(check(), check());
}

#[test]
fn the_exit_status_is_the_verdict() {
    let no_go = sim(&["check", "batch", "--json"]);
    assert_eq!((no_go.status, no_go.json()["verdict"].as_str()), (1, Some("no-go")));
    let go = sim(&["check", "batch", "--json", "--downtime", "unlimited"]);
    assert_eq!((go.status, go.json()["verdict"].as_str()), (0, Some("go")));
    let wait = faulty(&["check", "owned", "--json"]);
    assert_eq!((wait.status, wait.json()["verdict"].as_str()), (2, Some("wait")));
}

#[test]
fn each_fault_has_its_reason() {
    let check = |domain: &str| {
        let ran = faulty(&["check", domain, "--json"]);
        let document = ran.json();
        (ran.status, codes(&document).into_iter().map(str::to_owned).collect::<Vec<_>>())
    };
    for (domain, status, code) in [
        ("crashed", 1, "domain-crashed"),
        ("paused", 2, "domain-paused"),
        ("pinned", 1, "pci-passthrough"),
        ("pinned", 1, "usb-device"),
        ("pinned", 1, "vtpm"),
        ("pinned", 1, "local-disk"),
        ("pinned", 1, "nested-hvm"),
        ("pinned", 1, "vnuma"),
        ("forbidden", 1, "migration-disabled"),
        ("pv", 1, "log-dirty-unsupported"),
        ("owned", 2, "log-dirty-busy"),
        ("leaving", 1, "save-began"),
        ("vanishing", 1, "domain-gone"),
        ("arriving", 2, "arriving"),
        ("mute", 1, "no-suspend-support"),
        ("Domain-0", 1, "dom0"),
        ("nobody", 1, "no-such-domain"),
        ("4711", 1, "no-such-domain"),
    ] {
        let (found, codes) = check(domain);
        assert!(codes.iter().any(|c| c == code), "{domain}: no {code} in {codes:?}");
        assert_eq!(found, status, "{domain}: {codes:?}");
    }
}

#[test]
fn a_domain_that_does_not_exist() {
    assert_snapshot!(sim(&["check", "nobody"]).all());
}

#[test]
fn what_a_killed_run_left_is_cleaned_before() {
    let ran = faulty(&["check", "left-on"]);
    assert_eq!(ran.status, 0, "{}", ran.all());
    assert!(ran.stderr.contains("domain 11: a killed xenmig had left its dirty log on"));
}

#[test]
fn an_interrupted_check_exits_with_130() {
    let ran = faulty(&["check", "stopped", "--json"]);
    assert_eq!(ran.status, 130, "{}", ran.all());
    assert!(codes(&ran.json()).contains(&"sample-interrupted"));
}

#[test]
fn options_win_over_the_configuration_and_that_over_the_defaults() {
    let config = "[link]\nbandwidth = '1Gbit/s'\n[budget]\ndowntime = '2s'\n\
                  [[domain]]\nname = 'i*'\nbudget = { total = '90s' }\n";
    let place = Place::new().file("xenmig.toml", config);
    let check = |more: &[&str]| {
        place.sim(&[&["check", "idle", "--json", "--config", "xenmig.toml"], more].concat()).json()
    };
    let configured = check(&[]);
    assert_eq!(configured["bandwidth_bytes_per_s"], 125e6);
    assert_eq!(configured["bandwidth_source"], "configuration");
    assert_eq!(configured["budget"]["downtime_s"], 2.0);
    assert_eq!(configured["budget"]["total_s"], 90.0);
    let given = check(&["--bandwidth", "1GiB/s", "--downtime", "unlimited", "--total", "3s"]);
    assert_eq!(given["bandwidth_bytes_per_s"], 1_073_741_824.0);
    assert_eq!(given["bandwidth_source"], "given");
    assert!(given["budget"]["downtime_s"].is_null());
    assert_eq!(given["budget"]["total_s"], 3.0);
}

#[test]
fn the_windows_are_as_asked() {
    let check = sim(&["check", "web", "--json", "--window", "4s", "--windows", "1"]).json();
    assert_eq!(check["measured"]["window_s"], 4.0);
}

#[test]
fn bytes_can_be_limited() {
    let ran = sim(&["check", "idle", "--json", "--bytes", "512MiB"]);
    assert_eq!(ran.status, 1, "{}", ran.all());
    assert!(codes(&ran.json()).contains(&"memory-too-large"));
}

#[test]
fn a_trace_of_the_check_gives_the_same_prediction() {
    let place = Place::new().file("costs.toml", "costs = { finish = '200ms' }");
    let config = ["--json", "--config", "costs.toml", "--bandwidth", "1Gbit/s"];
    let run = |arguments: &[&str]| place.sim(&[arguments, &config].concat()).json();
    let check = run(&["check", "web", "--trace", "web.trace"]);
    let rows = run(&["predict", "--trace", "web.trace", "--policy", "stock"]);
    for cost in ["total_s", "downtime_s"] {
        assert_eq!(rows["rows"][0][cost], check["predicted"][cost]);
    }
}

#[test]
fn no_trace_is_left_where_nothing_was_sampled() {
    let place = Place::new().file("faulty.toml", common::FAULTY);
    let ran = place.run(&["--host", "sim:faulty.toml", "check", "pinned", "--trace", "x.trace"]);
    assert!(ran.status == 1 && ran.stderr.contains("x.trace was not written"), "{}", ran.all());
    assert!(!place.path("x.trace").exists());
}
