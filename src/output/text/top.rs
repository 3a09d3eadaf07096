//! The table of `top`: what its cells and its head say, and the whole of it once.

use xenmig::policy::gate::Verdict;

use super::{lines, seconds};
use crate::output::style::Style;
use crate::output::table::{align, count, percent, wrap};
use crate::top::{Column, Row, Snapshot};

/// Column at which the text of a reason begins.
const INDENT: usize = 7;

/// The host, a line per domain, and what speaks against migrating those that may not go.
pub fn top(snapshot: &Snapshot, style: Style) -> String {
    let mut table = vec![Column::ALL.map(|column| style.strong(column.title())).to_vec()];
    table.extend(snapshot.rows.iter().map(|row| {
        let painted = |column: Column| match (column, row.verdict()) {
            (Column::Verdict, Some(verdict)) => paint(verdict, style),
            _ => cell(row, column),
        };
        Column::ALL.map(painted).to_vec()
    }));
    let mut out = format!("{}\n\n{}", host(snapshot), lines(align(&table, 0, 2)));
    let objections: String = snapshot.rows.iter().map(|row| objection(row, style)).collect();
    if !objections.is_empty() {
        out += &format!("\n{objections}");
    }
    out
}

/// `CPU 14 %, 45.0 GiB of 64.0 GiB free, 5 domains`
pub fn host(snapshot: &Snapshot) -> String {
    let used = snapshot.cpu_utilisation.map_or_else(|| "-".to_owned(), percent);
    let (free, all) = (snapshot.host.free_memory, snapshot.host.memory);
    let plural = if snapshot.rows.len() == 1 { "" } else { "s" };
    format!("CPU {used}, {free} of {all} free, {} domain{plural}", snapshot.rows.len())
}

/// What the table says of a domain in a column; `-` where that is not known.
pub fn cell(row: &Row, column: Column) -> String {
    let expected = row.expected();
    let known = match column {
        Column::Id => Some(row.domain.id.to_string()),
        Column::Name => Some(row.name()),
        Column::Vcpus => Some(row.domain.vcpus.to_string()),
        Column::Memory => Some(row.domain.memory.bytes().to_string()),
        Column::Cpu => row.cpus_used().map(percent),
        Column::Dirty => row.dirty_rate().map(count),
        Column::Downtime => expected.map(|expected| seconds(expected.downtime_s)),
        Column::Total => expected.map(|expected| seconds(expected.total_s)),
        Column::Verdict => row.verdict().map(|verdict| word(verdict).to_owned()),
    };
    known.unwrap_or_else(|| "-".to_owned())
}

/// As the command line and `--json` write it.
const fn word(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Go => "go",
        Verdict::Wait => "wait",
        Verdict::NoGo => "no-go",
    }
}

fn paint(verdict: Verdict, style: Style) -> String {
    match verdict {
        Verdict::Go => style.good(word(verdict)),
        Verdict::Wait => style.warning(word(verdict)),
        Verdict::NoGo => style.bad(word(verdict)),
    }
}

/// `wait   db: total time may exceed the budget: …`; nothing for a domain that may go.
fn objection(row: &Row, style: Style) -> String {
    let (Some(verdict), Some(reason)) = (row.verdict(), row.objection()) else {
        return String::new();
    };
    let text = wrap(&format!("{}: {}", row.name(), reason.message), INDENT);
    let space = " ".repeat(INDENT.saturating_sub(word(verdict).len()));
    format!("{}{space}{}\n", paint(verdict, style), text.join(&format!("\n{:INDENT$}", "")))
}
