//! Page and pictures from made-up runs.

use super::page::page;
use super::plan::{Curve, Figure};
use super::plot::draw;
use super::run::{Ended, Load, Moved, Run, Verdict};
use super::series::of;
use crate::XenVersion;
use crate::meter::{Estimate, Phases};

fn moved(total_s: f64, downtime_s: f64) -> Moved {
    let at = |s| Estimate { s, uncertainty_s: 0.01 };
    let suspended_s = total_s - downtime_s;
    let phases = Phases {
        push_begins: Some(at(0.02)),
        offline_begins: at(suspended_s),
        offline_ends: at(total_s + 0.4),
        offline: at(downtime_s + 0.4),
        suspended: at(downtime_s + 0.05),
        lost: 17,
    };
    let curve = (0..200).map(|nth| f64::from(nth) * 0.1 - 2.0);
    let curve = curve.map(|s| (s, if (suspended_s..total_s).contains(&s) { 0.0 } else { 25e3 }));
    let (pages, curve) = (vec![24_000, 90], curve.collect());
    Moved { total_s, downtime_s, pages, phases: Some(phases), curve, suspended_s }
}

/// Weak: time grows with x; strong: it does not; xenmig advises against the last.
fn runs(figure: Figure) -> Vec<Run> {
    let mut runs = Vec::new();
    for curve in Curve::ALL {
        for x in [0.0, 50.0, 100.0] {
            for nth in 0..3 {
                let grown = if curve == Curve::Strong { 0.0 } else { x * 0.1 };
                let total_s = 12.0 + grown + f64::from(nth) * 0.1;
                let ended = if curve == Curve::Budget && x == 100.0 {
                    Ended::Aborted
                } else {
                    Ended::Moved(Box::new(moved(total_s, 1.5 + grown * 0.1)))
                };
                let load = Load { guest: x / 100.0, xen: x / 100.0, host: x / 100.0 + 0.05 };
                let verdict = (curve == Curve::Budget).then(|| Verdict {
                    verdict: if x == 100.0 { "no-go" } else { "go" }.into(),
                    reasons: vec!["downtime-over-budget".into()],
                });
                runs.push(Run { figure, x, curve, nth, load, verdict, ended });
            }
        }
    }
    runs
}

#[test]
fn statements_are_judged_by_what_was_measured() {
    let text = |figure| page(XenVersion::V4_17, &[figure], false, &runs(figure), &[]);
    let fifth = text(Figure::Fig5);
    let row = |page: &str, statement: &str| {
        page.lines().find(|line| line.contains(statement)).unwrap_or_default().to_owned()
    };
    assert!(row(&fifth, "Strong: total stable").contains("| same |"), "{fifth}");
    // It rises from 50 on, and the paper says 60.
    assert!(row(&fifth, "Weak: total rises above").contains("**different**"), "{fifth}");
    assert!(row(&fifth, "| 100 | weak host, xenmig |").contains("0 of 3"), "{fifth}");
    let advice = "| 3: downtime-over-budget |";
    assert!(row(&fifth, "| 100 | weak host, xenmig |").contains(advice), "{fifth}");
    assert!(!row(&fifth, "| 50 | weak host, xenmig |").contains(advice), "{fifth}");
    assert!(row(&fifth, "the service is away").contains("+400 ms"), "{fifth}");
    let sixth = text(Figure::Fig6);
    assert!(row(&sixth, "is linear in the size of memory (weak)").contains("| same |"), "{sixth}");
    let nothing = page(XenVersion::V4_17, &[Figure::Fig3], true, &[], &["fig3 at 0".into()]);
    assert!(nothing.contains("not measured") && nothing.contains("- fig3 at 0"));
}

#[test]
fn pictures_have_all_curves() {
    for figure in Figure::ALL {
        let runs = runs(figure);
        let svg = draw(figure, &of(&runs, figure)).unwrap();
        for label in ["weak host, stock", "strong host, stock", "xenmig with a budget"] {
            assert!(svg.contains(label), "{figure}: {label}");
        }
        assert!(draw(figure, &[]).unwrap().ends_with("</svg>\n"));
    }
}
