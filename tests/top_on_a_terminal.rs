//! `xenmig top` as a user sees it, in a real terminal.
#![allow(clippy::unwrap_used, reason = "these are tests")]

mod common;
#[path = "common/tmux.rs"]
mod tmux;

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};
use std::{fs, thread};

use common::Place;
use tmux::Tmux;

/// Long windows in real time, so that it is always sampling.
const SLOW: &str = "real_time = true\nlink = '10Gbit/s'\n\
                    [[domain]]\nname = 'slow'\nmemory = '1GiB'\nsetup.can_suspend = true\n";

/// The program in a shell of the terminal; the shell tells how it ended.
fn start(tmux: &Tmux, arguments: &str) {
    let xenmig = env!("CARGO_BIN_EXE_xenmig");
    let run = format!("exec {xenmig} --config /dev/null -v {arguments}");
    tmux.line(&format!("echo before; sh -c 'echo $$ > pid; {run}'; echo ended with $?"));
}

/// The lines of the table, from the first domain on.
fn names(screen: &str) -> Vec<String> {
    let below = screen.lines().skip_while(|line| !line.contains("VERDICT")).skip(1);
    let rows = below.take_while(|line| !line.trim().is_empty());
    rows.filter_map(|line| line.trim_start_matches("▸").split_whitespace().nth(1))
        .map(str::to_owned)
        .collect()
}

/// The terminal is the user's again: their screen, cursor, echo and line editing.
#[track_caller]
fn is_given_back(tmux: &Tmux, place: &Place, status: u8) {
    let screen = tmux.shows(&format!("ended with {status}"));
    assert!(screen.contains("before"), "{screen}");
    assert!(!screen.contains("VERDICT"), "{screen}");
    assert_eq!(tmux.says("#{alternate_on} #{cursor_flag}"), "0 1");
    tmux.line("stty -a > modes; echo written=$?");
    tmux.shows("written=0");
    let modes = fs::read_to_string(place.path("modes")).unwrap();
    for on in [" icanon", " echo ", "isig"] {
        assert!(modes.contains(on) && !modes.contains("-isig"), "{modes}");
    }
}

fn signal(place: &Place, name: &str) {
    let pid = fs::read_to_string(place.path("pid")).unwrap();
    assert!(Command::new("kill").args([name, pid.trim()]).status().unwrap().success());
}

#[test]
fn sort_filter_detail_help_pause_and_quit() {
    let place = Place::new();
    let Some(tmux) = Tmux::start(&place) else { return };
    start(&tmux, "--host sim top --interval 200ms");
    let sampled = |screen: &str| {
        let unknown = |line: &str| line.contains("sampl");
        names(screen).len() == 5 && !screen.lines().skip(2).any(unknown)
    };
    let screen = tmux.until("five domains, all sampled", sampled);
    assert_eq!(names(&screen), ["Domain-0", "idle", "web", "db", "batch"]);
    for said in ["64.0 GiB free, 5 domains", "DOWNTIME", "no-go", "▸   0 Domain-0"] {
        assert!(screen.contains(said), "no `{said}` in:\n{screen}");
    }
    assert!(screen.lines().all(|line| line.chars().count() <= 80));

    tmux.press(&["s"]);
    let screen = tmux.shows("by NAME, ascending");
    assert_eq!(names(&screen), ["Domain-0", "batch", "db", "idle", "web"]);
    tmux.press(&["r"]);
    let screen = tmux.shows("by NAME, descending");
    assert_eq!(names(&screen), ["web", "idle", "db", "batch", "Domain-0"]);

    tmux.press(&["/", "B"]);
    let screen = tmux.shows("filter: B");
    assert_eq!(names(&screen), ["web", "db", "batch"]);
    tmux.press(&["Enter", "Down"]);
    tmux.until("a mark at db", |screen| {
        screen.contains("only *B*") && screen.lines().any(|line| line.starts_with("▸   3 db"))
    });

    tmux.press(&["Enter"]);
    let said =
        ["Distinct pages dirtied after t", "db (domain 3)", "stopped", "Budget", "10.0 Gbit/s"];
    // The terminal may be looked at while it is being drawn.
    tmux.until("the detail of db", |screen| {
        said.iter().chain(&["expected: "]).all(|said| screen.contains(said))
    });
    tmux.press(&["Escape"]);
    tmux.shows("VERDICT");
    tmux.press(&["?"]);
    tmux.shows("sort by the next column");
    tmux.press(&["x", "p"]);
    tmux.shows("PAUSED");
    tmux.press(&["p", "Escape"]);
    tmux.until("all domains", |screen| names(screen).len() == 5 && !screen.contains("PAUSED"));

    tmux.press(&["q"]);
    is_given_back(&tmux, &place, 0);
}

#[test]
fn it_fills_a_larger_screen_and_fits_a_smaller_one() {
    let place = Place::new();
    let Some(tmux) = Tmux::start(&place) else { return };
    start(&tmux, "--host sim top --interval 200ms");
    tmux.until("a table", |screen| screen.contains("VCPU") && !screen.contains("WHY"));
    tmux.resize(130, 30);
    tmux.shows("WHY");
    tmux.resize(50, 10);
    tmux.until("fewer columns", |screen| screen.contains("VERDICT") && !screen.contains("VCPU"));
    tmux.press(&["C-c"]);
    is_given_back(&tmux, &place, 0);
}

/// A signal in the midst of a sample.
fn signalled(name: &str) {
    let place = Place::new().file("slow.toml", SLOW);
    let Some(tmux) = Tmux::start(&place) else { return };
    start(&tmux, "--host sim:slow.toml top --window 60s");
    tmux.shows("sampling slow");
    let sent = Instant::now();
    signal(&place, name);
    let screen = tmux.shows("ended with 130");
    assert!(sent.elapsed().as_secs() < 5, "{:?}", sent.elapsed());
    assert!(screen.contains("the dirty log of domain 1 is off"), "{screen}");
    is_given_back(&tmux, &place, 130);
}

#[test]
fn sigterm_gives_the_terminal_back_and_leaves_no_log_on() {
    signalled("-TERM");
}

#[test]
fn sighup_gives_the_terminal_back_and_leaves_no_log_on() {
    signalled("-HUP");
}

#[test]
fn q_in_the_midst_of_a_sample_leaves_no_log_on() {
    let place = Place::new().file("slow.toml", SLOW);
    let Some(tmux) = Tmux::start(&place) else { return };
    start(&tmux, "--host sim:slow.toml top --window 60s");
    tmux.shows("sampling slow");
    tmux.press(&["q"]);
    assert!(tmux.shows("ended with 0").contains("the dirty log of domain 1 is off"));
}

#[test]
fn a_terminal_that_goes_away_ends_it() {
    let place = Place::new().file("slow.toml", SLOW);
    let Some(tmux) = Tmux::start(&place) else { return };
    start(&tmux, "--host sim:slow.toml top --window 60s");
    tmux.shows("sampling slow");
    let pid = fs::read_to_string(place.path("pid")).unwrap();
    let stat = Path::new("/proc").join(pid.trim()).join("stat");
    // One that has ended may wait there for whoever asks how.
    let runs = || fs::read_to_string(&stat).is_ok_and(|stat| !stat.contains(") Z "));
    assert!(runs());
    tmux.hang_up();
    let begun = Instant::now();
    while runs() {
        assert!(begun.elapsed() < Duration::from_secs(5), "it still runs");
        thread::sleep(Duration::from_millis(30));
    }
}

#[test]
fn an_error_is_shown_on_the_users_own_screen() {
    let place = Place::new();
    let Some(tmux) = Tmux::start(&place) else { return };
    start(&tmux, "--host sim:none.toml top");
    let screen = tmux.shows("ended with 65");
    assert!(screen.contains("error: ") && screen.contains("none.toml"), "{screen}");
}

#[test]
fn what_is_logged_waits_until_the_end() {
    let place = Place::new().file("faulty.toml", common::FAULTY);
    let Some(tmux) = Tmux::start(&place) else { return };
    start(&tmux, "--host sim:faulty.toml top --interval 200ms");
    // The scene presses ^C at last.
    let screen = tmux.shows("ended with 130");
    assert!(screen.contains("left its dirty log on; switched off"), "{screen}");
    assert!(screen.contains("the dirty log of domain 10 is off"), "{screen}");
}
