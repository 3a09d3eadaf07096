//! `xenmig report`: the past of the domains, drawn into one HTML file.

use std::collections::BTreeSet;
use std::fs::{self, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use jiff::Timestamp;
use xenmig::config::Config;
use xenmig::history::bandwidths::Limit;
use xenmig::history::{OutcomeRecord, OutcomeStore, Week, by_bandwidth, spread};
use xenmig::units::{BytesPerSecond, show_duration};
use xenmig::{Error, Kind, Result};

use super::quantity;
use super::viewing::Viewing;
use crate::cli::{Global, Report as Args};
use crate::outlook::{Outlook, Source, View};
use crate::output::report::{Portrait, Report};
use crate::output::{self, html};
use crate::progress::Progress;
use crate::session::Memory;

/// What the curves and the costs by bandwidth are from.
const LATELY_S: i64 = 7 * 86_400;
/// Samples that they are from at most.
const SAMPLES: usize = 300;
/// Samples of a domain that are looked at, evenly; each takes a good part of a millisecond.
const MOST: usize = 3000;
/// Bandwidths that are drawn, in bytes per second: from 100 Mbit/s ...
const SLOWEST: f64 = 12.5e6;
/// ... three decades on ...
const DECADES: i32 = 3;
/// ... in so many steps each.
const STEPS: i32 = 8;
/// A migration that takes longer does not count as one, where the budget has no limit of its own.
const TOTAL: Duration = Duration::from_secs(3600);

pub fn run(args: &Args, global: &Global) -> Result<ExitCode> {
    let past = quantity::time("--past", &args.past)?;
    let viewing = Viewing::open(&args.viewpoint, global)?;
    let report = gather(args, past, &viewing, global)?;
    if global.json {
        output::print(&output::json::text(&output::json::report(&report))?)?;
    } else {
        let page = html::report(&report)?;
        if args.output == Path::new("-") {
            output::print(&page)?;
        } else {
            replace(&args.output, &page)?;
            output::print(&wrote(&args.output, &report))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn gather(args: &Args, past: Duration, viewing: &Viewing, global: &Global) -> Result<Report> {
    let Viewing { view, source, .. } = viewing;
    let now = view.at.as_second();
    let since = now.saturating_sub(past.as_secs().min(1 << 40) as i64);
    let (since, now) = source.reach((since, now));
    let all = match args.domains.as_slice() {
        [] => source.domains((since, now))?,
        named => named.to_vec(),
    };
    let mut bar = Progress::new("reading the log".to_owned(), !global.quiet);
    let (mut domains, mut unseen, mut known) = (Vec::new(), Vec::new(), BTreeSet::new());
    for (nth, name) in all.iter().enumerate() {
        bar.set(nth as f64 / all.len() as f64);
        let past = viewing.past(name, (since, now))?;
        // It may have been named twice, by name and by UUID.
        if !known.insert(past.domain.uuid) {
            continue;
        }
        let past = past.lately(since, MOST);
        if past.observations.is_empty() {
            unseen.push(past.domain.name);
            continue;
        }
        domains.push(portrait(viewing.outlook(past)?));
    }
    drop(bar);
    if domains.is_empty() {
        return Err(nothing(args, source, past));
    }
    domains.sort_by(|a: &Portrait, b| a.outlook.past.domain.name.cmp(&b.outlook.past.domain.name));
    let own = own(args, view);
    Ok(Report {
        host: own.map(|_| rustix::system::uname().nodename().to_string_lossy().into_owned()),
        source: source.name(),
        at: view.at,
        since: Timestamp::from_second(since).unwrap_or(Timestamp::MIN),
        zone: view.zone.clone(),
        domains,
        unseen,
        migrations: own
            .map(|config| migrations(args, view, config))
            .transpose()?
            .unwrap_or_default(),
    })
}

/// This host's configuration, if its own log is drawn: another file may be another host's.
fn own<'a>(args: &Args, view: &'a View) -> Option<&'a Config> {
    match &view.memory {
        Memory::Real(config)
            if args.viewpoint.log.store.is_none() && args.viewpoint.log.prometheus.is_none() =>
        {
            Some(config)
        }
        _ => None,
    }
}

fn nothing(args: &Args, source: &Source, past: Duration) -> Error {
    let of = match args.domains.as_slice() {
        [] => String::new(),
        named => format!(" of {}", named.join(", ")),
    };
    let past = show_duration(past);
    Error::new(Kind::Usage, format!("{} has nothing{of} in the last {past}", source.name()))
        .hint("--past looks further back, --at from another time; is `xenmig record` running?")
}

fn portrait(outlook: Outlook) -> Portrait {
    let finish_spread = outlook.wanted.finish_spread;
    let week = Week::of(&outlook.costs, &outlook.zone, finish_spread);
    let last = outlook.last_seen().unwrap_or_default();
    let lately = outlook.past.lately(last - LATELY_S, SAMPLES);
    let looks: Vec<_> = lately.looks().collect();
    let limit = outlook
        .wanted
        .downtime
        .map(|downtime| Limit { downtime, total: outlook.wanted.total.unwrap_or(TOTAL) });
    let bandwidths = bandwidths(outlook.link.bandwidth);
    Portrait {
        week,
        dirtied: spread(&lately.observations),
        by_bandwidth: by_bandwidth(&looks, &outlook.link, &bandwidths, limit, finish_spread),
        outlook,
    }
}

/// Evenly on a logarithmic scale, with the link's own among them.
fn bandwidths(own: BytesPerSecond) -> Vec<BytesPerSecond> {
    let rate = |nth: i32| SLOWEST * 10f64.powf(f64::from(nth) / f64::from(STEPS));
    let mut all: Vec<_> = (0..=DECADES * STEPS).map(rate).filter_map(BytesPerSecond::new).collect();
    // What is nearly the same would stand twice in the table.
    all.retain(|rate| (rate.get() / own.get() - 1.0).abs() > 0.01);
    all.push(own);
    all.sort_by(|a, b| a.get().total_cmp(&b.get()));
    all
}

/// The migrations from this host that are remembered, up to the time of the report.
fn migrations(args: &Args, view: &View, config: &Config) -> Result<Vec<OutcomeRecord>> {
    let outcomes = OutcomeStore::new(config.state_dir());
    let read = outcomes.read()?;
    for skipped in &read.skipped {
        log::warn!("{}, line {}: {}", outcomes.path().display(), skipped.line, skipped.why);
    }
    let wanted = |record: &OutcomeRecord| {
        let named = |name: &String| *name == record.domain || *name == record.uuid;
        args.domains.is_empty() || args.domains.iter().any(named)
    };
    let past = |record: &OutcomeRecord| {
        i64::try_from(record.at_unix_s).is_ok_and(|at| at <= view.at.as_second())
    };
    Ok(read.records.into_iter().filter(wanted).filter(past).collect())
}

/// Writes the whole file or, when that fails, leaves what was there.
fn replace(path: &Path, page: &str) -> Result<()> {
    // A link keeps leading to its file; a device or a pipe is written to, not replaced.
    let file = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let special = fs::metadata(&file).is_ok_and(|found| !found.is_file() && !found.is_dir());
    let written = if special { fs::write(&file, page) } else { replace_file(&file, page) };
    written.map_err(|cause| {
        Error::file(path, "write", cause).hint("--output names another file, - is stdout")
    })
}

fn replace_file(path: &Path, page: &str) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let mut file = tempfile::Builder::new()
        .permissions(Permissions::from_mode(0o666))
        .tempfile_in(folder.unwrap_or(Path::new(".")))?;
    file.write_all(page.as_bytes())?;
    file.as_file().sync_all()?;
    file.persist(path).map(drop).map_err(|error| error.error)
}

fn wrote(path: &Path, report: &Report) -> String {
    let domains = report.domains.len();
    let plural = if domains == 1 { "" } else { "s" };
    format!("Wrote {}: {domains} domain{plural}.\n", path.display())
}
