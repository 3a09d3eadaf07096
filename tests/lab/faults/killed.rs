//! libxl's save helper, or xenmig itself, is killed.

use super::{Faults, UNSTEERED, over, with};

const WORKLOAD: &str = "hot:2000,1000";

/// Arguments of a save that is throttled in vain, and so far that it takes long enough to be hit.
const THROTTLED: [&str; 7] =
    ["40Mbit/s", "--downtime", "1ms", "--on-miss", "throttle", "--config", super::DEEP];
/// What is said once it is.
const CAPPED: &str = "throttled to";

const HELPER: &str = "pkill -KILL -f '[-]-save-domain'";
const XENMIG: &str = "pkill -KILL -x xenmig";

/// What a shell gives for SIGKILL.
const KILLED: i32 = 128 + 9;

/// A line of 160 Mbit/s, and one on which small rounds take long.
fn slow() -> [String; 2] {
    over("never", "cut xenlab-shape 20000000 --")
}

fn very_slow() -> [String; 2] {
    over("never", "cut xenlab-shape 5000000 --")
}

#[test]
fn the_save_helper_is_killed() {
    let Some(mut faults) = Faults::new("5", WORKLOAD) else { return };
    let what = "save helper killed";
    let line = slow();
    let act = format!("sleep 1; {HELPER}");
    let ran = faults.migrate_and(&with(&UNSTEERED, &line), "sending g1", &act);
    faults.stays(what, "live", &ran, 3, &["cannot save"]);
    let ran = faults.migrate_and(&with(&UNSTEERED, &line), "suspended;", HELPER);
    faults.stays(what, "the last copy", &ran, 3, &["cannot save"]);
    let ran = faults.migrate_and(&with(&THROTTLED, &very_slow()), CAPPED, HELPER);
    faults.stays(what, "while it throttles the guest", &ran, 3, &["cannot save"]);
}

#[test]
fn xenmig_is_killed() {
    let Some(mut faults) = Faults::new("6", WORKLOAD) else { return };
    let what = "xenmig killed";
    for (arguments, line, moment, when, says) in [
        (&THROTTLED[..], very_slow(), CAPPED, "while the guest is throttled", "it runs here"),
        (&UNSTEERED, slow(), "suspended;", "the last copy", "resumed it"),
    ] {
        let ran = faults.migrate_and(&with(arguments, &line), moment, XENMIG);
        assert_eq!(ran.status, KILLED, "{}", ran.all());
        // The helper ends with its next word to its dead parent.
        faults.scene.run(&["sleep", "2"]);
        if says == "resumed it" {
            // What is not about that resumes nobody, and forgets nothing.
            for words in [&["sample", "g1"][..], &["recover", "--keep-suspended"]] {
                let ran = faults.scene.xenmig(words);
                assert_eq!(ran.status, 70, "{words:?}: {}", ran.all());
                assert!(ran.all().contains("`xenmig recover`"), "{words:?}: {}", ran.all());
            }
        }
        let row = faults.recover(what, when, 0, &[says]);
        faults.is_here(row);
    }

    // The permission gets no further; the receiver waits for it.
    let line = over("permission", "stall");
    let ran = faults.migrate_and(&with(&UNSTEERED, &line), "the target may run it now", XENMIG);
    assert_eq!(ran.status, KILLED, "{}", ran.all());
    let row = faults.recover(what, "the target has permission", 70, &["look there for `g1`"]);
    assert_eq!(faults.scene.run(&["pkill", "-KILL", "-f", "^perl /root/line.pl"]).status, 0);
    faults.scene.run(&["sh", "-c", "sleep 1; xl destroy g1--incoming"]);
    let ran = faults.scene.xenmig(&["recover", "--resume", &faults.domid.to_string()]);
    assert_eq!(ran.status, 0, "{}", ran.all());
    assert_eq!(faults.scene.host.domid("g1").unwrap(), faults.domid);
    faults.write(row, "runs here, intact, after the user did as told");
}
