//! The gate's thresholds, as the figures show them: how much of a fact it takes until a time is
//! noticeably longer than without.

use std::fmt::Write as _;

use serde_json::{Map, Value, json};
use xenmig::policy::gate::Thresholds;

use super::plan::{Curve, Figure};
use super::run::Run;
use super::series::{crossing, medians, of, value_at};

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

const SOURCES: [Source; 3] = [
    Source {
        name: "free_cpus_without_guest",
        conclusion: 'e',
        figure: Figure::Fig5,
        what: "CPU that others leave, where total time or downtime is longer",
        fact: |run| Some(1.0 - (run.load.host - run.load.xen)),
        times: &[Run::total_s, Run::downtime_s],
        default: |thresholds| thresholds.free_cpus_without_guest,
    },
    Source {
        name: "free_cpus",
        conclusion: 'a',
        figure: Figure::Fig3,
        what: "CPU that all leave, the guest among them, where total time is longer",
        fact: |run| Some(1.0 - run.load.host),
        times: &[Run::total_s],
        default: |thresholds| thresholds.free_cpus,
    },
    Source {
        name: "resent",
        conclusion: 'd',
        figure: Figure::Fig7,
        what: "share of its memory that is sent again, where total time is longer",
        fact: Run::resent,
        times: &[Run::total_s],
        default: |thresholds| thresholds.resent,
    },
];

impl Source {
    /// `None` where no time gets so much longer, or not enough was measured.
    fn measured(&self, runs: &[Run]) -> Option<f64> {
        let runs = of(runs, self.figure);
        let longer = |time: &Fact| crossing(&medians(&runs, Curve::Weak, time), LONGER);
        let x = self.times.iter().filter_map(longer).min_by(f64::total_cmp)?;
        value_at(&medians(&runs, Curve::Weak, self.fact), x)
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
    text += "\nThe rules of conclusions c, f and g hold the prediction of this guest against its\n\
             budget; `size_in_downtime` (b) and `convergence` (g) only inform, and are our choice.\n";
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::experiment::tests::run;

    /// Runs of a figure in which a CPU is used more and more, and times as said, at 0, 50 and 100.
    fn runs(figure: Figure, times: [(f64, f64); 3]) -> Vec<Run> {
        let at = |(x, (total_s, downtime_s))| run(figure, Curve::Weak, x, 0, total_s, downtime_s);
        [0.0, 50.0, 100.0].into_iter().zip(times).map(at).collect()
    }

    #[test]
    fn the_first_time_that_is_longer_counts() {
        let raw = raw(&runs(Figure::Fig5, [(10.0, 1.0), (11.0, 1.5), (14.0, 2.0)]));
        // Downtime is a quarter longer at 25, where the host's other load takes 0.25 and 0.05.
        assert_eq!(raw["free_cpus_without_guest"], 0.7);
        assert_eq!((&raw["free_cpus"], &raw["resent"]), (&Value::Null, &Value::Null));
    }

    #[test]
    fn the_downtime_does_not_count_for_the_guests_own_load() {
        let runs = runs(Figure::Fig3, [(10.0, 1.0), (11.0, 1.5), (14.0, 2.0)]);
        let x = 50.0 + 50.0 * 1.5 / 3.0;
        let free = raw(&runs)["free_cpus"].as_f64().unwrap();
        assert!((free - (1.0 - x / 100.0 - 0.05)).abs() < 1e-9, "{free}");
        assert!(text(&runs).contains("| `free_cpus` | a |"), "{}", text(&runs));
    }

    /// Defaults are round numbers, and two whole runs lie up to 0.025 apart.
    #[test]
    fn the_gate_has_what_was_measured() {
        let measured = include_str!("../../../docs/paper/data/thresholds.json");
        let measured: Value = serde_json::from_str(measured).unwrap();
        for Source { name, default, .. } in &SOURCES {
            let (measured, default) = (measured[name].as_f64(), default(&Thresholds::default()));
            let apart = measured.map(|measured| (measured - default).abs());
            assert!(apart.is_some_and(|apart| apart <= 0.05), "{name}: {measured:?}, {default}");
        }
    }

    #[test]
    fn what_gets_no_longer_shows_nothing() {
        let runs = runs(Figure::Fig5, [(10.0, 1.0), (11.0, 1.1), (12.0, 1.2)]);
        assert_eq!(raw(&runs)["free_cpus_without_guest"], Value::Null);
        assert!(text(&runs).contains("| — | "), "{}", text(&runs));
    }
}
