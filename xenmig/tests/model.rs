//! Xen's save loop over a curve, against a guest with explicit page sets that is sent page by page.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod workload;

use std::collections::HashSet;
use std::time::Duration;

use proptest::prelude::*;
use workload::Workload;
use workload::oracle::Oracle;
use xenmig::dirty::Curve;
use xenmig::model::{
    Costs, Decision, End, Format, Guest, Link, Outcome, PrecopyStats, Stock, save_live,
};
use xenmig::units::{BytesPerSecond, Pages};

fn link(rate: f64, costs: Costs) -> Link {
    Link { bandwidth: BytesPerSecond::new(rate).unwrap(), format: Format::XEN, costs }
}

fn curve(points: &[(f64, f64)], limit: u64) -> Curve {
    Curve::from_points(points.to_vec(), Pages(limit)).unwrap()
}

fn stock(guest: &Guest, link: &Link, curve: &Curve) -> Outcome {
    save_live(guest, link, curve, &mut Stock, Duration::MAX)
}

/// Policy calls of a save: (iteration, dirty_count), as Xen gives them.
fn calls(guest: &Guest, curve: &Curve, end_at: usize, end: Decision) -> (Vec<(u32, i64)>, Outcome) {
    let mut calls = Vec::new();
    let mut policy = |stats: &PrecopyStats| {
        calls.push((stats.iteration, stats.dirty_count.map_or(-1, |n| n.round() as i64)));
        if calls.len() > end_at { end } else { Decision::Continue }
    };
    let link = link(4104e3, Costs::default());
    let outcome = save_live(guest, &link, curve, &mut policy, Duration::MAX);
    (calls, outcome)
}

fn sent(outcome: &Outcome) -> Vec<i64> {
    outcome.rounds.iter().map(|round| round.pages.round() as i64).collect()
}

/// 1000 pages a second over the wire (less the batch headers), 100 pages dirtied whatever happens.
fn steady() -> (Guest, Curve) {
    (Guest::new(Pages(1000), Pages(1000)), curve(&[(0.0, 100.0), (1.0, 100.0)], 100))
}

#[test]
fn the_policy_is_asked_before_and_after_every_send() {
    let (guest, curve) = steady();
    let (calls, outcome) = calls(&guest, &curve, 4, Decision::StopAndCopy);
    assert_eq!(calls, [(0, 1000), (1, -1), (1, 100), (2, -1), (2, 100)]);
    // The stop was said before a send: it still took place, and then came the final one.
    assert_eq!(sent(&outcome), [1000, 100, 100, 100]);
    assert_eq!(outcome.end, End::Moved);
}

#[test]
fn a_stop_after_a_send_leaves_what_was_dirtied_since_the_last_clean() {
    let (guest, curve) = steady();
    let (calls, outcome) = calls(&guest, &curve, 3, Decision::StopAndCopy);
    assert_eq!(calls.last(), Some(&(2, -1)));
    assert_eq!(sent(&outcome), [1000, 100, 100]);
}

#[test]
fn an_abort_sends_nothing_more() {
    let (guest, curve) = steady();
    for (at, sends) in [(0, 0), (1, 1), (2, 1), (3, 2)] {
        let (_, outcome) = calls(&guest, &curve, at, Decision::Abort);
        assert_eq!((outcome.end, outcome.rounds.len()), (End::Aborted, sends), "call {at}");
        assert_eq!(outcome.downtime_s, 0.0);
    }
}

#[test]
fn a_policy_that_never_stops_is_endless() {
    let (guest, curve) = steady();
    let go_on = |deadline| {
        let link = link(4104e3, Costs::default());
        let mut policy = |_: &PrecopyStats| Decision::Continue;
        save_live(&guest, &link, &curve, &mut policy, deadline)
    };
    let late = go_on(Duration::from_secs(10));
    assert_eq!(late.end, End::Endless);
    assert!((10.0..10.2).contains(&late.total_s), "{}", late.total_s);
    assert_eq!(go_on(Duration::MAX).end, End::Endless);
}

#[test]
fn a_policy_that_peeks_knows_what_is_pending() {
    let (guest, curve) = steady();
    let link = link(4104e3, Costs::default());
    let mut policy = |stats: &PrecopyStats| {
        if stats.iteration == 0 {
            assert_eq!((stats.pending, stats.elapsed), (1000.0, Duration::ZERO));
            return Decision::Continue;
        }
        assert_eq!((stats.pending, stats.total_written), (100.0, 1000.0));
        assert!(stats.dirty_count.is_none() && stats.last_send == stats.elapsed);
        Decision::StopAndCopy
    };
    assert_eq!(save_live(&guest, &link, &curve, &mut policy, Duration::MAX).rounds.len(), 2);
}

#[test]
fn stock_sends_five_times_and_then_the_rest() {
    let (guest, curve) = steady();
    let outcome = stock(&guest, &link(4104e3, Costs::default()), &curve);
    assert_eq!(sent(&outcome), [1000, 100, 100, 100, 100, 100]);
}

#[test]
fn stock_still_sends_fewer_than_50_pages_live() {
    let guest = Guest::new(Pages(1000), Pages(1000));
    let rate = link(4104e3, Costs::default());
    let few = curve(&[(0.0, 49.0), (1.0, 49.0)], 1000);
    assert_eq!(sent(&stock(&guest, &rate, &few)), [1000, 49, 49]);
    let many = curve(&[(0.0, 50.0), (1.0, 50.0)], 1000);
    assert_eq!(sent(&stock(&guest, &rate, &many)), [1000, 50, 50, 50, 50, 50]);
    // Nothing dirty: no second send, only the final look.
    let none = curve(&[(0.0, 0.0), (1.0, 0.0)], 1000);
    assert_eq!(sent(&stock(&guest, &rate, &none)), [1000, 0]);
}

#[test]
fn bytes_and_times_of_a_round_by_hand() {
    // 3000 populated pages and 2000 holes: 5 batches; at 1 MB/s the sender's CPU is the limit for
    // holes only.
    let guest = Guest::new(Pages(3000), Pages(5000));
    let costs = Costs {
        per_round: Duration::from_millis(3),
        per_p2m_page: 1e-6,
        per_page: 1e-3,
        per_hole: 1e-4,
        ..Costs::default()
    };
    let link = link(1e6, costs);
    let everything = guest.everything();
    let pages = 3000.0 * 4104.0 + 5.0 * 16.0;
    assert_eq!(link.bytes(&everything), pages + 2000.0 * 8.0);
    let expected = pages / 1e6 + 2000.0 * 1e-4 + 0.003 + 0.005;
    assert!((link.round_s(&everything, guest.p2m_size) - expected).abs() < 1e-12);
}

#[test]
fn fixed_costs_go_where_they_belong() {
    let (mut guest, curve) = steady();
    guest.deferred = Pages(10);
    let bare = stock(&guest, &link(4104e3, Costs::default()), &curve);
    assert_eq!(sent(&bare), [1000, 100, 100, 100, 100, 110], "deferred pages go last");
    let costs = Costs {
        start: Duration::from_secs(1),
        suspend_request: Duration::from_secs(2),
        finish: Duration::from_secs(4),
        ..Costs::default()
    };
    let dear = stock(&guest, &link(4104e3, costs), &curve);
    assert!((dear.total_s - bare.total_s - 7.0).abs() < 1e-9);
    assert!((dear.downtime_s - bare.downtime_s - 4.0).abs() < 1e-9);
    assert_eq!(dear.bytes, bare.bytes);
}

#[test]
fn the_guest_dirties_pages_until_it_is_suspended() {
    let guest = Guest::new(Pages(1000), Pages(1000));
    let growing = curve(&[(0.0, 0.0), (1.0, 1000.0)], 100_000);
    let costs = Costs { suspend_request: Duration::from_secs(1), ..Costs::default() };
    let outcome = stock(&guest, &link(4104e4, costs), &growing);
    // Rounds shrink by ten: 1000, 100, 10 (stop); then 1 page and those of the second.
    assert_eq!(sent(&outcome), [1000, 100, 10, 1001]);
    assert!((outcome.horizon_s - 1.001).abs() < 1e-5);
}

/// W of a uniform hot set, exactly.
fn hot_curve(writes_per_s: f64, hot: f64, pages: u64) -> Curve {
    let at = |t: f64| hot * (1.0 - (-writes_per_s * t / hot).exp());
    let times = (0..400).map(|i| 1e-4 * 1.04f64.powi(i));
    let points = std::iter::once((0.0, 0.0)).chain(times.map(|t| (t, at(t)))).collect();
    Curve::from_points(points, Pages(pages)).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Sends agree within the noise of random writes: four standard deviations, where one is at
    /// most the root of the count, and what that noise does to the rounds that follow.
    #[test]
    fn agrees_with_pages_sent_one_by_one(
        pages in 3000u64..12_000,
        share in 0.05f64..0.9,
        intensity in 0.02f64..1.5,
        request in prop_oneof![Just(0.0), 0.0f64..0.3],
        seed in any::<u64>(),
    ) {
        let rate = 4104.0 * 10_000.0;
        let hot = (pages as f64 * share).max(200.0);
        let writes = intensity * 10_000.0;
        let mut oracle = Oracle::new(Workload::hot(writes, hot as u64).start(seed), rate);
        let (sends, total, downtime) = oracle.save(pages, request);
        let guest = Guest::new(Pages(pages), Pages(pages));
        let costs =
            Costs { suspend_request: Duration::from_secs_f64(request), ..Costs::default() };
        let model = stock(&guest, &link(rate, costs), &hot_curve(writes, hot.floor(), pages));
        // Whether 47 or 53 pages are below 50 is chance.
        let near = |n: f64| (n - 50.0).abs() < 30.0;
        prop_assume!(!sends[..sends.len() - 1].iter().any(|n| near(*n)));
        prop_assert_eq!(model.rounds.len(), sends.len(), "{:?} {:?}", model.rounds, sends);
        let (mut noise, mut all_noise) = (0.0, 0.0);
        for (round, actual) in model.rounds.iter().zip(&sends).skip(1) {
            noise = 4.0 * actual.max(1.0).sqrt() + intensity * noise;
            all_noise += noise;
            prop_assert!((round.pages - actual).abs() <= noise, "{:?} {sends:?}", model.rounds);
        }
        let page_s = 4104.0 / rate;
        let late = (model.total_s - total).abs();
        prop_assert!(late <= all_noise * page_s, "{} {total}", model.total_s);
        prop_assert!((model.downtime_s - downtime).abs() <= noise * page_s);
        prop_assert!((model.bytes - oracle.bytes).abs() <= all_noise * 4104.0);
    }

    /// A sweep dirties the same number of pages in every stretch, so here the two agree closely.
    #[test]
    fn agrees_with_a_sweep(
        pages in 1000u64..8000,
        share in 0.1f64..1.0,
        intensity in 0.05f64..2.0,
    ) {
        let (rate, swept) = (4104.0 * 10_000.0, (pages as f64 * share) as u64);
        let writes = intensity * 10_000.0;
        let line = curve(&[(0.0, 0.0), (swept as f64 / writes, swept as f64)], swept);
        let guest = Guest::new(Pages(pages), Pages(pages));
        let model = stock(&guest, &link(rate, Costs::default()), &line);
        let expected = regular_sweep(pages, swept, writes, rate);
        prop_assume!(!expected.iter().any(|n| (n - 50.0).abs() < 4.0));
        prop_assert_eq!(model.rounds.len(), expected.len());
        for (round, actual) in model.rounds.iter().zip(&expected) {
            // A batch header and a page that just falls into the next round, per round.
            prop_assert!((round.pages - actual).abs() <= 4.0 * intensity.max(1.0).powi(5));
        }
    }
}

/// Sends of a stock save of a guest that writes one page after the other, every 1/`writes`
/// seconds, over `swept` pages.
fn regular_sweep(pages: u64, swept: u64, writes: f64, rate: f64) -> Vec<f64> {
    let (mut now, mut written) = (0.0, 0u64);
    let mut dirty = HashSet::new();
    let mut sends = vec![pages];
    loop {
        for nth in 0..sends[sends.len() - 1] {
            now += (4104.0 + if nth % 1024 == 0 { 16.0 } else { 0.0 }) / rate;
            while (written as f64) < now * writes {
                dirty.insert(written % swept);
                written += 1;
            }
        }
        let last = sends.len() >= 5 || sends[sends.len() - 1] < 50;
        sends.push(dirty.len() as u64);
        dirty.clear();
        if last {
            return sends.into_iter().map(|n| n as f64).collect();
        }
    }
}

proptest! {
    /// The paper's conclusions (b) and (c): of guests that write to the same set, whatever it is, the
    /// one with more memory takes longer in proportion, and is down as long.
    #[test]
    fn total_time_is_linear_in_memory_and_downtime_does_not_depend_on_it(
        set in 0.0..20_000.0f64,
        fills_after in 0.001..1.0f64,
        rate in 1e6..1e9f64,
        per_page in 0.0..1e-4f64,
        finish_ms in 0u64..1000,
        factors in (1.0..8.0f64, 8.0..64.0f64),
    ) {
        let costs = Costs { per_page, finish: Duration::from_millis(finish_ms), ..Costs::default() };
        let link = link(rate, costs);
        // The first round lasts until the set is dirty as a whole.
        let least = 20_000.0 + rate * fills_after / 4096.0;
        let moved = |factor: f64| {
            let memory = Pages((least * factor) as u64);
            let written = curve(&[(0.0, 0.0), (fills_after, set), (1e9, set)], memory.0);
            (memory.0 as f64, stock(&Guest::new(memory, memory), &link, &written))
        };
        let [(m0, least), (m1, middle), (m2, most)] = [1.0, factors.0, factors.1].map(moved);
        let line = least.total_s + (most.total_s - least.total_s) * (m1 - m0) / (m2 - m0);
        prop_assert!((middle.total_s / line - 1.0).abs() < 1e-3, "{} {line}", middle.total_s);
        prop_assert!((most.downtime_s - least.downtime_s).abs() < 1e-9);
        prop_assert!((middle.downtime_s - least.downtime_s).abs() < 1e-9);
    }
}
