//! A domain's cap, which limits its vCPUs' time together: read, lowered for a while, restored.
//!
//! The schedulers credit2 and credit have one. Each answers for its own domains only, with EINVAL
//! for others (`sched_adjust` in xen/common/sched/core.c), so both are asked.

use std::path::Path;

use xen_sys as sys;

use super::control::{Control, errno};
use super::domain;
use super::gate::on;
use super::lease::{Lease, Note};
use super::store::Store;
use crate::error::{Error, Kind, Result};
use crate::host::{DomId, Domain};

impl Control {
    /// The domain's cap in per cent of a physical CPU; 0 is none.
    pub(super) fn cap(&self, id: DomId) -> Result<u16> {
        let mut credit2 = sys::xen_domctl_sched_credit2::default();
        // SAFETY: the call fills the one structure it is given.
        let returned = unsafe {
            sys::xc_sched_credit2_domain_get(self.raw(), u32::from(id.0), &raw mut credit2)
        };
        if returned == 0 {
            return Ok(credit2.cap);
        }
        let mut credit = sys::xen_domctl_sched_credit::default();
        // SAFETY: as above.
        let returned = unsafe {
            sys::xc_sched_credit_domain_get(self.raw(), u32::from(id.0), &raw mut credit)
        };
        if returned == 0 { Ok(credit.cap) } else { Err(refused(id, "read the cap")) }
    }

    /// Sets the domain's cap. Its weight stays.
    pub(super) fn set_cap(&self, id: DomId, cap: u16) -> Result<()> {
        // Both schedulers take a weight of 0 for "as it is".
        let mut credit2 = sys::xen_domctl_sched_credit2 { weight: 0, cap };
        // SAFETY: the call reads the one structure it is given.
        let returned = unsafe {
            sys::xc_sched_credit2_domain_set(self.raw(), u32::from(id.0), &raw mut credit2)
        };
        if returned == 0 {
            return Ok(());
        }
        let mut credit = sys::xen_domctl_sched_credit { weight: 0, cap };
        // SAFETY: as above.
        let returned = unsafe {
            sys::xc_sched_credit_domain_set(self.raw(), u32::from(id.0), &raw mut credit)
        };
        if returned == 0 { Ok(()) } else { Err(refused(id, "set the cap")) }
    }
}

fn refused(id: DomId, what: &'static str) -> Error {
    let errno = errno();
    match errno.raw_os_error() {
        Some(libc::EINVAL) => {
            Error::new(Kind::Unsupported, format!("cannot {what} of domain {id}"))
                .because("its scheduler is neither credit2 nor credit")
        }
        _ => on(id, what).failed(errno),
    }
}

/// A cap that was lowered, and the note that outlives this process if it is killed.
pub(super) struct Lowered {
    before: u16,
    lease: Lease,
}

impl Lowered {
    /// Notes in `directory` what the cap of `domain` is, before anybody changes it.
    pub(super) fn note(control: &Control, domain: &Domain, directory: &Path) -> Result<Self> {
        let mut lease = Lease::take_cap(directory, domain.id)?;
        let uuid = domain.uuid.to_string();
        // What a killed process noted is the cap as its owner set it; what holds now is not.
        let noted = lease.note()?.filter(|note| note.uuid == uuid).and_then(|note| note.cap);
        let before = noted.map_or_else(|| control.cap(domain.id), Ok)?;
        lease.write(&Note { uuid, pid: std::process::id(), leaving: None, cap: Some(before) })?;
        Ok(Self { before, lease })
    }

    /// What the cap was.
    pub(super) const fn before(&self) -> u16 {
        self.before
    }

    /// `cap`, or what the domain had before where that is less; a cap of 0 is none.
    pub(super) fn at_most(&self, cap: u32) -> u16 {
        let cap = u16::try_from(cap).unwrap_or(u16::MAX);
        match (cap, self.before) {
            (0, before) => before,
            (cap, 0) => cap,
            (cap, before) => cap.min(before),
        }
    }

    /// Sets the cap back, and then takes the note away.
    pub(super) fn restore(&mut self, control: &Control, id: DomId) -> Result<()> {
        match control.set_cap(id, self.before) {
            Err(error) if error.kind() != Kind::NoSuchDomain => Err(error),
            _ => {
                self.lease.clear();
                Ok(())
            }
        }
    }
}

/// Sets the cap of domain `id` back that a killed save had lowered, if the note of one is there. Says
/// what was done; `None` is nothing.
pub(super) fn restore_noted(
    control: &Control,
    store: &Store,
    directory: &Path,
    id: DomId,
) -> Result<Option<String>> {
    let mut lease = match Lease::take_cap(directory, id) {
        Ok(lease) => lease,
        // Its save goes on.
        Err(error) if error.kind() == Kind::Busy => return Ok(None),
        Err(error) => return Err(error),
    };
    let Some(note) = lease.note()? else {
        return Ok(None);
    };
    let what = match domain::one(control, store, id) {
        Ok(domain) if domain.uuid.to_string() == note.uuid => match note.cap {
            Some(0) => {
                control.set_cap(id, 0)?;
                "took away the cap of a killed save".to_owned()
            }
            Some(cap) => {
                control.set_cap(id, cap)?;
                format!("set the cap back to {cap} % after a killed save")
            }
            None => "a killed save had not lowered the cap".to_owned(),
        },
        Err(error) if error.kind() != Kind::NoSuchDomain => return Err(error),
        _ => "the domain whose cap a killed save had lowered has gone".to_owned(),
    };
    lease.clear();
    Ok(Some(what))
}

/// The note of a save that lowered a domain's cap, as another save finds it that begins.
///
/// The tool stack reads what the target is to get before it starts a save, so by then the target has
/// been told the lowered cap.
pub struct NotedCap(Note);

impl NotedCap {
    /// The note about domain `id` in `directory`, whoever may hold it; `None` when there is none that
    /// can be read.
    #[must_use]
    pub fn of(directory: &Path, id: DomId) -> Option<Self> {
        let text = std::fs::read_to_string(directory.join(format!("cap-{id}"))).ok()?;
        let note: Note = serde_json::Deserializer::from_str(&text).into_iter().next()?.ok()?;
        note.cap.is_some().then_some(Self(note))
    }

    /// Sets the cap back, if the note is still there and nobody holds it. Gives the cap that
    /// `domain` has by right and that its target was not told; `None` when it is the same.
    pub(super) fn put_back(
        self,
        control: &Control,
        domain: &Domain,
        directory: &Path,
    ) -> Result<Option<u16>> {
        let uuid = domain.uuid.to_string();
        let of_this = |note: Note| (note.uuid == uuid).then_some(note.cap).flatten();
        let Some(cap) = of_this(self.0) else {
            return Ok(None);
        };
        let mut lease = match Lease::take_cap(directory, domain.id) {
            // Whoever holds it sets the cap back.
            Err(error) if error.kind() == Kind::Busy => return Ok(Some(cap)),
            lease => lease?,
        };
        let Some(cap) = lease.note()?.and_then(of_this) else {
            // Somebody has done so since.
            return Ok(Some(cap));
        };
        let was = control.cap(domain.id)?;
        control.set_cap(domain.id, cap)?;
        lease.clear();
        Ok((was != cap).then_some(cap))
    }
}

#[cfg(test)]
mod tests {
    use std::ptr::NonNull;

    use super::*;
    use crate::host::{GuestType, RunState, Uuid};
    use crate::units::Pages;

    #[test]
    fn a_domain_never_gets_more_than_it_had() {
        let dir = tempfile::tempdir().unwrap();
        let lowered = |before| {
            let lease = Lease::take_cap(dir.path(), DomId(7)).unwrap();
            Lowered { before, lease }
        };
        assert_eq!(lowered(0).at_most(50), 50);
        assert_eq!(lowered(0).at_most(0), 0);
        assert_eq!(lowered(40).at_most(50), 40);
        assert_eq!(lowered(40).at_most(20), 20);
        assert_eq!(lowered(40).at_most(0), 40);
        assert_eq!(lowered(0).at_most(1_000_000), u16::MAX);
    }

    fn domain() -> Domain {
        Domain {
            id: DomId(7),
            name: "db-1".to_owned(),
            uuid: Uuid([7; 16]),
            guest_type: GuestType::Pvh,
            state: RunState::Running,
            memory: Pages(1),
            max_memory: Pages(1),
            p2m_size: Pages(1),
            vcpus: 1,
            hap: true,
        }
    }

    fn note(uuid: Uuid, cap: Option<u16>) -> Note {
        Note { uuid: uuid.to_string(), pid: 42, leaving: None, cap }
    }

    #[test]
    fn a_note_about_a_cap_is_found_whoever_holds_it() {
        let dir = tempfile::tempdir().unwrap();
        let found = || NotedCap::of(dir.path(), DomId(7)).map(|noted| noted.0);
        assert!(found().is_none());
        let mut lease = Lease::take_cap(dir.path(), DomId(7)).unwrap();
        assert!(found().is_none());
        lease.write(&note(Uuid([7; 16]), None)).unwrap();
        assert!(found().is_none());
        let lowered = note(Uuid([7; 16]), Some(0));
        lease.write(&lowered).unwrap();
        assert_eq!(found(), Some(lowered));
        lease.clear();
        assert!(found().is_none());
    }

    #[test]
    fn a_cap_that_another_sets_back_is_told_and_another_domains_is_not() {
        let dir = tempfile::tempdir().unwrap();
        // It is not called: there is no Xen.
        let control = Control::lent(NonNull::dangling());
        let put_back =
            |uuid| NotedCap(note(uuid, Some(90))).put_back(&control, &domain(), dir.path());
        assert_eq!(put_back(Uuid([8; 16])).unwrap(), None);
        // The note has gone.
        assert_eq!(put_back(Uuid([7; 16])).unwrap(), Some(90));
        let _held = Lease::take_cap(dir.path(), DomId(7)).unwrap();
        assert_eq!(put_back(Uuid([7; 16])).unwrap(), Some(90));
    }
}
