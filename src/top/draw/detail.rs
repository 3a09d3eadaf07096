//! One domain: the verdict, the dirty curve, the rounds predicted, and every reason.

use std::time::Duration;

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Style as Paint};
use ratatui::symbols::Marker;
use ratatui::text::{Line, Text};
use ratatui::widgets::{Axis, Chart, Dataset, GraphType, Paragraph};
use xenmig::check::Report;
use xenmig::dirty::Curve;
use xenmig::units::show_duration;

use super::{bold, faint, paint};
use crate::output::table::count;
use crate::output::{Style, graph, text};
use crate::top::view::View;
use crate::top::{Row, Snapshot};

/// Lines of the chart and of the rounds beside it: a head, five rounds and the stop-and-copy.
const CHART: u16 = 9;
/// Columns of the rounds.
const ROUNDS: u16 = 42;

/// Draws the selected one.
pub fn draw(frame: &mut Frame<'_>, area: Rect, view: &View, style: Style) {
    let (Some(row), Some(snapshot)) = (view.selected(), &view.snapshot) else {
        return;
    };
    let Some(report) = row.report() else {
        let text = format!("{}\n\nnot sampled yet", text::about(&row.domain));
        return frame.render_widget(Paragraph::new(text), area);
    };
    let facts = facts(row, report, snapshot, style);
    let reasons: Text<'_> = row.reasons(style.plain()).into_iter().map(Line::raw).collect();
    let chart = if report.curve.is_some() { CHART } else { 0 };
    // Where there is little room, the chart makes way for the reasons.
    let few = area.height < facts.height() as u16 + chart + 3;
    let sizes = [
        Constraint::Length(facts.height() as u16),
        Constraint::Length(if few { 0 } else { chart }),
        Constraint::Min(1),
    ];
    let [above, middle, below] = Layout::vertical(sizes).areas(area);
    frame.render_widget(Paragraph::new(facts), above);
    if let Some(curve) = &report.curve
        && !few
    {
        let sizes = [Constraint::Min(20), Constraint::Length(ROUNDS)];
        let [left, right] = Layout::horizontal(sizes).spacing(1).areas(middle);
        draw_curve(frame, left, curve, style);
        frame.render_widget(Paragraph::new(rounds(report)), right);
    }
    let last = reasons.height().saturating_sub(below.height.into());
    let scroll = view.scroll.min(last) as u16;
    frame.render_widget(Paragraph::new(reasons).scroll((scroll, 0)), below);
}

/// The verdict and what it rests on.
fn facts(row: &Row, report: &Report, snapshot: &Snapshot, style: Style) -> Text<'static> {
    let plain = style.plain();
    let mut lines = Vec::new();
    let verdict = text::verdict(report, plain);
    lines.push(Line::styled(verdict.trim_end().to_owned(), paint(report.judgement.verdict, style)));
    if let Some(prediction) = &report.prediction {
        lines.push(Line::raw(format!("        {}", text::expected(prediction))));
    }
    let facts = text::facts(report, plain);
    lines.extend(facts.lines().map(|line| Line::raw(line.to_owned())));
    if let Some(age) = snapshot.age(row) {
        let age = match age.as_secs() {
            0 => "just now".to_owned(),
            _ => format!("{} ago", show_duration(age)),
        };
        let checked = text::field("Checked", &age, plain);
        lines.push(Line::raw(checked.trim_end().to_owned()));
    }
    lines.push(Line::default());
    Text::from(lines)
}

fn rounds(report: &Report) -> Text<'static> {
    let Some(prediction) = &report.prediction else {
        return Text::default();
    };
    let mut lines = vec![Line::styled("Rounds of a stock `xl migrate`", bold())];
    lines.extend(text::rounds(&prediction.expected).into_iter().map(Line::raw));
    Text::from(lines)
}

/// W(t), from 0 to the end of the window.
fn draw_curve(frame: &mut Frame<'_>, area: Rect, curve: &Curve, style: Style) {
    let [head, below] = Layout::vertical([Constraint::Length(1), Constraint::Min(1)]).areas(area);
    frame.render_widget(Line::styled("Distinct pages dirtied after t", bold()), head);
    if !style.unicode {
        let lines = graph::curve(curve.points(), usize::from(below.width / 2), style.plain());
        // The last ones say most.
        let hidden = lines.len().saturating_sub(below.height.into());
        let shown: Text<'_> = lines.into_iter().skip(hidden).map(Line::raw).collect();
        return frame.render_widget(Paragraph::new(shown), below);
    }
    let (end, most) = curve.points().last().copied().unwrap_or_default();
    let most = most.max(1.0);
    let time =
        |share: f64| show_duration(Duration::try_from_secs_f64(share * end).unwrap_or_default());
    let how = if style.colour { Paint::new().fg(Color::Cyan) } else { Paint::new() };
    let line = Dataset::default()
        .marker(Marker::Braille)
        .graph_type(GraphType::Line)
        .style(how)
        .data(curve.points());
    let x = Axis::default().bounds([0.0, end]).labels(["0".to_owned(), time(0.5), time(1.0)]);
    let y = Axis::default().bounds([0.0, most]).labels(["0".to_owned(), count(most)]);
    let axis = faint();
    let chart = Chart::new(vec![line]).x_axis(x.style(axis)).y_axis(y.style(axis));
    frame.render_widget(chart.legend_position(None), below);
}
