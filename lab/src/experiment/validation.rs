//! The meter's times beside the tool stack's own.

use std::fmt::Write as _;

use super::plan::Curve;
use super::run::{Moved, Run};
use super::series::Spread;
use crate::meter::{Estimate, Phases};

/// A time by both, and the meter's uncertainty of it.
struct Both {
    meter: Estimate,
    tool_stack_s: f64,
}

type Times = fn(&Moved, &Phases) -> Option<Both>;

const ROWS: [(&str, Times); 4] = [
    ("the push phase begins", |_, phases| {
        Some(Both { meter: phases.push_begins?, tool_stack_s: 0.0 })
    }),
    ("total time", |moved, phases| {
        Some(Both { meter: phases.total()?, tool_stack_s: moved.total_s })
    }),
    ("the guest's clock stands still; suspended", |moved, phases| {
        Some(Both { meter: phases.suspended, tool_stack_s: moved.downtime_s })
    }),
    ("the service is away; suspended", |moved, phases| {
        Some(Both { meter: phases.offline, tool_stack_s: moved.downtime_s })
    }),
];

/// What the differences come from.
const WHY: &str = " The service is away longer than the guest is suspended: when the guest\n\
    runs again, its network card has yet to connect to the new backend, and what it sends\n\
    meanwhile is lost. The guest's own clock stops when its kernel begins to suspend, before the\n\
    hypervisor calls it suspended. And the push phase shows early, because the tool stack takes\n\
    CPU time from its start on, some tenths of a second before the save begins. Where another\n\
    guest disturbs the service all the time, it shows late or not at all.";

/// A table of the differences, and what they come from.
pub(super) fn text(runs: &[Run]) -> String {
    // xenmig disturbs the service before the save, by sampling.
    let stock = || runs.iter().filter(|run| run.curve != Curve::Budget && run.from.is_none());
    let seen: Vec<(&Moved, &Phases)> = stock()
        .filter_map(|run| {
            let moved = run.moved()?;
            Some((moved, moved.phases.as_ref()?))
        })
        .collect();
    let moved = stock().filter(|run| run.moved().is_some()).count();
    let mut text = format!(
        "Of {moved} stock migrations the meter recognised the offline phase in {}. Differences,\n\
         meter minus tool stack:\n\n\
         | time | migrations | median | least to most | within its uncertainty |\n\
         | --- | ---: | ---: | ---: | ---: |\n",
        seen.len()
    );
    for (name, times) in ROWS {
        let both: Vec<Both> = seen.iter().filter_map(|(m, phases)| times(m, phases)).collect();
        let differences: Vec<f64> = both.iter().map(|b| b.meter.s - b.tool_stack_s).collect();
        let within =
            both.iter().zip(&differences).filter(|(b, d)| d.abs() <= b.meter.uncertainty_s);
        let within = within.count();
        let spread = Spread::of(&differences).map_or("— | —".into(), |s| {
            format!("{:+.0} ms | {:+.0} to {:+.0} ms", s.median * 1e3, s.least * 1e3, s.most * 1e3)
        });
        let _ = writeln!(text, "| {name} | {} | {spread} | {within} |", both.len());
    }
    let lost: Vec<f64> = seen.iter().map(|(_, phases)| phases.lost as f64).collect();
    if let Some(lost) = Spread::of(&lost) {
        let _ = writeln!(
            text,
            "\nDatagrams lost in order: {:.0} in the median ({:.0} to {:.0}).{WHY}",
            lost.median, lost.least, lost.most
        );
    }
    text
}
