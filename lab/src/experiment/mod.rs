//! The paper's measurements, repeated: live migrations of guests under load on two kinds of host,
//! timed by a UDP service in the guest as there, and by the tool stack's own events; and beside
//! them the same with a budget of xenmig.

mod finding;
mod page;
mod plan;
mod plot;
mod progress;
mod raw;
mod run;
mod scene;
mod series;
#[cfg(test)]
mod tests;
mod threshold;
mod validation;

use std::collections::{BTreeMap, VecDeque};
use std::num::NonZero;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::thread;

use serde_json::{Value, json};

pub use plan::{Curve, Figure, Figures, Kind};

use self::plan::Point;
use self::progress::Progress;
use self::raw::Measured;
use self::run::Run;
use crate::error::Context;
use crate::measure::Programs;
use crate::{Error, Host, Result, XenVersion};

/// Repetitions of a point.
const REPEATS: u32 = 5;
/// A point that fails goes on on another host, so often.
const TRIES: u32 = 3;

/// How the figures are measured.
#[derive(Debug, Clone)]
pub struct Experiment {
    /// Which Xen.
    pub version: XenVersion,
    /// xenmig and what observes it.
    pub programs: Programs,
    /// One repetition, at the ends of each axis.
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
        let points: VecDeque<Point> = plan::points(figures, self.quick).into();
        let count = points.len();
        let migrations = points.iter().map(|point| repetitions(point, self.quick).count()).sum();
        let data = self.out.join("data");
        std::fs::create_dir_all(&data).context(|| format!("creating {}", data.display()))?;
        let shared = Shared {
            left: Mutex::new(points),
            progress: Progress::new(say, migrations),
            measured: Mutex::default(),
        };
        let hosts = self.hosts.or(thread::available_parallelism().ok()).map_or(1, NonZero::get);
        let whole: usize = thread::scope(|scope| {
            let work = |_| scope.spawn(|| self.on_one_host(&shared));
            let workers: Vec<_> = (0..hosts.min(count)).map(work).collect();
            let whole = |worker: thread::ScopedJoinHandle<'_, Result<usize>>| {
                let died = |_| Err(Error::Unexpected("a thread panicked".into()));
                worker.join().unwrap_or_else(died)
            };
            workers.into_iter().map(whole).sum::<Result<usize>>()
        })?;
        self.draw()?;
        Ok(json!({
            "bar": "paper",
            "figures": figures.iter().map(ToString::to_string).collect::<Vec<_>>(),
            "points": count, "failed": count - whole,
        }))
    }

    /// Measures points from those that are left until there are none, and keeps each at once. Gives
    /// how many came out whole. A host that failed is not used any more.
    fn on_one_host(&self, shared: &Shared<'_>) -> Result<usize> {
        let (mut host, mut whole) = (None, 0);
        loop {
            // The last ones take longest: at the end no host is left alone with them.
            let point = locked(&shared.left).pop_back();
            let Some(point) = point else { return Ok(whole) };
            let all = repetitions(&point, self.quick).count();
            let (mut runs, mut failures) = (Vec::new(), Vec::new());
            for tried in 1..=TRIES {
                let Err(why) = self.measure(&mut host, &point, &mut runs, &shared.progress) else {
                    break;
                };
                host = None;
                let last = tried == TRIES || runs.len() == all;
                let line = failure(&point, &why, runs.len(), last);
                shared.progress.say(&format!("{line}\n{why}"));
                failures.push(line);
                if last {
                    break;
                }
            }
            whole += usize::from(runs.len() == all);
            let mut measured = locked(&shared.measured);
            for (figure, x) in point.places {
                let none = || Measured::on(self.version.as_str());
                let of_figure = measured.entry(figure).or_insert_with(none);
                let runs = runs.iter().map(|run| run.in_figure(figure, x)).collect();
                // What failed is told once.
                of_figure.add(runs, std::mem::take(&mut failures));
                of_figure.save(&self.path(figure))?;
            }
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
        let (scene, (figure, x)) = (&point.scene, point.places[0]);
        scene::create(host, scene)?;
        let load = run::load(host)?;
        for (nth, curve) in repetitions(point, self.quick).skip(runs.len()) {
            let (ended, verdict) = run::migrate(host, scene, curve)?;
            let run = Run { figure, x, from: None, curve, nth, load, verdict, ended };
            progress.ran(&run);
            runs.push(run);
        }
        scene::remove(host, scene)
    }

    fn path(&self, figure: Figure) -> PathBuf {
        self.out.join(format!("data/{figure}.json"))
    }

    /// Draws the pictures and writes the page from the raw figures that are there, whenever they
    /// were measured.
    ///
    /// # Errors
    /// When there are none, or something cannot be read or written.
    pub fn draw(&self) -> Result<()> {
        let save = |name: &str, text: &str| {
            let path = self.out.join(name);
            std::fs::write(&path, text).context(|| format!("writing {}", path.display()))
        };
        let mut all = Vec::new();
        for figure in Figure::ALL {
            let Some(measured) = Measured::load(&self.path(figure))? else { continue };
            let runs = series::of(&measured.runs, figure);
            save(&format!("{figure}.svg"), &plot::draw(figure, &runs)?)?;
            all.push((figure, measured));
        }
        if all.is_empty() {
            let what = format!("nothing was measured yet: no figures in {}", self.out.display());
            return Err(Error::Unexpected(what));
        }
        let runs: Vec<Run> = all.iter().flat_map(|(_, of)| of.runs.clone()).collect();
        save("data/thresholds.json", &format!("{:#}\n", threshold::raw(&runs)))?;
        save("README.md", &page::page(&all, &runs))
    }
}

/// What the threads of all hosts work on.
struct Shared<'a> {
    left: Mutex<VecDeque<Point>>,
    progress: Progress<'a>,
    measured: Mutex<BTreeMap<Figure, Measured>>,
}

fn locked<T>(shared: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The migrations of a point, in their order: its curves in turn.
fn repetitions(point: &Point, quick: bool) -> impl Iterator<Item = (u32, Curve)> {
    let repeats = if quick || point.scene.drawn { 1 } else { REPEATS };
    let curves = point.curves.clone();
    (0..repeats).flat_map(move |nth| curves.clone().into_iter().map(move |curve| (nth, curve)))
}

fn failure(point: &Point, why: &Error, done: usize, last: bool) -> String {
    let line = why.to_string();
    let first = line.lines().next().unwrap_or_default();
    let then = if last { "given up" } else { "tried again" };
    let (kind, (figure, x)) = (point.scene.kind, point.places[0]);
    format!("{figure} at {x} on the {kind:?} host, {then} after {done} migrations: {first}")
}
