//! docs/network.md.

use std::fmt::Write as _;

use super::crossing::{Crossing, difference_s, median, surprise_s};
use super::{BUDGET, MEMORY_MIB, SERVICE, WAYS, WORKLOAD};
use crate::XenVersion;

pub(super) fn page(version: XenVersion, crossings: &[Crossing], hung: usize) -> String {
    let mut page = format!(
        "# Two hosts on a network\n\n\
         Written by `make bench-network`; raw figures in [network.json](network.json). A guest\n\
         ({MEMORY_MIB} MiB, `{WORKLOAD}`) goes to and fro between two real Xen {version} hosts in\n\
         the lab by `xenmig migrate --transport 'socat - TCP:…'`, with a budget of {:.1} s of\n\
         downtime. It sends {:.0} datagrams a second to a receiver outside of both hosts.\n\n\
         **All seconds are virtual.** The hosts' clocks are kept together, whoever is ahead stands\n\
         still, and are read from outside every few milliseconds; so the arrivals, stamped by the\n\
         receiver on this machine's clock, can be told on the source's clock, which is that of\n\
         xenmig's figures. The outage is the longest silence less the mean interval between\n\
         datagrams. A guest's own clock stands still while it is suspended, and every datagram\n\
         carries it: what is left of the silence without it is the time the guest was suspended,\n\
         which is what xenmig's downtime should be. The rest of the outage is the way from a\n\
         guest that runs to a network card that sends.\n\n\
         | figure | value |\n| --- | --- |\n",
        BUDGET.as_secs_f64(),
        SERVICE.0,
    );
    let intact = crossings.iter().filter(|crossing| crossing.intact).count();
    let of = |figure: fn(&Crossing) -> Option<f64>| ms(median(crossings, figure));
    let lost = crossings.iter().map(|c| c.lost as f64).fold(0.0, f64::max);
    let besides: u64 = crossings.iter().map(|crossing| crossing.lost_besides).sum();
    let apart = crossings.iter().map(|crossing| crossing.apart_s).fold(0.0, f64::max);
    let rows = [
        ("migrations, guest intact afterwards", format!("{}, {intact}", crossings.len())),
        ("guests that hung (not counted above), and another went", hung.to_string()),
        ("outage, median", of(|c| Some(c.outage.s))),
        ("guest suspended, median", of(|c| Some(c.suspended_s))),
        ("downtime by xenmig, median", of(Crossing::downtime_s)),
        ("xenmig's downtime against the guest's, median of the difference", of(difference_s)),
        ("datagrams lost: most in an outage, all besides", format!("{lost:.0}, {besides}")),
        ("clocks of the two hosts apart over an outage, at most", ms(Some(apart))),
    ];
    for (what, value) in rows {
        let _ = writeln!(page, "| {what} | {value} |");
    }
    page += "\n| hosts | buffers | target known | total | expected when stopping | downtime by xenmig \
             | guest suspended | outage | datagrams lost |\n\
             | --- | --- | --- | --- | --- | --- | --- | --- | --- |\n";
    for crossing in crossings {
        let total = crossing.stated("/measured/total_s");
        let _ = writeln!(
            page,
            "| {} | {} | {} | {} | {} | {} | {} | {} ± {:.0} | {} |",
            crossing.direction(),
            crossing.way.name,
            if crossing.known { "yes" } else { "no" },
            total.map_or("—".into(), |s| format!("{s:.1} s")),
            ms(crossing.expected_s()),
            ms(crossing.downtime_s()),
            ms(Some(crossing.suspended_s)),
            ms(Some(crossing.outage.s)),
            crossing.outage.error_s * 1e3,
            crossing.lost,
        );
    }
    page += "\nMedians, by the buffers of the sockets at both ends, and the parts of xenmig's downtime: \
             the last\ncopy; the target's part until it has everything, with what the buffers still \
             held and its own work,\nsuch as the script that connects a network card; and the start. \
             With a target that is not known\nxenmig, made to go by `--force`, can expect no more \
             than the copy.\n\n\
             | buffers | target known | expected when stopping | downtime by xenmig | error | last \
             copy | target | start |\n| --- | --- | --- | --- | --- | --- | --- | --- |\n";
    for (way, known) in WAYS.iter().flat_map(|way| [(way, false), (way, true)]) {
        let of = |figure: &dyn Fn(&Crossing) -> Option<f64>| {
            let these = crossings.iter().filter(|c| c.known == known && std::ptr::eq(c.way, way));
            median(these, figure)
        };
        let part = |name: &str| ms(of(&|c| c.stated(&format!("/measured/{name}_s"))));
        let Some(expected) = of(&Crossing::expected_s) else { continue };
        let _ = writeln!(
            page,
            "| {} | {} | {} | {} | {} | {} | {} | {} |",
            way.name,
            if known { "yes" } else { "no" },
            ms(Some(expected)),
            part("downtime"),
            ms(of(&surprise_s)),
            part("last_copy"),
            part("transport"),
            part("resume"),
        );
    }
    page
}

fn ms(s: Option<f64>) -> String {
    s.map_or("—".into(), |s| format!("{:.0} ms", s * 1e3))
}
