//! What the user sees of the latest snapshot: in which order, which of the domains, and which one is
//! selected. Knows neither the terminal nor the host.

use std::time::Duration;

use xenmig::host::DomId;

use super::{Column, Row, Snapshot, Update};

/// What fills the screen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// The table.
    Table,
    /// The table, while the filter is typed.
    Filter,
    /// The selected domain.
    Detail,
    /// The keys.
    Help,
}

/// Everything that a screen is drawn from.
#[derive(Debug)]
pub struct View {
    /// `None` before the first look.
    pub snapshot: Option<Snapshot>,
    /// Who is sampled now, and the share that is done, 0 to 1.
    pub sampling: Option<(DomId, f64)>,
    pub interval: Duration,
    pub mode: Mode,
    pub sort: Column,
    pub descending: bool,
    /// Part of a name; empty: all domains.
    pub filter: String,
    pub paused: bool,
    /// Lines of the detail that are above the screen.
    pub scroll: usize,
    selected: Option<DomId>,
    /// Where the selected one was last: its place is taken by whoever comes there when it goes.
    at: usize,
}

impl View {
    pub fn new(interval: Duration) -> Self {
        Self {
            snapshot: None,
            sampling: None,
            interval,
            mode: Mode::Table,
            sort: Column::Id,
            descending: Column::Id.descends(),
            filter: String::new(),
            paused: false,
            scroll: 0,
            selected: None,
            at: 0,
        }
    }

    /// Takes what the other thread tells. While paused, what is shown stands still.
    pub fn update(&mut self, update: Update) {
        match update {
            Update::Ready => {}
            Update::Sampling(id, done) => self.sampling = Some((id, done)),
            Update::Looked(snapshot) | Update::Refreshed(snapshot) => {
                self.sampling = None;
                if !self.paused {
                    self.snapshot = Some(snapshot);
                    self.settle();
                }
            }
        }
    }

    /// The domains that are shown, in their order.
    pub fn rows(&self) -> Vec<&Row> {
        let wanted = self.filter.to_lowercase();
        let all = self.snapshot.iter().flat_map(|snapshot| &snapshot.rows);
        let mut rows: Vec<_> =
            all.filter(|row| row.name().to_lowercase().contains(&wanted)).collect();
        rows.sort_by(|a, b| self.sort.compare(a, b, self.descending));
        rows
    }

    /// The selected domain; `None` when no domain is shown.
    pub fn selected(&self) -> Option<&Row> {
        self.rows().into_iter().find(|row| Some(row.domain.id) == self.selected)
    }

    /// Where it is among those that are shown.
    pub fn position(&self) -> Option<usize> {
        self.rows().iter().position(|row| Some(row.domain.id) == self.selected)
    }

    /// Selects the domain so many lines further down, or up.
    pub fn go(&mut self, lines: isize) {
        let last = self.rows().len().saturating_sub(1);
        self.at = self.at.saturating_add_signed(lines).min(last);
        self.selected = self.rows().get(self.at).map(|row| row.domain.id);
    }

    /// The same after the filter has changed: it may have found another domain, the first of them.
    pub fn find(&mut self) {
        if self.position().is_none() {
            self.at = 0;
        }
        self.settle();
    }

    /// Finds the selected domain again after the order or the domains have changed.
    pub fn settle(&mut self) {
        match self.position() {
            Some(at) => self.at = at,
            None => {
                // Another domain's detail would be taken for this one's.
                if self.mode == Mode::Detail {
                    self.mode = Mode::Table;
                }
                self.go(0);
            }
        }
    }
}

#[cfg(test)]
mod tests;
