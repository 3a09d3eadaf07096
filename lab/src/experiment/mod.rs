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
mod validation;

use std::collections::VecDeque;
use std::num::NonZero;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::thread;

use serde_json::{Value, json};

pub use plan::{Curve, Figure, Figures, Kind};

use self::plan::Point;
use self::run::Run;
use crate::error::Context;
use crate::measure::Programs;
use crate::{Error, Host, Result, XenVersion};

/// Repetitions of a point.
const REPEATS: u32 = 5;
/// A point that fails is measured once more.
const TRIES: u32 = 2;

/// What a progress line goes to, from any of the hosts.
type Say<'a> = Mutex<&'a mut (dyn FnMut(&str) + Send)>;

/// What came of a point: its runs, or why it failed.
type Measured = Result<Vec<Run>, (Point, Error)>;

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
        let hosts = self.hosts.or(thread::available_parallelism().ok()).map_or(1, NonZero::get);
        let (left, say) = (Mutex::new(points), Mutex::new(say));
        let (left, say) = (&left, &say);
        let measured: Vec<Measured> = thread::scope(|scope| {
            let work = |_| scope.spawn(move || self.on_one_host(left, say));
            let workers: Vec<_> = (0..hosts.min(count)).map(work).collect();
            workers.into_iter().flat_map(|worker| worker.join().unwrap_or_default()).collect()
        });
        let (mut runs, mut failed) = (Vec::new(), Vec::new());
        for point in measured {
            match point {
                Ok(of) => runs.extend(of),
                Err((point, why)) => failed.push(failure(&point, &why)),
            }
        }
        let order = |run: &Run| (run.figure, run.curve, run.nth);
        runs.sort_by(|a: &Run, b| order(a).cmp(&order(b)).then(a.x.total_cmp(&b.x)));
        self.write(figures, &runs, &failed)?;
        Ok(json!({
            "bar": "paper",
            "figures": figures.iter().map(ToString::to_string).collect::<Vec<_>>(),
            "points": count, "failed": failed.len(),
        }))
    }

    /// Measures points from those that are `left` until there are none. A host that failed is not
    /// used any more.
    fn on_one_host(&self, left: &Mutex<VecDeque<Point>>, say: &Say<'_>) -> Vec<Measured> {
        let mut host = None;
        let mut measured = Vec::new();
        loop {
            let point = left.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
            let Some(point) = point else { return measured };
            let mut tries = 0;
            measured.push(loop {
                tries += 1;
                match self.one_point(&mut host, &point, say) {
                    Ok(runs) => break Ok(runs),
                    Err(why) => {
                        host = None;
                        tell(say, &format!("FAILED ({tries}): {}: {why}", failure(&point, &why)));
                        if tries == TRIES {
                            break Err((point, why));
                        }
                    }
                }
            });
        }
    }

    /// All repetitions of a point, its curves in turn, on a host that is there or booted now.
    fn one_point(&self, host: &mut Option<Host>, point: &Point, say: &Say<'_>) -> Result<Vec<Run>> {
        let host = match host {
            Some(host) => host,
            None => host.insert(scene::host(self.version, &self.programs)?),
        };
        scene::create(host, point)?;
        let load = run::load(host)?;
        let repeats = if self.quick || point.figure == Figure::Fig2 { 1 } else { REPEATS };
        let mut runs = Vec::new();
        for nth in 0..repeats {
            for &curve in &point.curves {
                let (ended, verdict) = run::migrate(host, point, curve)?;
                let run =
                    Run { figure: point.figure, x: point.x, curve, nth, load, verdict, ended };
                tell(say, &run.line());
                runs.push(run);
            }
        }
        scene::remove(host, point)?;
        Ok(runs)
    }

    /// The raw figures, the pictures and the page.
    fn write(&self, figures: &[Figure], runs: &[Run], failed: &[String]) -> Result<()> {
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
        save("README.md", &page::page(self.version, figures, self.quick, runs, failed))
    }
}

fn failure(point: &Point, why: &Error) -> String {
    let line = why.to_string();
    let first = line.lines().next().unwrap_or_default();
    format!("{} at {} on the {:?} host: {first}", point.figure, point.x, point.kind)
}

fn tell(say: &Say<'_>, line: &str) {
    say.lock().unwrap_or_else(PoisonError::into_inner)(line);
}
