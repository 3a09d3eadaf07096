//! The table: a line per domain, and below it what speaks against the selected one.

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style as Paint};
use ratatui::text::{Line, Span};
use ratatui::widgets::Paragraph;

use super::columns::{Field, Place, places};
use super::{bold, faint, paint, why_unknown};
use crate::output::graph::spark;
use crate::output::{Style, text};
use crate::top::view::View;
use crate::top::{Column, Row};

/// What stands before the selected line, and as wide before all others.
const MARK: usize = 2;

/// Draws it.
pub fn draw(frame: &mut Frame<'_>, area: Rect, view: &View, style: Style) {
    let sizes = [Constraint::Length(1), Constraint::Min(1), Constraint::Length(1)];
    let [head, body, foot] = Layout::vertical(sizes).areas(area);
    let rows = view.rows();
    let places = places(usize::from(area.width).saturating_sub(MARK), &rows);
    frame.render_widget(titles(&places, view.sort), head);
    let at = view.position();
    let first = first_shown(at.unwrap_or_default(), rows.len(), body.height.into());
    let shown = rows.iter().enumerate().skip(first).take(body.height.into());
    let lines = shown.map(|(nth, row)| line(row, &places, Some(nth) == at, style));
    frame.render_widget(Paragraph::new(lines.collect::<Vec<_>>()), body);
    if rows.is_empty() && view.snapshot.is_some() {
        let none =
            format!("{:MARK$}no domain has `{}` in its name; Esc shows all", "", view.filter);
        frame.render_widget(Line::raw(none), body);
    }
    if let Some(row) = view.selected() {
        frame.render_widget(objection(row, style), foot);
    }
}

/// The first line on the screen, so that the selected one is in its middle as far as there are
/// others to show.
fn first_shown(selected: usize, lines: usize, height: usize) -> usize {
    selected.saturating_sub(height / 2).min(lines.saturating_sub(height))
}

fn titles(places: &[Place], sort: Column) -> Line<'static> {
    let mut spans = vec![Span::raw(" ".repeat(MARK))];
    for place in places {
        let sorted = place.field == Field::Of(sort);
        let how = if sorted { bold().add_modifier(Modifier::REVERSED) } else { bold() };
        let title = place.field.title();
        let space = Span::raw(" ".repeat(place.width.saturating_sub(title.len())));
        let title = Span::styled(title, how);
        spans.extend(if place.field.left() { [title, space] } else { [space, title] });
        spans.push(Span::raw(" "));
    }
    Line::from(spans)
}

fn line(row: &Row, places: &[Place], selected: bool, style: Style) -> Line<'static> {
    let mark = match (selected, style.unicode) {
        (true, true) => "▸ ",
        (true, false) => "> ",
        (false, _) => "  ",
    };
    let mut spans = vec![Span::raw(mark)];
    // What was not measured leaves its room to the reason.
    let measured = row.dirty_rate().is_some();
    let free: usize =
        places.iter().filter(|place| place.field.measured()).map(|place| place.width + 1).sum();
    let mut explained = false;
    for place in places {
        if measured || !place.field.measured() {
            spans.push(cell(row, *place, style));
        } else if !explained {
            let room = free - 1;
            spans.push(Span::styled(fit(&why_unknown(row, room), room, true), faint()));
            explained = true;
        } else {
            continue;
        }
        spans.push(Span::raw(" "));
    }
    let line = Line::from(spans);
    if selected { line.style(Paint::new().add_modifier(Modifier::REVERSED)) } else { line }
}

fn cell(row: &Row, place: Place, style: Style) -> Span<'static> {
    let Place { field, width } = place;
    match field {
        Field::History => {
            let history = spark(&row.rates, width, style.unicode);
            let how = if style.colour { Paint::new().fg(Color::Cyan) } else { Paint::new() };
            Span::styled(format!("{history:>width$}"), how)
        }
        Field::Why => {
            let code = row.objection().map_or("", |reason| reason.code);
            Span::raw(fit(code, width, true))
        }
        Field::Of(column) => {
            let how = match (column, row.verdict()) {
                (Column::Verdict, Some(verdict)) => paint(verdict, style),
                _ => Paint::new(),
            };
            Span::styled(fit(&text::cell(row, column), width, field.left()), how)
        }
    }
}

/// `text` in exactly `width` characters; what is cut off ends in `~`.
fn fit(text: &str, width: usize, left: bool) -> String {
    if text.chars().count() > width {
        let kept: String = text.chars().take(width.saturating_sub(1)).collect();
        return format!("{kept}~").chars().take(width).collect();
    }
    if left { format!("{text:<width$}") } else { format!("{text:>width$}") }
}

/// `db: total time may exceed the budget: …`
fn objection(row: &Row, style: Style) -> Line<'static> {
    match (row.verdict(), row.objection()) {
        (Some(verdict), Some(reason)) => Line::from(vec![
            Span::styled(format!("{}: ", row.name()), paint(verdict, style)),
            Span::raw(reason.message.clone()),
        ]),
        _ => Line::default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_selected_line_is_always_on_the_screen() {
        for height in 1..12 {
            for selected in 0..30 {
                let first = first_shown(selected, 30, height);
                assert!((first..first + height).contains(&selected), "{selected} of {height}");
                assert!(first + height <= 30);
            }
        }
        assert_eq!(first_shown(3, 5, 20), 0);
    }

    #[test]
    fn a_cell_is_exactly_as_wide_as_its_column() {
        assert_eq!(fit("web", 5, true), "web  ");
        assert_eq!(fit("web", 5, false), "  web");
        assert_eq!(fit("webserver", 5, true), "webs~");
        assert_eq!(fit("webserver", 0, true), "");
    }
}
