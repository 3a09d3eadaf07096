//! Rules about the dirty log and the sample taken with it.

use serde_json::json;

use super::reason::Fired;
use super::{Facts, Sampling};
use crate::dirty::Ended;
use crate::error::{Error, Kind};
use crate::host::GuestType;

/// What the error itself advises, or else `otherwise`.
fn advice(error: &Error, otherwise: &str) -> String {
    error.advice().unwrap_or(otherwise).to_owned()
}

pub(super) fn unsupported(facts: &Facts<'_>) -> Option<Fired> {
    let advice = "migrate it without `live` (save and restore), or use a hypervisor built with \
                  shadow paging, or make it a PVH guest";
    let domain = facts.domain;
    let needs_shadow = domain.guest_type == GuestType::Pv || !domain.hap;
    let evidence = json!({
        "guest_type": domain.guest_type, "hap": domain.hap, "hypervisor_shadow": facts.host.shadow,
    });
    if needs_shadow && facts.host.shadow == Some(false) {
        let kind = domain.guest_type;
        let message = format!(
            "a live migration of this {kind} guest will fail: it needs shadow paging to log dirty \
             pages, and this hypervisor is built without it"
        );
        return Some(Fired::block(message).evidence(evidence).advice(advice));
    }
    let error = facts.sampling_error(Kind::Unsupported)?;
    let message = format!("a live migration will fail: its dirty pages cannot be logged ({error})");
    Some(Fired::block(message).evidence(evidence).advice(advice))
}

pub(super) fn busy(facts: &Facts<'_>) -> Option<Fired> {
    let error = facts.sampling_error(Kind::Busy)?;
    let display = "an open VNC display switches the dirty log of an HVM guest on, to track its \
                   video memory: close the viewer and check again";
    let advice = match facts.domain.guest_type {
        GuestType::Hvm => display.to_owned(),
        GuestType::Pv | GuestType::Pvh => {
            advice(error, "find the other tool that samples or moves this domain")
        }
    };
    let fired = Fired::wait(format!("somebody else owns its dirty log: {error}"))
        .evidence(json!({ "error": error.to_string(), "guest_type": facts.domain.guest_type }))
        .advice(advice);
    Some(fired)
}

pub(super) fn not_permitted(facts: &Facts<'_>) -> Option<Fired> {
    if let Some(error) = facts.sampling_error(Kind::Unguarded) {
        let message = format!("sampling is not possible here, so nothing is predicted: {error}");
        let fired = Fired::wait(message)
            .evidence(json!({ "error": error.to_string() }))
            .advice(advice(error, "`xenmig doctor` says what is missing"));
        return Some(fired);
    }
    let error = facts.sampling_error(Kind::Permission)?;
    let fired = Fired::wait(format!("sampling is not permitted, so nothing is predicted: {error}"))
        .evidence(json!({ "error": error.to_string() }))
        .advice(advice(error, "run it as root in Dom0; `xenmig doctor` says what is missing"));
    Some(fired)
}

pub(super) fn failed(facts: &Facts<'_>) -> Option<Fired> {
    let Sampling::Failed(error) = facts.sampling else {
        return None;
    };
    // These have a rule of their own.
    if matches!(
        error.kind(),
        Kind::Unsupported
            | Kind::Unguarded
            | Kind::Busy
            | Kind::Permission
            | Kind::NoSuchDomain
            | Kind::Interrupted
    ) {
        return None;
    }
    let fired = Fired::wait(format!("sampling failed, so nothing is predicted: {error}"))
        .evidence(json!({ "error": error.to_string() }))
        .advice(advice(error, "`xenmig doctor` says what is missing"));
    Some(fired)
}

/// Whether the sample's last window ended so.
fn ended(facts: &Facts<'_>, why: Ended) -> bool {
    facts.sample().is_some_and(|sample| sample.ended() == why)
}

pub(super) fn save_began(facts: &Facts<'_>) -> Option<Fired> {
    ended(facts, Ended::SaveBegan).then(|| {
        Fired::block("a save of it began while it was sampled; the sampler let go at once")
            .evidence(json!({ "ended": Ended::SaveBegan }))
            .advice("let that one end; two saves of one domain destroy it")
    })
}

pub(super) fn gone(facts: &Facts<'_>) -> Option<Fired> {
    let while_sampled = ended(facts, Ended::DomainGone);
    (while_sampled || facts.sampling_error(Kind::NoSuchDomain).is_some()).then(|| {
        Fired::block("the domain went away while it was sampled")
            .evidence(json!({ "ended": Ended::DomainGone }))
            .advice("`xl list` shows the domains of this host")
    })
}

pub(super) fn interrupted(facts: &Facts<'_>) -> Option<Fired> {
    let while_sampled = ended(facts, Ended::Interrupted);
    (while_sampled || facts.sampling_error(Kind::Interrupted).is_some()).then(|| {
        Fired::wait("sampling was interrupted")
            .evidence(json!({ "ended": Ended::Interrupted }))
            .advice("check again and let it finish")
    })
}
