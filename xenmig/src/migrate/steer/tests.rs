use std::sync::mpsc::channel;

use super::*;
use crate::migrate::installed::WRAPPER;
use crate::model::Costs;
use crate::policy::precopy::Steering;

fn settings() -> Settings {
    Settings {
        downtime_s: Some(0.3),
        total_s: None,
        bytes: None,
        steering: Steering::default(),
        bandwidth_bytes_per_s: None,
        costs: Costs::default(),
        finish_spread_s: 0.0,
        steady: None,
        telemetry: None,
    }
}

impl Hook {
    /// One that only listens.
    pub(in crate::migrate) fn at(directory: &Path, path: PathBuf) -> Self {
        let listener = xen::private_socket(directory, &path).unwrap();
        Self::listen(path, listener)
    }
}

fn say(stream: &mut UnixStream, text: &str) {
    stream.write_all(format!("{text}\n").as_bytes()).unwrap();
}

fn hear(stream: &UnixStream) -> String {
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line).unwrap();
    line
}

#[test]
fn a_hook_is_told_how_to_steer_and_its_events_arrive() {
    let directory = tempfile::tempdir().unwrap();
    let hook = Hook::at(directory.path(), directory.path().join("hook.sock"));
    let (to, said) = channel();
    let steered = hook.steer(DomId(7), settings(), to);
    assert!(!steered.abort(), "nobody is there to hear it");

    let mut helper = UnixStream::connect(&hook.path).unwrap();
    say(&mut helper, r#"{"schema":"xenmig.hook/1","domid":7,"pid":42}"#);
    assert_eq!(serde_json::from_str::<Settings>(&hear(&helper)).unwrap(), settings());
    say(&mut helper, "nonsense");
    say(&mut helper, r#"{"event":"suspending","t":1.5}"#);
    assert!(matches!(said.recv().unwrap(), Said::Hello(Hello { pid: 42, .. })));
    assert!(matches!(said.recv().unwrap(), Said::Event(Event::Suspending { t: 1.5 })));

    assert!(steered.abort());
    assert_eq!(hear(&helper), "\"abort\"\n");
}

#[test]
fn a_save_that_nobody_steers_gets_no_answer() {
    let directory = tempfile::tempdir().unwrap();
    let hook = Hook::at(directory.path(), directory.path().join("hook.sock"));
    let (to, _said) = channel();
    drop(hook.steer(DomId(7), settings(), to));
    for hello in [r#"{"schema":"xenmig.hook/1","domid":7,"pid":42}"#, "hello"] {
        let mut helper = UnixStream::connect(&hook.path).unwrap();
        say(&mut helper, hello);
        assert_eq!(hear(&helper), "");
    }
}

#[test]
fn a_hook_of_another_version_gets_no_answer() {
    let directory = tempfile::tempdir().unwrap();
    let hook = Hook::at(directory.path(), directory.path().join("hook.sock"));
    let (to, said) = channel();
    let steered = hook.steer(DomId(7), settings(), to);
    let mut helper = UnixStream::connect(&hook.path).unwrap();
    say(&mut helper, r#"{"schema":"xenmig.hook/2","domid":7,"pid":42}"#);
    assert_eq!(hear(&helper), "");
    assert!(!steered.abort() && said.try_recv().is_err());
}

#[test]
fn hooks_that_cannot_be_let_in_do_not_end_the_steering() {
    let expected = Expected::default();
    let (to, said) = channel();
    expected.lock().unwrap().insert(7, Save { settings: settings(), to, stream: None });
    let (ours, mut helper) = UnixStream::pair().unwrap();
    let failed = [Errno::MFILE, Errno::CONNABORTED, Errno::NFILE].map(|errno| Err(errno.into()));
    accept(failed.into_iter().chain([Ok(ours)]), &expected);
    say(&mut helper, r#"{"schema":"xenmig.hook/1","domid":7,"pid":42}"#);
    assert!(matches!(said.recv().unwrap(), Said::Hello(_)));
}

#[test]
fn the_socket_is_private_and_goes_with_its_owner() {
    use std::os::unix::fs::PermissionsExt;
    let directory = tempfile::tempdir().unwrap();
    let hook = Hook::at(directory.path(), directory.path().join("hook.sock"));
    let path = hook.path.clone();
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    drop(hook);
    assert!(!path.exists());
}

#[test]
fn a_process_with_threads_or_without_the_wrapper_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let missing = Hook::install(directory.path(), &directory.path().join("none"));
    assert_eq!(missing.unwrap_err().kind(), Kind::Usage);
    // Tests run on threads.
    let wrapper = directory.path().join(WRAPPER);
    std::fs::write(&wrapper, "").unwrap();
    let threaded = Hook::install(directory.path(), &wrapper).unwrap_err();
    assert!(threaded.to_string().contains("thread"), "{threaded}");
    assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 1);
}
