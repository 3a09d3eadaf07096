//! What `window` found, for both kinds of output.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::Serialize;
use xenmig::history::profile::Expected;
use xenmig::history::{Advice, Logged, Pattern, Profile, Seen, Wanted, Window};
use xenmig::units::BytesPerSecond;

/// See the module.
pub struct Timing<'a> {
    pub domain: &'a Logged,
    /// Where the past is from.
    pub source: &'a str,
    /// When the domain was seen last, in seconds since 1970.
    pub last_seen: Option<i64>,
    /// `None` when the past is too short.
    pub profile: Option<&'a Profile>,
    pub advice: &'a Advice,
    /// What it would cost now; `None` when it was not looked at lately.
    pub now: Option<Seen>,
    pub wanted: &'a Wanted,
    pub bandwidth: BytesPerSecond,
    pub zone: &'a TimeZone,
}

/// `xenmig.window/1`
#[derive(Serialize)]
pub struct Document {
    schema: &'static str,
    domain: DomainPart,
    /// `windows`, `any_time`, `no_time` or `too_short`.
    advice: &'static str,
    /// Best first; empty unless `advice` is `windows`.
    windows: Vec<WindowPart>,
    /// What is to be expected at any time, or the least that it costs; null in other cases.
    expected: Option<Expected>,
    now_downtime_s: Option<f64>,
    /// What the cost depends on: `none`, `daily`, `workdays` or `weekly`; null when too short.
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

impl Timing<'_> {
    /// A moment with its offset, as 2026-01-06T03:10:00+01:00.
    fn written(&self, unix_s: i64) -> String {
        let at = Timestamp::from_second(unix_s).unwrap_or_default();
        let offset = self.zone.to_offset(at);
        at.display_with_offset(offset).to_string()
    }

    /// Days that the past has.
    pub fn days(&self) -> usize {
        match (self.advice, self.profile) {
            (Advice::TooShort { days }, _) => *days,
            (_, profile) => profile.map_or(0, Profile::days),
        }
    }

    pub fn document(&self) -> Document {
        let part = |window: &Window| WindowPart {
            from: self.written(window.from_unix_s),
            to: self.written(window.to_unix_s),
            expected: window.expected,
        };
        let (advice, windows, expected) = match self.advice {
            Advice::Windows { windows } => ("windows", windows.iter().map(part).collect(), None),
            Advice::AnyTime { expected } => ("any_time", Vec::new(), Some(*expected)),
            Advice::NoTime { least } => ("no_time", Vec::new(), Some(*least)),
            Advice::TooShort { .. } => ("too_short", Vec::new(), None),
        };
        let seconds = |limit: Option<std::time::Duration>| limit.map(|limit| limit.as_secs_f64());
        Document {
            schema: "xenmig.window/1",
            domain: DomainPart {
                name: self.domain.name.clone(),
                uuid: self.domain.uuid.to_string(),
            },
            advice,
            windows,
            expected,
            now_downtime_s: self.now.map(|now| now.downtime_s),
            pattern: self.profile.map(Profile::pattern),
            skill: self.profile.map(Profile::skill),
            days: self.days(),
            source: self.source.to_owned(),
            last_seen: self.last_seen.map(|at| self.written(at)),
            budget: BudgetPart {
                downtime_s: seconds(self.wanted.downtime),
                total_s: seconds(self.wanted.total),
            },
            bandwidth_bytes_per_s: self.bandwidth.get(),
        }
    }
}
