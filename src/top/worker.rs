//! The loop that looks, samples and waits, and tells what it sees.

use xenmig::Result;

use super::{Snapshot, Watch};

/// What it tells.
pub enum Update {
    /// How the domains are at the end of a refresh, with one more sample if any was due.
    Refreshed(Snapshot),
}

/// Hears of the updates; `false` ends the loop.
pub type Listener<'a> = &'a mut dyn FnMut(Update) -> Result<bool>;

/// Refreshes until the user wants to stop or nobody listens any more.
pub fn live(watch: &mut Watch<'_>, tell: Listener<'_>) -> Result<()> {
    loop {
        let begun = watch.begin()?;
        watch.look()?;
        watch.turn(&mut |_, _| {})?;
        if !tell(Update::Refreshed(watch.look()?))? || !watch.rest(&begun)? {
            return Ok(());
        }
    }
}
