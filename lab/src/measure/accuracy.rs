//! Predictions against real migrations: `xenmig check` before each stock `xl migrate`, both on
//! the same guest, in virtual time.
//!
//! What the prediction may know is what a user's xenmig knows: a sample taken before, and the
//! bandwidth and fixed costs that earlier migrations of *other* guests showed. The link is shaped
//! to a rate that the program is not told.

use std::fmt::Write as _;

use serde_json::{Value, json};
use xenmig::history::OutcomeRecord;
use xenmig::model::sender_share;

use super::observe::{Observed, observe};
use super::stats::quantile;
use super::{OUTCOMES, Programs};
use crate::error::Context;
use crate::{Error, GuestSpec, Host, HostBuilder, Result, Workload, XenVersion};

/// What the shaped link carries, bytes per virtual second: below what the emulated host can send.
pub const RATE: u64 = 16_000_000;
/// Guests whose migrations calibrate: (workload, MiB).
pub(super) const CALIBRATION: [(&str, u32); 3] =
    [("sweep:6000,3000", 128), ("hot:3000,2000", 160), ("hot:300,100", 144)];
/// The guests that are predicted: (name in the tables, workload, MiB).
const GUESTS: [(&str, &str, u32); 6] = [
    ("idle", "idle", 160),
    ("small hot set", "hot:1500,600", 160),
    ("large hot set", "hot:8000,3000", 160),
    ("slow sweep", "sweep:16000,800", 160),
    ("fast sweep", "sweep:5000,4000", 128),
    ("CPU-bound, few pages", "cpu:0.4,500,200", 160),
];
/// Guests whose outcome depends on the moment of suspension, which nobody knows before: shown,
/// and not in the quantiles.
const BURSTS: (&str, &str, u32) = ("bursts (busy 2 s of 5 s)", "burst:5000,4000,2000,3000", 160);
/// Rounds smaller than this count as this in relative errors: Xen's own policy takes fewer dirty
/// pages than 50 for none.
const FEW_PAGES: f64 = 50.0;

/// One prediction and what came.
#[derive(Debug, Clone)]
struct Run {
    guest: &'static str,
    workload: &'static str,
    memory_mib: u32,
    counts: bool,
    predicted: Value,
    actual: OutcomeRecord,
}

/// Runs all and returns (raw JSON, Markdown page, last line). `say` gets progress lines.
///
/// # Errors
/// When a host, guest or migration fails.
pub fn run(
    version: XenVersion,
    programs: &Programs,
    quick: bool,
    say: &mut dyn FnMut(&str),
) -> Result<(Value, String, Value)> {
    let host = HostBuilder::new(version).boot()?;
    // While a command runs, the machine is not stopped between two others: QEMU sometimes goes on
    // very slowly (in time outside) after it was stopped for a moment.
    let _unstopped = host.spawn(["sleep", "infinity"])?;
    programs.push(&host)?;
    calibrate(&host, say)?;
    let repeats = if quick { 1 } else { 3 };
    let all = GUESTS.iter().map(|guest| (guest, true)).chain([(&BURSTS, false)]);
    let mut runs = Vec::new();
    for (&(guest, workload, memory_mib), counts) in all {
        for nth in 0..repeats {
            let seed = 1 + nth;
            let spec = spec(workload, memory_mib, seed)?;
            host.guest(&spec)?;
            say(&format!("{guest}: up"));
            let predicted = check(&host, &spec.name)?;
            say(&format!("{guest}: predicted"));
            let actual = record(&host, &spec, &observe(&host, &spec.name, RATE)?)?;
            host.verify(&spec.name)?;
            host.destroy(&spec.name)?;
            let run = Run { guest, workload, memory_mib, counts, predicted, actual };
            say(&run.line());
            runs.push(run);
        }
    }
    let raw = Value::Array(runs.iter().map(Run::raw).collect());
    let errors = Errors::of(&runs);
    Ok((raw, page(version, &runs, &errors), errors.line()))
}

fn spec(workload: &str, memory_mib: u32, seed: u64) -> Result<GuestSpec> {
    let workload: Workload =
        workload.parse().map_err(|cause| Error::Unexpected(format!("{cause}")))?;
    Ok(GuestSpec { memory_mib, seed, ..GuestSpec::new("g1", workload) })
}

/// Migrates other guests first, and leaves what they showed where `xenmig` looks for it.
fn calibrate(host: &Host, say: &mut dyn FnMut(&str)) -> Result<()> {
    let mut lines = String::new();
    for (workload, memory_mib) in CALIBRATION {
        let spec = spec(workload, memory_mib, 7)?;
        host.guest(&spec)?;
        say(&format!("calibration: {workload} is up"));
        let share = sender_share_now(host, &spec.name)?;
        let mut record = record(host, &spec, &observe(host, &spec.name, RATE)?)?;
        record.sender_share = Some(share);
        host.destroy(&spec.name)?;
        say(&format!("calibration: {workload}, {memory_mib} MiB: {:.3} s", record.total_s));
        let line = serde_json::to_string(&record).map_err(std::io::Error::from);
        let _ = writeln!(lines, "{}", line.context(|| "writing an outcome".into())?);
    }
    host.push_bytes(lines.as_bytes(), OUTCOMES, 0o644)
}

/// What a sender will get of the host's one CPU, by `xenmig sample`.
fn sender_share_now(host: &Host, name: &str) -> Result<f64> {
    let output = host.run(["xenmig", "sample", name, "--windows", "1", "--json"])?;
    let document: Option<Value> = serde_json::from_slice(&output.stdout).ok();
    let busy = document.and_then(|document| document["host_cpu_utilisation"].as_f64());
    let unknown = || Error::Unexpected(format!("no host CPU use in {}", output.stdout()));
    Ok(sender_share(Some(1), Some(busy.ok_or_else(unknown)?)))
}

fn record(host: &Host, spec: &GuestSpec, observed: &Observed) -> Result<OutcomeRecord> {
    let first = observed.wire.rounds.first();
    let (pages, holes) = first.map_or((0, 0), |round| (round.pages, round.holes));
    let mut record = observed.record(&spec.name, pages, pages + holes);
    record.at_unix_s = host.now()?.as_secs();
    Ok(record)
}

/// What `xenmig check` predicts now.
fn check(host: &Host, name: &str) -> Result<Value> {
    let output = host.run(["xenmig", "check", name, "--downtime", "60s", "--json"])?;
    let document: Option<Value> = serde_json::from_slice(&output.stdout).ok();
    document.filter(|document| document["predicted"].is_object()).ok_or_else(|| {
        Error::Unexpected(format!(
            "xenmig check predicted nothing: {}{}",
            output.stdout(),
            output.stderr()
        ))
    })
}

impl Run {
    fn predicted(&self, field: &str) -> f64 {
        self.predicted["predicted"][field].as_f64().unwrap_or(f64::NAN)
    }

    /// Pages of each round, the final copy last.
    fn actual_rounds(&self) -> Vec<u64> {
        self.actual.rounds.iter().chain(&self.actual.last).map(|round| round.pages).collect()
    }

    fn predicted_rounds(&self) -> Vec<f64> {
        let rounds = self.predicted["predicted"]["rounds"].as_array();
        let pages = |round: &Value| round["pages"].as_f64().unwrap_or(f64::NAN);
        rounds.map(|rounds| rounds.iter().map(pages).collect()).unwrap_or_default()
    }

    fn total_error(&self) -> f64 {
        (self.predicted("total_s") / self.actual.total_s - 1.0).abs()
    }

    fn downtime_error_s(&self) -> f64 {
        (self.predicted("downtime_s") - self.actual.downtime_s).abs()
    }

    /// For each round, predicted or real: a round that only one of them has is wrong by all its
    /// pages.
    fn round_errors(&self) -> Vec<f64> {
        let (predicted, actual) = (self.predicted_rounds(), self.actual_rounds());
        let rounds = predicted.len().max(actual.len());
        let at = |nth: usize| {
            let predicted = predicted.get(nth).copied().unwrap_or(0.0);
            let actual = actual.get(nth).map_or(0.0, |pages| *pages as f64);
            (predicted - actual).abs() / actual.max(FEW_PAGES)
        };
        (0..rounds).map(at).collect()
    }

    fn line(&self) -> String {
        format!(
            "{}: total {:.3} s predicted, {:.3} s actual ({:+.1} %); downtime {:.1} ms predicted, \
             {:.1} ms actual; pages {:?} predicted, {:?} actual",
            self.guest,
            self.predicted("total_s"),
            self.actual.total_s,
            (self.predicted("total_s") / self.actual.total_s - 1.0) * 100.0,
            self.predicted("downtime_s") * 1e3,
            self.actual.downtime_s * 1e3,
            self.predicted_rounds(),
            self.actual_rounds(),
        )
    }

    fn raw(&self) -> Value {
        json!({
            "guest": self.guest, "workload": self.workload, "memory_mib": self.memory_mib,
            "in_quantiles": self.counts, "check": self.predicted, "actual": self.actual,
        })
    }
}

/// The quantiles that have targets.
struct Errors {
    n: usize,
    total_median: f64,
    total_p90: f64,
    downtime_p90: f64,
    downtime_p90_s: f64,
    pages_per_round_p90: f64,
}

impl Errors {
    fn of(runs: &[Run]) -> Self {
        let counted: Vec<_> = runs.iter().filter(|run| run.counts).collect();
        let at = |q: f64, values: Vec<f64>| quantile(&values, q).unwrap_or(f64::NAN);
        let total = || counted.iter().map(|run| run.total_error()).collect();
        let downtime = |run: &&Run| run.downtime_error_s() / run.actual.downtime_s;
        Self {
            n: counted.len(),
            total_median: at(0.5, total()),
            total_p90: at(0.9, total()),
            downtime_p90: at(0.9, counted.iter().map(downtime).collect()),
            downtime_p90_s: at(0.9, counted.iter().map(|run| run.downtime_error_s()).collect()),
            pages_per_round_p90: at(0.9, counted.iter().flat_map(|r| r.round_errors()).collect()),
        }
    }

    fn line(&self) -> Value {
        json!({
            "bar": "accuracy", "n": self.n, "total_median": self.total_median,
            "total_p90": self.total_p90, "downtime_p90": self.downtime_p90,
            "downtime_p90_s": self.downtime_p90_s, "pages_per_round_p90": self.pages_per_round_p90,
        })
    }
}

fn page(version: XenVersion, runs: &[Run], errors: &Errors) -> String {
    let mut page = format!(
        "# Accuracy of predictions\n\n\
         Written by `make accuracy`; raw figures in [accuracy.json](accuracy.json). Real stock\n\
         `xl migrate` on Xen {version} in the lab, over a link shaped to {:.0} Mbit/s; **all seconds\n\
         are virtual**. Each row: `xenmig check` first, then the migration, of a fresh guest.\n\
         Bandwidth and fixed costs come from {} earlier migrations of other guests.\n\n\
         | error of | quantile | figure | target |\n| --- | --- | --- | --- |\n",
        RATE as f64 * 8.0 / 1e6,
        CALIBRATION.len(),
    );
    let percent = |share: f64| format!("{:.1} %", share * 100.0);
    let figures = [
        ("total time", "median", percent(errors.total_median), "≤ 5 %"),
        ("total time", "p90", percent(errors.total_p90), "≤ 10 %"),
        ("downtime", "p90", percent(errors.downtime_p90), "≤ 20 %, or"),
        ("downtime", "p90", format!("{:.1} ms", errors.downtime_p90_s * 1e3), "≤ 20 ms"),
        ("pages per round", "p90", percent(errors.pages_per_round_p90), "≤ 10 %"),
    ];
    for (what, which, figure, target) in figures {
        let _ = writeln!(page, "| {what} | {which} | {figure} | {target} |");
    }
    let _ = write!(
        page,
        "\n{} migrations{}. A round's error is relative to its pages, or to {FEW_PAGES} where it has \
         fewer.\n\n\
         | guest | workload | total: predicted, actual | downtime: predicted (p90), actual | pages \
         per round: predicted, actual |\n| --- | --- | --- | --- | --- |\n",
        errors.n,
        if errors.n > GUESTS.len() { "" } else { ", one of each guest (`QUICK=1`)" },
    );
    for run in runs {
        let pages = |rounds: Vec<String>| rounds.join(" ");
        let _ = writeln!(
            page,
            "| {}, {} MiB | `{}` | {:.2} s, {:.2} s | {:.0} ms ({:.0}), {:.0} ms | {}<br>{} |",
            run.guest,
            run.memory_mib,
            run.workload,
            run.predicted("total_s"),
            run.actual.total_s,
            run.predicted("downtime_s") * 1e3,
            run.predicted("downtime_p90_s") * 1e3,
            run.actual.downtime_s * 1e3,
            pages(run.predicted_rounds().iter().map(|pages| format!("{pages:.0}")).collect()),
            pages(run.actual_rounds().iter().map(ToString::to_string).collect()),
        );
    }
    let _ = write!(
        page,
        "\nThe p90 of pages per round comes from small rounds: a few dozen pages that the guest's\n\
         kernel writes whatever the workload (some 15 more after Xen's CLEAN than after the sampler's\n\
         ENABLE), and rounds that only one side has. They hardly count in time.\n\
         \nBursts are shown and not in the quantiles: which phase the guest is in when it is\n\
         suspended decides its downtime, and no sample taken before can know that. Their p90 is\n\
         what a budget is held against.\n"
    );
    page
}
