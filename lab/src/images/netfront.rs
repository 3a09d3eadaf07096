//! The guests' network driver, out of the kernel's package.

use std::fs;
use std::path::Path;

use super::apt::Apt;
use super::{Key, Tool, XenVersion, stage};
use crate::error::Context;
use crate::{Error, Result};

const MODULE: &str = "xen-netfront.ko";

pub(super) fn name(version: XenVersion) -> String {
    format!("netfront-{version}")
}

/// The module, unpacked, for the kernel that Dom0 and the guests run.
pub(super) fn ensure(cache: &Path, version: XenVersion) -> Result<Vec<u8>> {
    let key = Key::new("netfront 1").add(version).finish();
    let dir = stage(cache, &name(version), &key, |dir| {
        let apt = Apt::ensure(cache, version.suite())?;
        let image = apt
            .depends("linux-image-amd64")?
            .into_iter()
            .find(|d| d.starts_with("linux-image-"))
            .ok_or_else(|| Error::Unexpected("linux-image-amd64 depends on no kernel".into()))?;
        let unpacked = tempfile::tempdir_in(dir).context(|| "temporary folder".into())?;
        apt.unpack(&[&image], unpacked.path())?;
        let release = image.trim_start_matches("linux-image-");
        let found = ["lib", "usr/lib"].into_iter().find_map(|lib| {
            let drivers = unpacked.path().join(lib).join("modules").join(release);
            let module = drivers.join("kernel/drivers/net").join(MODULE);
            let packed = module.with_extension("ko.xz");
            [module, packed].into_iter().find(|path| path.exists())
        });
        let path = found.ok_or_else(|| Error::Unexpected(format!("{image} has no {MODULE}")))?;
        let module = match path.extension() {
            Some(end) if end == "xz" => {
                Tool::new("xz", "xz-utils").arg("-dc").arg(&path).bytes()?
            }
            _ => fs::read(&path).context(|| format!("reading {}", path.display()))?,
        };
        fs::write(dir.join(MODULE), module).context(|| format!("writing {MODULE}"))
    })?;
    let path = dir.join(MODULE);
    fs::read(&path).context(|| format!("reading {}", path.display()))
}
