//! Tables of predictions, against the letter of the contract.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::time::Duration;

use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::{Value, json};
use xenmig::dirty::{Curve, CurveFile};
use xenmig::model::{
    Costs, Format, Guest, Link, Outcome, Policy, Question, Row, Stock, Subject, rows, save_live,
};
use xenmig::units::{BytesPerSecond, Pages};

fn rate(rate: f64) -> BytesPerSecond {
    BytesPerSecond::new(rate).unwrap()
}

fn ask(rates: &[f64], budgets: &[Option<f64>], policy: Policy) -> Question {
    Question {
        bandwidths: rates.iter().map(|r| rate(*r)).collect(),
        budgets: budgets.iter().map(|b| b.map(Duration::from_secs_f64)).collect(),
        policy,
        deadline: Duration::from_secs(3600),
    }
}

/// Pages of 92 bytes and headers of 8: 100 bytes each.
const FILE: &str = r#"{"schema":"xenmig.curve/1","page_size_bytes":92,"total_pages":1000,
    "zero_pages":100,"page_header_bytes":8,"points":[[1,100],[2,200]]}"#;

fn subject() -> Subject {
    Subject::from(&CurveFile::read(FILE).unwrap())
}

#[test]
fn a_table_as_it_is_printed() {
    let question = ask(&[20_000.0], &[Some(0.5), None], Policy::Budget);
    let table = serde_json::to_value(rows(&subject(), &question)).unwrap();
    // Everything: 900 whole pages, 100 headers; 90,800 bytes, 4.54 s. Then W(4.54) = 454 pages in
    // 2.27 s, W = 227 in 1.135 s, W = 113.5 in 0.5675 s; and 56.75 pages (on the line to the left)
    // in 0.28375 s, which the budget allows.
    let round = |pages: f64, bytes: f64, s: f64| json!({"pages": pages, "bytes": bytes, "s": s});
    assert_close(
        &table,
        &json!([
            {
                "bandwidth_bytes_per_s": 20000.0, "downtime_budget_s": 0.5, "policy": "budget",
                "converges": true, "total_s": 8.79625, "downtime_s": 0.28375, "bytes": 175_925.0,
                "rounds": [
                    round(1000.0, 90_800.0, 4.54), round(454.0, 45_400.0, 2.27),
                    round(227.0, 22_700.0, 1.135), round(113.5, 11_350.0, 0.5675),
                    round(56.75, 5675.0, 0.28375),
                ],
            },
            {
                "bandwidth_bytes_per_s": 20000.0, "downtime_budget_s": null, "policy": "budget",
                "converges": true, "total_s": 4.54, "downtime_s": 4.54, "bytes": 90_800.0,
                "rounds": [round(1000.0, 90_800.0, 4.54)],
            },
        ]),
    );
}

/// Equal but for the last digits of numbers; the same keys in the same order.
fn assert_close(found: &Value, expected: &Value) {
    match (found, expected) {
        (Value::Number(a), Value::Number(b)) => {
            let (a, b) = (a.as_f64().unwrap(), b.as_f64().unwrap());
            assert!((a - b).abs() <= 1e-9 * b.abs().max(1.0), "{a} is not {b}");
        }
        (Value::Array(a), Value::Array(b)) if a.len() == b.len() => {
            a.iter().zip(b).for_each(|(a, b)| assert_close(a, b));
        }
        (Value::Object(a), Value::Object(b)) if a.keys().eq(b.keys()) => {
            a.iter().zip(b).for_each(|((_, a), (_, b))| assert_close(a, b));
        }
        _ => assert_eq!(found, expected),
    }
}

#[test]
fn what_does_not_converge_has_no_figures() {
    let table = rows(&subject(), &ask(&[9000.0], &[Some(0.3)], Policy::Budget));
    let row = serde_json::to_value(&table[0]).unwrap();
    assert_eq!(row["converges"], false);
    for key in ["total_s", "downtime_s", "bytes"] {
        assert_eq!(row[key], Value::Null, "{key}");
    }
    // 90,800 bytes take 10.1 s, the 900 pages dirtied meanwhile 10 s, and so they do for ever.
    assert_eq!(table[0].rounds.len(), 3);
}

#[test]
fn copying_ends_at_the_deadline() {
    let mut question = ask(&[20_000.0], &[Some(0.5)], Policy::Budget);
    for (deadline, converges) in [(4.0, false), (7.9, false), (8.5126, true)] {
        question.deadline = Duration::from_secs_f64(deadline);
        assert_eq!(rows(&subject(), &question)[0].converges, converges, "{deadline}");
    }
}

#[test]
fn stock_always_ends_and_does_not_look_at_the_budget() {
    let table = rows(&subject(), &ask(&[9000.0, 20_000.0], &[Some(0.1), None], Policy::Stock));
    assert_eq!(table.len(), 4);
    assert!(table.iter().all(|row| row.converges && row.policy == Policy::Stock));
    assert_eq!(table[0].rounds, table[1].rounds);
    assert_eq!((table[0].downtime_budget_s, table[1].downtime_budget_s), (Some(0.1), None));
    assert_eq!(table[2].bandwidth_bytes_per_s, rate(20_000.0));
    // 1000, 454, 227, 113.5, 56.75 pages live, then 28.375.
    assert_eq!(table[2].rounds.len(), 6);
    assert!((table[2].rounds[5].pages - 28.375).abs() < 1e-9);
}

#[test]
fn costs_of_the_hosts_count_against_the_budget() {
    let mut dear = subject();
    dear.costs.finish = Duration::from_millis(300);
    let question = ask(&[20_000.0], &[Some(0.5)], Policy::Budget);
    let (bare, dear) = (rows(&subject(), &question), rows(&dear, &question));
    // 0.284 + 0.3 s exceed the budget: one more round.
    assert_eq!(dear[0].rounds.len(), bare[0].rounds.len() + 1);
    assert!((dear[0].downtime_s.unwrap() - 0.441_875).abs() < 1e-9);
}

#[test]
fn what_is_dirtied_while_the_guest_is_asked_to_suspend_counts_against_the_budget() {
    let mut slow = subject();
    slow.costs.suspend_request = Duration::from_secs(1);
    let row = rows(&slow, &ask(&[20_000.0], &[Some(0.9)], Policy::Budget)).remove(0);
    // After 1.135 s of copying, W is 113.5 pages; a second later 213.5 (1.07 s): too many. After
    // another 0.5675 s it is 156.75 pages in 0.784 s.
    assert_eq!(row.rounds.len(), 5);
    assert!((row.downtime_s.unwrap() - 0.783_75).abs() < 1e-9, "{row:?}");
    assert!((row.total_s.unwrap() - (4.54 + 2.27 + 1.135 + 0.5675 + 1.0 + 0.783_75)).abs() < 1e-9);
}

/// The contract, word by word.
fn letter(
    file: &CurveFile,
    rate: f64,
    budget: f64,
    deadline: f64,
) -> Option<(f64, f64, f64, usize)> {
    let page = (file.page_size_bytes + file.page_header_bytes) as f64;
    let w = |t: f64| {
        let p = &file.points;
        let line = |a: (f64, f64), b: (f64, f64)| a.1 + (b.1 - a.1) / (b.0 - a.0) * (t - a.0);
        let (n, limit) = (p.len(), (file.total_pages - file.zero_pages) as f64);
        if t < p[0].0 {
            line(p[0], p[1]).max(0.0)
        } else if t > p[n - 1].0 {
            line(p[n - 2], p[n - 1]).min(limit.max(p[n - 1].1))
        } else {
            let i = (1..n).find(|i| t <= p[*i].0).unwrap();
            line(p[i - 1], p[i])
        }
    };
    let mut left = file.total_pages as f64 * page - (file.zero_pages * file.page_size_bytes) as f64;
    let (mut total, mut bytes) = (0.0, 0.0);
    for round in 1..1_000_000 {
        let s = left / rate;
        total += s;
        bytes += left;
        if s <= budget {
            return Some((total, s, bytes, round));
        }
        if total > deadline {
            return None;
        }
        left = w(s) * page;
    }
    None
}

/// A curve file that may converge or not.
fn files() -> impl Strategy<Value = CurveFile> {
    let steps = vec((0.01f64..3.0, 0.0f64..3000.0), 2..10);
    (steps, 0u64..5000, prop::sample::select(vec![(4096, 8), (4096, 0), (16384, 16)])).prop_map(
        |(steps, zero, (page, header))| {
            let mut at = (0.0, 0.0);
            let points: Vec<_> = steps
                .into_iter()
                .map(|(dt, pages)| {
                    at = (at.0 + dt, at.1 + pages);
                    json!([at.0, at.1])
                })
                .collect();
            let file = json!({
                "schema": "xenmig.curve/1", "page_size_bytes": page, "total_pages": 40_000,
                "zero_pages": zero, "page_header_bytes": header, "points": points,
            });
            CurveFile::read(&file.to_string()).unwrap()
        },
    )
}

fn one(file: &CurveFile, rate: f64, budget: Option<f64>) -> Row {
    rows(&file.into(), &ask(&[rate], &[budget], Policy::Budget)).remove(0)
}

proptest! {
    #[test]
    fn budget_follows_the_letter(
        file in files(),
        rate in 1e6f64..1e9,
        budget in prop_oneof![Just(None), (0.01f64..5.0).prop_map(Some)],
    ) {
        let row = one(&file, rate, budget);
        let limit = budget.map_or(f64::INFINITY, |b| Duration::from_secs_f64(b).as_secs_f64());
        let expected = letter(&file, rate, limit, 3600.0);
        prop_assert_eq!(row.converges, expected.is_some(), "{:?}", row);
        if let Some((total, downtime, bytes, rounds)) = expected {
            prop_assert!((row.total_s.unwrap() / total - 1.0).abs() < 1e-9);
            prop_assert!((row.downtime_s.unwrap() - downtime).abs() < 1e-9 * total);
            prop_assert!((row.bytes.unwrap() / bytes - 1.0).abs() < 1e-9);
            prop_assert_eq!(row.rounds.len(), rounds);
            prop_assert!(row.downtime_s.unwrap() <= limit);
        }
    }

    #[test]
    fn more_bandwidth_or_a_larger_budget_never_hurts(
        file in files(), rate in 1e6f64..1e9, budget in 0.01f64..5.0, more in 1.0f64..3.0,
    ) {
        let plain = one(&file, rate, Some(budget));
        for better in [one(&file, rate * more, Some(budget)), one(&file, rate, Some(budget * more))] {
            prop_assert!(better.converges || !plain.converges);
            if let (Some(better), Some(plain)) = (better.total_s, plain.total_s) {
                prop_assert!(better <= plain * (1.0 + 1e-12), "{better} {plain}");
            }
        }
    }

    /// Downtime is not monotone in bandwidth (a faster link may get by with fewer rounds), total
    /// time is.
    #[test]
    fn stock_total_time_falls_with_bandwidth_and_rises_with_dirtying(
        file in files(), speed in 1e6f64..1e9, more in 1.0f64..3.0,
    ) {
        let guest = Guest::new(Pages(30_000), Pages(90_000));
        let save = |curve: &Curve, speed| {
            let link = Link { bandwidth: rate(speed), format: Format::XEN, costs: Costs::default() };
            save_live(&guest, &link, curve, &mut Stock, Duration::MAX)
        };
        let curve = file.curve();
        let plain = save(&curve, speed);
        prop_assert!(save(&curve, speed * more).total_s <= plain.total_s * (1.0 + 1e-12));
        let busier = file.points.iter().map(|(t, pages)| (*t, pages * more)).collect();
        let busier = save(&Curve::from_points(busier, Pages(40_000)).unwrap(), speed);
        prop_assert!(busier.total_s >= plain.total_s * (1.0 - 1e-12));
        adds_up(&plain)?;
    }

    /// The paper's finding (c): total time is linear in memory size, downtime does not depend on
    /// it. True once the first round lasts longer than the guest needs to dirty all it ever will.
    #[test]
    fn total_time_is_linear_in_memory_size_and_downtime_constant(
        hot in 0.0f64..20_000.0, mib in 400u64..2000,
    ) {
        let curve = Curve::from_points(vec![(0.0, 0.0), (1.0, hot)], Pages(hot as u64)).unwrap();
        let link = Link { bandwidth: rate(1e8), format: Format::XEN, costs: Costs::default() };
        let save = |mib: u64| {
            let guest = Guest::new(Pages(mib * 256), Pages(mib * 256));
            save_live(&guest, &link, &curve, &mut Stock, Duration::MAX)
        };
        let (one, two, three) = (save(mib), save(2 * mib), save(3 * mib));
        prop_assert!((one.downtime_s - two.downtime_s).abs() < 1e-9);
        prop_assert!((two.downtime_s - three.downtime_s).abs() < 1e-9);
        prop_assert!((one.total_s - 2.0 * two.total_s + three.total_s).abs() < 1e-6);
    }
}

fn adds_up(outcome: &Outcome) -> Result<(), TestCaseError> {
    let seconds: f64 = outcome.rounds.iter().map(|round| round.s).sum();
    let bytes: f64 = outcome.rounds.iter().map(|round| round.bytes).sum();
    prop_assert!((seconds - outcome.total_s).abs() <= 1e-9 * seconds);
    prop_assert!((bytes - outcome.bytes).abs() <= 1e-9 * bytes);
    Ok(())
}
