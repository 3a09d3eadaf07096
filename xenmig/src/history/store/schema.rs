//! The tables of the log, and how an older file becomes one of this version.

use rusqlite::Connection;

/// Marks a file as ours ("xnmg"), so that `file` and we can tell it from other databases.
pub(super) const APPLICATION_ID: i32 = 0x786e_6d67;

/// What leads from each version to the next; an empty file has version 0. Never changed once
/// released, only added to.
const STEPS: [&str; 1] = ["
    CREATE TABLE domain (
        id INTEGER PRIMARY KEY,
        uuid BLOB NOT NULL UNIQUE,
        name TEXT NOT NULL,
        vcpus INTEGER NOT NULL,
        memory_pages INTEGER NOT NULL,
        p2m_pages INTEGER NOT NULL,
        seen_unix_s INTEGER NOT NULL
    ) STRICT;
    -- Clustered by domain: what is asked for is always one domain's.
    CREATE TABLE observation (
        domain INTEGER NOT NULL REFERENCES domain ON DELETE CASCADE,
        at_unix_s INTEGER NOT NULL,
        -- 1 where it is one of those that were kept when an hour was thinned out.
        thinned INTEGER NOT NULL,
        weight INTEGER NOT NULL,
        guest_millicpus INTEGER NOT NULL,
        host_millicpus INTEGER,
        host_cpus INTEGER,
        curve BLOB NOT NULL,
        PRIMARY KEY (domain, at_unix_s)
    ) STRICT, WITHOUT ROWID;
"];

/// The version that this program writes.
pub(super) const VERSION: i32 = STEPS.len() as i32;

/// The version of an open file.
pub(super) fn version(connection: &Connection) -> rusqlite::Result<i32> {
    connection.pragma_query_value(None, "user_version", |row| row.get(0))
}

/// Brings an open file to [`VERSION`], in one transaction: it has either.
pub(super) fn upgrade(connection: &mut Connection) -> rusqlite::Result<()> {
    let transaction =
        connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
    let from = version(&transaction)?;
    for step in STEPS.iter().skip(usize::try_from(from).unwrap_or(0)) {
        transaction.execute_batch(step)?;
    }
    transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
    transaction.pragma_update(None, "user_version", VERSION)?;
    transaction.commit()
}
