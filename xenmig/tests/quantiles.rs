//! Quantiles of a prediction: wide where little is known, and as often right as they say.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod workload;

use std::time::Duration;

use workload::oracle::Oracle;
use workload::{Workload, window};
use xenmig::dirty::{Curve, Window};
use xenmig::model::{Costs, Format, Guest, Link, Prediction, Quantiles, Stock, predict};
use xenmig::units::{BytesPerSecond, Pages};

fn link(rate: f64) -> Link {
    let bandwidth = BytesPerSecond::new(rate).unwrap();
    Link { bandwidth, format: Format::XEN, costs: Costs::default() }
}

fn sampled(workload: &Workload, seed: u64, windows: usize, end: f64) -> Vec<Curve> {
    let mut guest = workload.start(seed);
    let windows: Vec<_> = (0..windows).map(|_| window(&mut guest, end)).collect();
    Curve::all_measured(&windows, Pages(40_000))
}

fn predicted(curves: &[Curve]) -> Prediction {
    let guest = Guest::new(Pages(40_000), Pages(40_000));
    predict(&guest, &link(60e6), curves, || Stock, Duration::MAX).unwrap()
}

#[test]
fn quantiles_are_in_order_and_repeat() {
    let curves = sampled(&Workload::hot(9000.0, 12_000), 5, 3, 3.0);
    let prediction = predicted(&curves);
    for q in [prediction.total_s, prediction.downtime_s, prediction.bytes] {
        assert!(q.p10 <= q.p50 && q.p50 <= q.p90, "{q:?}");
    }
    assert_eq!(prediction, predicted(&curves));
    assert!(prediction.extrapolation() < 1.0, "2.7 s were needed, 3 s seen");
    let guest = Guest::new(Pages(1), Pages(1));
    assert_eq!(predict(&guest, &link(1.0), &[], || Stock, Duration::MAX), None);
}

#[test]
fn fewer_windows_mean_wider_quantiles() {
    let wide = |windows| {
        // Averaged over guests: a pair of windows may happen to be alike.
        let relative = |seed| {
            let q =
                predicted(&sampled(&Workload::hot(9000.0, 12_000), seed, windows, 3.0)).downtime_s;
            (q.p90 - q.p10) / q.p50
        };
        (0..8).map(relative).sum::<f64>() / 8.0
    };
    let (one, two, six) = (wide(1), wide(2), wide(6));
    assert!(one > 0.5, "a single window may not look certain: {one}");
    assert!(two > six && six > 0.0, "{two} {six}");
}

#[test]
fn a_curve_that_was_needed_beyond_its_end_is_between_its_bounds() {
    // Three windows that agree to the page, and a first round seven times as long: all that is
    // uncertain is whether new pages go on being dirtied as over the last octave, 500 a second, or
    // no more.
    let points = [(250, 375), (500, 500)].map(|(ms, n)| (Duration::from_millis(ms), Pages(n)));
    let window = Window { points: points.to_vec(), ..window(&mut idle(), 0.1) };
    let curves = Curve::all_measured(&vec![window; 3], Pages(40_000));
    let prediction = predicted(&curves);
    let first = prediction.expected.rounds[0].s;
    assert!((prediction.horizon.as_secs_f64() - first).abs() < 1e-9 && first > 2.7, "{first}");
    let per_page = 4104.0 / 60e6;
    let most = (500.0 + 500.0 * (first - 0.5)) * per_page;
    let width = prediction.total_s.p90 - prediction.total_s.p10;
    assert!(width > 0.5 * (most - 500.0 * per_page), "{width}");
    assert!(prediction.total_s.p90 < prediction.expected.rounds[0].s + 1.05 * most);
}

fn idle() -> workload::Guest {
    Workload::hot(1.0, 1).start(1)
}

#[test]
fn needing_more_than_was_measured_widens_and_shows() {
    let workload = Workload::hot(9000.0, 12_000);
    let (long, short) = (sampled(&workload, 1, 3, 3.0), sampled(&workload, 1, 3, 0.5));
    let (long, short) = (predicted(&long), predicted(&short));
    assert!(short.extrapolation() > 5.0, "{}", short.extrapolation());
    let width = |p: &Prediction| p.total_s.p90 - p.total_s.p10;
    assert!(width(&short) > 3.0 * width(&long), "{} {}", width(&short), width(&long));
}

#[test]
fn a_window_that_was_cut_short_does_not_spoil_the_others() {
    let workload = Workload::hot(9000.0, 12_000);
    let mut curves = sampled(&workload, 1, 3, 3.0);
    let whole = predicted(&curves);
    curves.extend(sampled(&workload, 2, 1, 0.02));
    let cut = predicted(&curves);
    assert!((cut.total_s.p90 / whole.total_s.p90 - 1.0).abs() < 0.02);
    assert_eq!(cut.sampled, whole.sampled);
}

/// Of 30 guests, sampled and then migrated page by page, how many stayed within p90, and how many
/// within p10 and p90.
fn coverage(workload: &Workload, value: fn(&Prediction) -> Quantiles, actual: usize) -> (u32, u32) {
    let (mut below, mut within) = (0, 0);
    for seed in 0..30 {
        let mut guest = workload.start(seed);
        let windows: Vec<_> = (0..3).map(|_| window(&mut guest, 3.0)).collect();
        let q = value(&predicted(&Curve::all_measured(&windows, Pages(40_000))));
        let (_, total, downtime) = Oracle::new(guest, 60e6).save(40_000, 0.0);
        let actual = [total, downtime][actual];
        below += u32::from(actual <= q.p90);
        within += u32::from((q.p10..=q.p90).contains(&actual));
    }
    (below, within)
}

#[test]
fn what_happens_lies_within_the_quantiles_about_as_often_as_they_say() {
    for (name, workload) in [
        ("hot set", Workload::hot(9000.0, 12_000)),
        ("sweep", Workload::sweep(3000.0, 30_000)),
        ("skewed", Workload::skewed(6000.0, 30_000)),
    ] {
        let total = coverage(&workload, |p| p.total_s, 0);
        let downtime = coverage(&workload, |p| p.downtime_s, 1);
        println!(
            "{name}: of 30 below p90, and within: total time {total:?}, downtime {downtime:?}"
        );
        for (below, within) in [total, downtime] {
            assert!(below >= 24 && within >= 20, "{name}: {total:?} {downtime:?}");
        }
    }
}

/// A window with these counts at these milliseconds.
fn counted<const N: usize>(points: [(u64, u64); N]) -> Window {
    let points = points.map(|(ms, pages)| (Duration::from_millis(ms), Pages(pages)));
    Window { points: points.to_vec(), ..window(&mut idle(), 0.1) }
}

#[test]
fn bursts_that_only_brief_windows_saw_count() {
    let calm = counted([(250, 100), (1000, 400), (3000, 1200)]);
    let briefly = |pages| counted([(100, pages), (300, 3 * pages)]);
    let with = |bursts: usize| {
        let brief = (0..6).map(|nth| briefly(if nth < bursts { 2000 } else { 40 }));
        let windows: Vec<_> = std::iter::repeat_n(calm.clone(), 3).chain(brief).collect();
        predicted(&Curve::all_measured(&windows, Pages(40_000)))
    };
    let (calm, bursts) = (with(0), with(2));
    assert!(calm.downtime_s.p90 < 1.2 * calm.expected.downtime_s, "{calm:?}");
    // A burst of 20,000 pages a second beside a link that carries 14,600 leaves nearly all it dirties.
    let (p90, expected) = (bursts.downtime_s.p90, bursts.expected.downtime_s);
    assert!(p90 > 1.5 * expected, "{p90} s, {expected} s expected");
    assert!(bursts.downtime_s.p10 < expected, "{bursts:?}");
}
