//! docs/paper/README.md.

use std::fmt::Write as _;

use super::finding::{Finding, findings};
use super::plan::{Curve, Figure, Kind, PERIOD, RATE, SET_PAGES};
use super::raw::Measured;
use super::run::{BUDGET, Run};
use super::series::{Place, Spread, of, places};
use super::{threshold, validation};

/// What comes before the figures.
const HEAD: &str = include_str!("head.md");

/// The page about the figures that were measured, and all their `runs`.
pub(super) fn page(figures: &[(Figure, Measured)], runs: &[Run]) -> String {
    let mut page = head(figures, runs);
    for (figure, _) in figures {
        section(&mut page, *figure, runs);
    }
    page += "\n## xenmig's budget\n\n";
    page += &kept(runs);
    page += "\n## The meter beside the tool stack\n\n";
    page += &validation::text(runs);
    page += "\n## The gate's thresholds\n\n";
    page += &threshold::text(runs);
    page += "\n## What failed on the way\n\n";
    let failures: Vec<_> = figures.iter().flat_map(|(_, measured)| &measured.failures).collect();
    if failures.is_empty() {
        page += "Nothing.\n";
    }
    for line in failures {
        let _ = writeln!(page, "- {line}");
    }
    page
}

fn head(figures: &[(Figure, Measured)], runs: &[Run]) -> String {
    let mut xens: Vec<_> = figures.iter().map(|(_, measured)| measured.xen.as_str()).collect();
    xens.dedup();
    let repeats = runs.iter().map(|run| run.nth + 1).max().unwrap_or(0);
    let (dom0, guest) = (Kind::Strong.dom0_cap(), Kind::Strong.guest_cap());
    HEAD.replace("@XEN@", &xens.join(" and "))
        .replace("@DOM0_CAP@", &dom0.to_string())
        .replace("@GUEST_CAP@", &guest.to_string())
        .replace("@BUDGET@", &BUDGET.as_secs_f64().to_string())
        .replace("@PERIOD_MS@", &PERIOD.as_millis().to_string())
        .replace("@SET@", &SET_PAGES.to_string())
        .replace("@MBIT@", &(RATE * 8 / 1_000_000).to_string())
        .replace("@REPEATS@", &repeats.to_string())
}

fn title(figure: Figure) -> &'static str {
    match figure {
        Figure::Fig2 => "Figure 2: throughput over time",
        Figure::Fig3 => "Figure 3: load of the migrated guest",
        Figure::Fig4 => "Figure 4: load of the migrated guest, beside one at 100 %",
        Figure::Fig5 => "Figure 5: load of another guest",
        Figure::Fig6 => "Figure 6: size of memory",
        Figure::Fig7 => "Figure 7: pages modified",
    }
}

fn section(page: &mut String, figure: Figure, all: &[Run]) {
    let _ = writeln!(page, "\n## {}\n\n![{}]({figure}.svg)\n", title(figure), title(figure));
    *page += "| the paper | here | | |\n| --- | --- | --- | --- |\n";
    for Finding { paper, measured, same, why } in findings(figure, all) {
        let verdict = match same {
            Some(true) => "same",
            Some(false) => "**different**",
            None => "not measured",
        };
        let _ = writeln!(page, "| {paper} | {measured} | {verdict} | {why} |");
    }
    if figure == Figure::Fig2 {
        return;
    }
    let _ = writeln!(
        page,
        "\n| {} | curve | total | down | offline | moved | load: by the guest, by Xen, host | writes/s | advised against |\n\
         | ---: | --- | ---: | ---: | ---: | ---: | ---: | ---: | --- |",
        figure.axis()
    );
    let runs = of(all, figure);
    for curve in Curve::ALL {
        for place in places(&runs, curve) {
            row(page, curve, &place, &runs, all);
        }
    }
}

fn row(page: &mut String, curve: Curve, place: &Place, runs: &[&Run], all: &[Run]) {
    let spread = |spread: Option<Spread>| {
        spread.map_or("—".into(), |s| format!("{:.2} s ({:.2}–{:.2})", s.median, s.least, s.most))
    };
    let run = runs.iter().find(|run| run.curve == curve && run.x == place.x);
    let load = run.map(|run| run.load);
    let from = run.and_then(|run| run.from).map_or(String::new(), |from| format!(" ({from})"));
    let shares = load.map_or("—".into(), |l| {
        let percent = [l.guest, l.xen, l.host].map(|share| format!("{:.0} %", share * 1e2));
        percent.join(", ")
    });
    let writes = load.map_or("—".into(), |l| format!("{:.0}", l.writes_per_s));
    // Reasons that do not keep it from advising for others only inform.
    let informs = |reason: &String| {
        let verdicts = all.iter().filter_map(|run| run.verdict.as_ref());
        verdicts.filter(|verdict| verdict.go()).any(|verdict| verdict.reasons.contains(reason))
    };
    let reasons: Vec<_> = place.reasons.iter().filter(|r| !informs(r)).cloned().collect();
    let advice = match place.warned {
        0 => String::new(),
        warned => format!("{warned}: {}", reasons.join(", ")),
    };
    let _ = writeln!(
        page,
        "| {:.0}{from} | {} | {} | {} | {} | {} of {} | {shares} | {writes} | {advice} |",
        place.x,
        curve.name(),
        spread(place.total_s),
        spread(place.downtime_s),
        spread(place.offline_s),
        place.moved,
        place.runs,
    );
}

/// What became of xenmig's budget.
fn kept(runs: &[Run]) -> String {
    let judged = |go: bool| {
        let each = runs.iter().filter(|run| run.from.is_none());
        each.filter(move |run| run.verdict.as_ref().is_some_and(|v| v.go() == go))
    };
    let outcome = |go: bool| {
        let within = |run: &&Run| run.downtime_s().is_some_and(|s| s <= BUDGET.as_secs_f64());
        let (all, kept) = (judged(go).count(), judged(go).filter(within).count());
        let stayed = judged(go).filter(|run| run.moved().is_none()).count();
        let broken = all - kept - stayed;
        format!("{all}: {kept} kept it, {stayed} stayed where they were, {broken} broke it")
    };
    format!(
        "Of the migrations by xenmig with a budget of {} s of downtime, by the tool stack's times:\n\n\
         - advised for {}.\n- advised against {}.\n",
        BUDGET.as_secs_f64(),
        outcome(true),
        outcome(false),
    )
}
