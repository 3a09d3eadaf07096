//! Saves steered by the hook in libxl's save helper, under an unmodified `xl migrate`.

mod caller;
mod caps;
mod rivals;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use serde_json::Value;
use xenlab::{Guest, Running};

use crate::scene::{Ran, Scene, XENMIG, scratch, succeed};

/// Where the wrapper and the library are in Dom0: beside the program.
const WRAPPER: &str = "/usr/local/bin/xenmig-save-helper";
pub const LIBRARY: &str = "/usr/local/bin/libxenmig_precopy.so";

/// Where the hook tells what it did.
const EVENTS: &str = "/root/events";

/// 160 Mbit/s: the first round of one of these guests takes some 6 virtual seconds.
const RATE: u64 = 20_000_000;

/// Waits for calmer moments take the lab long, and the guests here have none.
const PATIENCE: &[u8] = b"[steer]\nmax_wait = \"200ms\"\n";
const CONFIG: &str = "/root/patience.toml";

/// A host with program and hook.
pub fn scene() -> Option<Scene> {
    Scene::new().map(equip)
}

/// The same with a guest: [`Scene::with_guest`].
pub fn with_guest() -> Option<(Scene, Guest)> {
    Scene::with_guest().map(|(scene, guest)| (equip(scene), guest))
}

fn equip(scene: Scene) -> Scene {
    let built = built();
    scene.host.push(&built.wrapper, WRAPPER).unwrap();
    scene.host.push(&built.library, LIBRARY).unwrap();
    scene.host.push_bytes(PATIENCE, CONFIG, 0o644).unwrap();
    scene
}

/// The library with a fault.
pub fn panics() -> &'static Path {
    &built().panics
}

/// What is built for the same Xen as the program, without debugging information.
struct Built {
    wrapper: PathBuf,
    library: PathBuf,
    panics: PathBuf,
}

fn built() -> &'static Built {
    const LIBRARY: &str = "libxenmig_precopy.so";
    static BUILT: OnceLock<Built> = OnceLock::new();
    BUILT.get_or_init(|| {
        let profile = if cfg!(debug_assertions) { "dev" } else { "release" };
        let build = |features: &[&str]| {
            let mut cargo = Command::new(env!("CARGO"));
            cargo.args(["build", "--quiet", "--package", "xenmig-precopy", "--profile", profile]);
            succeed(cargo.args(features).current_dir(env!("CARGO_MANIFEST_DIR")));
        };
        let folder = Path::new(env!("CARGO_BIN_EXE_xenmig")).parent().unwrap();
        let strip = |name: &str, to: &str| {
            let stripped = scratch(to);
            succeed(Command::new("strip").arg("-o").arg(&stripped).arg(folder.join(name)));
            stripped
        };
        build(&["--features", "panics"]);
        let panics = strip(LIBRARY, "libpanics.so");
        build(&[]);
        let wrapper = strip("xenmig-save-helper", "xenmig-save-helper");
        Built { wrapper, library: strip(LIBRARY, LIBRARY), panics }
    })
}

/// `xl migrate g1`, begun with the variables that `xenmig hook` prints for these arguments.
fn begin(scene: &Scene, hook: &[&str]) -> Running {
    begin_by(scene, &format!("xenlab-receive {RATE}"), hook)
}

/// The same to a receiver of the test's own.
fn begin_by(scene: &Scene, receiver: &str, hook: &[&str]) -> Running {
    let script = r#"receiver=$1; shift
        rm -f /root/events
        environment=$("$@") || exit 99
        eval "$environment"
        exec xl migrate -s "$receiver" g1 localhost"#;
    let print = ["sh", "-c", script, "migrate", receiver, XENMIG, "hook", "--print-env"];
    let always = ["--config", CONFIG, "--telemetry", EVENTS];
    let running = scene.host.spawn([&print[..], &always, hook].concat()).unwrap();
    running.close_stdin();
    running
}

/// The same, to its end.
fn migrate(scene: &Scene, hook: &[&str]) -> Ran {
    Ran::of(begin(scene, hook).wait().unwrap())
}

/// `xl migrate g1` as fast as the host can, with the wrapper and these variables.
fn migrate_env(scene: &Scene, env: &[(&str, &str)]) -> Ran {
    let script = "rm -f /root/events; exec xl migrate -s 'xenlab-receive 0' g1 localhost";
    let env = [&[("LIBXL_SAVE_HELPER", WRAPPER), ("XENMIG_TELEMETRY", EVENTS)], env].concat();
    let running = scene.host.spawn_env(["sh", "-c", script], &env).unwrap();
    running.close_stdin();
    Ran::of(running.wait().unwrap())
}

/// What the hook told; nothing, if there is no file.
fn events(scene: &Scene) -> Vec<Value> {
    let text = scene.run(&["cat", EVENTS]).stdout;
    println!("{text}");
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Those of one kind.
fn of_kind<'a>(events: &'a [Value], kind: &str) -> Vec<&'a Value> {
    events.iter().filter(|event| event["event"] == kind).collect()
}

#[track_caller]
fn moved(ran: &Ran) {
    assert_eq!(ran.status, 0, "{}", ran.all());
    assert!(ran.stderr.contains("Migration successful"), "{}", ran.all());
}

/// Fails unless the save was given up, and the guest lives on where it was.
#[track_caller]
fn stayed(scene: &Scene, domid: u32) {
    assert_eq!(scene.host.domid("g1").unwrap(), domid);
    scene.intact("g1");
    scene.log_is_off("g1");
}

#[test]
fn a_plain_xl_migrate_keeps_the_budget() {
    let Some(scene) = scene() else { return };
    scene.guest("g1", "hot:4000,2000");
    let ran = migrate(&scene, &["--downtime", "1s"]);
    moved(&ran);
    scene.intact("g1");
    let events = events(&scene);
    let begin = &events[0];
    assert_eq!((&begin["event"], &begin["p2m_pages"]), (&"begin".into(), &1_044_480.into()));
    let decisions = of_kind(&events, "decision");
    let decision = decisions.last().unwrap();
    assert_eq!(decision["decision"], "stop_and_copy");
    assert!(decision["downtime_s"].as_f64().unwrap() <= 1.0, "{decision}");
    let time = |kind: &str| of_kind(&events, kind)[0]["t"].as_f64().unwrap();
    assert!(time("suspending") < time("suspended") && time("suspended") < time("last"));
    let last = time("end") - time("suspended");
    println!("the last set took {last:.3} s");
    assert!(last < 1.0, "{last} s");
    assert_eq!(of_kind(&events, "end")[0]["result"], 0);
    // Without the hook the log would not be off either if this were wrong.
    scene.log_is_off("g1");

    let doctor = scene.xenmig(&["doctor", "--json"]).json();
    let findings = doctor["findings"].as_array().unwrap();
    let hook = findings.iter().find(|finding| finding["what"] == "hook").unwrap();
    assert_eq!(hook["state"], "good", "{hook}");
}

#[test]
fn hot_pages_are_held_back_and_none_is_lost() {
    let Some(scene) = scene() else { return };
    // Faster than the link: a whole round leaves nearly all of it dirty again.
    scene.guest("g1", "hot:4000,6000");
    let ran = migrate(&scene, &["--downtime", "900ms", "--on-miss", "stop"]);
    moved(&ran);
    scene.intact("g1");
    let events = events(&scene);
    let parts = of_kind(&events, "decision").into_iter().filter(|d| d["decision"] == "part");
    assert!(parts.count() >= 3, "{events:?}");
    let number = |event: &Value, name: &str| event[name].as_u64().unwrap();
    let sent = of_kind(&events, "sent");
    let small = sent.iter().filter(|s| number(s, "pages") < number(s, "pending") / 2);
    assert!(small.count() >= 3, "{sent:?}");
    // What was held back goes with the last set.
    let left = of_kind(&events, "decision").last().map(|d| number(d, "pending")).unwrap();
    assert!(number(of_kind(&events, "last")[0], "pages") >= left, "{events:?}");
}

#[test]
fn whatever_is_wrong_with_it_the_save_is_xens_own() {
    let Some((scene, _)) = with_guest() else { return };
    scene.host.push_bytes(b"[budget]\ndowntme = \"1s\"\n", "/root/broken.toml", 0o644).unwrap();
    let other = "sed s/libxenctrl.so.4.../libxenctrl.so.4.99/ \"$1\" >/root/other.so";
    scene.host.shell(other, &[LIBRARY]).unwrap();
    // What is wrong, what stderr says of it, and whether the hook itself is reached.
    let wrong = [
        ("XENMIG_PRECOPY_LIBRARY", "/nowhere.so", "cannot read /nowhere.so", false),
        ("XENMIG_PRECOPY_LIBRARY", "/root/other.so", "was built for Xen 4.99", false),
        ("XENMIG_ON_MISS", "", "there are no settings", true),
        ("XENMIG_DOWNTIME", "soon", "XENMIG_DOWNTIME: `soon`", true),
        ("XENMIG_CONFIG", "/root/broken.toml", "downtme", true),
        ("XENMIG_CONFIG", "/nowhere.toml", "there is no configuration file", true),
        ("XENMIG_HOOK_SOCKET", "/nowhere.sock", "/nowhere.sock: No such file", false),
    ];
    for (name, value, said, reached) in wrong {
        let ran = migrate_env(&scene, &[(name, value)]);
        moved(&ran);
        assert!(ran.stderr.contains(said), "{name}={value}: {}", ran.all());
        assert!(ran.stderr.contains("this save follows Xen's own policy"), "{}", ran.all());
        let events = events(&scene);
        let stock = events.len() == 1 && events[0]["event"] == "stock";
        assert_eq!((stock, events.is_empty()), (reached, !reached), "{events:?}");
    }
    scene.intact("g1");
    scene.log_is_off("g1");
}

#[test]
fn a_budget_that_cannot_be_kept_leaves_the_guest_at_the_source() {
    let Some(scene) = scene() else { return };
    let guest = scene.guest("g1", "hot:4000,2000");
    let ran = migrate(&scene, &["--downtime", "1ms"]);
    assert_ne!(ran.status, 0, "{}", ran.all());
    assert!(ran.stderr.contains("its budget cannot be kept"), "{}", ran.all());
    let events = events(&scene);
    assert_eq!(of_kind(&events, "decision").last().unwrap()["decision"], "abort");
    assert!(of_kind(&events, "suspending").is_empty());
    assert_eq!(of_kind(&events, "end")[0]["result"], -1);
    stayed(&scene, guest.domid);

    // The best moment that can be had is always to be had.
    let ran = migrate(&scene, &["--downtime", "1ms", "--on-miss", "stop"]);
    moved(&ran);
    scene.intact("g1");
}

#[test]
fn a_sampler_lets_go_for_a_steered_save() {
    let Some((scene, _)) = with_guest() else { return };
    let sampler = scene.sampling("g1", "60s");
    moved(&migrate(&scene, &["--downtime", "1s"]));
    let ran = Ran::of(sampler.wait().unwrap());
    assert_eq!((ran.status, &ran.json()["ended"]), (0, &"save_began".into()), "{}", ran.all());
    assert!(!of_kind(&events(&scene), "suspended").is_empty());
    scene.intact("g1");
    scene.log_is_off("g1");
}
