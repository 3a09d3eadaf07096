//! The lab itself, on a real Xen.

use std::time::Duration;

use xenlab::guest::{Datagram, Network};
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
fn a_guest_serves_before_and_after_a_migration() {
    if let Some(why) = unavailable() {
        eprintln!("skipped: {why}");
        return;
    }
    let host = HostBuilder::new(XenVersion::V4_17).boot().unwrap();
    let service = Some("10.77.0.1:9000,50,512".parse().unwrap());
    let network = Some(Network { address: [10, 77, 0, 2].into(), service });
    let spec = GuestSpec { network, ..GuestSpec::new("net", Workload::IDLE) };
    host.guest(&spec).unwrap();
    let received = || {
        let listen = "timeout 2 socat -u UDP-RECV:9000 - || [ $? = 124 ]";
        host.shell(listen, &[]).unwrap().stdout
    };
    // Fewer than 50 a second: the emulated guest's timers are late, and socat has to start.
    let complete = 60 * 512..=100 * 512;
    assert!(complete.contains(&received().len()));
    host.migrate("net", None).unwrap();
    let after = received();
    assert!(complete.contains(&after.len()));
    let first = Datagram::decode(&after).unwrap();
    assert!(first.guest_ns > 0 && first.sequence > 100, "{first:?}");
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
