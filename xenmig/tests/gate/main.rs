//! The gate's rules: each fires exactly when it should, and the verdict follows from the severest.

mod world;

use std::collections::BTreeSet;
use std::time::Duration;

use glob::Pattern;
use xenmig::dirty::Ended;
use xenmig::host::{CpuFeatures, DomId, GuestType, RunState, Transfer};
use xenmig::model::Costs;
use xenmig::policy::Budget;
use xenmig::policy::gate::{
    Conclusion, Judgement, NO_SUCH_DOMAIN, RULES, Severity, Verdict, no_such_domain,
};
use xenmig::units::{Bytes, Pages};
use xenmig::{Error, Kind};

use world::{World, features, prediction, set, spread};

/// Changes one fact.
type Change = fn(&mut World);

/// Each rule, and a change to the calm world that makes it fire, and nothing else.
type Case = (&'static str, Severity, Change);

const CASES: &[Case] = {
    use Severity::{Block, Info, Wait};
    &[
        ("dom0", Block, |w| {
            w.domain.id = DomId::DOM0;
            // Of Dom0 nothing else is worth saying.
            (w.domain.guest_type, w.setup) = (GuestType::Pv, None);
        }),
        ("domain-dying", Block, |w| w.domain.state = RunState::Dying),
        ("domain-crashed", Block, |w| w.domain.state = RunState::Crashed),
        ("domain-shutdown", Block, |w| w.domain.state = RunState::Shutdown),
        ("domain-suspended", Block, |w| w.domain.state = RunState::Suspended),
        ("domain-paused", Wait, |w| w.domain.state = RunState::Paused),
        ("being-saved", Block, |w| w.transfer = Some(Transfer::Outgoing { pid: 4711 })),
        ("arriving", Wait, |w| w.transfer = Some(Transfer::Incoming)),
        ("setup-unknown", Wait, |w| w.setup = None),
        ("migration-disabled", Block, |w| w.setup().migration_disabled = true),
        ("pci-passthrough", Block, |w| w.setup().pci_devices = vec!["0000:03:00.0".into()]),
        ("usb-device", Block, |w| w.setup().usb_devices = vec!["controller 0".into()]),
        ("vtpm", Block, |w| w.setup().vtpms = vec!["vtpm 0".into()]),
        ("pinned-device", Block, |w| w.setup().other_pinned_devices = vec!["rdm".into()]),
        ("nested-hvm", Block, |w| w.setup().nested_hvm = true),
        ("vnuma", Block, |w| w.setup().vnuma_nodes = 2),
        ("local-disk", Block, |w| w.setup().local_disks = vec!["xvda: /srv/web.img".into()]),
        ("populate-on-demand", Wait, |w| w.setup().pod_pages = Some(Pages(1))),
        ("ballooning", Wait, |w| w.setup().memory_target = Some(Bytes(100 << 20))),
        ("no-suspend-support", Block, |w| w.setup().can_suspend = Some(false)),
        ("suspend-support-unknown", Info, |w| w.setup().can_suspend = None),
        ("target-xen-older", Block, |w| w.target().xen.version = "4.16.9".into()),
        ("target-paging", Block, |w| w.target().xen.hap = false),
        ("target-memory", Block, |w| w.target().capacity.free_memory_bytes = 160 << 20),
        ("target-memory", Info, |w| {
            w.target().capacity.free_memory_bytes = 160 << 20;
            w.target().capacity.dom0_gives_memory = Some(true);
        }),
        ("target-name-taken", Block, |w| w.target().load.domains[1].name = "web".into()),
        ("target-name-taken", Info, |w| {
            w.target().load.domains[1].uuid = w.domain.uuid.to_string()
        }),
        ("target-bridge", Block, |w| w.setup().bridges.push("xenbr1".into())),
        ("target-bridge", Info, |w| w.setup().bridges.push("ovs0".into())),
        ("target-disk", Block, |w| w.target().disks[0].exists = false),
        ("target-disk", Info, |w| w.target().disks.clear()),
        ("target-cpu-features", Block, |w| w.target().cpu_features = features("3:f")),
        ("target-cpu-features", Wait, |w| {
            w.target().cpu_features = features("3:f");
            w.given = None;
        }),
        ("target-cpu-features", Wait, |w| w.target().cpu_features.hvm_max = None),
        ("target-cpu-features", Info, |w| w.target().cpu_features = CpuFeatures::default()),
        ("target-cpu-features", Info, |w| {
            (w.given, w.here.cpu_features) = (None, CpuFeatures::default());
        }),
        ("log-dirty-unsupported", Block, |w| {
            w.domain.guest_type = GuestType::Pv;
            w.domain.hap = false;
        }),
        ("log-dirty-unsupported", Block, |w| w.fail(Kind::Unsupported)),
        ("log-dirty-busy", Wait, |w| w.fail(Kind::Busy)),
        ("sampling-not-permitted", Wait, |w| w.fail(Kind::Permission)),
        ("sampling-not-permitted", Wait, |w| w.fail(Kind::Unguarded)),
        ("sampling-failed", Wait, |w| w.fail(Kind::Internal)),
        ("sampling-failed", Wait, |w| w.fail(Kind::Io)),
        ("save-began", Block, |w| w.windows()[2].ended = Ended::SaveBegan),
        ("domain-gone", Block, |w| w.windows()[2].ended = Ended::DomainGone),
        ("domain-gone", Block, |w| w.fail(Kind::NoSuchDomain)),
        ("sample-interrupted", Wait, |w| w.windows()[2].ended = Ended::Interrupted),
        ("sample-interrupted", Wait, |w| w.fail(Kind::Interrupted)),
        ("host-saturated", Wait, |w| w.cpu(0.1, 0.9)),
        ("host-saturated", Wait, |w| w.cpu(0.2, 1.0)),
        ("guest-load-on-short-host", Wait, |w| w.cpu(0.5, 0.95)),
        ("target-saturated", Wait, |w| w.target().load.free_cpus = Some(0.69)),
        ("target-overloaded", Wait, |w| {
            w.target().load.free_cpus = Some(1.2);
            w.cpu(0.5, 0.5);
        }),
        ("bandwidth-unknown", Wait, |w| (w.bandwidth, w.prediction) = (None, None)),
        ("no-prediction", Wait, |w| w.prediction = None),
        ("prediction-uncertain", Info, |w| w.predicted().horizon = Duration::from_millis(8001)),
        ("prediction-uncertain", Info, |w| w.windows().truncate(1)),
        ("prediction-uncertain", Wait, |w| {
            w.windows().truncate(1);
            w.predicted().downtime_s.p90 = 0.51;
        }),
        // The save holds it, or is given up.
        ("prediction-uncertain", Info, |w| {
            w.windows().truncate(1);
            w.predicted().downtime_s.p90 = 0.51;
            w.downtime_enforced = true;
        }),
        ("fixed-costs-unknown", Info, |w| w.costs = None),
        ("memory-too-large", Block, |w| w.budget.total = Some(Duration::from_secs(1))),
        ("memory-too-large", Block, |w| w.budget.bytes = Some(Bytes(100 << 20))),
        ("downtime-grows-with-memory", Info, |w| {
            // 21 ms of 100 ms.
            let per_p2m_page = 0.021 / w.domain.p2m_size.0 as f64;
            w.costs = Some(Costs { per_p2m_page, ..Costs::default() });
        }),
        ("total-time-over-budget", Block, |w| w.predicted().total_s = spread(10.1, 11.0, 12.0)),
        ("total-time-at-risk", Wait, |w| w.predicted().total_s = spread(8.0, 9.0, 10.1)),
        ("downtime-over-budget", Block, |w| w.predicted().downtime_s = spread(1.1, 2.0, 3.0)),
        ("downtime-at-risk", Wait, |w| w.predicted().downtime_s = spread(0.5, 0.9, 1.1)),
        ("bytes-over-budget", Block, |w| w.predicted().bytes = spread(2e9, 2e9, 2e9)),
        ("bytes-at-risk", Wait, |w| w.predicted().bytes = spread(1e9, 1e9, 2e9)),
        ("does-not-converge", Info, |w| {
            w.prediction = Some(prediction(1.6, 0.1, &[40_960.0, 4000.0, 3600.0]));
        }),
        ("does-not-converge", Info, |w| {
            w.prediction = Some(prediction(1.6, 0.1, &[40_960.0, 1025.0, 1025.0]));
        }),
        ("resends-much", Info, |w| {
            w.prediction = Some(prediction(1.6, 0.1, &[40_960.0, 20_000.0, 480.0]));
        }),
    ]
};

#[test]
fn nothing_speaks_against_a_calm_guest() {
    assert_eq!(World::calm().judge(), Judgement { verdict: Verdict::Go, reasons: Vec::new() });
}

#[test]
fn each_rule_fires_alone_and_decides_the_verdict() {
    for (code, severity, change) in CASES {
        let mut world = World::calm();
        change(&mut world);
        let judgement = world.judge();
        let codes: Vec<_> = judgement.reasons.iter().map(|reason| reason.code).collect();
        assert_eq!(codes, [*code]);
        let reason = &judgement.reasons[0];
        assert_eq!(reason.severity, *severity, "{code}");
        let verdict = match severity {
            Severity::Info => Verdict::Go,
            Severity::Wait => Verdict::Wait,
            Severity::Block => Verdict::NoGo,
        };
        assert_eq!(judgement.verdict, verdict, "{code}");
        assert!(!reason.message.is_empty() && !reason.message.ends_with('.'), "{code}");
        assert!(!reason.advice.is_empty(), "{code} says what to do");
        assert!(reason.evidence.is_object(), "{code}");
        assert_eq!(judgement.reason(code), Some(reason));
    }
}

#[test]
fn every_rule_has_a_case_a_source_and_its_own_code() {
    let cases: BTreeSet<_> = CASES.iter().map(|(code, ..)| *code).collect();
    let rules: BTreeSet<_> = RULES.iter().map(|rule| rule.code).collect();
    assert_eq!(cases, rules);
    assert_eq!(rules.len(), RULES.len());
    assert!(RULES.iter().all(|rule| !rule.when.is_empty() && !rule.source.is_empty()));
}

#[test]
fn every_conclusion_of_the_paper_has_a_rule_that_names_it() {
    let named: BTreeSet<_> = RULES.iter().filter_map(|rule| rule.conclusion).collect();
    assert!(Conclusion::ALL.iter().eq(&named));
    for (code, _, change) in CASES {
        let mut world = World::calm();
        change(&mut world);
        let message = &world.judge().reasons[0].message;
        let rule = RULES.iter().find(|rule| rule.code == *code).unwrap();
        let named = rule.conclusion.is_some_and(|named| message.ends_with(&format!("({named})")));
        assert_eq!(named, rule.conclusion.is_some(), "{code}: {message}");
        assert_eq!(message.matches("paper, conclusion").count(), usize::from(named), "{message}");
    }
}

/// Changes just short of those that make a rule fire.
#[test]
fn boundaries_are_on_the_right_side() {
    let quiet: &[(&str, Change)] = &[
        ("others that leave enough", |w| w.cpu(0.2, 0.92)),
        ("a guest that leaves enough", |w| w.cpu(0.5, 0.93)),
        ("a busy guest on a host with CPU to spare", |w| w.cpu(1.0, 0.75)),
        ("others that leave less than wanted, beside a guest that does nothing", |w| {
            w.thresholds.free_cpus = 1.5;
            w.cpu(0.0, 0.7);
        }),
        ("a guest whose CPU use is unknown", |w| {
            w.cpu(0.1, 0.9);
            w.windows().iter_mut().for_each(|window| window.vcpu_utilisation.clear());
        }),
        ("a host whose CPU use is unknown", |w| {
            w.windows().iter_mut().for_each(|window| window.host_cpu_utilisation = None);
        }),
        ("a limit just kept", |w| {
            w.predicted().downtime_s = spread(0.9, 0.95, 1.0);
            w.predicted().total_s = spread(9.0, 9.5, 10.0);
        }),
        ("no limits", |w| {
            w.budget = Budget::UNLIMITED;
            w.predicted().downtime_s = spread(1e3, 1e4, f64::INFINITY);
        }),
        ("just as far ahead as allowed", |w| w.predicted().horizon = Duration::from_secs(8)),
        ("two windows", |w| w.windows().truncate(2)),
        ("a balloon within its slack", |w| w.setup().memory_target = Some(Bytes(128 << 20))),
        ("a balloon below its target", |w| w.setup().memory_target = Some(Bytes(1 << 30))),
        ("no page left to populate", |w| w.setup().pod_pages = Some(Pages(0))),
        ("a disk that the target sees", |w| {
            w.setup().local_disks = vec!["xvda: /dev/drbd1".into(), "xvdb: /mnt/nfs/a".into()];
            w.thresholds.shared_storage.push(Pattern::new("/mnt/nfs/*").unwrap());
        }),
        ("a PV guest on a hypervisor with shadow paging", |w| {
            (w.domain.guest_type, w.host.shadow) = (GuestType::Pv, Some(true));
        }),
        ("a PV guest where that is unknown", |w| {
            (w.domain.guest_type, w.host.shadow) = (GuestType::Pv, None);
        }),
        ("rounds that shrink a little", |w| {
            w.prediction = Some(prediction(1.6, 0.1, &[40_960.0, 4000.0, 3599.0]));
        }),
        ("few pages again and again", |w| {
            w.prediction = Some(prediction(1.6, 0.1, &[40_960.0, 1024.0, 1024.0]));
        }),
        ("one round after the first", |w| {
            w.prediction = Some(prediction(1.6, 0.1, &[40_960.0, 14_000.0]));
        }),
        ("not sampled yet", |w| (w.sample, w.prediction) = (None, None)),
        ("no target", |w| w.inventory = None),
        ("a target with a newer Xen", |w| w.target().xen.version = "4.20.0-rc1".into()),
        ("a target with shadow paging only", |w| {
            (w.target().xen.hap, w.target().xen.shadow) = (false, Some(true));
        }),
        ("memory that just suffices", |w| {
            // 160 MiB, 2 vCPUs, 160 pages, and 2 MiB.
            w.target().capacity.free_memory_bytes = (164 << 20) + 160 * 4096;
        }),
        ("CPU features that not even this host can give", |w| w.given = Some(set("7:17"))),
        ("bits that promise nothing", |w| {
            w.here.cpu_features = CpuFeatures::default();
            w.given = Some(set("0:08000000"));
        }),
        ("a target's CPUs that just suffice", |w| {
            w.target().load.free_cpus = Some(1.25);
            w.cpu(0.5, 0.5);
        }),
        ("a target that says nothing of its CPUs", |w| w.target().load.free_cpus = None),
        ("two heavily loaded guests on a host that is not busy", |w| {
            w.target().load.domains[1].used_cpus = 1.9;
            w.cpu(1.0, 0.5);
        }),
    ];
    for (what, change) in quiet {
        let mut world = World::calm();
        change(&mut world);
        assert_eq!(world.judge().reasons, [], "{what}");
    }
}

#[test]
fn the_severest_reason_decides_and_comes_first() {
    let mut world = World::calm();
    world.setup().can_suspend = None;
    assert_eq!(world.judge().verdict, Verdict::Go);
    world.cpu(0.2, 1.0);
    assert_eq!(world.judge().verdict, Verdict::Wait);
    world.setup().vnuma_nodes = 1;
    let judgement = world.judge();
    assert_eq!(judgement.verdict, Verdict::NoGo);
    let codes: Vec<_> = judgement.reasons.iter().map(|reason| reason.code).collect();
    assert_eq!(codes, ["vnuma", "host-saturated", "suspend-support-unknown"]);
}

#[test]
fn the_missing_features_and_the_busy_neighbours_are_named() {
    let mut world = World::calm();
    world.target().cpu_features = features("3:f");
    world.target().load.free_cpus = Some(0.5);
    let judgement = world.judge();
    let features = judgement.reason("target-cpu-features").expect("bit 2 is missing");
    assert!(features.message.ends_with("lacks: de"), "{}", features.message);
    assert_eq!(features.evidence["missing"], serde_json::json!(["de"]));
    let load = judgement.reason("target-saturated").expect("half a CPU is not enough");
    assert!(load.message.contains("beside db (0.90 CPUs)"), "{}", load.message);
}

#[test]
fn a_guest_too_large_for_the_budget_is_refused_before_it_is_sampled() {
    let mut world = World::calm();
    (world.sample, world.prediction) = (None, None);
    world.budget.total = Some(Duration::from_secs(1));
    let judgement = world.judge();
    let reason = judgement.reason("memory-too-large").expect("160 MiB at 1 Gbit/s take 1.4 s");
    assert_eq!(judgement.verdict, Verdict::NoGo);
    assert!(reason.message.contains("1.41 s"), "{}", reason.message);
}

#[test]
fn a_busy_log_of_an_hvm_guest_points_at_its_display() {
    let mut world = World::calm();
    world.domain.guest_type = GuestType::Hvm;
    world.fail(Kind::Busy);
    let judgement = world.judge();
    assert!(judgement.reasons[0].advice.contains("VNC"), "{}", judgement.reasons[0].advice);
}

#[test]
fn advice_of_an_error_reaches_the_user() {
    let mut world = World::calm();
    world.fail(Kind::Permission);
    world.error = Some(Error::new(Kind::Permission, "no mark possible").hint("load the module"));
    let judgement = world.judge();
    assert_eq!(judgement.reasons[0].advice, "load the module");
    assert!(judgement.reasons[0].message.contains("no mark possible"));
}

#[test]
fn a_domain_that_does_not_exist_is_a_no_go() {
    let error = Error::new(Kind::NoSuchDomain, "there is no domain `wbe`");
    let judgement = no_such_domain("wbe", &error);
    assert_eq!(judgement.verdict, Verdict::NoGo);
    let reason = judgement.reason(NO_SUCH_DOMAIN).expect("it is the only reason");
    assert!(reason.message.contains("wbe") && !reason.advice.is_empty());
}

#[test]
fn words_in_json_are_those_of_the_design() {
    let words = serde_json::to_string(&(Verdict::Go, Verdict::Wait, Verdict::NoGo)).unwrap();
    assert_eq!(words, r#"["go","wait","no-go"]"#);
    let words = serde_json::to_string(&(Severity::Info, Severity::Wait, Severity::Block)).unwrap();
    assert_eq!(words, r#"["info","wait","block"]"#);
}
