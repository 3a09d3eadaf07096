//! What the keys do to what is shown.

use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use super::*;
use crate::top::fixture;

fn view() -> View {
    let mut view = View::new(Duration::from_secs(5));
    view.update(Update::Refreshed(fixture::snapshot("builtin")));
    view
}

/// Presses keys; `false` when the last of them quits.
fn press(view: &mut View, codes: &[KeyCode]) -> bool {
    let press = |code: &KeyCode| view.key(KeyEvent::new(*code, KeyModifiers::NONE));
    codes.iter().map(press).last().unwrap_or(true)
}

fn type_text(view: &mut View, text: &str) -> bool {
    press(view, &text.chars().map(KeyCode::Char).collect::<Vec<_>>())
}

fn names(view: &View) -> Vec<String> {
    view.rows().iter().map(|row| row.name()).collect()
}

fn selected(view: &View) -> String {
    view.selected().map(Row::name).unwrap_or_default()
}

#[test]
fn s_goes_through_the_columns_and_r_turns_the_order_round() {
    let mut view = view();
    assert_eq!(names(&view), ["Domain-0", "idle", "web", "db", "batch"]);
    type_text(&mut view, "s");
    assert_eq!(names(&view), ["Domain-0", "batch", "db", "idle", "web"]);
    type_text(&mut view, "r");
    assert_eq!(names(&view), ["web", "idle", "db", "batch", "Domain-0"]);
    type_text(&mut view, "ss");
    assert_eq!((view.sort, names(&view)[0].as_str()), (Column::Memory, "db"));
}

#[test]
fn the_selection_stays_with_its_domain_when_the_order_changes() {
    let mut view = view();
    assert_eq!(selected(&view), "Domain-0");
    press(&mut view, &[KeyCode::Down, KeyCode::Down]);
    assert_eq!(selected(&view), "web");
    type_text(&mut view, "s");
    assert_eq!((selected(&view), view.position()), ("web".to_owned(), Some(4)));
    press(&mut view, &[KeyCode::Down]);
    assert_eq!(selected(&view), "web", "it is the last");
    press(&mut view, &[KeyCode::Home]);
    assert_eq!(selected(&view), "Domain-0");
    press(&mut view, &[KeyCode::End, KeyCode::Up]);
    assert_eq!(selected(&view), "idle");
}

#[test]
fn the_filter_shows_names_that_contain_it_in_any_case() {
    let mut view = view();
    type_text(&mut view, "/B");
    assert_eq!(names(&view), ["web", "db", "batch"]);
    assert_eq!(selected(&view), "web");
    type_text(&mut view, "q");
    assert!(names(&view).is_empty() && view.selected().is_none());
    press(&mut view, &[KeyCode::Backspace, KeyCode::Enter, KeyCode::Down]);
    assert_eq!((view.mode, selected(&view).as_str()), (Mode::Table, "db"));
    press(&mut view, &[KeyCode::Esc]);
    assert_eq!((names(&view).len(), selected(&view).as_str()), (5, "db"));
    type_text(&mut view, "/we");
    press(&mut view, &[KeyCode::Esc]);
    assert_eq!((view.mode, names(&view).len()), (Mode::Table, 5));
}

#[test]
fn a_pause_holds_what_is_shown() {
    let mut view = view();
    type_text(&mut view, " ");
    let empty = Snapshot { rows: Vec::new(), ..fixture::snapshot("builtin") };
    view.update(Update::Looked(empty.clone()));
    assert_eq!(names(&view).len(), 5);
    type_text(&mut view, "p");
    view.update(Update::Looked(empty));
    assert!(names(&view).is_empty());
}

#[test]
fn a_domain_that_goes_closes_its_detail_and_the_next_one_is_selected() {
    let mut view = view();
    press(&mut view, &[KeyCode::Down, KeyCode::Enter]);
    assert_eq!((view.mode, selected(&view).as_str()), (Mode::Detail, "idle"));
    let mut without = fixture::snapshot("builtin");
    without.rows.remove(1);
    view.update(Update::Refreshed(without));
    assert_eq!((view.mode, selected(&view).as_str()), (Mode::Table, "web"));
}

#[test]
fn keys_lead_into_detail_and_help_and_back_and_out() {
    let mut view = view();
    for (key, mode) in [
        (KeyCode::Enter, Mode::Detail),
        (KeyCode::Esc, Mode::Table),
        (KeyCode::Char('?'), Mode::Help),
        (KeyCode::Esc, Mode::Table),
    ] {
        assert!(press(&mut view, &[key]));
        assert_eq!(view.mode, mode);
    }
    assert!(!type_text(&mut view, "q"));
    assert!(type_text(&mut view, "/q"), "it is part of the filter");
    assert!(!view.key(KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL)));
}
