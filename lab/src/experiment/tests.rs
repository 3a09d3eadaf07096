//! Page and pictures from made-up runs.

use super::page::page;
use super::plan::{Curve, Figure, points};
use super::plot::draw;
use super::raw::Measured;
use super::run::{Ended, Load, Moved, Run, Verdict};
use super::series::of;
use super::{REPEATS, repetitions};
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

/// A run that moved its guest. The loaded one is the migrated guest, but in figure 5 another.
pub(super) fn run(
    figure: Figure,
    curve: Curve,
    x: f64,
    nth: u32,
    total_s: f64,
    downtime_s: f64,
) -> Run {
    let guest = if figure == Figure::Fig5 { 0.0 } else { x / 100.0 };
    let load = Load { guest, xen: guest, host: x / 100.0 + 0.05, writes_per_s: 0.0 };
    let ended = Ended::Moved(Box::new(moved(total_s, downtime_s)));
    Run { figure, x, from: None, curve, nth, load, verdict: None, ended }
}

/// Weak: time grows with x; strong: it does not; xenmig advises against the last.
fn runs(figure: Figure) -> Vec<Run> {
    let mut runs = Vec::new();
    for curve in Curve::ALL {
        for x in [0.0, 50.0, 100.0] {
            for nth in 0..3 {
                let grown = if curve == Curve::Strong { 0.0 } else { x * 0.1 };
                let total_s = 12.0 + grown + f64::from(nth) * 0.1;
                let mut run = run(figure, curve, x, nth, total_s, 1.5 + grown * 0.1);
                if curve == Curve::Budget {
                    run.verdict = Some(Verdict {
                        verdict: if x == 100.0 { "no-go" } else { "go" }.into(),
                        reasons: vec!["fixed-costs-unknown".into()],
                    });
                    if x == 100.0 {
                        let verdict = run.verdict.as_mut().unwrap();
                        verdict.reasons.push("downtime-over-budget".into());
                        run.ended = Ended::Aborted;
                    }
                }
                runs.push(run);
            }
        }
    }
    runs
}

fn measured(runs: Vec<Run>, failures: &[&str]) -> Measured {
    let mut measured = Measured::on("4.17");
    measured.add(runs, failures.iter().map(|line| (*line).to_owned()).collect());
    measured
}

fn page_of(figure: Figure, measured: Measured) -> String {
    let runs = measured.runs.clone();
    page(&[(figure, measured)], &runs)
}

#[test]
fn statements_are_judged_by_what_was_measured() {
    let text = |figure| page_of(figure, measured(runs(figure), &[]));
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
    // 1.5 s and 2.0 s at 0 and 50.
    let kept = "advised for 6: 6 kept it, 0 stayed where they were, 0 broke it.";
    assert!(fifth.contains(kept), "{fifth}");
    let against = "advised against 3: 0 kept it, 3 stayed where they were, 0 broke it.";
    assert!(fifth.contains(against), "{fifth}");
    assert!(row(&fifth, "the service is away").contains("+400 ms"), "{fifth}");
    let sixth = text(Figure::Fig6);
    assert!(row(&sixth, "is linear in the size of memory (weak)").contains("| same |"), "{sixth}");
}

#[test]
fn what_two_figures_have_in_common_counts_once() {
    let third = runs(Figure::Fig3);
    let sixth: Vec<_> = third.iter().map(|run| run.in_figure(Figure::Fig6, 96.0 + run.x)).collect();
    let all = [third.clone(), sixth.clone()].concat();
    let figures = [(Figure::Fig3, measured(third, &[])), (Figure::Fig6, measured(sixth, &[]))];
    let page = page(&figures, &all);
    assert!(page.contains("| 96 (fig3) | weak host |"), "{page}");
    assert!(page.contains("advised for 6: "), "{page}");
    // Three places, two curves of the stock policy, three times.
    assert!(page.contains("Of 18 stock migrations the meter"), "{page}");
}

#[test]
fn what_failed_is_on_the_page() {
    let strong = runs(Figure::Fig3).into_iter().filter(|run| run.curve == Curve::Strong);
    let page = page_of(Figure::Fig3, measured(strong.collect(), &["fig3 at 0"]));
    assert!(page.contains("not measured") && page.contains("- fig3 at 0"), "{page}");
}

#[test]
fn raw_figures_read_back_as_they_were() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("fig5.json");
    assert!(Measured::load(&path).unwrap().is_none());
    let mut runs = runs(Figure::Fig5);
    runs[0].ended = Ended::Refused;
    if let Ended::Moved(moved) = &mut runs[1].ended {
        moved.phases = None;
    }
    if let Ended::Moved(moved) = &mut runs[2].ended {
        moved.phases.as_mut().unwrap().push_begins = None;
    }
    let measured = measured(runs, &["fig5 at 0"]);
    measured.save(&path).unwrap();
    let read = Measured::load(&path).unwrap().unwrap();
    assert_eq!(format!("{read:?}"), format!("{measured:?}"));
    for text in ["{}", &std::fs::read_to_string(&path).unwrap().replace("paper/1", "paper/2")] {
        std::fs::write(&path, text).unwrap();
        assert!(Measured::load(&path).is_err());
    }
}

#[test]
fn a_point_goes_on_where_it_failed() {
    let point = &points(&[Figure::Fig3], false)[0];
    let all: Vec<_> = repetitions(point, false).collect();
    let (weak, budget) = (Curve::Weak, Curve::Budget);
    assert_eq!(all[..3], [(0, weak), (0, budget), (1, weak)]);
    assert_eq!(all.len(), 2 * REPEATS as usize);
    assert_eq!(repetitions(point, false).skip(3).collect::<Vec<_>>(), all[3..]);
    assert_eq!(repetitions(point, true).collect::<Vec<_>>(), all[..2]);
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
