//! When a migration would cost least, for people.

use jiff::{Timestamp, Zoned};
use xenmig::history::profile::{Expected, LEAST_DAYS};
use xenmig::history::{Advice, Pattern, Profile, Window};
use xenmig::units::show_duration;

use super::{field, seconds};
use crate::output::table::{align, wrap};
use crate::output::{Style, Timing};

/// Older than this, the past says that nobody records any more.
const STALE_S: i64 = 86_400;

pub fn window(timing: &Timing<'_>, style: Style) -> String {
    let mut text = format!("{}\n", style.strong(&timing.domain.name));
    text += &field("History", &history(timing), style);
    if let Some(now) = timing.now {
        text += &field("Now", &format!("downtime {}", seconds(now.downtime_s)), style);
    }
    text += &field("Budget", &budget(timing), style);
    text + "\n" + &advice(timing, style)
}

fn history(timing: &Timing<'_>) -> String {
    let days = timing.days();
    let plural = if days == 1 { "" } else { "s" };
    let depends = match timing.profile.map(Profile::pattern) {
        None => String::new(),
        Some(Pattern::None) => "; the cost has no pattern by time".to_owned(),
        Some(Pattern::Daily) => "; the cost follows the time of day".to_owned(),
        Some(Pattern::Workdays) => "; the cost follows time of day and weekend".to_owned(),
        Some(Pattern::Weekly) => "; the cost follows the time of the week".to_owned(),
    };
    format!("{days} day{plural}{depends}")
}

fn budget(timing: &Timing<'_>) -> String {
    let limit = |name: &str, limit: Option<std::time::Duration>| {
        limit.map(|limit| format!("{name} {}", show_duration(limit)))
    };
    let wanted = timing.wanted;
    let limits = [limit("downtime", wanted.downtime), limit("total time", wanted.total)];
    let limits: Vec<_> = limits.into_iter().flatten().collect();
    let limits = if limits.is_empty() { "none".to_owned() } else { limits.join(", ") };
    format!("{limits}, at {}", timing.bandwidth)
}

fn advice(timing: &Timing<'_>, style: Style) -> String {
    let said = match timing.advice {
        Advice::Windows { windows } => {
            let rows: Vec<_> = windows.iter().map(|window| row(timing, window)).collect();
            return style.good("Cheapest")
                + "\n"
                + &super::lines(align(&rows, 2, 4))
                + &stale(timing);
        }
        Advice::AnyTime { expected } => {
            format!("any time is as good as any other: {}", costs(expected))
        }
        Advice::NoTime { least } => format!(
            "no time in the next {} keeps the budget in nine cases of ten; at its best it is {}",
            show_duration(timing.wanted.horizon),
            costs(least)
        ),
        Advice::TooShort { .. } => format!(
            "the history is too short to recommend a time: at least {LEAST_DAYS} days are needed, \
             and two weeks to tell weekdays apart"
        ),
    };
    super::lines(wrap(&said, 0)) + &stale(timing)
}

/// Nobody should take last month's nights for tonight.
fn stale(timing: &Timing<'_>) -> String {
    let age = timing.last_seen.map(|at| timing.wanted.now_unix_s - at);
    match age.filter(|age| *age > STALE_S) {
        None => String::new(),
        Some(age) => {
            let age = show_duration(std::time::Duration::from_secs(age.unsigned_abs()));
            let said =
                format!("The domain was last seen {age} before; is `xenmig record` running?");
            "\n".to_owned() + &super::lines(wrap(&said, 0))
        }
    }
}

fn costs(expected: &Expected) -> String {
    let (likely, most) = (seconds(expected.downtime_s), seconds(expected.downtime_p90_s));
    format!("downtime {likely} (p90 {most})")
}

/// `Tue 6 Jan`, `03:10–03:50`, `downtime 80 ms (p90 140 ms)`, `seen on 14 days`
fn row(timing: &Timing<'_>, window: &Window) -> Vec<String> {
    let local = |unix_s| {
        let at = Timestamp::from_second(unix_s).unwrap_or_default();
        Zoned::new(at, timing.zone.clone())
    };
    let (from, to) = (local(window.from_unix_s), local(window.to_unix_s));
    let end = if from.date() == to.date() || window.to_unix_s - window.from_unix_s < 86_400 {
        to.strftime("%H:%M").to_string()
    } else {
        to.strftime("%a %-d %b %H:%M").to_string()
    };
    vec![
        from.strftime("%a %-d %b").to_string(),
        format!("{}–{end}", from.strftime("%H:%M")),
        costs(&window.expected),
        format!("seen on {} days", window.expected.days),
    ]
}
