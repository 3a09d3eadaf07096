//! A check: the verdict with its reasons, then what it rests on.

use xenmig::check::{BandwidthSource, Report, Subject, Target};
use xenmig::dirty::Sample;
use xenmig::inventory::Inventory;
use xenmig::model::{Outcome, Prediction, Quantiles};
use xenmig::policy::Budget;
use xenmig::policy::gate::{Reason, Severity, Verdict};
use xenmig::units::{Bytes, show_duration};

use super::sample::cpu;
use super::{field, lines, make, name, seconds};
use crate::output::graph;
use crate::output::style::Style;
use crate::output::table::{align, count, wrap};

/// Column at which a reason's text begins.
const INDENT: usize = 8;

/// The whole report.
pub fn check(report: &Report, style: Style) -> String {
    let mut out = verdict(report, style);
    if let Some(prediction) = &report.prediction {
        out += &format!("{:INDENT$}{}\n", "", expected(prediction));
    }
    out.push('\n');
    for reason in &report.judgement.reasons {
        out += &self::reason(reason, style);
    }
    if !report.judgement.reasons.is_empty() {
        out.push('\n');
    }
    out += &facts(report, style);
    if let Some(curve) = &report.curve {
        let windows = report.sample.as_ref().map(windows).unwrap_or_default();
        let title = format!("Distinct pages dirtied after t{windows}");
        out += &format!("\n{}\n", style.strong(&title));
        out += &lines(graph::curve(curve.points(), graph::WIDTH, style));
    }
    if let Some(prediction) = &report.prediction {
        let title = match report.predicted_steered {
            true => "Prediction for a migration that keeps the budget",
            false => "Prediction for a stock `xl migrate`",
        };
        out += &format!("\n{}\n", style.strong(title));
        out += &costs(prediction);
        out += "\n";
        out += &lines(rounds(&prediction.expected));
    }
    out
}

/// ` (mean of 3 windows and 6 brief ones)`
fn windows(sample: &Sample) -> String {
    let long = sample.long().count();
    let plural = if long == 1 { "" } else { "s" };
    let brief = match sample.windows.len() - long {
        0 => String::new(),
        1 => " and a brief one".to_owned(),
        more => format!(" and {more} brief ones"),
    };
    format!(" (mean of {long} window{plural}{brief})")
}

pub fn verdict(report: &Report, style: Style) -> String {
    let who = match &report.subject {
        Subject::Domain(domain) => name(domain),
        Subject::Unknown(asked) => format!("`{asked}`"),
    };
    match report.judgement.verdict {
        Verdict::Go => format!("{}      {who} may be migrated now\n", style.good("GO")),
        Verdict::Wait => format!("{}    {who} should not be migrated now\n", style.warning("WAIT")),
        Verdict::NoGo => format!("{}   {who} should not be migrated\n", style.bad("NO-GO")),
    }
}

/// `block   pci-passthrough`, the message, and what to do.
pub fn reason(reason: &Reason, style: Style) -> String {
    let weight = match reason.severity {
        Severity::Block => style.bad("block"),
        Severity::Wait => style.warning("wait "),
        Severity::Info => style.strong("info "),
    };
    let mut out = format!("{weight}   {}\n", style.strong(reason.code));
    let hang = |text: &str, mark: &str| -> String {
        let wrapped = wrap(text, INDENT + mark.chars().count());
        let line = |(at, line): (usize, String)| {
            let mark = if at == 0 { mark.to_owned() } else { " ".repeat(mark.chars().count()) };
            format!("{:INDENT$}{mark}{line}\n", "")
        };
        wrapped.into_iter().enumerate().map(line).collect()
    };
    out += &hang(&reason.message, "");
    if !reason.advice.is_empty() {
        let advice = hang(&reason.advice, if style.unicode { "→ " } else { "> " });
        out += &format!("{}\n", style.faint(advice.trim_end()));
    }
    out
}

/// `expected: 19.4 ms down, 8.02 s in all, 191 MiB sent`
pub fn expected(prediction: &Prediction) -> String {
    let expected = &prediction.expected;
    let (downtime, total) = (seconds(expected.downtime_s), seconds(expected.total_s));
    format!("expected: {downtime} down, {total} in all, {} sent", size(expected.bytes))
}

/// The domain, what it uses, and what it is held against.
pub fn facts(report: &Report, style: Style) -> String {
    let mut out = String::new();
    if let Subject::Domain(domain) = &report.subject {
        out += &field("Domain", &make(domain), style);
    }
    let used = report
        .sample
        .as_ref()
        .and_then(|sample| cpu(&sample.vcpu_utilisation(), sample.host_cpu_utilisation()));
    if let Some(used) = used {
        out += &field("CPU used", &used, style);
    }
    out += &field("Budget", &budget(&report.budget), style);
    let bandwidth = match report.bandwidth {
        Some((rate, source)) => format!("{rate}, {}", origin(source)),
        None => "unknown; give --bandwidth".to_owned(),
    };
    out += &field("Bandwidth", &bandwidth, style);
    if let Some(target) = &report.target {
        let target = format!("{}, {}", target.name, self::target(report, target));
        out += &field("Target", &target, style);
    }
    out
}

/// `Xen 4.17.7, free 12.8 of 16 CPUs (11.2 with it) and 40.0 GiB`
pub fn target(report: &Report, target: &Target) -> String {
    let Inventory { xen, capacity, load, .. } = &target.inventory;
    let (version, cpus) = (&xen.version, capacity.cpus);
    let free = load.free_cpus.map_or("?".to_owned(), |free| format!("{free:.1}"));
    let with_guest = report.arrival().and_then(|arrival| arrival.free_cpus_with_guest);
    let with_guest = with_guest.map(|cpus| format!(" ({:.1} with it)", cpus.max(0.0)));
    let (with_guest, memory) = (with_guest.unwrap_or_default(), target.inventory.free_memory());
    format!("Xen {version}, free {free} of {cpus} CPUs{with_guest} and {memory}")
}

fn origin(source: BandwidthSource) -> &'static str {
    match source {
        BandwidthSource::Given => "given by --bandwidth",
        BandwidthSource::Configuration => "from the configuration",
        BandwidthSource::EarlierMigrations => "from earlier migrations",
    }
}

pub fn budget(budget: &Budget) -> String {
    let limit = |limit: Option<String>| limit.unwrap_or_else(|| "unlimited".to_owned());
    let downtime = limit(budget.downtime.map(show_duration));
    let total = limit(budget.total.map(show_duration));
    let bytes = budget.bytes.map(|bytes| format!(", {bytes}")).unwrap_or_default();
    format!("downtime {downtime}, total {total}{bytes}")
}

/// Expected costs, and between which values eight of ten migrations would be.
fn costs(prediction: &Prediction) -> String {
    let Prediction { expected, total_s, downtime_s, bytes, .. } = prediction;
    let row = |what: &str, value: f64, quantiles: &Quantiles, show: fn(f64) -> String| {
        let Quantiles { p10, p50: _, p90 } = *quantiles;
        vec![what.to_owned(), show(value), show(p10), show(p90)]
    };
    let head = ["", "expected", "p10", "p90"].map(str::to_owned).to_vec();
    let rows = [
        head,
        row("downtime", expected.downtime_s, downtime_s, seconds),
        row("total time", expected.total_s, total_s, seconds),
        row("sent", expected.bytes, bytes, size),
    ];
    lines(align(&rows, 2, 1))
}

/// A line per round, with a head.
pub fn rounds(expected: &Outcome) -> Vec<String> {
    let mut rows = vec![["round", "pages", "sent", "time"].map(str::to_owned).to_vec()];
    let last = expected.rounds.len().saturating_sub(1);
    for (at, round) in expected.rounds.iter().enumerate() {
        let stopped = at == last && expected.moved();
        let label = if stopped { "stopped".to_owned() } else { (at + 1).to_string() };
        rows.push(vec![label, count(round.pages), size(round.bytes), seconds(round.s)]);
    }
    align(&rows, 2, 1)
}

fn size(bytes: f64) -> String {
    if bytes.is_finite() { Bytes(bytes as u64).to_string() } else { "never".to_owned() }
}
