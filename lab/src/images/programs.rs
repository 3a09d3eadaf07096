//! The lab's own programs that run inside it, built statically.

use std::fs;
use std::path::Path;

use super::{Tool, source_dir};
use crate::Result;
use crate::error::Context;

const TARGET: &str = "x86_64-unknown-linux-gnu";

/// The programs, as bytes: they are small.
pub(super) struct Programs {
    pub(super) agent: Vec<u8>,
    pub(super) load: Vec<u8>,
    pub(super) shape: Vec<u8>,
}

impl Programs {
    /// Builds what is not up to date.
    pub(super) fn build() -> Result<Self> {
        // Not in the cache: cargo would take what another checkout left there for its own.
        let target = source_dir().parent().unwrap_or(Path::new(".")).join("target/lab");
        let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".into());
        Tool::new(&cargo, "cargo")
            .current_dir(source_dir())
            .args(["build", "--quiet", "--release", "--no-default-features", "--target", TARGET])
            .args(["--bin", "xenlab-agent", "--bin", "xenlab-load", "--bin", "xenlab-shape"])
            .arg("--target-dir")
            .arg(&target)
            .env("RUSTFLAGS", "-Ctarget-feature=+crt-static")
            .env_remove("CARGO_ENCODED_RUSTFLAGS")
            .env_remove("CARGO_BUILD_TARGET")
            .run()?;
        let read = |name: &str| {
            let path = target.join(TARGET).join("release").join(name);
            fs::read(&path).context(|| format!("reading {}", path.display()))
        };
        Ok(Self {
            agent: read("xenlab-agent")?,
            load: read("xenlab-load")?,
            shape: read("xenlab-shape")?,
        })
    }
}
