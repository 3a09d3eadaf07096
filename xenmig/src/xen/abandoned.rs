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
use crate::host::{DomId, Domain, Recovered, RunState};
use crate::migrate::{Progress, after_save, away_name, original_name};

/// Does what is safe, and says what is not.
pub(super) fn recover(
    control: &Control,
    store: &Store,
    guard: Option<&SaveGuard>,
    id: DomId,
    leaving: &Leaving,
    mut lease: Lease,
) -> Result<Recovered> {
    if leaving.progress == Progress::Saving {
        // First, for it refuses while the save still runs.
        log_off(guard, id)?;
    }
    let look = || domain::raw(control, id).map(|info| domain::run_state(info.flags));
    let suspended = after_save(look)? == RunState::Suspended;
    let (name, away) = (&leaving.name, away_name(&leaving.name));
    let what = match leaving.progress {
        Progress::Permitted if suspended => {
            let what = format!(
                "a killed xenmig had let the target run it: look there for `{name}`. If it runs \
                 there, `xl destroy {away}` here; only if it does not, `xenmig recover --resume \
                 {id}` here. Two running copies destroy its disks"
            );
            return Ok(Recovered { domid: id, what, clean: false });
        }
        Progress::Arrived if suspended => {
            let what = format!("it runs at its target; `xl destroy {away}` removes what is left");
            return Ok(Recovered { domid: id, what, clean: false });
        }
        Progress::Saving if suspended => {
            go_on(id, &store.read(&format!("/local/domain/{id}/name")).unwrap_or_default())?;
            "resumed it: a killed xenmig had suspended it, and the target may not run it"
        }
        Progress::Saving if domain::is_asked_to_suspend(store, id) => {
            let what = format!(
                "it was asked to suspend and may still do so: run `xenmig recover` again, or take \
                 the request back: `xenstore-write /local/domain/{id}/control/shutdown ''`"
            );
            return Ok(Recovered { domid: id, what, clean: false });
        }
        Progress::Saving => "put right what a killed migration had left; it runs here",
        // Somebody has decided already.
        Progress::Permitted | Progress::Arrived => "it runs here again",
    };
    lease.clear();
    Ok(Recovered { domid: id, what: what.to_owned(), clean: true })
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
