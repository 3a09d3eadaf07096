//! Headers and libraries of a Xen version, to build programs for its Dom0.

use std::path::{Path, PathBuf};

use super::apt::Apt;
use super::{Key, XenVersion, cache_dir, stage};
use crate::Result;

const LIBRARIES: &str = "usr/lib/x86_64-linux-gnu";

/// An unpacked libxen-dev with the libraries it needs.
#[derive(Debug, Clone)]
pub struct Sysroot {
    /// Where it is.
    pub dir: PathBuf,
    /// Which Xen.
    pub version: XenVersion,
}

/// Not that of scripts/xen-sysroot, which needs no lab.
pub(super) fn name(version: XenVersion) -> String {
    format!("dev-{version}")
}

impl Sysroot {
    /// The one of `version`, unpacked now where the cache does not have it.
    ///
    /// # Errors
    /// When a package cannot be fetched or unpacked.
    pub fn ensure(version: XenVersion) -> Result<Self> {
        let cache = cache_dir();
        let key = Key::new("sysroot 1").add(version).finish();
        let dir = stage(&cache, &name(version), &key, |dir| {
            // The C library is the builder's: what it links runs on newer ones.
            let wanted =
                |deb: &str| !["libc6", "libgcc", "gcc-"].iter().any(|p| deb.starts_with(p));
            let apt = Apt::ensure(&cache, version.suite())?;
            apt.unpack_with_depends(&["libxen-dev"], wanted, dir)
        })?;
        Ok(Self { dir, version })
    }

    /// What a shell evaluates before `cargo build`, as name and value.
    pub fn environment(&self) -> Vec<(&'static str, String)> {
        let dir = self.dir.display();
        let libraries = format!("{dir}/{LIBRARIES}");
        vec![
            ("XENLAB_SYSROOT", dir.to_string()),
            ("PKG_CONFIG_SYSROOT_DIR", dir.to_string()),
            ("PKG_CONFIG_LIBDIR", format!("{libraries}/pkgconfig:{dir}/usr/share/pkgconfig")),
            ("PKG_CONFIG_PATH", format!("{libraries}/pkgconfig")),
            ("BINDGEN_EXTRA_CLANG_ARGS", format!("-I{dir}/usr/include")),
            // Its libraries may want symbols of a newer C library.
            (
                "RUSTFLAGS",
                format!(
                    "-Lnative={libraries} -Clink-arg=-Wl,-rpath-link,{libraries} \
                     -Clink-arg=-Wl,--allow-shlib-undefined"
                ),
            ),
            ("CARGO_TARGET_DIR", target_dir(self.version).display().to_string()),
        ]
    }
}

/// A target folder of its own, so that both Xens' builds stay.
fn target_dir(version: XenVersion) -> PathBuf {
    let workspace = super::source_dir().parent().unwrap_or(Path::new("."));
    workspace.join("target").join(format!("xen-{version}"))
}
