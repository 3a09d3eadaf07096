//! A handle to libxenctrl: the hypercalls this library makes, and no other.

use std::mem::ManuallyDrop;
use std::ptr::{self, NonNull};

use xen_sys as sys;

use super::buffer::PageBuffer;
use super::gate::{check, on, on_host};
use crate::error::{Error, Kind, Result};
use crate::host::DomId;

/// The numbers a PEEK or CLEAN of the dirty log reports.
#[derive(Clone, Copy)]
pub(super) struct LogStats {
    /// Pages dirtied since the last CLEAN.
    pub dirty: u64,
}

/// An open interface to the hypervisor. Closed when dropped.
pub(super) struct Control {
    handle: NonNull<sys::xc_interface>,
}

// SAFETY: libxenctrl handles opened without XC_OPENFLAG_NON_REENTRANT may be used from any thread.
unsafe impl Send for Control {}

impl Control {
    /// Opens the interface.
    pub(super) fn open() -> Result<Self> {
        // SAFETY: null loggers select the library's own; no flag asks for anything special.
        let handle = unsafe { sys::xc_interface_open(ptr::null_mut(), ptr::null_mut(), 0) };
        NonNull::new(handle)
            .map(|handle| Self { handle })
            .ok_or_else(|| on_host("open the hypercall interface").failed(errno()))
    }

    /// A handle that somebody else opened and closes.
    pub(super) const fn lent(handle: NonNull<sys::xc_interface>) -> ManuallyDrop<Self> {
        ManuallyDrop::new(Self { handle })
    }

    pub(super) const fn raw(&self) -> *mut sys::xc_interface {
        self.handle.as_ptr()
    }

    /// The hypervisor's major and minor version.
    pub(super) fn version(&self) -> Result<(u32, u32)> {
        // SAFETY: XENVER_version takes no argument.
        let packed =
            unsafe { sys::xc_version(self.raw(), sys::XENVER_version as i32, ptr::null_mut()) };
        let packed = check(packed, on_host("read Xen's version"))?.unsigned_abs();
        Ok((packed >> 16, packed & 0xffff))
    }

    /// What follows the minor version, as `.7` or `.7-rc1`.
    pub(super) fn extra_version(&self) -> Result<String> {
        let mut text: sys::xen_extraversion_t = [0; 16];
        // SAFETY: XENVER_extraversion fills a xen_extraversion_t, which `text` is.
        let returned = unsafe {
            sys::xc_version(
                self.raw(),
                sys::XENVER_extraversion as i32,
                ptr::from_mut(&mut text).cast(),
            )
        };
        check(returned, on_host("read Xen's version"))?;
        let bytes = text.iter().take_while(|c| **c != 0).map(|c| c.to_ne_bytes()[0]);
        Ok(bytes.map(char::from).collect())
    }

    /// What Xen was started with.
    pub(super) fn command_line(&self) -> Result<String> {
        let mut text: sys::xen_commandline_t = [0; 1024];
        // SAFETY: XENVER_commandline fills a xen_commandline_t, which `text` is.
        let returned = unsafe {
            sys::xc_version(
                self.raw(),
                sys::XENVER_commandline as i32,
                ptr::from_mut(&mut text).cast(),
            )
        };
        check(returned, on_host("read Xen's command line"))?;
        let bytes = text.iter().take_while(|c| **c != 0).map(|c| c.to_ne_bytes()[0]);
        Ok(bytes.map(char::from).collect())
    }

    /// Up to `most` domains, from domid `first` on, by domid.
    pub(super) fn domains(&self, first: DomId, most: usize) -> Result<Vec<sys::xc_domaininfo_t>> {
        let mut list = vec![sys::xc_domaininfo_t::default(); most];
        // SAFETY: `list` has room for the `most` entries the call may write.
        let found = unsafe {
            sys::xc_domain_getinfolist(
                self.raw(),
                u32::from(first.0),
                u32::try_from(most).unwrap_or(u32::MAX),
                list.as_mut_ptr(),
            )
        };
        let found = check(found, on_host("list the domains"))?;
        list.truncate(usize::try_from(found).unwrap_or(0));
        Ok(list)
    }

    /// Time and state of one vCPU.
    pub(super) fn vcpu(&self, id: DomId, vcpu: u32) -> Result<sys::xc_vcpuinfo_t> {
        let mut info = sys::xc_vcpuinfo_t::default();
        // SAFETY: the call fills the one structure it is given.
        let returned =
            unsafe { sys::xc_vcpu_getinfo(self.raw(), u32::from(id.0), vcpu, &raw mut info) };
        check(returned, on(id, "read the vCPU times"))?;
        Ok(info)
    }

    /// Idle time of each of the first `cpus` physical CPUs, in nanoseconds; 0 for one that is offline.
    pub(super) fn idle_times(&self, cpus: u32) -> Result<Vec<u64>> {
        let mut list = vec![sys::xc_cpuinfo_t::default(); cpus as usize];
        let mut found = 0;
        // SAFETY: `list` has room for the `cpus` entries the call may write.
        let returned = unsafe {
            sys::xc_getcpuinfo(
                self.raw(),
                i32::try_from(cpus).unwrap_or(i32::MAX),
                list.as_mut_ptr(),
                &raw mut found,
            )
        };
        check(returned, on_host("read the CPUs' idle times"))?;
        list.truncate(usize::try_from(found).unwrap_or(0));
        Ok(list.iter().map(|cpu| cpu.idletime).collect())
    }

    /// CPUs, memory and abilities of the host.
    pub(super) fn physical(&self) -> Result<sys::xc_physinfo_t> {
        let mut info = sys::xc_physinfo_t::default();
        // SAFETY: the call fills the one structure it is given.
        let returned = unsafe { sys::xc_physinfo(self.raw(), &raw mut info) };
        check(returned, on_host("read what the host has"))?;
        Ok(info)
    }

    /// The scheduler's number.
    pub(super) fn scheduler(&self) -> Result<u32> {
        let mut id = 0;
        // SAFETY: the call writes the one number it is given.
        let returned = unsafe { sys::xc_sched_id(self.raw(), &raw mut id) };
        check(returned, on_host("read the scheduler"))?;
        Ok(id.unsigned_abs())
    }

    /// One above the domain's highest pfn.
    pub(super) fn p2m_size(&self, id: DomId) -> Result<u64> {
        let mut size: sys::xen_pfn_t = 0;
        // SAFETY: the call writes the one number it is given.
        let returned =
            unsafe { sys::xc_domain_nr_gpfns(self.raw(), u32::from(id.0), &raw mut size) };
        check(returned, on(id, "read the size of the memory map"))?;
        Ok(size)
    }

    /// Pages that are populated on demand and not yet there. HVM and PVH guests only.
    pub(super) fn pod_entries(&self, id: DomId) -> Result<u64> {
        let (mut total, mut cache, mut entries) = (0, 0, 0);
        // SAFETY: the call writes the three numbers it is given.
        let returned = unsafe {
            sys::xc_domain_get_pod_target(
                self.raw(),
                u32::from(id.0),
                &raw mut total,
                &raw mut cache,
                &raw mut entries,
            )
        };
        check(returned, on(id, "read the populate-on-demand state"))?;
        Ok(entries)
    }

    /// Switches the dirty log on. The bitmap is empty then, the count is not.
    ///
    /// Fails with EINVAL when it was on already: then somebody else owns it.
    pub(super) fn log_enable(&self, id: DomId) -> Result<()> {
        self.shadow(id, sys::XEN_DOMCTL_SHADOW_OP_ENABLE_LOGDIRTY).map_err(|errno| {
            let attempt = on(id, "switch on the dirty log");
            match errno.raw_os_error() {
                Some(libc::EINVAL) => {
                    Error::new(Kind::Busy, format!("the dirty log of domain {id} is in use")).hint(
                        "a migration, another tool or an open VNC display of an HVM guest uses \
                         it: try again when that is over; or devices are passed through and \
                         share the guest's memory map, and then it never can",
                    )
                }
                _ => attempt.failed(errno),
            }
        })
    }

    /// Switches the dirty log off.
    pub(super) fn log_off(&self, id: DomId) -> Result<()> {
        self.shadow(id, sys::XEN_DOMCTL_SHADOW_OP_OFF)
            .map_err(|errno| on(id, "switch off the dirty log").failed(errno))
    }

    fn shadow(&self, id: DomId, operation: u32) -> std::io::Result<()> {
        // SAFETY: enabling and disabling the log take no memory from the caller.
        #[cfg(xen_ge_4_16)]
        let returned = unsafe {
            sys::xc_shadow_control(self.raw(), u32::from(id.0), operation, ptr::null_mut(), 0)
        };
        // SAFETY: as above; before Xen 4.16 the call also carried the bitmap, here none.
        #[cfg(not(xen_ge_4_16))]
        let returned = unsafe {
            sys::xc_shadow_control(
                self.raw(),
                u32::from(id.0),
                operation,
                ptr::null_mut(),
                0,
                ptr::null_mut(),
                0,
                ptr::null_mut(),
            )
        };
        if returned < 0 { Err(errno()) } else { Ok(()) }
    }

    /// Counts the pages dirtied since the last CLEAN; changes nothing.
    pub(super) fn log_peek(&self, id: DomId) -> Result<LogStats> {
        self.log_read(id, sys::XEN_DOMCTL_SHADOW_OP_PEEK, 0, None)
    }

    /// The same for a domain that is suspended for good: also counts the frames that are mapped
    /// elsewhere, as the save's last CLEAN does.
    pub(super) fn log_peek_final(&self, id: DomId) -> Result<LogStats> {
        let mode = sys::XEN_DOMCTL_SHADOW_LOGDIRTY_FINAL;
        self.log_read(id, sys::XEN_DOMCTL_SHADOW_OP_PEEK, mode, None)
    }

    /// The same, and copies the bitmap of as many pages as `into` has room for.
    pub(super) fn log_peek_bitmap(&self, id: DomId, into: &mut PageBuffer<'_>) -> Result<LogStats> {
        self.log_read(id, sys::XEN_DOMCTL_SHADOW_OP_PEEK, 0, Some(into))
    }

    /// The same as [`Control::log_peek_final`] counts them.
    pub(super) fn log_peek_bitmap_final(
        &self,
        id: DomId,
        into: &mut PageBuffer<'_>,
    ) -> Result<LogStats> {
        let mode = sys::XEN_DOMCTL_SHADOW_LOGDIRTY_FINAL;
        self.log_read(id, sys::XEN_DOMCTL_SHADOW_OP_PEEK, mode, Some(into))
    }

    /// Resets the count of dirtied pages.
    pub(super) fn log_reset_count(&self, id: DomId) -> Result<LogStats> {
        self.log_read(id, sys::XEN_DOMCTL_SHADOW_OP_CLEAN, 0, None)
    }

    fn log_read(
        &self,
        id: DomId,
        operation: u32,
        mode: u32,
        into: Option<&mut PageBuffer<'_>>,
    ) -> Result<LogStats> {
        let mut stats = sys::xc_shadow_op_stats_t::default();
        let (buffer, pages) =
            into.map_or((ptr::null_mut(), 0), |buffer| (buffer.raw(), buffer.bits()));
        // SAFETY: `buffer` is null, which asks for the statistics only, or a hypercall buffer of
        // at least `pages` bits that outlives the call.
        #[cfg(xen_ge_4_16)]
        let returned = unsafe {
            sys::xc_logdirty_control(
                self.raw(),
                u32::from(id.0),
                operation,
                buffer,
                pages,
                mode,
                &raw mut stats,
            )
        };
        // SAFETY: as above; before Xen 4.16 the two calls were one.
        #[cfg(not(xen_ge_4_16))]
        let returned = unsafe {
            sys::xc_shadow_control(
                self.raw(),
                u32::from(id.0),
                operation,
                buffer,
                pages,
                ptr::null_mut(),
                mode,
                &raw mut stats,
            )
        };
        check(returned, on(id, "read the dirty log"))?;
        Ok(LogStats { dirty: u64::from(stats.dirty_count) })
    }
}

impl Drop for Control {
    fn drop(&mut self) {
        // SAFETY: the handle came from xc_interface_open and is closed once.
        let returned = unsafe { sys::xc_interface_close(self.raw()) };
        if returned != 0 {
            log::debug!("closing the hypercall interface failed: {}", errno());
        }
    }
}

pub(super) fn errno() -> std::io::Error {
    std::io::Error::last_os_error()
}
