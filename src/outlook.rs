//! What the past of a domain says of its future: what `window` and `report` show.

use std::path::Path;
use std::time::Duration;

use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};
use xenmig::check::{Options, Policy};
use xenmig::config::{Config, Settings};
use xenmig::history::prometheus::Prometheus;
use xenmig::history::store::FILE;
use xenmig::history::{Advice, Calibration, HistoryStore, Past, Profile, Seen, Wanted, advise};
use xenmig::model::Link;
use xenmig::units::BytesPerSecond;
use xenmig::{Error, Kind, Result};

use crate::cli::Log;
use crate::session::Memory;

/// What is older says nothing of now.
const LATELY: Duration = Duration::from_secs(1800);
/// The most that a Prometheus is asked for; what is older says little.
const PAST_S: i64 = 90 * 86_400;

/// Where the past is kept.
pub enum Source {
    Log(HistoryStore),
    Server(Prometheus),
}

impl Source {
    /// The source that the user named, or else the log that the configuration names.
    pub fn open(asked: &Log, config: &Config) -> Result<Self> {
        if let Some(url) = &asked.prometheus {
            return Ok(Self::Server(Prometheus::new(url)));
        }
        let file = asked.store.clone().unwrap_or_else(|| config.state_dir().join(FILE));
        HistoryStore::read(&file)?.map(Self::Log).ok_or_else(|| no_log(&file))
    }

    /// What to call it.
    pub fn name(&self) -> String {
        match self {
            Self::Log(store) => store.path().display().to_string(),
            Self::Server(server) => server.url().to_owned(),
        }
    }

    /// What of a stretch of time it is asked for.
    pub fn reach(&self, (from, to): (i64, i64)) -> (i64, i64) {
        match self {
            Self::Log(_) => (from, to),
            Self::Server(_) => (from.max(to - PAST_S), to),
        }
    }

    /// The UUIDs of all domains of which it may know something between two times.
    pub fn domains(&self, stretch: (i64, i64)) -> Result<Vec<String>> {
        match self {
            Self::Log(store) => {
                Ok(store.domains()?.iter().map(|logged| logged.uuid.to_string()).collect())
            }
            Self::Server(server) => Ok(server.domains(self.reach(stretch))?.into_iter().collect()),
        }
    }

    /// What was seen between two times of the domain of that name or UUID; `None` when it is not
    /// known.
    pub fn past(&self, domain: &str, stretch: (i64, i64)) -> Result<Option<Past>> {
        match self {
            Self::Log(store) => store
                .find(domain)?
                .map(|domain| {
                    let observations = store.observations(domain.uuid, stretch)?;
                    Ok(Past { domain, observations })
                })
                .transpose(),
            Self::Server(server) => server.past(domain, self.reach(stretch)),
        }
    }

    /// The error for a domain that it does not know.
    pub fn unknown(&self, domain: &str) -> Error {
        Error::new(Kind::NoSuchDomain, format!("{} has nothing of domain `{domain}`", self.name()))
            .hint("`xenmig record` has to have seen it; domains go by name or UUID here")
    }
}

fn no_log(file: &Path) -> Error {
    Error::new(Kind::Usage, format!("there is no log {}", file.display()))
        .hint("`xenmig record` keeps it; contrib/systemd has a unit for it")
}

/// What is the same for all outlooks of a run.
pub struct View {
    pub memory: Memory,
    /// What earlier migrations showed, if there were any.
    pub learnt: Option<Calibration>,
    pub zone: TimeZone,
    /// What counts as now.
    pub at: Timestamp,
    /// How far to look.
    pub horizon: Duration,
    /// Windows to name.
    pub count: usize,
    /// The user gave it.
    pub bandwidth: Option<BytesPerSecond>,
}

impl View {
    pub fn new(memory: Memory, at: Timestamp) -> Self {
        let learnt = memory.calibration();
        let (zone, horizon) = (TimeZone::system(), Duration::from_secs(7 * 86_400));
        Self { memory, learnt, zone, at, horizon, count: 3, bandwidth: None }
    }
}

/// The future of one domain.
pub struct Outlook {
    pub past: Past,
    /// Where the past is from.
    pub source: String,
    /// The way that a migration would go.
    pub link: Link,
    /// What a migration would have cost each time.
    pub costs: Vec<Seen>,
    /// `None` when the past is too short.
    pub profile: Option<Profile>,
    pub advice: Advice,
    pub wanted: Wanted,
    pub zone: TimeZone,
}

impl Outlook {
    /// What `past` says of migrations that `settings` allow.
    pub fn new(past: Past, source: &Source, view: &View, settings: &Settings) -> Result<Self> {
        let options = Options {
            settings,
            calibration: view.learnt.as_ref(),
            bandwidth: view.bandwidth,
            sample_anyway: false,
            policy: Policy::Stock,
            target: None,
        };
        let link = options.link().ok_or_else(|| {
            Error::new(Kind::Usage, "nothing can be predicted without a bandwidth")
                .hint("give --bandwidth, or `link.bandwidth` in the configuration")
        })?;
        let costs = past.costs(&link);
        let wanted = Wanted {
            now_unix_s: view.at.as_second(),
            horizon: view.horizon,
            downtime: settings.budget.downtime,
            total: settings.budget.total,
            count: view.count,
            finish_spread: options.finish_spread(),
        };
        let profile = Profile::learn(&costs, view.zone.clone());
        let advice = profile
            .as_ref()
            .map_or(Advice::TooShort { days: days(&past) }, |profile| advise(profile, &wanted));
        let (source, zone) = (source.name(), view.zone.clone());
        Ok(Self { past, source, link, costs, profile, advice, wanted, zone })
    }

    /// What it would cost now; `None` when it was not looked at lately.
    pub fn now(&self) -> Option<Seen> {
        let now = self.wanted.now_unix_s;
        let last = self.costs.iter().rev().find(|seen| seen.at_unix_s <= now)?;
        (now - last.at_unix_s <= LATELY.as_secs() as i64).then_some(*last)
    }

    /// When the domain was seen last, in seconds since 1970.
    pub fn last_seen(&self) -> Option<i64> {
        self.past.observations.last().map(|seen| seen.at_unix_s)
    }

    /// See [`local`].
    pub fn local(&self, unix_s: i64) -> Zoned {
        local(unix_s, &self.zone)
    }

    /// Days that the past has.
    pub fn days(&self) -> usize {
        match (&self.advice, &self.profile) {
            (Advice::TooShort { days }, _) => *days,
            (_, profile) => profile.as_ref().map_or(0, Profile::days),
        }
    }
}

/// A moment, in seconds since 1970, as clocks of `zone` show it.
pub fn local(unix_s: i64, zone: &TimeZone) -> Zoned {
    Timestamp::from_second(unix_s).unwrap_or_default().to_zoned(zone.clone())
}

/// Days on which something was seen, roughly: what is too short is told in days.
fn days(past: &Past) -> usize {
    let days = past.observations.iter().map(|seen| seen.at_unix_s.div_euclid(86_400));
    let mut days: Vec<_> = days.collect();
    days.dedup();
    days.len()
}
