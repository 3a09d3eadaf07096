//! The loop that looks, samples and waits, and tells what it sees. With a screen it runs in a thread
//! of its own: a host belongs to the thread that opened it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use xenmig::Result;
use xenmig::host::DomId;

use super::{Asked, Snapshot, Watch};
use crate::cli::Global;
use crate::session::Session;

/// How soon the end of a pause is noticed.
const NOTICE: Duration = Duration::from_millis(50);

/// How the loop is steered.
#[derive(Debug, Default)]
pub struct Controls {
    /// It is to end; a sample that runs ends at once, with the dirty log off.
    pub stop: Arc<AtomicBool>,
    /// Nothing is looked at or sampled meanwhile; a sample that runs goes on to its end.
    pub paused: AtomicBool,
}

/// What it tells.
pub enum Update {
    /// The host is open, and left-overs of killed runs are cleaned up.
    Ready,
    /// How the domains are, as a refresh begins.
    Looked(Snapshot),
    /// This domain is being sampled, and this share is done, 0 to 1.
    Sampling(DomId, f64),
    /// How they are at its end, with one more sample if any was due.
    Refreshed(Snapshot),
}

/// Hears of the updates; `false` ends the loop.
pub type Listener<'a> = &'a mut dyn FnMut(Update) -> Result<bool>;

/// Opens the host and watches it until the user wants to stop.
pub fn work(
    global: &Global,
    asked: &Asked<'_>,
    controls: &Controls,
    tell: Listener<'_>,
) -> Result<()> {
    let mut session = Session::open(global)?;
    session.stop = Arc::clone(&controls.stop);
    session.prepare_to_sample()?;
    if !tell(Update::Ready)? {
        return Ok(());
    }
    live(&mut Watch::new(&session, asked), controls, tell)
}

/// Refreshes until the user wants to stop or nobody listens any more.
pub fn live(watch: &mut Watch<'_>, controls: &Controls, tell: Listener<'_>) -> Result<()> {
    loop {
        let begun = watch.begin()?;
        let mut listens = tell(Update::Looked(watch.look()?))?;
        watch.turn(&mut |domain, done| {
            // A failure to tell shows again with the next look.
            listens &= tell(Update::Sampling(domain.id, done)).unwrap_or(false);
        })?;
        listens &= tell(Update::Refreshed(watch.look()?))?;
        if !listens || !watch.rest(&begun)? || !until_resumed(controls) {
            return Ok(());
        }
    }
}

/// Waits while the user has it paused; `false` when it is to end.
fn until_resumed(controls: &Controls) -> bool {
    loop {
        if controls.stop.load(Ordering::Relaxed) {
            return false;
        }
        if !controls.paused.load(Ordering::Relaxed) {
            return true;
        }
        std::thread::sleep(NOTICE);
    }
}
