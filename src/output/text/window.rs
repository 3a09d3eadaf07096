//! When a migration would cost least, for people.

use xenmig::history::profile::{Expected, LEAST_DAYS};
use xenmig::history::{Advice, Pattern, Profile, Window};
use xenmig::units::show_duration;

use super::{field, seconds};
use crate::outlook::Outlook;
use crate::output::Style;
use crate::output::table::{align, wrap};

/// Older than this, the past says that nobody records any more.
const STALE_S: i64 = 86_400;

pub fn window(outlook: &Outlook, style: Style) -> String {
    let mut text = format!("{}\n", style.strong(&outlook.past.domain.name));
    text += &field("History", &history(outlook), style);
    if let Some(now) = outlook.now() {
        text += &field("Now", &format!("downtime {}", seconds(now.downtime_s)), style);
    }
    text += &field("Budget", &budget(outlook), style);
    text + "\n" + &advice(outlook, style)
}

/// `14 days; the cost follows the time of day`
pub fn history(outlook: &Outlook) -> String {
    let days = outlook.days();
    let plural = if days == 1 { "" } else { "s" };
    let depends = match outlook.profile.as_ref().map(Profile::pattern) {
        None => String::new(),
        Some(Pattern::None) => "; the cost has no pattern by time".to_owned(),
        Some(Pattern::Daily) => "; the cost follows the time of day".to_owned(),
        Some(Pattern::Workdays) => "; the cost follows time of day and weekend".to_owned(),
        Some(Pattern::Weekly) => "; the cost follows the time of the week".to_owned(),
        Some(Pattern::Drifting) => {
            let minutes = outlook.profile.as_ref().map_or(0.0, Profile::drift) * 60.0;
            let way = if minutes > 0.0 { "later" } else { "earlier" };
            let minutes = minutes.abs();
            format!("; the cost follows a time of day that is {minutes:.0} min {way} each week")
        }
    };
    format!("{days} day{plural}{depends}")
}

/// `downtime 1.00 s, at 10 Gbit/s`
pub fn budget(outlook: &Outlook) -> String {
    let limit = |name: &str, limit: Option<std::time::Duration>| {
        limit.map(|limit| format!("{name} {}", show_duration(limit)))
    };
    let wanted = outlook.wanted;
    let limits = [limit("downtime", wanted.downtime), limit("total time", wanted.total)];
    let limits: Vec<_> = limits.into_iter().flatten().collect();
    let limits = if limits.is_empty() { "none".to_owned() } else { limits.join(", ") };
    format!("{limits}, at {}", outlook.link.bandwidth)
}

fn advice(outlook: &Outlook, style: Style) -> String {
    let advice = match said(outlook) {
        Some(said) => super::lines(wrap(&said, 0)),
        None => style.good("Cheapest") + "\n" + &super::lines(align(&rows(outlook), 2, 4)),
    };
    let stale = stale(outlook).map(|said| "\n".to_owned() + &super::lines(wrap(&said, 0)));
    advice + &stale.unwrap_or_default()
}

/// Why there are no windows; `None` when there are.
pub fn said(outlook: &Outlook) -> Option<String> {
    match &outlook.advice {
        Advice::Windows { .. } => None,
        Advice::AnyTime { expected } => {
            Some(format!("any time is as good as any other: {}", costs(expected)))
        }
        Advice::NoTime { least } => Some(format!(
            "no time in the next {} keeps the budget in nine cases of ten; at its best it is {}",
            show_duration(outlook.wanted.horizon),
            costs(least)
        )),
        Advice::TooShort { .. } => Some(format!(
            "the history is too short to recommend a time: at least {LEAST_DAYS} days are needed, \
             and two weeks to tell weekdays apart"
        )),
    }
}

/// Nobody should take last month's nights for tonight.
pub fn stale(outlook: &Outlook) -> Option<String> {
    let age = outlook.wanted.now_unix_s - outlook.last_seen()?;
    (age > STALE_S).then(|| {
        let age = show_duration(std::time::Duration::from_secs(age.unsigned_abs()));
        format!("The domain was last seen {age} before; is `xenmig record` running?")
    })
}

/// A row for each window, best first: none where another answer was given.
pub fn rows(outlook: &Outlook) -> Vec<Vec<String>> {
    match &outlook.advice {
        Advice::Windows { windows } => windows.iter().map(|window| row(outlook, window)).collect(),
        _ => Vec::new(),
    }
}

fn costs(expected: &Expected) -> String {
    let (likely, most) = (seconds(expected.downtime_s), seconds(expected.downtime_p90_s));
    format!("downtime {likely} (p90 {most})")
}

/// `Tue 6 Jan`, `03:10–03:50`, `downtime 80 ms (p90 140 ms)`, `seen on 14 days`
fn row(outlook: &Outlook, window: &Window) -> Vec<String> {
    let (from, to) = (outlook.local(window.from_unix_s), outlook.local(window.to_unix_s));
    let end = if from.date() == to.date() || window.to_unix_s - window.from_unix_s < 43_200 {
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
