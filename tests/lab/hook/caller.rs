//! A caller that the hook asks for its settings, and that may end the save.

use std::time::Duration;

use xenlab::Running;
use xenmig::migrate::hook::Settings;
use xenmig::model::Costs;
use xenmig::policy::precopy::Steering;

use super::{EVENTS, events, migrate_env, moved, of_kind, stayed, with_guest};
use crate::scene::{Ran, Scene};

/// Starts a caller that gives these settings and says `word` at the first event `when`.
fn caller(scene: &Scene, settings: &str, word: &str, when: &str) -> Running {
    scene.host.push_bytes(include_bytes!("caller.pl"), "/root/caller.pl", 0o644).unwrap();
    assert_eq!(scene.run(&["rm", "-f", SOCKET]).status, 0);
    let perl = ["perl", "/root/caller.pl", SOCKET, settings, word, when];
    let mut caller = scene.host.spawn(perl).unwrap();
    assert_eq!(caller.next_line().unwrap().as_deref(), Some("listening"));
    caller
}

const SOCKET: &str = "/root/hook.sock";

#[test]
fn a_caller_gives_settings_hears_of_the_save_and_may_end_it() {
    let Some((scene, guest)) = with_guest() else { return };
    let steering = Steering { max_wait: Duration::from_millis(200), ..Steering::default() };
    let settings = Settings {
        downtime_s: Some(1.0),
        total_s: None,
        bytes: None,
        steering,
        bandwidth_bytes_per_s: None,
        costs: Costs::default(),
        finish_spread_s: 0.0,
        steady: None,
        telemetry: Some(EVENTS.into()),
    };
    let settings = serde_json::to_string(&settings).unwrap();
    let env = [("XENMIG_HOOK_SOCKET", SOCKET)];
    let heard = |caller: Running| Ran::of(caller.wait().unwrap()).stdout;

    // Asked in the first round, it ends after that.
    let listens = caller(&scene, &settings, "\"abort\"", "begin");
    let ran = migrate_env(&scene, &env);
    assert!(ran.status != 0 && ran.stderr.contains("its caller asks for it"), "{}", ran.all());
    let heard_of = heard(listens);
    let hello = format!("{{\"schema\":\"xenmig.hook/1\",\"domid\":{},\"pid\":", guest.domid);
    assert!(heard_of.contains(&hello) && heard_of.contains("given_up"), "{heard_of}");
    stayed(&scene, guest.domid);

    // A caller that dies is not missed.
    let listens = caller(&scene, &settings, "die", "send");
    moved(&migrate_env(&scene, &env));
    assert!(heard(listens).contains("\"event\":\"begin\""));
    let events = events(&scene);
    assert_eq!(of_kind(&events, "decision").last().unwrap()["decision"], "stop_and_copy");
    assert_eq!(of_kind(&events, "end")[0]["result"], 0);

    // One that gives nothing, or nonsense, gets a stock save and hears why.
    for (answer, why) in
        [("", "no settings within 2 s"), ("{\"downtime_s\":\"soon\"}", "cannot be")]
    {
        let listens = caller(&scene, answer, "", "");
        let ran = migrate_env(&scene, &env);
        moved(&ran);
        let heard_of = heard(listens);
        assert!(ran.stderr.contains(why) && heard_of.contains("\"event\":\"stock\""), "{heard_of}");
    }
    scene.intact("g1");
    scene.log_is_off("g1");
}
