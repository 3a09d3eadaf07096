//! The document `xenmig.window/1`: when a migration would cost least.

use serde::Serialize;
use xenmig::history::profile::Expected;
use xenmig::history::{Advice, Pattern, Profile, Window};

use crate::outlook::Outlook;

#[derive(Serialize)]
pub struct WindowDocument {
    schema: &'static str,
    domain: DomainPart,
    /// `windows`, `any_time`, `no_time` or `too_short`.
    advice: &'static str,
    /// Best first; empty unless `advice` is `windows`.
    windows: Vec<WindowPart>,
    /// What is to be expected at any time, or the least that it costs; null in other cases.
    expected: Option<Expected>,
    now_downtime_s: Option<f64>,
    /// What the cost depends on: `none`, `daily`, `workdays`, `weekly` or `drifting`; null when too short.
    pattern: Option<Pattern>,
    /// Share of the error of foretelling that the pattern takes away.
    skill: Option<f64>,
    days: usize,
    source: String,
    last_seen: Option<String>,
    budget: BudgetPart,
    bandwidth_bytes_per_s: f64,
}

#[derive(Serialize)]
struct DomainPart {
    name: String,
    uuid: String,
}

#[derive(Serialize)]
struct WindowPart {
    from: String,
    to: String,
    #[serde(flatten)]
    expected: Expected,
}

#[derive(Serialize)]
struct BudgetPart {
    downtime_s: Option<f64>,
    total_s: Option<f64>,
}

/// A moment with its offset, as 2026-01-06T03:10:00+01:00.
fn written(outlook: &Outlook, unix_s: i64) -> String {
    super::written(unix_s, &outlook.zone)
}

/// `xenmig.window/1`
pub fn window(outlook: &Outlook) -> WindowDocument {
    let part = |window: &Window| WindowPart {
        from: written(outlook, window.from_unix_s),
        to: written(outlook, window.to_unix_s),
        expected: window.expected,
    };
    let (advice, windows, expected) = match &outlook.advice {
        Advice::Windows { windows } => ("windows", windows.iter().map(part).collect(), None),
        Advice::AnyTime { expected } => ("any_time", Vec::new(), Some(*expected)),
        Advice::NoTime { least } => ("no_time", Vec::new(), Some(*least)),
        Advice::TooShort { .. } => ("too_short", Vec::new(), None),
    };
    let seconds = |limit: Option<std::time::Duration>| limit.map(|limit| limit.as_secs_f64());
    let (domain, profile) = (&outlook.past.domain, outlook.profile.as_ref());
    WindowDocument {
        schema: "xenmig.window/1",
        domain: DomainPart { name: domain.name.clone(), uuid: domain.uuid.to_string() },
        advice,
        windows,
        expected,
        now_downtime_s: outlook.now().map(|now| now.downtime_s),
        pattern: profile.map(Profile::pattern),
        skill: profile.map(Profile::skill),
        days: outlook.days(),
        source: outlook.source.clone(),
        last_seen: outlook.last_seen().map(|at| written(outlook, at)),
        budget: BudgetPart {
            downtime_s: seconds(outlook.wanted.downtime),
            total_s: seconds(outlook.wanted.total),
        },
        bandwidth_bytes_per_s: outlook.link.bandwidth.get(),
    }
}
