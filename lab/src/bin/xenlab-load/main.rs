//! The workload of a guest: its only program, started by the kernel as init.
//!
//! Settings come from the kernel command line, which hands unknown
//! `name=value` words to init as environment: `workload`, `seed`, `cold`
//! (pages that are checked and never written again), `tick` (seconds between
//! reports), `address` and `service` of a network card. It prints lines that begin with `GUEST:` and answers
//! `verify TOKEN` on the console.

mod network;

use std::collections::VecDeque;
use std::io::{BufRead, Write};
use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rustix::termios::{LocalModes, OptionalActions, tcgetattr, tcsetattr};
use rustix::time::{ClockId, clock_gettime};
use xenlab::guest::{Content, Pattern, Rng, Service, Workload};

/// Pages are written, and CPU time is spent, once per slot.
const SLOT: Duration = Duration::from_millis(10);

/// Writes a workload that fell behind may catch up with: this much time's worth.
const BACKLOG_S: f64 = 1.0;

/// A guest is steady when it has run this long.
const STEADY: Duration = Duration::from_secs(1);

fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    // A console that cannot be written to leaves nobody to tell.
    let _ = out.write_all(format!("GUEST: {line}\n").as_bytes()).and_then(|()| out.flush());
}

fn setting<T: std::str::FromStr>(name: &str, default: T) -> T {
    std::env::var(name).ok().and_then(|v| v.parse().ok()).unwrap_or(default)
}

/// CPU seconds this program has used.
fn cpu_seconds() -> f64 {
    let t = clock_gettime(ClockId::ProcessCPUTime);
    t.tv_sec as f64 + t.tv_nsec as f64 * 1e-9
}

/// Lines typed at the console. A condition variable, not a channel: those
/// spin before they sleep, which costs a guest 0.8 ms per wait.
#[derive(Default)]
struct Console {
    lines: Mutex<VecDeque<String>>,
    arrived: Condvar,
}

impl Console {
    /// Starts a thread that sleeps until a line is typed.
    fn listen() -> Arc<Self> {
        let stdin = std::io::stdin();
        if let Ok(mut modes) = tcgetattr(&stdin) {
            modes.local_modes.remove(LocalModes::ECHO);
            let _ = tcsetattr(&stdin, OptionalActions::Now, &modes);
        }
        let console = Arc::new(Self::default());
        let typed = Arc::clone(&console);
        std::thread::spawn(move || {
            for line in stdin.lock().lines().map_while(Result::ok) {
                typed.lock().push_back(line);
                typed.arrived.notify_one();
            }
        });
        console
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<String>> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sleeps until `time` or a line.
    fn line_before(&self, time: Instant) -> Option<String> {
        let wait = time.saturating_duration_since(Instant::now());
        let waited = self.arrived.wait_timeout_while(self.lock(), wait, |l| l.is_empty());
        let (mut lines, _) = waited.unwrap_or_else(PoisonError::into_inner);
        lines.pop_front()
    }
}

struct Load {
    workload: Workload,
    content: Content,
    rng: Rng,
    next: usize,
    /// Writes that are not owed any more: too far behind.
    forgiven: u64,
    work: u64,
    value: f64,
}

impl Load {
    fn write_one(&mut self) {
        let index = match self.workload.pattern {
            Pattern::Random => self.rng.below(self.workload.pages),
            Pattern::Sequential => {
                self.next = (self.next + 1) % self.workload.pages;
                self.next
            }
        };
        self.content.write(index);
    }

    /// Does what is due `elapsed` after the start.
    fn slot(&mut self, elapsed: Duration, slot_end: Instant) {
        if self.workload.cpu > 0.0 {
            let end = slot_end - SLOT + SLOT.mul_f64(self.workload.cpu);
            while Instant::now() < end {
                for _ in 0..200 {
                    self.value = (self.value * 1.000_000_1 + 0.5).sqrt();
                }
                self.work += 1;
            }
        }
        if !self.workload.writes() {
            return;
        }
        match self.workload.due(elapsed) {
            Some(due) => {
                let behind = due.saturating_sub(self.content.writes() + self.forgiven);
                let most = (self.workload.rate.unwrap_or(0.0) * BACKLOG_S) as u64 + 1;
                self.forgiven += behind.saturating_sub(most);
                for _ in 0..behind.min(most) {
                    self.write_one();
                }
            }
            None => {
                while Instant::now() < slot_end {
                    (0..64).for_each(|_| self.write_one());
                }
            }
        }
    }

    fn verify(&self, token: &str) {
        match self.content.verify() {
            Ok(()) => say(&format!(
                "verify {token} ok pages={} writes={}",
                self.content.len(),
                self.content.writes()
            )),
            Err(corruption) => say(&format!("verify {token} CORRUPT {corruption}")),
        }
    }
}

/// Sets up the network card and the service, where there are any; the count of
/// what the service sends.
fn connect() -> std::io::Result<Option<Arc<AtomicU64>>> {
    let invalid = |e| std::io::Error::new(std::io::ErrorKind::InvalidInput, e);
    let Ok(address) = std::env::var("address") else { return Ok(None) };
    let address: Ipv4Addr = address.parse().map_err(|_| invalid(address))?;
    network::configure(address)?;
    let Ok(service) = std::env::var("service") else { return Ok(None) };
    let service: Service = service.parse().map_err(|e| invalid(format!("{e}")))?;
    network::serve(service).map(Some)
}

fn main() {
    let text = setting("workload", String::from("idle"));
    let workload: Workload = match text.parse() {
        Ok(workload) => workload,
        Err(e) => {
            say(&format!("error: {e}"));
            Workload::IDLE
        }
    };
    let tick = Duration::from_secs_f64(setting("tick", 5.0f64).clamp(0.1, 1e6));
    let content = Content::new(workload.pages + setting("cold", 1024));
    let rng = Rng::new(setting("seed", 1));
    let mut load = Load { workload, content, rng, next: 0, forgiven: 0, work: 0, value: 1.0 };
    say(&format!("up {workload}"));

    let console = Console::listen();
    let sent = connect().unwrap_or_else(|e| {
        say(&format!("error: network: {e}"));
        None
    });
    let busy = workload.writes() || workload.cpu > 0.0;
    let start = Instant::now();
    let (mut ticks, mut steady) = (0u32, false);
    let (mut last_report, mut last_writes, mut last_cpu) = (start, 0, cpu_seconds());
    let mut slot_end = start;
    loop {
        if busy {
            slot_end = (slot_end + SLOT).max(Instant::now());
            load.slot(start.elapsed(), slot_end);
        } else {
            let report = last_report + tick;
            slot_end = if steady { report } else { report.min(start + STEADY) };
        }
        let now = Instant::now();
        if !steady && now - start >= STEADY {
            steady = true;
            say(&format!("steady {workload}"));
        }
        if now - last_report >= tick {
            ticks += 1;
            let span = (now - last_report).as_secs_f64();
            let (writes, cpu) = (load.content.writes(), cpu_seconds());
            say(&format!(
                "tick {ticks} up={:.3} writes={writes} rate={:.1} cpu={:.4} work={}{}",
                (now - start).as_secs_f64(),
                (writes - last_writes) as f64 / span,
                (cpu - last_cpu) / span,
                load.work,
                sent.as_ref()
                    .map(|sent| format!(" sent={}", sent.load(Ordering::Relaxed)))
                    .unwrap_or_default(),
            ));
            (last_report, last_writes, last_cpu) = (now, writes, cpu);
        }
        if let Some(line) = console.line_before(slot_end)
            && let Some(token) = line.trim().strip_prefix("verify ")
        {
            load.verify(token);
        }
    }
}
