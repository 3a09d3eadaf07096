//! Hypervisor, kernel and Dom0's root file system.

use std::fs;
use std::path::{Path, PathBuf};

use super::apt::{self, Apt};
use super::{Key, Tool, XenVersion, stage, vmlinux};
use crate::error::Context;
use crate::{Error, Result};

/// Drivers that Dom0 needs, loaded by its initramfs with what they depend on.
const DRIVERS: [&str; 14] = [
    "virtio_pci",
    "virtio_blk",
    "virtio_console",
    "virtio_net",
    "ext4",
    "xenfs",
    "xen-privcmd",
    "xen-evtchn",
    "xen-gntdev",
    "xen-gntalloc",
    "xen-blkback",
    "xen-netback",
    "bridge",
    "tun",
];

/// What Dom0 has besides a minimal Debian and Xen's tool stack.
const TOOLS: [&str; 4] = ["iproute2", "procps", "socat", "strace"];

/// The built folder: `xen.bin`, `vmlinuz`, `vmlinux`, `dom0.img`, `busybox` and
/// `modules/NN-name.ko`, numbered in the order of loading.
pub(super) struct Base {
    pub(super) dir: PathBuf,
    pub(super) key: String,
}

pub(super) fn name(version: XenVersion) -> String {
    format!("xen-{version}")
}

pub(super) fn ensure(cache: &Path, version: XenVersion) -> Result<Base> {
    // The recipe itself: this file, and what it does to the kernel.
    let recipe = (include_str!("dom0.rs"), include_str!("vmlinux.rs"));
    let key = Key::new("dom0").add(version).add(recipe).finish();
    let dir = stage(cache, &name(version), &key, |dir| {
        let apt = Apt::ensure(cache, version.suite())?;
        boot_files(&apt, version, dir)?;
        disk(&apt, version, dir)
    })?;
    Ok(Base { dir, key })
}

/// Hypervisor, kernel, modules and busybox out of their packages.
fn boot_files(apt: &Apt, version: XenVersion, dir: &Path) -> Result<()> {
    let unpacked = tempfile::tempdir_in(dir).context(|| "temporary folder".into())?;
    let root = unpacked.path();
    let image = apt
        .depends("linux-image-amd64")?
        .into_iter()
        .find(|d| d.starts_with("linux-image-"))
        .ok_or_else(|| Error::Unexpected("linux-image-amd64 depends on no kernel".into()))?;
    let hypervisor = format!("xen-hypervisor-{version}-amd64");
    apt.unpack(&[&image, &hypervisor, "busybox-static"], root)?;

    let kernel_release = image.trim_start_matches("linux-image-");
    let copy = |from: PathBuf, to: &str| {
        fs::copy(&from, dir.join(to)).map(drop).context(|| format!("copying {}", from.display()))
    };
    copy(root.join(format!("boot/vmlinuz-{kernel_release}")), "vmlinuz")?;
    vmlinux::unpack(&dir.join("vmlinuz"), &dir.join("vmlinux"))?;
    let busybox = ["bin/busybox", "usr/bin/busybox"].map(|b| root.join(b));
    copy(busybox.into_iter().find(|b| b.exists()).unwrap_or_default(), "busybox")?;
    let packed = root.join(format!("boot/xen-{version}-amd64.gz"));
    let xen = Tool::new("gzip", "gzip").arg("-dc").arg(packed).bytes()?;
    fs::write(dir.join("xen.bin"), xen).context(|| "writing xen.bin".into())?;
    modules(root, kernel_release, &dir.join("modules"))
}

/// The drivers and what they depend on, unpacked, in the order of loading.
fn modules(root: &Path, release: &str, to: &Path) -> Result<()> {
    fs::create_dir(to).context(|| format!("creating {}", to.display()))?;
    let lib = if root.join("lib/modules").exists() { root.into() } else { root.join("usr") };
    Tool::new("depmod", "kmod").arg("-b").arg(&lib).arg(release).run()?;
    let mut order: Vec<PathBuf> = Vec::new();
    for driver in DRIVERS {
        let list = Tool::new("modprobe", "kmod")
            .arg("-d")
            .arg(&lib)
            .args(["-C", "/dev/null", "-S", release, "-D", driver])
            .text()?;
        // A line is `insmod PATH` or `builtin NAME`.
        for path in list.lines().filter_map(|l| l.strip_prefix("insmod ")) {
            let path = PathBuf::from(path.trim());
            if !order.contains(&path) {
                order.push(path);
            }
        }
    }
    for (number, path) in order.iter().enumerate() {
        let file = path.file_name().unwrap_or_default().to_string_lossy();
        let stem = file.split('.').next().unwrap_or_default();
        let module = match file.rsplit('.').next() {
            Some("xz") => Tool::new("xz", "xz-utils").arg("-dc").arg(path).bytes()?,
            Some("zst") => Tool::new("zstd", "zstd").arg("-dcq").arg(path).bytes()?,
            _ => fs::read(path).context(|| format!("reading {}", path.display()))?,
        };
        fs::write(to.join(format!("{number:02}-{stem}.ko")), module)
            .context(|| format!("writing module {stem}"))?;
    }
    Ok(())
}

/// A Debian with Xen's tool stack, as the packages install it, in an ext4 image.
fn disk(apt: &Apt, version: XenVersion, dir: &Path) -> Result<()> {
    let temporary = tempfile::tempdir_in(dir).context(|| "temporary folder".into())?;
    let root = temporary.path();
    let utils = format!("xen-utils-{version}");
    let xen = [utils.as_str(), "xen-utils-common", "xenstore-utils"];
    Tool::new("debootstrap", "debootstrap")
        .arg("--variant=minbase")
        .arg(format!("--include={},{}", xen.join(","), TOOLS.join(",")))
        .arg(version.suite())
        .arg(root)
        .arg(apt::archive("debian"))
        .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
        .run()?;
    // debootstrap takes no security updates: Xen's are put over it, so that
    // tools and hypervisor are of the same version.
    apt.unpack_with_depends(&xen, |deb| deb.starts_with("xen") || deb.starts_with("libxen"), root)?;
    for waste in ["var/cache/apt", "var/lib/apt/lists", "usr/share/doc", "usr/share/locale"] {
        // Smaller is better, no more than that.
        let _ = fs::remove_dir_all(root.join(waste));
    }
    for needed in ["var/log/xen", "var/lib/xen", "proc", "sys", "dev", "run", "tmp"] {
        fs::create_dir_all(root.join(needed)).context(|| format!("creating {needed}"))?;
    }
    fs::copy(dir.join("vmlinux"), root.join("boot/vmlinux"))
        .context(|| "copying vmlinux".into())?;
    Tool::new("mke2fs", "e2fsprogs")
        .args(["-q", "-t", "ext4", "-L", "dom0", "-d"])
        .arg(root)
        .arg(dir.join("dom0.img"))
        .arg("3G")
        .run()
}
