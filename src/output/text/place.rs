//! Hosts ranked for a domain, each with what speaks against it.

use xenmig::check::Report;
use xenmig::place::{Placement, Unknown};
use xenmig::policy::gate::{Severity, Verdict};

use super::check::{reason, target};
use super::{name, seconds};
use crate::output::style::Style;
use crate::output::table::wrap;

/// Column at which what is said of a host begins.
const INDENT: usize = 8;

/// The best host, then all of them.
pub fn place(placement: &Placement, style: Style) -> String {
    let who = name(&placement.domain);
    let best = placement.best().and_then(|report| report.target.as_ref());
    let mut out = match best {
        Some(best) => format!("{} is the best place for {who}\n", style.strong(&best.name)),
        None if placement.ranked.is_empty() => {
            format!("no host has told of itself, so there is no place for {who} yet\n")
        }
        None => format!("{who} should go to none of these hosts now\n"),
    };
    for report in &placement.ranked {
        out += &format!("\n{}", host(report, style));
    }
    for unknown in &placement.unknown {
        out += &format!("\n{}", no_answer(unknown, style));
    }
    out
}

fn host(report: &Report, style: Style) -> String {
    let Some(where_to) = &report.target else {
        return String::new();
    };
    let verdict = match report.judgement.verdict {
        Verdict::Go => style.good("GO     "),
        Verdict::Wait => style.warning("WAIT   "),
        Verdict::NoGo => style.bad("NO-GO  "),
    };
    let mut out = format!("{verdict} {}\n", style.strong(&where_to.name));
    out += &indented(&target(report, where_to));
    if let Some(prediction) = &report.prediction {
        let (downtime, total) = (prediction.downtime_s.p90, prediction.total_s.p90);
        let (downtime, total) = (seconds(downtime), seconds(total));
        out += &indented(&format!("expected: at most {downtime} down, {total} in all (p90)"));
    }
    // What is only worth knowing is mostly the same for all of them.
    let serious = report.judgement.reasons.iter().filter(|r| r.severity > Severity::Info);
    out + &serious.map(|serious| reason(serious, style)).collect::<String>()
}

fn no_answer(unknown: &Unknown, style: Style) -> String {
    let mut out = format!("{} {}\n", style.bad("?      "), style.strong(&unknown.name));
    out += &indented(&unknown.error.to_string());
    out + &unknown.error.advice().map(indented).unwrap_or_default()
}

fn indented(text: &str) -> String {
    wrap(text, INDENT).iter().map(|line| format!("{:INDENT$}{line}\n", "")).collect()
}
