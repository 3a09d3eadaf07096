//! Finished migrations, one JSON line each, oldest first: `<state_dir>/outcomes.jsonl`.

use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Read, Write};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};
use serde::{Deserialize, Serialize};

use crate::error::{Error, Kind, Result};

/// Name of the file in the state directory.
pub const FILE: &str = "outcomes.jsonl";

/// Records that are kept unless told otherwise: years for most hosts, at about 1 KiB each.
pub const KEEP: usize = 1000;

/// The `schema` of a record. The only value it can have, so that a record of another version is
/// not read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Schema {
    /// This version's.
    #[default]
    #[serde(rename = "xenmig.outcome/1")]
    V1,
}

/// What one finished migration really cost.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OutcomeRecord {
    /// What follows.
    pub schema: Schema,
    /// When it ended, in seconds since 1970.
    pub at_unix_s: u64,
    /// The guest's name.
    pub domain: String,
    /// The guest's identity.
    pub uuid: String,
    /// The host it went to, as the user named it.
    pub target: String,
    /// Pages the guest really had.
    pub populated_pages: u64,
    /// One above its highest pfn.
    pub p2m_pages: u64,
    /// How much of a CPU the sender could have, by a sample taken before, 0 to 1; `None` is not
    /// known.
    #[serde(default)]
    pub sender_share: Option<f64>,
    /// What had been predicted; `None` where nothing was.
    #[serde(default)]
    pub predicted: Option<Predicted>,
    /// Whether each limit of the budget was kept; `None` where one could not be judged.
    #[serde(default)]
    pub kept: Option<bool>,
    /// Start of the save to its first page, in seconds.
    pub start_s: f64,
    /// The sends while the guest ran, in order; the first sent everything.
    pub rounds: Vec<SentRound>,
    /// Asking the guest to suspend until it was, in seconds.
    pub suspend_request_s: f64,
    /// Pages of the last set beyond those that were dirty when the guest was asked to suspend;
    /// `None` where that was not counted.
    #[serde(default)]
    pub suspend_pages: Option<u64>,
    /// The send while it was suspended; `None` when nothing was left.
    pub last: Option<SentRound>,
    /// All of the downtime but that send, in seconds.
    pub finish_s: f64,
    /// Start of the save to the guest running at the target, in seconds.
    pub total_s: f64,
    /// Guest suspended to guest running at the target, in seconds.
    pub downtime_s: f64,
}

/// What had been predicted of a migration, in seconds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Predicted {
    /// Start of the save to the guest running at the target.
    pub total_s: f64,
    /// Guest suspended to guest running at the target.
    pub downtime_s: f64,
}

/// One send, as it was.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct SentRound {
    /// Pages sent with their contents.
    pub pages: u64,
    /// Pfns without a page.
    pub holes: u64,
    /// Bytes on the wire, headers included.
    pub bytes: u64,
    /// How long it took, in seconds.
    pub s: f64,
}

/// What a store holds.
#[derive(Debug, Default)]
pub struct Outcomes {
    /// Readable records, oldest first.
    pub records: Vec<OutcomeRecord>,
    /// Lines that could not be read.
    pub skipped: Vec<Skipped>,
}

/// A line that could not be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Skipped {
    /// Its number, from 1.
    pub line: usize,
    /// Why.
    pub why: String,
    /// It is the last line and has no end: whoever wrote it was killed meanwhile.
    pub truncated: bool,
}

/// The store in one state directory.
#[derive(Debug, Clone)]
pub struct OutcomeStore {
    path: PathBuf,
    keep: usize,
}

impl OutcomeStore {
    /// The store in `state_dir`, which keeps the newest [`KEEP`] records. Touches nothing yet.
    #[must_use]
    pub fn new(state_dir: &Path) -> Self {
        Self { path: state_dir.join(FILE), keep: KEEP }
    }

    /// The same store, which keeps the newest `keep` records.
    #[must_use]
    pub fn keeping(mut self, keep: usize) -> Self {
        self.keep = keep;
        self
    }

    /// The file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Reads all records. No file is an empty store. Lines that cannot be read are skipped, and
    /// told of.
    ///
    /// # Errors
    /// [`Kind::Permission`] or [`Kind::Io`] when the file cannot be read.
    pub fn read(&self) -> Result<Outcomes> {
        let bytes = match std::fs::read(&self.path) {
            Ok(bytes) => bytes,
            Err(cause) if cause.kind() == ErrorKind::NotFound => return Ok(Outcomes::default()),
            Err(cause) => return Err(Error::file(&self.path, "read", cause)),
        };
        let mut outcomes = Outcomes::default();
        for (i, line) in lines(&bytes).enumerate() {
            match serde_json::from_slice(line) {
                Ok(record) => outcomes.records.push(record),
                Err(error) => outcomes.skipped.push(Skipped {
                    line: i + 1,
                    why: error.to_string(),
                    truncated: !line.ends_with(b"\n"),
                }),
            }
        }
        Ok(outcomes)
    }

    /// Adds `record` and has it on the disk when this returns. Makes the state directory if need
    /// be. Other processes may append at the same time.
    ///
    /// # Errors
    /// [`Kind::Data`] when a number in `record` is not finite; [`Kind::Permission`] or
    /// [`Kind::Io`] when the file cannot be written.
    pub fn append(&self, record: &OutcomeRecord) -> Result<()> {
        record.check()?;
        let mut line = serde_json::to_vec(record).map_err(|e| {
            Error::new(Kind::Internal, "cannot write an outcome as JSON").because(e)
        })?;
        line.push(b'\n');
        self.append_line(line).map_err(|cause| Error::file(&self.path, "append to", cause))
    }

    fn append_line(&self, mut line: Vec<u8>) -> std::io::Result<()> {
        if let Some(dir) = self.path.parent() {
            std::fs::create_dir_all(dir)?;
        }
        // A lock file of its own: the other one may be replaced while somebody waits for it.
        let lock = File::create(self.path.with_extension("lock"))?;
        flock(&lock, FlockOperation::LockExclusive)?;
        let mut file = OpenOptions::new().read(true).append(true).create(true).open(&self.path)?;
        let mut before = Vec::new();
        file.read_to_end(&mut before)?;
        if before.last().is_some_and(|byte| *byte != b'\n') {
            // Keeps what a killed writer left apart from this record.
            line.insert(0, b'\n');
        }
        let count = lines(&before).count() + 1;
        if count <= self.keep {
            file.write_all(&line)?;
            return file.sync_all();
        }
        let kept = lines(&before).skip(count - self.keep.max(1));
        let mut newest: Vec<u8> = kept.flatten().copied().collect();
        newest.extend(line);
        let fresh = self.path.with_extension("new");
        let mut file = File::create(&fresh)?;
        file.write_all(&newest)?;
        file.sync_all()?;
        std::fs::rename(&fresh, &self.path)?;
        self.path.parent().map_or(Ok(()), |dir| File::open(dir)?.sync_all())
    }
}

impl OutcomeRecord {
    /// JSON has no infinities: written, they could not be read again.
    fn check(&self) -> Result<()> {
        let sends = self.rounds.iter().chain(&self.last).map(|round| round.s);
        let times =
            [self.start_s, self.suspend_request_s, self.finish_s, self.total_s, self.downtime_s];
        match times.into_iter().chain(sends).find(|s| !s.is_finite() || *s < 0.0) {
            Some(s) => {
                Err(Error::new(Kind::Data, format!("an outcome cannot have a time of {s} s")))
            }
            None => Ok(()),
        }
    }
}

/// The lines of a file, each with its end, blank ones included so that numbers are right.
fn lines(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    bytes.split_inclusive(|byte| *byte == b'\n')
}
