//! The continuous log: short samples of every domain, in one SQLite file.
//!
//! It is in WAL mode: readers and the one writer do not wait for each other, and what was committed
//! is there after a kill. A power failure may take the last seconds, never the file.

mod row;
mod schema;
mod thin;

use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, ErrorCode, OpenFlags};

pub use thin::{Keep, Thinned};

use super::observation::{Logged, Observation};
use crate::error::{Error, Kind, Result};
use crate::host::Uuid;

/// Name of the file in the state directory.
pub const FILE: &str = "history.sqlite";

/// How long a reader waits for the writer at most, and the other way round: only a change of the
/// schema makes either.
const PATIENCE: Duration = Duration::from_secs(10);

/// The open log.
#[derive(Debug)]
pub struct HistoryStore {
    connection: Connection,
    path: PathBuf,
}

impl HistoryStore {
    /// Opens the log in `path` to write to, and makes it if there is none.
    ///
    /// # Errors
    /// [`Kind::Permission`] or [`Kind::Io`] when it cannot be opened or made, [`Kind::Data`] when it
    /// is no log, is damaged, or was written by a later version.
    pub fn open(path: &Path) -> Result<Self> {
        if let Some(directory) = path.parent() {
            std::fs::create_dir_all(directory)
                .map_err(|cause| Error::file(directory, "make the directory", cause))?;
        }
        let mut store = Self::connect(path, OpenFlags::default())?;
        let found = store.check_version()?;
        let prepare = |connection: &mut Connection| {
            // Pages come free when samples are thinned out, and are used again.
            connection.pragma_update(None, "journal_mode", "wal")?;
            connection.pragma_update(None, "synchronous", "normal")?;
            connection.pragma_update(None, "foreign_keys", true)?;
            if found < schema::VERSION { schema::upgrade(connection) } else { Ok(()) }
        };
        prepare(&mut store.connection).map_err(|cause| store.error("prepare", cause))?;
        Ok(store)
    }

    /// Opens the log in `path` to read; `None` when there is none.
    ///
    /// # Errors
    /// As [`HistoryStore::open`].
    pub fn read(path: &Path) -> Result<Option<Self>> {
        match path.try_exists() {
            Ok(false) => return Ok(None),
            Ok(true) => {}
            Err(cause) => return Err(Error::file(path, "read", cause)),
        }
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let store = Self::connect(path, flags)?;
        // A file that was made and not yet filled.
        let found = store.check_version()?;
        Ok((found > 0).then_some(store))
    }

    /// A log that nobody else sees, and that goes with this value.
    ///
    /// # Errors
    /// [`Kind::Internal`], as SQLite says.
    pub fn in_memory() -> Result<Self> {
        let path = PathBuf::from(":memory:");
        let connection =
            Connection::open_in_memory().map_err(|cause| error(&path, "open", cause))?;
        let mut store = Self { connection, path };
        schema::upgrade(&mut store.connection).map_err(|cause| store.error("prepare", cause))?;
        Ok(store)
    }

    fn connect(path: &Path, flags: OpenFlags) -> Result<Self> {
        let open = || {
            let connection = Connection::open_with_flags(path, flags)?;
            connection.busy_timeout(PATIENCE)?;
            Ok(connection)
        };
        let connection = open().map_err(|cause| error(path, "open", cause))?;
        Ok(Self { connection, path: path.to_owned() })
    }

    /// The file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The version of the file; 0 if it is empty.
    fn check_version(&self) -> Result<i32> {
        let look = || {
            let version = schema::version(&self.connection)?;
            let id: i32 =
                self.connection.pragma_query_value(None, "application_id", |row| row.get(0))?;
            let tables = "SELECT count(*) FROM sqlite_schema";
            let tables: i64 = self.connection.query_row(tables, [], |row| row.get(0))?;
            Ok((version, id, tables))
        };
        let (version, id, tables) = look().map_err(|cause| self.error("read", cause))?;
        let path = self.path.display();
        if tables > 0 && id != schema::APPLICATION_ID {
            let what = format!("{path} is another program's database");
            return Err(Error::new(Kind::Data, what).hint("name another file"));
        }
        if version > schema::VERSION {
            let what = format!("{path} was written by a later xenmig (its schema is {version})");
            return Err(Error::new(Kind::Data, what).hint("use that version, or another file"));
        }
        Ok(version)
    }

    /// Adds an observation of `domain`, and keeps what the domain is like now. A sample of the same
    /// second, which a clock that was set back can bring, moves on by a second.
    ///
    /// # Errors
    /// [`Kind::Io`] when the disk is full or fails: nothing was added then, and nothing lost.
    pub fn add(&mut self, domain: &Logged, observation: &Observation) -> Result<()> {
        self.add_all([(domain, observation)])
    }

    /// The same for many, all or none.
    ///
    /// # Errors
    /// As [`HistoryStore::add`].
    pub fn add_all<'a>(
        &mut self,
        all: impl IntoIterator<Item = (&'a Logged, &'a Observation)>,
    ) -> Result<()> {
        let add = || {
            let transaction = self.connection.transaction()?;
            for (domain, observation) in all {
                row::insert(&transaction, domain, observation)?;
            }
            transaction.commit()
        };
        add().map_err(|cause| error(&self.path, "write to", cause))
    }

    /// All domains that it has samples of, by name.
    ///
    /// # Errors
    /// [`Kind::Io`] or [`Kind::Data`], as SQLite says.
    pub fn domains(&self) -> Result<Vec<Logged>> {
        row::domains(&self.connection).map_err(|cause| self.error("read", cause))
    }

    /// The domain of that name, the one seen last if several had it, or of that UUID; `None` when
    /// there is none.
    ///
    /// # Errors
    /// As [`HistoryStore::domains`].
    pub fn find(&self, name: &str) -> Result<Option<Logged>> {
        let all = self.domains()?;
        let uuid = all.iter().find(|logged| logged.uuid.to_string() == name);
        Ok(uuid.or_else(|| all.iter().rev().find(|logged| logged.name == name)).cloned())
    }

    /// What was seen of a domain in a stretch of time, both ends included, oldest first.
    ///
    /// # Errors
    /// As [`HistoryStore::domains`].
    pub fn observations(&self, uuid: Uuid, unix_s: (i64, i64)) -> Result<Vec<Observation>> {
        row::observations(&self.connection, uuid, unix_s).map_err(|cause| self.error("read", cause))
    }

    /// Thins out old samples, and forgets those that are older still, as `keep` says. `present` are
    /// the domains that are on this host now.
    ///
    /// # Errors
    /// As [`HistoryStore::add`].
    pub fn thin(&mut self, keep: &Keep, present: &[Uuid]) -> Result<Thinned> {
        thin::thin(&mut self.connection, keep, present)
            .map_err(|cause| error(&self.path, "thin out", cause))
    }

    /// Bytes that its pages take, free ones among them.
    ///
    /// # Errors
    /// As [`HistoryStore::domains`].
    pub fn size_bytes(&self) -> Result<u64> {
        thin::pages(&self.connection)
            .map(|pages| pages.all * pages.size)
            .map_err(|cause| self.error("read", cause))
    }

    fn error(&self, tried: &str, cause: rusqlite::Error) -> Error {
        error(&self.path, tried, cause)
    }
}

/// The one place where SQLite's answers become errors.
fn error(path: &Path, tried: &str, cause: rusqlite::Error) -> Error {
    let (kind, hint) = match cause.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => (Kind::Io, Some("make room on the disk")),
        Some(ErrorCode::PermissionDenied | ErrorCode::ReadOnly | ErrorCode::CannotOpen) => {
            (Kind::Permission, Some("the folder has to be writable too: run xenmig as root"))
        }
        Some(ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt) => {
            (Kind::Data, Some("move the file away, and `xenmig record` begins a new one"))
        }
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
            (Kind::Busy, Some("another `xenmig record` works on it"))
        }
        Some(_) => (Kind::Io, None),
        None => (Kind::Internal, None),
    };
    let error = Error::new(kind, format!("cannot {tried} the log {}", path.display()));
    let error = error.because(cause);
    match hint {
        Some(hint) => error.hint(hint),
        None => error,
    }
}
