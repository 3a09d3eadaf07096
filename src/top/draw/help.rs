//! The keys.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::Line;
use ratatui::widgets::Paragraph;

use crate::output::table::align;
use crate::top::keys::HELP;

/// Draws them.
pub fn draw(frame: &mut Frame<'_>, area: Rect) {
    let rows = HELP.map(|(key, does)| vec![key.to_owned(), does.to_owned()]);
    let lines = align(&rows, 2, 2).into_iter().map(Line::raw);
    frame.render_widget(Paragraph::new(lines.collect::<Vec<_>>()), area);
}
