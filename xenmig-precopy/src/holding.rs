//! Pages that this process's save holds back. One save per process, so this is a static: the C
//! border reaches it from within the save's own CLEAN, where no session is at hand.
//!
//! Whatever is held back goes out with the next CLEAN that no limit was set for, and the last one
//! never has one. So no fault elsewhere can lose a page: it would only be sent earlier.

use std::sync::{Mutex, MutexGuard, PoisonError};

use xenmig::dirty::{Bitmap, HeldBack};
use xenmig::units::Pages;

struct Holding {
    domid: u32,
    /// Bits of the save's bitmap, and what is held back of them; `None` before its first CLEAN.
    held: Option<(Pages, HeldBack)>,
    /// Most pages of the next round; `None` is all.
    limit: Option<u64>,
}

static HOLDING: Mutex<Option<Holding>> = Mutex::new(None);

fn holding() -> MutexGuard<'static, Option<Holding>> {
    HOLDING.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The save of domain `domid` begins.
pub fn begin(domid: u32) {
    *holding() = Some(Holding { domid, held: None, limit: None });
}

/// Whether a save has begun whose calls come by here.
pub fn is_possible() -> bool {
    holding().is_some()
}

/// It has ended.
pub fn end() {
    *holding() = None;
}

/// The next round is to have at most so many pages.
pub fn limit(pages: u64) {
    if let Some(holding) = holding().as_mut() {
        holding.limit = Some(pages);
    }
}

/// Takes back a limit that no CLEAN has seen. Says whether there was one: then the save's calls do
/// not come by here.
pub fn unlimit() -> bool {
    holding().as_mut().is_some_and(|holding| holding.limit.take().is_some())
}

/// A bitmap that has room for what the log says; `None` when nothing is held back.
pub fn room() -> Option<Bitmap> {
    let holding = holding();
    let (bits, held) = holding.as_ref()?.held.as_ref()?;
    (!held.is_empty()).then(|| Bitmap::new(*bits))
}

/// Pages that are held back.
pub fn held() -> u64 {
    let holding = holding();
    let held = holding.as_ref().and_then(|holding| holding.held.as_ref());
    held.map_or(0, |(_, held)| held.count())
}

/// Pages that are held back or in `fresh`.
pub fn with(fresh: &Bitmap) -> u64 {
    let holding = holding();
    let held = holding.as_ref().and_then(|holding| holding.held.as_ref());
    held.map_or_else(|| fresh.count().0, |(_, held)| held.with(fresh.words()))
}

/// What a CLEAN of domain `domid` found, in `words` for `bits` pages: gives what is to be sent in
/// its place, and its count. `None` when the domain is another one, and nothing is changed.
///
/// # Panics
/// When the save's bitmap has changed its length: what is held back could not be sent.
pub fn cleaned(domid: u32, words: &mut [u64], bits: u64, last: bool) -> Option<u64> {
    let mut holding = holding();
    let holding = holding.as_mut().filter(|holding| holding.domid == domid)?;
    let limit = holding.limit.take().filter(|_| !last);
    let (before, held) =
        holding.held.get_or_insert_with(|| (Pages(bits), HeldBack::new(words.len())));
    assert_eq!(before.0, bits, "the save's bitmap has changed its length");
    // Nobody looks at what is past the end, and it may hold anything.
    if let (Some(end), used @ 1..) = (words.last_mut(), bits % 64) {
        *end &= (1 << used) - 1;
    }
    Some(held.take(words, limit))
}
