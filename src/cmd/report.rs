//! `xenmig report`: the past of the domains, drawn into one HTML file.

use std::fs::Permissions;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use jiff::Timestamp;
use xenmig::config::Settings;
use xenmig::history::bandwidths::Limit;
use xenmig::history::{OutcomeRecord, OutcomeStore, Week, by_bandwidth, spread};
use xenmig::units::{BytesPerSecond, show_duration};
use xenmig::{Error, Kind, Result};

use super::{quantity, sampling};
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
/// A migration that sends on for longer does not count as moving the guest.
const DEADLINE: Duration = Duration::from_secs(3600);

pub fn run(args: &Args, global: &Global) -> Result<ExitCode> {
    sampling::with_time_budget(Settings::default(), &args.budget)?;
    let at = quantity::moment("--at", args.at.as_deref())?;
    let past = quantity::time("--past", &args.past)?;
    let bandwidth = args.bandwidth.as_deref();
    let bandwidth = bandwidth.map(|b| quantity::bandwidth("--bandwidth", b)).transpose()?;
    let view = View { bandwidth, ..View::new(Memory::open(global)?, at) };
    let source = Source::open(&args.log, view.memory.config())?;

    let report = gather(args, past, &view, &source, global)?;
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

fn gather(
    args: &Args,
    past: Duration,
    view: &View,
    source: &Source,
    global: &Global,
) -> Result<Report> {
    let since = view.at.as_second().saturating_sub(past.as_secs().min(1 << 40) as i64);
    let stretch = (since, view.at.as_second());
    let known = source.domains(stretch)?;
    let names = if args.domains.is_empty() { &known } else { &args.domains };
    let mut bar = Progress::new("reading the log".to_owned(), !global.quiet);
    let (mut domains, mut unseen) = (Vec::new(), Vec::new());
    for (nth, name) in names.iter().enumerate() {
        bar.set(nth as f64 / names.len() as f64);
        let past = source.past(name, stretch)?.ok_or_else(|| source.unknown(name))?;
        if past.observations.is_empty() {
            unseen.push(past.domain.name);
            continue;
        }
        let settings = view.memory.settings(&past.domain.name);
        let settings = sampling::with_time_budget(settings, &args.budget)?;
        let past = past.lately(since, MOST);
        domains.push(portrait(Outlook::new(past, source, view, &settings)?));
    }
    drop(bar);
    if domains.is_empty() {
        let what = format!(
            "{} has nothing of the last {} before {}",
            source.name(),
            show_duration(past),
            view.at.to_zoned(view.zone.clone()).strftime("%F %H:%M"),
        );
        return Err(Error::new(Kind::Usage, what)
            .hint("is `xenmig record` running? --past looks further back"));
    }
    domains.sort_by(|a: &Portrait, b| a.outlook.past.domain.name.cmp(&b.outlook.past.domain.name));
    // A simulated host's log is of this machine only by its place.
    let host = match (&view.memory, source) {
        (Memory::Real(_), Source::Log(_)) => Some(rustix::system::uname().nodename().to_owned()),
        _ => None,
    };
    Ok(Report {
        host: host.map(|name| name.to_string_lossy().into_owned()),
        source: source.name(),
        at: view.at,
        since: Timestamp::from_second(since).unwrap_or(Timestamp::MIN),
        zone: view.zone.clone(),
        domains,
        unseen,
        migrations: migrations(args, view, source)?,
    })
}

fn portrait(outlook: Outlook) -> Portrait {
    let week = Week::of(&outlook.costs, &outlook.zone);
    let last = outlook.last_seen().unwrap_or_default();
    let lately = outlook.past.lately(last - LATELY_S, SAMPLES);
    let looks: Vec<_> = lately.looks().collect();
    let limit = outlook
        .wanted
        .downtime
        .map(|downtime| Limit { downtime, deadline: outlook.wanted.total.unwrap_or(DEADLINE) });
    let bandwidths = bandwidths(outlook.link.bandwidth);
    Portrait {
        week,
        dirtied: spread(&lately.observations),
        by_bandwidth: by_bandwidth(&looks, &outlook.link, &bandwidths, limit),
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

/// The migrations from this host that are remembered; none where the past is from elsewhere.
fn migrations(args: &Args, view: &View, source: &Source) -> Result<Vec<OutcomeRecord>> {
    let (Memory::Real(config), Source::Log(_)) = (&view.memory, source) else {
        return Ok(Vec::new());
    };
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
    let write = || {
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
        let mut file = tempfile::Builder::new()
            .permissions(Permissions::from_mode(0o666))
            .tempfile_in(folder.unwrap_or(Path::new(".")))?;
        file.write_all(page.as_bytes())?;
        file.as_file().sync_all()?;
        file.persist(path).map_err(|error| error.error)
    };
    write().map(drop).map_err(|cause| {
        Error::file(path, "write", cause).hint("--output names another file, - is stdout")
    })
}

fn wrote(path: &Path, report: &Report) -> String {
    let domains = report.domains.len();
    let plural = if domains == 1 { "" } else { "s" };
    format!("Wrote {}: {domains} domain{plural}.\n", path.display())
}
