//! Stands before libxenctrl's call that reads the dirty log, which libxenguest makes after each
//! round: of what a CLEAN found, some pages may be held back ([`crate::holding`]).

use std::ffi::{CStr, c_ulong, c_void};
use std::panic::{AssertUnwindSafe, catch_unwind};

use nix::errno::Errno;
use xen_sys as sys;

use crate::holding;

#[cfg(xen_ge_4_16)]
type Returned = std::ffi::c_longlong;
#[cfg(not(xen_ge_4_16))]
type Returned = std::ffi::c_int;

/// Stands before the function of the same name in libxenctrl.
///
/// # Safety
/// As the real one: an open handle, and null or what is as long as it says.
#[cfg(xen_ge_4_16)]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn xc_logdirty_control(
    handle: *mut sys::xc_interface,
    domid: u32,
    operation: u32,
    bitmap: *mut sys::xc_hypercall_buffer_t,
    pages: c_ulong,
    mode: u32,
    stats: *mut sys::xc_shadow_op_stats_t,
) -> Returned {
    type Real = unsafe extern "C" fn(
        *mut sys::xc_interface,
        u32,
        u32,
        *mut sys::xc_hypercall_buffer_t,
        c_ulong,
        u32,
        *mut sys::xc_shadow_op_stats_t,
    ) -> Returned;
    let Some(found) = next(c"xc_logdirty_control") else { return -1 };
    // SAFETY: the symbol of this name has this type from Xen 4.16 on.
    let real = unsafe { std::mem::transmute::<*mut c_void, Real>(found) };
    // SAFETY: these are our own arguments.
    let returned = unsafe { real(handle, domid, operation, bitmap, pages, mode, stats) };
    // SAFETY: what the call was given, and it succeeded or not.
    unsafe { after(returned, domid, operation, bitmap, pages, mode, stats) }
}

/// Stands before the function of the same name in libxenctrl.
///
/// # Safety
/// As the real one: an open handle, and null or what is as long as it says.
#[cfg(not(xen_ge_4_16))]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn xc_shadow_control(
    handle: *mut sys::xc_interface,
    domid: u32,
    operation: u32,
    bitmap: *mut sys::xc_hypercall_buffer_t,
    pages: c_ulong,
    mib: *mut c_ulong,
    mode: u32,
    stats: *mut sys::xc_shadow_op_stats_t,
) -> Returned {
    type Real = unsafe extern "C" fn(
        *mut sys::xc_interface,
        u32,
        u32,
        *mut sys::xc_hypercall_buffer_t,
        c_ulong,
        *mut c_ulong,
        u32,
        *mut sys::xc_shadow_op_stats_t,
    ) -> Returned;
    let Some(found) = next(c"xc_shadow_control") else { return -1 };
    // SAFETY: the symbol of this name has this type before Xen 4.16.
    let real = unsafe { std::mem::transmute::<*mut c_void, Real>(found) };
    // SAFETY: these are our own arguments.
    let returned = unsafe { real(handle, domid, operation, bitmap, pages, mib, mode, stats) };
    // SAFETY: what the call was given, and it succeeded or not.
    unsafe { after(returned, domid, operation, bitmap, pages, mode, stats) }
}

/// Whether libxenguest's calls come by here: the loader finds our function before libxenctrl's.
pub(super) fn is_in_the_way() -> bool {
    #[cfg(xen_ge_4_16)]
    let (name, ours) = (c"xc_logdirty_control", xc_logdirty_control as *const c_void);
    #[cfg(not(xen_ge_4_16))]
    let (name, ours) = (c"xc_shadow_control", xc_shadow_control as *const c_void);
    // SAFETY: a C string, and a lookup among what is loaded.
    let first = unsafe { libc::dlsym(libc::RTLD_DEFAULT, name.as_ptr()) };
    first.cast_const() == ours && next(name).is_some()
}

/// The function that ours stands before.
fn next(name: &CStr) -> Option<*mut c_void> {
    // SAFETY: a C string, and a lookup among what is loaded.
    let found = unsafe { libc::dlsym(libc::RTLD_NEXT, name.as_ptr()) };
    if found.is_null() {
        Errno::ENOSYS.set();
        return None;
    }
    Some(found)
}

/// What the save gets to see of a call that `returned` this. A fault of ours fails the call, and the
/// save with it: the guest goes on at the source, and no page is lost.
///
/// # Safety
/// The arguments are those of the call; after a success, `bitmap` is null or holds `pages` bits.
unsafe fn after(
    returned: Returned,
    domid: u32,
    operation: u32,
    bitmap: *mut sys::xc_hypercall_buffer_t,
    pages: c_ulong,
    mode: u32,
    stats: *mut sys::xc_shadow_op_stats_t,
) -> Returned {
    let clean = operation == sys::XEN_DOMCTL_SHADOW_OP_CLEAN;
    if !clean || returned < 0 || bitmap.is_null() {
        return returned;
    }
    let work = AssertUnwindSafe(|| {
        // SAFETY: not null, and by this function's contract a hypercall buffer.
        let memory = unsafe { memory(bitmap) };
        let words = usize::try_from(pages.div_ceil(64)).ok()?;
        // SAFETY: the hypervisor has just written that many bits to it, whole words are allocated
        // (the buffer is of whole pages), and nobody else uses it during this call.
        let words = unsafe { std::slice::from_raw_parts_mut(memory, words) };
        let last = mode & sys::XEN_DOMCTL_SHADOW_LOGDIRTY_FINAL != 0;
        holding::cleaned(domid, words, pages, last)
    });
    let count = match catch_unwind(work) {
        Ok(Some(count)) => count,
        Ok(None) => return returned,
        Err(_) => {
            Errno::EIO.set();
            return -1;
        }
    };
    if !stats.is_null() {
        // SAFETY: not null, so the call has filled it.
        unsafe { (*stats).dirty_count = u32::try_from(count).unwrap_or(u32::MAX) };
    }
    returned
}

/// Where a hypercall buffer's memory is: a buffer that was handed on names the one it stands for.
///
/// # Safety
/// `buffer` is a hypercall buffer.
unsafe fn memory(mut buffer: *mut sys::xc_hypercall_buffer_t) -> *mut u64 {
    loop {
        // SAFETY: a hypercall buffer by this function's contract, or not null and named by one.
        let sys::xc_hypercall_buffer_t { hbuf, param_shadow, .. } = unsafe { *buffer };
        if param_shadow.is_null() {
            return hbuf.cast();
        }
        buffer = param_shadow;
    }
}
