//! The bitmap against a set of pfns.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::collections::BTreeSet;
use std::ops::Range;

use proptest::collection::vec;
use proptest::prelude::*;
use xenmig::dirty::{Bitmap, Heat};
use xenmig::units::{Pages, Pfn};

/// A length and runs within it. Lengths around multiples of a word, of a lane block (512 pages)
/// and of a count block (8192 pages) are where mistakes hide.
fn guests() -> impl Strategy<Value = (u64, Vec<Range<u64>>)> {
    let edges = prop::sample::select(vec![1u64, 64, 512, 8192, 16384]);
    let around = (edges, 0u64..4).prop_map(|(edge, off)| (edge + off).saturating_sub(2));
    prop_oneof![around, 0u64..20_000].prop_flat_map(|len| {
        let run = (0..len.max(1), prop_oneof![1u64..4, 1u64..200, 1u64..9000])
            .prop_map(move |(start, n)| start.min(len)..(start + n).min(len));
        (Just(len), vec(run, 0..40))
    })
}

fn build(len: u64, runs: &[Range<u64>]) -> (Bitmap, BTreeSet<u64>) {
    let mut bitmap = Bitmap::new(Pages(len));
    let mut set = BTreeSet::new();
    for (i, run) in runs.iter().enumerate() {
        if i % 2 == 0 {
            bitmap.set_run(run.clone());
        } else {
            run.clone().for_each(|pfn| bitmap.set(Pfn(pfn)));
        }
        set.extend(run.clone());
    }
    // What a hypercall may leave past the end.
    if let Some(last) = bitmap.words_mut().last_mut().filter(|_| !len.is_multiple_of(64)) {
        *last |= !0 << (len % 64);
    }
    (bitmap, set)
}

fn runs_of(set: &BTreeSet<u64>) -> Vec<Range<u64>> {
    let mut runs: Vec<Range<u64>> = Vec::new();
    for &pfn in set {
        match runs.last_mut() {
            Some(run) if run.end == pfn => run.end += 1,
            _ => runs.push(pfn..pfn + 1),
        }
    }
    runs
}

proptest! {
    #[test]
    fn agrees_with_a_set((len, runs) in guests(), from in 0u64..20_000, n in 0u64..20_000) {
        let (bitmap, set) = build(len, &runs);
        prop_assert_eq!(bitmap.len(), Pages(len));
        prop_assert_eq!(bitmap.count(), Pages(set.len() as u64));
        prop_assert_eq!(bitmap.is_empty(), set.is_empty());
        prop_assert_eq!(bitmap.iter().map(|pfn| pfn.0).collect::<BTreeSet<_>>(), set.clone());
        prop_assert_eq!(bitmap.runs(), runs_of(&set));
        let within = set.range(from..from + n).count() as u64;
        prop_assert_eq!(bitmap.count_in(Pfn(from)..Pfn(from + n)), Pages(within));
        for pfn in from..(from + n.min(300)) {
            prop_assert_eq!(bitmap.get(Pfn(pfn)), set.contains(&pfn));
        }
        prop_assert!(!bitmap.get(Pfn(len)) && !bitmap.get(Pfn(u64::MAX)));
    }

    #[test]
    fn sets_combine_as_sets_do((len, runs) in guests(), cut in 0usize..40) {
        let cut = cut.min(runs.len());
        let (one, one_set) = build(len, &runs[..cut]);
        let (two, two_set) = build(len, &runs[cut..]);
        let (mut union, mut both) = (one.clone(), one.clone());
        union.union_with(&two);
        both.intersect_with(&two);
        prop_assert_eq!(union.count().0, one_set.union(&two_set).count() as u64);
        prop_assert_eq!(both.count().0, one_set.intersection(&two_set).count() as u64);
        let heat = Heat::of(&[one.clone(), two.clone()], usize::MAX).unwrap();
        prop_assert_eq!((heat.in_some, heat.in_all), (union.count(), both.count()));
        let dirtied: u64 = heat.ranges.iter().map(|range| range.dirtied.0).sum();
        prop_assert_eq!(dirtied, (one_set.len() + two_set.len()) as u64);
        for range in &heat.ranges {
            let pfns = range.first..Pfn(range.first.0 + range.pages.0);
            let counted = one.count_in(pfns.clone()).0 + two.count_in(pfns).0;
            prop_assert_eq!(range.dirtied.0, counted);
        }
        prop_assert!(heat.ranges.windows(2).all(|pair| pair[0].density(2) >= pair[1].density(2)));
    }

    #[test]
    fn words_are_counted_as_they_are(words in vec(any::<u64>(), 0..700)) {
        let ones: u64 = words.iter().map(|word| u64::from(word.count_ones())).sum();
        let len = Pages(words.len() as u64 * 64);
        let bitmap = Bitmap::from_words(words.clone(), len).unwrap();
        prop_assert_eq!(bitmap.count(), Pages(ones));
        let mut found = 0;
        let count = bitmap.for_each_run(|run| found += run.end - run.start);
        prop_assert_eq!((found, count), (ones, Pages(ones)));
        prop_assert_eq!(bitmap.words(), &words[..]);
    }
}

#[test]
fn what_is_past_the_end_is_not_there() {
    let dirty = Bitmap::from_words(vec![!0, !0], Pages(70)).unwrap();
    let mut clean = Bitmap::new(Pages(70));
    clean.set_run(0..70);
    assert_eq!(dirty, clean);
    assert_eq!(dirty.count(), Pages(70));
    assert!(dirty.runs().into_iter().eq(std::iter::once(0..70)));
    assert_eq!(Bitmap::from_words(vec![0], Pages(70)), None);
    assert_eq!(format!("{dirty:?}"), "Bitmap(70 of 70 pages)");
}

#[test]
fn an_empty_bitmap_has_nothing() {
    let empty = Bitmap::new(Pages(0));
    assert_eq!((empty.count(), empty.runs().len(), empty.iter().count()), (Pages(0), 0, 0));
    assert!(empty.is_empty());
}

#[test]
#[should_panic(expected = "pfn 70 in a bitmap of 70 pages")]
fn setting_past_the_end_is_a_mistake() {
    Bitmap::new(Pages(70)).set(Pfn(70));
}
