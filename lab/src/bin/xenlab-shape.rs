//! A pipe of known bandwidth: `xenlab-shape BYTES_PER_S [--tap FILE] -- COMMAND…` runs COMMAND
//! and feeds it from its own stdin at that rate. stdout is COMMAND's. With `--tap` it reads the
//! save stream that passes by, and writes its rounds to FILE when it ends.
//!
//! The link is busy with what it was given from the moment it was free. Being woken late is made
//! up for; having had nothing to send, or nobody to take it, is not.

use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, ExitCode, Stdio};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::{Errno, retry_on_intr};
use rustix::pipe::{SpliceFlags, fcntl_setpipe_size, splice};
use rustix::thread::clock_nanosleep_absolute;
use rustix::time::{ClockId, Timespec, clock_gettime};
use xenlab::stream::StreamReader;

/// Bytes moved per wake-up: small against a round, large against its cost.
const CHUNK: usize = 64 * 1024;

/// What the sender may be ahead of the link, as in a socket's buffer.
const BUFFER: usize = 256 * 1024;

/// How late a wake-up may be and still be made up for.
const LATE_NS: u128 = 20_000_000;

const NS_PER_S: u128 = 1_000_000_000;
const USAGE: &str = "usage: xenlab-shape BYTES_PER_S [--tap FILE] -- COMMAND…";

fn now_ns() -> u128 {
    let t = clock_gettime(ClockId::Monotonic);
    t.tv_sec as u128 * NS_PER_S + t.tv_nsec as u128
}

fn sleep_until(ns: u128) {
    let at = Timespec { tv_sec: (ns / NS_PER_S) as i64, tv_nsec: (ns % NS_PER_S) as i64 };
    // Interrupted early only adds a chunk of burst; the schedule is absolute.
    let _ = clock_nanosleep_absolute(ClockId::Monotonic, &at);
}

/// Moves up to `CHUNK` bytes; 0 is the end. What passes is shown to `tap`, if there is one.
fn move_some(
    from: BorrowedFd<'_>,
    to: BorrowedFd<'_>,
    tap: &mut Option<StreamReader>,
) -> Result<usize, Errno> {
    let Some(tap) = tap else {
        return match splice(from, None, to, None, CHUNK, SpliceFlags::MOVE) {
            Err(Errno::INTR) => move_some(from, to, &mut None),
            // An input that cannot be spliced.
            Err(Errno::INVAL) => copy_some(from, to, |_| {}),
            other => other,
        };
    };
    copy_some(from, to, |piece| tap.feed(piece, now_ns() as f64 * 1e-9))
}

fn copy_some(
    from: BorrowedFd<'_>,
    to: BorrowedFd<'_>,
    mut seen: impl FnMut(&[u8]),
) -> Result<usize, Errno> {
    let mut buffer = [0u8; CHUNK];
    let n = retry_on_intr(|| rustix::io::read(from, &mut buffer))?;
    seen(&buffer[..n]);
    let mut rest = &buffer[..n];
    while !rest.is_empty() {
        let written = retry_on_intr(|| rustix::io::write(to, rest))?;
        rest = &rest[written..];
    }
    Ok(n)
}

/// Waits until there is something to read and room to write it; false if both were so already.
fn waited(from: BorrowedFd<'_>, to: BorrowedFd<'_>) -> Result<bool, Errno> {
    let now = Timespec { tv_sec: 0, tv_nsec: 0 };
    let (input, output) = (
        PollFd::from_borrowed_fd(from, PollFlags::IN),
        PollFd::from_borrowed_fd(to, PollFlags::OUT),
    );
    if retry_on_intr(|| poll(&mut [input.clone(), output.clone()], Some(&now)))? == 2 {
        return Ok(false);
    }
    for fd in [input, output] {
        retry_on_intr(|| poll(&mut [fd.clone()], None))?;
    }
    Ok(true)
}

fn pump(
    from: BorrowedFd<'_>,
    to: BorrowedFd<'_>,
    rate: u128,
    tap: &mut Option<StreamReader>,
) -> Result<(), Errno> {
    let mut free_at = now_ns();
    loop {
        let earliest = if waited(from, to)? { now_ns() } else { now_ns().saturating_sub(LATE_NS) };
        free_at = free_at.max(earliest);
        let moved = match move_some(from, to, tap) {
            // The command ended without reading everything: its business.
            Ok(0) | Err(Errno::PIPE) => return Ok(()),
            Ok(moved) => moved as u128,
            Err(e) => return Err(e),
        };
        free_at += moved * NS_PER_S / rate;
        // A sleep for every few bytes would take the only CPU from those who fill the pipe, who
        // would then bring only a few bytes at a time.
        if free_at >= now_ns() + CHUNK as u128 * NS_PER_S / rate / 2 {
            sleep_until(free_at);
        }
    }
}

fn run(arguments: Vec<String>) -> Result<ExitCode, String> {
    let words: Vec<_> = arguments.iter().map(String::as_str).collect();
    let (rate, file, command) = match words[..] {
        [rate, "--tap", file, "--", ref command @ ..] => (rate, Some(file), command),
        [rate, "--", ref command @ ..] => (rate, None, command),
        _ => return Err(USAGE.into()),
    };
    let rate = rate.parse().ok().filter(|&rate: &u128| rate > 0).ok_or(USAGE)?;
    let (program, argv) = command.split_first().ok_or(USAGE)?;
    let mut child = Command::new(program)
        .args(argv)
        .stdin(Stdio::piped())
        .spawn()
        .map_err(|e| format!("{program}: {e}"))?;
    let mut tap = file.map(|_| StreamReader::default());
    if let Some(to) = child.stdin.take() {
        let from = std::io::stdin();
        // What is not a pipe has a buffer of its own.
        let _ = fcntl_setpipe_size(&from, BUFFER);
        pump(from.as_fd(), to.as_fd(), rate, &mut tap).map_err(|e| format!("copy: {e}"))?;
    }
    if let (Some(file), Some(tap)) = (file, tap) {
        std::fs::write(file, tap.log().to_string()).map_err(|e| format!("{file}: {e}"))?;
    }
    let status = child.wait().map_err(|e| format!("{program}: {e}"))?;
    let code = status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0));
    Ok(ExitCode::from(u8::try_from(code).unwrap_or(1)))
}

fn main() -> ExitCode {
    run(std::env::args().skip(1).collect()).unwrap_or_else(|e| {
        eprintln!("xenlab-shape: {e}");
        ExitCode::from(125)
    })
}
