//! Faults while a guest is migrated. After each the guest runs exactly once, as it was, or is gone
//! because somebody ended it; its log is off, its cap as before; and xenmig has said what to do.
//!
//! Each prints a line of a table, from which `scripts/faults` makes docs/faults.md.

mod guest;
mod hook;
mod killed;
mod line;
mod table;

use crate::hook::scene;
use crate::scene::{Ran, Scene, XENMIG};
use table::Row;

/// The cap that the guest has before each.
const CAP: u32 = 90;

/// A line to the receiver that breaks when it is told to.
const LINE: &str = "/root/line.pl";

/// Configuration under which a guest is throttled to nearly nothing, and soon.
const DEEP: &str = "/root/deep.toml";

/// A short sample, and whatever the gate makes of it.
const FIXED: [&str; 9] =
    ["migrate", "g1", "localhost", "--force", "--window", "500ms", "--windows", "1", "--bandwidth"];
const UNSTEERED: [&str; 4] = ["1Gbit/s", "--unsteered", "--downtime", "unlimited"];

/// A host with program, hook, and a guest.
struct Faults {
    scene: Scene,
    /// The guest's number, while it is where it was.
    domid: u32,
    group: &'static str,
    rows: u32,
}

impl Faults {
    /// Lines of the table sort by `group`, and then as they come.
    fn new(group: &'static str, workload: &str) -> Option<Self> {
        let scene = scene()?;
        scene.host.push_bytes(include_bytes!("faults/line.pl"), LINE, 0o644).unwrap();
        scene
            .host
            .push_bytes(b"[steer]\ncap_floor = 0.01\nmax_wait = \"100ms\"\n", DEEP, 0o644)
            .unwrap();
        let mut faults = Self { scene, domid: 0, group, rows: 0 };
        faults.create(workload);
        Some(faults)
    }

    fn create(&mut self, workload: &str) {
        self.domid = self.scene.guest("g1", workload).domid;
        self.set_cap();
    }

    /// Migrations do not carry it.
    fn set_cap(&self) {
        let cap = CAP.to_string();
        let ran = self.scene.run(&["xl", "sched-credit2", "-d", "g1", "-c", &cap]);
        assert_eq!(ran.status, 0, "{}", ran.all());
    }

    /// Runs `xenmig migrate` with these arguments.
    fn migrate(&self, arguments: &[&str]) -> Ran {
        self.migrate_and(arguments, "nothing like this", "")
    }

    /// The same, and does `act` in Dom0 as soon as it says `moment`.
    fn migrate_and(&self, arguments: &[&str], moment: &str, act: &str) -> Ran {
        const SCRIPT: &str = r#"set -o pipefail
            moment=$1 act=$2
            shift 2
            "$@" 2>&1 | while IFS= read -r line; do
                echo "$line"
                case $line in *"$moment"*) eval "$act" ;; esac
            done"#;
        let command = ["bash", "-c", SCRIPT, "bash", moment, act, XENMIG];
        let ran = self.scene.run(&[&command[..], &FIXED, arguments].concat());
        println!("{}", ran.all());
        assert!(act.is_empty() || ran.stdout.contains(moment), "it never said `{moment}`");
        ran
    }

    /// A fault that ends with `status`, after which the guest runs here.
    #[track_caller]
    fn stays(&mut self, fault: &str, when: &str, ran: &Ran, status: i32, says: &[&str]) {
        let row = Row::of(fault, when, ran, status, says);
        self.is_here(row);
    }

    /// The guest is where it was; what is told of that goes into the table.
    #[track_caller]
    fn is_here(&mut self, row: Row) {
        assert_eq!(self.scene.host.domid("g1").unwrap(), self.domid, "{}", row.said);
        let left = self.left_there(&row);
        self.write(row, &format!("runs here, intact{left}"));
    }

    /// The guest has moved.
    #[track_caller]
    fn is_there(&mut self, row: Row) {
        let domid = self.scene.host.domid("g1").unwrap();
        assert_ne!(domid, self.domid, "{}", row.said);
        self.domid = domid;
        self.set_cap();
        self.write(row, "runs at the target, intact");
    }

    /// Destroys what a receiver has left, as the message says. Says so, if there was anything.
    #[track_caller]
    fn left_there(&self, row: &Row) -> &'static str {
        let incoming = self.scene.run(&["xl", "destroy", "g1--incoming"]);
        if incoming.status != 0 {
            return "";
        }
        assert!(row.said.contains("xl destroy g1--incoming"), "not a word of it: {}", row.said);
        "; destroyed what was left there"
    }

    /// The guest is there once, and as it was.
    #[track_caller]
    fn write(&mut self, row: Row, guest: &str) {
        let list = self.scene.run(&["xl", "list"]).stdout;
        let named: Vec<_> = list.lines().filter(|line| line.starts_with("g1")).collect();
        assert_eq!(named.len(), 1, "{list}");
        self.scene.intact("g1");
        let cap = self.cap();
        assert_eq!(cap, CAP, "{}", row.said);
        self.scene.log_is_off("g1");
        self.print(&row, guest, "off", &format!("{cap} %"));
    }

    fn print(&mut self, row: &Row, guest: &str, log: &str, cap: &str) {
        self.rows += 1;
        println!("FAULT {}{:02} {}", self.group, self.rows, row.line(guest, log, cap));
    }

    /// The cap of the guest, as xl shows it.
    fn cap(&self) -> u32 {
        let shown = self.scene.run(&["xl", "sched-credit2", "-d", "g1"]);
        let cap = shown.stdout.lines().last().and_then(|line| line.split_whitespace().last());
        cap.and_then(|cap| cap.parse().ok()).unwrap_or_else(|| panic!("{}", shown.all()))
    }

    /// `xenmig recover`, of which a line is written.
    #[track_caller]
    fn recover(&self, fault: &str, when: &str, status: i32, says: &[&str]) -> Row {
        let ran = self.scene.xenmig(&["recover"]);
        println!("{}", ran.all());
        let mut row = Row::of(fault, when, &ran, status, says);
        row.said = format!("`xenmig recover`: {}", row.said);
        row
    }
}

/// The arguments of a migration over the line that breaks.
fn over(moment: &str, fault: &str) -> [String; 2] {
    ["--transport".to_owned(), format!("exec perl {LINE} {moment} {fault}")]
}

/// Those, and others before them.
fn with<'a>(arguments: &[&'a str], line: &'a [String; 2]) -> Vec<&'a str> {
    arguments.iter().copied().chain(line.iter().map(String::as_str)).collect()
}
