//! The guest's console: what is said on it, and what is typed.

use std::collections::VecDeque;
use std::io::{BufRead, Write};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use rustix::termios::{LocalModes, OptionalActions, tcgetattr, tcsetattr};

pub fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    // A console that cannot be written to leaves nobody to tell.
    let _ = out.write_all(format!("GUEST: {line}\n").as_bytes()).and_then(|()| out.flush());
}

/// Lines typed at the console. A condition variable, not a channel: those
/// spin before they sleep, which costs a guest 0.8 ms per wait.
#[derive(Default)]
pub struct Console {
    lines: Mutex<VecDeque<String>>,
    arrived: Condvar,
}

impl Console {
    /// Starts a thread that sleeps until a line is typed.
    pub fn listen() -> Arc<Self> {
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
    pub fn line_before(&self, time: Instant) -> Option<String> {
        let wait = time.saturating_duration_since(Instant::now());
        let waited = self.arrived.wait_timeout_while(self.lock(), wait, |l| l.is_empty());
        let (mut lines, _) = waited.unwrap_or_else(PoisonError::into_inner);
        lines.pop_front()
    }
}
