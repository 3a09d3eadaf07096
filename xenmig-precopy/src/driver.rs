//! What a policy's decisions mean in a real save: looks at the guest after each send, asks, waits
//! or throttles and asks again, and tells of it. Everything it touches is behind [`Machine`].

use std::ops::Range;
use std::time::Duration;

use xenmig::migrate::hook::Event;
use xenmig::model::{Decision, Format, Guest, Load, PrecopyPolicy, PrecopyStats, Stock};
use xenmig::policy::precopy::{Controller, Why};
use xenmig::units::BytesPerSecond;
use xenmig::{Error, Kind, Result};

/// What the driver needs of the machine.
pub trait Machine {
    /// Since the save began.
    fn now(&self) -> Duration;
    /// Pages that are dirty; at least as many as there are, where `exact` is not needed.
    fn pending(&mut self, exact: bool) -> Result<Dirty>;
    /// Whether what [`Machine::hold_back`] was asked for is done; `false` once it was seen that not.
    fn holds_back(&mut self) -> bool;
    /// The next round is to have at most so many pages; the others are held back, if that is
    /// possible here.
    fn hold_back(&mut self, most: u64);
    /// Pages of the last set, now that the guest is suspended.
    fn last_set(&mut self) -> Result<u64>;
    /// Lets the guest have at most so many per cent of a physical CPU. Gives what it has now.
    fn cap(&mut self, per_cent: u32) -> Result<u16>;
    /// Restores the cap. Says whether there was one to restore.
    fn uncap(&mut self) -> Result<bool>;
    /// Leaves the guest as a save does that has failed, in place of a save that never ends.
    fn abandon(&mut self) -> Result<()>;
    /// Waits; ends early with the reason when somebody wants the save given up.
    fn rest(&mut self, time: Duration) -> Option<String>;
    /// Tells whoever listens.
    fn tell(&mut self, event: &Event);
}

/// How many pages are dirty.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Dirty {
    /// What would be sent if the guest were suspended now.
    pub all: u64,
    /// Those dirtied since the last CLEAN.
    pub fresh: u64,
}

/// A policy that explains itself.
pub trait Policy: PrecopyPolicy {
    /// Why it decided as it did.
    fn why(&self) -> Why;
    /// From here on no pages can be held back.
    fn send_whole_rounds(&mut self);
    /// Downtime if the guest were suspended with so many pages dirty.
    fn downtime_s(&self, pending: f64) -> Option<f64>;
    /// The same, as it is to be expected.
    fn expected_downtime_s(&self, pending: f64) -> Option<f64>;
    /// Bandwidth as far as it is known.
    fn bandwidth(&self) -> Option<BytesPerSecond>;
}

impl Policy for Controller {
    fn send_whole_rounds(&mut self) {
        self.send_whole_rounds();
    }

    fn why(&self) -> Why {
        self.why()
    }

    fn downtime_s(&self, pending: f64) -> Option<f64> {
        self.downtime_s(pending)
    }

    fn expected_downtime_s(&self, pending: f64) -> Option<f64> {
        self.expected_downtime_s(pending)
    }

    fn bandwidth(&self) -> Option<BytesPerSecond> {
        self.bandwidth()
    }
}

/// What Xen tells a policy.
#[derive(Debug, Clone, Copy)]
pub struct Told {
    /// Sends that are complete.
    pub iteration: u32,
    /// Pfns sent so far.
    pub total_written: u64,
    /// Pfns about to be sent; `None` after a send.
    pub dirty: Option<u64>,
}

/// What Xen is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// Go on copying.
    Continue,
    /// Suspend the guest and send the rest.
    StopAndCopy,
    /// Give up.
    Abort,
}

/// Shortest wait: a policy may want to be asked again at once, but never for ever.
const LEAST_WAIT: Duration = Duration::from_millis(1);
/// Changes of the cap without a wait or a send between them that no sane policy asks for.
const MOST_CAPS: u32 = 1000;

/// One steered save.
pub struct Driver<M, P> {
    machine: M,
    policy: P,
    guest: Guest,
    sending: Option<(Load, Duration)>,
    last_send: Duration,
    stock: bool,
}

impl<M: Machine, P: Policy> Driver<M, P> {
    /// Steers a save of `guest` by `policy`.
    pub const fn new(machine: M, policy: P, guest: Guest) -> Self {
        Self { machine, policy, guest, sending: None, last_send: Duration::ZERO, stock: false }
    }

    /// What Xen is to do. From the first fault on, what the stock policy says.
    pub fn decide(&mut self, told: &Told) -> Answer {
        if !self.stock {
            match self.steer(told) {
                Ok(answer) => return answer,
                Err(error) => self.fall_back(&error.to_string()),
            }
        }
        stock(told)
    }

    /// From here on the stock policy decides, and the guest runs as fast as before.
    pub fn fall_back(&mut self, why: &str) {
        if self.stock {
            return;
        }
        self.stock = true;
        log::warn!("{why}; from here on this save follows Xen's own policy");
        let t = self.t();
        self.machine.tell(&Event::Stock { t, why: why.to_owned() });
        self.uncap();
    }

    /// The guest is about to be asked to suspend.
    pub fn suspending(&mut self) {
        let t = self.t();
        self.machine.tell(&Event::Suspending { t });
    }

    /// It has suspended itself.
    pub fn suspended(&mut self) {
        let t = self.t();
        self.machine.tell(&Event::Suspended { t });
        match self.machine.last_set() {
            Ok(pages) => {
                let t = self.t();
                self.machine.tell(&Event::Last { t, pages });
            }
            Err(error) => log::info!("the last set is not counted: {error}"),
        }
    }

    /// The save has ended with `result`.
    pub fn end(&mut self, result: i32) {
        self.uncap();
        let t = self.t();
        self.machine.tell(&Event::End { t, result });
    }

    /// This process ends before the save does.
    pub fn abandon(&mut self) {
        log::warn!("libxl's helper ends in the midst of a save");
        if let Err(error) = self.machine.abandon() {
            log::error!("{error}; `xenmig recover` tries again");
        }
    }

    /// Restores the guest's cap, if it was changed.
    fn uncap(&mut self) {
        match self.machine.uncap() {
            Ok(false) => {}
            Ok(true) => log::info!("the guest's cap is as before"),
            Err(error) => log::error!("{error}; `xenmig recover` tries again"),
        }
    }

    fn steer(&mut self, told: &Told) -> Result<Answer> {
        match told.dirty {
            Some(dirty) => Ok(self.before_send(told, dirty)),
            None => self.after_send(told),
        }
    }

    fn before_send(&mut self, told: &Told, dirty: u64) -> Answer {
        let load =
            if told.iteration == 0 { self.guest.everything() } else { Load::dirtied(dirty as f64) };
        let stats = self.stats(told, Dirty { all: dirty, fresh: 0 });
        let answer = match self.policy.decide(&stats) {
            Decision::StopAndCopy => Answer::StopAndCopy,
            Decision::Abort => Answer::Abort,
            Decision::Continue | Decision::Part(_) | Decision::Wait(_) | Decision::Throttle(_) => {
                Answer::Continue
            }
        };
        let (t, pages) = (self.t(), load.pages as u64);
        self.machine.tell(&Event::Send { t, round: told.iteration, pages });
        self.sending = Some((load, self.machine.now()));
        answer
    }

    fn after_send(&mut self, told: &Told) -> Result<Answer> {
        let ended = self.machine.now();
        if !self.machine.holds_back() {
            self.policy.send_whole_rounds();
        }
        let mut pending = self.machine.pending(true)?;
        if let Some((load, since)) = self.sending.take() {
            self.sent(told, &load, since..ended, pending.all);
        }
        let mut caps = 0;
        let mut reason = self.machine.rest(Duration::ZERO);
        loop {
            if let Some(why) = reason {
                return Ok(self.give_up(why));
            }
            let decision = self.policy.decide(&self.stats(told, pending));
            self.tell_decision(decision, pending);
            reason = match decision {
                Decision::Continue => return Ok(Answer::Continue),
                Decision::Part(most) => {
                    self.machine.hold_back(most);
                    return Ok(Answer::Continue);
                }
                Decision::StopAndCopy => return Ok(Answer::StopAndCopy),
                Decision::Abort => return Ok(self.cannot_keep(pending.all)),
                Decision::Wait(time) => {
                    caps = 0;
                    self.machine.rest(time.max(LEAST_WAIT))
                }
                Decision::Throttle(_) if caps == MOST_CAPS => {
                    return Err(Error::new(Kind::Internal, "the controller throttles in a circle"));
                }
                Decision::Throttle(cap) => {
                    caps += 1;
                    let cap = u32::from(self.machine.cap(cap)?);
                    let t = self.t();
                    self.machine.tell(&Event::Capped { t, cap });
                    None
                }
            };
            pending = self.machine.pending(false)?;
        }
    }

    /// Takes note of a send that has ended.
    fn sent(&mut self, told: &Told, load: &Load, time: Range<Duration>, pending: u64) {
        let (pages, holes) = Format::XEN.bytes(load);
        self.last_send = time.end - time.start;
        let s = self.last_send.as_secs_f64();
        let event = Event::Sent {
            t: time.end.as_secs_f64(),
            round: told.iteration.saturating_sub(1),
            pages: load.pages as u64,
            bytes: (pages + holes) as u64,
            s,
            pending,
        };
        self.machine.tell(&event);
    }

    fn tell_decision(&mut self, decision: Decision, dirty: Dirty) {
        let pending = dirty.all;
        let event = Event::Decision {
            t: self.t(),
            pending,
            fresh: dirty.fresh,
            decision: decision.name().to_owned(),
            why: self.policy.why(),
            downtime_s: self.policy.downtime_s(pending as f64),
            expected_downtime_s: self.policy.expected_downtime_s(pending as f64),
            bandwidth_bytes_per_s: self.policy.bandwidth().map(BytesPerSecond::get),
        };
        self.machine.tell(&event);
    }

    fn give_up(&mut self, why: String) -> Answer {
        log::warn!("this save is given up, and the guest goes on here: {why}");
        let t = self.t();
        self.machine.tell(&Event::GivenUp { t, why });
        Answer::Abort
    }

    fn cannot_keep(&self, pending: u64) -> Answer {
        let downtime = match self.policy.downtime_s(pending as f64) {
            Some(s) => format!("suspended now it would be down for {s:.3} s"),
            None => "no bandwidth is known".to_owned(),
        };
        log::warn!(
            "this save is given up, and the guest goes on here: its budget cannot be kept; \
             {pending} pages are dirty, and {downtime}"
        );
        Answer::Abort
    }

    fn stats(&self, told: &Told, dirty: Dirty) -> PrecopyStats {
        PrecopyStats {
            iteration: told.iteration,
            total_written: told.total_written as f64,
            dirty_count: told.dirty.map(|dirty| dirty as f64),
            pending: dirty.all as f64,
            fresh: dirty.fresh as f64,
            elapsed: self.machine.now(),
            last_send: self.last_send,
        }
    }

    fn t(&self) -> f64 {
        self.machine.now().as_secs_f64()
    }
}

/// What Xen's own policy answers.
pub fn stock(told: &Told) -> Answer {
    let stats = PrecopyStats {
        iteration: told.iteration,
        total_written: told.total_written as f64,
        dirty_count: told.dirty.map(|dirty| dirty as f64),
        pending: 0.0,
        fresh: 0.0,
        elapsed: Duration::ZERO,
        last_send: Duration::ZERO,
    };
    match Stock.decide(&stats) {
        Decision::StopAndCopy => Answer::StopAndCopy,
        _ => Answer::Continue,
    }
}

#[cfg(test)]
mod tests;
