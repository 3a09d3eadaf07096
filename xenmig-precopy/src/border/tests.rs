//! The callbacks as C calls them.

use std::ptr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use super::*;

/// A session that is as broken as can be.
struct Broken;

impl Steer for Broken {
    fn decide(&mut self, _told: &Told) -> Answer {
        panic!("a test of panics: decide");
    }

    fn fall_back(&mut self, why: &str) {
        assert!(why.contains("a test of panics"), "{why}");
        panic!("a test of panics: fall back");
    }

    fn suspending(&mut self) {
        panic!("a test of panics: suspending");
    }

    fn suspended(&mut self) {
        panic!("a test of panics: suspended");
    }

    fn end(&mut self, _result: c_int) {
        panic!("a test of panics: end");
    }

    fn abandon(&mut self) {}
}

/// One that does as it is told, once.
struct Sure(Answer);

impl Steer for Sure {
    fn decide(&mut self, _told: &Told) -> Answer {
        self.0
    }

    fn fall_back(&mut self, why: &str) {
        panic!("{why}");
    }

    fn suspending(&mut self) {}

    fn suspended(&mut self) {}

    fn end(&mut self, _result: c_int) {}

    fn abandon(&mut self) {}
}

/// The callbacks share one static.
static ALONE: Mutex<()> = Mutex::new(());
static SUSPENDED_WITH: AtomicU32 = AtomicU32::new(0);

unsafe extern "C" fn original(data: *mut c_void) -> c_int {
    // SAFETY: the test below passes a u32.
    SUSPENDED_WITH.store(unsafe { *data.cast::<u32>() }, Ordering::Relaxed);
    1
}

fn with<T>(session: impl Steer + 'static, run: impl FnOnce() -> T) -> T {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    *steered() = Some(Steered { session: Box::new(session), suspend: Some(original) });
    let done = run();
    *steered() = None;
    done
}

fn ask(iteration: u32, dirty: i64) -> c_int {
    let stats = sys::precopy_stats { iteration, total_written: 0, dirty_count: dirty as _ };
    // SAFETY: the policy does not look at its data.
    unsafe { policy(stats, ptr::null_mut()) }
}

#[test]
fn answers_are_xens_numbers() {
    for (answer, number) in [(Answer::Continue, 0), (Answer::StopAndCopy, 1), (Answer::Abort, -1)] {
        assert_eq!(with(Sure(answer), || ask(1, -1)), number);
    }
}

#[test]
fn a_panic_means_the_stock_policy() {
    with(Broken, || {
        assert_eq!((ask(0, 40_000), ask(1, -1), ask(1, 50)), (0, 0, 0));
        assert_eq!((ask(1, 49), ask(5, -1), ask(5, 1000)), (1, 1, 1));
    });
}

#[test]
fn without_a_session_it_is_the_stock_policy_too() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    assert_eq!((ask(0, 40_000), ask(5, -1)), (0, 1));
}

#[test]
fn the_original_suspends_with_its_own_data_whatever_panics() {
    let mut data = 77_u32;
    let suspended = with(Broken, || {
        // SAFETY: `original` expects a u32.
        unsafe { suspend((&raw mut data).cast()) }
    });
    assert_eq!((suspended, SUSPENDED_WITH.load(Ordering::Relaxed)), (1, 77));
}

#[test]
fn a_library_tells_its_xen_by_its_name() {
    let dir = tempfile::tempdir().unwrap();
    let real = dir.path().join("libxenguest.so.4.17.0");
    std::fs::write(&real, "").unwrap();
    let link = dir.path().join("libxenguest.so");
    std::os::unix::fs::symlink(&real, &link).unwrap();
    assert!(belongs(&real, "4.17") && belongs(&link, "4.17"));
    assert!(!belongs(&real, "4.1") && !belongs(&real, "4.20") && !belongs(&link, "4.20"));
    assert!(!belongs(Path::new("/lib/libxenguest.so.4.170"), "4.17"));
    assert!(!belongs(Path::new("/lib/libxenguest.so.4.17"), "none"));
}

#[test]
fn a_save_does_not_begin_beside_another_one() {
    use std::io::Read;
    use std::process::{Command, Stdio};
    // No child of this process: those of a script in the helper's place belong to its save.
    let mut other = Command::new("setsid");
    let other = other.args(["--fork", "sh", "-c", "echo; read end", "helper"]);
    let other = other.args(["--save-domain", "15", "-1", "61697"]);
    let mut other = other.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let _lives_on = other.stdin.take();
    other.stdout.as_mut().unwrap().read_exact(&mut [0]).unwrap();
    assert!(other.wait().unwrap().success());
    assert!(!is_refused(61698) && !is_refused(u32::MAX));
    assert!(is_refused(61697));
    // Its libxl goes, and it with it.
    drop(other.stdout.take());
    assert!(!is_refused(61697));
}

/// One in whose midst the process ends.
struct Ending {
    within: bool,
    abandoned: Arc<AtomicBool>,
}

impl Steer for Ending {
    fn decide(&mut self, _told: &Told) -> Answer {
        if self.within {
            at_exit();
        }
        Answer::Continue
    }

    fn fall_back(&mut self, why: &str) {
        panic!("{why}");
    }

    fn suspending(&mut self) {}

    fn suspended(&mut self) {}

    fn end(&mut self, _result: c_int) {}

    fn abandon(&mut self) {
        self.abandoned.store(true, Ordering::SeqCst);
    }
}

#[test]
fn a_process_that_ends_cleans_up_even_within_a_call_of_the_session() {
    for within in [false, true] {
        let (abandoned, last) =
            (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
        let session = Ending { within, abandoned: Arc::clone(&abandoned) };
        let resort = Arc::clone(&last);
        with(session, || {
            *last_resort() = Some(Box::new(move || resort.store(true, Ordering::SeqCst)));
            ask(1, -1);
            if !within {
                at_exit();
            }
            last_resort().take();
        });
        let did = (abandoned.load(Ordering::SeqCst), last.load(Ordering::SeqCst));
        assert_eq!(did, (!within, within));
    }
}
