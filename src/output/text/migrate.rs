//! What became of a migration.

use std::time::Duration;

use xenmig::Error;
use xenmig::migrate::{Costs, Fate, Report, forcible};
use xenmig::policy::Budget;
use xenmig::policy::precopy::Why;
use xenmig::units::{Bytes, show_duration};

use super::{budget, field, lines, name, reason, seconds, verdict};
use crate::output::style::Style;
use crate::output::table::{align, count, wrap};

/// Where the guest is, what it took, and what to do if that is not what was wanted.
pub fn migrate(report: &Report, style: Style) -> String {
    let who = name(&report.domain);
    let target = &report.target;
    match &report.fate {
        Fate::Moved => {
            let is = if report.paused { "is paused" } else { "runs" };
            let mut out = format!("{}   {who} {is} at {target}\n", style.good("MOVED"));
            out += &untidy(report.untidy.as_ref(), style);
            out += &costs(report, style);
            out + if report.rehearsed { "\nSimulated: nothing left this host.\n" } else { "" }
        }
        Fate::Refused => refused(report, style),
        Fate::Stayed(why) => {
            let mut out =
                format!("{}  {who} stays here; it did not move\n", style.warning("STAYED"));
            out += &because(why, style);
            out += &untidy(report.untidy.as_ref(), style);
            out + &said(report, style)
        }
        Fate::Stuck(why, stuck) => {
            let mut out =
                format!("{}   {who} is suspended here; it did not move\n", style.bad("STUCK"));
            out += &because(why, style);
            out += &because(stuck, style);
            let todo = format!(
                "the target may not run it. `xenmig recover --resume {}` tries again to resume it \
                 here",
                report.domain.id
            );
            out + &hang(&todo) + &said(report, style)
        }
        Fate::Gone(why, how) => {
            let mut out = format!("{}    {who} has ended; it did not move\n", style.bad("GONE"));
            out += &because(how, style);
            out += &because(why, style);
            out + &said(report, style)
        }
        Fate::Undefined(why) => undefined(report, why, style),
    }
}

fn refused(report: &Report, style: Style) -> String {
    let mut out = verdict(&report.gate, style);
    out += &hang(match forcible(&report.gate.judgement) {
        true => "nothing was touched; --force goes nevertheless",
        false => "nothing was touched",
    });
    out.push('\n');
    for found in &report.gate.judgement.reasons {
        out += &reason(found, style);
    }
    out
}

fn undefined(report: &Report, why: &Error, style: Style) -> String {
    let (domain, target) = (&report.domain, &report.target);
    let mut out = format!("{}  look at both ends before anything else\n", style.bad("UNKNOWN"));
    out += &because(why, style);
    let away = format!("{}--migratedaway", domain.name);
    let todo = [
        format!(
            "{} was given to {target}, and the line broke before {target} said whether it runs. \
             It is suspended here, as {away}.",
            name(domain)
        ),
        format!(
            "1. At {target}: `xl list` shows `{0}` if it runs there, and `{0}--incoming` if it \
             never did.",
            domain.name
        ),
        format!("2. If it does: `xl destroy {away}` here."),
        format!(
            "3. Only if it does not, and what is left of it there is destroyed: `xenmig recover \
             --resume {}` here.",
            domain.id
        ),
        "Two running copies of it would destroy its disks.".to_owned(),
    ];
    out.push('\n');
    out += &todo.iter().map(|line| hang(line)).collect::<String>();
    out + &said(report, style)
}

fn because(why: &Error, style: Style) -> String {
    let advice = why.advice().map(|advice| hang(&style.faint(advice))).unwrap_or_default();
    hang(&why.to_string()) + &advice
}

fn untidy(untidy: Option<&Error>, style: Style) -> String {
    untidy.map(|error| because(error, style)).unwrap_or_default()
}

fn hang(text: &str) -> String {
    const INDENT: usize = 8;
    wrap(text, INDENT).into_iter().map(|line| format!("{:INDENT$}{line}\n", "")).collect()
}

/// What the command that leads to the target said last.
fn said(report: &Report, style: Style) -> String {
    if report.said.is_empty() {
        return String::new();
    }
    let mut out = format!("\n{}\n", style.strong("The transport said"));
    for line in &report.said {
        out += &format!("  {line}\n");
    }
    out
}

fn costs(report: &Report, style: Style) -> String {
    let costs = &report.costs;
    let predicted = report.gate.prediction.as_ref().map(|prediction| &prediction.expected);
    let time = |s: Option<f64>| s.map_or_else(|| "unknown".to_owned(), seconds);
    let against = |predicted: Option<String>| {
        predicted.map(|predicted| format!(" ({predicted} predicted)")).unwrap_or_default()
    };
    let mut out = "\n".to_owned();
    let expected = against(predicted.map(|p| seconds(p.downtime_s)));
    out += &field("Downtime", &format!("{}{expected}", time(costs.downtime_s)), style);
    for (what, s) in parts(costs) {
        out += &format!("{:12}{what:<26}{}\n", "", time(s));
    }
    let expected = against(predicted.map(|p| seconds(p.total_s)));
    out += &field("Total time", &format!("{}{expected}", time(costs.total_s)), style);
    if let Some(bytes) = costs.bytes {
        let expected = against(predicted.map(|p| Bytes(p.bytes as u64).to_string()));
        out += &field("Sent", &format!("{}{expected}", Bytes(bytes)), style);
    }
    out += &field("Budget", &kept(report, style), style);
    out += &match (&report.stock_because, costs.why_stopped) {
        (Some(why), _) => field("Policy", &style.warning(&format!("Xen's own: {why}")), style),
        (None, Some(why)) => field("Suspended", reason_to_stop(why), style),
        (None, None) if report.to_be_steered => {
            let what = "Xen's own: the save was to be steered, but its hook said nothing";
            field("Policy", &style.warning(what), style)
        }
        (None, None) => field("Policy", "Xen's own: nobody steered the save", style),
    };
    if !costs.rounds.is_empty() {
        out.push('\n');
        out += &lines(rounds(costs));
    }
    out
}

fn parts(costs: &Costs) -> Vec<(&'static str, Option<f64>)> {
    vec![
        ("sending the rest", costs.last_copy_s),
        ("put together there", costs.transport_s),
        ("devices, and running", costs.resume_s),
    ]
    .into_iter()
    .filter(|(_, s)| s.is_some_and(|s| s > 0.0))
    .collect()
}

fn kept(report: &Report, style: Style) -> String {
    let limits = &report.gate.budget;
    let shown = budget(limits);
    if *limits == Budget::UNLIMITED {
        return shown;
    }
    match report.kept() {
        Some(true) => format!("{}: {shown}", style.good("kept")),
        Some(false) => format!("{}: {shown}", style.bad("not kept")),
        None => format!("not known whether kept: {shown}"),
    }
}

fn reason_to_stop(why: Why) -> &'static str {
    match why {
        Why::KeepsBudget => "when the rest fitted the budget",
        Why::CannotKeep | Why::OverTotal => "at the best moment that could be had",
        _ => "before the budget was sure",
    }
}

fn rounds(costs: &Costs) -> Vec<String> {
    let mut rows = vec![["round", "pages", "sent", "time"].map(str::to_owned).to_vec()];
    let live = costs.rounds.iter().enumerate().map(|(at, round)| ((at + 1).to_string(), round));
    for (label, round) in live.chain(costs.last.iter().map(|last| ("stopped".to_owned(), last))) {
        let time = Duration::try_from_secs_f64(round.s).map(show_duration).unwrap_or_default();
        rows.push(vec![label, count(round.pages as f64), Bytes(round.bytes).to_string(), time]);
    }
    align(&rows, 2, 1)
}
