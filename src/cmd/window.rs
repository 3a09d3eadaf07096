//! `xenmig window`: when would a migration of this domain cost least?

use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};
use xenmig::check::{Options, Policy};
use xenmig::config::Config;
use xenmig::history::prometheus::Prometheus;
use xenmig::history::store::FILE;
use xenmig::history::{Advice, HistoryStore, Past, Profile, Seen, Wanted, advise};
use xenmig::{Error, Kind, Result};

use super::quantity;
use crate::cli::{Global, Window};
use crate::output::{self, Style, Timing};
use crate::session::Memory;

/// What is older says nothing of now.
const LATELY: Duration = Duration::from_secs(1800);
/// The past that is asked for: a little more than is kept whole.
const PAST: i64 = 90 * 86_400;

pub fn run(args: &Window, global: &Global) -> Result<ExitCode> {
    let bandwidth = args.bandwidth.as_deref();
    let bandwidth = bandwidth.map(|b| quantity::bandwidth("--bandwidth", b)).transpose()?;
    let downtime = args.downtime.as_deref();
    let downtime = downtime.map(|l| quantity::time_limit("--downtime", l)).transpose()?;
    let total = args.total.as_deref().map(|l| quantity::time_limit("--total", l)).transpose()?;
    let horizon = quantity::time("--horizon", &args.horizon)?;
    let zone = TimeZone::system();
    let at = args.at.as_deref().map_or_else(|| Ok(Timestamp::now()), |at| moment(at, &zone))?;

    let memory = Memory::open(global)?;
    let (source, past) = past(args, memory.config(), at.as_second())?;
    // By its name, even if it was asked for by UUID.
    let mut settings = memory.settings(&past.domain.name);
    let learnt = memory.calibration();
    settings.budget.downtime = downtime.unwrap_or(settings.budget.downtime);
    settings.budget.total = total.unwrap_or(settings.budget.total);
    let options = Options {
        settings: &settings,
        calibration: learnt.as_ref(),
        bandwidth,
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
        now_unix_s: at.as_second(),
        horizon,
        downtime: settings.budget.downtime,
        total: settings.budget.total,
        count: args.count as usize,
    };
    let profile = Profile::learn(&costs, zone.clone());
    let advice = profile
        .as_ref()
        .map_or(Advice::TooShort { days: days(&past) }, |profile| advise(profile, &wanted));
    let timing = Timing {
        domain: &past.domain,
        source: &source,
        last_seen: past.observations.last().map(|seen| seen.at_unix_s),
        profile: profile.as_ref(),
        advice: &advice,
        now: lately(&costs, at.as_second()),
        wanted: &wanted,
        bandwidth: link.bandwidth,
        zone: &zone,
    };
    output::print(&if global.json {
        output::json::text(&timing.document())?
    } else {
        output::text::window(&timing, Style::stdout())
    })?;
    Ok(ExitCode::SUCCESS)
}

/// What was seen of the domain, and where that is from.
fn past(args: &Window, config: &Config, to: i64) -> Result<(String, Past)> {
    let stretch = (to - PAST, to);
    let unknown = |source: &str| {
        let what = format!("{source} has nothing of domain `{}`", args.domain);
        Error::new(Kind::NoSuchDomain, what)
            .hint("`xenmig record` has to have seen it; domains go by name or UUID here")
    };
    if let Some(url) = &args.prometheus {
        let past = Prometheus::new(url).past(&args.domain, stretch)?;
        return Ok((url.clone(), past.ok_or_else(|| unknown(url))?));
    }
    let file = args.store.clone().unwrap_or_else(|| config.state_dir().join(FILE));
    let source = file.display().to_string();
    let store = HistoryStore::read(&file)?.ok_or_else(|| no_log(&file))?;
    let domain = store.find(&args.domain)?.ok_or_else(|| unknown(&source))?;
    let observations = store.observations(domain.uuid, (i64::MIN, to))?;
    Ok((source, Past { domain, observations }))
}

fn no_log(file: &Path) -> Error {
    Error::new(Kind::Usage, format!("there is no log {}", file.display()))
        .hint("`xenmig record` keeps it; contrib/systemd has a unit for it")
}

/// The last cost before `unix_s`, if that was not long ago.
fn lately(costs: &[Seen], unix_s: i64) -> Option<Seen> {
    let last = costs.iter().rev().find(|seen| seen.at_unix_s <= unix_s)?;
    (unix_s - last.at_unix_s <= LATELY.as_secs() as i64).then_some(*last)
}

/// Days on which something was seen, roughly: what is too short is told in days.
fn days(past: &Past) -> usize {
    let days = past.observations.iter().map(|seen| seen.at_unix_s.div_euclid(86_400));
    let mut days: Vec<_> = days.collect();
    days.dedup();
    days.len()
}

/// A moment as the user writes it: with an offset or zone, or else in local time.
fn moment(text: &str, zone: &TimeZone) -> Result<Timestamp> {
    let local = || {
        let at = text.parse::<DateTime>()?;
        at.to_zoned(zone.clone())
    };
    text.parse::<Timestamp>()
        .or_else(|_| text.parse::<Zoned>().map(|at| at.timestamp()))
        .or_else(|_| local().map(|at| at.timestamp()))
        .map_err(|_| {
            let what = format!("--at: `{text}` is no time; write for instance 2026-01-20T18:00");
            Error::new(Kind::Usage, what)
        })
}
