//! `check` over hosts that exist only here: which facts it gathers, when it samples, what it
//! reports and in which words.

use std::cell::{Cell, RefCell};
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use serde_json::{Value, json};
use xenmig::check::{BandwidthSource, Options, Report, check};
use xenmig::config::Settings;
use xenmig::dirty::Bitmap;
use xenmig::history::Calibration;
use xenmig::host::{
    CpuTimes, DirtyLog, DomId, Domain, Finding, GuestType, Host, HostInfo, Peek, Recovered,
    RunState, Setup, Transfer, Uuid, Wake,
};
use xenmig::model::Costs;
use xenmig::policy::gate::Verdict;
use xenmig::units::{Bytes, BytesPerSecond, Pages};
use xenmig::{Error, Kind, Result};

/// A host with one guest that dirties `rate` pages a second.
struct Fake {
    domain: Domain,
    setup: Result<Setup, Kind>,
    /// What `transfer` answers, first to last; then nothing.
    transfers: RefCell<Vec<Transfer>>,
    rate: f64,
    /// Sampling fails so.
    log: Option<Kind>,
    /// The domain is gone after so many windows.
    gone_after: u32,
    logs: Cell<u32>,
    now: Cell<Duration>,
}

fn fake() -> Fake {
    Fake {
        domain: Domain {
            id: DomId(3),
            name: "web".to_owned(),
            uuid: Uuid([2; 16]),
            guest_type: GuestType::Pvh,
            state: RunState::Running,
            memory: Pages(40_960),
            max_memory: Pages(40_960),
            p2m_size: Pages(40_960),
            vcpus: 2,
            hap: true,
        },
        setup: Ok(Setup {
            can_suspend: Some(true),
            ..Setup::default()
        }),
        transfers: RefCell::default(),
        rate: 100.0,
        log: None,
        gone_after: u32::MAX,
        logs: Cell::new(0),
        now: Cell::new(Duration::ZERO),
    }
}

fn no_domain() -> Error {
    Error::new(Kind::NoSuchDomain, "there is no domain 3")
}

impl Host for Fake {
    fn info(&self) -> Result<HostInfo> {
        Ok(HostInfo {
            xen_version: "4.17.7".to_owned(),
            built_for: "4.17".to_owned(),
            cpus: 2,
            memory: Bytes(8 << 30),
            free_memory: Bytes(4 << 30),
            scheduler: "credit2".to_owned(),
            hap: true,
            shadow: Some(false),
        })
    }

    fn domains(&self) -> Result<Vec<Domain>> {
        Ok(vec![self.domain.clone()])
    }

    fn domain(&self, id: DomId) -> Result<Domain> {
        let here = id == self.domain.id && self.logs.get() < self.gone_after;
        here.then(|| self.domain.clone()).ok_or_else(no_domain)
    }

    fn setup(&self, _: DomId) -> Result<Setup> {
        self.setup
            .clone()
            .map_err(|kind| Error::new(kind, "no setup"))
    }

    fn transfer(&self, _: DomId) -> Result<Option<Transfer>> {
        let mut left = self.transfers.borrow_mut();
        Ok((!left.is_empty()).then(|| left.remove(0)))
    }

    fn cpu_times(&self, _: DomId) -> Result<CpuTimes> {
        let (at, half) = (self.now.get(), self.now.get() / 2);
        Ok(CpuTimes {
            at,
            vcpus: vec![half, at / 4],
            idle: vec![half, at],
        })
    }

    fn pause(&self, time: Duration, _: &AtomicBool) -> bool {
        self.now.set(self.now.get() + time);
        true
    }

    fn dirty_log<'a>(&'a self, _: DomId, _: &'a AtomicBool) -> Result<Box<dyn DirtyLog + 'a>> {
        if let Some(kind) = self.log {
            return Err(Error::new(kind, "no log"));
        }
        self.logs.set(self.logs.get() + 1);
        Ok(Box::new(Log {
            host: self,
            on: self.now.get(),
            at: Duration::ZERO,
        }))
    }

    fn findings(&self) -> Vec<Finding> {
        Vec::new()
    }

    fn recover(&self) -> Result<Vec<Recovered>> {
        Ok(Vec::new())
    }
}

struct Log<'a> {
    host: &'a Fake,
    on: Duration,
    at: Duration,
}

impl DirtyLog for Log<'_> {
    fn wait_until(&mut self, at: Duration) -> Result<Wake> {
        self.at = at;
        self.host.now.set(self.on + at);
        Ok(Wake::Due)
    }

    fn peek(&mut self) -> Result<Peek> {
        if self.host.logs.get() >= self.host.gone_after {
            return Err(no_domain());
        }
        let pages = self.host.rate * self.at.as_secs_f64();
        Ok(Peek {
            at: self.at,
            dirty: Pages((pages as u64).min(40_960)),
        })
    }

    fn peek_bitmap(&mut self, _: &mut Bitmap) -> Result<Peek> {
        self.peek()
    }

    fn close(self: Box<Self>) -> Result<()> {
        Ok(())
    }
}

fn gbit(rate: f64) -> Option<BytesPerSecond> {
    BytesPerSecond::new(rate * 1.25e8)
}

fn checked(host: &Fake, change: impl FnOnce(&mut Options<'_>)) -> Report {
    let settings = Settings::default();
    let mut options = Options {
        settings: &settings,
        calibration: None,
        bandwidth: gbit(1.0),
        sample_anyway: false,
    };
    change(&mut options);
    check(
        host,
        &host.domain,
        &options,
        &AtomicBool::new(false),
        &mut |_| {},
    )
    .unwrap()
}

fn codes(report: &Report) -> Vec<&str> {
    report
        .judgement
        .reasons
        .iter()
        .map(|reason| reason.code)
        .collect()
}

#[test]
fn a_calm_guest_may_go() {
    let host = fake();
    let report = checked(&host, |_| {});
    assert_eq!(
        (report.judgement.verdict, codes(&report)),
        (Verdict::Go, vec![])
    );
    assert_eq!(host.logs.get(), 3);
    let prediction = report.prediction.expect("bandwidth and sample are known");
    assert!((prediction.expected.total_s - 40_960.0 * 4104.0 / 1.25e8).abs() < 0.1);
    // The window is as long as the first round takes, and a quarter more.
    assert!((report.curve.unwrap().sampled().as_secs_f64() - 1.68).abs() < 0.01);
}

#[test]
fn a_guest_that_dirties_faster_than_the_link_is_refused() {
    let host = Fake {
        rate: 40_000.0,
        ..fake()
    };
    let report = checked(&host, |_| {});
    assert_eq!(report.judgement.verdict, Verdict::NoGo);
    assert!(
        codes(&report).contains(&"downtime-over-budget"),
        "{:?}",
        codes(&report)
    );
    assert!(
        codes(&report).contains(&"does-not-converge"),
        "{:?}",
        codes(&report)
    );
}

#[test]
fn a_fact_that_blocks_spares_the_guest_the_sample() {
    let setup = Setup {
        pci_devices: vec!["0000:03:00.0".to_owned()],
        ..Setup::default()
    };
    let host = Fake {
        setup: Ok(setup),
        ..fake()
    };
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
        let host = Fake {
            transfers: RefCell::new(vec![transfer]),
            ..fake()
        };
        checked(&host, |options| options.sample_anyway = true);
        assert_eq!(host.logs.get(), 0);
    }
    for (state, id) in [
        (RunState::Dying, 3),
        (RunState::Suspended, 3),
        (RunState::Running, 0),
    ] {
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
    assert_eq!(
        (report.judgement.verdict, codes(&report)),
        (Verdict::Wait, vec!["domain-paused"])
    );
    assert!(report.prediction.is_none());
}

#[test]
fn a_sampling_that_fails_is_a_reason() {
    for (kind, code) in [
        (Kind::Busy, "log-dirty-busy"),
        (Kind::Permission, "sampling-not-permitted"),
        (Kind::Unsupported, "log-dirty-unsupported"),
        (Kind::Internal, "sampling-failed"),
    ] {
        let report = checked(
            &Fake {
                log: Some(kind),
                ..fake()
            },
            |_| {},
        );
        assert_eq!(codes(&report), [code]);
        assert!(report.sample.is_none());
    }
}

#[test]
fn a_domain_that_goes_away_is_a_reason() {
    // In its first window, in its second, and before it was looked at.
    for gone_after in [1, 2] {
        let report = checked(
            &Fake {
                gone_after,
                ..fake()
            },
            |_| {},
        );
        assert!(
            codes(&report).contains(&"domain-gone"),
            "{:?}",
            codes(&report)
        );
        assert_eq!(report.judgement.verdict, Verdict::NoGo);
    }
    let report = checked(
        &Fake {
            setup: Err(Kind::NoSuchDomain),
            ..fake()
        },
        |_| {},
    );
    assert_eq!(codes(&report), ["no-such-domain"]);
}

#[test]
fn an_unknown_setup_is_a_reason() {
    let report = checked(
        &Fake {
            setup: Err(Kind::Internal),
            ..fake()
        },
        |_| {},
    );
    assert_eq!(codes(&report), ["setup-unknown"]);
}

#[test]
fn a_bandwidth_given_wins_over_a_configured_and_that_over_a_learnt_one() {
    let learnt = Calibration {
        bandwidth: gbit(1.0).unwrap(),
        costs: Costs::default(),
        from: 1,
    };
    let mut settings = Settings {
        bandwidth: gbit(2.0),
        ..Settings::default()
    };
    let found = |settings: &Settings, given, calibration| {
        Options {
            settings,
            calibration,
            bandwidth: given,
            sample_anyway: false,
        }
        .link_bandwidth()
    };
    let (rate, source) = found(&settings, gbit(3.0), Some(&learnt)).unwrap();
    assert_eq!((Some(rate), source), (gbit(3.0), BandwidthSource::Given));
    let (rate, source) = found(&settings, None, Some(&learnt)).unwrap();
    assert_eq!(
        (Some(rate), source),
        (gbit(2.0), BandwidthSource::Configuration)
    );
    settings.bandwidth = None;
    let (rate, source) = found(&settings, None, Some(&learnt)).unwrap();
    assert_eq!(
        (Some(rate), source),
        (gbit(1.0), BandwidthSource::EarlierMigrations)
    );
    assert_eq!(found(&settings, None, None), None);
}

#[test]
fn costs_are_configured_or_learnt() {
    let ms = Duration::from_millis;
    let costs = Costs {
        start: ms(30),
        finish: ms(180),
        ..Costs::default()
    };
    let learnt = Calibration {
        bandwidth: gbit(1.0).unwrap(),
        costs,
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
        }
        .link()
    };
    let costs = link(&settings, Some(&learnt)).unwrap().costs;
    assert_eq!((costs.start, costs.finish), (ms(30), ms(50)));
    assert_eq!(link(&settings, None).unwrap().costs.start, Duration::ZERO);
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

/// The keys of an object, in their order.
fn keys(text: &str, after: &str) -> Vec<String> {
    let start = text.find(after).expect(after) + after.len();
    let mut depth = 0;
    let mut keys = Vec::new();
    let mut parts = text[start..].char_indices();
    while let Some((i, c)) = parts.next() {
        match c {
            '{' | '[' => depth += 1,
            '}' | ']' if depth == 1 => break,
            '}' | ']' => depth -= 1,
            '"' => {
                let from = start + i + 1;
                let end = from + text[from..].find('"').unwrap();
                parts.by_ref().find(|(j, _)| start + j == end);
                if depth == 1 && text[end..].starts_with("\":") {
                    keys.push(text[from..end].to_owned());
                }
            }
            _ => {}
        }
    }
    keys
}

/// DESIGN.md, "check --json".
#[test]
fn the_document_has_the_fields_of_the_contract_in_their_order() {
    let report = checked(&fake(), |_| {});
    let text = serde_json::to_string(&report.document()).unwrap();
    let words = |line: &str| line.split(' ').map(str::to_owned).collect::<Vec<_>>();
    let top = "schema domain verdict reasons measured predicted budget bandwidth_bytes_per_s \
               bandwidth_source";
    assert_eq!(keys(&text, ""), words(top));
    assert_eq!(
        keys(&text, "\"domain\":"),
        words("domid name type memory_bytes vcpus")
    );
    let measured = "window_s curve dirty_rate_pages_per_s vcpu_utilisation host_cpu_utilisation";
    assert_eq!(keys(&text, "\"measured\":"), words(measured));
    let predicted = "total_s downtime_s downtime_p90_s bytes rounds";
    assert_eq!(keys(&text, "\"predicted\":"), words(predicted));
    assert_eq!(keys(&text, "\"rounds\":["), words("pages bytes s"));
    assert_eq!(keys(&text, "\"budget\":"), words("downtime_s total_s"));

    let value = serde_json::to_value(report.document()).unwrap();
    assert_eq!(value["schema"], "xenmig.check/1");
    assert_eq!(value["verdict"], "go");
    let domain = json!({
        "domid": 3, "name": "web", "type": "pvh", "memory_bytes": 160 << 20, "vcpus": 2,
    });
    assert_eq!(value["domain"], domain);
    assert_eq!(
        value["budget"],
        json!({ "downtime_s": 1.0, "total_s": null })
    );
    assert_eq!(value["bandwidth_bytes_per_s"], 1.25e8);
    assert_eq!(value["bandwidth_source"], "given");
    assert_eq!(value["predicted"]["rounds"][0]["pages"], 40_960);
    assert_eq!(value["measured"]["curve"][0], json!([0.0, 0.0]));

    let report = checked(&fake(), |options| options.bandwidth = None);
    let text = serde_json::to_string(&report.document()).unwrap();
    assert_eq!(
        keys(&text, "\"reasons\":["),
        words("code severity message evidence")
    );
}

#[test]
fn a_domain_that_does_not_exist_has_a_document_too() {
    let settings = Settings::default();
    let options = Options {
        settings: &settings,
        calibration: None,
        bandwidth: None,
        sample_anyway: false,
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
