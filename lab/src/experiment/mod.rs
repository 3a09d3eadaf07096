//! The paper's measurements, repeated: live migrations of guests under load on two kinds of host,
//! timed by a UDP service in the guest as there, and by the tool stack's own events; and beside
//! them the same with a budget of xenmig.

mod finding;
mod page;
mod plan;
mod plot;
mod run;
mod scene;
mod series;
#[cfg(test)]
mod tests;
mod threshold;
mod validation;

use std::collections::VecDeque;
use std::num::NonZero;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Instant;

use serde_json::{Value, json};

pub use plan::{Curve, Figure, Figures, Kind};

use self::plan::Point;
use self::run::Run;
use crate::error::Context;
use crate::measure::Programs;
use crate::{Error, Host, Result, XenVersion};

/// Repetitions of a point.
const REPEATS: u32 = 5;
/// A point that fails goes on on another host, so often.
const TRIES: u32 = 3;

/// What came of a point.
#[derive(Default)]
struct Measured {
    runs: Vec<Run>,
    /// What failed on the way.
    failures: Vec<String>,
    /// It failed too often: runs are missing.
    given_up: bool,
}

/// How the figures are measured.
#[derive(Debug, Clone)]
pub struct Experiment {
    /// Which Xen.
    pub version: XenVersion,
    /// xenmig and what observes it.
    pub programs: Programs,
    /// One repetition.
    pub quick: bool,
    /// How many hosts at once; `None` is as many as this machine has CPUs for.
    pub hosts: Option<NonZero<usize>>,
    /// The folder for the page, pictures and raw figures.
    pub out: PathBuf,
}

impl Experiment {
    /// Measures the figures and writes all. Gives the last line. `say` gets progress lines.
    ///
    /// # Errors
    /// When what was measured cannot be written. A point that fails is reported and does not end
    /// the others.
    pub fn run(&self, figures: &[Figure], say: &mut (dyn FnMut(&str) + Send)) -> Result<Value> {
        let points: VecDeque<Point> = figures.iter().flat_map(|figure| figure.points()).collect();
        let count = points.len();
        let migrations = points.iter().map(|point| self.repetitions(point).count()).sum();
        let hosts = self.hosts.or(thread::available_parallelism().ok()).map_or(1, NonZero::get);
        let (left, progress) = (Mutex::new(points), Progress::new(say, migrations));
        let (left, progress) = (&left, &progress);
        let measured: Vec<Measured> = thread::scope(|scope| {
            let work = |_| scope.spawn(move || self.on_one_host(left, progress));
            let workers: Vec<_> = (0..hosts.min(count)).map(work).collect();
            workers.into_iter().flat_map(|worker| worker.join().unwrap_or_default()).collect()
        });
        let failed = measured.iter().filter(|point| point.given_up).count();
        let (mut runs, mut failures) = (Vec::new(), Vec::new());
        for point in measured {
            runs.extend(point.runs);
            failures.extend(point.failures);
        }
        let order = |run: &Run| (run.figure, run.curve, run.nth);
        runs.sort_by(|a: &Run, b| order(a).cmp(&order(b)).then(a.x.total_cmp(&b.x)));
        self.write(figures, &runs, &failures)?;
        Ok(json!({
            "bar": "paper",
            "figures": figures.iter().map(ToString::to_string).collect::<Vec<_>>(),
            "points": count, "failed": failed,
        }))
    }

    /// The migrations of a point, in their order: its curves in turn.
    fn repetitions(&self, point: &Point) -> impl Iterator<Item = (u32, Curve)> {
        let repeats = if self.quick || point.figure == Figure::Fig2 { 1 } else { REPEATS };
        let curves = point.curves.clone();
        (0..repeats).flat_map(move |nth| curves.clone().into_iter().map(move |curve| (nth, curve)))
    }

    /// Measures points from those that are `left` until there are none. A host that failed is not
    /// used any more.
    fn on_one_host(&self, left: &Mutex<VecDeque<Point>>, progress: &Progress<'_>) -> Vec<Measured> {
        let mut host = None;
        let mut all = Vec::new();
        loop {
            let point = left.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
            let Some(point) = point else { return all };
            let mut measured = Measured::default();
            for tried in 1..=TRIES {
                let Err(why) = self.measure(&mut host, &point, &mut measured.runs, progress) else {
                    break;
                };
                host = None;
                measured.given_up = tried == TRIES;
                let line = failure(&point, &why, measured.given_up);
                progress.say(&format!("{line}\n{why}"));
                measured.failures.push(line);
            }
            all.push(measured);
        }
    }

    /// The repetitions of a point that are not among its `runs` yet, on a host that is there or
    /// booted now.
    fn measure(
        &self,
        host: &mut Option<Host>,
        point: &Point,
        runs: &mut Vec<Run>,
        progress: &Progress<'_>,
    ) -> Result<()> {
        let host = match host {
            Some(host) => host,
            None => host.insert(scene::host(self.version, &self.programs)?),
        };
        scene::create(host, point)?;
        let load = run::load(host)?;
        for (nth, curve) in self.repetitions(point).skip(runs.len()) {
            let (ended, verdict) = run::migrate(host, point, curve)?;
            let run = Run { figure: point.figure, x: point.x, curve, nth, load, verdict, ended };
            progress.ran(&run);
            runs.push(run);
        }
        scene::remove(host, point)
    }

    /// The raw figures, the pictures and the page.
    fn write(&self, figures: &[Figure], runs: &[Run], failures: &[String]) -> Result<()> {
        let out = &self.out;
        let save = |name: &str, text: &str| {
            let path = out.join(name);
            std::fs::write(&path, text).context(|| format!("writing {}", path.display()))
        };
        let data = out.join("data");
        std::fs::create_dir_all(&data).context(|| format!("creating {}", data.display()))?;
        for figure in figures {
            let of = series::of(runs, *figure);
            let raw = Value::Array(of.iter().map(|run| run.raw()).collect());
            save(&format!("data/{figure}.json"), &format!("{raw:#}\n"))?;
            save(&format!("{figure}.svg"), &plot::draw(*figure, &of)?)?;
        }
        if figures == Figure::ALL {
            save("data/thresholds.json", &format!("{:#}\n", threshold::raw(runs)))?;
        }
        save("README.md", &page::page(self.version, figures, self.quick, runs, failures))
    }
}

fn failure(point: &Point, why: &Error, given_up: bool) -> String {
    let line = why.to_string();
    let first = line.lines().next().unwrap_or_default();
    let then = if given_up { "given up" } else { "tried again" };
    format!("{} at {} on the {:?} host, {then}: {first}", point.figure, point.x, point.kind)
}

/// What is told while it is measured, from any of the hosts.
struct Progress<'a> {
    say: Mutex<&'a mut (dyn FnMut(&str) + Send)>,
    begun: Instant,
    migrations: usize,
    done: AtomicUsize,
}

impl<'a> Progress<'a> {
    fn new(say: &'a mut (dyn FnMut(&str) + Send), migrations: usize) -> Self {
        Self { say: Mutex::new(say), begun: Instant::now(), migrations, done: AtomicUsize::new(0) }
    }

    fn say(&self, line: &str) {
        self.say.lock().unwrap_or_else(PoisonError::into_inner)(line);
    }

    fn ran(&self, run: &Run) {
        let done = self.done.fetch_add(1, Ordering::Relaxed) + 1;
        let (all, s) = (self.migrations, self.begun.elapsed().as_secs());
        self.say(&format!("{done} of {all}, {s} s: {}", run.line()));
    }
}
