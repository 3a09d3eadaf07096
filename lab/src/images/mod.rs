//! What a host boots from: hypervisor, kernel, disk, initramfs, QEMU, and a
//! snapshot of the booted Dom0. All from stock Debian packages, kept in a cache
//! and rebuilt when what they are made of changes.

mod apt;
mod cpio;
mod dom0;
mod initramfs;
mod mend;
mod netfront;
mod programs;
mod qemu_root;
mod stage;
mod sysroot;
mod tool;
mod vmlinux;
mod xen_version;

use std::path::{Path, PathBuf};

use crate::Result;

pub use qemu_root::QemuRoot;
pub use sysroot::Sysroot;
pub use xen_version::XenVersion;

pub(crate) use stage::{Key, lock, stage, stage_variant, sweep};
pub(crate) use tool::{Tool, require_root};

/// Everything one Xen version's hosts boot from.
#[derive(Debug, Clone)]
pub struct Images {
    /// Which Xen.
    pub version: XenVersion,
    /// The hypervisor, as QEMU's `-kernel` takes it.
    pub xen: PathBuf,
    /// Kernel of Dom0 and of the guests.
    pub kernel: PathBuf,
    /// Dom0's initramfs: drivers, agent, guest initramfs.
    pub initramfs: PathBuf,
    /// Dom0's root file system, raw; never written to.
    pub disk: PathBuf,
    /// The QEMU to run it with.
    pub qemu: QemuRoot,
    /// Changes when any of the above does.
    pub key: String,
}

/// The cache folder: `$XENLAB_CACHE`, or /var/cache/xenlab.
pub fn cache_dir() -> PathBuf {
    std::env::var_os("XENLAB_CACHE").map_or_else(|| "/var/cache/xenlab".into(), PathBuf::from)
}

impl Images {
    /// The images of `version`, built now where the cache does not have them.
    ///
    /// The first build takes minutes and needs the Debian archive; afterwards
    /// it takes as long as cargo needs to see that nothing changed.
    ///
    /// # Errors
    /// [`NotRoot`](crate::Error::NotRoot), [`MissingTool`](crate::Error::MissingTool),
    /// [`Tool`](crate::Error::Tool) for a step that failed.
    pub fn ensure(version: XenVersion) -> Result<Self> {
        require_root()?;
        let cache = cache_dir();
        let qemu = QemuRoot::ensure(&cache)?;
        let base = dom0::ensure(&cache, version)?;
        let (initramfs, initramfs_key) = initramfs::ensure(&cache, version, &base)?;
        let key = Key::new("images").add(&base.key).add(&initramfs_key).add(&qemu.key).finish();
        Ok(Self {
            version,
            xen: base.dir.join("xen.bin"),
            kernel: base.dir.join("vmlinuz"),
            disk: base.dir.join("dom0.img"),
            initramfs,
            qemu,
            key,
        })
    }

    /// Throws away the package lists and everything built from packages, so
    /// that the next [`Images::ensure`] takes the archive's newest.
    ///
    /// # Errors
    /// When the cache cannot be cleaned.
    pub fn forget(version: XenVersion) -> Result<()> {
        let cache = cache_dir();
        let apt = format!("apt-{}", version.suite());
        let names = [dom0::name(version), netfront::name(version), sysroot::name(version)];
        let names: Vec<_> =
            [apt.as_str(), "qemu"].into_iter().chain(names.iter().map(String::as_str)).collect();
        stage::forget(&cache, &names)
    }
}

/// The folder with lab/Cargo.toml, for building the programs inside the lab.
pub(crate) fn source_dir() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}
