//! The state of a booted, idle Dom0, or of one with a guest: loading it is faster than booting.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use super::qemu::machine;
use super::{GuestSpec, HostBuilder};
use crate::error::Context;
use crate::images::{Images, Key, cache_dir, stage_variant};
use crate::{Error, Result};

/// Virtual time for Dom0 to come to rest.
const SETTLE: Duration = Duration::from_secs(3);

/// Wall-clock time for writing the state, some hundred megabytes.
const SAVE: Duration = Duration::from_secs(120);

/// The folder with `state` and `disk.qcow2`, made now if need be.
pub(super) fn ensure(
    images: &Images,
    builder: &HostBuilder,
    guest: Option<&GuestSpec>,
) -> Result<PathBuf> {
    let key = Key::new("snapshot 1").add(&images.key).add(machine(images, builder));
    let (what, key) = match guest {
        None => ("booted", key),
        Some(spec) => ("guest", key.add(spec.config())),
    };
    stage_variant(&cache_dir(), &format!("{what}-{}", images.version), &key.finish(), |dir| {
        let (host, channel) = builder.boot_in(images, dir)?;
        host.sleep(SETTLE)?;
        host.run_ok(["sync"])?;
        if let Some(spec) = guest {
            host.guest(spec)?;
            host.verify(&spec.name)?;
        }
        let mut qmp = channel
            .take_clock()
            .ok_or_else(|| Error::Unexpected("a snapshot needs virtual time".into()))?;
        qmp.stop()?;
        qmp.save(&dir.join("state"), SAVE)?;
        let machine = host._machine.as_ref().map(|m| m.dir().join("disk.qcow2"));
        let disk = machine.ok_or_else(|| Error::Unexpected("a host without a machine".into()))?;
        fs::rename(&disk, dir.join("disk.qcow2")).context(|| format!("moving {}", disk.display()))
    })
}
