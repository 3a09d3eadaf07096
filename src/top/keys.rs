//! What the keys do.

use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyEventKind, KeyModifiers};

use super::view::{Mode, View};
use crate::output::Style;

/// Lines that a page has for the keys that turn it.
const PAGE: isize = 10;

/// The keys and what they do, for the screen that `?` shows.
pub const HELP: [(&str, &str); 11] = [
    ("up, down, PgUp, PgDn", "select a domain (also k, j; Home, End)"),
    ("Enter", "its dirty curve, the rounds predicted, and all reasons"),
    ("Esc", "back; in the table, show all domains again"),
    ("s", "sort by the next column"),
    ("r", "the other way round"),
    ("/", "show only domains whose name contains what you type"),
    ("p, space", "pause: nothing moves and nothing is sampled"),
    ("?", "this list"),
    ("q, ^C", "quit; the dirty log is off then"),
    ("", ""),
    ("CPU", "in per cent of one CPU, so four busy vCPUs use 400 %"),
];

impl View {
    /// Does what a key asks for; `false` when that is to quit.
    pub fn key(&mut self, key: KeyEvent) -> bool {
        if key.kind == KeyEventKind::Release {
            return true;
        }
        if key.modifiers.contains(KeyModifiers::CONTROL) {
            return key.code != KeyCode::Char('c');
        }
        match (self.mode, key.code) {
            (Mode::Filter, code) => self.edit(code),
            (_, KeyCode::Char('q')) => return false,
            (_, KeyCode::Char('p' | ' ')) => self.paused = !self.paused,
            (Mode::Help, _) => self.mode = Mode::Table,
            (_, KeyCode::Char('?')) => self.mode = Mode::Help,
            (Mode::Detail, code) => self.read(code),
            (Mode::Table, code) => self.choose(code),
        }
        true
    }

    /// In the table.
    fn choose(&mut self, code: KeyCode) {
        match code {
            KeyCode::Up | KeyCode::Char('k') => self.go(-1),
            KeyCode::Down | KeyCode::Char('j') => self.go(1),
            KeyCode::PageUp => self.go(-PAGE),
            KeyCode::PageDown => self.go(PAGE),
            KeyCode::Home => self.go(isize::MIN),
            KeyCode::End => self.go(isize::MAX),
            KeyCode::Enter if self.selected().is_some() => {
                (self.mode, self.scroll) = (Mode::Detail, 0);
            }
            KeyCode::Esc => self.filter.clear(),
            KeyCode::Char('/') => self.mode = Mode::Filter,
            KeyCode::Char('s') => {
                self.sort = self.sort.next();
                self.descending = self.sort.descends();
            }
            KeyCode::Char('r') => self.descending = !self.descending,
            _ => return,
        }
        self.settle();
    }

    /// In the detail of a domain.
    fn read(&mut self, code: KeyCode) {
        let lines = self.selected().map(|row| row.reasons(Style::PLAIN).len()).unwrap_or_default();
        let by = |more: isize| self.scroll.saturating_add_signed(more).min(lines.saturating_sub(1));
        match code {
            KeyCode::Esc | KeyCode::Enter | KeyCode::Backspace => self.mode = Mode::Table,
            KeyCode::Up | KeyCode::Char('k') => self.scroll = by(-1),
            KeyCode::Down | KeyCode::Char('j') => self.scroll = by(1),
            KeyCode::PageUp => self.scroll = by(-PAGE),
            KeyCode::PageDown => self.scroll = by(PAGE),
            KeyCode::Home => self.scroll = 0,
            _ => {}
        }
    }

    /// While the filter is typed.
    fn edit(&mut self, code: KeyCode) {
        match code {
            KeyCode::Char(character) => self.filter.push(character),
            KeyCode::Backspace => drop(self.filter.pop()),
            KeyCode::Enter => self.mode = Mode::Table,
            KeyCode::Esc => {
                self.filter.clear();
                self.mode = Mode::Table;
            }
            _ => {}
        }
        self.find();
    }
}
