//! A migration whose process was killed. Whether the guest may go on at the source depends on one
//! thing: whether the target can have had permission to run it. The note says so, for it is written
//! before the permission is sent.

use super::control::Control;
use super::domain;
use super::lease::{Lease, Leaving};
use super::light::Light;
use super::save_guard::SaveGuard;
use super::source::put_right;
use super::store::Store;
use crate::error::{Error, Kind, Result};
use crate::host::{DomId, Domain, Recovered, Recovery, RunState};
use crate::migrate::{Progress, after_save, away_name, original_name};

/// Does what is safe and `how` allows, and says what is not.
pub(super) fn recover(
    control: &Control,
    store: &Store,
    guard: Option<&SaveGuard>,
    id: DomId,
    leaving: &Leaving,
    mut lease: Lease,
    how: Recovery,
) -> Result<Recovered> {
    if leaving.progress == Progress::Saving {
        // First, for it refuses while the save still runs.
        log_off(guard, id)?;
    }
    let look = || domain::raw(control, id).map(|info| domain::run_state(info.flags));
    let suspended = after_save(look)? == RunState::Suspended;
    let asked = || domain::is_asked_to_suspend(store, id);
    let (name, away) = (&leaving.name, away_name(&leaving.name));
    let what = match state(leaving.progress, suspended, asked) {
        State::LookThere => {
            let what = format!(
                "a killed xenmig had let the target run it: look there for `{name}`. If it runs \
                 there, `xl destroy {away}` here; only if it does not, `xenmig recover --resume \
                 {id}` here. Two running copies destroy its disks"
            );
            return Ok(Recovered { domid: id, what, clean: false });
        }
        State::RunsThere => {
            let what = format!("it runs at its target; `xl destroy {away}` removes what is left");
            return Ok(Recovered { domid: id, what, clean: false });
        }
        State::MayGoOn if how == Recovery::Tidy => {
            let what = "it is suspended: by a killed xenmig, or by another tool's save since then. \
                        If no other tool has it, `xenmig recover` resumes it here";
            return Ok(Recovered { domid: id, what: what.to_owned(), clean: false });
        }
        State::MayGoOn => {
            go_on(id, &store.read(&format!("/local/domain/{id}/name")).unwrap_or_default())?;
            "resumed it: a killed xenmig had suspended it, and the target may not run it"
        }
        State::MaySuspend => {
            let what = format!(
                "it was asked to suspend and may still do so: run `xenmig recover` again, or take \
                 the request back: `xenstore-write /local/domain/{id}/control/shutdown ''`"
            );
            return Ok(Recovered { domid: id, what, clean: false });
        }
        State::Runs => "put right what a killed migration had left; it runs here",
        State::RunsAgain => "it runs here again",
    };
    lease.clear();
    Ok(Recovered { domid: id, what: what.to_owned(), clean: true })
}

/// How it stands with a domain whose migration was cut short.
#[derive(Debug, PartialEq, Eq)]
enum State {
    /// Suspended, and only the target tells whether it runs there.
    LookThere,
    /// Suspended, and it runs at the target.
    RunsThere,
    /// Suspended, and the migration gave nobody else the right to run it.
    MayGoOn,
    /// It runs, and may still follow a request to suspend.
    MaySuspend,
    /// It runs, and nobody else may run it.
    Runs,
    /// It runs, for somebody has decided already.
    RunsAgain,
}

fn state(progress: Progress, suspended: bool, asked: impl FnOnce() -> bool) -> State {
    match progress {
        Progress::Permitted if suspended => State::LookThere,
        Progress::Arrived if suspended => State::RunsThere,
        Progress::Permitted | Progress::Arrived => State::RunsAgain,
        Progress::Saving if suspended => State::MayGoOn,
        Progress::Saving if asked() => State::MaySuspend,
        Progress::Saving => State::Runs,
    }
}

/// Lets a suspended domain go on because the user says that it runs nowhere else.
pub(super) fn release(guard: Option<&SaveGuard>, domain: &Domain, lease: &mut Lease) -> Result<()> {
    let id = domain.id;
    if domain.state != RunState::Suspended {
        return Err(Error::new(Kind::Usage, format!("domain {id} is not suspended")));
    }
    log_off(guard, id)?;
    go_on(id, &domain.name)?;
    lease.clear();
    Ok(())
}

/// Where saves cannot be guarded the log is left to the next save, which takes it over.
fn log_off(guard: Option<&SaveGuard>, id: DomId) -> Result<()> {
    match put_right(guard, id) {
        Err(error) if error.kind() == Kind::Unguarded => {
            log::warn!("{error}");
            Ok(())
        }
        done => done,
    }
}

/// `called` is its name now.
fn go_on(id: DomId, called: &str) -> Result<()> {
    let light = Light::open()?;
    light.resume(id)?;
    match original_name(called) {
        name if name == called => Ok(()),
        name => light.rename(id, called, name),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_before_the_permission_may_a_suspended_domain_go_on() {
        let after = |progress| state(progress, true, || false);
        assert_eq!(after(Progress::Saving), State::MayGoOn);
        assert_eq!(after(Progress::Permitted), State::LookThere);
        assert_eq!(after(Progress::Arrived), State::RunsThere);
    }

    #[test]
    fn one_that_runs_was_decided_about_unless_it_may_still_suspend() {
        let after = |progress, asked| state(progress, false, || asked);
        assert_eq!(after(Progress::Saving, true), State::MaySuspend);
        assert_eq!(after(Progress::Saving, false), State::Runs);
        assert_eq!(after(Progress::Permitted, true), State::RunsAgain);
        assert_eq!(after(Progress::Arrived, false), State::RunsAgain);
    }
}
