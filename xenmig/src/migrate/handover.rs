//! The sender's side of one migration, from the banner to the end: what is done in which order,
//! and what is undone when something fails.
//!
//! Until the permission is sent the guest is the source's, and every failure ends with it running
//! there. From the moment the sending of the permission begins only the target knows who has it.

use std::io::{Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::dialogue::{Answer, Dialogue};
use super::event::Stage;
use super::source::{Progress, Source, after_save};
use crate::error::{Error, Kind, Result};
use crate::host::RunState;

/// Where the guest is in the end.
#[derive(Debug)]
pub(super) enum Ended {
    /// It runs at the target. What could not be tidied up at the source, if anything.
    Moved(Option<Error>),
    /// It runs at the source. Why, and what could not be tidied up.
    Stayed(Error, Option<Error>),
    /// It is at the source, safe and suspended: it could not be resumed. Why it did not move, and
    /// why it does not run.
    Stuck(Error, Error),
    /// It did not move, and ended meanwhile: why it did not move, and how it ended.
    Gone(Error, Error),
    /// The target may run it, or not.
    Undefined(Error),
}

/// Whether the migration may still be given up: one of the two sides wins.
#[derive(Debug, Default)]
pub(super) struct Point(AtomicU8);

impl Point {
    const OPEN: u8 = 0;
    const PASSED: u8 = 1;
    const CLOSED: u8 = 2;

    /// The sender passes the point of no return; `false` when the migration was given up.
    fn pass(&self) -> bool {
        self.change(Self::PASSED)
    }

    /// Gives the migration up; `false` when that is no longer possible.
    pub(super) fn close(&self) -> bool {
        self.change(Self::CLOSED)
    }

    fn is_closed(&self) -> bool {
        self.0.load(Ordering::SeqCst) == Self::CLOSED
    }

    fn change(&self, to: u8) -> bool {
        let changed = self.0.compare_exchange(Self::OPEN, to, Ordering::SeqCst, Ordering::SeqCst);
        changed.is_ok() || changed == Err(to)
    }
}

/// What follows the name of a domain at the source from the permission on; as xl has it.
const AWAY: &str = "--migratedaway";

/// The name that a domain called `name` has at the source once the target may run it.
pub(crate) fn away_name(name: &str) -> String {
    format!("{name}{AWAY}")
}

/// The reverse of [`away_name`]; other names stay as they are.
pub(crate) fn original_name(name: &str) -> &str {
    name.strip_suffix(AWAY).unwrap_or(name)
}

/// One handover.
pub(super) struct Handover<'a> {
    pub(super) source: &'a dyn Source,
    pub(super) name: &'a str,
    pub(super) debug: bool,
    pub(super) point: &'a Point,
    /// The hook said that the save asks the guest to suspend.
    pub(super) suspending: &'a AtomicBool,
}

impl Handover<'_> {
    /// Runs it over the two ends of the transport; `tell` hears when a stage begins.
    pub(super) fn run<R: Read, W: Write + AsFd>(
        &self,
        from: R,
        to: W,
        tell: &dyn Fn(Stage),
    ) -> Ended {
        let mut talk = Dialogue::new(from, to);
        tell(Stage::Connecting);
        if let Err(why) = self.greet(&mut talk) {
            return Ended::Stayed(why, None);
        }
        let mut away = false;
        if let Err(why) = self.send(&mut talk, tell, &mut away) {
            // Nothing more comes: the target gives up too.
            drop(talk);
            return self.back(why, away);
        }
        tell(Stage::HandedOver);
        match talk.permit() {
            Ok(true) => {}
            Ok(false) => {
                let what = "the line to the target broke before it had permission to run the guest";
                return self.back(self.left_there(Error::new(Kind::Io, what)), away);
            }
            Err(why) => return Ended::Undefined(why),
        }
        match talk.answer() {
            Ok(Answer::Runs) => {
                tell(Stage::Arrived);
                Ended::Moved(self.leave())
            }
            Ok(Answer::Failed(code)) => {
                if let Err(why) = talk.returned() {
                    return Ended::Undefined(why);
                }
                let what = format!("the target could not start the guest (xl's code {code})");
                let why = Error::new(Kind::Internal, what)
                    .hint("the receiver's messages say more: run with -v, or look at the target");
                self.back(why, away)
            }
            Err(why) => Ended::Undefined(why),
        }
    }

    fn greet<R: Read, W: Write>(&self, talk: &mut Dialogue<R, W>) -> Result<()> {
        talk.greet()?;
        talk.announce(&self.source.configuration()?)
    }

    /// Up to the point of no return.
    fn send<R: Read, W: Write + AsFd>(
        &self,
        talk: &mut Dialogue<R, W>,
        tell: &dyn Fn(Stage),
        away: &mut bool,
    ) -> Result<()> {
        if self.point.is_closed() {
            return Err(given_up());
        }
        self.source.note(Progress::Saving)?;
        tell(Stage::Sending);
        self.source.save(talk.stream().as_fd(), self.debug).map_err(|cause| {
            if !is_cut(talk.stream().as_fd()) {
                return cause;
            }
            log::debug!("{cause}");
            let what = "the line to the target broke while the guest was being sent";
            self.left_there(Error::new(Kind::Io, what))
        })?;
        tell(Stage::Waiting);
        talk.ready().map_err(|why| self.left_there(why))?;
        if !self.name.is_empty() {
            self.source.rename(self.name, &away_name(self.name))?;
            *away = true;
        }
        if !self.point.pass() {
            return Err(given_up());
        }
        self.source.note(Progress::Permitted)
    }

    /// The guest runs at the target: nothing of it stays here.
    fn leave(&self) -> Option<Error> {
        let noted = self.source.note(Progress::Arrived);
        let destroyed = self.source.destroy();
        match noted.and(destroyed) {
            Ok(()) => {
                self.source.forget();
                None
            }
            Err(error) => Some(error),
        }
    }

    /// What is still safe after a fault of this program.
    pub(super) fn after_panic(&self) -> Ended {
        let why = Error::new(Kind::Internal, "xenmig has a fault; its message is above");
        if self.point.close() {
            // Whether it was renamed is not known; libxl renames only what has that name.
            return self.back(why, true);
        }
        Ended::Undefined(why)
    }

    /// The guest goes on at the source.
    fn back(&self, why: Error, away: bool) -> Ended {
        // Should this process be killed now, the guest is known to be the source's.
        if let Err(error) = self.source.note(Progress::Saving) {
            log::warn!("{error}");
        }
        let renamed =
            if away { self.source.rename(&away_name(self.name), self.name) } else { Ok(()) };
        let mut untidy: Vec<_> = renamed.err().into_iter().collect();
        let may_suspend = match after_save(|| self.source.state()) {
            Ok(RunState::Suspended) => match self.source.resume() {
                Ok(()) => None,
                Err(stuck) => return Ended::Stuck(why, stuck),
            },
            Ok(RunState::Running) => self.may_suspend(),
            Ok(RunState::Paused) => {
                untidy.insert(0, paused());
                self.may_suspend()
            }
            Ok(RunState::Crashed) => return self.gone(why, "it crashed meanwhile"),
            Ok(RunState::Shutdown) => return self.gone(why, "it shut down meanwhile"),
            Ok(RunState::Dying) => return self.gone(why, DESTROYED),
            Err(error) if error.kind() == Kind::NoSuchDomain => return self.gone(why, DESTROYED),
            Err(stuck) => return Ended::Stuck(why, stuck),
        };
        Ended::Stayed(why, self.tidy(may_suspend, untidy))
    }

    /// The guest ended by itself, or somebody ended it. What it may have left is put right, if it is
    /// still there.
    fn gone(&self, why: Error, how: &str) -> Ended {
        if let Err(error) = self.source.settle() {
            log::debug!("{error}");
        }
        self.source.forget();
        let how = Error::new(Kind::NoSuchDomain, how).hint(
            "nothing of it runs at the target; `xl list` shows whether it was started again here",
        );
        Ended::Gone(why, how)
    }

    /// What a receiver leaves that ends before it could clean up, as its reader may find it.
    fn left_there(&self, why: Error) -> Error {
        if self.name.is_empty() || why.advice().is_some() {
            return why;
        }
        let name = self.name;
        why.hint(format!(
            "what the target said may tell more; if `xl list` there shows `{name}--incoming`, which \
             never ran, `xl destroy {name}--incoming` there"
        ))
    }

    /// What it means for a guest that lives on that it was asked to suspend; `None` when it was not.
    fn may_suspend(&self) -> Option<Error> {
        let asked = self.suspending.load(Ordering::SeqCst) || self.source.asked_to_suspend();
        asked.then(|| {
            let what = "the guest was asked to suspend and may still do so";
            Error::new(Kind::Busy, what).hint("should it suspend, `xenmig recover` resumes it")
        })
    }

    /// Puts right what the save left. Gives what weighs most of what could not be done.
    fn tidy(&self, may_suspend: Option<Error>, others: Vec<Error>) -> Option<Error> {
        let settled = self.source.settle();
        let recoverable = settled.as_ref().is_err_and(|error| error.kind() != Kind::Unguarded);
        if may_suspend.is_none() && !recoverable {
            self.source.forget();
        }
        let mut untidy = may_suspend.into_iter().chain(others).chain(settled.err());
        let first = untidy.next();
        untidy.for_each(|error| log::warn!("{error}"));
        first
    }
}

const DESTROYED: &str = "it was destroyed meanwhile";

fn paused() -> Error {
    let what = "the guest is paused, which somebody asked for meanwhile";
    Error::new(Kind::Busy, what).hint("`xl unpause` lets it run")
}

/// Whether nobody reads any more what is written to this pipe.
fn is_cut(stream: BorrowedFd<'_>) -> bool {
    let now = Timespec { tv_sec: 0, tv_nsec: 0 };
    let mut pipe = [PollFd::from_borrowed_fd(stream, PollFlags::OUT)];
    poll(&mut pipe, Some(&now)).is_ok() && pipe[0].revents().contains(PollFlags::ERR)
}

fn given_up() -> Error {
    Error::new(Kind::Interrupted, "it was given up before the target had permission")
}

#[cfg(test)]
mod tests;
