//! One xenmig process at a time per domain, and a note that outlives a killed one.
//!
//! Each domain may have two files in the run directory. Whoever holds the lock of the first may use
//! the dirty log, or migrate the domain; what is written in it says that the log is on, or how far
//! the migration is. The lock of the second belongs to the save whose hook lowers the domain's cap,
//! be it part of a migration by xenmig or not; what is written in it says what the cap was. A file
//! with a note and no lock is what a killed process left.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};
use serde::{Deserialize, Serialize};

use crate::error::{Error, Kind, Result};
use crate::host::DomId;
use crate::migrate::Progress;

/// How the names of the files begin.
const LOG: &str = "domain-";
const CAP: &str = "cap-";

/// What is written while the log is on, the domain is migrated, or its cap lowered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Note {
    /// The domain's identity: a later domain with the same number is another one.
    pub uuid: String,
    /// The process that switched the log on or lowered the cap.
    pub pid: u32,
    /// The domain is being migrated; `None` when it is only sampled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub leaving: Option<Leaving>,
    /// The cap to set back to; `None` when it was not changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cap: Option<u16>,
}

/// What is written while a domain is migrated.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Leaving {
    /// Its name before.
    pub name: String,
    /// How far it is.
    pub progress: Progress,
}

impl Note {
    /// Whether it is of the domain with this identity. A torn one does not say, so it may be.
    pub(super) fn is_of(&self, uuid: &str) -> bool {
        self.uuid.is_empty() || self.uuid == uuid
    }

    /// The error where it is in the way of other work on domain `id`.
    pub(super) fn in_the_way(&self, id: DomId) -> Error {
        let what = format!("process {} died while it worked on domain {id}", self.pid);
        Error::new(Kind::Busy, what).hint("`xenmig recover` says what to do")
    }
}

/// The lock on one domain. Released when dropped; the note stays unless it was cleared.
#[derive(Debug)]
pub(super) struct Lease {
    file: File,
    path: PathBuf,
}

impl Lease {
    /// Takes the lock of domain `id`.
    ///
    /// # Errors
    /// [`Kind::Busy`] when another process has it.
    pub(super) fn take(directory: &Path, id: DomId) -> Result<Self> {
        Self::open(directory, LOG, id)
    }

    /// Takes the lock of the cap of domain `id`.
    ///
    /// # Errors
    /// [`Kind::Busy`] when another process has it.
    pub(super) fn take_cap(directory: &Path, id: DomId) -> Result<Self> {
        Self::open(directory, CAP, id)
    }

    fn open(directory: &Path, prefix: &str, id: DomId) -> Result<Self> {
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(directory)
            .map_err(|cause| Error::file(directory, "create", cause))?;
        let path = directory.join(format!("{prefix}{id}"));
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path)
            .map_err(|cause| Error::file(&path, "open", cause))?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Self { file, path }),
            Err(rustix::io::Errno::WOULDBLOCK) => Err(Error::new(
                Kind::Busy,
                format!("another xenmig samples or migrates domain {id}"),
            )
            .hint("wait until it is done")),
            Err(cause) => Err(Error::file(&path, "lock", cause.into())),
        }
    }

    /// The note that a killed process left; `None` when the log was let go properly.
    pub(super) fn note(&mut self) -> Result<Option<Note>> {
        let mut text = String::new();
        let read = self.file.rewind().and_then(|()| self.file.read_to_string(&mut text));
        read.map_err(|cause| Error::file(&self.path, "read", cause))?;
        if text.is_empty() {
            return Ok(None);
        }
        // Whoever was killed before it cut the file left the end of an older note behind its own.
        let first = serde_json::Deserializer::from_str(&text).into_iter().next();
        // A torn note still says that the log may be on; of which domain the name tells.
        let torn = Note { uuid: String::new(), pid: 0, leaving: None, cap: None };
        Ok(Some(first.and_then(Result::ok).unwrap_or(torn)))
    }

    /// Whether a process that was killed left the log of domain `id` on, which is the one with this
    /// identity.
    ///
    /// # Errors
    /// [`Kind::Busy`] when that process migrated the domain: by its note `recover` decides whether
    /// the domain may go on, so the note must stay.
    pub(super) fn left_on(&mut self, id: DomId, uuid: &str) -> Result<bool> {
        match self.note()?.filter(|note| note.is_of(uuid)) {
            Some(note) if note.leaving.is_some() => Err(note.in_the_way(id)),
            note => Ok(note.is_some()),
        }
    }

    /// Notes that the log is about to be switched on, or the cap lowered.
    pub(super) fn write(&mut self, note: &Note) -> Result<()> {
        let text = serde_json::to_vec(note).unwrap_or_default();
        self.replace(&text).map_err(|cause| Error::file(&self.path, "write", cause))
    }

    /// Notes that the log is off and the cap as it was.
    pub(super) fn clear(&mut self) {
        if let Err(cause) = self.replace(&[]) {
            log::warn!("cannot clear {}: {cause}", self.path.display());
        }
    }

    fn replace(&mut self, text: &[u8]) -> io::Result<()> {
        // Should there be no room for it, the old note is still there.
        self.file.rewind()?;
        self.file.write_all(text)?;
        self.file.set_len(text.len() as u64)
    }
}

/// The domains that have a first file in the run directory.
pub(super) fn known(directory: &Path) -> Result<Vec<DomId>> {
    with_file(directory, LOG)
}

/// The domains that have a second one.
pub(super) fn known_caps(directory: &Path) -> Result<Vec<DomId>> {
    with_file(directory, CAP)
}

fn with_file(directory: &Path, prefix: &str) -> Result<Vec<DomId>> {
    let entries = match fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(cause) => return Err(Error::file(directory, "read", cause)),
    };
    let mut known: Vec<_> = entries
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.strip_prefix(prefix)?.parse().ok())
        .map(DomId)
        .collect();
    known.sort_unstable();
    Ok(known)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: DomId = DomId(7);

    fn note() -> Note {
        Note { uuid: "a".into(), pid: 42, leaving: None, cap: None }
    }

    #[test]
    fn one_process_at_a_time() {
        let dir = tempfile::tempdir().unwrap();
        let first = Lease::take(dir.path(), ID).unwrap();
        assert_eq!(Lease::take(dir.path(), ID).unwrap_err().kind(), Kind::Busy);
        assert!(Lease::take(dir.path(), DomId(8)).is_ok());
        drop(first);
        assert!(Lease::take(dir.path(), ID).is_ok());
    }

    #[test]
    fn the_note_outlives_its_writer_until_it_is_cleared() {
        let dir = tempfile::tempdir().unwrap();
        let mut lease = Lease::take(dir.path(), ID).unwrap();
        assert_eq!(lease.note().unwrap(), None);
        lease.write(&note()).unwrap();
        drop(lease);
        let mut lease = Lease::take(dir.path(), ID).unwrap();
        assert_eq!(lease.note().unwrap(), Some(note()));
        lease.clear();
        assert_eq!(lease.note().unwrap(), None);
        assert_eq!(known(dir.path()).unwrap(), [ID]);
    }

    #[test]
    fn a_note_tells_the_cap_and_one_without_is_still_read() {
        let dir = tempfile::tempdir().unwrap();
        let mut lease = Lease::take(dir.path(), ID).unwrap();
        let capped = Note { cap: Some(0), ..note() };
        lease.write(&capped).unwrap();
        assert_eq!(lease.note().unwrap(), Some(capped));
        fs::write(dir.path().join("domain-7"), r#"{"uuid":"a","pid":42}"#).unwrap();
        assert_eq!(lease.note().unwrap(), Some(note()));
    }

    #[test]
    fn a_log_that_was_left_on_is_told_from_a_migration_that_was_cut_short() {
        let dir = tempfile::tempdir().unwrap();
        let mut lease = Lease::take(dir.path(), ID).unwrap();
        assert!(!lease.left_on(ID, "a").unwrap());
        lease.write(&note()).unwrap();
        assert!(lease.left_on(ID, "a").unwrap());
        assert!(!lease.left_on(ID, "b").unwrap(), "that domain had the number before");

        let leaving = Leaving { name: "g".into(), progress: Progress::Permitted };
        let cut_short = Note { leaving: Some(leaving), ..note() };
        lease.write(&cut_short).unwrap();
        let error = lease.left_on(ID, "a").unwrap_err();
        assert_eq!(error.kind(), Kind::Busy);
        assert!(error.advice().unwrap().contains("xenmig recover"));
        assert_eq!(lease.note().unwrap(), Some(cut_short));
        assert!(!lease.left_on(ID, "b").unwrap());
    }

    #[test]
    fn a_torn_note_is_still_a_note() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("domain-7"), "{\"uuid\":\"a").unwrap();
        let mut lease = Lease::take(dir.path(), ID).unwrap();
        assert!(lease.note().unwrap().is_some() && lease.left_on(ID, "a").unwrap());
    }

    #[test]
    fn a_note_is_read_though_the_end_of_an_older_one_follows() {
        let dir = tempfile::tempdir().unwrap();
        let new = serde_json::to_string(&note()).unwrap();
        fs::write(dir.path().join("domain-7"), new + r#":{"name":"g"}}"#).unwrap();
        assert_eq!(Lease::take(dir.path(), ID).unwrap().note().unwrap(), Some(note()));
    }

    #[test]
    fn a_note_that_cannot_be_replaced_stays() {
        use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, memfd_create};
        let file = memfd_create("cap-7", MemfdFlags::ALLOW_SEALING).unwrap();
        let mut lease = Lease { file: file.into(), path: "cap-7".into() };
        let before = Note { cap: Some(40), ..note() };
        lease.write(&before).unwrap();
        // From now on, as on a file system that is full.
        fcntl_add_seals(&lease.file, SealFlags::GROW).unwrap();
        assert!(lease.write(&Note { pid: u32::MAX, ..before.clone() }).is_err());
        assert_eq!(lease.note().unwrap(), Some(before));
        lease.clear();
        assert_eq!(lease.note().unwrap(), None);
    }

    #[test]
    fn a_directory_that_is_not_there_has_no_notes() {
        assert!(known(Path::new("/nonexistent/xenmig")).unwrap().is_empty());
    }
}
