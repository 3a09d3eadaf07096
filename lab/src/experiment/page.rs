//! docs/paper/README.md.

use std::fmt::Write as _;

use super::finding::{Finding, findings};
use super::plan::{Curve, Figure, Kind, PERIOD};
use super::run::{BUDGET, Run};
use super::series::{Place, Spread, of, places};
use super::{REPEATS, validation};
use crate::XenVersion;
use crate::measure::RATE;

pub(super) fn page(
    version: XenVersion,
    figures: &[Figure],
    quick: bool,
    runs: &[Run],
    failed: &[String],
) -> String {
    let mut page = head(version, quick);
    for figure in figures {
        section(&mut page, *figure, &of(runs, *figure));
    }
    page += "\n## The meter beside the tool stack\n\n";
    page += &validation::text(runs);
    page += "\n## Failed points\n\n";
    if failed.is_empty() {
        page += "None.\n";
    }
    for line in failed {
        let _ = writeln!(page, "- {line}");
    }
    page
}

fn head(version: XenVersion, quick: bool) -> String {
    let (dom0, guest) = (Kind::Strong.dom0_cap(), Kind::Strong.guest_cap());
    let repeats = if quick { 1 } else { REPEATS };
    format!(
        "# The paper's measurements, repeated\n\n\
         Written by `make paper`. E. Semenov, D. Versick, D. Tavangarian (University of Rostock),\n\
         *Ansätze zur Reduktion der Live-Migrationsdauer virtueller Maschinen*, measured which load\n\
         makes live migrations of Xen 4.0.1 long. Here the same is measured on Xen {version} in the\n\
         lab, with the same instruments: a load generator and a UDP service in the guest, a receiver\n\
         outside that times the service. A guest under load computes for that share of every {} ms.\n\
         **All seconds are virtual**: they count instructions of one\n\
         emulated CPU. Raw figures are in [data](data).\n\n\
         - **Weak host**: one CPU, shared by Dom0 and all guests; stock scheduler and weights.\n\
         - **Strong host**: the same CPU divided by caps, {dom0} % for Dom0 and {guest} % for each\n  \
         guest's virtual CPU, so that nobody takes anybody's time, as on a host with a CPU for each.\n  \
         Its Dom0 has half the speed that the weak one has while nobody else wants the CPU: compare\n  \
         how the curves run, not their heights.\n\
         - **xenmig**: `xenmig migrate --downtime {:.0}s` on the weak host in place of `xl migrate`.\n  \
         It is told to begin whatever it thinks of it; crosses at the bottom mark where it advised\n  \
         against at least one migration.\n\n\
         Source and target are the same host, so that all times are on one clock; the link between\n\
         them carries {:.0} Mbit/s. Each point is {repeats} migration{}: the median, with a bar from\n\
         the least to the most. *Total* is the tool stack's time from the start of the save to the\n\
         guest running at the target, *offline* how long the service was away, by the meter. A guest\n\
         has at least 96 MiB, in which Debian's kernel just boots; the paper's had 128 MB.\n",
        PERIOD.as_millis(),
        BUDGET.as_secs_f64(),
        RATE as f64 * 8.0 / 1e6,
        if repeats == 1 { "" } else { "s" },
    )
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

fn section(page: &mut String, figure: Figure, runs: &[&Run]) {
    let _ = writeln!(page, "\n## {}\n\n![{}]({figure}.svg)\n", title(figure), title(figure));
    *page += "| the paper | here | | |\n| --- | --- | --- | --- |\n";
    for Finding { paper, measured, same, why } in findings(figure, runs) {
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
        "\n| {} | curve | total | offline | moved | load by Xen, by the guest | xenmig advised against |\n\
         | ---: | --- | ---: | ---: | ---: | ---: | --- |",
        figure.axis()
    );
    for curve in Curve::ALL {
        for place in places(runs, curve) {
            row(page, curve, &place, runs);
        }
    }
}

fn row(page: &mut String, curve: Curve, place: &Place, runs: &[&Run]) {
    let spread = |spread: Option<Spread>| {
        spread.map_or("—".into(), |s| format!("{:.2} s ({:.2}–{:.2})", s.median, s.least, s.most))
    };
    let load = runs.iter().find(|run| run.curve == curve && run.x == place.x).map(|run| run.load);
    let load =
        load.map_or("—".into(), |l| format!("{:.1} %, {:.1} %", l.xen * 1e2, l.guest * 1e2));
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
