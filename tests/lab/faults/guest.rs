//! Something happens to the guest itself, or there is no room for it.

use super::{Faults, Row, UNSTEERED, over, with};
use crate::scene::Ran;

const WORKLOAD: &str = "hot:1000,500";

impl Faults {
    /// Does `act` while the guest is being sent.
    fn sending_and(&self, act: &str) -> Ran {
        let line = over("never", "cut xenlab-shape 20000000 --");
        self.migrate_and(&with(&UNSTEERED, &line), "sending g1", act)
    }

    /// The guest ended; xenmig says so, and nothing of it is left anywhere.
    #[track_caller]
    fn is_gone(&mut self, fault: &str, when: &str, ran: &Ran, how: &str, left: &str) {
        let row = Row::of(fault, when, ran, 5, &["has ended", how]);
        let list = self.scene.run(&["xl", "list"]).stdout;
        let named: Vec<_> = list.lines().filter(|line| line.starts_with("g1")).collect();
        assert_eq!(named.len(), usize::from(!left.is_empty()), "{list}");
        self.scene.no_notes();
        self.print(&row, if left.is_empty() { "gone" } else { left }, "—", "—");
        if !left.is_empty() {
            self.scene.host.destroy("g1").unwrap();
        }
        self.create(WORKLOAD);
    }
}

#[test]
fn the_guest_ends_or_does_not_answer() {
    let Some(mut faults) = Faults::new("3", WORKLOAD) else { return };
    let ran = faults.sending_and("sleep 1; xl pause g1");
    let row = Row::of("guest paused", "live; so it does not suspend", &ran, 3, &["is paused"]);
    faults.scene.host.shell("xl unpause g1; sleep 1", &[]).unwrap();
    faults.is_here(row);

    let ran = faults.sending_and("sleep 1; xl destroy g1");
    faults.is_gone("guest destroyed", "live", &ran, "was destroyed", "");
    let ran = faults.sending_and("sleep 1; xl sysrq g1 c");
    faults.is_gone("guest crashed", "live", &ran, "crashed", "crashed, and kept for its owner");
}

#[test]
fn the_target_has_no_memory() {
    let Some(mut faults) = Faults::new("4", WORKLOAD) else { return };
    // All that the host has, but for a little.
    let fill = r#"free=$(xl info free_memory)
        printf 'name = "filler"\ntype = "pvh"\nkernel = "/boot/vmlinux"\nmemory = %s\n' \
            "$((free - 60))" >/root/filler.cfg
        xl create -q -p /root/filler.cfg"#;
    faults.scene.host.shell(fill, &[]).unwrap();
    let ran = faults.migrate(&with(&UNSTEERED, &over("never", "cut")));
    faults.scene.host.destroy("filler").unwrap();
    faults.stays("target without memory", "at the beginning", &ran, 3, &["what the target said"]);
}
