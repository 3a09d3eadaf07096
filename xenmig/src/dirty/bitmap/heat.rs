//! Which pages a guest dirties again and again, and where they lie.

use serde::Serialize;

use super::Bitmap;
use crate::units::{Pages, Pfn};

/// Pages of one cell of the map that [`Heat`] is drawn on: 2 MiB, a superpage on x86.
const CELL: u64 = 512;

/// What several windows' bitmaps have in common.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Heat {
    /// Bitmaps looked at.
    pub windows: usize,
    /// Pages dirtied in at least one window.
    pub in_some: Pages,
    /// Pages dirtied in every window: the part of the working set that is sent in every round.
    pub in_all: Pages,
    /// The hottest ranges, hottest first.
    pub ranges: Vec<HotRange>,
}

/// Adjacent 2 MiB cells in which pages were dirtied.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct HotRange {
    /// First pfn; a multiple of 512.
    pub first: Pfn,
    /// Length, cut off at the end of the guest.
    pub pages: Pages,
    /// Pages dirtied in it, summed over the windows.
    pub dirtied: Pages,
}

impl HotRange {
    /// The share of its pages that a window dirties, averaged over `windows`, 0 to 1.
    #[must_use]
    pub fn density(&self, windows: usize) -> f64 {
        self.dirtied.0 as f64 / (self.pages.0.max(1) as f64 * windows.max(1) as f64)
    }
}

impl Heat {
    /// Compares `bitmaps` and keeps the `most` hottest ranges. `None` when there is no bitmap.
    ///
    /// # Panics
    /// When the bitmaps differ in length.
    #[must_use]
    pub fn of(bitmaps: &[Bitmap], most: usize) -> Option<Self> {
        let (first, others) = bitmaps.split_first()?;
        let (mut some, mut all) = (first.clone(), first.clone());
        for other in others {
            some.union_with(other);
            all.intersect_with(other);
        }
        let mut ranges = ranges(bitmaps, first.len());
        // Hottest is densest: a wide range with as many dirty pages is the colder one.
        let density = |range: &HotRange| range.density(bitmaps.len());
        ranges.sort_by(|a, b| density(b).total_cmp(&density(a)).then(a.first.cmp(&b.first)));
        ranges.truncate(most);
        Some(Self { windows: bitmaps.len(), in_some: some.count(), in_all: all.count(), ranges })
    }
}

/// All ranges of cells that hold a dirtied page, ascending. Neighbours are joined when one is
/// dirtied no more than twice as densely as the other.
fn ranges(bitmaps: &[Bitmap], len: Pages) -> Vec<HotRange> {
    let mut cells = vec![0u64; len.0.div_ceil(CELL) as usize];
    for bitmap in bitmaps {
        bitmap.for_each_run(|run| {
            let mut at = run.start;
            while at < run.end {
                let end = run.end.min((at / CELL + 1) * CELL);
                cells[(at / CELL) as usize] += end - at;
                at = end;
            }
        });
    }
    let mut ranges: Vec<HotRange> = Vec::new();
    let mut last_count = 0;
    for (cell, count) in (0..).zip(cells).filter(|(_, count)| *count > 0) {
        let (first, pages) = (cell * CELL, CELL.min(len.0 - cell * CELL));
        let alike = count <= 2 * last_count && last_count <= 2 * count;
        last_count = count;
        match ranges.last_mut() {
            Some(range) if range.first.0 + range.pages.0 == first && alike => {
                range.pages.0 += pages;
                range.dirtied.0 += count;
            }
            _ => ranges.push(HotRange {
                first: Pfn(first),
                pages: Pages(pages),
                dirtied: Pages(count),
            }),
        }
    }
    ranges
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs as (first pfn, length).
    fn with(len: u64, runs: &[(u64, u64)]) -> Bitmap {
        let mut bitmap = Bitmap::new(Pages(len));
        runs.iter().for_each(|(first, n)| bitmap.set_run(*first..first + n));
        bitmap
    }

    #[test]
    fn tells_the_steady_working_set_from_what_is_dirtied_once() {
        let bitmaps = [with(10_000, &[(0, 100), (600, 100)]), with(10_000, &[(50, 50), (5000, 3)])];
        let heat = Heat::of(&bitmaps, 2).unwrap();
        assert_eq!((heat.in_some, heat.in_all), (Pages(203), Pages(50)));
        let hottest = &heat.ranges[0];
        assert_eq!(
            (hottest.first, hottest.pages, hottest.dirtied),
            (Pfn(0), Pages(1024), Pages(250))
        );
        assert_eq!(heat.ranges[1].first, Pfn(4608));
    }

    #[test]
    fn a_dense_cell_stands_out_of_its_sparse_neighbours() {
        let heat = Heat::of(&[with(4096, &[(0, 10), (512, 512), (1030, 10)])], 9).unwrap();
        assert_eq!(heat.ranges[0].first, Pfn(512));
        assert_eq!(heat.ranges[0].pages, Pages(512));
        assert_eq!(heat.ranges.len(), 3);
    }

    #[test]
    fn the_last_range_ends_with_the_guest() {
        let heat = Heat::of(&[with(1000, &[(990, 10)])], 1).unwrap();
        assert_eq!((heat.ranges[0].first, heat.ranges[0].pages), (Pfn(512), Pages(488)));
        assert_eq!(Heat::of(&[], 1), None);
    }
}
