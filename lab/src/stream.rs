//! Reads the memory part of a save stream as it passes by, to learn from the wire itself what a
//! migration sent and when: its rounds, their pages, and the moments between.
//!
//! Nothing in the stream marks a round. But the save walks each round's pfns upwards and flushes
//! its batch at the end of a round, so a batch that is not full, or whose first pfn is not above
//! the one before, ends a round (xg_sr_save.c, `send_dirty_pages`; layout from
//! docs/specs/libxc-migration-stream.pandoc).

use std::fmt;
use std::str::FromStr;

/// pfns in a full batch (`MAX_BATCH_SIZE`).
const FULL_BATCH: u32 = 1024;
const PAGE: u64 = 4096;
/// The image header: eight bytes of ones, then this.
const IMAGE_ID: &[u8; 4] = b"XENF";
const IMAGE_HEADER: usize = 24;
const DOMAIN_HEADER: usize = 16;
const RECORD_HEADER: usize = 8;
const RECORD_END: u32 = 0;
const RECORD_PAGE_DATA: u32 = 1;
/// The first bytes of a page record: count, reserved, first pfn.
const PAGE_DATA_START: usize = 16;
/// The upper bits of a pfn in the stream hold its type.
const PFN_BITS: u64 = (1 << 52) - 1;

/// One round of memory, as it crossed the wire. Times are seconds on the observer's clock.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct WireRound {
    /// Pages with content.
    pub pages: u64,
    /// pfns without content.
    pub holes: u64,
    /// Bytes of the page records, headers included.
    pub bytes: u64,
    /// When its first record's header came.
    pub begin_s: f64,
    /// When its last byte came.
    pub end_s: f64,
}

/// What crossed the wire.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct WireLog {
    /// When the save's own header came; `None` before.
    pub start_s: Option<f64>,
    /// The rounds, the last one being the copy of the suspended guest.
    pub rounds: Vec<WireRound>,
    /// When the save's end record came; `None` before.
    pub end_s: Option<f64>,
    /// All bytes of the stream, tool stack's records included.
    pub bytes: u64,
}

impl fmt::Display for WireLog {
    /// A line each: `start S`, `round PAGES HOLES BYTES BEGIN_S END_S`, `end S`, `bytes N`.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(start) = self.start_s {
            writeln!(out, "start {start:.9}")?;
        }
        for WireRound { pages, holes, bytes, begin_s, end_s } in &self.rounds {
            writeln!(out, "round {pages} {holes} {bytes} {begin_s:.9} {end_s:.9}")?;
        }
        if let Some(end) = self.end_s {
            writeln!(out, "end {end:.9}")?;
        }
        writeln!(out, "bytes {}", self.bytes)
    }
}

impl FromStr for WireLog {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut log = Self::default();
        for line in text.lines() {
            log.read_line(line).ok_or_else(|| format!("`{line}` is no line of a wire log"))?;
        }
        Ok(log)
    }
}

impl WireLog {
    fn read_line(&mut self, line: &str) -> Option<()> {
        let words: Vec<_> = line.split_ascii_whitespace().collect();
        match words[..] {
            ["start", at] => self.start_s = Some(at.parse().ok()?),
            ["end", at] => self.end_s = Some(at.parse().ok()?),
            ["bytes", bytes] => self.bytes = bytes.parse().ok()?,
            ["round", pages, holes, bytes, begin, end] => self.rounds.push(WireRound {
                pages: pages.parse().ok()?,
                holes: holes.parse().ok()?,
                bytes: bytes.parse().ok()?,
                begin_s: begin.parse().ok()?,
                end_s: end.parse().ok()?,
            }),
            _ => return None,
        }
        Some(())
    }
}

#[derive(Debug)]
enum State {
    /// Looking for the image header among the tool stack's own records.
    Before,
    Record,
    PageData {
        length: u64,
    },
    Skip {
        left: u64,
        page_data: bool,
    },
    After,
}

/// The observer: fed with the stream in pieces of any size.
#[derive(Debug)]
pub struct StreamReader {
    log: WireLog,
    state: State,
    pending: Vec<u8>,
    last_batch: Option<(u32, u64)>,
}

impl Default for StreamReader {
    fn default() -> Self {
        Self {
            log: WireLog::default(),
            state: State::Before,
            pending: Vec::new(),
            last_batch: None,
        }
    }
}

impl StreamReader {
    /// What was seen so far.
    #[must_use]
    pub const fn log(&self) -> &WireLog {
        &self.log
    }

    /// Takes the next piece, which came at `now_s`.
    pub fn feed(&mut self, mut piece: &[u8], now_s: f64) {
        self.log.bytes += piece.len() as u64;
        while !piece.is_empty() {
            piece = match self.state {
                State::After => return,
                State::Skip { left, page_data } => self.skip(piece, left, page_data, now_s),
                State::Before => self.find_start(piece, now_s),
                State::Record => self.gather(piece, RECORD_HEADER, now_s, Self::record),
                State::PageData { .. } => {
                    self.gather(piece, PAGE_DATA_START, now_s, Self::page_data)
                }
            };
        }
    }

    /// Collects `wanted` bytes, then hands them to `then`.
    fn gather<'p>(
        &mut self,
        piece: &'p [u8],
        wanted: usize,
        now_s: f64,
        then: fn(&mut Self, &[u8], f64),
    ) -> &'p [u8] {
        let take = piece.len().min(wanted - self.pending.len());
        self.pending.extend_from_slice(&piece[..take]);
        if self.pending.len() == wanted {
            let whole = std::mem::take(&mut self.pending);
            then(self, &whole, now_s);
        }
        &piece[take..]
    }

    fn find_start<'p>(&mut self, piece: &'p [u8], now_s: f64) -> &'p [u8] {
        // Little precedes the header: what is kept stays small.
        self.pending.extend_from_slice(piece);
        let header = self.pending.windows(12).position(|window| {
            window[..8].iter().all(|byte| *byte == 0xff) && &window[8..] == IMAGE_ID
        });
        let Some(at) = header else { return &[] };
        let end = at + IMAGE_HEADER + DOMAIN_HEADER;
        if self.pending.len() < end {
            return &[];
        }
        self.log.start_s = Some(now_s);
        self.state = State::Record;
        let rest = self.pending.len() - end;
        self.pending.clear();
        &piece[piece.len() - rest..]
    }

    fn record(&mut self, header: &[u8], now_s: f64) {
        let kind = u32_at(header, 0);
        let length = u64::from(u32_at(header, 4)).next_multiple_of(8);
        self.state = match kind {
            RECORD_END => {
                self.log.end_s = Some(now_s);
                State::After
            }
            RECORD_PAGE_DATA if length >= PAGE_DATA_START as u64 => State::PageData { length },
            _ if length == 0 => State::Record,
            _ => State::Skip { left: length, page_data: false },
        };
    }

    fn page_data(&mut self, start: &[u8], now_s: f64) {
        let State::PageData { length } = self.state else { return };
        let count = u32_at(start, 0);
        let first = u64_at(start, 8) & PFN_BITS;
        let new_round =
            self.last_batch.is_none_or(|(batch, before)| batch < FULL_BATCH || first <= before);
        if new_round {
            self.log.rounds.push(WireRound { begin_s: now_s, ..WireRound::default() });
        }
        self.last_batch = Some((count, first));
        if let Some(round) = self.log.rounds.last_mut() {
            let pages = length.saturating_sub(8 + 8 * u64::from(count)) / PAGE;
            round.pages += pages;
            round.holes += u64::from(count).saturating_sub(pages);
            round.bytes += RECORD_HEADER as u64 + length;
            round.end_s = now_s;
        }
        let left = length - PAGE_DATA_START as u64;
        self.state = if left == 0 { State::Record } else { State::Skip { left, page_data: true } };
    }

    fn skip<'p>(&mut self, piece: &'p [u8], left: u64, page_data: bool, now_s: f64) -> &'p [u8] {
        let take = (piece.len() as u64).min(left);
        if take == left {
            self.state = State::Record;
            if let Some(round) = self.log.rounds.last_mut().filter(|_| page_data) {
                round.end_s = now_s;
            }
        } else {
            self.state = State::Skip { left: left - take, page_data };
        }
        &piece[usize::try_from(take).unwrap_or(piece.len())..]
    }
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    bytes[at..at + 4].try_into().map_or(0, u32::from_le_bytes)
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    bytes[at..at + 8].try_into().map_or(0, u64::from_le_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(kind: u32, body: &[u8]) -> Vec<u8> {
        let mut all = kind.to_le_bytes().to_vec();
        all.extend((body.len() as u32).to_le_bytes());
        all.extend(body);
        all.resize(all.len().next_multiple_of(8), 0);
        all
    }

    /// A page record of `pages` pfns from `first` on, then `holes` without content.
    fn batch(first: u64, pages: u64, holes: u64) -> Vec<u8> {
        let mut body = ((pages + holes) as u32).to_le_bytes().to_vec();
        body.extend([0; 4]);
        for pfn in first..first + pages {
            body.extend(pfn.to_le_bytes());
        }
        for pfn in 0..holes {
            body.extend((0xf << 60 | (first + pages + pfn)).to_le_bytes());
        }
        body.resize(body.len() + (pages * PAGE) as usize, 0xff);
        record(RECORD_PAGE_DATA, &body)
    }

    fn stream() -> Vec<u8> {
        let mut all = b"Xen saved domain, xl format\n with its configuration".to_vec();
        all.extend([0xff; 8]);
        all.extend(IMAGE_ID);
        all.extend([0; IMAGE_HEADER - 12 + DOMAIN_HEADER]);
        all.extend(record(0x10, &[1, 2, 3]));
        all.extend(batch(0, 1000, 24));
        all.extend(batch(1024, 10, 5));
        all.extend(batch(7, 3, 0));
        all.extend(batch(9, 2, 0));
        all.extend(record(5, &[0; 20]));
        all.extend(record(RECORD_END, &[]));
        all.extend(b"what the tool stack sends after");
        all
    }

    #[test]
    fn rounds_are_told_apart_whatever_the_pieces() {
        let stream = stream();
        for size in [1, 7, 4096, 65536, stream.len()] {
            let mut reader = StreamReader::default();
            for (nth, piece) in stream.chunks(size).enumerate() {
                reader.feed(piece, nth as f64);
            }
            let log = reader.log();
            let rounds: Vec<_> = log.rounds.iter().map(|r| (r.pages, r.holes)).collect();
            assert_eq!(rounds, [(1010, 29), (3, 0), (2, 0)], "pieces of {size}");
            assert_eq!(log.rounds[1].bytes, 8 + 8 + 3 * (8 + PAGE));
            assert!(log.start_s.is_some() && log.end_s.is_some());
            assert_eq!(log.bytes, stream.len() as u64);
            assert_eq!(&log.to_string().parse::<WireLog>().unwrap(), log);
        }
    }

    #[test]
    fn a_stream_without_memory_has_no_rounds() {
        let mut reader = StreamReader::default();
        reader.feed(&[0; 10_000], 1.0);
        assert_eq!(reader.log().rounds.len(), 0);
        assert_eq!(reader.log().start_s, None);
    }
}
