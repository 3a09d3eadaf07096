//! `xenmig record` as a service in Dom0: what it sees of a real guest and serves, and that it is in
//! nobody's way.

use xenlab::Running;

use crate::hook;
use crate::scene::{Ran, Scene, XENMIG};

const SIGKILL: i32 = 9;
const SIGTERM: i32 = 15;

const LOG: &str = "/root/log.sqlite";

/// Asks for the metrics until they match a pattern; fails after a minute.
const FETCH: &str = r#"use IO::Socket::INET;
    my $page = "";
    for (1 .. 240) {
        if (my $s = IO::Socket::INET->new("127.0.0.1:9817")) {
            print $s "GET /metrics HTTP/1.0\r\n\r\n";
            $page = do { local $/; <$s> };
            if ($page =~ /$ARGV[0]/) { print $page; exit 0 }
        }
        select(undef, undef, undef, 0.25);
    }
    print STDERR $page;
    exit 1"#;

/// A turn every few seconds, and a window that is a good part of it; with no more rights than the
/// unit for systemd leaves it.
fn service(scene: &Scene) -> Running {
    const UNIT: &str = include_str!("../../contrib/systemd/xenmig-record.service");
    let rights = UNIT.lines().find_map(|line| line.strip_prefix("CapabilityBoundingSet=")).unwrap();
    let rights = rights.split(' ').map(|right| right.replace("CAP_", ",+").to_lowercase());
    let rights = format!("--bounding-set=-all{}", rights.collect::<String>());
    let words = ["record", "-v", "--store", LOG, "--interval", "4s", "--window", "500ms"];
    let limited = ["setpriv", "--no-new-privs", &rights, XENMIG];
    let service = scene.host.spawn(limited.iter().chain(&words)).unwrap();
    service.close_stdin();
    service
}

/// The metrics, as soon as they match `pattern`.
#[track_caller]
fn metrics(scene: &Scene, pattern: &str) -> String {
    let ran = scene.run(&["perl", "-e", FETCH, pattern]);
    assert_eq!(ran.status, 0, "no {pattern}: {}", ran.all());
    ran.stdout
}

/// The value of the one series that begins so.
#[track_caller]
fn value(metrics: &str, series: &str) -> f64 {
    let mut lines = metrics.lines().filter(|line| line.starts_with(series));
    let line = lines.next().unwrap_or_else(|| panic!("no {series} in {metrics}"));
    assert!(lines.next().is_none(), "more than one {series}");
    line.rsplit_once(' ').unwrap().1.parse().unwrap()
}

#[track_caller]
fn ends(service: Running) {
    service.kill(SIGTERM);
    let ran = Ran::of(service.wait().unwrap());
    assert_eq!(ran.status, 0, "{}", ran.all());
}

#[test]
fn it_sees_a_guest_and_is_found_again_after_a_kill() {
    let Some((scene, _)) = Scene::with_guest() else { return };
    let killed = service(&scene);
    let seen = metrics(&scene, r#"xenmig_domain_samples_total\{domain="g1".*\} [3-9]"#);
    let rate = value(&seen, "xenmig_domain_dirty_rate_pages_per_second{domain=\"g1\"");
    assert!((500.0..2500.0).contains(&rate), "{rate}");
    assert_eq!(value(&seen, "xenmig_domain_vcpus{domain=\"g1\""), 1.0);
    let mib = value(&seen, "xenmig_domain_memory_bytes{domain=\"g1\"") / f64::from(1 << 20);
    assert!((90.0..110.0).contains(&mib), "{mib} MiB");
    assert_eq!(value(&seen, "xenmig_host_cpus "), 1.0);
    let version = scene.run(&["xl", "info", "xen_version"]).stdout;
    let version = format!("xen=\"{}\"", version.trim());
    assert!(seen.lines().any(|l| l.starts_with("xenmig_build_info{") && l.contains(&version)));

    killed.kill(SIGKILL);
    drop(killed.wait());
    let again = service(&scene);
    metrics(&scene, r#"xenmig_domain_samples_total\{domain="g1".*\} [2-9]"#);
    ends(again);
    scene.log_is_off("g1");
    scene.intact("g1");

    // What both runs saw is in one log.
    let page = ["report", "--store", LOG, "--bandwidth", "1Gbit/s", "--json"];
    let report = scene.xenmig(&page).json();
    assert!(report["domains"][0]["samples"].as_u64().unwrap() >= 5, "{report}");
    assert_eq!(report["domains"][0]["window"]["advice"], "too_short");
    let ran = scene.xenmig(&["report", "--store", LOG, "--bandwidth", "1Gbit/s", "-o", "/root/r"]);
    assert_eq!(ran.status, 0, "{}", ran.all());
}

#[test]
fn migrations_go_on_beside_it() {
    let Some((scene, _)) = hook::with_guest() else { return };
    let service = service(&scene);
    metrics(&scene, r#"xenmig_domain_samples_total\{domain="g1""#);
    for _ in 0..3 {
        scene.migrate("g1");
        scene.intact("g1");
    }
    let words = ["migrate", "g1", "localhost", "-s", "xenlab-receive 50000000", "--force"];
    let more = ["--bandwidth", "50000000B/s", "--downtime", "5s", "--window", "500ms"];
    let ran = scene.xenmig(&[&words[..], &more].concat());
    assert_eq!(ran.status, 0, "{}", ran.all());
    scene.intact("g1");

    // The guest is sampled under its new domid, and the migration is told.
    let seen = metrics(&scene, r#"xenmig_last_migration_downtime_seconds\{domain="g1""#);
    assert_eq!(value(&seen, "xenmig_migrations_total{budget=\"kept\"}"), 1.0);
    let predicted = value(&seen, "xenmig_last_migration_predicted_downtime_seconds{");
    let measured = value(&seen, "xenmig_last_migration_downtime_seconds{");
    assert!(predicted > 0.0 && (0.1..5.0).contains(&measured), "{predicted} s, {measured} s");
    let samples = value(&seen, "xenmig_domain_samples_total{domain=\"g1\"");
    let later = format!(r#"xenmig_domain_samples_total\{{domain="g1".*\}} (?!{samples:.0}\n)"#);
    metrics(&scene, &later);
    ends(service);
    scene.log_is_off("g1");
}
