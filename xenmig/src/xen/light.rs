//! A handle to libxenlight: what the tool stack knows of a domain.

use std::ffi::CStr;
use std::mem::MaybeUninit;
use std::ptr::{self, NonNull};

use serde_json::Value;
use xen_sys as sys;

use super::gate::{check_light, on, on_host};
use super::logger;
use super::store::Allocated;
use crate::error::{Error, Kind, Result};
use crate::host::DomId;

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
        NonNull::new(context)
            .map(|context| Self { context })
            .ok_or_else(|| Error::new(Kind::Internal, "libxenlight gave no context"))
    }

    /// The domain's configuration as libxl's JSON.
    pub(super) fn configuration(&self, id: DomId) -> Result<Value> {
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
        serde_json::from_slice(text.to_bytes())
            .map_err(|cause| Error::new(Kind::Internal, "libxenlight's JSON is odd").because(cause))
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
