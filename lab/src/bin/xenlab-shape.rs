//! A pipe of known bandwidth: `xenlab-shape BYTES_PER_S -- COMMAND…` runs
//! COMMAND and feeds it from its own stdin at that rate. stdout is COMMAND's.
//!
//! Pacing is against absolute time, so that it does not drift; a link that was
//! idle earns no credit beyond one chunk.

use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, ExitCode, Stdio};

use rustix::io::Errno;
use rustix::pipe::{SpliceFlags, splice};
use rustix::thread::clock_nanosleep_absolute;
use rustix::time::{ClockId, Timespec, clock_gettime};

/// Bytes moved per wake-up: small against a round, large against its cost.
const CHUNK: usize = 64 * 1024;

const NS_PER_S: u128 = 1_000_000_000;

fn now_ns() -> u128 {
    let t = clock_gettime(ClockId::Monotonic);
    t.tv_sec as u128 * NS_PER_S + t.tv_nsec as u128
}

fn sleep_until(ns: u128) {
    let at = Timespec { tv_sec: (ns / NS_PER_S) as i64, tv_nsec: (ns % NS_PER_S) as i64 };
    // Interrupted early only adds a chunk of burst; the schedule is absolute.
    let _ = clock_nanosleep_absolute(ClockId::Monotonic, &at);
}

/// Moves up to `CHUNK` bytes; 0 is the end.
fn move_some(from: BorrowedFd<'_>, to: BorrowedFd<'_>) -> Result<usize, Errno> {
    loop {
        match splice(from, None, to, None, CHUNK, SpliceFlags::MOVE) {
            Err(Errno::INTR) => {}
            Err(Errno::INVAL) => return copy_some(from, to),
            other => return other,
        }
    }
}

/// For an input that cannot be spliced.
fn copy_some(from: BorrowedFd<'_>, to: BorrowedFd<'_>) -> Result<usize, Errno> {
    let mut buffer = [0u8; CHUNK];
    let n = rustix::io::retry_on_intr(|| rustix::io::read(from, &mut buffer))?;
    let mut rest = &buffer[..n];
    while !rest.is_empty() {
        let written = rustix::io::retry_on_intr(|| rustix::io::write(to, rest))?;
        rest = &rest[written..];
    }
    Ok(n)
}

fn pump(from: BorrowedFd<'_>, to: BorrowedFd<'_>, rate: u128) -> Result<(), Errno> {
    let mut free_at = now_ns();
    loop {
        let moved = match move_some(from, to) {
            // The command ended without reading everything: its business.
            Ok(0) | Err(Errno::PIPE) => return Ok(()),
            Ok(moved) => moved as u128,
            Err(e) => return Err(e),
        };
        // The link is busy with these bytes from when they came, or from when
        // it was done with those before.
        let now = now_ns();
        let idle_since = free_at.max(now.saturating_sub(CHUNK as u128 * NS_PER_S / rate));
        free_at = idle_since + moved * NS_PER_S / rate;
        if free_at > now {
            sleep_until(free_at);
        }
    }
}

fn run(mut arguments: impl Iterator<Item = String>) -> Result<ExitCode, String> {
    let usage = "usage: xenlab-shape BYTES_PER_S -- COMMAND…";
    let rate: u128 =
        arguments.next().and_then(|r| r.parse().ok()).filter(|&r| r > 0).ok_or(usage)?;
    let mut argv = arguments.skip_while(|a| a == "--");
    let program = argv.next().ok_or(usage)?;
    let mut child = Command::new(&program)
        .args(argv)
        .stdin(Stdio::piped())
        .spawn()
        .map_err(|e| format!("{program}: {e}"))?;
    if let Some(to) = child.stdin.take() {
        // A pipe as deep as a chunk lets a whole chunk go in at once.
        let _ = rustix::pipe::fcntl_setpipe_size(&to, CHUNK);
        pump(std::io::stdin().as_fd(), to.as_fd(), rate).map_err(|e| format!("copy: {e}"))?;
    }
    let status = child.wait().map_err(|e| format!("{program}: {e}"))?;
    let code = status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0));
    Ok(ExitCode::from(u8::try_from(code).unwrap_or(1)))
}

fn main() -> ExitCode {
    run(std::env::args().skip(1)).unwrap_or_else(|e| {
        eprintln!("xenlab-shape: {e}");
        ExitCode::from(125)
    })
}
