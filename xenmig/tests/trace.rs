//! Traces: what is written is read back, and damage is found, named, and costs nothing that came
//! before it.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::io::{self, Write};
use std::time::Duration;

use proptest::collection::vec;
use proptest::prelude::*;
use xenmig::dirty::{Bitmap, Ended, Plan, Record, Sample, TraceReader, TraceWriter, Window};
use xenmig::host::{DomId, Domain, GuestType, RunState, Uuid};
use xenmig::units::{Pages, Pfn};
use xenmig::{Error, Kind};

const P2M: u64 = 3000;

fn domain() -> Domain {
    Domain {
        id: DomId(7),
        name: "db \"ü\"\n".to_owned(),
        uuid: Uuid(*b"0123456789abcdef"),
        guest_type: GuestType::Pvh,
        state: RunState::Running,
        memory: Pages(2500),
        max_memory: Pages(2600),
        p2m_size: Pages(P2M),
        vcpus: 2,
        hap: true,
    }
}

fn windows() -> impl Strategy<Value = Window> {
    let ended = prop::sample::select(vec![
        Ended::Complete,
        Ended::SaveBegan,
        Ended::Interrupted,
        Ended::DomainGone,
    ]);
    let time = (0u64..1_000_000_000_000_000).prop_map(Duration::from_nanos);
    let point = (time, any::<u64>().prop_map(Pages));
    (vec(point, 0..20), ended, vec(0.0f64..=1.0, 0..5), prop::option::of(0.0f64..=1.0)).prop_map(
        |(points, ended, vcpu_utilisation, host_cpu_utilisation)| Window {
            points,
            ended,
            vcpu_utilisation,
            host_cpu_utilisation,
            host_cpus: Some(2),
        },
    )
}

fn bitmaps() -> impl Strategy<Value = Bitmap> {
    vec((0..P2M, 1u64..300), 0..12).prop_map(|runs| {
        let mut bitmap = Bitmap::new(Pages(P2M));
        runs.into_iter().for_each(|(start, n)| bitmap.set_run(start..(start + n).min(P2M)));
        bitmap
    })
}

fn records() -> impl Strategy<Value = Vec<Record>> {
    let record =
        prop_oneof![windows().prop_map(Record::Window), bitmaps().prop_map(Record::Bitmap)];
    vec(record, 0..6)
}

fn written(plan: &Plan, records: &[Record]) -> Vec<u8> {
    let mut trace = TraceWriter::new(Vec::new(), "t".to_owned(), &domain(), plan).unwrap();
    for record in records {
        match record {
            Record::Window(window) => trace.window(window).unwrap(),
            Record::Bitmap(bitmap) => trace.bitmap(bitmap).unwrap(),
        }
    }
    trace.finish().unwrap()
}

/// The whole records of a trace and what ended the reading.
fn read(bytes: &[u8]) -> (Vec<Record>, Option<Error>) {
    let mut records = Vec::new();
    let mut reader = match TraceReader::new(bytes, "t".to_owned()) {
        Ok(reader) => reader,
        Err(error) => return (records, Some(error)),
    };
    loop {
        match reader.next_record() {
            Ok(Some(record)) => records.push(record),
            Ok(None) => return (records, None),
            Err(error) => {
                assert!(reader.next_record().unwrap().is_none(), "nothing follows an error");
                return (records, Some(error));
            }
        }
    }
}

proptest! {
    #[test]
    fn what_is_written_is_read(records in records(), window_ms in 1u64..100_000, ratio in 1.01f64..9.0) {
        let plan = Plan { window: Duration::from_millis(window_ms), ratio, ..Plan::default() };
        let bytes = written(&plan, &records);
        let (found, damage) = read(&bytes);
        prop_assert!(damage.is_none(), "{damage:?}");
        prop_assert_eq!(found, records);
        let reader = TraceReader::new(&bytes[..], "t".to_owned()).unwrap();
        prop_assert_eq!(reader.plan(), &plan);
        prop_assert_eq!(format!("{:?}", reader.domain()), format!("{:?}", domain()));
    }

    #[test]
    fn any_damage_is_found_and_costs_nothing_before_it(
        records in records(), at in any::<prop::sample::Index>(), flip in 1u8..=255,
    ) {
        let mut bytes = written(&Plan::default(), &records);
        let at = at.index(bytes.len());
        let whole = bytes[..at].iter().filter(|b| **b == b'\n').count();
        bytes[at] ^= flip;
        let (found, damage) = read(&bytes);
        let damage = damage.expect("the damage goes unnoticed");
        prop_assert_eq!(damage.kind(), Kind::Data);
        prop_assert_eq!(&found[..], &records[..whole.saturating_sub(1)]);
        let place = format!("record {}, which begins at byte ", whole + 1);
        prop_assert!(damage.to_string().contains(&place), "{damage}");
    }
}

fn small() -> (Vec<Record>, Vec<u8>) {
    let mut bitmap = Bitmap::new(Pages(P2M));
    bitmap.set_run(10..20);
    bitmap.set(Pfn(2999));
    let window = |pages| Window {
        points: vec![(Duration::from_millis(5), Pages(3)), (Duration::from_secs(3), Pages(pages))],
        ended: Ended::Complete,
        vcpu_utilisation: vec![0.25, 1.0],
        host_cpu_utilisation: Some(0.1),
        host_cpus: Some(4),
    };
    let records =
        vec![Record::Window(window(11)), Record::Bitmap(bitmap), Record::Window(window(90))];
    let bytes = written(&Plan::default(), &records);
    (records, bytes)
}

#[test]
fn cut_anywhere_it_gives_all_whole_records_and_says_where_it_ends() {
    let (records, bytes) = small();
    for length in 0..bytes.len() {
        let cut = &bytes[..length];
        let lines = cut.iter().filter(|byte| **byte == b'\n').count();
        let begin = cut.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        let (found, damage) = read(cut);
        assert_eq!(found, records[..lines.saturating_sub(1)], "{length}");
        let damage = damage.expect("a cut trace is not whole");
        assert_eq!(damage.kind(), Kind::Data);
        let expected = match (length, length - begin) {
            (0, _) => "t is empty, not a trace".to_owned(),
            (_, 0) => format!(
                "record {}, which begins at byte {begin}, is missing: the trace was not finished",
                lines + 1
            ),
            (_, left) => format!(
                "record {}, which begins at byte {begin}, is cut off: the file ends after {left} \
                 bytes of it",
                lines + 1
            ),
        };
        assert!(damage.to_string().ends_with(&expected), "{damage}\n{expected}");
    }
}

#[test]
fn every_flipped_bit_is_found() {
    let (_, bytes) = small();
    for at in 0..bytes.len() * 8 {
        let mut bytes = bytes.clone();
        bytes[at / 8] ^= 1 << (at % 8);
        assert!(read(&bytes).1.is_some(), "bit {at}");
    }
}

/// The line around a JSON, as the format's description says.
fn line(json: &str) -> String {
    format!("{:08x} {json}\n", crc32fast::hash(json.as_bytes()))
}

#[test]
fn what_is_no_trace_or_of_another_version_is_refused() {
    let (_, bytes) = small();
    let text = String::from_utf8(bytes).unwrap();
    let header = text.lines().next().unwrap()[9..].to_owned();
    let rest = &text[text.find('\n').unwrap() + 1..];
    let first = |from: &str, to: &str| line(&header.replacen(from, to, 1)) + rest;
    for (text, says) in [
        (
            first("trace/1", "trace/2"),
            "record 1, which begins at byte 0, is of `xenmig.trace/2`; this reads `xenmig.trace/1`",
        ),
        (line("{}"), "names no schema"),
        ("Hello\n".to_owned(), "is not a line of a trace"),
        ("\u{0}\n".to_owned(), "is not a line of a trace"),
        (first("30313233", "3031"), "has no uuid: `3031-"),
        (first("\"vcpus\":2", "\"vcpus\":-2"), "is not what it should be"),
        (first("\"vcpus\"", "\"cpus\""), "unknown field `cpus`"),
        (first("\"window_s\":3.0", "\"window_s\":-3.0"), "has a time of -3 s"),
        (line(&header) + &line(r#"{"photo":{}}"#), "unknown variant `photo`"),
        (
            line(&header) + &line(r#"{"bitmap":{"pages":9,"runs":[]}}"#),
            "is a bitmap of 9 pages of a guest whose p2m has 3000 pages",
        ),
        (
            line(&header) + &line(r#"{"bitmap":{"pages":3000,"runs":[2999,2]}}"#),
            "with a run past its 3000 pages",
        ),
        (
            line(&header) + &line(r#"{"bitmap":{"pages":3000,"runs":[18446744073709551615,1]}}"#),
            "with a run past",
        ),
        (
            line(&header) + &line(r#"{"bitmap":{"pages":3000,"runs":[1]}}"#),
            "whose last run has no length",
        ),
        (
            line(&header) + &line(r#"{"end":{"records":2}}"#),
            "says that it follows 2 records, not 1",
        ),
        (text.clone() + &line(r#"{"end":{"records":5}}"#), "record 6, which begins at byte"),
        (text.clone() + "x", "is cut off"),
    ] {
        let error = read(text.as_bytes()).1.expect(says);
        assert_eq!(error.kind(), Kind::Data);
        assert!(error.to_string().contains(says), "{error}\n{says}");
    }
}

#[test]
fn a_made_up_length_does_not_eat_the_memory() {
    let huge = Domain { p2m_size: Pages(u64::MAX), ..domain() };
    let trace = TraceWriter::new(Vec::new(), "t".to_owned(), &huge, &Plan::default()).unwrap();
    let mut bytes = trace.finish().unwrap();
    bytes.truncate(bytes.iter().position(|byte| *byte == b'\n').unwrap() + 1);
    let bitmap = format!(r#"{{"bitmap":{{"pages":{},"runs":[]}}}}"#, u64::MAX);
    bytes.extend(line(&bitmap).bytes());
    assert!(read(&bytes).1.unwrap().to_string().contains("is a bitmap of"));
}

/// A disk with room for so many bytes.
#[derive(Debug)]
struct Disk(Vec<u8>, usize);

impl Write for Disk {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let room = (self.1 - self.0.len()).min(bytes.len());
        if room == 0 {
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.0.extend(&bytes[..room]);
        Ok(room)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_full_disk_is_an_error_and_leaves_whole_records() {
    let (records, bytes) = small();
    let first = bytes.iter().position(|byte| *byte == b'\n').unwrap() + 1;
    for room in 0..bytes.len() {
        let mut disk = Disk(Vec::new(), room);
        let trace = TraceWriter::new(&mut disk, "t".to_owned(), &domain(), &Plan::default());
        if room < first {
            assert_eq!(trace.unwrap_err().kind(), Kind::Io);
            continue;
        }
        let mut trace = trace.unwrap();
        let mut failed = 0;
        for record in &records {
            let result = match record {
                Record::Window(window) => trace.window(window),
                Record::Bitmap(bitmap) => trace.bitmap(bitmap),
            };
            if let Err(error) = result {
                assert_eq!(error.kind(), Kind::Io);
                let says = if failed == 0 { "no storage space" } else { "one before it failed" };
                assert!(error.to_string().contains(says), "{error}");
                failed += 1;
            }
        }
        assert!(trace.finish().is_err());
        let whole = disk.0.iter().filter(|byte| **byte == b'\n').count() - 1;
        assert_eq!(read(&disk.0).0, records[..whole]);
        assert_eq!(whole, records.len() - failed);
    }
}

#[test]
fn a_sample_goes_to_a_file_and_back() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("trace");
    let (records, _) = small();
    let mut sample = Sample { domain: domain(), windows: Vec::new(), bitmaps: Vec::new() };
    for record in records {
        match record {
            Record::Window(window) => sample.windows.push(window),
            Record::Bitmap(bitmap) => sample.bitmaps.push(bitmap),
        }
    }
    let mut trace = TraceWriter::create(&path, &sample.domain, &Plan::default()).unwrap();
    trace.sample(&sample).unwrap();
    trace.finish().unwrap();
    let (found, damage) = TraceReader::open(&path).unwrap().into_sample().unwrap();
    assert!(damage.is_none());
    assert_eq!((&found.windows, &found.bitmaps), (&sample.windows, &sample.bitmaps));

    // Cut within the second window, the first can still be used; cut within the first, nothing.
    let bytes = std::fs::read(&path).unwrap();
    std::fs::write(&path, &bytes[..bytes.len() - 60]).unwrap();
    let (found, damage) = TraceReader::open(&path).unwrap().into_sample().unwrap();
    assert_eq!(found.windows, sample.windows[..1]);
    assert!(damage.unwrap().to_string().contains("trace"));
    let cut = bytes.iter().position(|byte| *byte == b'\n').unwrap() + 9;
    std::fs::write(&path, &bytes[..cut]).unwrap();
    assert_eq!(TraceReader::open(&path).unwrap().into_sample().unwrap_err().kind(), Kind::Data);

    let error = TraceReader::open(&folder.path().join("none")).unwrap_err();
    assert_eq!(error.kind(), Kind::Io);
    let error = TraceWriter::create(folder.path(), &domain(), &Plan::default()).unwrap_err();
    assert_eq!(error.kind(), Kind::Io);
}

/// The figures that `dirty/trace.rs` bases its choice on.
#[test]
fn the_size_of_a_trace_is_small() {
    let plan = Plan::default();
    let points: Vec<_> = plan.moments(plan.window).into_iter().zip(1u64..).collect();
    let window = |seed: u64| Window {
        points: points
            .iter()
            // PEEKs come some microseconds late.
            .map(|(t, n)| (*t + Duration::from_nanos(seed * 7919 % 99_991 + n), Pages(n * n * 97)))
            .collect(),
        ended: Ended::Complete,
        vcpu_utilisation: vec![0.123_456_789_012, 0.987_654_321_098],
        host_cpu_utilisation: Some(0.312_345_678_901),
        host_cpus: Some(4),
    };
    let windows: Vec<_> = (1..=100).map(|seed| Record::Window(window(seed))).collect();
    let size = written(&plan, &windows).len() / 100;
    assert!(size < 550, "{size} bytes per window of {} points", points.len());

    // 15,000 single pages all over 4 GiB: a bitmap of 128 KiB.
    let mut bitmap = Bitmap::new(Pages(1 << 20));
    (0..15_000u64).for_each(|n| bitmap.set(Pfn(n * n * 7919 % (1 << 20))));
    let large = Domain { p2m_size: bitmap.len(), ..domain() };
    let mut trace = TraceWriter::new(Vec::new(), "t".to_owned(), &large, &plan).unwrap();
    trace.bitmap(&bitmap).unwrap();
    let (size, runs) = (trace.finish().unwrap().len(), bitmap.runs().len());
    assert!(size < 11 * runs / 2, "{size} bytes for {runs} runs");
}
