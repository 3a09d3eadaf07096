//! The serial log of Xen and Dom0: what is left of a host that crashed.

use std::path::{Path, PathBuf};

const SHOWN_LINES: usize = 40;

/// What Xen, or Dom0's kernel, writes when it is over. Until QEMU ends, too,
/// Xen waits five virtual seconds in a loop, which can take minutes outside.
const LAST_WORDS: [&str; 3] =
    ["Panic on CPU", "Kernel panic - not syncing", "Hardware Dom0 crashed"];

/// Where a host's serial console is written to.
#[derive(Debug, Clone)]
pub(super) struct Serial(PathBuf);

impl Serial {
    pub(super) fn new(path: &Path) -> Self {
        Self(path.to_owned())
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }

    fn text(&self) -> String {
        let bytes = std::fs::read(&self.0).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// How the host crashed, if it did: the line that says so.
    pub(super) fn crash(&self) -> Option<String> {
        let text = self.text();
        let crash = |line: &&str| LAST_WORDS.iter().any(|words| line.contains(words));
        text.lines().find(crash).map(|line| line.trim().to_owned())
    }

    /// Its last lines.
    pub(super) fn tail(&self) -> String {
        let text = self.text();
        let lines: Vec<&str> = text.lines().map(str::trim_end).collect();
        lines[lines.len().saturating_sub(SHOWN_LINES)..].join("\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_crash_is_told_from_a_quiet_host() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let serial = Serial::new(file.path());
        assert_eq!((serial.crash(), serial.tail()), (None, String::new()));
        let log = "(XEN) all well\r\n(XEN) Panic on CPU 0:\r\n(XEN) why\r\n";
        std::fs::write(file.path(), log).unwrap();
        assert_eq!(serial.crash().as_deref(), Some("(XEN) Panic on CPU 0:"));
        assert!(serial.tail().ends_with("(XEN) why"));
    }
}
