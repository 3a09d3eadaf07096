//! Routes what libxenlight says to the `log` crate.

use std::ffi::{CStr, c_char, c_int, c_ulong};
use std::sync::atomic::{AtomicBool, Ordering};

use xen_sys as sys;

/// A logger to hand to Xen's libraries. It has no state, so one serves everybody and is never
/// freed.
pub(super) fn shared() -> *mut sys::xentoollog_logger {
    struct Shared(sys::xentoollog_logger);
    // SAFETY: the structure holds three function pointers that never change.
    unsafe impl Sync for Shared {}
    static LOGGER: Shared = Shared(sys::xentoollog_logger {
        vmessage: Some(message),
        progress: Some(progress),
        destroy: Some(destroy),
    });
    (&raw const LOGGER.0).cast_mut()
}

/// Errors are what was asked for.
static EXPECTED: AtomicBool = AtomicBool::new(false);

/// Says whether a failure of libxl's is wanted, as when a save is given up: then it is no error.
pub(super) fn failures_are_expected(expected: bool) {
    EXPECTED.store(expected, Ordering::Relaxed);
}

unsafe extern "C" {
    /// The C library's; the type of the list is bindgen's name for `va_list`.
    fn vsnprintf(
        into: *mut c_char,
        size: usize,
        format: *const c_char,
        arguments: *mut sys::__va_list_tag,
    ) -> c_int;
}

/// Longer messages are cut.
const MOST: usize = 1024;

unsafe extern "C" fn message(
    _logger: *mut sys::xentoollog_logger,
    level: sys::xentoollog_level,
    _errno: c_int,
    context: *const c_char,
    format: *const c_char,
    arguments: *mut sys::__va_list_tag,
) {
    let level = match level {
        sys::XTL_CRITICAL | sys::XTL_ERROR if EXPECTED.load(Ordering::Relaxed) => log::Level::Info,
        sys::XTL_CRITICAL | sys::XTL_ERROR => log::Level::Error,
        sys::XTL_WARN => log::Level::Warn,
        sys::XTL_NOTICE | sys::XTL_INFO => log::Level::Debug,
        _ => log::Level::Trace,
    };
    if level > log::max_level() {
        return;
    }
    let mut text = [0; MOST];
    // SAFETY: the library passes a format with its arguments, used here once and no further;
    // vsnprintf writes at most MOST bytes and ends them with a null byte.
    unsafe { vsnprintf(text.as_mut_ptr(), MOST, format, arguments) };
    // SAFETY: as above, `text` ends with a null byte.
    let text = unsafe { CStr::from_ptr(text.as_ptr()) }.to_string_lossy();
    let context = if context.is_null() {
        "xen".into()
    } else {
        // SAFETY: a context that is not null is a C string.
        unsafe { CStr::from_ptr(context) }.to_string_lossy()
    };
    log::log!(target: "xen", level, "{context}: {text}");
}

unsafe extern "C" fn progress(
    _logger: *mut sys::xentoollog_logger,
    _context: *const c_char,
    _doing: *const c_char,
    _percent: c_int,
    _done: c_ulong,
    _total: c_ulong,
) {
}

unsafe extern "C" fn destroy(_logger: *mut sys::xentoollog_logger) {}
