//! One bit per pfn, as Xen keeps its dirty log: 64-bit words, lowest pfn in the lowest bit.
//!
//! A bitmap of a 1 TiB guest takes 32 MiB, so counting and scanning go word by word and skip what
//! is empty. Bits past the end may hold anything (a hypercall writes whole words): nothing here
//! looks at them.

mod heat;

use std::fmt;
use std::ops::Range;

pub use heat::{Heat, HotRange};

use crate::units::{Pages, Pfn};

/// Bits in a word.
const WORD: u64 = 64;
/// Words that are summed before their counters are folded.
const BLOCK: usize = 16 * LANES;
/// Words handled side by side: wide enough for any vector unit.
const LANES: usize = 8;

/// A set of pfns below a fixed length.
#[derive(Clone)]
pub struct Bitmap {
    words: Vec<u64>,
    len: u64,
}

impl Bitmap {
    /// An empty set for pfns below `len`.
    #[must_use]
    pub fn new(len: Pages) -> Self {
        Self { words: vec![0; words_for(len)], len: len.0 }
    }

    /// The set held in `words`, for pfns below `len`. `None` when the number of words is not what
    /// `len` needs.
    #[must_use]
    pub fn from_words(words: Vec<u64>, len: Pages) -> Option<Self> {
        (words.len() == words_for(len)).then_some(Self { words, len: len.0 })
    }

    /// The number of pfns it can hold.
    #[must_use]
    pub const fn len(&self) -> Pages {
        Pages(self.len)
    }

    /// No pfn is in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        let (whole, tail) = self.parts();
        tail == 0 && whole.iter().all(|word| *word == 0)
    }

    /// The words. Bits past the end may be set.
    #[must_use]
    pub fn words(&self) -> &[u64] {
        &self.words
    }

    /// The words, for a hypercall to write to. Bits past the end may be set; they are ignored.
    pub fn words_mut(&mut self) -> &mut [u64] {
        &mut self.words
    }

    /// Empties the set.
    pub fn clear(&mut self) {
        self.words.fill(0);
    }

    /// Is `pfn` in the set? Never for one past the end.
    #[must_use]
    pub fn get(&self, pfn: Pfn) -> bool {
        pfn.0 < self.len && self.words[(pfn.0 / WORD) as usize] >> (pfn.0 % WORD) & 1 == 1
    }

    /// Puts `pfn` into the set.
    ///
    /// # Panics
    /// When `pfn` is past the end.
    pub fn set(&mut self, pfn: Pfn) {
        assert!(pfn.0 < self.len, "pfn {} in a bitmap of {} pages", pfn.0, self.len);
        self.words[(pfn.0 / WORD) as usize] |= 1 << (pfn.0 % WORD);
    }

    /// Puts a run of pfns into the set.
    ///
    /// # Panics
    /// When the run ends past the end of the bitmap.
    pub fn set_run(&mut self, run: Range<u64>) {
        assert!(run.end <= self.len, "run up to {} in a bitmap of {} pages", run.end, self.len);
        if run.is_empty() {
            return;
        }
        let (first, last) = ((run.start / WORD) as usize, ((run.end - 1) / WORD) as usize);
        let (head, tail) = (!0 << (run.start % WORD), low_bits((run.end - 1) % WORD + 1));
        if first == last {
            self.words[first] |= head & tail;
        } else {
            self.words[first] |= head;
            self.words[first + 1..last].fill(!0);
            self.words[last] |= tail;
        }
    }

    /// How many pfns are in the set.
    #[must_use]
    pub fn count(&self) -> Pages {
        let (whole, tail) = self.parts();
        Pages(count_words(whole) + u64::from(tail.count_ones()))
    }

    /// How many pfns of `range` are in the set. What is past the end is not.
    #[must_use]
    pub fn count_in(&self, range: Range<Pfn>) -> Pages {
        let (start, end) = (range.start.0, range.end.0.min(self.len));
        if start >= end {
            return Pages(0);
        }
        let (first, last) = ((start / WORD) as usize, ((end - 1) / WORD) as usize);
        let (head, tail) = (!0 << (start % WORD), low_bits((end - 1) % WORD + 1));
        if first == last {
            return Pages(u64::from((self.words[first] & head & tail).count_ones()));
        }
        let ends = (self.words[first] & head).count_ones() + (self.words[last] & tail).count_ones();
        Pages(count_words(&self.words[first + 1..last]) + u64::from(ends))
    }

    /// Adds all of `other`'s pfns to this set.
    ///
    /// # Panics
    /// When the two differ in length.
    pub fn union_with(&mut self, other: &Self) {
        assert_eq!(self.len, other.len, "union of bitmaps of two guests");
        for (mine, theirs) in self.words.iter_mut().zip(&other.words) {
            *mine |= theirs;
        }
    }

    /// Keeps only the pfns that `other` has too.
    ///
    /// # Panics
    /// When the two differ in length.
    pub fn intersect_with(&mut self, other: &Self) {
        assert_eq!(self.len, other.len, "intersection of bitmaps of two guests");
        for (mine, theirs) in self.words.iter_mut().zip(&other.words) {
            *mine &= theirs;
        }
    }

    /// Calls `each` with every run of consecutive pfns in the set, as long as it can be, in
    /// ascending order. Gives how many pfns are in the set, which costs nothing besides.
    pub fn for_each_run(&self, mut each: impl FnMut(Range<u64>)) -> Pages {
        let (whole, tail) = self.parts();
        let (blocks, rest) = whole.as_chunks::<LANES>();
        let mut count = 0;
        let mut each = |run: Range<u64>| {
            count += run.end - run.start;
            each(run);
        };
        let mut scan = RunScan { base: 0, carry: 0, start: 0, each: &mut each };
        blocks.iter().for_each(|block| scan.block(block));
        let mut last = [0; LANES];
        last[..rest.len()].copy_from_slice(rest);
        last[rest.len()] = tail;
        scan.block(&last);
        Pages(count)
    }

    /// The runs that [`Bitmap::for_each_run`] finds.
    #[must_use]
    pub fn runs(&self) -> Vec<Range<u64>> {
        let mut runs = Vec::new();
        self.for_each_run(|run| runs.push(run));
        runs
    }

    /// The pfns in the set, ascending.
    pub fn iter(&self) -> impl Iterator<Item = Pfn> {
        let (whole, tail) = self.parts();
        whole.iter().copied().chain([tail]).enumerate().filter(|(_, word)| *word != 0).flat_map(
            |(i, word)| {
                let left = |word: &u64| (*word != 0).then_some(*word);
                std::iter::successors(left(&word), move |word| left(&(word & (word - 1))))
                    .map(move |word| Pfn(i as u64 * WORD + u64::from(word.trailing_zeros())))
            },
        )
    }

    /// The words all of whose bits count, and the last one without what is past the end (0 when
    /// the length is a multiple of 64).
    fn parts(&self) -> (&[u64], u64) {
        let whole = (self.len / WORD) as usize;
        let tail = self.words.get(whole).map_or(0, |word| word & low_bits(self.len % WORD));
        (&self.words[..whole], tail)
    }
}

impl PartialEq for Bitmap {
    fn eq(&self, other: &Self) -> bool {
        self.len == other.len && self.parts() == other.parts()
    }
}

impl Eq for Bitmap {}

impl fmt::Debug for Bitmap {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Bitmap({} of {} pages)", self.count().0, self.len)
    }
}

/// A scan for runs. The last block it is given must end with a bit that is clear.
struct RunScan<'a, F> {
    /// First pfn of the block to come.
    base: u64,
    /// 1 when the last pfn of the block before is in the set, and so its run still open.
    carry: u64,
    /// Where the run began that is or was last open.
    start: u64,
    each: &'a mut F,
}

impl<F: FnMut(Range<u64>)> RunScan<'_, F> {
    /// Looks for edges: bits that differ from the one before. A run lies between two of them. Most
    /// blocks of a real bitmap are empty; in the others, going by a mask of the words that have
    /// edges mispredicts fewer branches than looking at each word.
    #[inline]
    fn block(&mut self, block: &[u64; LANES]) {
        let base = self.base;
        self.base += LANES as u64 * WORD;
        if block.iter().fold(self.carry, |any, word| any | word) == 0 {
            return;
        }
        let mut open = self.carry != 0;
        let (mut edges, mut with_edges) = ([0; LANES], 0u32);
        for (i, word) in block.iter().enumerate() {
            edges[i] = word ^ (word << 1 | self.carry);
            with_edges |= u32::from(edges[i] != 0) << i;
            self.carry = word >> (WORD - 1);
        }
        while with_edges != 0 {
            let i = with_edges.trailing_zeros();
            with_edges &= with_edges - 1;
            let mut edges = edges[i as usize];
            while edges != 0 {
                let at = base + u64::from(i) * WORD + u64::from(edges.trailing_zeros());
                edges &= edges - 1;
                if open {
                    (self.each)(self.start..at);
                } else {
                    self.start = at;
                }
                open = !open;
            }
        }
    }
}

fn words_for(len: Pages) -> usize {
    usize::try_from(len.0.div_ceil(WORD)).expect("a bitmap fits into the address space")
}

/// A word whose lowest `n` bits are set, for `n` up to 64.
const fn low_bits(n: u64) -> u64 {
    if n == WORD { !0 } else { (1 << n) - 1 }
}

/// Ones in `words`, by carry-save addition (Harley and Seal; Muła, Kurz, Lemire, "Faster
/// population counts using AVX2 instructions", 2016): 16 words cost one real count. Written on
/// lanes, so that the compiler makes vector code of it even where the target has no `popcnt`.
fn count_words(words: &[u64]) -> u64 {
    type Lanes = [u64; LANES];
    /// Sum and carry of three one-bit numbers in every bit of every lane.
    #[inline(always)]
    fn add(a: Lanes, b: Lanes, c: Lanes) -> (Lanes, Lanes) {
        let (mut sum, mut carry) = ([0; LANES], [0; LANES]);
        for i in 0..LANES {
            let half = a[i] ^ b[i];
            sum[i] = half ^ c[i];
            carry[i] = (a[i] & b[i]) | (half & c[i]);
        }
        (sum, carry)
    }
    /// Adds two rows to `ones` and gives their carry.
    #[inline(always)]
    fn rows(ones: &mut Lanes, block: &[u64], row: usize) -> Lanes {
        let lanes = |row: usize| {
            let mut lanes = [0; LANES];
            lanes.copy_from_slice(&block[row * LANES..(row + 1) * LANES]);
            lanes
        };
        let (sum, carry) = add(*ones, lanes(row), lanes(row + 1));
        *ones = sum;
        carry
    }
    #[inline(always)]
    fn fold(acc: &mut Lanes, a: Lanes, b: Lanes) -> Lanes {
        let (sum, carry) = add(*acc, a, b);
        *acc = sum;
        carry
    }
    let ones_in =
        |lanes: &Lanes| lanes.iter().map(|word| u64::from(word.count_ones())).sum::<u64>();

    let (mut ones, mut twos, mut fours, mut eights) =
        ([0; LANES], [0; LANES], [0; LANES], [0; LANES]);
    let mut sixteens = 0;
    let blocks = words.chunks_exact(BLOCK);
    let rest = blocks.remainder();
    for block in blocks {
        let mut eight = [[0; LANES]; 2];
        for (half, eight) in eight.iter_mut().enumerate() {
            let mut four = [[0; LANES]; 2];
            for (quarter, four) in four.iter_mut().enumerate() {
                let row = half * 8 + quarter * 4;
                let (a, b) = (rows(&mut ones, block, row), rows(&mut ones, block, row + 2));
                *four = fold(&mut twos, a, b);
            }
            *eight = fold(&mut fours, four[0], four[1]);
        }
        sixteens += ones_in(&fold(&mut eights, eight[0], eight[1]));
    }
    let rest: u64 = rest.iter().map(|word| u64::from(word.count_ones())).sum();
    16 * sixteens
        + 8 * ones_in(&eights)
        + 4 * ones_in(&fours)
        + 2 * ones_in(&twos)
        + ones_in(&ones)
        + rest
}
