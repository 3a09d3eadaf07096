//! The view on a screen of any size. Says the same without colour and, where the locale has no
//! UTF-8, without characters beyond ASCII.

mod columns;
mod detail;
mod help;
mod table;

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout};
use ratatui::style::{Color, Modifier, Style as Paint};
use ratatui::text::{Line, Span};
use xenmig::policy::gate::Verdict;
use xenmig::units::show_duration;

use super::Row;
use super::view::{Mode, View};
use crate::output::table::percent;
use crate::output::{Style, text};

/// Draws everything.
pub fn draw(frame: &mut Frame<'_>, view: &View, style: Style) {
    let one = Constraint::Length(1);
    let rows = [one, one, Constraint::Min(2), one];
    let [head, state, body, keys] = Layout::vertical(rows).areas(frame.area());
    let host = view.snapshot.as_ref().map(text::host).unwrap_or_default();
    let title = Span::styled("xenmig top", bold());
    frame.render_widget(Line::from(vec![title, Span::raw(format!("  {host}"))]), head);
    frame.render_widget(Line::raw(self::state(view, style)), state);
    match view.mode {
        Mode::Table | Mode::Filter => table::draw(frame, body, view, style),
        Mode::Detail => detail::draw(frame, body, view, style),
        Mode::Help => help::draw(frame, body),
    }
    frame.render_widget(Line::styled(self::keys(view, style), faint()), keys);
}

/// What it does now, and what of it is shown.
fn state(view: &View, style: Style) -> String {
    if view.mode == Mode::Filter {
        let cursor = if style.unicode { "▏" } else { "_" };
        return format!("filter: {}{cursor}", view.filter);
    }
    let order = if view.descending { "descending" } else { "ascending" };
    let mut parts = vec![
        format!("every {}", show_duration(view.interval)),
        format!("by {}, {order}", view.sort.title()),
    ];
    if !view.filter.is_empty() {
        parts.push(format!("only *{}*", view.filter));
    }
    let rows = view.snapshot.iter().flat_map(|snapshot| &snapshot.rows);
    let sampled = view.sampling.and_then(|(id, done)| {
        let row = rows.into_iter().find(|row| row.domain.id == id)?;
        Some(format!("sampling {} {}", row.name(), percent(done)))
    });
    match sampled {
        _ if view.paused => parts.push("PAUSED, p goes on".to_owned()),
        Some(sampled) => parts.push(sampled),
        None if view.snapshot.is_none() => parts.push("opening the host".to_owned()),
        None => {}
    }
    parts.join(if style.unicode { " · " } else { " | " })
}

fn keys(view: &View, style: Style) -> &'static str {
    match (view.mode, style.unicode) {
        (Mode::Table, true) => {
            "↑↓ select  Enter detail  s sort  r reverse  / filter  p pause  ? help  q quit"
        }
        (Mode::Table, false) => {
            "up/down select  Enter detail  s sort  r reverse  / filter  p pause  ? help  q"
        }
        (Mode::Filter, _) => "Enter keep it  Esc show all",
        (Mode::Detail, true) => "Esc back  ↑↓ scroll  p pause  ? help  q quit",
        (Mode::Detail, false) => "Esc back  up/down scroll  p pause  ? help  q quit",
        (Mode::Help, _) => "any key back  q quit",
    }
}

const fn bold() -> Paint {
    Paint::new().add_modifier(Modifier::BOLD)
}

const fn faint() -> Paint {
    Paint::new().add_modifier(Modifier::DIM)
}

/// How a verdict is shown; the word says it too.
fn paint(verdict: Verdict, style: Style) -> Paint {
    let colour = match verdict {
        Verdict::Go => Color::Green,
        Verdict::Wait => Color::Yellow,
        Verdict::NoGo => Color::Red,
    };
    if style.colour { bold().fg(colour) } else { bold() }
}

/// Why nothing is known of how it dirties memory; the code where the message has no room.
fn why_unknown(row: &Row, room: usize) -> String {
    match (row.report(), row.objection()) {
        (None, _) => "not sampled yet".to_owned(),
        (_, Some(reason)) if reason.message.chars().count() <= room => reason.message.clone(),
        (_, Some(reason)) => reason.code.to_owned(),
        (_, None) => "not sampled".to_owned(),
    }
}

#[cfg(test)]
mod tests;
