//! The serial log of Xen and Dom0: what is left of a host that crashed.

use std::path::{Path, PathBuf};

const SHOWN_LINES: usize = 40;

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

    /// Its last lines.
    pub(super) fn tail(&self) -> String {
        let bytes = std::fs::read(&self.0).unwrap_or_default();
        let text = String::from_utf8_lossy(&bytes);
        let lines: Vec<&str> = text.lines().map(str::trim_end).collect();
        lines[lines.len().saturating_sub(SHOWN_LINES)..].join("\n")
    }
}
