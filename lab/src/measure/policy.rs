//! Stock `xl migrate` and `xenmig migrate` in turn, on the same guests, in virtual time: what the
//! budget costs, and whether it is kept.
//!
//! Both are observed from outside, on the wire and in the hypervisor, by the same means
//! ([`super::observe`]); of what xenmig says of itself only the downtime it predicted when it
//! stopped is used.

mod page;
mod summary;

use std::collections::VecDeque;
use std::num::NonZero;
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};
use xenmig::history::OutcomeRecord;

use self::summary::Summary;
use super::Programs;
use super::accuracy::{CALIBRATION, RATE};
use super::observe::{Observed, Steering, observe, observe_steered};
use crate::{Error, GuestSpec, Host, HostBuilder, Result, Workload, XenVersion};

/// A guest, and the budgets it is migrated with.
struct Cell {
    name: &'static str,
    workload: &'static str,
    memory_mib: u32,
    /// Milliseconds of downtime.
    budgets: &'static [u64],
}

/// An idle guest is down for some 300 ms in the lab. What can be kept is kept somewhat above that;
/// the hot set that outruns the link also has a budget that no policy can keep.
const CELLS: [Cell; 8] = [
    cell(BURSTS, "burst:5000,6000,8000,4000", 160, &[450]),
    cell("small hot set", "hot:1500,600", 160, &[400, 700]),
    cell("large hot set", "hot:8000,6000", 160, &[500, 2000]),
    cell("slow sweep", "sweep:16000,800", 160, &[450, 800]),
    cell("fast sweep", "sweep:5000,4000", 128, &[1900, 2500]),
    cell("small hot set, more memory", "hot:1500,600", 256, &[450]),
    cell("CPU-bound, few pages", "cpu:0.4,500,200", 160, &[450]),
    cell("idle", "idle", 160, &[500]),
];
/// Busy for longer than the stock policy sends, so that it can be caught in the midst.
const BURSTS: &str = "bursts (busy 8 s of 12 s)";
/// Starting moments, spread evenly over a period of the bursts.
const BURST_STARTS: u32 = 10;
/// A cell in which something fails is tried again on a new host.
const TRIES: usize = 2;

const fn cell(
    name: &'static str,
    workload: &'static str,
    memory_mib: u32,
    budgets: &'static [u64],
) -> Cell {
    Cell { name, workload, memory_mib, budgets }
}

/// How a migration ended.
#[derive(Debug, Clone)]
enum Ended {
    /// The guest runs at the target.
    Moved { observed: Box<OutcomeRecord>, predicted_downtime_s: Option<f64> },
    /// Refused before it began.
    Refused,
    /// Given up; whether the guest runs at the source, with its memory intact.
    Aborted { alive: bool },
}

/// One migration.
#[derive(Debug, Clone)]
struct Run {
    cell: &'static str,
    workload: &'static str,
    memory_mib: u32,
    /// Seconds; `None` for stock, which has none.
    budget_s: Option<f64>,
    ended: Ended,
}

/// What a progress line goes to, from any of the hosts.
type Say<'a> = Mutex<&'a mut (dyn FnMut(&str) + Send)>;

/// Runs the cells in whose name `only` is, on as many hosts at once as this machine has CPUs for, and
/// returns (raw JSON, Markdown page, last line). `say` gets progress lines.
///
/// A guest whose host or whose stock migration fails, and does so again, is named in the last line.
///
/// # Errors
/// When a thread of this program dies.
pub fn run(
    version: XenVersion,
    programs: &Programs,
    quick: bool,
    only: &str,
    say: &mut (dyn FnMut(&str) + Send),
) -> Result<(Value, String, Value)> {
    let cells: VecDeque<_> = CELLS.iter().filter(|cell| cell.name.contains(only)).collect();
    let hosts = thread::available_parallelism().map_or(1, NonZero::get).min(cells.len());
    let (left, say) = (Mutex::new(cells.clone()), Mutex::new(say));
    let (left, say) = (&left, &say);
    let runs: Result<Vec<Vec<Run>>> = thread::scope(|scope| {
        let work = |_| scope.spawn(move || on_one_host(version, programs, quick, left, say));
        let workers: Vec<_> = (0..hosts).map(work).collect();
        let ended = workers.into_iter().map(|worker| {
            worker.join().unwrap_or_else(|_| Err(Error::Unexpected("a host's thread died".into())))
        });
        ended.collect()
    });
    let mut runs: Vec<_> = runs?.into_iter().flatten().collect();
    let place = |run: &Run| CELLS.iter().position(|cell| cell.name == run.cell);
    runs.sort_by_key(place);
    let missing = |cell: &&Cell| runs.iter().all(|run| run.cell != cell.name);
    let failed = cells.into_iter().filter(missing).map(|cell| cell.name).collect();
    let summary = Summary { failed, ..Summary::of(&runs) };
    let raw = Value::Array(runs.iter().map(Run::raw).collect());
    Ok((raw, page::page(version, &runs, &summary), summary.line()))
}

/// Takes cells from those that are `left` until there are none.
fn on_one_host(
    version: XenVersion,
    programs: &Programs,
    quick: bool,
    left: &Mutex<VecDeque<&'static Cell>>,
    say: &Say<'_>,
) -> Result<Vec<Run>> {
    let ready = || -> Result<Host> {
        let host = HostBuilder::new(version).boot()?;
        programs.push(&host)?;
        calibrate(&host, say)?;
        Ok(host)
    };
    let next = || left.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
    let (mut last, mut runs) = (None, Vec::new());
    while let Some(cell) = next() {
        for tries_left in (0..TRIES).rev() {
            let ended = last.take().map_or_else(ready, Ok).and_then(|host| {
                let more = one_cell(&host, cell, quick, say)?;
                Ok((host, more))
            });
            match ended {
                Ok((host, more)) => {
                    last = Some(host);
                    runs.extend(more);
                    break;
                }
                Err(cause) => {
                    tell(say, &format!("{}: failed, {tries_left} tries left: {cause}", cell.name));
                }
            }
        }
    }
    Ok(runs)
}

fn one_cell(host: &Host, cell: &'static Cell, quick: bool, say: &Say<'_>) -> Result<Vec<Run>> {
    let workload: Workload =
        cell.workload.parse().map_err(|cause| Error::Unexpected(format!("{cause}")))?;
    let repeats = match (workload.burst.is_some(), quick) {
        (true, false) => BURST_STARTS,
        (true, true) => 4,
        (false, false) => 5,
        (false, true) => 1,
    };
    let spec = GuestSpec { memory_mib: cell.memory_mib, ..GuestSpec::new("g1", workload) };
    host.guest(&spec)?;
    let mut runs = Vec::new();
    for nth in 0..repeats {
        let phase = f64::from(nth) / f64::from(repeats);
        let ready = || await_phase(host, &spec.name, &workload, phase);
        ready()?;
        let ended = moved(host, &observe(host, &spec.name, RATE)?, None)?;
        note(cell, None, ended, &mut runs, say);
        for budget in cell.budgets {
            let budget = Duration::from_millis(*budget);
            ready()?;
            let ended = steered(host, &spec.name, budget, &[])?;
            let refused = matches!(ended, Ended::Refused);
            note(cell, Some(budget.as_secs_f64()), ended, &mut runs, say);
            if refused {
                // What steering would have made of it.
                ready()?;
                let ended = steered(host, &spec.name, budget, &["--force"])?;
                note(cell, Some(budget.as_secs_f64()), ended, &mut runs, say);
            }
        }
    }
    host.destroy(&spec.name)?;
    Ok(runs)
}

/// Lets time pass until a guest with bursts is at `phase` of its period, which begins with the busy
/// part.
fn await_phase(host: &Host, name: &str, workload: &Workload, phase: f64) -> Result<()> {
    let Some((busy, idle)) = workload.burst else { return Ok(()) };
    let period = (busy + idle).as_secs_f64();
    let now = host.verify(name)?.up.as_secs_f64();
    host.sleep(Duration::from_secs_f64((phase * period - now).rem_euclid(period)))
}

fn tell(say: &Say<'_>, line: &str) {
    say.lock().unwrap_or_else(PoisonError::into_inner)(line);
}

/// Migrates other guests first, by xenmig, which remembers what they showed.
fn calibrate(host: &Host, say: &Say<'_>) -> Result<()> {
    for (workload, memory_mib) in CALIBRATION {
        let workload = workload.parse().map_err(|cause| Error::Unexpected(format!("{cause}")))?;
        let spec = GuestSpec { memory_mib, seed: 7, ..GuestSpec::new("g1", workload) };
        host.guest(&spec)?;
        // Nothing is known of the link yet, and the gate would rather wait.
        match observe_steered(host, &spec.name, RATE, Duration::from_secs(60), &["--force"])? {
            Steering::Moved { observed, .. } => {
                tell(say, &format!("calibration: {workload}: {:.2} s", observed.total_s()));
            }
            ended => return Err(Error::Unexpected(format!("calibration: {ended:?}"))),
        }
        host.destroy(&spec.name)?;
    }
    Ok(())
}

fn note(cell: &Cell, budget_s: Option<f64>, ended: Ended, runs: &mut Vec<Run>, say: &Say<'_>) {
    let run = Run {
        cell: cell.name,
        workload: cell.workload,
        memory_mib: cell.memory_mib,
        budget_s,
        ended,
    };
    tell(say, &run.line());
    runs.push(run);
}

/// One migration by xenmig, whatever comes of it.
fn steered(host: &Host, name: &str, budget: Duration, further: &[&str]) -> Result<Ended> {
    match observe_steered(host, name, RATE, budget, further)? {
        Steering::Moved { observed, predicted_downtime_s } => {
            moved(host, &observed, predicted_downtime_s)
        }
        Steering::Refused => Ok(Ended::Refused),
        Steering::Aborted => Ok(Ended::Aborted { alive: host.verify(name).is_ok() }),
    }
}

fn moved(host: &Host, observed: &Observed, predicted_downtime_s: Option<f64>) -> Result<Ended> {
    host.verify("g1")?;
    let first = observed.wire.rounds.first();
    let (pages, holes) = first.map_or((0, 0), |round| (round.pages, round.holes));
    let observed = Box::new(observed.record("g1", pages, pages + holes));
    Ok(Ended::Moved { observed, predicted_downtime_s })
}

impl Run {
    fn by_stock(&self) -> bool {
        self.budget_s.is_none()
    }

    fn outcome(&self) -> Option<&OutcomeRecord> {
        match &self.ended {
            Ended::Moved { observed, .. } => Some(observed),
            Ended::Refused | Ended::Aborted { .. } => None,
        }
    }

    /// Whether it kept its budget; `None` when it has none or did not run to the end.
    fn kept(&self) -> Option<bool> {
        Some(self.outcome()?.downtime_s <= self.budget_s?)
    }

    /// (predicted when it stopped, real) downtime in seconds.
    fn prediction(&self) -> Option<(f64, f64)> {
        match &self.ended {
            Ended::Moved { observed, predicted_downtime_s } => {
                Some(((*predicted_downtime_s)?, observed.downtime_s))
            }
            Ended::Refused | Ended::Aborted { .. } => None,
        }
    }

    fn line(&self) -> String {
        let who = match self.budget_s {
            None => "stock".to_owned(),
            Some(s) => format!("xenmig, {:.0} ms", s * 1e3),
        };
        let what = match &self.ended {
            Ended::Refused => "refused".to_owned(),
            Ended::Aborted { alive: true } => "aborted, the guest is intact".to_owned(),
            Ended::Aborted { alive: false } => "aborted, THE GUEST IS LOST".to_owned(),
            Ended::Moved { observed, .. } => {
                let mut pages: Vec<_> = observed.rounds.iter().map(|round| round.pages).collect();
                pages.extend(observed.last.map(|last| last.pages));
                format!(
                    "down {:.0} ms, total {:.2} s, {:.1} MiB, pages {pages:?}{}",
                    observed.downtime_s * 1e3,
                    observed.total_s,
                    bytes(observed) / f64::from(1 << 20),
                    self.prediction()
                        .map(|(s, _)| format!(", predicted {:.0} ms", s * 1e3))
                        .unwrap_or_default(),
                )
            }
        };
        format!("{} ({who}): {what}", self.cell)
    }

    fn raw(&self) -> Value {
        let (ended, outcome, alive) = match &self.ended {
            Ended::Moved { observed, .. } => ("moved", Some(observed), None),
            Ended::Refused => ("refused", None, None),
            Ended::Aborted { alive } => ("aborted", None, Some(alive)),
        };
        json!({
            "guest": self.cell, "workload": self.workload, "memory_mib": self.memory_mib,
            "policy": if self.by_stock() { "stock" } else { "xenmig" }, "budget_s": self.budget_s,
            "ended": ended, "guest_intact": alive, "outcome": outcome,
            "predicted_downtime_s": self.prediction().map(|(predicted, _)| predicted),
        })
    }
}

/// Memory on the wire.
fn bytes(outcome: &OutcomeRecord) -> f64 {
    outcome.rounds.iter().chain(&outcome.last).map(|round| round.bytes as f64).sum()
}
