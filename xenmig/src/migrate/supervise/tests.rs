//! The watch over a handover, with a shell script as the receiver and a guest that is none.

use std::io::{BufRead, BufReader, Write};
use std::os::fd::BorrowedFd;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::Mutex;

use super::*;
use crate::check::{Options, Policy};
use crate::config::Settings;
use crate::host::{Domain, Host};
use crate::migrate::report::Fate;
use crate::migrate::source::Progress;
use crate::migrate::steer::Hook;
use crate::migrate::transport::Transport;
use crate::sim::SimHost;

/// The receiver up to its word that it has everything: 55 bytes of header, 6 of the stream.
const RECEIVES: &str = "printf 'xl migration receiver ready, send binary domain data.\\n'
    dd bs=1 count=61 status=none of=/dev/null\n";
const READY: &str = "printf 'domain received, ready to unpause\\0'
    dd bs=1 count=44 status=none of=/dev/null\n";
const RUNS: &str = "printf 'my copy unpause results are as follows\\0\\0'\n";

/// What the save of a guest does.
enum Save {
    /// It succeeds.
    Works,
    /// It lasts until it is interrupted.
    Lasts,
    /// Its hook, at this socket, says these lines; it lasts until it is told to abort, or fails.
    Hooked(PathBuf, &'static [&'static str], bool),
}

struct Guest {
    save: Save,
    interrupted: AtomicBool,
    state: Mutex<RunState>,
    progress: Mutex<Option<Progress>>,
}

impl Guest {
    fn new(save: Save) -> Self {
        let state = Mutex::new(RunState::Running);
        Self { save, interrupted: AtomicBool::new(false), state, progress: Mutex::default() }
    }

    fn runs(&self) -> bool {
        *self.state.lock().unwrap() == RunState::Running && self.progress.lock().unwrap().is_none()
    }

    fn saved(&self, stream: BorrowedFd<'_>) -> Result<()> {
        *self.state.lock().unwrap() = RunState::Suspended;
        rustix::io::write(stream, b"stream").unwrap();
        Ok(())
    }
}

impl Source for Guest {
    fn configuration(&self) -> Result<Vec<u8>> {
        Ok(b"{}".to_vec())
    }

    fn save(&self, stream: BorrowedFd<'_>, _debug: bool) -> Result<()> {
        let failed = || Err(Error::new(Kind::Internal, "libxl error -3"));
        match &self.save {
            Save::Works => self.saved(stream),
            Save::Lasts => {
                while !self.interrupted.load(Ordering::SeqCst) {
                    thread::sleep(Duration::from_millis(5));
                }
                failed()
            }
            Save::Hooked(socket, words, lasts) => {
                let mut hook = UnixStream::connect(socket).unwrap();
                let hello = r#"{"schema":"xenmig.hook/1","domid":2,"pid":42}"#;
                writeln!(hook, "{hello}\n{}", words.join("\n")).unwrap();
                let mut said = BufReader::new(hook.try_clone().unwrap());
                let mut line = String::new();
                said.read_line(&mut line).unwrap();
                assert!(line.contains("downtime_s"), "{line}");
                if *lasts {
                    line.clear();
                    said.read_line(&mut line).unwrap();
                    assert_eq!(line, "\"abort\"\n");
                    return failed();
                }
                match words.last() {
                    Some(end) if end.contains(r#""result":0"#) => self.saved(stream),
                    _ => failed(),
                }
            }
        }
    }

    fn interrupt(&self) {
        self.interrupted.store(true, Ordering::SeqCst);
    }

    fn state(&self) -> Result<RunState> {
        Ok(*self.state.lock().unwrap())
    }

    fn asked_to_suspend(&self) -> bool {
        false
    }

    fn rename(&self, _from: &str, _to: &str) -> Result<()> {
        Ok(())
    }

    fn resume(&self) -> Result<()> {
        *self.state.lock().unwrap() = RunState::Running;
        Ok(())
    }

    fn destroy(&self) -> Result<()> {
        *self.state.lock().unwrap() = RunState::Dying;
        Ok(())
    }

    fn note(&self, progress: Progress) -> Result<()> {
        *self.progress.lock().unwrap() = Some(progress);
        Ok(())
    }

    fn settle(&self) -> Result<()> {
        Ok(())
    }

    fn forget(&self) {
        *self.progress.lock().unwrap() = None;
    }
}

/// Watches the handover of `guest` to a receiver that is this script. `stop_at` is the stage at
/// which the user wants to stop.
fn watch(
    guest: &Guest,
    hook: Option<&Hook>,
    script: &str,
    stop_at: Option<Stage>,
) -> (Report, Vec<Event>) {
    let (host, settings) = (SimHost::builtin(), Settings::default());
    let domain: Domain = host.find("web").unwrap();
    assert_eq!(domain.id.0, 2);
    let options = Options {
        settings: &settings,
        calibration: None,
        bandwidth: None,
        sample_anyway: false,
        target: None,
        policy: Policy::Stock,
    };
    let line = Transport::Direct(script.to_owned());
    let patience = Duration::from_millis(300);
    let mut migration =
        Migration::new(&host, &domain, "h2", line, options).patience(patience, patience);
    if let Some(hook) = hook {
        migration = migration.steered(hook);
    }
    let stop = AtomicBool::new(false);
    let gate = migration.judge(&stop, &mut |_| {}).unwrap();
    let report = Report::refused(&domain, "h2", gate);
    let mut events = Vec::new();
    let mut tell = |event: &Event| {
        if let Event::Stage { stage, .. } = event
            && Some(*stage) == stop_at
        {
            stop.store(true, Ordering::SeqCst);
        }
        events.push(event.clone());
    };
    let supervisor = Supervisor::new(&migration, guest, &stop, &mut tell, now_s());
    let report = supervisor.run(script, report).unwrap();
    (report, events)
}

fn stages(events: &[Event]) -> Vec<Stage> {
    let stage = |event: &Event| match event {
        Event::Stage { stage, .. } => Some(*stage),
        _ => None,
    };
    events.iter().filter_map(stage).collect()
}

fn why(report: &Report) -> String {
    match &report.fate {
        Fate::Stayed(why) => why.to_string(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_guest_moves_and_everything_is_told() {
    let guest = Guest::new(Save::Works);
    let script = ["echo hello >&2\n", RECEIVES, READY, RUNS].concat();
    let (report, events) = watch(&guest, None, &script, None);
    assert!(matches!(report.fate, Fate::Moved), "{report:?}");
    assert!(events.contains(&Event::Said { line: "hello".to_owned() }));
    let told = stages(&events);
    assert!(told.is_sorted() && told.first() == Some(&Stage::Connecting), "{told:?}");
    assert!(told.ends_with(&[Stage::HandedOver, Stage::Arrived, Stage::Done]), "{told:?}");
    assert!(report.costs.total_s.is_some() && !report.steered);
}

#[test]
fn stopped_before_anything_was_sent() {
    let guest = Guest::new(Save::Works);
    let (report, _) = watch(&guest, None, "exec sleep 60", Some(Stage::Connecting));
    assert_eq!(why(&report), "interrupted");
    assert!(guest.runs());
}

#[test]
fn stopped_in_the_midst_of_the_save() {
    let guest = Guest::new(Save::Lasts);
    let (report, events) = watch(&guest, None, RECEIVES, Some(Stage::Sending));
    assert_eq!(why(&report), "interrupted");
    assert!(events.contains(&Event::GivingUp { why: "interrupted".to_owned() }));
    assert!(guest.runs());
}

#[test]
fn stopped_after_the_permission_it_is_finished() {
    let guest = Guest::new(Save::Works);
    let script = [RECEIVES, READY, "sleep 0.3\n", RUNS].concat();
    let (report, _) = watch(&guest, None, &script, Some(Stage::HandedOver));
    assert!(matches!(report.fate, Fate::Moved), "{report:?}");
}

#[test]
fn a_target_that_says_nothing_is_not_waited_for() {
    let guest = Guest::new(Save::Works);
    let (report, _) = watch(&guest, None, "exec sleep 60", None);
    assert!(why(&report).contains("said nothing"), "{report:?}");
    let (report, _) = watch(&guest, None, &[RECEIVES, "exec sleep 60"].concat(), None);
    assert!(why(&report).contains("said nothing"), "{report:?}");
    assert!(guest.runs());
}

#[test]
fn a_transport_that_fails_is_quoted() {
    let guest = Guest::new(Save::Works);
    let (report, _) = watch(&guest, None, "echo no route to host >&2; exit 255", None);
    assert!(why(&report).contains("banner"), "{report:?}");
    assert_eq!(report.said[0], "no route to host");
    assert!(report.said[1].contains("255"), "{report:?}");
}

fn hooked(words: &'static [&'static str], lasts: bool) -> (tempfile::TempDir, Hook, Guest) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("hook.sock");
    let hook = Hook::at(directory.path(), path.clone());
    let guest = Guest::new(Save::Hooked(path, words, lasts));
    (directory, hook, guest)
}

#[test]
fn a_save_that_is_steered_is_asked_to_abort_by_its_hook() {
    let (_directory, hook, guest) = hooked(&[], true);
    let (report, _) = watch(&guest, Some(&hook), RECEIVES, Some(Stage::Sending));
    assert_eq!(why(&report), "interrupted");
    assert!(guest.runs() && report.steered);
}

#[test]
fn a_save_that_the_controller_gives_up_says_why() {
    let words = &[
        r#"{"event":"begin","monotonic_s":1.0,"populated_pages":9,"p2m_pages":9}"#,
        r#"{"event":"decision","t":1.0,"pending":9,"decision":"abort","why":"cannot_keep","downtime_s":4.0,"bandwidth_bytes_per_s":1.0}"#,
        r#"{"event":"end","t":1.0,"result":-1}"#,
    ];
    let (_directory, hook, guest) = hooked(words, false);
    let (report, _) = watch(&guest, Some(&hook), RECEIVES, None);
    let why = why(&report);
    assert!(why.contains("4.00 s down") && why.contains("1.00 s allowed"), "{why}");
    assert!(guest.runs());
}

#[test]
fn what_the_hook_says_is_told_and_counted() {
    let words = &[
        r#"{"event":"begin","monotonic_s":1.0,"populated_pages":9,"p2m_pages":9}"#,
        r#"{"event":"send","t":0.1,"round":0,"pages":9}"#,
        r#"{"event":"sent","t":0.2,"round":0,"pages":9,"bytes":36952,"s":0.1,"pending":1}"#,
        r#"{"event":"last","t":0.3,"pages":1}"#,
        r#"{"event":"end","t":0.4,"result":0}"#,
    ];
    let (_directory, hook, guest) = hooked(words, false);
    let script = [RECEIVES, READY, RUNS].concat();
    let (report, events) = watch(&guest, Some(&hook), &script, None);
    assert!(matches!(report.fate, Fate::Moved) && report.steered, "{report:?}");
    assert_eq!(events.iter().filter(|event| matches!(event, Event::Save(_))).count(), 5);
    assert_eq!((report.costs.rounds.len(), report.costs.bytes), (1, Some(36_952 + 4120)));
}
