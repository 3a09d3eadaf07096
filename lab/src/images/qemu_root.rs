//! The QEMU of Debian 12 (7.2), in a folder of its own.
//!
//! Newer ones do not boot PVH guests under emulated SVM, so the machine's own
//! QEMU is not used. It runs from the folder by its own dynamic linker.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::apt::Apt;
use super::mend::mend;
use super::{Key, Tool, stage};
use crate::Result;

const LIBRARIES: [&str; 3] =
    ["lib/x86_64-linux-gnu", "usr/lib/x86_64-linux-gnu", "usr/lib/x86_64-linux-gnu/pulseaudio"];
const FIRMWARE: [&str; 3] = ["usr/share/qemu", "usr/share/seabios", "usr/lib/ipxe/qemu"];

/// Where QEMU 7.2 is unpacked.
#[derive(Debug, Clone)]
pub struct QemuRoot {
    dir: PathBuf,
    pub(super) key: String,
}

impl QemuRoot {
    pub(super) fn ensure(cache: &Path) -> Result<Self> {
        let packages = ["qemu-system-x86", "qemu-utils"];
        let key = Key::new("qemu 2").add(packages).finish();
        let dir = stage(cache, "qemu", &key, |dir| {
            Apt::ensure(cache, "bookworm")?.unpack_with_depends(&packages, |_| true, dir)?;
            mend(&dir.join("usr/bin/qemu-system-x86_64"))
        })?;
        Ok(Self { dir, key })
    }

    /// Program and first arguments that run `program` of this root.
    fn argv(&self, program: &str) -> Vec<String> {
        let at = |path: &str| self.dir.join(path).display().to_string();
        let mut argv = vec![
            at("lib64/ld-linux-x86-64.so.2"),
            "--library-path".into(),
            LIBRARIES.map(at).join(":"),
            at(&format!("usr/bin/{program}")),
        ];
        if program.starts_with("qemu-system") {
            argv.extend(FIRMWARE.iter().flat_map(|f| ["-L".into(), at(f)]));
        }
        argv
    }

    /// QEMU's system emulator on CPU number `core`, killed when the thread that
    /// starts it ends; begun by the words of `enter`, if there are any.
    pub(crate) fn emulator(&self, core: usize, enter: &[String]) -> Command {
        let core = core.to_string();
        let pinned = ["taskset", "-c", &core, "setpriv", "--pdeathsig", "KILL", "--"];
        let pinned = pinned.map(str::to_owned);
        let argv = [enter, &pinned, &self.argv("qemu-system-x86_64")].concat();
        let mut command = Command::new(&argv[0]);
        command.args(&argv[1..]);
        command.env("QEMU_MODULE_DIR", self.dir.join("usr/lib/x86_64-linux-gnu/qemu"));
        command
    }

    /// A new disk at `path` on top of `base`.
    pub(crate) fn overlay(&self, path: &Path, base: &Path, base_format: &str) -> Result<()> {
        let argv = self.argv("qemu-img");
        Tool::new(&argv[0], "xenlab")
            .args(&argv[1..])
            .args(["create", "-q", "-f", "qcow2", "-F", base_format, "-b"])
            .arg(base)
            .arg(path)
            .run()
    }
}
