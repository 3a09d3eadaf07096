//! One QEMU process: its command line, its start, its end.

use std::fs::File;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Sender, channel};
use std::sync::{LazyLock, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::HostBuilder;
use super::lan::Port;
use super::serial::Serial;
use crate::error::Context;
use crate::images::Images;
use crate::{Error, Result};

/// From QEMU's start until its sockets are there.
const START: Duration = Duration::from_secs(120);

/// A running QEMU, killed when dropped.
pub(super) struct Qemu {
    child: Child,
    pub(super) serial: Serial,
    dir: PathBuf,
}

/// How a machine starts.
pub(super) enum Start<'a> {
    /// From its firmware.
    Cold,
    /// From a state that another one wrote.
    Saved(&'a Path),
}

impl Qemu {
    /// Starts a machine in `dir`, which has its `disk.qcow2`, on one CPU.
    pub(super) fn start(
        images: &Images,
        builder: &HostBuilder,
        dir: &Path,
        start: &Start<'_>,
        core: usize,
        port: Option<&Port>,
    ) -> Result<Self> {
        let enter = port.map(Port::enter);
        let mut command = images.qemu.emulator(core, enter.as_ref().map_or(&[], |e| e));
        command.args(machine(images, builder));
        command.args(port.iter().flat_map(|port| port.card()));
        let at = |name: &str| dir.join(name).display().to_string();
        command.args(["-serial", &format!("file:{}", at("serial.log"))]);
        command.args(["-qmp", &format!("unix:{},server=on,wait=off", at("qmp.sock"))]);
        command.args([
            "-chardev",
            &format!("socket,id=agent,path={},server=on,wait=on", at("agent.sock")),
        ]);
        command.args([
            "-drive",
            &format!("id=disk,file={},if=none,format=qcow2,cache=unsafe", at("disk.qcow2")),
        ]);
        command.arg("-S");
        if let Start::Saved(state) = start {
            command.args(["-incoming", &format!("exec:cat '{}'", state.display())]);
        }
        let log = File::create(dir.join("qemu.log")).context(|| "creating qemu.log".into())?;
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        let child = spawn(command).context(|| "starting QEMU (setpriv of util-linux)".into())?;
        Ok(Self { child, serial: Serial::new(&dir.join("serial.log")), dir: dir.into() })
    }

    /// Connects to one of its sockets.
    pub(super) fn connect(&mut self, name: &str) -> Result<UnixStream> {
        let path = self.dir.join(name);
        let end = Instant::now() + START;
        loop {
            match UnixStream::connect(&path) {
                Ok(stream) => return Ok(stream),
                Err(e) if Instant::now() > end => {
                    return Err(e).context(|| format!("connecting to {}", path.display()));
                }
                Err(_) => {}
            }
            if let Ok(Some(status)) = self.child.try_wait() {
                let log = std::fs::read_to_string(self.dir.join("qemu.log")).unwrap_or_default();
                let why = format!("QEMU ended at once ({status}): {}", log.trim_end());
                return Err(Error::HostGone { why, serial: self.serial.tail() });
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Qemu {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The emulated machine. What is here is part of a snapshot's key.
///
/// QEMU 7.2 is not safe against devices that interrupt while a nested guest
/// runs (see also `GuestSpec::config`). So there are few: virtqueues are served
/// in the CPU's thread (no ioeventfd), Dom0 does not use its disk once it is
/// up, and all threads share one CPU of the machine.
pub(super) fn machine(images: &Images, builder: &HostBuilder) -> Vec<String> {
    let text = |path: &Path| path.display().to_string();
    let sleep = if builder.real_time { "on" } else { "off" };
    let mut xen = format!(
        "console=com1 com1=115200,8n1 dom0_mem={m}M,max:{m}M loglvl=warning \
         guest_loglvl=warning spec-ctrl=no xpti=0 bootscrub=0 noreboot=0",
        m = builder.dom0_memory_mib
    );
    for word in &builder.xen_arguments {
        xen.push(' ');
        xen.push_str(word);
    }
    let module = |arguments: &str, path: &Path| format!("{} {arguments}", text(path));
    let initrd = format!(
        "{},{}",
        module("console=hvc0 mitigations=off quiet", &images.kernel),
        text(&images.initramfs)
    );
    let fixed = [
        "-accel",
        "tcg,thread=single,tb-size=1024",
        "-icount",
        &format!("shift=2,sleep={sleep}"),
        "-rtc",
        "base=utc,clock=vm",
        "-cpu",
        "qemu64,+svm,+npt",
        "-smp",
        &builder.cpus.to_string(),
        "-m",
        &builder.memory_mib.to_string(),
        "-vga",
        "none",
        "-display",
        "none",
        "-no-reboot",
        "-nic",
        "none",
        "-device",
        "virtio-serial-pci,ioeventfd=off",
        "-device",
        "virtserialport,chardev=agent,name=xenlab",
        "-device",
        "virtio-blk-pci,drive=disk,ioeventfd=off",
        "-kernel",
        &text(&images.xen),
        "-append",
        &xen,
        "-initrd",
        &initrd,
    ]
    .map(str::to_owned);
    fixed.to_vec()
}

type Order = (Command, Sender<std::io::Result<Child>>);

/// Starts a process from a thread that lives as long as this process: QEMU is
/// killed when the *thread* that started it ends, and tests' threads end early.
fn spawn(command: Command) -> std::io::Result<Child> {
    static STARTER: LazyLock<Mutex<Sender<Order>>> = LazyLock::new(|| {
        let (sender, orders) = channel::<Order>();
        std::thread::spawn(move || {
            for (mut command, answer) in orders {
                // The one who ordered waits below.
                let _ = answer.send(command.spawn());
            }
        });
        Mutex::new(sender)
    });
    let (answer, child) = channel();
    let gone = || std::io::Error::other("the thread that starts QEMU is gone");
    STARTER
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .send((command, answer))
        .map_err(|_| gone())?;
    child.recv().map_err(|_| gone())?
}
