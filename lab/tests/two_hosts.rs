//! Two hosts that reach each other, on a real Xen.

use std::thread;
use std::time::Instant;

use xenlab::{Error, GuestSpec, HostBuilder, Lan, XenVersion, in_step, unavailable};

#[test]
fn a_guest_goes_to_another_host_with_its_memory() {
    if let Some(why) = unavailable() {
        eprintln!("skipped: {why}");
        return;
    }
    let lan = match Lan::new() {
        Err(why @ Error::NoNetwork(_)) => return eprintln!("skipped: {why}"),
        lan => lan.unwrap(),
    };
    let builder = HostBuilder::new(XenVersion::V4_17).lan(&lan);
    let (source, target) = thread::scope(|scope| {
        let target = scope.spawn(|| builder.boot().unwrap());
        (builder.boot().unwrap(), target.join().unwrap())
    });
    let spec =
        GuestSpec { memory_mib: 96, ..GuestSpec::new("g1", "hot:1500,600".parse().unwrap()) };
    source.guest(&spec).unwrap();
    let before = source.verify("g1").unwrap();

    let way = target.receive(8002, None).unwrap();
    let migrate = || source.run_ok(["xl", "migrate", "-s", "", "g1", &way]);
    let (_, clocks) = in_step([&source, &target], Instant::now(), migrate).unwrap();
    let [source_s, target_s] = clocks.map(|clock| clock.last_s());
    assert!((source_s - target_s).abs() < 0.2, "{source_s} s, {target_s} s");

    let after = target.verify("g1").unwrap();
    assert_eq!(after.pages, before.pages);
    assert!(after.writes > before.writes, "{after:?}, {before:?}");
    assert!(source.domid("g1").is_err());
}
