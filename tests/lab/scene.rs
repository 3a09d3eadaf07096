//! A host in the lab with xenmig in its Dom0, and what all tests ask of it.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::thread;
use std::time::Duration;

use serde_json::Value;
use xenlab::{
    Error, Guest, GuestSpec, Host, HostBuilder, Lan, Migration, Output, Running, Status, XenVersion,
};

/// Where the program is in Dom0.
pub const XENMIG: &str = "/usr/local/bin/xenmig";

/// Memory of guests: little, so that migrations are short; with less they do not boot.
const MEMORY_MIB: u32 = 96;

/// What no command takes, even on a busy machine: a guest hangs.
const LIMIT: Duration = Duration::from_secs(300);

/// A booted host.
pub struct Scene {
    pub host: Host,
}

impl Scene {
    /// A fresh host with the program; `None`, and a line that says so, where there is no lab.
    pub fn new() -> Option<Self> {
        lab()?;
        Some(Self::boot(HostBuilder::new(version())))
    }

    /// The same with a guest `g1` that keeps writing to some of its memory, from a snapshot: where
    /// a test does not mind what its guest does, this is the fastest.
    pub fn with_guest() -> Option<(Self, Guest)> {
        lab()?;
        let spec = spec("g1", "hot:2000,1000");
        let (host, guest) = HostBuilder::new(version()).limit(LIMIT).boot_with(&spec).unwrap();
        Some((Self::on(host), guest))
    }

    /// Two hosts that reach each other, both with the program; `None` as [`Scene::new`].
    pub fn two() -> Option<[Self; 2]> {
        lab()?;
        let lan = match Lan::new() {
            Err(why @ Error::NoNetwork(_)) => {
                eprintln!("skipped: {why}");
                return None;
            }
            lan => lan.unwrap(),
        };
        let builder = HostBuilder::new(version()).lan(&lan);
        Some(thread::scope(|scope| {
            let other = scope.spawn(|| Self::boot(builder.clone()));
            [Self::boot(builder.clone()), other.join().unwrap()]
        }))
    }

    fn boot(builder: HostBuilder) -> Self {
        Self::on(builder.limit(LIMIT).boot().unwrap())
    }

    fn on(host: Host) -> Self {
        host.push(program(), XENMIG).unwrap();
        Self { host }
    }

    /// Creates a guest, which is steady then.
    pub fn guest(&self, name: &str, workload: &str) -> Guest {
        self.host.guest(&spec(name, workload)).unwrap()
    }

    /// Runs the program in Dom0.
    pub fn xenmig(&self, arguments: &[&str]) -> Ran {
        self.run(&[&[XENMIG], arguments].concat())
    }

    /// Runs any command in Dom0.
    pub fn run(&self, command: &[&str]) -> Ran {
        Ran::of(self.host.run(command).unwrap())
    }

    /// Starts `xenmig sample` with one window, and comes back when the dirty log is on.
    pub fn sampling(&self, name: &str, window: &str) -> Running {
        let note = note(self.host.domid(name).unwrap());
        let sampler = ["sample", name, "--window", window, "--windows", "1", "--json"];
        let sampler = self.host.spawn([XENMIG].iter().chain(&sampler)).unwrap();
        // The note is written just before the log is switched on.
        let wait = r#"for i in $(seq 500); do
                [ -s "$1" ] && exec sleep 0.05
                sleep 0.02
            done
            exit 1"#;
        self.host.shell(wait, &[&note]).unwrap();
        sampler
    }

    /// Starts a migration and comes back in the midst of its save.
    pub fn migrating(&self, name: &str, bytes_per_second: u64) -> Running {
        let script = r#"exec xl migrate -s "xenlab-receive $2" "$1" localhost"#;
        let rate = bytes_per_second.to_string();
        let migration = self.host.spawn(["sh", "-c", script, "migrate", name, &rate]).unwrap();
        migration.close_stdin();
        let wait = r#"for i in $(seq 500); do
                pgrep -f -- "--save-domain [0-9]+ [0-9]+ $1 " >/dev/null && exec sleep 0.5
                sleep 0.02
            done
            exit 1"#;
        let domid = self.host.domid(name).unwrap().to_string();
        self.host.shell(wait, &[&domid]).unwrap();
        migration
    }

    /// Migrates as fast as the host can; it must succeed.
    pub fn migrate(&self, name: &str) -> Migration {
        self.host.migrate(name, None).unwrap()
    }

    /// Fails unless the guest lives and every page it checks is what it wrote.
    #[track_caller]
    pub fn intact(&self, name: &str) {
        let verified = self.host.verify(name).unwrap_or_else(|error| panic!("{error}"));
        assert!(verified.pages > 1000, "{verified:?}");
    }

    /// Fails if any note says that a dirty log is on.
    #[track_caller]
    pub fn no_notes(&self) {
        let notes = "! grep -rs . /run/xenmig";
        let ran = self.run(&["sh", "-c", notes]);
        assert_eq!(ran.status, 0, "notes are left: {}", ran.all());
    }

    /// Fails unless the guest's dirty log is off: to switch on a log that is on is an error.
    #[track_caller]
    pub fn log_is_off(&self, name: &str) {
        self.no_notes();
        let ran = self.xenmig(&["sample", name, "--window", "50ms", "--windows", "1", "--json"]);
        assert_eq!(ran.status, 0, "{}", ran.all());
        assert_eq!(ran.json()["ended"], "complete", "{}", ran.all());
        self.no_notes();
    }
}

fn spec(name: &str, workload: &str) -> GuestSpec {
    let spec = GuestSpec::new(name, workload.parse().unwrap());
    GuestSpec { memory_mib: MEMORY_MIB, ..spec }
}

/// `None`, and a line that says so, where there is no lab.
fn lab() -> Option<()> {
    let why = xenlab::unavailable();
    if let Some(why) = &why {
        eprintln!("skipped: {why}");
    }
    why.is_none().then_some(())
}

/// The file in which a sampler of domain `domid` notes that its log is on.
pub fn note(domid: u32) -> String {
    format!("/run/xenmig/domain-{domid}")
}

/// What a run in Dom0 said.
pub struct Ran {
    /// Exit status, or what shells give for a signal.
    pub status: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Ran {
    pub fn of(output: Output) -> Self {
        let status = match output.status {
            Status::Exited(code) => i32::from(code),
            Status::Signaled(signal) => 128 + signal,
        };
        Self { status, stdout: output.stdout(), stderr: output.stderr() }
    }

    /// Everything, for messages.
    pub fn all(&self) -> String {
        format!("status {}\n{}\n--- stderr\n{}", self.status, self.stdout, self.stderr)
    }

    /// The document on stdout, which must be all there is.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.stdout)
            .unwrap_or_else(|error| panic!("not one document, {error}: {}", self.all()))
    }

    /// Fails unless it ended with `status`, gave no answer, and said all of `words` on stderr.
    #[track_caller]
    pub fn refused(&self, status: i32, words: &[&str]) {
        assert_eq!(self.status, status, "{}", self.all());
        assert_eq!(self.stdout, "", "{}", self.all());
        for word in words {
            assert!(self.stderr.contains(word), "no `{word}`: {}", self.all());
        }
    }
}

/// The codes of a check's reasons.
pub fn codes(check: &Value) -> Vec<&str> {
    let reasons = check["reasons"].as_array().unwrap();
    reasons.iter().map(|reason| reason["code"].as_str().unwrap()).collect()
}

/// A curve of a JSON document: (seconds, pages).
pub fn curve(points: &Value) -> Vec<(f64, f64)> {
    serde_json::from_value(points.clone()).unwrap()
}

fn version() -> XenVersion {
    let asked = std::env::var("XENLAB_XEN").ok();
    asked.map_or_else(XenVersion::default, |version| version.parse().unwrap())
}

/// The program without its debugging information, which is most of it.
fn program() -> &'static Path {
    static STRIPPED: OnceLock<PathBuf> = OnceLock::new();
    STRIPPED.get_or_init(|| {
        let built = std::env::var_os("XENMIG_BIN");
        let built = built.unwrap_or_else(|| env!("CARGO_BIN_EXE_xenmig").into());
        let stripped = scratch("xenmig");
        succeed(Command::new("strip").arg("-o").arg(&stripped).arg(built));
        stripped
    })
}

/// A file in the folder that cargo gives to tests.
pub fn scratch(name: &str) -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-{}", version()))
}

/// Runs a command of this machine.
pub fn succeed(command: &mut Command) -> Vec<u8> {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {said}");
    output.stdout
}
