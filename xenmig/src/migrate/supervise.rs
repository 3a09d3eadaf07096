//! The thread that watches a handover while another one runs it: passes on what happens, sees the
//! user's wish to stop, and cuts the line to a target that says nothing.

use std::collections::VecDeque;
use std::fs::File;
use std::os::fd::OwnedFd;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

use super::event::{Event, Stage};
use super::give_up::GivenUp;
use super::handover::{Ended, Handover, Point};
use super::hook::Event as HookEvent;
use super::migration::Migration;
use super::report::Report;
use super::source::Source;
use super::steer::{Said, Steered};
use super::timeline::{Timeline, now_s};
use super::transport::Carrier;
use crate::error::{Error, Kind, Result};
use crate::host::RunState;
use crate::units::show_duration;

/// How often the wish to stop and the deadlines are looked at.
const LOOK: Duration = Duration::from_millis(10);
/// Lines of the transport's stderr that are kept.
const LINES: usize = 10;

/// How long the transport may take to end by itself.
const LINGER: Duration = Duration::from_secs(2);
/// How long last words may take.
const LAST_WORDS: Duration = Duration::from_millis(300);

/// What the supervisor hears of.
enum Heard {
    Stage(Stage, f64),
    Line(String),
    Ended,
}

/// Watches one handover.
pub(super) struct Supervisor<'a> {
    migration: &'a Migration<'a>,
    source: &'a dyn Source,
    stop: &'a AtomicBool,
    tell: &'a mut dyn FnMut(&Event),
    started: f64,
    timeline: Timeline,
    stage: (Stage, Instant),
    given_up: Option<GivenUp>,
    /// The hook said that the save asks the guest to suspend.
    suspending: Arc<AtomicBool>,
    steered: bool,
    stock_because: Option<String>,
    save_ended: bool,
    said: VecDeque<String>,
}

impl<'a> Supervisor<'a> {
    pub(super) fn new(
        migration: &'a Migration<'a>,
        source: &'a dyn Source,
        stop: &'a AtomicBool,
        tell: &'a mut dyn FnMut(&Event),
        started: f64,
    ) -> Self {
        Self {
            migration,
            source,
            stop,
            tell,
            started,
            timeline: Timeline::default(),
            stage: (Stage::Gate, Instant::now()),
            given_up: None,
            suspending: Arc::default(),
            steered: false,
            stock_because: None,
            save_ended: false,
            said: VecDeque::new(),
        }
    }

    /// Runs the handover over the transport `line`, and completes `report`.
    pub(super) fn run(mut self, line: &str, report: Report) -> Result<Report> {
        let (to, heard) = channel();
        let lines = to.clone();
        let mut carrier = Carrier::start(line, move |line| {
            // Once the migration is over nobody listens any more.
            let _ = lines.send(Heard::Line(line));
        })?;
        let (from, into) = carrier.ends()?;
        // Open until the transport has ended: a receiver that cannot say that it failed would not
        // clean up.
        let from = File::from(OwnedFd::from(from));
        let (said, hooks) = channel();
        let (id, settings) =
            (self.migration.domain.id, self.migration.hook_settings(report.gate.sample.as_ref()));
        let steered = self.migration.hook.map(|hook| hook.steer(id, settings, said));
        let point = Point::default();
        let (name, debug) = (self.migration.domain.name.as_str(), self.migration.debug);
        let suspending = Arc::clone(&self.suspending);
        let handover =
            Handover { source: self.source, name, debug, point: &point, suspending: &suspending };
        let ended = thread::scope(|scope| {
            let (handover, from) = (&handover, &from);
            let worker = scope.spawn(move || {
                let tell = |stage| drop(to.send(Heard::Stage(stage, now_s())));
                let run = || handover.run(from, into, &tell);
                let ended = catch_unwind(AssertUnwindSafe(run));
                drop(to.send(Heard::Ended));
                ended.unwrap_or_else(|_| handover.after_panic())
            });
            self.watch(&heard, &hooks, &mut carrier, steered.as_ref(), &point);
            // A panic of what follows a panic leaves the note, and with it `xenmig recover`.
            worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        });
        self.last_words(&hooks);
        let status = carrier.end(LINGER);
        self.last_lines(&heard);
        if let Some(status) = status.filter(|status| !status.success()) {
            self.line(format!("(the transport ended with {status})"));
        }
        self.stage(Stage::Done, now_s());
        Ok(self.completed(report, ended))
    }

    fn completed(self, report: Report, ended: Ended) -> Report {
        // What libxl says of a save that was made to fail is no reason.
        let why = self.given_up.map(|given_up| given_up.why);
        let why = why.or_else(|| self.timeline.aborted(report.gate.budget.downtime));
        let mut report = report.ended(match (ended, why) {
            (Ended::Stayed(cause, untidy), Some(why)) => Ended::Stayed(why.or_hint(&cause), untidy),
            (Ended::Gone(_, how), Some(why)) => Ended::Gone(why, how),
            (ended, _) => ended,
        });
        report.paused = self.migration.transport.leaves_paused();
        report.to_be_steered = self.migration.hook.is_some();
        report.steered = self.steered;
        report.stock_because = self.stock_because;
        report.costs = self.timeline.costs();
        report.said = self.said.into();
        report
    }

    /// Until the handover is over.
    fn watch(
        &mut self,
        heard: &Receiver<Heard>,
        hooks: &Receiver<Said>,
        carrier: &mut Carrier,
        steered: Option<&Steered<'_>>,
        point: &Point,
    ) {
        loop {
            match heard.recv_timeout(LOOK) {
                Ok(Heard::Stage(stage, at)) => {
                    if stage > Stage::Connecting {
                        carrier.connected();
                    }
                    self.stage(stage, at);
                }
                Ok(Heard::Line(line)) => self.line(line),
                Ok(Heard::Ended) | Err(RecvTimeoutError::Disconnected) => return,
                Err(RecvTimeoutError::Timeout) => {}
            }
            while let Ok(said) = hooks.try_recv() {
                self.hook(said);
            }
            self.look_for_suspension();
            if self.given_up.is_none() {
                self.give_up_if_need_be(point);
            }
            if let Some(given_up) = &mut self.given_up {
                given_up.press(self.stage.0, self.source, steered, carrier);
            }
        }
    }

    fn stage(&mut self, stage: Stage, at: f64) {
        self.stage = (stage, Instant::now());
        self.timeline.stage(stage, at);
        (self.tell)(&Event::Stage { stage, since_start_s: at - self.started });
    }

    fn line(&mut self, line: String) {
        (self.tell)(&Event::Said { line: line.clone() });
        if self.said.len() == LINES {
            self.said.pop_front();
        }
        self.said.push_back(line);
    }

    fn hook(&mut self, said: Said) {
        let event = match said {
            Said::Hello(hello) => {
                self.steered = true;
                return (self.tell)(&Event::Steered { pid: hello.pid });
            }
            Said::Event(event) => event,
        };
        self.timeline.hook(&event);
        (self.tell)(&Event::Save(event.clone()));
        match event {
            HookEvent::Suspending { .. } => self.suspending.store(true, Ordering::SeqCst),
            HookEvent::Suspended { .. } if self.stage.0 == Stage::Sending => {
                self.stage(Stage::Suspended, now_s());
            }
            HookEvent::Stock { why, .. } => {
                self.steered = false;
                self.stock_because = Some(why);
            }
            HookEvent::End { .. } => self.save_ended = true,
            _ => {}
        }
    }

    /// The hook knows the moment; without it this process looks.
    fn look_for_suspension(&mut self) {
        let unknown = self.stage.0 == Stage::Sending && !self.timeline.is_suspended();
        if unknown && !self.steered && self.source.state().is_ok_and(|s| s == RunState::Suspended) {
            self.stage(Stage::Suspended, now_s());
        }
    }

    fn give_up_if_need_be(&mut self, point: &Point) {
        let (stage, since) = self.stage;
        let late = match stage {
            Stage::Connecting => Some(self.migration.connecting),
            Stage::Waiting => Some(self.migration.ready),
            _ => None,
        };
        let late = late.filter(|patience| since.elapsed() > *patience);
        let why = if self.stop.load(Ordering::Relaxed) {
            Error::new(Kind::Interrupted, "interrupted")
        } else if let Some(patience) = late {
            let what = format!("the target said nothing for {}", show_duration(patience));
            Error::new(Kind::Io, what)
        } else {
            return;
        };
        if stage < Stage::HandedOver && point.close() {
            (self.tell)(&Event::GivingUp { why: why.to_string() });
            self.given_up = Some(GivenUp::new(why));
        }
    }

    /// The hook's words may come a moment after the save has ended.
    fn last_words(&mut self, hooks: &Receiver<Said>) {
        let until = Instant::now() + LAST_WORDS;
        while self.migration.hook.is_some() && !self.save_ended {
            let Ok(said) = hooks.recv_timeout(until.saturating_duration_since(Instant::now()))
            else {
                return;
            };
            self.hook(said);
        }
    }

    /// So may those of the transport, until it has closed its stderr.
    fn last_lines(&mut self, heard: &Receiver<Heard>) {
        let until = Instant::now() + LAST_WORDS;
        while let Ok(heard) = heard.recv_timeout(until.saturating_duration_since(Instant::now())) {
            if let Heard::Line(line) = heard {
                self.line(line);
            }
        }
    }
}

#[cfg(test)]
mod tests;
