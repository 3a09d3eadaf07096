//! Predictions as a table.

use xenmig::model::{Policy, Row};
use xenmig::units::Bytes;

use super::{lines, seconds};
use crate::output::style::Style;
use crate::output::table::align;

/// A line per row; what repeats in the columns to the left is left out.
pub fn predict(subject: &str, rows: &[Row], style: Style) -> String {
    let head = ["bandwidth", "downtime", "policy", "total", "downtime", "sent", "rounds"];
    let limit = ["", "allowed", "", "", "", "", ""];
    let strong = |text: &str| style.strong(text);
    let mut table = vec![head.map(strong).to_vec(), limit.map(strong).to_vec()];
    let mut before = [String::new(), String::new()];
    for row in rows {
        let given = [
            row.bandwidth_bytes_per_s.to_string(),
            row.downtime_budget_s.map_or_else(|| "unlimited".to_owned(), seconds),
        ];
        let same = [given[0] == before[0], given == before];
        let mut cells = [0, 1].map(|at| if same[at] { String::new() } else { given[at].clone() });
        if !same[0] {
            cells[1].clone_from(&given[1]);
        }
        table.push(cells.into_iter().chain(outcome(row, style)).collect());
        before = given;
    }
    format!("{subject}\n\n{}", lines(align(&table, 0, 3)))
}

fn outcome(row: &Row, style: Style) -> Vec<String> {
    let policy = match row.policy {
        Policy::Stock => "stock",
        Policy::Budget => "budget",
    };
    let over = matches!((row.downtime_s, row.downtime_budget_s), (Some(is), Some(may)) if is > may);
    let shown = |value: Option<f64>| value.map_or_else(|| "-".to_owned(), seconds);
    let downtime = match (row.downtime_s, over) {
        (Some(s), true) => style.bad(&seconds(s)),
        (Some(s), false) => style.good(&seconds(s)),
        (None, _) => "-".to_owned(),
    };
    let note = match (row.converges, over) {
        (false, _) => style.bad("never ends"),
        (true, true) => style.bad("over budget"),
        (true, false) => String::new(),
    };
    vec![
        policy.to_owned(),
        shown(row.total_s),
        downtime,
        row.bytes.map_or_else(|| "-".to_owned(), |bytes| Bytes(bytes as u64).to_string()),
        if row.converges { row.rounds.len().to_string() } else { "-".to_owned() },
        note,
    ]
}
