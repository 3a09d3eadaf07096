//! Real Xen hosts under QEMU, in virtual time.
//!
//! [`HostBuilder`] boots a stock Debian Xen in an emulated machine and gives a
//! [`Host`]: commands run in its Dom0, files go in and out, [`Guest`]s are
//! created with a known workload, migrated, and their memory is checked by
//! content. See `lab/README.md`.
//!
//! The emulated machine's clock counts instructions, so times measured inside
//! ("virtual seconds") do not depend on how busy the machine outside is.
//!
//! Without the feature `host` only what the programs inside the lab share is
//! built: [`protocol`], [`guest`] and [`stream`].
#![deny(missing_docs)]

pub mod guest;
pub mod protocol;
pub mod stream;

#[cfg(feature = "host")]
mod error;
#[cfg(feature = "host")]
pub mod experiment;
#[cfg(feature = "host")]
pub mod host;
#[cfg(feature = "host")]
pub mod images;
#[cfg(feature = "host")]
pub mod measure;

#[cfg(feature = "host")]
pub mod meter;

#[cfg(feature = "host")]
pub use error::{Error, Result};
#[cfg(feature = "host")]
pub use guest::Workload;
#[cfg(feature = "host")]
pub use host::{
    Clock, Guest, GuestSpec, Host, HostBuilder, Lan, Migration, Output, Running, Status, Verified,
    in_step, unavailable,
};
#[cfg(feature = "host")]
pub use images::{Images, Sysroot, XenVersion, cache_dir};
