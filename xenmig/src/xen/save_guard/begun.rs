//! The saves that the guard has let begin.

use crate::host::DomId;
use crate::xen::process::{self, Intent};

/// Saves that were allowed to begin and may still run, and the processes that run them.
#[derive(Default)]
pub(super) struct Begun(Vec<(u32, Intent)>);

impl Begun {
    pub(super) fn add(&mut self, more: impl IntoIterator<Item = (u32, Intent)>) {
        self.0.retain(|(pid, _)| process::alive(*pid));
        self.0.extend(more);
    }

    /// The process that saves domain `id`, be it among those that were seen `running` or those that
    /// began since.
    pub(super) fn save_of(&self, id: DomId, running: &[(u32, Intent)]) -> Option<u32> {
        let since = self.0.iter().filter(|(pid, _)| process::alive(*pid));
        let mut all = running.iter().chain(since);
        all.find(|(_, intent)| intent.concerns(id)).map(|(pid, _)| *pid)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_save_counts_that_was_seen_or_began_since_and_runs() {
        let (me, parent) = (std::process::id(), std::os::unix::process::parent_id());
        let (web, db) = (DomId(1), DomId(2));
        let mut begun = Begun::default();
        assert_eq!(begun.save_of(web, &[(parent, Intent::Save(web))]), Some(parent));
        // No process has this number.
        begun.add([(me, Intent::Save(web)), (u32::MAX, Intent::Save(db))]);
        assert_eq!(begun.save_of(web, &[]), Some(me));
        assert_eq!(begun.save_of(db, &[]), None);
        begun.add([(me, Intent::Unknown)]);
        assert_eq!(begun.save_of(db, &[]), Some(me));
        assert_eq!(begun.0.len(), 2, "the dead are forgotten");
    }
}
