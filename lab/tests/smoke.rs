//! The lab itself, on a real Xen.

use std::time::Duration;

use xenlab::guest::Network;
use xenlab::meter::{Listener, Phases};
use xenlab::{Error, GuestSpec, HostBuilder, Status, Workload, XenVersion, unavailable};

/// 200 Mbit/s: below what the emulated host can do, so that it is the limit.
const RATE: u64 = 25_000_000;

#[test]
fn a_hot_guest_migrates_and_its_memory_is_intact() {
    if let Some(why) = unavailable() {
        eprintln!("skipped: {why}");
        return;
    }
    let host = HostBuilder::new(XenVersion::V4_17).boot().unwrap();
    let guest = host.guest(&GuestSpec::new("hot", "hot:4000,2000".parse().unwrap())).unwrap();
    let before = host.verify(&guest.name).unwrap();
    assert_eq!(before.pages, 4000 + 1024);

    let migration = host.migrate(&guest.name, Some(RATE)).unwrap();
    let seconds = migration.elapsed.as_secs_f64();
    // Its 160 MiB at least once, and at most 5 rounds of 4000 pages more.
    let once = 160.0 * 1048576.0 / RATE as f64;
    assert!((once..3.0 * once).contains(&seconds), "{seconds} s, {once} s for one pass");
    assert_ne!(host.domid(&guest.name).unwrap(), guest.domid);

    let after = host.verify(&guest.name).unwrap();
    assert_eq!(after.pages, before.pages);
    assert!(after.writes > before.writes);
    host.sleep(Duration::from_secs(3)).unwrap();
    assert!(host.verify(&guest.name).unwrap().writes >= after.writes + 4000);
}

#[test]
fn a_service_shows_the_phases_of_a_migration() {
    if let Some(why) = unavailable() {
        eprintln!("skipped: {why}");
        return;
    }
    let host = HostBuilder::new(XenVersion::V4_17).boot().unwrap();
    let address = [10, 77, 0, 2].into();
    let service = Some("10.77.0.1:9000,50,512".parse().unwrap());
    let network = Some(Network { address, service });
    let spec = GuestSpec { network, ..GuestSpec::new("net", Workload::IDLE) };
    host.guest(&spec).unwrap();
    let listener = Listener::start(&host, 9000).unwrap();
    host.sleep(Duration::from_secs(2)).unwrap();
    let migration = host.migrate("net", None).unwrap();
    host.sleep(Duration::from_secs(2)).unwrap();
    let arrivals = listener.finish(address).unwrap();
    let phases = Phases::recognise(&arrivals, 2.0).unwrap();
    // xl goes on a little after the guest runs at the target, and begins a little before.
    let total = phases.total().unwrap();
    assert!(total.s > 0.7 * migration.elapsed.as_secs_f64(), "{phases:?}");
    assert!(total.s < migration.elapsed.as_secs_f64() + 1.0, "{phases:?}");
    assert!(phases.suspended.s > 0.1 && phases.suspended.s < phases.offline.s, "{phases:?}");
    let after = arrivals.iter().filter(|a| a.at_s > phases.offline_ends.s).count();
    assert!(after > 50, "{after} datagrams after the migration");
}

#[test]
fn a_guest_computes_on_all_its_virtual_cpus() {
    if let Some(why) = unavailable() {
        eprintln!("skipped: {why}");
        return;
    }
    let host = HostBuilder::new(XenVersion::V4_17).boot().unwrap();
    let workload = "phase:0.3,100,50,500".parse().unwrap();
    let tick = Duration::from_secs(4);
    let spec = GuestSpec { vcpus: 2, tick, ..GuestSpec::new("smp", workload) };
    host.guest(&spec).unwrap();
    // Of a CPU, by Xen: 30 % of each of two, less what they wait for each other, and what phases
    // and pages cost.
    let top = r#"xentop -b -i 2 -d 5 | awk '$1 == "smp" { cpu = $4 } END { print cpu }'"#;
    let xen: f64 = host.shell(top, &[]).unwrap().stdout().trim().parse().unwrap();
    assert!((45.0..85.0).contains(&xen), "{xen} %");
    let mut console = host.console("smp", Duration::from_secs(1)).unwrap();
    let tick = console.line_where(|line| line.starts_with("GUEST: tick 1 ")).unwrap().unwrap();
    let said = |name: &str| -> f64 {
        tick.split_whitespace().find_map(|word| word.strip_prefix(name)).unwrap().parse().unwrap()
    };
    assert!((0.5..0.8).contains(&said("cpu=")), "{tick}");
    assert!((450.0..550.0).contains(&said("rate=")), "{tick}");
}

#[test]
fn commands_files_signals_and_a_crash() {
    if let Some(why) = unavailable() {
        eprintln!("skipped: {why}");
        return;
    }
    let host = HostBuilder::new(XenVersion::V4_17).boot().unwrap();

    let output = host.run(["sh", "-c", "echo out; echo err >&2; exit 3"]).unwrap();
    assert_eq!(
        (output.status, output.stdout(), output.stderr()),
        (Status::Exited(3), "out\n".into(), "err\n".into())
    );
    assert!(matches!(host.run(["no-such-program"]), Err(Error::Start { .. })));
    assert!(matches!(host.run_ok(["false"]), Err(Error::Command { .. })));

    let bytes: Vec<u8> = (0..3_000_000u32).map(|i| (i * 7) as u8).collect();
    host.push_bytes(&bytes, "/root/some/where", 0o750).unwrap();
    assert!(host.pull_bytes("/root/some/where").unwrap() == bytes);
    assert_eq!(host.run_ok(["stat", "-c", "%a", "/root/some/where"]).unwrap().stdout(), "750\n");

    let mut first = host.spawn(["sh", "-c", "echo ready; exec sleep 1000"]).unwrap();
    let second = host.spawn(["sleep", "0.5"]).unwrap();
    assert_eq!(first.next_line().unwrap().as_deref(), Some("ready"));
    assert!(second.wait().unwrap().status.success());
    first.kill(2);
    assert_eq!(first.wait().unwrap().status, Status::Signaled(2));

    let before = host.now().unwrap();
    host.sleep(Duration::from_secs(100)).unwrap();
    let passed = (host.now().unwrap() - before).as_secs_f64();
    assert!((100.0..105.0).contains(&passed), "{passed}");

    let crash = host.run(["sh", "-c", "echo c > /proc/sysrq-trigger; sleep 60"]);
    match crash {
        Err(Error::HostGone { serial, .. }) => assert!(serial.contains("crash"), "{serial}"),
        other => panic!("expected a crash, got {other:?}"),
    }
}
