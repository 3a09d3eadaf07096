//! Dirty pages that are held back from a round, to be sent in a later one.
//!
//! What is held back must not get lost: every set that is taken out of the dirty log goes through
//! [`HeldBack::take`], and with no limit that gives all there is.

/// A set of pfns, in words as Xen's bitmaps: lowest pfn in the lowest bit of the first word.
#[derive(Debug, Clone, Default)]
pub struct HeldBack {
    words: Vec<u64>,
    /// Word that the next part begins with, so that all pages get their turn.
    next: usize,
}

impl HeldBack {
    /// Nothing, for bitmaps of `words` words.
    #[must_use]
    pub fn new(words: usize) -> Self {
        Self { words: vec![0; words], next: 0 }
    }

    /// Nothing is held back.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.words.iter().all(|word| *word == 0)
    }

    /// Pages that are held back.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.words.iter().map(|word| u64::from(word.count_ones())).sum()
    }

    /// Pages that are held back or in `fresh`.
    #[must_use]
    pub fn with(&self, fresh: &[u64]) -> u64 {
        let held = self.words.iter().copied().chain(std::iter::repeat(0));
        fresh.iter().zip(held).map(|(fresh, held)| u64::from((fresh | held).count_ones())).sum()
    }

    /// `fresh` is what was dirtied since the log was cleaned before; it becomes what is sent now:
    /// all that is dirty, or at most `limit` pages of it. Those that were not dirtied again since
    /// they were held back go first, beginning where the last part ended. What is not sent is held
    /// back. Gives the number of pages to send.
    ///
    /// # Panics
    /// When `fresh` is not as long as the bitmaps this was made for.
    pub fn take(&mut self, fresh: &mut [u64], limit: Option<u64>) -> u64 {
        assert_eq!(fresh.len(), self.words.len(), "one bitmap is longer than the other");
        let Some(limit) = limit else {
            return self.words.iter_mut().zip(fresh).fold(0, |sum, (held, fresh)| {
                *fresh |= std::mem::take(held);
                sum + u64::from(fresh.count_ones())
            });
        };
        let mut left = limit;
        let begin = self.next;
        for at in (begin..fresh.len()).chain(0..begin) {
            let cold = self.words[at] & !fresh[at];
            let sent = lowest(cold, left);
            if sent != 0 {
                left -= u64::from(sent.count_ones());
                self.next = at;
            }
            // What is fresh is held back for now.
            self.words[at] = (self.words[at] | fresh[at]) & !sent;
            fresh[at] = sent;
        }
        // No cold pages are left: hot ones fill up the part.
        for (held, sent) in self.words.iter_mut().zip(fresh) {
            if left == 0 {
                break;
            }
            let more = lowest(*held, left);
            left -= u64::from(more.count_ones());
            *held &= !more;
            *sent |= more;
        }
        limit - left
    }
}

/// The lowest `most` bits that are set in `word`.
fn lowest(word: u64, most: u64) -> u64 {
    if u64::from(word.count_ones()) <= most {
        return word;
    }
    let (mut rest, mut taken) = (word, 0);
    for _ in 0..most {
        let bit = rest & rest.wrapping_neg();
        taken |= bit;
        rest &= !bit;
    }
    taken
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_that_were_not_written_again_go_first() {
        let mut held = HeldBack::new(2);
        let mut fresh = [0b1111, 0b1];
        assert_eq!(held.take(&mut fresh, Some(2)), 2);
        assert_eq!(fresh, [0b0011, 0]);
        // Pages 2, 3 and 64 are held back; 2 is written again, and 5 is new.
        let mut fresh = [0b10_0100, 0];
        assert_eq!(held.with(&fresh), 4);
        assert_eq!(held.take(&mut fresh, Some(2)), 2);
        assert_eq!(fresh, [0b1000, 1]);
        let mut fresh = [0, 0];
        assert_eq!(held.take(&mut fresh, None), 2);
        assert_eq!((fresh, held.is_empty()), ([0b10_0100, 0], true));
    }

    #[test]
    fn a_part_that_cold_pages_do_not_fill_has_hot_ones_too() {
        let mut held = HeldBack::new(1);
        assert_eq!(held.take(&mut [0b1], Some(0)), 0);
        let mut fresh = [0b1110];
        assert_eq!(held.take(&mut fresh, Some(3)), 3);
        assert_eq!(fresh, [0b0111]);
        assert_eq!(held.take(&mut [0], Some(9)), 1);
    }
}
