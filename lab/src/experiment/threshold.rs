//! The gate's thresholds, as the figures show them: how much of a fact it takes until a time is
//! noticeably longer than without.

use std::fmt::Write as _;

use serde_json::{Map, Value, json};
use xenmig::policy::gate::Thresholds;

use super::plan::{Curve, Figure};
use super::run::Run;
use super::series::{along, crossing, of, value_at};

/// What is noticeable: a quarter more. Our choice.
const LONGER: f64 = 0.25;

type Fact = fn(&Run) -> Option<f64>;

/// A threshold and what it is read from.
struct Source {
    /// Its name in the configuration.
    name: &'static str,
    conclusion: char,
    figure: Figure,
    what: &'static str,
    fact: Fact,
    /// The first of them that is longer counts.
    times: &'static [Fact],
    default: fn(&Thresholds) -> f64,
}

const TOTAL: Fact = |run| Some(run.moved()?.total_s);
const DOWNTIME: Fact = |run| Some(run.moved()?.downtime_s);

const SOURCES: [Source; 3] = [
    Source {
        name: "free_cpus_without_guest",
        conclusion: 'e',
        figure: Figure::Fig5,
        what: "CPU that others leave, where total time or downtime is longer",
        fact: |run| Some(1.0 - (run.load.host - run.load.xen)),
        times: &[TOTAL, DOWNTIME],
        default: |thresholds| thresholds.free_cpus_without_guest,
    },
    Source {
        name: "free_cpus",
        conclusion: 'a',
        figure: Figure::Fig3,
        what: "CPU that all leave, the guest among them, where total time is longer",
        fact: |run| Some(1.0 - run.load.host),
        times: &[TOTAL],
        default: |thresholds| thresholds.free_cpus,
    },
    Source {
        name: "resent",
        conclusion: 'd',
        figure: Figure::Fig7,
        what: "share of its memory that is sent again, where total time is longer",
        fact: Run::resent,
        times: &[TOTAL],
        default: |thresholds| thresholds.resent,
    },
];

impl Source {
    /// `None` where no time gets so much longer, or not enough was measured.
    fn measured(&self, runs: &[Run]) -> Option<f64> {
        let runs = of(runs, self.figure);
        let longer = |time: &Fact| crossing(&along(&runs, Curve::Weak, time), LONGER);
        let x = self.times.iter().filter_map(longer).min_by(f64::total_cmp)?;
        value_at(&along(&runs, Curve::Weak, self.fact), x)
    }
}

/// The measured ones by name, for the raw figures.
pub(super) fn raw(runs: &[Run]) -> Value {
    let measured = SOURCES.iter().map(|source| (source.name.into(), json!(source.measured(runs))));
    Value::Object(measured.collect::<Map<_, _>>())
}

/// A table of them, beside the gate's defaults.
pub(super) fn text(runs: &[Run]) -> String {
    let mut text = format!(
        "On the weak host under the stock policy, where a time is first {:.0} % longer than at its\n\
         figure's first place, on straight lines between the places:\n\n\
         | threshold | conclusion | what | figure | measured | the gate's default |\n\
         | --- | --- | --- | --- | ---: | ---: |\n",
        LONGER * 100.0
    );
    let defaults = Thresholds::default();
    for source in &SOURCES {
        let Source { name, conclusion, figure, what, default, .. } = source;
        let measured = source.measured(runs).map_or("—".into(), |value| format!("{value:.2}"));
        let default = default(&defaults);
        let _ = writeln!(
            text,
            "| `{name}` | {conclusion} | {what} | {figure} | {measured} | {default} |"
        );
    }
    text += "\nConclusions b, c, f and g need none: their rules hold the prediction of this guest\n\
             against its budget.\n";
    text
}
