//! docs/policy.md.

use std::fmt::Write as _;

use super::super::accuracy::RATE;
use super::Run;
use super::summary::{Beside, Summary};
use crate::XenVersion;

pub(super) fn page(version: XenVersion, runs: &[Run], summary: &Summary) -> String {
    let mut page = format!(
        "# A downtime budget, kept\n\n\
         Written by `make bench-policy`; raw figures in [policy.json](policy.json). Stock\n\
         `xl migrate` and `xenmig migrate` in turn on the same guests, real Xen {version} in the\n\
         lab, over a link shaped to {:.0} Mbit/s; **all seconds are virtual**. Bandwidth and fixed\n\
         costs come from earlier migrations of other guests. Both are observed on the wire and in\n\
         the hypervisor.\n\n\
         | figure | value | target |\n| --- | --- | --- |\n",
        RATE as f64 * 8.0 / 1e6,
    );
    let share = |value: Option<f64>| value.map_or("—".into(), |v| format!("{:.0} %", v * 100.0));
    let kept = summary.kept as f64 / summary.completed.max(1) as f64;
    let rows = [
        (
            "budget kept",
            format!("{} of {} ({:.0} %)", summary.kept, summary.completed, kept * 100.0),
            "≥ 95 %",
        ),
        ("refused before the start", summary.refused.to_string(), ""),
        (
            "given up, guest intact at the source",
            format!("{} of {}", summary.aborted_alive, summary.aborted),
            "all",
        ),
        (
            "bursts: p90 of the copy part of downtime, of stock's",
            share(summary.burst_downtime_vs_stock),
            "≤ 33 %",
        ),
        ("bytes where stock needs 5 rounds, of stock's", share(summary.bytes_vs_stock), "≤ 85 %"),
        (
            "there, the first round of all that stock sends: no policy can spare it",
            share(summary.first_round_share),
            "",
        ),
        ("there, bytes beyond the first round, of stock's", share(summary.resent_vs_stock), ""),
        (
            "worst downtime, of stock's (medians, without bursts)",
            share(summary.worst_downtime_vs_stock),
            "≤ 105 %",
        ),
        (
            "worst total time, of stock's (medians, without bursts)",
            share(summary.worst_total_vs_stock),
            "≤ 110 % unless a budget needs it",
        ),
        (
            "downtime predicted when stopping, p90 of its error",
            format!(
                "{}, {:.0} ms",
                share(summary.predicted_p90),
                summary.predicted_p90_s.unwrap_or(f64::NAN) * 1e3
            ),
            "≤ 10 % or 10 ms",
        ),
    ];
    for (what, value, target) in rows {
        let _ = writeln!(page, "| {what} | {value} | {target} |");
    }
    if !summary.failed.is_empty() {
        let _ = writeln!(
            page,
            "| not measured: the lab failed twice | {} | none |",
            summary.failed.join("; ")
        );
    }
    page += "\nThe copy part of a downtime is what lies above an idle guest's. Medians, xenmig beside \
             stock:\n\n\
             | guest | workload | budget | moved, kept | downtime | total | sent | live rounds |\n\
             | --- | --- | --- | --- | --- | --- | --- | --- |\n";
    for beside in Beside::all(runs) {
        let ms = |pair: Option<(f64, f64)>| {
            pair.map_or("—".into(), |(ours, stock)| {
                format!("{:.0} ms, {:.0} ms", ours * 1e3, stock * 1e3)
            })
        };
        let s = |pair: Option<(f64, f64)>| {
            pair.map_or("—".into(), |(ours, stock)| format!("{ours:.1} s, {stock:.1} s"))
        };
        let mib = |pair: Option<(f64, f64)>| {
            let mib = f64::from(1 << 20);
            pair.map_or("—".into(), |(a, b)| format!("{:.0} MiB, {:.0} MiB", a / mib, b / mib))
        };
        let sends = beside.sends.map_or("—".into(), |n| format!("{n:.0}"));
        let _ = writeln!(
            page,
            "| {}, {} MiB | `{}` | {:.0} ms | {} of {}, {} | {} | {} | {} | {sends}, {:.0} |",
            beside.cell,
            beside.memory_mib,
            beside.workload,
            beside.budget_s * 1e3,
            beside.completed,
            beside.runs,
            beside.kept,
            ms(beside.downtime_s),
            s(beside.total_s),
            mib(beside.bytes),
            beside.stock_sends,
        );
    }
    page
}
