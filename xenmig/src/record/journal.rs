//! The way from a sample to the store: what a full disk refuses waits in memory.

use std::collections::VecDeque;

use crate::error::Result;
use crate::history::{HistoryStore, Logged, Observation};

/// Samples that wait at most: a day and a half of 20 domains. The oldest go first.
const MOST: usize = 10_000;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Journal {
    waiting: VecDeque<(Logged, Observation)>,
    /// Attempts that failed.
    pub(super) errors: u64,
    /// Samples that were dropped.
    pub(super) dropped: u64,
    failing: bool,
}

impl Journal {
    /// Writes `observation`, and whatever waits. That the store fails is said once, and once that it
    /// works again.
    pub(super) fn add(
        &mut self,
        store: &mut HistoryStore,
        logged: Logged,
        observation: Observation,
    ) {
        self.waiting.push_back((logged, observation));
        if self.waiting.len() > MOST {
            self.waiting.pop_front();
            self.dropped += 1;
        }
        let written = self.write(store);
        match written {
            Ok(()) if self.failing => log::warn!("the log can be written to again"),
            Err(error) if !self.failing => {
                let hint = error.advice().map(|hint| format!(" ({hint})")).unwrap_or_default();
                log::error!("{error}{hint}; sampling goes on, and samples wait in memory");
            }
            _ => {}
        }
        self.failing = !self.waiting.is_empty();
    }

    fn write(&mut self, store: &mut HistoryStore) -> Result<()> {
        let all = self.waiting.iter().map(|(logged, observation)| (logged, observation));
        store.add_all(all).inspect_err(|_| self.errors += 1)?;
        self.waiting.clear();
        Ok(())
    }

    /// Samples that wait.
    pub(super) fn waiting(&self) -> usize {
        self.waiting.len()
    }
}
