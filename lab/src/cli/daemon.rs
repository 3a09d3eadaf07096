//! Hosts that stay up between commands: one background process each, with a
//! folder for its socket, its lock and its log.

use std::fs::{self, File};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rustix::fs::{FlockOperation, flock};
use rustix::process::{Pid, Signal, kill_process};
use xenlab::{Error, Host, HostBuilder, Result, XenVersion, cache_dir};

/// A first start builds images.
const UP: Duration = Duration::from_secs(900);
const DOWN: Duration = Duration::from_secs(30);
const POLL: Duration = Duration::from_millis(20);

fn state_dir() -> PathBuf {
    cache_dir().join("hosts")
}

fn dir(name: &str) -> PathBuf {
    state_dir().join(name)
}

fn no_host(name: &str) -> Error {
    Error::NoHost { name: name.into(), state: state_dir() }
}

fn io(what: String) -> impl FnOnce(std::io::Error) -> Error {
    move |source| Error::Io { what, source }
}

/// Whether a process holds the host's lock.
fn alive(name: &str) -> bool {
    File::open(dir(name).join("lock"))
        .is_ok_and(|file| flock(&file, FlockOperation::NonBlockingLockExclusive).is_err())
}

pub(super) fn attach(name: &str) -> Result<Host> {
    if alive(name) { Host::attach(&dir(name)) } else { Err(no_host(name)) }
}

pub(super) fn list() -> Vec<String> {
    let entries = fs::read_dir(state_dir()).into_iter().flatten().flatten();
    let mut names: Vec<String> = entries
        .map(|e| e.file_name().to_string_lossy().into_owned())
        .filter(|n| alive(n))
        .collect();
    names.sort();
    names
}

/// Starts a host's process and waits until the host answers.
pub(super) fn up(name: &str, xen: XenVersion, real_time: bool) -> Result<()> {
    if alive(name) {
        return Err(Error::Unexpected(format!("{name} is up already: xenlab down {name}")));
    }
    let dir = dir(name);
    fs::create_dir_all(&dir).map_err(io(format!("creating {}", dir.display())))?;
    // Left by an earlier host.
    let _ = fs::remove_file(dir.join("host.sock"));
    let log_path = dir.join("log");
    let log = File::create(&log_path).map_err(io(format!("creating {}", log_path.display())))?;
    let program = std::env::current_exe().map_err(io("finding this program".into()))?;
    let mut command = Command::new(program);
    command.args(["serve", name, "--xen", xen.as_str()]);
    if real_time {
        command.arg("--real-time");
    }
    let mut child = command
        .process_group(0)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log)
        .spawn()
        .map_err(io("starting the host's process".into()))?;
    let end = Instant::now() + UP;
    loop {
        if Host::attach(&dir).is_ok_and(|host| host.now().is_ok()) {
            return Ok(());
        }
        let ended = child.try_wait().map_err(io("waiting for the host's process".into()))?;
        if ended.is_some() || Instant::now() > end {
            // It is of no use any more.
            let _ = child.kill();
            let log = fs::read_to_string(&log_path).unwrap_or_default();
            return Err(Error::Unexpected(format!("{name} did not come up:\n{}", log.trim_end())));
        }
        std::thread::sleep(POLL);
    }
}

/// Stops the named hosts, or all.
pub(super) fn down(names: &[String]) -> Result<()> {
    let names = if names.is_empty() { list() } else { names.to_vec() };
    for name in &names {
        if !alive(name) {
            return Err(no_host(name));
        }
        let path = dir(name).join("pid");
        let text = fs::read_to_string(&path).map_err(io(format!("reading {}", path.display())))?;
        let pid = text.trim().parse().ok().and_then(Pid::from_raw);
        let pid = pid.ok_or_else(|| Error::Unexpected(format!("no pid in {}", path.display())))?;
        kill_process(pid, Signal::TERM).map_err(|e| io(format!("stopping {name}"))(e.into()))?;
        let end = Instant::now() + DOWN;
        while alive(name) {
            if Instant::now() > end {
                return Err(Error::Unexpected(format!("{name} does not stop (process {text})")));
            }
            std::thread::sleep(POLL);
        }
        // Only its log is lost.
        let _ = fs::remove_dir_all(dir(name));
    }
    Ok(())
}

/// Boots and serves one host until killed.
pub(super) fn serve(name: &str, xen: XenVersion, real_time: bool) -> Result<()> {
    let dir = dir(name);
    let path = dir.join("lock");
    let lock = File::create(&path).map_err(io(format!("creating {}", path.display())))?;
    flock(&lock, FlockOperation::NonBlockingLockExclusive)
        .map_err(|e| io(format!("locking {}", path.display()))(e.into()))?;
    let pid = std::process::id().to_string();
    fs::write(dir.join("pid"), pid).map_err(io("writing pid".into()))?;
    let host = HostBuilder::new(xen).real_time(real_time).boot()?;
    host.serve(&dir)
}
