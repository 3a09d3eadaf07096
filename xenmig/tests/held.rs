//! What is held back, against a set: no page is ever lost, whatever is taken when.

use std::collections::BTreeSet;

use proptest::collection::{btree_set, vec};
use proptest::prelude::*;
use xenmig::dirty::HeldBack;

const WORDS: usize = 5;

fn pages(words: &[u64]) -> BTreeSet<u64> {
    let bit = |pfn: &u64| words[(pfn / 64) as usize] >> (pfn % 64) & 1 == 1;
    (0..64 * WORDS as u64).filter(bit).collect()
}

proptest! {
    #[test]
    fn every_dirty_page_is_sent_or_still_held(
        steps in vec((btree_set(0..64 * WORDS as u64, 0..80), prop::option::of(0u64..100)), 1..20),
    ) {
        let mut held = HeldBack::new(WORDS);
        let mut oracle = BTreeSet::new();
        for (fresh, limit) in steps {
            let mut words = [0u64; WORDS];
            fresh.iter().for_each(|pfn| words[(pfn / 64) as usize] |= 1 << (pfn % 64));
            let all: BTreeSet<_> = oracle.union(&fresh).copied().collect();
            prop_assert_eq!(held.with(&words), all.len() as u64);
            let sent = held.take(&mut words, limit);
            let went = pages(&words);
            prop_assert_eq!(went.len() as u64, sent);
            prop_assert_eq!(sent, limit.unwrap_or(u64::MAX).min(all.len() as u64));
            prop_assert!(went.is_subset(&all));
            let cold: BTreeSet<_> = oracle.difference(&fresh).copied().collect();
            prop_assert!(cold.is_subset(&went) || went.is_subset(&cold));
            oracle = all.difference(&went).copied().collect();
        }
        let mut words = [0u64; WORDS];
        held.take(&mut words, None);
        prop_assert_eq!(pages(&words), oracle);
        prop_assert!(held.is_empty());
    }
}
