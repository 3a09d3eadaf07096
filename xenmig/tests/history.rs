//! The store of outcomes, and calibration from outcomes that the model made.

use std::time::Duration;

use tempfile::TempDir;
use xenmig::Kind;
use xenmig::dirty::Curve;
use xenmig::history::outcome::{Schema, SentRound};
use xenmig::history::{OutcomeRecord, OutcomeStore, calibrate};
use xenmig::model::{Costs, Format, Guest, Link, Stock, save_live};
use xenmig::units::{BytesPerSecond, Pages};

/// The record of a migration as the model runs it, by a sender with `share` of a CPU; each time is off by up to `noise` either way.
fn migrated(
    link: &Link,
    share: f64,
    populated: u64,
    p2m: u64,
    hot: f64,
    noise: &mut Noise,
) -> OutcomeRecord {
    let guest = Guest::new(Pages(populated), Pages(p2m));
    let points = vec![(0.0, 0.0), (0.5, hot / 2.0), (2.0, hot)];
    let curve = Curve::from_points(points, Pages(populated)).expect("a sound curve");
    let link = &Link { costs: link.costs.at_share(share), ..*link };
    let outcome = save_live(&guest, link, &curve, &mut Stock, Duration::MAX);
    let mut rounds: Vec<_> = outcome
        .rounds
        .iter()
        .enumerate()
        .map(|(i, round)| SentRound {
            pages: round.pages.round() as u64,
            holes: if i == 0 { p2m - populated } else { 0 },
            bytes: round.bytes.round() as u64,
            s: noise.on(round.s),
        })
        .collect();
    let last = rounds.pop();
    OutcomeRecord {
        schema: Schema::V1,
        at_unix_s: 1_790_000_000,
        domain: "db".to_owned(),
        uuid: "00000000-0000-0000-0000-000000000001".to_owned(),
        target: "host-b".to_owned(),
        populated_pages: populated,
        p2m_pages: p2m,
        sender_share: Some(share),
        predicted: None,
        kept: None,
        start_s: noise.on(link.costs.start.as_secs_f64()),
        rounds,
        suspend_pages: None,
        suspend_request_s: noise.on(link.costs.suspend_request.as_secs_f64()),
        last,
        finish_s: noise.on(link.costs.finish.as_secs_f64()),
        total_s: nanos(outcome.total_s),
        downtime_s: nanos(outcome.downtime_s),
    }
}

/// Whole nanoseconds, as a clock gives them.
fn nanos(s: f64) -> f64 {
    (s * 1e9).round() / 1e9
}

/// Deterministic noise.
struct Noise {
    share: f64,
    state: u64,
}

impl Noise {
    fn of(share: f64) -> Self {
        Self { share, state: 42 }
    }

    fn on(&mut self, s: f64) -> f64 {
        self.state = self.state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        let unit = (self.state >> 33) as f64 / f64::from(1u32 << 31);
        nanos(s * (1.0 + self.share * (2.0 * unit - 1.0)))
    }
}

fn link() -> Link {
    let ms = Duration::from_millis;
    Link {
        bandwidth: BytesPerSecond::new(1.1e8).expect("above 0"),
        format: Format::XEN,
        costs: Costs {
            start: ms(30),
            per_round: ms(4),
            per_p2m_page: 5e-9,
            per_page: 0.0,
            per_hole: 1.5e-7,
            suspend_request: ms(12),
            suspend_pages: 300.0,
            finish: ms(180),
        },
    }
}

/// Guests of several sizes that dirty from a few to many pages, on a more or less busy host.
fn history(noise: f64) -> Vec<OutcomeRecord> {
    let mut noise = Noise::of(noise);
    let guests = [
        (1.0, 40_960, 1_044_480, 8_000.0),
        (1.0, 40_960, 1_044_480, 60.0),
        (0.5, 131_072, 1_044_480, 20_000.0),
        (0.8, 524_288, 2_097_152, 30_000.0),
        (0.9, 524_288, 2_097_152, 150.0),
        (1.0, 65_536, 1_044_480, 5_000.0),
    ];
    guests
        .map(|(share, pages, p2m, hot)| migrated(&link(), share, pages, p2m, hot, &mut noise))
        .to_vec()
}

#[track_caller]
fn near(found: f64, real: f64, share: f64) {
    assert!((found - real).abs() <= share * real, "{found} is not within {share} of {real}");
}

#[track_caller]
fn recovers(records: &[OutcomeRecord], share: f64) {
    let found = calibrate(records, None).expect("there are outcomes");
    let (costs, real) = (found.costs, link().costs);
    near(found.bandwidth.get(), link().bandwidth.get(), share);
    near(costs.start.as_secs_f64(), real.start.as_secs_f64(), share);
    near(costs.suspend_request.as_secs_f64(), real.suspend_request.as_secs_f64(), share);
    near(costs.finish.as_secs_f64(), real.finish.as_secs_f64(), share);
    // What a round costs besides its bytes is small beside the noise of a large one; what counts
    // is the sum for a guest.
    for p2m in [1_044_480.0, 2_097_152.0] {
        let fixed = |costs: &Costs| costs.per_round.as_secs_f64() + costs.per_p2m_page * p2m;
        near(fixed(&costs), fixed(&real), 4.0 * share);
    }
    near(costs.per_hole, real.per_hole, 4.0 * share);
    // Between the rounds' own points the curve is taken as straight.
    near(costs.suspend_pages, real.suspend_pages, 0.1 + 4.0 * share);
    assert_eq!(costs.per_page, 0.0);
}

#[test]
fn exact_outcomes_give_the_exact_parameters() {
    recovers(&history(0.0), 0.005);
}

#[test]
fn noise_of_five_per_cent_moves_them_by_no_more() {
    recovers(&history(0.05), 0.05);
}

#[test]
fn one_odd_migration_changes_little() {
    let mut records = history(0.02);
    let odd = &mut records[2];
    odd.rounds.iter_mut().for_each(|round| round.s *= 5.0);
    odd.downtime_s += 20.0;
    recovers(&records, 0.05);
    let spread = calibrate(&records, None).unwrap().finish_spread.as_secs_f64();
    assert!(spread < 0.1, "one of {} makes p90 {spread} s more", records.len());
}

#[test]
fn calibrated_parameters_predict_the_outcome_they_came_from() {
    let records = history(0.03);
    let found = calibrate(&records, Some("host-b")).expect("there are outcomes");
    assert_eq!(found.from, records.len());
    let link = Link { bandwidth: found.bandwidth, format: Format::XEN, costs: found.costs };
    for (i, record) in records.iter().enumerate() {
        let hot = [8_000.0, 60.0, 20_000.0, 30_000.0, 150.0, 5_000.0][i];
        let (populated, p2m) = (record.populated_pages, record.p2m_pages);
        let again = migrated(
            &link,
            record.sender_share.unwrap_or(1.0),
            populated,
            p2m,
            hot,
            &mut Noise::of(0.0),
        );
        near(again.total_s, record.total_s, 0.05);
        near(again.downtime_s, record.downtime_s, 0.05);
    }
}

#[test]
fn a_hole_that_costs_no_more_than_its_bytes_has_no_cost() {
    let mut link = link();
    link.costs.per_hole = 0.0;
    let mut none = Noise::of(0.0);
    let record = migrated(&link, 1.0, 40_960, 1_044_480, 8_000.0, &mut none);
    let found = calibrate(&[record], None).expect("there is an outcome");
    near(found.bandwidth.get(), link.bandwidth.get(), 0.01);
    assert!(found.costs.per_hole < 1.05 * 8.0 / found.bandwidth.get());
}

#[test]
fn idle_guests_still_show_what_the_first_round_reached() {
    let mut link = link();
    link.costs.per_hole = 0.0;
    let mut none = Noise::of(0.0);
    let record = migrated(&link, 1.0, 40_960, 1_044_480, 10.0, &mut none);
    let found = calibrate(&[record], None).expect("there is an outcome");
    near(found.bandwidth.get(), link.bandwidth.get(), 0.02);
    assert_eq!(found.costs.per_hole, 0.0);
}

#[test]
fn other_targets_do_not_count_and_nothing_shows_nothing() {
    let records = history(0.0);
    assert!(calibrate(&records, Some("elsewhere")).is_none());
    assert!(calibrate(&[], None).is_none());
    let mut slow = records;
    let mut other = slow[3].clone();
    other.target = "host-c".to_owned();
    other.rounds.iter_mut().for_each(|round| round.s *= 10.0);
    slow.extend(vec![other; 20]);
    let found = calibrate(&slow, Some("host-b")).expect("there are outcomes");
    near(found.bandwidth.get(), link().bandwidth.get(), 0.01);
    let all = calibrate(&slow, None).expect("there are outcomes");
    assert!(all.bandwidth.get() < 0.2 * found.bandwidth.get());
}

fn store() -> (TempDir, OutcomeStore) {
    let dir = TempDir::new().expect("a temporary directory");
    let store = OutcomeStore::new(&dir.path().join("state"));
    (dir, store)
}

fn numbered(at_unix_s: u64) -> OutcomeRecord {
    OutcomeRecord { at_unix_s, ..history(0.0).remove(0) }
}

#[test]
fn what_was_appended_is_read_again() {
    let (_dir, store) = store();
    assert!(store.read().unwrap().records.is_empty());
    let records = history(0.05);
    for record in &records {
        store.append(record).unwrap();
    }
    let read = store.read().unwrap();
    assert_eq!(read.records, records);
    assert!(read.skipped.is_empty());
}

#[test]
fn a_killed_writer_costs_one_record_only() {
    let (_dir, store) = store();
    store.append(&numbered(1)).unwrap();
    store.append(&numbered(2)).unwrap();
    let text = std::fs::read(store.path()).unwrap();
    std::fs::write(store.path(), &text[..text.len() - 20]).unwrap();

    let read = store.read().unwrap();
    assert_eq!(read.records, [numbered(1)]);
    assert_eq!((read.skipped[0].line, read.skipped[0].truncated), (2, true));

    store.append(&numbered(3)).unwrap();
    let read = store.read().unwrap();
    assert_eq!(read.records, [numbered(1), numbered(3)]);
    assert_eq!((read.skipped[0].line, read.skipped[0].truncated), (2, false));
}

#[test]
fn corrupt_lines_are_skipped_and_told_by_number() {
    let (_dir, store) = store();
    store.append(&numbered(1)).unwrap();
    let mut text = std::fs::read_to_string(store.path()).unwrap();
    let other = text.replace("xenmig.outcome/1", "xenmig.outcome/9");
    text = format!("{text}\u{0}garbage\n{other}{text}");
    std::fs::write(store.path(), text).unwrap();
    let read = store.read().unwrap();
    assert_eq!(read.records.len(), 2);
    let lines: Vec<_> = read.skipped.iter().map(|skipped| skipped.line).collect();
    assert_eq!(lines, [2, 3]);
    assert!(read.skipped[1].why.contains("xenmig.outcome/9"), "{:?}", read.skipped);
}

#[test]
fn only_the_newest_are_kept() {
    let (_dir, store) = store();
    let store = store.keeping(3);
    for at in 0..10 {
        store.append(&numbered(at)).unwrap();
    }
    let kept: Vec<_> = store.read().unwrap().records.iter().map(|r| r.at_unix_s).collect();
    assert_eq!(kept, [7, 8, 9]);
}

#[test]
fn writers_at_the_same_time_lose_nothing() {
    let (_dir, store) = store();
    std::thread::scope(|scope| {
        for writer in 0..8 {
            let store = store.clone();
            scope.spawn(move || {
                for i in 0..10 {
                    store.append(&numbered(writer * 10 + i)).unwrap();
                }
            });
        }
    });
    let read = store.read().unwrap();
    assert!(read.skipped.is_empty());
    let mut all: Vec<_> = read.records.iter().map(|record| record.at_unix_s).collect();
    all.sort_unstable();
    assert_eq!(all, (0..80).collect::<Vec<_>>());
}

#[test]
fn a_time_that_json_cannot_hold_is_refused() {
    let (_dir, store) = store();
    let error = store.append(&OutcomeRecord { total_s: f64::NAN, ..numbered(1) }).unwrap_err();
    assert_eq!(error.kind(), Kind::Data);
    assert!(store.read().unwrap().records.is_empty());
}

#[test]
fn a_directory_that_cannot_be_written_is_named() {
    let (dir, _) = store();
    let file = dir.path().join("file");
    std::fs::write(&file, "").unwrap();
    let error = OutcomeStore::new(&file).append(&numbered(1)).unwrap_err();
    assert!(error.to_string().contains("outcomes.jsonl"), "{error}");
}
