//! A migration whose process was killed. Whether the guest may go on at the source depends on one
//! thing: whether the target can have had permission to run it. The note says so, for it is written
//! before the permission is sent.

use std::time::Duration;

use super::control::Control;
use super::domain;
use super::lease::{Lease, Leaving};
use super::light::Light;
use super::save_guard::SaveGuard;
use super::source::put_right;
use crate::error::{Error, Kind, Result};
use crate::host::{DomId, Domain, Recovered, RunState};
use crate::migrate::{Progress, away_name, original_name};

/// Does what is safe, and says what is not.
pub(super) fn recover(
    control: &Control,
    guard: &SaveGuard,
    id: DomId,
    leaving: &Leaving,
    mut lease: Lease,
) -> Result<Recovered> {
    if leaving.progress == Progress::Saving {
        // First, for it refuses while the save still runs.
        put_right(Some(guard), id)?;
    }
    let suspended = suspends(control, id)?;
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
            go_on(id, name, &away)?;
            "resumed it: a killed xenmig had suspended it, and the target may not run it"
        }
        Progress::Saving => "put right what a killed migration had left; it runs here",
        // Somebody has decided already.
        Progress::Permitted | Progress::Arrived => "it runs here again",
    };
    lease.clear();
    Ok(Recovered { domid: id, what: what.to_owned(), clean: true })
}

/// Lets a suspended domain go on because the user says that it runs nowhere else.
pub(super) fn release(guard: &SaveGuard, domain: &Domain, lease: &mut Lease) -> Result<()> {
    let id = domain.id;
    if domain.state != RunState::Suspended {
        return Err(Error::new(Kind::Usage, format!("domain {id} is not suspended")));
    }
    put_right(Some(guard), id)?;
    go_on(id, original_name(&domain.name), &domain.name)?;
    lease.clear();
    Ok(())
}

/// Whether it is suspended, or is about to be: it may have been asked just before the process died.
fn suspends(control: &Control, id: DomId) -> Result<bool> {
    const LOOKS: u32 = 10;
    const BETWEEN: Duration = Duration::from_millis(50);
    for _ in 0..LOOKS {
        if domain::run_state(domain::raw(control, id)?.flags) == RunState::Suspended {
            return Ok(true);
        }
        std::thread::sleep(BETWEEN);
    }
    Ok(false)
}

fn go_on(id: DomId, name: &str, away: &str) -> Result<()> {
    let light = Light::open()?;
    light.resume(id)?;
    if name == away {
        return Ok(());
    }
    if let Err(error) = light.rename(id, away, name) {
        // It was killed before it changed the name.
        log::debug!("{error}");
    }
    Ok(())
}
