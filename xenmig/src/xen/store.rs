//! A handle to xenstore: reading single values and listing directories.

use std::ffi::{CStr, CString};
use std::ptr::NonNull;

use xen_sys as sys;

use super::control::errno;
use super::gate::on_host;
use crate::error::Result;

/// An open connection to xenstore. Closed when dropped.
pub(super) struct Store {
    handle: NonNull<sys::xs_handle>,
}

impl Store {
    /// Connects.
    pub(super) fn open() -> Result<Self> {
        // SAFETY: no flags; the call allocates and returns a handle, or null.
        let handle = unsafe { sys::xs_open(0) };
        NonNull::new(handle).map(|handle| Self { handle }).ok_or_else(|| {
            on_host("connect to xenstore").failed(errno()).hint("is xenstored running?")
        })
    }

    /// The text at `path`; `None` when there is none.
    pub(super) fn read(&self, path: &str) -> Option<String> {
        let path = CString::new(path).ok()?;
        let mut length = 0;
        // SAFETY: transaction 0 is none; the path is a C string that outlives the call.
        let value =
            unsafe { sys::xs_read(self.handle.as_ptr(), 0, path.as_ptr(), &raw mut length) };
        let value = Allocated::new(value.cast())?;
        // SAFETY: xs_read returns memory that it ended with a null byte.
        let text = unsafe { CStr::from_ptr(value.0.as_ptr().cast()) };
        Some(text.to_string_lossy().into_owned())
    }

    /// Whether anything is below `path`.
    pub(super) fn has_entries(&self, path: &str) -> bool {
        let Ok(path) = CString::new(path) else {
            return false;
        };
        let mut count = 0;
        // SAFETY: transaction 0 is none; the path is a C string that outlives the call.
        let list =
            unsafe { sys::xs_directory(self.handle.as_ptr(), 0, path.as_ptr(), &raw mut count) };
        Allocated::new(list.cast()).is_some() && count > 0
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        // SAFETY: the handle came from xs_open and is closed once.
        unsafe { sys::xs_close(self.handle.as_ptr()) };
    }
}

/// Memory that a C library allocated with malloc and left to us.
pub(super) struct Allocated(NonNull<libc::c_void>);

impl Allocated {
    /// Takes it over; `None` for null.
    pub(super) fn new(pointer: *mut libc::c_void) -> Option<Self> {
        NonNull::new(pointer).map(Self)
    }

    pub(super) const fn as_ptr(&self) -> *mut libc::c_void {
        self.0.as_ptr()
    }
}

impl Drop for Allocated {
    fn drop(&mut self) {
        // SAFETY: by this type's contract the memory came from malloc and nobody else frees it.
        unsafe { libc::free(self.0.as_ptr()) };
    }
}
