//! The receiver is killed, or the line to it is cut, in each phase.

use super::{Faults, UNSTEERED, over, with};
use crate::scene::Ran;

/// Pages that the guest writes to, fast enough for the last copy to take some time.
const WORKLOAD: &str = "hot:2000,2000";

/// Moments of the line, what they are, and a part of what xenmig says.
const EARLY: [(&str, &str, &str); 2] = [
    ("banner", "before its banner", "is xl on the target"),
    ("header", "at the first byte", "the line to the target broke"),
];
const LATE: [(&str, &str, &str); 2] = [
    ("20000000", "live, after 20 MB", "the line to the target broke"),
    ("ready", "all is sent, before the target says that it has it", "did not say that it has"),
];

impl Faults {
    fn breaks(&self, moment: &str, fault: &str) -> Ran {
        self.migrate(&with(&UNSTEERED, &over(moment, fault)))
    }

    #[track_caller]
    fn breaks_before_the_permission(&mut self, what: &str, fault: &str) {
        for (moment, when, says) in EARLY.into_iter().chain(LATE) {
            let ran = self.breaks(moment, fault);
            self.stays(what, when, &ran, 3, &[says]);
        }
        // A slow line, so that there is a last copy to speak of.
        let slow = over("never", &format!("{fault} xenlab-shape 20000000 --"));
        let arguments = with(&UNSTEERED, &slow);
        let ran =
            self.migrate_and(&arguments, "suspended;", "pkill -USR1 -f '^perl /root/line.pl'");
        self.stays(what, "the last copy", &ran, 3, &["the line to the target broke"]);
    }

    /// The target has never run it; the user follows the message.
    #[track_caller]
    fn breaks_at_the_permission(&mut self, what: &str, fault: &str) {
        let ran = self.breaks("permission", fault);
        let when = "the permission is on its way";
        let row = super::Row::of(what, when, &ran, 4, &["look at both ends", "--incoming"]);
        let list = self.scene.run(&["xl", "list"]).stdout;
        assert!(!list.lines().any(|line| line.starts_with("g1 ")), "it runs there: {list}");
        let left = self.scene.run(&["xl", "destroy", "g1--incoming"]);
        assert_eq!(left.status, 0, "{}", left.all());
        let ran = self.scene.xenmig(&["recover", "--resume", &self.domid.to_string()]);
        assert_eq!(ran.status, 0, "{}", ran.all());
        assert_eq!(self.scene.host.domid("g1").unwrap(), self.domid);
        self.write(row, "runs here, intact, after the user did as told");
    }
}

#[test]
fn the_receiver_is_killed() {
    let Some(mut faults) = Faults::new("1", WORKLOAD) else { return };
    faults.breaks_before_the_permission("receiver killed", "kill");
    faults.breaks_at_the_permission("receiver killed", "kill");
}

#[test]
fn the_line_is_cut() {
    let Some(mut faults) = Faults::new("2", WORKLOAD) else { return };
    faults.breaks_before_the_permission("line cut", "cut");
    faults.breaks_at_the_permission("line cut", "cut");

    // The target has its say, and cleans up by itself.
    let line = over("ready", "late");
    let interrupt = "pkill -INT -x xenmig";
    let ran = faults.migrate_and(&with(&UNSTEERED, &line), "sent; the target", interrupt);
    let row = super::Row::of("^C", "all is sent", &ran, 3, &["interrupted"]);
    faults.scene.run(&["sleep", "2"]);
    assert_eq!(faults.left_there(&row), "", "{}", row.said);
    faults.is_here(row);

    let ran = faults.breaks("report", "cut");
    let when = "the guest runs there, its report is on its way";
    let row = super::Row::of("line cut", when, &ran, 4, &["xl destroy g1--migratedaway"]);
    let left = faults.scene.run(&["xl", "destroy", "g1--migratedaway"]);
    assert_eq!(left.status, 0, "{}", left.all());
    let ran = faults.scene.xenmig(&["recover"]);
    assert_eq!(ran.status, 0, "{}", ran.all());
    faults.is_there(row);
}
