//! Rules about the domain's own state: only a running guest that nobody moves already can go.

use serde_json::json;

use super::Facts;
use super::reason::Fired;
use crate::host::{DomId, RunState, Transfer};

pub(super) fn dom0(facts: &Facts<'_>) -> Option<Fired> {
    (facts.domain.id == DomId::DOM0).then(|| {
        Fired::block("Dom0 is the host's control domain and cannot be migrated")
            .evidence(json!({ "domid": 0 }))
            .advice("name a guest; `xl list` shows them")
    })
}

/// Fires when the domain is in `state`.
fn in_state(facts: &Facts<'_>, state: RunState, fired: Fired) -> Option<Fired> {
    (facts.domain.state == state).then(|| fired.evidence(json!({ "state": state })))
}

pub(super) fn dying(facts: &Facts<'_>) -> Option<Fired> {
    let fired = Fired::block("the domain is being torn down")
        .advice("nothing is left to migrate; if it stays, look for a backend that holds its pages");
    in_state(facts, RunState::Dying, fired)
}

pub(super) fn crashed(facts: &Facts<'_>) -> Option<Fired> {
    let fired = Fired::block("the guest has crashed")
        .advice("look at its console, then destroy or restart it");
    in_state(facts, RunState::Crashed, fired)
}

pub(super) fn shutdown(facts: &Facts<'_>) -> Option<Fired> {
    let fired = Fired::block("the guest has shut down")
        .advice("destroy it here and start it at the target: nothing of it needs to be moved");
    in_state(facts, RunState::Shutdown, fired)
}

pub(super) fn suspended(facts: &Facts<'_>) -> Option<Fired> {
    let fired = Fired::block("the guest is suspended: a save is about to end, or one has failed")
        .advice("if no save runs, wake it with `xl resume` or `xl unpause`");
    in_state(facts, RunState::Suspended, fired)
}

pub(super) fn paused(facts: &Facts<'_>) -> Option<Fired> {
    let fired = Fired::wait("the guest is paused, so it would not answer the suspend request")
        .advice("`xl unpause` it first");
    in_state(facts, RunState::Paused, fired)
}

pub(super) fn being_saved(facts: &Facts<'_>) -> Option<Fired> {
    let Some(Transfer::Outgoing { pid }) = facts.transfer else {
        return None;
    };
    let fired = Fired::block(format!("it is already being saved or migrated by process {pid}"))
        .evidence(json!({ "pid": pid }))
        .advice("let that one end; two saves of one domain destroy it");
    Some(fired)
}

pub(super) fn arriving(facts: &Facts<'_>) -> Option<Fired> {
    matches!(facts.transfer, Some(Transfer::Incoming)).then(|| {
        Fired::wait("it is still being restored on this host")
            .evidence(json!({ "transfer": "incoming" }))
            .advice("check again once it runs")
    })
}
