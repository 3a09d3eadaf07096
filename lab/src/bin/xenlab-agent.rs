//! Runs commands in Dom0 for the machine outside, over a virtio-serial port.
//!
//! Everything blocks: the agent costs no CPU time while nothing happens, since
//! it shares one virtual CPU with what is measured. `xenlab-agent PORT`.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, waitid};
use rustix::time::{ClockId, clock_gettime};
use xenlab::protocol::{Exec, Frame, Kind, MAX_PAYLOAD, VERSION};

/// How long a command's output may stay open after its end (a child of it in
/// the background holds it) before the end is reported all the same.
const LINGER: Duration = Duration::from_millis(200);

/// How long to wait when nobody is connected outside.
const RECONNECT: Duration = Duration::from_millis(50);

#[derive(Clone)]
struct Port(Arc<Mutex<File>>);

impl Port {
    fn send(&self, frame: &Frame) {
        // A port that fails has no one behind it to be told.
        let _ = frame.write(&mut *lock(&self.0));
    }
}

struct Live {
    pid: Pid,
    stdin: Option<Sender<Vec<u8>>>,
}

type Table = Arc<Mutex<HashMap<u32, Live>>>;

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn pong(id: u32) -> Frame {
    let t = clock_gettime(ClockId::Monotonic);
    let ns = t.tv_sec as u64 * 1_000_000_000 + t.tv_nsec as u64;
    let mut payload = VERSION.to_le_bytes().to_vec();
    payload.extend_from_slice(&ns.to_le_bytes());
    Frame::new(id, Kind::Pong, payload)
}

/// Sends what the command writes until its end; `done` is dropped then.
fn pump(mut from: impl Read + Send + 'static, id: u32, kind: Kind, port: Port, done: Sender<()>) {
    thread::spawn(move || {
        let mut buffer = vec![0; MAX_PAYLOAD];
        loop {
            match from.read(&mut buffer) {
                Ok(0) => break,
                Ok(n) => port.send(&Frame::new(id, kind, &buffer[..n])),
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => break,
            }
        }
        drop(done);
    });
}

fn feed(mut stdin: impl Write + Send + 'static) -> Sender<Vec<u8>> {
    let (sender, receiver): (_, Receiver<Vec<u8>>) = channel();
    thread::spawn(move || {
        for bytes in receiver {
            if stdin.write_all(&bytes).is_err() {
                break;
            }
        }
    });
    sender
}

fn start(id: u32, payload: &[u8], port: &Port, table: &Table) -> io::Result<()> {
    let exec = Exec::decode(payload)
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "not a command"))?;
    let mut child = Command::new(&exec.argv[0])
        .args(&exec.argv[1..])
        .envs(exec.env)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .spawn()?;
    let pid = Pid::from_child(&child);
    let (done, all_done) = channel();
    if let Some(out) = child.stdout.take() {
        pump(out, id, Kind::Stdout, port.clone(), done.clone());
    }
    if let Some(err) = child.stderr.take() {
        pump(err, id, Kind::Stderr, port.clone(), done);
    }
    let stdin = child.stdin.take().map(feed);
    lock(table).insert(id, Live { pid, stdin });
    let (port, table) = (port.clone(), Arc::clone(table));
    thread::spawn(move || {
        let status = wait(id, &mut child, &table);
        // Nothing is ever sent: it returns when both pumps are done, or late.
        let _ = all_done.recv_timeout(LINGER);
        port.send(&Frame::number(id, Kind::Exit, status));
    });
    Ok(())
}

/// Waits for the end. The process is reaped under the lock that `kill` takes,
/// so that a signal never goes to another process with the same number.
fn wait(id: u32, child: &mut Child, table: &Table) -> u32 {
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
    while let Err(rustix::io::Errno::INTR) = waitid(WaitId::Pid(Pid::from_child(child)), options) {}
    let mut live = lock(table);
    live.remove(&id);
    match child.wait() {
        Ok(status) => status
            .code()
            .map_or_else(|| 256 + status.signal().unwrap_or(0).unsigned_abs(), i32::unsigned_abs),
        Err(_) => 255,
    }
}

fn kill(frame: &Frame, table: &Table) {
    let signal = frame.as_number().and_then(|n| Signal::from_named_raw(n.cast_signed()));
    let live = lock(table);
    if let (Some(live), Some(signal)) = (live.get(&frame.id), signal) {
        // It may have ended just now.
        let _ = match frame.kind {
            Kind::KillGroup => rustix::process::kill_process_group(live.pid, signal),
            _ => rustix::process::kill_process(live.pid, signal),
        };
    }
}

fn handle(frame: Frame, port: &Port, table: &Table) {
    match frame.kind {
        Kind::Ping => port.send(&pong(frame.id)),
        Kind::Exec => {
            if let Err(e) = start(frame.id, &frame.payload, port, table) {
                port.send(&Frame::new(frame.id, Kind::Failed, e.to_string()));
            }
        }
        Kind::Stdin => {
            if let Some(live) = lock(table).get_mut(&frame.id) {
                if frame.payload.is_empty() {
                    live.stdin = None;
                } else if let Some(stdin) = &live.stdin {
                    let _ = stdin.send(frame.payload);
                }
            }
        }
        Kind::Kill | Kind::KillGroup => kill(&frame, table),
        Kind::Pong | Kind::Stdout | Kind::Stderr | Kind::Exit | Kind::Failed => {}
    }
}

fn main() -> io::Result<()> {
    let path = std::env::args().nth(1).unwrap_or_else(|| "/dev/vport0p1".into());
    let mut from = File::options().read(true).write(true).open(path)?;
    let port = Port(Arc::new(Mutex::new(from.try_clone()?)));
    let table = Table::default();
    loop {
        match Frame::read(&mut from)? {
            Some(frame) => handle(frame, &port, &table),
            None => thread::sleep(RECONNECT),
        }
    }
}
