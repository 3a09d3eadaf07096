//! A booted host: commands, files, guests, migrations.

mod boot;
mod channel;
mod clock;
mod guest;
mod in_step;
mod lan;
mod migrate;
mod qemu;
mod qmp;
mod running;
mod serial;
mod serve;
mod snapshot;

use std::net::Ipv4Addr;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use channel::Channel;
use serial::Serial;

use crate::error::Context;
use crate::protocol::{Exec, Kind, VERSION};
use crate::{Error, Result};

pub use boot::{HostBuilder, unavailable};
pub use clock::Clock;
pub use guest::{Guest, GuestSpec, Verified};
pub use in_step::in_step;
pub use lan::Lan;
pub use migrate::Migration;
pub use running::{Output, Running, Status};

/// Folder in Dom0 with what the lab brings along; a RAM disk.
const LAB_DIR: &str = "/run/xenlab";

/// A Xen host. Dropped, its QEMU is killed and its disk is gone, unless it was
/// reached with [`Host::attach`].
///
/// Virtual time passes only while a command runs: between two calls the host
/// and its guests stand still (not with [`HostBuilder::real_time`]). To let
/// guests run, [`Host::sleep`].
pub struct Host {
    channel: Channel,
    serial: Serial,
    limit: Duration,
    tokens: AtomicU32,
    address: Option<Ipv4Addr>,
    /// In real time, for [`in_step`].
    qmp: Option<Mutex<qmp::Qmp>>,
    /// After the channel, so that the channel closes first.
    _machine: Option<boot::Machine>,
}

impl Host {
    /// Starts a command without waiting for it. The program is looked up in
    /// Dom0's PATH.
    ///
    /// # Errors
    /// When QEMU does not answer. A program that cannot be started shows when
    /// its output or end is waited for.
    pub fn spawn<S: AsRef<str>>(&self, argv: impl IntoIterator<Item = S>) -> Result<Running> {
        self.spawn_env(argv, &[])
    }

    /// [`Host::spawn`] with further environment variables.
    ///
    /// # Errors
    /// As [`Host::spawn`].
    pub fn spawn_env<S: AsRef<str>>(
        &self,
        argv: impl IntoIterator<Item = S>,
        env: &[(&str, &str)],
    ) -> Result<Running> {
        let argv: Vec<String> = argv.into_iter().map(|a| a.as_ref().to_owned()).collect();
        let env = env.iter().map(|&(n, v)| (n.to_owned(), v.to_owned())).collect();
        let command = running::shown(&argv);
        let talk = self.channel.begin(Kind::Exec, Exec { argv, env }.encode())?;
        Ok(Running::new(talk, command, self.channel.clone(), self.serial.clone(), self.limit))
    }

    /// Runs a command to its end, without input.
    ///
    /// # Errors
    /// When it cannot be started, the host is gone, or it takes longer than
    /// [`HostBuilder::limit`].
    pub fn run<S: AsRef<str>>(&self, argv: impl IntoIterator<Item = S>) -> Result<Output> {
        let running = self.spawn(argv)?;
        running.close_stdin();
        running.wait()
    }

    /// [`Host::run`], and an exit code other than 0 is an error.
    ///
    /// # Errors
    /// As [`Host::run`], and [`Error::Command`] with what the command printed.
    pub fn run_ok<S: AsRef<str>>(&self, argv: impl IntoIterator<Item = S>) -> Result<Output> {
        let running = self.spawn(argv)?;
        running.close_stdin();
        running.wait_ok()
    }

    /// Runs a shell script in Dom0, with `$1`… from `arguments`.
    ///
    /// # Errors
    /// As [`Host::run_ok`].
    pub fn shell(&self, script: &str, arguments: &[&str]) -> Result<Output> {
        self.run_ok(["sh", "-c", script, "sh"].iter().chain(arguments))
    }

    /// Lets this much virtual time pass.
    ///
    /// # Errors
    /// As [`Host::run_ok`].
    pub fn sleep(&self, time: Duration) -> Result<()> {
        self.run_ok(["sleep", &format!("{:.3}", time.as_secs_f64())]).map(drop)
    }

    /// Dom0's CLOCK_MONOTONIC: virtual time since it was booted.
    ///
    /// # Errors
    /// When the host is gone or does not answer.
    pub fn now(&self) -> Result<Duration> {
        self.ping(self.limit)
    }

    fn ping(&self, limit: Duration) -> Result<Duration> {
        let (_, frames) = self.channel.begin(Kind::Ping, Vec::new())?;
        let deadline = Instant::now() + limit;
        let frame = running::receive(&frames, deadline, limit, "a ping", &self.serial)?;
        let ns = frame.payload.get(4..12).and_then(|b| b.try_into().ok()).map(u64::from_le_bytes);
        match (frame.as_number(), ns) {
            (Some(VERSION), Some(ns)) => Ok(Duration::from_nanos(ns)),
            _ => Err(Error::Unexpected("the agent speaks another protocol".into())),
        }
    }

    /// Copies a file into Dom0, with its permissions.
    ///
    /// # Errors
    /// When it cannot be read here or written there.
    pub fn push(&self, local: impl AsRef<Path>, remote: &str) -> Result<()> {
        use std::os::unix::fs::PermissionsExt;
        let local = local.as_ref();
        let bytes = std::fs::read(local).context(|| format!("reading {}", local.display()))?;
        let mode = std::fs::metadata(local)
            .context(|| format!("reading {}", local.display()))?
            .permissions()
            .mode();
        self.push_bytes(&bytes, remote, mode & 0o7777)
    }

    /// Writes a file in Dom0; folders on the way are created. It appears
    /// complete or not at all.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn push_bytes(&self, bytes: &[u8], remote: &str, mode: u32) -> Result<()> {
        let script = r#"mkdir -p "$(dirname "$1")" && cat > "$1.part" &&
            chmod "$2" "$1.part" && mv -f "$1.part" "$1""#;
        let running = self.spawn(["sh", "-c", script, "push", remote, &format!("{mode:o}")])?;
        running.write_stdin(bytes);
        running.close_stdin();
        running.wait_ok().map(drop)
    }

    /// The content of a file in Dom0.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn pull_bytes(&self, remote: &str) -> Result<Vec<u8>> {
        Ok(self.run_ok(["cat", "--", remote])?.stdout)
    }

    /// Copies a file out of Dom0, with its permissions.
    ///
    /// # Errors
    /// When it cannot be read there or written here.
    pub fn pull(&self, remote: &str, local: impl AsRef<Path>) -> Result<()> {
        use std::os::unix::fs::PermissionsExt;
        let local = local.as_ref();
        let mode = self.run_ok(["stat", "-Lc", "%a", "--", remote])?.stdout();
        let mode = u32::from_str_radix(mode.trim(), 8).unwrap_or(0o644);
        std::fs::write(local, self.pull_bytes(remote)?)
            .and_then(|()| std::fs::set_permissions(local, PermissionsExt::from_mode(mode)))
            .context(|| format!("writing {}", local.display()))
    }

    /// Dom0's address in its [`Lan`]; `None` without one.
    #[must_use]
    pub fn address(&self) -> Option<Ipv4Addr> {
        self.address
    }

    /// The last lines Xen and Dom0 wrote to their serial console.
    pub fn serial_tail(&self) -> String {
        self.serial.tail()
    }

    /// A number not given before.
    fn token(&self) -> u32 {
        self.tokens.fetch_add(1, Ordering::Relaxed)
    }
}
