//! What is in `contrib`, as its users would use it.

use crate::hook::with_guest;
use crate::scene::{Ran, Scene};

const CONTRIB: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/contrib");

/// What stands in for ssh in the lab: the host is this one.
const SSH: &[u8] = b"#!/bin/sh\nshift\nexec \"$@\"\n";

/// A host with a file of `contrib` in its place, and a guest.
fn with(file: &str, to: &str) -> Option<Scene> {
    let (scene, _) = with_guest()?;
    scene.host.push(format!("{CONTRIB}/{file}"), to).unwrap();
    scene.host.push_bytes(SSH, "/usr/local/bin/ssh", 0o755).unwrap();
    Some(scene)
}

impl Scene {
    /// `xl-budgeted` with these variables.
    fn budgeted(&self, env: &[(&str, &str)], arguments: &[&str]) -> Ran {
        let command = [&["/usr/local/bin/xl-budgeted"], arguments].concat();
        let running = self.host.spawn_env(command, env).unwrap();
        running.close_stdin();
        Ran::of(running.wait().unwrap())
    }
}

#[test]
fn xl_asks_the_gate_and_keeps_the_budget() {
    let Some(scene) = with("xl-budgeted", "/usr/local/bin/xl-budgeted") else { return };
    let domid = scene.host.domid("g1").unwrap();
    let events = "/root/events";
    let env = [("XENMIG_BANDWIDTH", "1Gbit/s"), ("XENMIG_TELEMETRY", events)];
    let migrate = ["migrate", "-s", "xenlab-receive 0", "g1", "localhost"];

    let tight = [&env[..], &[("XENMIG_TOTAL", "10ms")]].concat();
    let ran = scene.budgeted(&tight, &migrate);
    assert_eq!((ran.status, ran.stdout.as_str()), (1, ""), "{}", ran.all());
    assert!(ran.stderr.contains("NO-GO") && ran.stderr.contains("total"), "{}", ran.all());
    assert_eq!(scene.host.domid("g1").unwrap(), domid);

    let ample = [&env[..], &[("XENMIG_DOWNTIME", "5s")]].concat();
    let ran = scene.budgeted(&ample, &migrate);
    assert_eq!(ran.status, 0, "{}", ran.all());
    assert!(ran.stderr.contains("Migration successful"), "{}", ran.all());
    let told = scene.run(&["cat", events]).stdout;
    assert!(told.contains(r#""decision":"stop_and_copy""#), "nobody steered it: {told}");
    assert_ne!(scene.host.domid("g1").unwrap(), domid);
    scene.intact("g1");
    scene.log_is_off("g1");

    // Everything else is xl's.
    let ran = scene.budgeted(&[], &["domid", "g1"]);
    assert_eq!(ran.stdout.trim(), scene.host.domid("g1").unwrap().to_string(), "{}", ran.all());
    let ran = scene.budgeted(&[], &["migrate"]);
    assert!(ran.status != 0 && ran.all().contains("Usage"), "{}", ran.all());
}

#[test]
fn a_host_that_shuts_down_moves_its_guests() {
    /// The guest comes back to the same host: the script's next steps must not end it, nor wait
    /// for its end.
    const XEN: &[u8] =
        b"#!/bin/sh\ncase $1 in shutdown | domid) exit 1 ;; esac\nexec /usr/sbin/xen \"$@\"\n";
    const HERE: &str = r#"
        XENDOMAINS_MIGRATE="localhost --window 500ms --windows 1 --bandwidth 1Gbit/s $OPTIONS"
        XENDOMAINS_SAVE= XENDOMAINS_STOP_MAXWAIT=60
        PATH=/usr/local/sbin:/usr/local/bin:$PATH"#;
    let Some(scene) = with("xendomains", "/root/xendomains") else { return };
    let domid = scene.host.domid("g1").unwrap();
    scene.host.push_bytes(XEN, "/usr/local/sbin/xen", 0o755).unwrap();
    scene.host.push_bytes(HERE.as_bytes(), "/root/here", 0o644).unwrap();
    let default = "mount -t tmpfs tmpfs /etc/default && cat /root/xendomains /root/here >/etc/default/xendomains";
    scene.host.shell(default, &[]).unwrap();
    let stop = |options: &str| {
        let command = ["/etc/init.d/xendomains", "stop"];
        let running = scene.host.spawn_env(command, &[("OPTIONS", options)]).unwrap();
        running.close_stdin();
        let ran = Ran::of(running.wait().unwrap());
        println!("{}", ran.all());
        ran
    };

    let ran = stop("--total 10ms");
    assert!(ran.stdout.contains("Migrating Xen domain g1"), "{}", ran.all());
    assert!(ran.stdout.contains("NO-GO"), "nobody hears why: {}", ran.all());
    assert_eq!(scene.host.domid("g1").unwrap(), domid, "{}", ran.all());

    let ran = stop("--downtime 5s");
    assert_ne!(scene.host.domid("g1").unwrap(), domid, "{}", ran.all());
    scene.intact("g1");
    scene.log_is_off("g1");
}

#[test]
fn the_hook_of_libvirt_never_fails_and_recovers() {
    let Some(scene) = with("libvirt/libxl", "/root/libxl") else { return };
    let call = |operation: &[&str]| {
        let ran = scene.run(&[&["/root/libxl", "g1"], operation].concat());
        assert_eq!((ran.status, ran.stdout.as_str()), (0, ""), "{}", ran.all());
        ran
    };
    let sampler = scene.sampling("g1", "60s");
    sampler.kill(9);
    sampler.wait().unwrap();
    for operation in ["prepare", "start", "started", "reconnect", "migrate"] {
        assert_eq!(call(&[operation, "begin", "-"]).stderr, "");
    }
    assert_eq!(call(&["stopped", "end", "-"]).stderr, "");
    assert!(call(&["release", "end", "-"]).stderr.contains("switched off the dirty log"));
    scene.log_is_off("g1");
    // Whatever is the matter with xenmig.
    scene.run(&["rm", "/usr/local/bin/xenmig"]);
    call(&["release", "end", "-"]);
}
