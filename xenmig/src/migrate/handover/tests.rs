//! Every point at which a handover can fail, against a target that says what it is told to say.

use std::fs::File;
use std::io::Cursor;
use std::os::fd::BorrowedFd;
use std::sync::Mutex;

use super::*;
use crate::host::RunState;

const BANNER: &str = "xl migration receiver ready, send binary domain data.\n";
const READY: &str = "domain received, ready to unpause\0";
const GO: &str = "domain is yours, you are cleared to unpause\0";
const REPORT: &str = "my copy unpause results are as follows\0";

/// A guest whose source notes what is done to it, and fails where it is told to.
struct Guest {
    fails: &'static str,
    done: Mutex<Vec<String>>,
    state: Mutex<RunState>,
    name: Mutex<String>,
    /// The guest suspends at this look at its state, counted down.
    suspends_at: Mutex<Option<u32>>,
    asked: bool,
    unguarded: bool,
    /// What becomes of the guest while it is saved, in place of [`RunState::Suspended`].
    becomes: Option<RunState>,
}

/// A hook that has said nothing.
static SILENT: AtomicBool = AtomicBool::new(false);

impl Guest {
    fn failing(fails: &'static str) -> Self {
        let state = Mutex::new(RunState::Running);
        let (done, name) = (Mutex::default(), Mutex::new("g".into()));
        Self {
            fails,
            done,
            state,
            name,
            suspends_at: Mutex::default(),
            asked: false,
            unguarded: false,
            becomes: None,
        }
    }

    fn does(&self, what: &str) -> Result<()> {
        self.done.lock().unwrap().push(what.to_owned());
        match self.fails == what {
            true => Err(Error::new(Kind::Internal, format!("{what} fails"))),
            false => Ok(()),
        }
    }

    fn did(&self, what: &str) -> bool {
        self.done.lock().unwrap().iter().any(|done| done == what)
    }

    /// The guest is here, runs under its name, and nothing is left.
    #[track_caller]
    fn is_unharmed(&self) {
        assert_eq!(*self.state.lock().unwrap(), RunState::Running);
        assert_eq!(*self.name.lock().unwrap(), "g");
        assert!(!self.did("destroy"), "{:?}", self.done);
    }
}

impl Source for Guest {
    fn configuration(&self) -> Result<Vec<u8>> {
        self.does("configure").map(|()| b"{}".to_vec())
    }

    fn save(&self, _stream: BorrowedFd<'_>, _debug: bool) -> Result<()> {
        self.does("save early")?;
        *self.state.lock().unwrap() = self.becomes.unwrap_or(RunState::Suspended);
        self.does("save late")
    }

    fn interrupt(&self) {}

    fn state(&self) -> Result<RunState> {
        let mut looks = self.suspends_at.lock().unwrap();
        *looks = looks.map(|looks| looks.saturating_sub(1));
        if *looks == Some(0) {
            *self.state.lock().unwrap() = RunState::Suspended;
            *looks = None;
        }
        Ok(*self.state.lock().unwrap())
    }

    fn asked_to_suspend(&self) -> bool {
        self.asked
    }

    fn rename(&self, from: &str, to: &str) -> Result<()> {
        self.does(&format!("rename to {to}"))?;
        let mut name = self.name.lock().unwrap();
        assert_eq!(*name, from);
        *name = to.to_owned();
        Ok(())
    }

    fn resume(&self) -> Result<()> {
        self.does("resume")?;
        *self.state.lock().unwrap() = RunState::Running;
        Ok(())
    }

    fn destroy(&self) -> Result<()> {
        self.does("destroy")
    }

    fn note(&self, progress: Progress) -> Result<()> {
        self.does(&format!("note {progress:?}"))
    }

    fn settle(&self) -> Result<()> {
        self.does("settle")?;
        match self.unguarded {
            true => Err(Error::new(Kind::Unguarded, "the log may be on")),
            false => Ok(()),
        }
    }

    fn forget(&self) {
        self.does("forget").unwrap();
    }
}

/// Runs a handover of `guest` to a target that says `words` and takes what it is sent, if it can.
fn hand_over(guest: &Guest, point: &Point, words: &[&str], takes: bool) -> (Ended, Vec<Stage>) {
    let from = Cursor::new(words.concat().into_bytes());
    let to = if takes { tempfile::tempfile().unwrap() } else { File::open("/dev/null").unwrap() };
    let stages = Mutex::new(Vec::new());
    let handover = Handover { source: guest, name: "g", debug: false, point, suspending: &SILENT };
    let ended = handover.run(from, to, &|stage| stages.lock().unwrap().push(stage));
    (ended, stages.into_inner().unwrap())
}

fn run(fails: &'static str, words: &[&str]) -> (Guest, Ended) {
    let guest = Guest::failing(fails);
    let (ended, _) = hand_over(&guest, &Point::default(), words, true);
    (guest, ended)
}

#[test]
fn all_goes_well() {
    let guest = Guest::failing("nothing");
    let words = [BANNER, READY, REPORT, "\0"];
    let (ended, stages) = hand_over(&guest, &Point::default(), &words, true);
    assert!(matches!(ended, Ended::Moved(None)), "{ended:?}");
    let all = [Stage::Connecting, Stage::Sending, Stage::Waiting, Stage::HandedOver];
    assert_eq!(stages, [&all[..], &[Stage::Arrived]].concat());
    let done = [
        "configure",
        "note Saving",
        "save early",
        "save late",
        "rename to g--migratedaway",
        "note Permitted",
        "note Arrived",
        "destroy",
        "forget",
    ];
    assert_eq!(*guest.done.lock().unwrap(), done);
}

#[test]
fn a_receiver_that_is_none_leaves_the_guest_untouched() {
    let wrong = "x".repeat(60);
    for words in [&[""][..], &[&BANNER[..30]], &[wrong.as_str()]] {
        let (guest, ended) = run("nothing", words);
        assert!(matches!(ended, Ended::Stayed(_, None)), "{ended:?}");
        assert_eq!(*guest.done.lock().unwrap(), [] as [&str; 0]);
        guest.is_unharmed();
    }
}

#[test]
fn every_failure_before_the_permission_ends_with_the_guest_running_here() {
    let words = [BANNER, READY, REPORT, "\0"];
    for fails in [
        "configure",
        "note Saving",
        "save early",
        "save late",
        "rename to g--migratedaway",
        "note Permitted",
    ] {
        let (guest, ended) = run(fails, &words);
        let Ended::Stayed(why, untidy) = ended else { panic!("{fails}: {ended:?}") };
        assert!(why.to_string().starts_with(fails), "{why}");
        assert!(untidy.is_none(), "{fails}: {untidy:?}");
        assert!(fails == "configure" || guest.did("settle"), "{fails}");
        guest.is_unharmed();
    }
}

#[test]
fn a_target_that_falls_silent_before_the_permission() {
    for words in [&[BANNER][..], &[BANNER, &READY[..10]], &[BANNER, &"y".repeat(50)]] {
        let (guest, ended) = run("nothing", words);
        assert!(matches!(ended, Ended::Stayed(_, None)), "{ended:?}");
        assert!(guest.did("resume") && guest.did("settle"));
        assert!(!guest.did("note Permitted"));
        guest.is_unharmed();
    }
}

#[test]
fn a_target_that_cannot_be_written_to_leaves_the_guest_untouched() {
    let guest = Guest::failing("nothing");
    let (ended, _) = hand_over(&guest, &Point::default(), &[BANNER], false);
    assert!(matches!(ended, Ended::Stayed(_, None)), "{ended:?}");
    guest.is_unharmed();
}

#[test]
fn after_the_permission_a_broken_line_undoes_nothing() {
    for words in [
        &[BANNER, READY][..],
        &[BANNER, READY, &REPORT[..8]],
        &[BANNER, READY, REPORT],
        &[BANNER, READY, &"z".repeat(60)],
        // It failed there, and did not give the guest back.
        &[BANNER, READY, REPORT, "\x03"],
        &[BANNER, READY, REPORT, "\x03", &GO[..20]],
    ] {
        let (guest, ended) = run("nothing", words);
        assert!(matches!(ended, Ended::Undefined(_)), "{ended:?}");
        for never in ["resume", "destroy", "settle", "forget"] {
            assert!(!guest.did(never), "{never} after {words:?}");
        }
        assert_eq!(*guest.name.lock().unwrap(), "g--migratedaway");
    }
}

/// Takes so many writes, and then fails like this.
struct Breaking(File, usize, std::io::ErrorKind);

impl Write for Breaking {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.1 = self.1.checked_sub(1).ok_or(self.2)?;
        self.0.write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl AsFd for Breaking {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

#[test]
fn a_permission_that_cannot_be_sent_may_have_been_heard_but_not_over_a_broken_pipe() {
    let permit = |fault| {
        let (point, guest) = (Point::default(), Guest::failing("nothing"));
        let handover = Handover {
            source: &guest,
            name: "g",
            debug: false,
            point: &point,
            suspending: &SILENT,
        };
        let from = Cursor::new([BANNER, READY].concat().into_bytes());
        let to = Breaking(tempfile::tempfile().unwrap(), 1, fault);
        let ended = handover.run(from, to, &|_| {});
        assert!(!guest.did("destroy"));
        (guest, ended)
    };
    let (guest, ended) = permit(std::io::ErrorKind::TimedOut);
    assert!(matches!(ended, Ended::Undefined(_)), "{ended:?}");
    assert!(!guest.did("resume"));

    let (guest, ended) = permit(std::io::ErrorKind::BrokenPipe);
    assert!(matches!(ended, Ended::Stayed(_, None)), "{ended:?}");
    assert!(guest.did("resume") && guest.did("forget"));
    guest.is_unharmed();
}

#[test]
fn a_line_that_breaks_in_the_save_is_the_reason() {
    let (guest, point) = (Guest::failing("save early"), Point::default());
    let handover =
        Handover { source: &guest, name: "g", debug: false, point: &point, suspending: &SILENT };
    let (reader, writer) = std::io::pipe().unwrap();
    let to = Sent(writer, Some(reader));
    let Ended::Stayed(why, None) = handover.run(Cursor::new(BANNER), to, &|_| {}) else { panic!() };
    assert!(why.to_string().contains("line to the target broke"), "{why}");
    assert!(why.advice().unwrap().contains("`xl destroy g--incoming`"), "{why:?}");
}

/// A pipe whose reader goes away after the first write.
struct Sent(std::io::PipeWriter, Option<std::io::PipeReader>);

impl Write for Sent {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let written = self.0.write(bytes);
        self.1 = None;
        written
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl AsFd for Sent {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

#[test]
fn a_guest_that_ends_meanwhile_is_gone_and_one_that_is_paused_is_not() {
    let ends = |state| {
        let guest = Guest { becomes: Some(state), ..Guest::failing("save late") };
        let (ended, _) = hand_over(&guest, &Point::default(), &[BANNER], true);
        assert!(guest.did("settle") && guest.did("forget"), "{:?}", guest.done);
        assert!(!guest.did("resume") && !guest.did("destroy"), "{:?}", guest.done);
        ended
    };
    for (state, how) in [
        (RunState::Crashed, "crashed"),
        (RunState::Shutdown, "shut down"),
        (RunState::Dying, "destroyed"),
    ] {
        let Ended::Gone(why, said) = ends(state) else { panic!("{state:?}") };
        assert!(why.to_string().contains("save late"), "{why}");
        assert!(said.to_string().contains(how), "{said}");
    }
    let Ended::Stayed(_, Some(untidy)) = ends(RunState::Paused) else { panic!() };
    assert!(untidy.advice().unwrap().contains("xl unpause"), "{untidy}");
}

#[test]
fn a_target_that_fails_and_gives_it_back() {
    let (guest, ended) = run("nothing", &[BANNER, READY, REPORT, "\x03", GO]);
    let Ended::Stayed(why, None) = ended else { panic!("{ended:?}") };
    assert!(why.to_string().contains("code 3"), "{why}");
    guest.is_unharmed();
}

#[test]
fn given_up_in_time_the_guest_stays_and_later_it_goes() {
    let (point, guest) = (Point::default(), Guest::failing("nothing"));
    assert!(point.close());
    let words = [BANNER, READY, REPORT, "\0"];
    let (ended, stages) = hand_over(&guest, &point, &words, true);
    assert!(matches!(ended, Ended::Stayed(..)), "{ended:?}");
    assert_eq!(stages, [Stage::Connecting]);
    guest.is_unharmed();

    let (point, guest) = (Point::default(), Guest::failing("nothing"));
    let (ended, _) = hand_over(&guest, &point, &words, true);
    assert!(matches!(ended, Ended::Moved(None)), "{ended:?}");
    assert!(!point.close(), "it has moved already");
}

#[test]
fn a_guest_that_cannot_be_resumed_is_told_of_and_keeps_its_note() {
    let (guest, ended) = run("resume", &[BANNER]);
    assert!(matches!(ended, Ended::Stuck(..)), "{ended:?}");
    assert!(!guest.did("settle") && !guest.did("destroy"));
    assert_eq!(guest.done.lock().unwrap().iter().filter(|done| *done == "note Saving").count(), 2);
}

#[test]
fn what_is_left_here_of_a_guest_that_moved_is_told_of() {
    let (guest, ended) = run("destroy", &[BANNER, READY, REPORT, "\0"]);
    assert!(matches!(ended, Ended::Moved(Some(_))), "{ended:?}");
    assert!(!guest.did("forget"), "the note says what is left");
}

#[test]
fn what_cannot_be_put_right_is_told_of() {
    let (guest, ended) = run("settle", &[BANNER]);
    assert!(matches!(ended, Ended::Stayed(_, Some(_))), "{ended:?}");
    assert!(!guest.did("forget"), "`xenmig recover` tries again");
    guest.is_unharmed();
}

#[test]
fn what_nobody_may_put_right_is_told_of_and_leaves_no_note() {
    let guest = Guest { unguarded: true, ..Guest::failing("save early") };
    let (ended, _) = hand_over(&guest, &Point::default(), &[BANNER], true);
    assert!(matches!(ended, Ended::Stayed(_, Some(_))), "{ended:?}");
    assert!(guest.did("forget"), "it would refuse the next migration");
}

#[test]
fn a_guest_that_suspends_only_after_its_save_failed_is_resumed() {
    let suspends_at = Mutex::new(Some(4));
    let guest = Guest { suspends_at, asked: true, ..Guest::failing("save early") };
    let (ended, _) = hand_over(&guest, &Point::default(), &[BANNER], true);
    assert!(matches!(ended, Ended::Stayed(_, None)), "{ended:?}");
    assert!(guest.did("resume") && guest.did("forget"));
    guest.is_unharmed();
}

#[test]
fn a_guest_that_may_still_suspend_is_told_of_and_keeps_its_note() {
    for hook_said in [false, true] {
        let guest = Guest { asked: !hook_said, ..Guest::failing("save early") };
        let (point, suspending) = (Point::default(), AtomicBool::new(hook_said));
        let handover = Handover {
            source: &guest,
            name: "g",
            debug: false,
            point: &point,
            suspending: &suspending,
        };
        let ended = handover.run(Cursor::new(BANNER), tempfile::tempfile().unwrap(), &|_| {});
        let Ended::Stayed(_, Some(untidy)) = ended else { panic!("{ended:?}") };
        assert!(untidy.advice().unwrap().contains("xenmig recover"), "{untidy}");
        assert!(guest.did("settle") && !guest.did("forget"));
        guest.is_unharmed();
    }
}

#[test]
fn after_a_fault_of_ours_the_guest_is_safe() {
    let (point, guest) = (Point::default(), Guest::failing("nothing"));
    let handover =
        Handover { source: &guest, name: "g", debug: false, point: &point, suspending: &SILENT };
    guest.rename("g", "g--migratedaway").unwrap();
    assert!(matches!(handover.after_panic(), Ended::Stayed(..)));
    guest.is_unharmed();

    let point = Point::default();
    assert!(point.pass());
    let handover =
        Handover { source: &guest, name: "g", debug: false, point: &point, suspending: &SILENT };
    assert!(matches!(handover.after_panic(), Ended::Undefined(_)));
}
