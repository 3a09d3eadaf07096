//! What a migration needs of the hypervisor: the domain that leaves. Implemented by
//! [`crate::xen`], by the simulator, and by tests.

use std::os::fd::BorrowedFd;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::error::Result;
use crate::host::RunState;

/// How far a migration is: what decides who may run the guest. Survives the process in a note.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Progress {
    /// The target has no permission to run the guest. It may always go on at the source.
    Saving,
    /// The target may have the permission. Only whoever sees both ends knows where the guest may
    /// run.
    Permitted,
    /// The target said that the guest runs there.
    Arrived,
}

/// A domain that is about to leave. One migration owns it; others are refused meanwhile.
pub trait Source: Sync {
    /// Its configuration for the target, as libxl's JSON, without its domid here.
    ///
    /// # Errors
    /// As the tool stack says.
    fn configuration(&self) -> Result<Vec<u8>>;

    /// Saves it live into `stream`, and comes back when it is suspended and all is written.
    /// `debug` has the tool stack verify every page, which takes much longer.
    ///
    /// # Errors
    /// As the tool stack says; the domain may be suspended or not.
    fn save(&self, stream: BorrowedFd<'_>, debug: bool) -> Result<()>;

    /// Has a save that runs end soon, in failure. From another thread.
    fn interrupt(&self);

    /// Whether it runs.
    ///
    /// # Errors
    /// [`crate::Kind::NoSuchDomain`] when it has gone, or as the hypervisor says.
    fn state(&self) -> Result<RunState>;

    /// Whether it was asked to suspend, and has not answered yet.
    fn asked_to_suspend(&self) -> bool;

    /// Gives it another name, if its name is `from`.
    ///
    /// # Errors
    /// As the tool stack says.
    fn rename(&self, from: &str, to: &str) -> Result<()>;

    /// Lets it go on where it was suspended.
    ///
    /// # Errors
    /// As the tool stack says.
    fn resume(&self) -> Result<()>;

    /// Ends it: it runs elsewhere.
    ///
    /// # Errors
    /// As the tool stack says.
    fn destroy(&self) -> Result<()>;

    /// Notes how far the migration is, so that it is known even if this process is killed.
    ///
    /// # Errors
    /// When the note cannot be written.
    fn note(&self, progress: Progress) -> Result<()>;

    /// After a save that failed: the dirty log off, the scheduler's cap as it was.
    ///
    /// # Errors
    /// When something of it could not be done; `xenmig recover` tries again if the note stays.
    /// [`crate::Kind::Unguarded`] when it could do no more: nobody may touch the log on this host.
    fn settle(&self) -> Result<()>;

    /// Removes the note: nothing is left to clean up.
    fn forget(&self);
}

/// What a domain does once its save has ended: it may have been asked to suspend just before that, so
/// one that runs is watched for a moment. `look` looks.
///
/// # Errors
/// As `look`.
pub(crate) fn after_save(look: impl Fn() -> Result<RunState>) -> Result<RunState> {
    const LOOKS: u32 = 10;
    const BETWEEN: Duration = Duration::from_millis(50);
    for _ in 1..LOOKS {
        match look()? {
            RunState::Running | RunState::Paused => std::thread::sleep(BETWEEN),
            ended => return Ok(ended),
        }
    }
    look()
}
