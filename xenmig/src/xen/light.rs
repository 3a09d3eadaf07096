//! A handle to libxenlight: what the tool stack knows of a domain, and what it does to one that
//! is migrated.

use std::ffi::{CStr, CString};
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::ptr::{self, NonNull};

use serde_json::Value;
use xen_sys as sys;

use super::gate::{check_light, on, on_host};
use super::logger;
use super::marks::fork_without_marks;
use super::store::Allocated;
use crate::error::{Error, Kind, Result};
use crate::host::DomId;

/// libxl reaps the children that it starts, and no others: those of this process are its own. Its
/// children do not keep the marks of a save guard open.
static HOOKS: sys::libxl_childproc_hooks = sys::libxl_childproc_hooks {
    chldowner: sys::libxl_sigchld_owner_libxl_always_selective_reap,
    fork_replacement: Some(fork_without_marks),
    reaped_callback: None,
};

/// An open libxenlight context. Freed when dropped.
pub(super) struct Light {
    context: NonNull<sys::libxl_ctx>,
}

impl Light {
    /// Opens a context.
    pub(super) fn open() -> Result<Self> {
        let mut context = ptr::null_mut();
        // SAFETY: the logger lives for ever; the call writes the context it allocates.
        let returned = unsafe {
            sys::libxl_ctx_alloc(
                &raw mut context,
                sys::LIBXL_VERSION.cast_signed(),
                0,
                logger::shared(),
            )
        };
        check_light(returned, on_host("open libxenlight"))?;
        let context = NonNull::new(context)
            .ok_or_else(|| Error::new(Kind::Internal, "libxenlight gave no context"))?;
        // SAFETY: the context is open and has no children yet; the hooks live for ever.
        unsafe {
            sys::libxl_childproc_setmode(context.as_ptr(), &raw const HOOKS, ptr::null_mut())
        };
        Ok(Self { context })
    }

    /// The domain's configuration, read.
    pub(super) fn configuration(&self, id: DomId) -> Result<Value> {
        serde_json::from_slice(&self.configuration_json(id)?)
            .map_err(|cause| Error::new(Kind::Internal, "libxenlight's JSON is odd").because(cause))
    }

    /// The domain's configuration as libxl's JSON.
    pub(super) fn configuration_json(&self, id: DomId) -> Result<Vec<u8>> {
        let attempt = on(id, "read the configuration");
        let mut config = Configuration::new();
        // SAFETY: the context is open, the configuration initialised; a null `how` means "wait".
        let returned = unsafe {
            sys::libxl_retrieve_domain_configuration(
                self.context.as_ptr(),
                u32::from(id.0),
                config.raw(),
                ptr::null(),
            )
        };
        check_light(returned, attempt)?;
        // SAFETY: the configuration is initialised and filled.
        let text = unsafe { sys::libxl_domain_config_to_json(self.context.as_ptr(), config.raw()) };
        let text = Allocated::new(text.cast())
            .ok_or_else(|| Error::new(Kind::Internal, "libxenlight cannot write JSON"))?;
        // SAFETY: the call returns a C string of its own allocation.
        let text = unsafe { CStr::from_ptr(text.as_ptr().cast()) };
        Ok(text.to_bytes().to_vec())
    }

    /// Saves the domain live into `stream`. Afterwards it is suspended, or the save has failed and
    /// it may be suspended or run.
    pub(super) fn save(&self, id: DomId, stream: BorrowedFd<'_>, debug: bool) -> Result<()> {
        let flags = sys::LIBXL_SUSPEND_LIVE | if debug { sys::LIBXL_SUSPEND_DEBUG } else { 0 };
        // SAFETY: the context and the descriptor are open until the call returns, which, with a
        // null `how`, is when the save has ended.
        let returned = unsafe {
            sys::libxl_domain_suspend(
                self.context.as_ptr(),
                u32::from(id.0),
                stream.as_raw_fd(),
                flags.cast_signed(),
                ptr::null(),
            )
        };
        check_light(returned, on(id, "save the memory"))
    }

    /// Lets a suspended domain go on.
    pub(super) fn resume(&self, id: DomId) -> Result<()> {
        const COOPERATIVE: i32 = 1;
        // SAFETY: the context is open; a null `how` means "wait".
        let returned = unsafe {
            let context = self.context.as_ptr();
            sys::libxl_domain_resume(context, u32::from(id.0), COOPERATIVE, ptr::null())
        };
        check_light(returned, on(id, "resume the vCPUs"))
    }

    /// Destroys the domain.
    pub(super) fn destroy(&self, id: DomId) -> Result<()> {
        // SAFETY: the context is open; a null `how` means "wait".
        let returned = unsafe {
            sys::libxl_domain_destroy(self.context.as_ptr(), u32::from(id.0), ptr::null())
        };
        check_light(returned, on(id, "destroy what is left"))
    }

    /// Renames the domain, if its name is `from`.
    pub(super) fn rename(&self, id: DomId, from: &str, to: &str) -> Result<()> {
        let text = |name: &str| {
            CString::new(name).map_err(|cause| {
                Error::new(Kind::Usage, format!("{name:?} is no name")).because(cause)
            })
        };
        let (from, to) = (text(from)?, text(to)?);
        // SAFETY: the context is open; the names are C strings that outlive the call.
        let returned = unsafe {
            let context = self.context.as_ptr();
            sys::libxl_domain_rename(context, u32::from(id.0), from.as_ptr(), to.as_ptr())
        };
        check_light(returned, on(id, "change the name"))
    }
}

impl Drop for Light {
    fn drop(&mut self) {
        // SAFETY: the context came from libxl_ctx_alloc and is freed once.
        unsafe { sys::libxl_ctx_free(self.context.as_ptr()) };
    }
}

/// A libxl_domain_config, which libxl alone reads and writes. Disposed of when dropped.
struct Configuration(Box<MaybeUninit<sys::libxl_domain_config>>);

impl Configuration {
    fn new() -> Self {
        let mut config = Box::new(MaybeUninit::uninit());
        // SAFETY: init fills the whole structure.
        unsafe { sys::libxl_domain_config_init(config.as_mut_ptr()) };
        Self(config)
    }

    const fn raw(&mut self) -> *mut sys::libxl_domain_config {
        self.0.as_mut_ptr()
    }
}

impl Drop for Configuration {
    fn drop(&mut self) {
        // SAFETY: the structure was initialised and is disposed of once.
        unsafe { sys::libxl_domain_config_dispose(self.raw()) };
    }
}
