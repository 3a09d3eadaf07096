//! Memory whose content can be checked.
//!
//! Every page carries its index, the sequence number of its last write and a
//! hash of both, repeated over the page. A table elsewhere in memory holds the
//! sequence number each page should have, and a third place the sum of all
//! hashes. A migration that loses recently written pages brings back some of
//! these three from different moments: a lost data page is older than the
//! table says, a lost table page is older than the data, a lost sum fits
//! neither.

/// Words of a page that carry content: one in each 512 bytes.
const STRIDE: usize = 64;

#[derive(Clone)]
#[repr(align(4096))]
struct Page([u64; 512]);

/// A set of pages and what is known of them.
pub struct Content {
    pages: Vec<Page>,
    expected: Vec<u64>,
    sum: Box<Page>,
    writes: u64,
}

/// The first place found where memory is not what was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Corruption {
    /// A page holds a word of another write than the table says.
    Page {
        /// Index of the page in the set.
        index: usize,
        /// Sequence number the table expects.
        expected: u64,
        /// Sequence number found in the page.
        found: u64,
    },
    /// All pages fit the table, and both do not fit the sum of all writes.
    Sum,
}

impl std::fmt::Display for Corruption {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Page { index, expected, found } => {
                write!(f, "page {index}: sequence {expected} expected, {found} found")
            }
            Self::Sum => write!(f, "pages and table do not fit the sum of all writes"),
        }
    }
}

/// SplitMix64's finaliser: every bit of the input changes half of the output.
pub(super) fn mix(mut x: u64) -> u64 {
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

fn hash(index: usize, sequence: u64) -> u64 {
    mix(mix(index as u64 + 1).wrapping_add(sequence))
}

impl Content {
    /// `count` pages, all written once.
    pub fn new(count: usize) -> Self {
        let mut content = Self {
            pages: vec![Page([0; 512]); count],
            expected: vec![0; count],
            sum: Box::new(Page([0; 512])),
            writes: 0,
        };
        for index in 0..count {
            content.sum.0[0] = content.sum.0[0].wrapping_add(hash(index, 0));
            content.write(index);
        }
        content.writes = 0;
        content
    }

    /// Number of pages.
    pub fn len(&self) -> usize {
        self.pages.len()
    }

    /// Whether there are no pages.
    pub fn is_empty(&self) -> bool {
        self.pages.is_empty()
    }

    /// Page writes since [`Content::new`].
    pub fn writes(&self) -> u64 {
        self.writes
    }

    /// Writes page `index` anew.
    ///
    /// # Panics
    /// When there is no such page.
    #[inline]
    pub fn write(&mut self, index: usize) {
        let old = self.expected[index];
        let new = old + 1;
        let tag = hash(index, new);
        let page = &mut self.pages[index].0;
        page[0] = new;
        for word in page.iter_mut().skip(1).step_by(STRIDE) {
            *word = tag;
        }
        self.expected[index] = new;
        self.sum.0[0] = self.sum.0[0].wrapping_sub(hash(index, old)).wrapping_add(tag);
        self.writes += 1;
    }

    /// Reads everything back.
    ///
    /// # Errors
    /// The first [`Corruption`] found.
    pub fn verify(&self) -> Result<(), Corruption> {
        let mut sum = 0u64;
        for (index, (page, &expected)) in self.pages.iter().zip(&self.expected).enumerate() {
            let tag = hash(index, expected);
            let found = page.0[0];
            if found != expected || page.0.iter().skip(1).step_by(STRIDE).any(|&w| w != tag) {
                return Err(Corruption::Page { index, expected, found });
            }
            sum = sum.wrapping_add(tag);
        }
        if sum == self.sum.0[0] { Ok(()) } else { Err(Corruption::Sum) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written() -> Content {
        let mut content = Content::new(100);
        for i in 0..1000 {
            content.write(i * 7 % 60);
        }
        content
    }

    #[test]
    fn what_was_written_verifies() {
        let content = written();
        assert_eq!(content.verify(), Ok(()));
        assert_eq!(content.writes(), 1000);
        assert_eq!(Content::new(0).verify(), Ok(()));
    }

    #[test]
    fn a_lost_data_page_is_seen() {
        let mut content = written();
        let old = content.pages[5].clone();
        content.write(5);
        content.pages[5] = old;
        assert!(matches!(content.verify(), Err(Corruption::Page { index: 5, expected, found })
            if expected == found + 1));
    }

    #[test]
    fn a_lost_table_page_is_seen() {
        let mut content = written();
        let old = content.expected.clone();
        content.write(9);
        content.expected = old;
        assert!(matches!(content.verify(), Err(Corruption::Page { index: 9, .. })));
    }

    #[test]
    fn data_and_table_lost_together_are_seen_by_the_sum() {
        let mut content = written();
        let (pages, table) = (content.pages.clone(), content.expected.clone());
        content.write(3);
        (content.pages, content.expected) = (pages, table);
        assert_eq!(content.verify(), Err(Corruption::Sum));
    }

    #[test]
    fn a_zeroed_or_foreign_page_is_seen() {
        let mut content = written();
        content.pages[40] = Page([0; 512]);
        assert!(content.verify().is_err());
        content = written();
        content.pages[41] = content.pages[40].clone();
        assert!(content.verify().is_err());
    }
}
