//! The domain that this very process saves: what the hook in the save helper may do to it.
//!
//! Between the save's own calls a PEEK by the same thread is safe; from another process it never
//! is. So this is not a [`super::LogDirty`], and needs no guard.

use std::mem::ManuallyDrop;
use std::path::PathBuf;
use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use xen_sys as sys;

use super::buffer::PageBuffer;
use super::cap::{Lowered, NotedCap};
use super::control::Control;
use super::domain;
use super::rivals;
use super::store::Store;
use crate::dirty::Bitmap;
use crate::error::{Error, Kind, Result};
use crate::host::{DomId, Domain};
use crate::units::Pages;

/// A domain in the hands of `xc_domain_save`. A cap that was set is restored when this is dropped.
pub struct Saving {
    /// The save's own handle, which it closes.
    control: ManuallyDrop<Control>,
    domain: Domain,
    run_directory: PathBuf,
    lowered: Option<Lowered>,
    cap_before: Arc<CapBefore>,
}

/// The cap to set back to, for whoever cannot have the [`Saving`]; empty when it is not lowered.
struct CapBefore(AtomicU32);

impl CapBefore {
    const EMPTY: u32 = u32::MAX;

    fn keep(&self, cap: u16) {
        self.0.store(cap.into(), Ordering::SeqCst);
    }

    fn clear(&self) {
        self.0.store(Self::EMPTY, Ordering::SeqCst);
    }

    fn get(&self) -> Option<u16> {
        u16::try_from(self.0.load(Ordering::SeqCst)).ok()
    }
}

/// What is left to do when this process ends within a call of a [`Saving`].
pub struct LastResort {
    id: DomId,
    cap_before: Arc<CapBefore>,
}

impl LastResort {
    /// As [`Saving::abandon`], over a handle of its own. A cap's note stays: `xenmig recover` sets
    /// it back once more.
    ///
    /// # Errors
    /// As the hypervisor says.
    pub fn abandon(&self) -> Result<()> {
        let control = Control::open()?;
        let off = log_off(&control, self.id);
        if let Some(cap) = self.cap_before.get() {
            control.set_cap(self.id, cap)?;
        }
        off
    }
}

impl Saving {
    /// Looks at domain `id`. Notes about its cap go to `run_directory`.
    ///
    /// # Errors
    /// [`Kind::NoXen`] when this was built without Xen or `handle` is null, [`Kind::NoSuchDomain`],
    /// or as hypervisor and xenstore say.
    ///
    /// # Safety
    /// `handle` is null, or stays open as long as this lives; and it belongs to the Xen this was
    /// built for ([`super::BUILT_FOR`]), whose libraries this process has loaded.
    pub unsafe fn new(
        handle: *mut sys::xc_interface,
        id: DomId,
        run_directory: PathBuf,
    ) -> Result<Self> {
        let handle = NonNull::new(handle).filter(|_| sys::LINKED).ok_or_else(|| {
            Error::new(Kind::NoXen, "there is no Xen, or this was built without its libraries")
        })?;
        let control = Control::lent(handle);
        let domain = domain::one(&control, &Store::open()?, id)?;
        let cap_before = Arc::new(CapBefore(AtomicU32::new(CapBefore::EMPTY)));
        Ok(Self { control, domain, run_directory, lowered: None, cap_before })
    }

    /// What to do when this process ends while somebody else has this.
    #[must_use]
    pub fn last_resort(&self) -> LastResort {
        LastResort { id: self.domain.id, cap_before: Arc::clone(&self.cap_before) }
    }

    /// The domain, as it was when its save began.
    #[must_use]
    pub const fn domain(&self) -> &Domain {
        &self.domain
    }

    /// Counts the pages dirtied since the save last cleaned the log; changes nothing.
    ///
    /// # Errors
    /// As the hypervisor says.
    pub fn pending(&self) -> Result<Pages> {
        self.control.log_peek(self.domain.id).map(|stats| Pages(stats.dirty))
    }

    /// Counts what the save sends last, now that the domain is suspended. Deferred pages of PV
    /// guests are not among them.
    ///
    /// # Errors
    /// As the hypervisor says.
    pub fn last_set(&self) -> Result<Pages> {
        self.control.log_peek_final(self.domain.id).map(|stats| Pages(stats.dirty))
    }

    /// Which pages were dirtied since the save last cleaned the log; with `at_the_end` which it sends
    /// last, as [`Saving::last_set`]. Changes nothing.
    ///
    /// # Errors
    /// As the hypervisor says; [`Kind::Internal`] when there is no memory.
    pub fn dirty_set(&self, into: &mut Bitmap, at_the_end: bool) -> Result<Pages> {
        let mut buffer = PageBuffer::for_bits(&self.control, into.len())?;
        let id = self.domain.id;
        let stats = if at_the_end {
            self.control.log_peek_bitmap_final(id, &mut buffer)?
        } else {
            self.control.log_peek_bitmap(id, &mut buffer)?
        };
        buffer.copy_to(into);
        Ok(Pages(stats.dirty))
    }

    /// The domain's cap, in per cent of a physical CPU; 0 is none.
    ///
    /// # Errors
    /// [`Kind::Unsupported`] when its scheduler knows no caps, or as the hypervisor says.
    pub fn current_cap(&self) -> Result<u16> {
        self.control.cap(self.domain.id)
    }

    /// Lets the domain's vCPUs have at most so many per cent of a physical CPU together, and never
    /// more than before the save; 0 is as before. Gives the cap that holds now.
    ///
    /// # Errors
    /// [`Kind::Busy`] when another xenmig holds the domain's note, [`Kind::Unsupported`] as
    /// [`Saving::current_cap`], [`Kind::Io`] or [`Kind::Permission`] when nothing can be noted;
    /// then the cap is as it was.
    pub fn cap(&mut self, per_cent: u32) -> Result<u16> {
        let noted = match self.lowered.take() {
            Some(noted) => noted,
            None => Lowered::note(&self.control, &self.domain, &self.run_directory)?,
        };
        let noted = self.lowered.insert(noted);
        self.cap_before.keep(noted.before());
        let cap = noted.at_most(per_cent);
        self.control.set_cap(self.domain.id, cap).map(|()| cap)
    }

    /// Sets back the cap that a killed save had lowered, whose note was `noted` when this one began.
    /// Gives the cap that the target was not told, as the tool stack read the lowered one; `None`
    /// when it was told the right one.
    ///
    /// # Errors
    /// As the hypervisor says, or [`Kind::Io`] or [`Kind::Permission`]; the note stays then, for
    /// `xenmig recover`.
    pub fn put_cap_back(&self, noted: NotedCap) -> Result<Option<u16>> {
        noted.put_back(&self.control, &self.domain, &self.run_directory)
    }

    /// Does what the save itself will not do any more, because this process ends in its midst:
    /// switches the dirty log off, unless another save has taken it over, and sets the cap back.
    ///
    /// # Errors
    /// As the hypervisor says; of a cap that could not be set back the note stays.
    pub fn abandon(&mut self) -> Result<()> {
        let off = log_off(&self.control, self.domain.id);
        self.uncap()?;
        off
    }

    /// Sets the cap back to what it was before the save. Says whether there was one to set back.
    ///
    /// # Errors
    /// As the hypervisor says; the note stays then, for `xenmig recover`.
    pub fn uncap(&mut self) -> Result<bool> {
        match self.lowered.take() {
            Some(mut lowered) => {
                lowered.restore(&self.control, self.domain.id)?;
                self.cap_before.clear();
                Ok(true)
            }
            None => Ok(false),
        }
    }
}

/// Switches the dirty log of domain `id` off, unless it may be another save's by now. A log that is
/// left on slows the guest down until its next save takes it over; one that is switched off under a
/// save loses the guest.
fn log_off(control: &Control, id: DomId) -> Result<()> {
    match rivals::others(id)?.first() {
        Some(pid) => {
            log::warn!("process {pid} saves domain {id} too; its dirty log is left to it");
            Ok(())
        }
        None => control.log_off(id),
    }
}

impl Drop for Saving {
    fn drop(&mut self) {
        if let Err(error) = self.uncap() {
            log::error!("{error}; `xenmig recover` tries again");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_cap_is_kept_and_none_is_not_one_of_them() {
        let kept = CapBefore(AtomicU32::new(CapBefore::EMPTY));
        assert_eq!(kept.get(), None);
        for cap in [0, 40, u16::MAX] {
            kept.keep(cap);
            assert_eq!(kept.get(), Some(cap));
        }
        kept.clear();
        assert_eq!(kept.get(), None);
    }
}
