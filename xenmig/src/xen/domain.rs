//! From the hypervisor's description of a domain to [`Domain`].

use xen_sys as sys;

use super::control::Control;
use super::store::Store;
use crate::error::{Error, Kind, Result};
use crate::host::{DomId, Domain, GuestType, RunState, Uuid};
use crate::units::Pages;

/// Domids from here on belong to Xen itself (`DOMID_FIRST_RESERVED`).
const FIRST_RESERVED: u16 = 0x7ff0;
/// The shutdown code by which a guest says that it suspended itself (`SHUTDOWN_suspend`).
const SHUTDOWN_SUSPEND: u32 = 2;
/// The shutdown code of a crash (`SHUTDOWN_crash`).
const SHUTDOWN_CRASH: u32 = 3;
/// What a PVH guest may have of an emulated PC: a local APIC (`XEN_X86_EMU_LAPIC`).
const PVH_EMULATION: u32 = 1;

/// All domains, by domid.
pub(super) fn all(control: &Control, store: &Store) -> Result<Vec<Domain>> {
    const AT_A_TIME: usize = 256;
    let mut all = Vec::new();
    let mut next = DomId(0);
    loop {
        let some = control.domains(next, AT_A_TIME)?;
        let more = some.len() == AT_A_TIME;
        for info in some.iter().filter(|info| info.domain < FIRST_RESERVED) {
            all.push(describe(control, store, info));
            next = DomId(info.domain + 1);
        }
        if !more {
            return Ok(all);
        }
    }
}

/// One domain.
pub(super) fn one(control: &Control, store: &Store, id: DomId) -> Result<Domain> {
    let info = raw(control, id)?;
    Ok(describe(control, store, &info))
}

/// The hypervisor's own description of one domain.
pub(super) fn raw(control: &Control, id: DomId) -> Result<sys::xc_domaininfo_t> {
    // The call answers with the first domain from `id` on, which may be another one.
    let found = control.domains(id, 1)?;
    found.into_iter().find(|info| info.domain == id.0).ok_or_else(|| {
        Error::new(Kind::NoSuchDomain, format!("there is no domain {id}"))
            .hint("`xl list` shows the domains of this host")
    })
}

/// The error for a domain that is dying: Xen does nothing more with its dirty log, and says so to
/// nobody.
pub(super) fn torn_down(id: DomId) -> Error {
    Error::new(Kind::NoSuchDomain, format!("domain {id} is being torn down"))
}

fn describe(control: &Control, store: &Store, info: &sys::xc_domaininfo_t) -> Domain {
    let id = DomId(info.domain);
    let memory = Pages(info.tot_pages);
    // A domain that is being torn down no longer tells its size.
    let p2m_size = control.p2m_size(id).map_or(memory, |size| Pages(size).max(memory));
    Domain {
        id,
        name: store.read(&format!("/local/domain/{id}/name")).unwrap_or_default(),
        uuid: Uuid(info.handle),
        guest_type: guest_type(info),
        state: run_state(info.flags),
        memory,
        max_memory: Pages(info.max_pages),
        p2m_size,
        vcpus: info.nr_online_vcpus,
        hap: info.flags & sys::XEN_DOMINF_hap != 0,
    }
}

fn guest_type(info: &sys::xc_domaininfo_t) -> GuestType {
    if info.flags & sys::XEN_DOMINF_hvm_guest == 0 {
        GuestType::Pv
    } else if info.arch_config.emulation_flags & !PVH_EMULATION == 0 {
        GuestType::Pvh
    } else {
        GuestType::Hvm
    }
}

pub(super) fn run_state(flags: u32) -> RunState {
    let has = |flag| flags & flag != 0;
    if has(sys::XEN_DOMINF_dying) {
        RunState::Dying
    } else if has(sys::XEN_DOMINF_shutdown) {
        match (flags >> sys::XEN_DOMINF_shutdownshift) & sys::XEN_DOMINF_shutdownmask {
            SHUTDOWN_SUSPEND => RunState::Suspended,
            SHUTDOWN_CRASH => RunState::Crashed,
            _ => RunState::Shutdown,
        }
    } else if has(sys::XEN_DOMINF_paused) {
        RunState::Paused
    } else {
        RunState::Running
    }
}

/// Whether it was asked by way of xenstore to suspend, and has not answered yet; guests take the
/// word away when they do (`domain_suspend_pvcontrol_acked` in libxl_dom_suspend.c).
pub(super) fn is_asked_to_suspend(store: &Store, id: DomId) -> bool {
    store.read(&format!("/local/domain/{id}/control/shutdown")).as_deref() == Some("suspend")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dying_domain_is_dying_whatever_else_it_is() {
        let shut = sys::XEN_DOMINF_shutdown | (SHUTDOWN_CRASH << sys::XEN_DOMINF_shutdownshift);
        assert_eq!(run_state(shut | sys::XEN_DOMINF_dying), RunState::Dying);
        assert_eq!(run_state(shut | sys::XEN_DOMINF_paused), RunState::Crashed);
        assert_eq!(run_state(sys::XEN_DOMINF_paused), RunState::Paused);
        assert_eq!(run_state(sys::XEN_DOMINF_blocked), RunState::Running);
    }
}
