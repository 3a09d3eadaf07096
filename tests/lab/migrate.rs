//! `xenmig migrate`, to the host the guest is on: it moves, or it stays and nothing is lost. What
//! breaks on the way is in `faults`.

use serde_json::Value;
use xenlab::Running;

use crate::scene::{Ran, Scene, XENMIG};

const SIGINT: i32 = 2;

/// 40 Mbit/s: a save of one of these guests takes some 20 virtual seconds.
const SLOW: u64 = 5_000_000;
const FAST: u64 = 50_000_000;

/// A short sample, and whatever the gate makes of it.
const FIXED: [&str; 12] = [
    "migrate",
    "g1",
    "localhost",
    "--force",
    "--unsteered",
    "--json",
    "--window",
    "500ms",
    "--windows",
    "1",
    "--downtime",
    "unlimited",
];

/// Its arguments, over a link of `rate`.
fn over(rate: u64) -> Vec<String> {
    let (receive, bandwidth) = (format!("xenlab-receive {rate}"), format!("{rate}B/s"));
    let link = ["-s", &receive, "--bandwidth", &bandwidth];
    [&FIXED[..], &link].concat().into_iter().map(str::to_owned).collect()
}

/// Its arguments, over this transport.
fn by(transport: &str) -> Vec<String> {
    let link = ["--bandwidth", "1Gbit/s", "--transport", transport];
    [&FIXED[..], &link].concat().into_iter().map(str::to_owned).collect()
}

impl Scene {
    fn start(&self, arguments: &[String]) -> Running {
        let words = std::iter::once(XENMIG).chain(arguments.iter().map(String::as_str));
        let running = self.host.spawn(words).unwrap();
        running.close_stdin();
        running
    }

    fn moves(&self, arguments: &[String]) -> Ran {
        Ran::of(self.start(arguments).wait().unwrap())
    }

    /// Starts a migration over a slow link and comes back in the midst of its save.
    fn sending(&self) -> Running {
        let mut running = self.start(&over(SLOW));
        until(self, &mut running, "sending");
        running
    }

    /// Fails unless the guest is where it was, under its name, and as it was.
    #[track_caller]
    fn stayed(&self, domid: u32) {
        assert_eq!(self.host.domid("g1").unwrap(), domid);
        self.intact("g1");
        self.log_is_off("g1");
        let list = self.run(&["xl", "list"]).stdout;
        assert!(!list.contains("g1--"), "something is left:\n{list}");
    }
}

/// Waits until a migration has come to this stage, and two seconds more.
fn until(scene: &Scene, running: &mut Running, stage: &str) {
    let wanted = format!(r#""stage":"{stage}""#);
    let found = running.line_where(|line| line.contains(&wanted)).unwrap();
    assert!(found.is_some(), "it ended before {stage}");
    scene.run(&["sleep", "2"]);
}

/// The last line of a run's stdout.
#[track_caller]
fn report(ran: &Ran) -> Value {
    let line = ran.stdout.lines().last().unwrap_or_default();
    let report: Value = serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {}", ran.all()));
    assert_eq!(report["schema"], "xenmig.migrate/1", "{}", ran.all());
    report
}

#[test]
fn a_guest_moves_and_is_intact() {
    let Some((scene, guest)) = Scene::with_guest() else { return };
    let ran = scene.moves(&over(FAST));
    println!("{}", ran.all());
    assert_eq!(ran.status, 0, "{}", ran.all());
    let report = report(&ran);
    assert_eq!((&report["outcome"], &report["steered"]), (&"moved".into(), &false.into()));
    let (total, downtime) = (&report["measured"]["total_s"], &report["measured"]["downtime_s"]);
    assert!(total.as_f64().unwrap() > downtime.as_f64().unwrap(), "{}", ran.all());
    assert_ne!(scene.host.domid("g1").unwrap(), guest.domid);
    scene.intact("g1");
    scene.log_is_off("g1");
}

#[test]
fn a_wrapper_whose_hook_says_nothing_means_the_stock_policy() {
    const WRAPPER: &str = "#!/bin/sh\nexec /usr/l*/xen-*/bin/libxl-save-helper \"$@\"\n";
    let Some((scene, _)) = Scene::with_guest() else { return };
    let steered = |scene: &Scene| {
        let line = over(FAST).into_iter().filter(|word| word != "--unsteered");
        scene.moves(&line.map(|word| word.replace("unlimited", "5s")).collect::<Vec<_>>())
    };
    steered(&scene).refused(64, &["there is no xenmig-save-helper", "--unsteered"]);

    let path = "/usr/local/bin/xenmig-save-helper";
    scene.host.push_bytes(WRAPPER.as_bytes(), path, 0o755).unwrap();
    let ran = steered(&scene);
    println!("{}", ran.all());
    let report = report(&ran);
    assert_eq!((ran.status, &report["outcome"]), (0, &"moved".into()), "{}", ran.all());
    assert_eq!((&report["to_be_steered"], &report["steered"]), (&true.into(), &false.into()));
    assert_eq!(scene.run(&["sh", "-c", "ls /run/xenmig/*.sock"]).stdout, "", "a socket is left");
    scene.intact("g1");
    scene.log_is_off("g1");
}

#[test]
fn interrupted_in_the_midst_the_guest_stays() {
    let Some((scene, guest)) = Scene::with_guest() else { return };
    let migration = scene.sending();
    migration.kill(SIGINT);
    let ran = Ran::of(migration.wait().unwrap());
    println!("{}", ran.all());
    assert_eq!((ran.status, &report(&ran)["outcome"]), (3, &"stayed".into()), "{}", ran.all());
    scene.stayed(guest.domid);
    // And nothing keeps it from moving later.
    let ran = scene.moves(&over(FAST));
    assert_eq!(ran.status, 0, "{}", ran.all());
    scene.intact("g1");
}

#[test]
fn on_a_terminal_a_password_is_for_the_transport_and_then_control_c_for_xenmig() {
    /// What ssh does: it asks on the terminal, not on its stdin.
    const ASKS: &str = r#"read -r word < /dev/tty && [ "$word" = secret ] &&
        exec xenlab-receive 5000000 localhost xl migrate-receive"#;
    let Some((scene, guest)) = Scene::with_guest() else { return };
    let line = std::iter::once(XENMIG.to_owned()).chain(by(ASKS));
    let line: Vec<_> = line.map(|word| format!("'{word}'")).collect();
    let line = format!("exec {}", line.join(" "));
    let mut running = scene.host.spawn(["script", "-qec", &line, "/dev/null"]).unwrap();
    until(&scene, &mut running, "connecting");
    running.write_stdin(b"secret\n");
    until(&scene, &mut running, "sending");
    running.write_stdin(b"\x03");
    let ran = Ran::of(running.wait().unwrap());
    assert_eq!(ran.status, 3, "{}", ran.all());
    assert!(ran.stdout.contains(r#""why":"interrupted""#), "{}", ran.all());
    scene.stayed(guest.domid);
}

#[test]
fn a_receiver_that_says_nothing_or_nonsense_or_is_not_there() {
    let Some((scene, guest)) = Scene::with_guest() else { return };
    for (transport, words) in [
        ("exec sleep 1000", "said nothing for 60"),
        ("echo xl migration what is this supposed to be, dear sender; sleep 5", "what is this"),
        ("exec /nonexistent", "banner"),
    ] {
        let ran = scene.moves(&by(transport));
        let report = report(&ran);
        assert_eq!((ran.status, &report["outcome"]), (3, &"stayed".into()), "{}", ran.all());
        assert!(report["why"].as_str().unwrap().contains(words), "{}", ran.all());
    }
    scene.stayed(guest.domid);
}

#[test]
fn a_line_that_breaks_after_the_permission_leaves_both_ends_to_the_user() {
    /// Bytes of the receiver's banner and its word that it has everything; no report comes through.
    const HEARD: &str = "xl migrate-receive | dd bs=1 count=88 status=none";
    let Some((scene, guest)) = Scene::with_guest() else { return };
    let ran = scene.moves(&by(HEARD));
    println!("{}", ran.all());
    assert_eq!((ran.status, &report(&ran)["outcome"]), (4, &"undefined".into()), "{}", ran.all());
    // It runs at the target; here it waits, and nothing resumes it by itself.
    scene.intact("g1");
    let away = guest.domid.to_string();
    let ran = scene.xenmig(&["recover", "--json"]);
    let left = &ran.json()["recovered"][0];
    assert_eq!((ran.status, &left["clean"]), (70, &false.into()), "{}", ran.all());
    assert!(left["what"].as_str().unwrap().contains("xl destroy g1--migratedaway"), "{left}");
    assert_eq!(scene.run(&["xl", "domid", "g1--migratedaway"]).stdout.trim(), away);

    // The user finds that it does not run there.
    scene.run(&["xl", "destroy", "g1"]);
    let ran = scene.xenmig(&["recover", "--resume", "g1--migratedaway"]);
    assert_eq!(ran.status, 0, "{}", ran.all());
    scene.stayed(guest.domid);
}
