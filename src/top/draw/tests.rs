//! Whole screens as a user sees them.

use std::time::Duration;

use insta::assert_snapshot;
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use super::*;
use crate::top::{Update, fixture};

/// The domains of the built-in host after some samples.
fn view() -> View {
    let mut view = View::new(Duration::from_secs(5));
    let mut snapshot = fixture::snapshot("builtin");
    for row in snapshot.rows.iter_mut().skip(1) {
        let now = row.rates[0];
        row.rates = (1..=12).map(|n| now * f64::from(n % 5) / 4.0).chain([now]).collect();
    }
    view.update(Update::Refreshed(snapshot));
    view
}

/// What stands in the way of sampling, each in its row.
fn obstructed() -> View {
    let mut view = View::new(Duration::from_secs(5));
    let scene = include_str!("../../../tests/common/faulty.toml");
    // A user's ^C would end it before its end.
    let scene = scene.replace("fault.interrupted_after = \"2500ms\"\n", "");
    view.update(Update::Refreshed(fixture::snapshot(&scene)));
    view
}

fn keys(mut view: View, keys: &str) -> View {
    for key in keys.chars() {
        let code = match key {
            '\n' => KeyCode::Enter,
            'v' => KeyCode::Down,
            key => KeyCode::Char(key),
        };
        assert!(view.key(KeyEvent::new(code, KeyModifiers::NONE)));
    }
    view
}

fn drawn(view: &View, width: u16, height: u16, style: Style) -> String {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    terminal.draw(|frame| draw(frame, view, style)).unwrap();
    let screen = terminal.backend().to_string();
    // Without the quotes and the spaces at the end of a line.
    let lines = screen.lines().map(|line| line.trim_matches('"').trim_end());
    lines.collect::<Vec<_>>().join("\n")
}

const UNICODE: Style = Style { colour: true, unicode: true };

#[test]
fn the_table_at_80_by_24() {
    assert_snapshot!(drawn(&keys(view(), "vvv"), 80, 24, UNICODE));
}

#[test]
fn the_table_at_120_by_40() {
    assert_snapshot!(drawn(&keys(view(), "ssss/b\n"), 120, 40, UNICODE));
}

#[test]
fn the_table_on_a_small_screen_without_unicode() {
    assert_snapshot!(drawn(&keys(view(), "v"), 50, 8, Style::PLAIN));
}

#[test]
fn what_cannot_be_sampled_says_why() {
    assert_snapshot!(drawn(&keys(obstructed(), "vvvvvv"), 80, 24, UNICODE));
}

#[test]
fn a_detail_at_80_by_24() {
    assert_snapshot!(drawn(&keys(view(), "vvv\n"), 80, 24, UNICODE));
}

#[test]
fn a_detail_at_120_by_40() {
    assert_snapshot!(drawn(&keys(view(), "vvvv\n"), 120, 40, UNICODE));
}

#[test]
fn a_detail_without_unicode() {
    assert_snapshot!(drawn(&keys(view(), "vv\n"), 80, 24, Style::PLAIN));
}

#[test]
fn the_help() {
    assert_snapshot!(drawn(&keys(view(), "?"), 80, 24, UNICODE));
}

#[test]
fn what_it_does_now_is_in_the_second_line() {
    let second = |view: &View| drawn(view, 80, 24, UNICODE).lines().nth(1).unwrap().to_owned();
    let mut view = view();
    assert_eq!(second(&view), "every 5.00 s · by ID, ascending");
    view.update(Update::Sampling(xenmig::host::DomId(3), 0.43));
    assert_eq!(second(&view), "every 5.00 s · by ID, ascending · sampling db 43 %");
    let view = keys(view, "ss/we");
    assert_eq!(second(&view), "filter: we▏");
    let view = keys(view, "\np");
    let said = "every 5.00 s · by VCPU, descending · only *we* · PAUSED, p goes on";
    assert_eq!(second(&view), said);
}

#[test]
fn a_verdict_has_its_colour_where_colour_is_wanted() {
    assert_eq!(paint(Verdict::NoGo, UNICODE).fg, Some(Color::Red));
    assert_eq!(paint(Verdict::NoGo, Style::PLAIN).fg, None);
}

#[test]
fn no_screen_is_too_small() {
    for (width, height) in [(1, 1), (3, 2), (10, 4), (20, 6), (200, 3), (10, 40)] {
        for keys in ["", "\n", "?", "/"] {
            drawn(&self::keys(view(), keys), width, height, UNICODE);
        }
    }
}
