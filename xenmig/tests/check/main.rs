//! `check` over hosts that exist only here: which facts it gathers, when it samples, what it
//! reports and in which words.

mod fake;

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::sync::LazyLock;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use serde_json::{Value, json};
use xenmig::Kind;
use xenmig::check::{BandwidthSource, Options, Policy, Report, check};
use xenmig::config::Settings;
use xenmig::dirty::Plan;
use xenmig::history::Calibration;
use xenmig::host::{DomId, RunState, Setup, Transfer};
use xenmig::model::Costs;
use xenmig::policy::gate::Verdict;
use xenmig::units::BytesPerSecond;

use fake::{Fake, fake, no_domain};

static DEFAULTS: LazyLock<Settings> = LazyLock::new(Settings::default);

fn gbit(rate: f64) -> Option<BytesPerSecond> {
    BytesPerSecond::new(rate * 1.25e8)
}

fn checked<'a>(host: &Fake, change: impl FnOnce(&mut Options<'a>)) -> Report {
    let mut options = Options {
        settings: &DEFAULTS,
        calibration: None,
        bandwidth: gbit(1.0),
        sample_anyway: false,
        target: None,
        policy: Policy::Stock,
    };
    change(&mut options);
    check(host, &host.domain, &options, &AtomicBool::new(false), &mut |_| {})
        .expect("this host answers")
}

fn codes(report: &Report) -> Vec<&str> {
    report.judgement.reasons.iter().map(|reason| reason.code).collect()
}

#[test]
fn a_calm_guest_may_go() {
    let host = fake();
    let report = checked(&host, |_| {});
    assert_eq!(report.judgement.verdict, Verdict::Go);
    assert_eq!(codes(&report), ["fixed-costs-unknown"]);
    assert_eq!(host.logs.get(), Plan::default().lengths().len() as u32);
    let prediction = report.prediction.expect("bandwidth and sample are known");
    assert!((prediction.expected.total_s - 40_960.0 * 4104.0 / 1.25e8).abs() < 0.1);
    // The window is as long as the first round takes, and a quarter more.
    assert!((report.curve.unwrap().sampled().as_secs_f64() - 1.68).abs() < 0.01);
}

#[test]
fn a_guest_that_dirties_faster_than_the_link_is_refused() {
    let host = Fake { rate: 40_000.0, ..fake() };
    let report = checked(&host, |_| {});
    assert_eq!(report.judgement.verdict, Verdict::NoGo);
    assert!(codes(&report).contains(&"downtime-over-budget"), "{:?}", codes(&report));
    assert!(codes(&report).contains(&"does-not-converge"), "{:?}", codes(&report));
}

#[test]
fn a_fact_that_blocks_spares_the_guest_the_sample() {
    let setup = Setup { pci_devices: vec!["0000:03:00.0".to_owned()], ..Setup::default() };
    let host = Fake { setup: Ok(setup), ..fake() };
    let report = checked(&host, |_| {});
    assert_eq!(report.judgement.verdict, Verdict::NoGo);
    assert!(report.sample.is_none() && report.prediction.is_none());
    assert_eq!(host.logs.get(), 0);

    let report = checked(&host, |options| options.sample_anyway = true);
    assert_eq!(report.judgement.verdict, Verdict::NoGo);
    assert!(report.prediction.is_some());
}

#[test]
fn the_dirty_log_of_a_domain_that_is_moved_is_never_touched() {
    for transfer in [Transfer::Outgoing { pid: 5 }, Transfer::Incoming] {
        let host = Fake { transfers: RefCell::new(vec![transfer]), ..fake() };
        checked(&host, |options| options.sample_anyway = true);
        assert_eq!(host.logs.get(), 0);
    }
    for (state, id) in [(RunState::Dying, 3), (RunState::Suspended, 3), (RunState::Running, 0)] {
        let mut host = fake();
        (host.domain.state, host.domain.id) = (state, DomId(id));
        checked(&host, |options| options.sample_anyway = true);
        assert_eq!(host.logs.get(), 0, "{state:?}");
    }
}

#[test]
fn a_paused_guest_is_not_mistaken_for_an_idle_one() {
    let mut host = fake();
    host.domain.state = RunState::Paused;
    let report = checked(&host, |_| {});
    assert_eq!((report.judgement.verdict, codes(&report)), (Verdict::Wait, vec!["domain-paused"]));
    assert!(report.prediction.is_none());
}

#[test]
fn a_sampling_that_fails_is_a_reason() {
    for (kind, code) in [
        (Kind::Busy, "log-dirty-busy"),
        (Kind::Permission, "sampling-not-permitted"),
        (Kind::Unsupported, "log-dirty-unsupported"),
        (Kind::Unguarded, "sampling-not-permitted"),
        (Kind::Internal, "sampling-failed"),
    ] {
        let report = checked(&Fake { log: Some(kind), ..fake() }, |_| {});
        assert_eq!(codes(&report), [code]);
        assert!(report.sample.is_none());
    }
}

#[test]
fn a_domain_that_goes_away_is_a_reason() {
    // In its first window, in its second, and before it was looked at.
    for gone_after in [1, 2] {
        let report = checked(&Fake { gone_after, ..fake() }, |_| {});
        assert!(codes(&report).contains(&"domain-gone"), "{:?}", codes(&report));
        assert_eq!(report.judgement.verdict, Verdict::NoGo);
    }
    let report = checked(&Fake { setup: Err(Kind::NoSuchDomain), ..fake() }, |_| {});
    assert_eq!(codes(&report), ["no-such-domain"]);
}

#[test]
fn an_unknown_setup_is_a_reason() {
    let report = checked(&Fake { setup: Err(Kind::Internal), ..fake() }, |_| {});
    assert_eq!(codes(&report), ["setup-unknown", "fixed-costs-unknown"]);
}

#[test]
fn a_bandwidth_given_wins_over_a_configured_and_that_over_a_learnt_one() {
    let learnt = Calibration {
        bandwidth: gbit(1.0).unwrap(),
        costs: Costs::default(),
        finish_spread: Duration::ZERO,
        from: 1,
    };
    let mut settings = Settings { bandwidth: gbit(2.0), ..Settings::default() };
    let found = |settings: &Settings, given, calibration| {
        Options {
            settings,
            calibration,
            bandwidth: given,
            sample_anyway: false,
            target: None,
            policy: Policy::Stock,
        }
        .link_bandwidth()
    };
    let (rate, source) = found(&settings, gbit(3.0), Some(&learnt)).unwrap();
    assert_eq!((Some(rate), source), (gbit(3.0), BandwidthSource::Given));
    let (rate, source) = found(&settings, None, Some(&learnt)).unwrap();
    assert_eq!((Some(rate), source), (gbit(2.0), BandwidthSource::Configuration));
    settings.bandwidth = None;
    let (rate, source) = found(&settings, None, Some(&learnt)).unwrap();
    assert_eq!((Some(rate), source), (gbit(1.0), BandwidthSource::EarlierMigrations));
    assert_eq!(found(&settings, None, None), None);
}

#[test]
fn costs_are_configured_or_learnt() {
    let ms = Duration::from_millis;
    let costs = Costs { start: ms(30), finish: ms(180), ..Costs::default() };
    let learnt = Calibration {
        bandwidth: gbit(1.0).unwrap(),
        costs,
        finish_spread: Duration::ZERO,
        from: 1,
    };
    let mut settings = Settings::default();
    settings.costs.finish = Some(ms(50));
    let link = |settings, calibration| {
        Options {
            settings,
            calibration,
            bandwidth: gbit(1.0),
            sample_anyway: false,
            target: None,
            policy: Policy::Stock,
        }
        .link()
    };
    let costs = link(&settings, Some(&learnt)).unwrap().costs;
    assert_eq!((costs.start, costs.finish), (ms(30), ms(50)));
    assert_eq!(link(&settings, None).unwrap().costs.start, Duration::ZERO);

    let told = |calibration| {
        let report = checked(&fake(), |options| options.calibration = calibration);
        report.judgement.reason("fixed-costs-unknown").is_some()
    };
    assert!(told(None) && !told(Some(&learnt)));
}

#[test]
fn what_some_migrations_took_longer_counts_against_the_budget() {
    let learnt = |spread| Calibration {
        bandwidth: gbit(1.0).unwrap(),
        costs: Costs { finish: Duration::from_millis(100), ..Costs::default() },
        finish_spread: Duration::from_millis(spread),
        from: 10,
    };
    let mut settings = Settings::default();
    settings.budget.downtime = Some(Duration::from_millis(250));
    let judged = |spread| {
        let learnt = learnt(spread);
        let report = checked(&fake(), |options| {
            (options.settings, options.calibration) = (&settings, Some(&learnt));
        });
        let prediction = report.prediction.expect("bandwidth and sample are known");
        let spread = Duration::from_millis(spread).as_secs_f64();
        assert!(prediction.downtime_s.p90 >= prediction.expected.downtime_s + spread);
        assert!(prediction.total_s.p90 >= prediction.expected.total_s + spread);
        (report.judgement.verdict, report.judgement.reason("downtime-at-risk").is_some())
    };
    assert_eq!(judged(100), (Verdict::Go, false));
    assert_eq!(judged(200), (Verdict::Wait, true));
}

#[test]
fn without_a_bandwidth_nothing_is_predicted_but_all_is_measured() {
    let report = checked(&fake(), |options| options.bandwidth = None);
    assert_eq!(codes(&report), ["bandwidth-unknown"]);
    let document = serde_json::to_value(report.document()).unwrap();
    assert_eq!(document["predicted"], Value::Null);
    assert_eq!(document["bandwidth_source"], Value::Null);
    assert_eq!(document["measured"]["window_s"], 3.0);
}

/// The object has these keys, and `text` has them in this order after `start`.
#[track_caller]
fn has_keys(text: &str, start: &str, object: &Value, keys: &str) {
    let expected: BTreeSet<_> = keys.split(' ').collect();
    let found: BTreeSet<_> =
        object.as_object().expect("an object").keys().map(String::as_str).collect();
    assert_eq!(found, expected);
    let mut rest = &text[text.find(start).expect(start)..];
    for key in keys.split(' ') {
        rest = rest.split_once(&format!("\"{key}\":")).unwrap_or_else(|| panic!("{key}: {text}")).1;
    }
}

/// DESIGN.md, "check --json".
#[test]
fn the_document_has_the_fields_of_the_contract_in_their_order() {
    let report = checked(&fake(), |_| {});
    let text = serde_json::to_string(&report.document()).unwrap();
    let value = serde_json::to_value(report.document()).unwrap();
    let top = "schema domain verdict reasons measured predicted budget bandwidth_bytes_per_s \
               bandwidth_source";
    has_keys(&text, "", &value, top);
    has_keys(&text, "\"domain\"", &value["domain"], "domid name type memory_bytes vcpus");
    let measured = "window_s curve dirty_rate_pages_per_s vcpu_utilisation host_cpu_utilisation";
    has_keys(&text, "\"measured\"", &value["measured"], measured);
    let predicted = "total_s downtime_s downtime_p90_s bytes rounds";
    has_keys(&text, "\"predicted\"", &value["predicted"], predicted);
    has_keys(&text, "\"rounds\"", &value["predicted"]["rounds"][0], "pages bytes s");
    has_keys(&text, "\"budget\"", &value["budget"], "downtime_s total_s");

    assert_eq!(value["schema"], "xenmig.check/1");
    assert_eq!(value["verdict"], "go");
    let domain = json!({
        "domid": 3, "name": "web", "type": "pvh", "memory_bytes": 160 << 20, "vcpus": 2,
    });
    assert_eq!(value["domain"], domain);
    assert_eq!(value["budget"], json!({ "downtime_s": 1.0, "total_s": null }));
    assert_eq!(value["bandwidth_bytes_per_s"], 1.25e8);
    assert_eq!(value["bandwidth_source"], "given");
    assert_eq!(value["predicted"]["rounds"][0]["pages"], 40_960);
    assert_eq!(value["measured"]["curve"][0], json!([0.0, 0.0]));

    let report = checked(&fake(), |options| options.bandwidth = None);
    let text = serde_json::to_string(&report.document()).unwrap();
    let reason = &serde_json::to_value(report.document()).unwrap()["reasons"][0];
    has_keys(&text, "\"reasons\"", reason, "code severity message evidence");
}

#[test]
fn a_domain_that_does_not_exist_has_a_document_too() {
    let settings = Settings::default();
    let options = Options {
        settings: &settings,
        calibration: None,
        bandwidth: None,
        sample_anyway: false,
        target: None,
        policy: Policy::Stock,
    };
    let report = Report::no_such_domain("wbe", &no_domain(), &options);
    let document = serde_json::to_value(report.document()).unwrap();
    assert_eq!(document["verdict"], "no-go");
    assert_eq!(document["domain"]["name"], "wbe");
    assert_eq!(document["measured"], Value::Null);
    let report = Report::no_such_domain("77", &no_domain(), &options);
    let document = serde_json::to_value(report.document()).unwrap();
    assert_eq!(
        (&document["domain"]["domid"], &document["domain"]["name"]),
        (&json!(77), &Value::Null)
    );
}
