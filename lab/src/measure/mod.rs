//! Measurements on real Xen: what a migration really did ([`observe`]), how right the predictions
//! made before it were ([`accuracy`]), what a budget is worth beside the stock policy ([`policy`]),
//! what a network beside xenmig shows ([`network`]), and what xenmig itself costs ([`cost`]), its
//! service among it ([`recording`]).

mod account;
pub mod accuracy;
pub mod cost;
pub mod network;
pub mod observe;
pub mod policy;
pub mod recording;
mod stats;

pub(crate) use stats::quantile;

use std::path::{Path, PathBuf};

use crate::{Host, Result};

/// The programs that are measured, built for the Dom0 in question.
#[derive(Debug, Clone)]
pub struct Programs {
    /// `xenmig` itself.
    pub xenmig: PathBuf,
    /// The example `watch`, which sees domains suspend and resume.
    pub watch: PathBuf,
    /// The folder with the parts of the hook; `None` where no save is steered.
    pub hook: Option<PathBuf>,
}

/// The file in Dom0 that `xenmig` reads earlier migrations from.
pub(crate) const OUTCOMES: &str = "/var/lib/xenmig/outcomes.jsonl";
/// Where `xenmig` is put in Dom0.
const XENMIG: &str = "/usr/local/bin/xenmig";
/// Where [`Programs::push`] puts `watch`.
const WATCH: &str = "/usr/local/bin/xenmig-watch";

impl Programs {
    /// Those that cargo built into `folder`, and the hook.
    #[must_use]
    pub fn in_folder(folder: PathBuf) -> Self {
        Self {
            xenmig: folder.join("xenmig"),
            watch: folder.join("examples/watch"),
            hook: Some(folder),
        }
    }

    /// Copies them into Dom0.
    ///
    /// # Errors
    /// When a file cannot be read here or written there.
    pub fn push(&self, host: &Host) -> Result<()> {
        let push = |from: &Path, to: &str| host.push(from, to);
        push(&self.xenmig, XENMIG)?;
        if let Some(folder) = &self.hook {
            for part in ["xenmig-save-helper", "libxenmig_precopy.so"] {
                push(&folder.join(part), &format!("/usr/local/bin/{part}"))?;
            }
        }
        push(&self.watch, WATCH)
    }
}
