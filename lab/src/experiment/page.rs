//! docs/paper/README.md.

use std::fmt::Write as _;

use super::finding::{Finding, findings};
use super::plan::{Curve, Figure, Kind, PERIOD, RATE};
use super::run::{BUDGET, Run};
use super::series::{Place, Spread, of, places};
use super::{REPEATS, threshold, validation};
use crate::XenVersion;

/// What comes before the figures.
const HEAD: &str = include_str!("head.md");

pub(super) fn page(
    version: XenVersion,
    figures: &[Figure],
    quick: bool,
    runs: &[Run],
    failures: &[String],
) -> String {
    let mut page = head(version, quick);
    for figure in figures {
        section(&mut page, *figure, runs);
    }
    page += "\n## The meter beside the tool stack\n\n";
    page += &validation::text(runs);
    page += "\n## The gate's thresholds\n\n";
    page += &threshold::text(runs);
    page += "\n## What failed on the way\n\n";
    if failures.is_empty() {
        page += "Nothing.\n";
    }
    for line in failures {
        let _ = writeln!(page, "- {line}");
    }
    page
}

fn head(version: XenVersion, quick: bool) -> String {
    let (dom0, guest) = (Kind::Strong.dom0_cap(), Kind::Strong.guest_cap());
    HEAD.replace("@XEN@", version.as_str())
        .replace("@DOM0_CAP@", &dom0.to_string())
        .replace("@GUEST_CAP@", &guest.to_string())
        .replace("@BUDGET@", &BUDGET.as_secs_f64().to_string())
        .replace("@PERIOD_MS@", &PERIOD.as_millis().to_string())
        .replace("@MBIT@", &(RATE * 8 / 1_000_000).to_string())
        .replace("@REPEATS@", &if quick { 1 } else { REPEATS }.to_string())
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
        "\n| {} | curve | total | offline | moved | load: by the guest, by Xen, host | advised against |\n\
         | ---: | --- | ---: | ---: | ---: | ---: | --- |",
        figure.axis()
    );
    let runs = of(all, figure);
    for curve in Curve::ALL {
        for place in places(&runs, curve) {
            row(page, curve, &place, &runs);
        }
    }
}

fn row(page: &mut String, curve: Curve, place: &Place, runs: &[&Run]) {
    let spread = |spread: Option<Spread>| {
        spread.map_or("—".into(), |s| format!("{:.2} s ({:.2}–{:.2})", s.median, s.least, s.most))
    };
    let load = runs.iter().find(|run| run.curve == curve && run.x == place.x).map(|run| run.load);
    let load = load.map_or("—".into(), |l| {
        let percent = [l.guest, l.xen, l.host].map(|share| format!("{:.0} %", share * 1e2));
        percent.join(", ")
    });
    let advice = match place.warned {
        0 => String::new(),
        warned => format!("{warned}: {}", place.reasons.join(", ")),
    };
    let _ = writeln!(
        page,
        "| {:.0} | {} | {} | {} | {} of {} | {load} | {advice} |",
        place.x,
        curve.name(),
        spread(place.total_s),
        spread(place.offline_s),
        place.moved,
        place.runs,
    );
}
