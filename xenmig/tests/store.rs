//! The continuous log: what is written is read, whatever happens to file, clock and domains.
#![allow(clippy::unwrap_used, reason = "these are tests")]

use std::path::PathBuf;
use std::time::Duration;

use tempfile::TempDir;
use xenmig::history::{HistoryStore, Keep, Logged, Observation};
use xenmig::host::Uuid;
use xenmig::units::Pages;
use xenmig::{Error, Kind};

const MONDAY: i64 = 1_767_571_200;
const ALL: (i64, i64) = (i64::MIN, i64::MAX);

struct Place(TempDir);

impl Place {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn file(&self) -> PathBuf {
        self.0.path().join("deep/history.sqlite")
    }

    fn open(&self) -> HistoryStore {
        HistoryStore::open(&self.file()).unwrap()
    }

    fn refused(&self) -> Error {
        HistoryStore::open(&self.file()).unwrap_err()
    }
}

fn domain(id: u8, name: &str) -> Logged {
    let pages = Pages(262_144);
    Logged { uuid: Uuid([id; 16]), name: name.into(), vcpus: 2, memory: pages, p2m_size: pages }
}

fn observation(at_unix_s: i64, pages: u64) -> Observation {
    let point = |nth: u32| (Duration::from_millis(5 << nth), Pages(pages * (u64::from(nth) + 1)));
    Observation {
        at_unix_s,
        weight: 1,
        points: (0..9).map(point).collect(),
        guest_cpus: 0.25,
        host_cpus: Some((1.5, 8)),
    }
}

fn keep(whole: u32, hours: u32, bytes: u64) -> Keep {
    Keep { whole, hours, bytes }
}

#[test]
fn what_is_written_is_read_after_the_file_was_closed() {
    let place = Place::new();
    assert!(HistoryStore::read(&place.file()).unwrap().is_none());
    let (db, seen) = (domain(1, "db"), observation(MONDAY, 77));
    place.open().add(&db, &seen).unwrap();
    let store = HistoryStore::read(&place.file()).unwrap().unwrap();
    assert_eq!(store.domains().unwrap(), std::slice::from_ref(&db));
    assert_eq!(store.observations(db.uuid, ALL).unwrap(), [seen]);
    assert_eq!(store.observations(db.uuid, (0, MONDAY - 1)).unwrap(), []);
}

#[test]
fn a_domain_is_its_uuid_whatever_its_name() {
    let mut store = HistoryStore::in_memory().unwrap();
    store.add(&domain(1, "db"), &observation(MONDAY, 1)).unwrap();
    store.add(&domain(1, "db-old"), &observation(MONDAY + 300, 2)).unwrap();
    store.add(&domain(2, "db"), &observation(MONDAY + 600, 3)).unwrap();
    assert_eq!(store.domains().unwrap().len(), 2);
    assert_eq!(store.find("db").unwrap().unwrap().uuid, Uuid([2; 16]));
    let old = store.find("db-old").unwrap().unwrap();
    assert_eq!(store.observations(old.uuid, ALL).unwrap().len(), 2);
    assert_eq!(store.find(&old.uuid.to_string()).unwrap().unwrap(), old);
    assert!(store.find("nobody").unwrap().is_none());
}

#[test]
fn a_clock_that_is_set_back_costs_no_sample() {
    let mut store = HistoryStore::in_memory().unwrap();
    let db = domain(1, "db");
    for at in [MONDAY, MONDAY + 300, MONDAY, MONDAY, MONDAY + 300] {
        store.add(&db, &observation(at, 1)).unwrap();
    }
    let at: Vec<_> =
        store.observations(db.uuid, ALL).unwrap().iter().map(|o| o.at_unix_s - MONDAY).collect();
    assert_eq!(at, [0, 1, 2, 300, 301]);
}

#[test]
fn old_hours_are_thinned_out_and_keep_their_weight_and_their_worst() {
    let mut store = HistoryStore::in_memory().unwrap();
    let db = domain(1, "db");
    // A day, every five minutes; in each hour one sample in twelve is far busier.
    for nth in 0..288 {
        let pages = if nth % 12 == 7 { 900 } else { 10 + nth as u64 % 3 };
        store.add(&db, &observation(MONDAY + 300 * nth, pages)).unwrap();
    }
    let thinned = store.thin(&keep(144, 1000, u64::MAX), &[]).unwrap();
    let seen = store.observations(db.uuid, ALL).unwrap();
    assert_eq!(seen.iter().map(|o| o.weight).sum::<u32>(), 288);
    let old: Vec<_> = seen.iter().filter(|o| o.at_unix_s < MONDAY + 11 * 3600).collect();
    assert_eq!(old.len(), 22);
    assert_eq!(thinned.merged, 288 - seen.len() as u64);
    // The newer half is as it was.
    assert!(seen.iter().rev().take(144).all(|o| o.weight == 1));
    // Again: nothing is left to do.
    assert_eq!(store.thin(&keep(144, 1000, u64::MAX), &[]).unwrap(), Default::default());
    // The rarely busy ones stand for some of each hour.
    assert!(old.iter().any(|o| o.points[0].1.0 >= 10 && o.weight == 10));
}

#[test]
fn a_clock_that_is_set_a_century_forward_for_a_while_costs_no_history() {
    let mut store = HistoryStore::in_memory().unwrap();
    let db = domain(1, "db");
    for nth in 0..100 {
        store.add(&db, &observation(MONDAY + 300 * nth, 1)).unwrap();
    }
    store.add(&db, &observation(MONDAY + 100 * 365 * 86_400, 1)).unwrap();
    store.thin(&keep(200, 1000, u64::MAX), &[]).unwrap();
    assert_eq!(store.observations(db.uuid, ALL).unwrap().len(), 101);
}

#[test]
fn more_hours_than_are_kept_are_forgotten_the_oldest_first() {
    let mut store = HistoryStore::in_memory().unwrap();
    let db = domain(1, "db");
    for nth in 0..2000 {
        store.add(&db, &observation(MONDAY + 300 * nth, 1 + nth as u64 % 7)).unwrap();
    }
    store.thin(&keep(100, 10, u64::MAX), &[]).unwrap();
    let seen = store.observations(db.uuid, ALL).unwrap();
    assert!(seen.iter().filter(|o| o.weight > 1).count() <= 20);
    assert!(seen[0].at_unix_s > MONDAY + 300 * 1700, "{}", seen[0].at_unix_s - MONDAY);
    assert_eq!(seen.last().unwrap().at_unix_s, MONDAY + 300 * 1999);
}

#[test]
fn a_file_that_grows_too_large_loses_domains_that_are_gone_and_never_those_that_are_here() {
    let mut store = HistoryStore::in_memory().unwrap();
    for id in 1..=4 {
        for nth in 0..500 {
            store
                .add(&domain(id, "d"), &observation(MONDAY + 1000 * i64::from(id) + nth, 99))
                .unwrap();
        }
    }
    let here = [Uuid([2; 16])];
    let most = store.size_bytes().unwrap() * 6 / 10;
    let thinned = store.thin(&keep(10_000, 10_000, most), &here).unwrap();
    // The first was seen least lately, then comes the second, which is here.
    assert_eq!(thinned.domains, 2);
    let left: Vec<_> = store.domains().unwrap().iter().map(|d| d.uuid.0[0]).collect();
    assert_eq!(left, [2, 4]);
    store.thin(&keep(10_000, 10_000, 0), &here).unwrap();
    assert_eq!(store.observations(here[0], ALL).unwrap().len(), 500);
}

#[test]
fn another_file_and_a_later_version_are_left_alone() {
    let place = Place::new();
    place.open();
    let change = |what: &str| {
        rusqlite::Connection::open(place.file()).unwrap().execute_batch(what).unwrap();
    };
    change("PRAGMA user_version = 99");
    let error = place.refused();
    assert_eq!(error.kind(), Kind::Data);
    assert!(error.to_string().contains("later xenmig"), "{error}");

    change("PRAGMA user_version = 1; PRAGMA application_id = 7");
    assert!(place.refused().to_string().contains("another program's"));

    std::fs::write(place.file(), "no database at all, but long enough to look like one").unwrap();
    let error = place.refused();
    assert_eq!(error.kind(), Kind::Data);
    assert!(error.advice().unwrap().contains("move the file away"));
}

#[test]
fn a_reader_and_the_writer_do_not_wait_for_each_other() {
    let place = Place::new();
    let mut writer = place.open();
    let db = domain(1, "db");
    writer.add(&db, &observation(MONDAY, 1)).unwrap();
    let reader = HistoryStore::read(&place.file()).unwrap().unwrap();
    assert_eq!(reader.observations(db.uuid, ALL).unwrap().len(), 1);
    writer.add(&db, &observation(MONDAY + 1, 1)).unwrap();
    assert_eq!(reader.observations(db.uuid, ALL).unwrap().len(), 2);
}
