//! Dom0's initramfs, and inside it that of the guests.

use std::fs;
use std::path::{Path, PathBuf};

use super::cpio::Archive;
use super::dom0::Base;
use super::programs::Programs;
use super::{Key, XenVersion, netfront, stage_variant};
use crate::Result;
use crate::error::Context;
use crate::guest::{BRIDGE, DOM0};

/// Loads the drivers, mounts the disk, hands over to [`INIT`].
const EARLY_INIT: &str = include_str!("early-init.sh");
/// Starts Xen's daemons and the agent.
const INIT: &str = include_str!("dom0-init.sh");
/// What `xl migrate -s` runs in place of ssh.
const RECEIVE: &str = include_str!("xenlab-receive.sh");

/// The initramfs and what it was made of.
pub(super) fn ensure(cache: &Path, version: XenVersion, base: &Base) -> Result<(PathBuf, String)> {
    let programs = Programs::build()?;
    let read = |path: &Path| fs::read(path).context(|| format!("reading {}", path.display()));
    let busybox = read(&base.dir.join("busybox"))?;
    let netfront = netfront::ensure(cache, version)?;
    let guests = Guests {
        plain: guest(&programs.load, &[]),
        networked: guest(&programs.load, &[("xen-netfront.ko", &netfront), ("busybox", &busybox)]),
    };
    let key = Key::new("initramfs 1")
        .add(&base.key)
        .add((EARLY_INIT, INIT, RECEIVE))
        .add((&programs.agent, &programs.shape, &guests.plain, &guests.networked))
        .finish();
    let dir = stage_variant(cache, &format!("initramfs-{version}"), &key, |dir| {
        let archive = dom0(version, base, &programs, &guests)?;
        let path = dir.join("initramfs");
        fs::write(&path, archive).context(|| format!("writing {}", path.display()))
    })?;
    Ok((dir.join("initramfs"), key))
}

/// The initramfs of a guest without a network card, and of one with.
struct Guests {
    plain: Vec<u8>,
    networked: Vec<u8>,
}

fn guest(load: &[u8], further: &[(&str, &[u8])]) -> Vec<u8> {
    let mut archive = Archive::default();
    archive.dir("dev");
    archive.device("dev/console", 5, 1);
    archive.file("init", 0o755, load);
    for (name, content) in further {
        archive.file(name, 0o755, content);
    }
    archive.finish()
}

fn dom0(version: XenVersion, base: &Base, programs: &Programs, guests: &Guests) -> Result<Vec<u8>> {
    let read = |path: &Path| fs::read(path).context(|| format!("reading {}", path.display()));
    let mut archive = Archive::default();
    for dir in ["bin", "dev", "proc", "sys", "root", "modules", "xenlab", "xenlab/bin"] {
        archive.dir(dir);
    }
    archive.device("dev/console", 5, 1);
    archive.file("init", 0o755, EARLY_INIT.as_bytes());
    archive.file("bin/busybox", 0o755, &read(&base.dir.join("busybox"))?);
    let modules = base.dir.join("modules");
    for entry in fs::read_dir(&modules).context(|| format!("reading {}", modules.display()))? {
        let path = entry.context(|| format!("reading {}", modules.display()))?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        archive.file(&format!("modules/{name}"), 0o644, &read(&path)?);
    }
    let init = INIT
        .replace("@XEN@", version.as_str())
        .replace("@BRIDGE@", BRIDGE)
        .replace("@DOM0@", &DOM0.to_string());
    archive.file("xenlab/init", 0o755, init.as_bytes());
    archive.file("xenlab/guest.img", 0o644, &guests.plain);
    archive.file("xenlab/guest-net.img", 0o644, &guests.networked);
    archive.file("xenlab/bin/xenlab-agent", 0o755, &programs.agent);
    archive.file("xenlab/bin/xenlab-shape", 0o755, &programs.shape);
    archive.file("xenlab/bin/xenlab-receive", 0o755, RECEIVE.as_bytes());
    Ok(archive.finish())
}
