//! A stock `xl migrate` of a guest to the host it is on, over a link of known
//! bandwidth, or to another host of its network.

use std::time::Duration;

use super::{Host, Output};
use crate::{Error, Result};

/// A migration that succeeded.
#[derive(Debug, Clone)]
pub struct Migration {
    /// What xl printed.
    pub output: Output,
    /// Virtual time of the whole command, from start to end of `xl migrate`.
    pub elapsed: Duration,
}

impl Host {
    /// Migrates a guest, by its name, to this same host. The receiver gets at
    /// most `bytes_per_second`; `None` is as fast as the host can.
    ///
    /// # Errors
    /// [`Error::Command`] with what xl printed when the migration fails.
    pub fn migrate(&self, name: &str, bytes_per_second: Option<u64>) -> Result<Migration> {
        self.migrate_env(name, bytes_per_second, &[])
    }

    /// [`Host::migrate`] with environment variables for xl and its helpers.
    ///
    /// # Errors
    /// As [`Host::migrate`].
    pub fn migrate_env(
        &self,
        name: &str,
        bytes_per_second: Option<u64>,
        env: &[(&str, &str)],
    ) -> Result<Migration> {
        // The clock is read inside, so that nothing outside counts.
        let script = r#"begin=$(date +%s%N)
            xl migrate -s "xenlab-receive $2" "$1" localhost
            status=$?
            echo "xenlab: elapsed $(($(date +%s%N) - begin))"
            exit $status"#;
        let rate = bytes_per_second.unwrap_or(0).to_string();
        let running = self.spawn_env(["sh", "-c", script, "migrate", name, &rate], env)?;
        running.close_stdin();
        let output = running.wait_ok()?;
        let elapsed = elapsed(&output.stdout())
            .ok_or_else(|| Error::Unexpected(format!("no time in {:?}", output.stdout())))?;
        Ok(Migration { output, elapsed })
    }
}

impl Host {
    /// Takes migrations from other hosts of its network at TCP port `port` for as long as it lives,
    /// and gives the command that leads there. With a `buffer`, both ends' sockets hold so many
    /// bytes; otherwise as many as TCP likes.
    ///
    /// # Errors
    /// [`Error::NoNetwork`] for a host without one; as [`Host::run_ok`].
    pub fn receive(&self, port: u16, buffer: Option<u32>) -> Result<String> {
        let address = self.address.ok_or_else(|| Error::NoNetwork("this host has none".into()))?;
        let listen = r#"setsid socat "TCP-LISTEN:$1,reuseaddr,fork$2" EXEC:'xl migrate-receive' \
                </dev/null >/var/log/migrate-receive.log 2>&1 &
            until ss -Htln "sport = :$1" | grep -q .; do sleep 0.05; done"#;
        let held = |option: &str| buffer.map_or(String::new(), |n| format!(",{option}={n}"));
        self.shell(listen, &[&port.to_string(), &held("rcvbuf")])?;
        Ok(format!("socat - TCP:{address}:{port}{}", held("sndbuf")))
    }
}

fn elapsed(stdout: &str) -> Option<Duration> {
    let ns = stdout.lines().find_map(|l| l.strip_prefix("xenlab: elapsed "))?;
    ns.trim().parse().ok().map(Duration::from_nanos)
}
