//! How the log stays small. By numbers of samples and not by their age: a clock that is set wrong
//! for a while must not cost anybody a year of history.

use rusqlite::{Connection, params};

use super::row::curve_from_blob;
use crate::history::observation::dirty_rate;
use crate::host::Uuid;

/// How much is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Keep {
    /// Newest samples of each domain that stay as they are.
    pub whole: u32,
    /// Newest hours of each domain that stay thinned out, to two samples at most.
    pub hours: u32,
    /// Largest file, in bytes. Beyond, the domains go that are not on this host, those first that
    /// were seen least lately.
    pub bytes: u64,
}

/// Samples that an hour is thinned out to: one stands for the calmer four fifths, one for the rest.
const PER_HOUR: u32 = 2;

/// The calmer part of an hour's samples.
const CALM: f64 = 0.8;

/// What was done.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Thinned {
    /// Samples whose place others took.
    pub merged: u64,
    /// Samples that were forgotten.
    pub forgotten: u64,
    /// Domains that were.
    pub domains: u64,
}

/// The file's pages.
pub(super) struct PageCounts {
    pub(super) size: u64,
    pub(super) all: u64,
    pub(super) free: u64,
}

pub(super) fn pages(connection: &Connection) -> rusqlite::Result<PageCounts> {
    let count = |name| {
        connection.pragma_query_value(None, name, |row| row.get(0)).map(|n: i64| n.unsigned_abs())
    };
    Ok(PageCounts {
        size: count("page_size")?,
        all: count("page_count")?,
        free: count("freelist_count")?,
    })
}

/// A transaction for each domain: a kill costs nothing, and readers see all or nothing of an hour.
pub(super) fn thin(
    connection: &mut Connection,
    keep: &Keep,
    present: &[Uuid],
) -> rusqlite::Result<Thinned> {
    let mut done = Thinned::default();
    for (id, _) in domains(connection)? {
        let transaction = connection.transaction()?;
        done.merged += thin_hours(&transaction, id, keep.whole)?;
        done.forgotten += forget(&transaction, id, keep.hours.saturating_mul(PER_HOUR))?;
        transaction.commit()?;
    }
    for (id, uuid) in domains(connection)? {
        let PageCounts { size, all, free } = pages(connection)?;
        if (all - free.min(all)) * size <= keep.bytes {
            break;
        }
        if !present.contains(&uuid) {
            let transaction = connection.transaction()?;
            done.forgotten +=
                transaction.execute("DELETE FROM observation WHERE domain = ?1", [id])? as u64;
            done.domains += transaction.execute("DELETE FROM domain WHERE id = ?1", [id])? as u64;
            transaction.commit()?;
        }
    }
    Ok(done)
}

/// All domains, those first that were seen least lately.
fn domains(connection: &Connection) -> rusqlite::Result<Vec<(i64, Uuid)>> {
    let mut query = connection.prepare("SELECT id, uuid FROM domain ORDER BY seen_unix_s")?;
    query.query_map([], |row| Ok((row.get(0)?, Uuid(row.get(1)?))))?.collect()
}

/// A whole sample, as far as it matters here.
struct Whole {
    at_unix_s: i64,
    dirtied: f64,
}

/// Thins out the hours that are complete before the newest `keep` whole samples begin.
fn thin_hours(connection: &Connection, id: i64, keep: u32) -> rusqlite::Result<u64> {
    let mut query = connection.prepare_cached(
        "SELECT at_unix_s FROM observation WHERE domain = ?1 AND thinned = 0
         ORDER BY at_unix_s DESC LIMIT 1 OFFSET ?2",
    )?;
    let newest = query.query_map(params![id, keep], |row| row.get::<_, i64>(0))?.next();
    let Some(newest) = newest.transpose()? else {
        return Ok(0);
    };
    let end = hour(newest) * 3600;
    let mut query = connection.prepare_cached(
        "SELECT at_unix_s, curve FROM observation
         WHERE domain = ?1 AND thinned = 0 AND at_unix_s < ?2 ORDER BY at_unix_s",
    )?;
    let whole = query.query_map(params![id, end], |row| {
        // One that cannot be read counts as calm, and is sooner or later forgotten.
        let curve = curve_from_blob(row.get_ref(1)?.as_blob()?).unwrap_or_default();
        Ok(Whole { at_unix_s: row.get(0)?, dirtied: dirty_rate(&curve) })
    })?;
    let whole = whole.collect::<rusqlite::Result<Vec<_>>>()?;
    let mut merged = 0;
    for hour in whole.chunk_by(|a, b| hour(a.at_unix_s) == hour(b.at_unix_s)) {
        merged += thin_hour(connection, id, hour)?;
    }
    Ok(merged)
}

const fn hour(at_unix_s: i64) -> i64 {
    at_unix_s.div_euclid(3600)
}

fn thin_hour(connection: &Connection, id: i64, samples: &[Whole]) -> rusqlite::Result<u64> {
    let mut sorted: Vec<_> = samples.iter().collect();
    sorted.sort_by(|a, b| a.dirtied.total_cmp(&b.dirtied));
    let calm = ((sorted.len() as f64 * CALM).ceil() as usize).min(sorted.len());
    let mut delete = connection
        .prepare_cached("DELETE FROM observation WHERE domain = ?1 AND at_unix_s = ?2")?;
    let mut stand = connection.prepare_cached(
        "UPDATE observation SET thinned = 1, weight = ?3 WHERE domain = ?1 AND at_unix_s = ?2",
    )?;
    let mut merged = 0;
    let (calm, busy) = sorted.split_at(calm);
    for part in [calm, busy].into_iter().filter(|part| !part.is_empty()) {
        let middle = part.len() / 2;
        for (nth, sample) in part.iter().enumerate() {
            if nth == middle {
                stand.execute(params![id, sample.at_unix_s, part.len()])?;
            } else {
                merged += delete.execute(params![id, sample.at_unix_s])? as u64;
            }
        }
    }
    Ok(merged)
}

/// Forgets all but the newest `keep` of the thinned samples.
fn forget(connection: &Connection, id: i64, keep: u32) -> rusqlite::Result<u64> {
    let mut delete = connection.prepare_cached(
        "DELETE FROM observation WHERE domain = ?1 AND thinned = 1 AND at_unix_s <= (
             SELECT at_unix_s FROM observation WHERE domain = ?1 AND thinned = 1
             ORDER BY at_unix_s DESC LIMIT 1 OFFSET ?2)",
    )?;
    Ok(delete.execute(params![id, keep])? as u64)
}
