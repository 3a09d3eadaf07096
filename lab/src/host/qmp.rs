//! QEMU's control socket: pause, go on, save the state.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::error::Context;
use crate::{Error, Result};

/// QEMU answers at once or not at all.
const ANSWER: Duration = Duration::from_secs(60);

/// A connection to QEMU's monitor.
pub(super) struct Qmp {
    stream: BufReader<UnixStream>,
}

impl Qmp {
    pub(super) fn new(stream: UnixStream) -> Result<Self> {
        stream.set_read_timeout(Some(ANSWER)).context(|| "QEMU's control socket".into())?;
        let mut qmp = Self { stream: BufReader::new(stream) };
        qmp.line()?; // its greeting
        qmp.execute("qmp_capabilities", &json!({}))?;
        Ok(qmp)
    }

    fn line(&mut self) -> Result<Value> {
        let mut line = String::new();
        let n = self.stream.read_line(&mut line).context(|| "QEMU's answer".into())?;
        if n == 0 {
            return Err(Error::Unexpected("QEMU closed its control socket".into()));
        }
        serde_json::from_str(&line).map_err(|e| Error::Unexpected(format!("QEMU said {line}: {e}")))
    }

    fn execute(&mut self, command: &str, arguments: &Value) -> Result<Value> {
        let message = format!("{}\n", json!({"execute": command, "arguments": arguments}));
        self.stream
            .get_mut()
            .write_all(message.as_bytes())
            .context(|| format!("asking QEMU to {command}"))?;
        loop {
            let mut answer = self.line()?;
            if let Some(value) = answer.get_mut("return") {
                return Ok(value.take());
            }
            if let Some(error) = answer.get("error") {
                return Err(Error::Unexpected(format!("QEMU: {command}: {error}")));
            }
            // Anything else is an event.
        }
    }

    /// Stops virtual time.
    pub(super) fn stop(&mut self) -> Result<()> {
        self.execute("stop", &json!({})).map(drop)
    }

    /// Lets virtual time go on.
    pub(super) fn cont(&mut self) -> Result<()> {
        self.execute("cont", &json!({})).map(drop)
    }

    /// The ACPI power management timer: virtual time in ticks, 24 bits of it.
    pub(super) fn ticks(&mut self) -> Result<u32> {
        let read = json!({"command-line": "i /w 0x608"});
        let answer = self.execute("human-monitor-command", &read)?;
        let number = answer.as_str().and_then(|text| text.trim().rsplit_once("0x"));
        number
            .and_then(|(_, digits)| u32::from_str_radix(digits, 16).ok())
            .ok_or_else(|| Error::Unexpected(format!("QEMU's timer is {answer}")))
    }

    /// Whether a start from a saved state is still loading it.
    pub(super) fn wait_loaded(&mut self, limit: Duration) -> Result<()> {
        self.poll(limit, "query-status", |status| match status {
            "inmigrate" => None,
            other => Some(Ok(other.to_owned())),
        })
        .map(drop)
    }

    /// Writes the whole state to a file. The machine must be stopped.
    pub(super) fn save(&mut self, to: &std::path::Path, limit: Duration) -> Result<()> {
        self.execute("migrate-set-parameters", &json!({"max-bandwidth": 1u64 << 40}))?;
        let uri = format!("exec:cat > '{}'", to.display());
        self.execute("migrate", &json!({"uri": uri}))?;
        self.poll(limit, "query-migrate", |status| match status {
            "completed" => Some(Ok(())),
            "failed" | "cancelled" => {
                Some(Err(Error::Unexpected(format!("saving the host's state: {status}"))))
            }
            _ => None,
        })
    }

    fn poll<T>(
        &mut self,
        limit: Duration,
        query: &str,
        mut done: impl FnMut(&str) -> Option<Result<T>>,
    ) -> Result<T> {
        let end = Instant::now() + limit;
        loop {
            let answer = self.execute(query, &json!({}))?;
            let status = answer.get("status").and_then(Value::as_str).unwrap_or_default();
            if let Some(result) = done(status) {
                return result;
            }
            if Instant::now() > end {
                return Err(Error::Unexpected(format!("QEMU: {query}: still {status}")));
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}
