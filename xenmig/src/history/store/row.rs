//! Rows of the log: how a domain and an observation are written and read.

use std::time::Duration;

use rusqlite::types::Type;
use rusqlite::{Connection, Row, Transaction, params};

use crate::history::observation::{Logged, Observation};
use crate::host::Uuid;
use crate::units::Pages;

/// In a curve, times are counted in these.
const TICK: Duration = Duration::from_micros(100);

/// A curve in few bytes: postcard writes each number in as few as it needs, and from one look to
/// the next they grow little.
fn curve_to_blob(points: &[(Duration, Pages)]) -> Vec<u8> {
    let mut last = (0, 0);
    let steps: Vec<(u64, u64)> = points
        .iter()
        .map(|(at, pages)| {
            let point = ((at.as_secs_f64() / TICK.as_secs_f64()).round() as u64, pages.0);
            let step = (point.0.saturating_sub(last.0), point.1.saturating_sub(last.1));
            last = point;
            step
        })
        .collect();
    postcard::to_stdvec(&steps).expect("numbers can always be written")
}

pub(super) fn curve_from_blob(blob: &[u8]) -> Result<Vec<(Duration, Pages)>, postcard::Error> {
    let steps: Vec<(u64, u64)> = postcard::from_bytes(blob)?;
    let grow = |sum: &mut (u64, u64), step: (u64, u64)| {
        *sum = (sum.0.saturating_add(step.0), sum.1.saturating_add(step.1));
        Some((TICK.saturating_mul(u32::try_from(sum.0).unwrap_or(u32::MAX)), Pages(sum.1)))
    };
    Ok(steps.into_iter().scan((0, 0), grow).collect())
}

fn millis(cpus: f64) -> i64 {
    (cpus * 1e3).round() as i64
}

/// `count` as SQLite has it.
fn integer(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

pub(super) fn insert(
    transaction: &Transaction<'_>,
    domain: &Logged,
    observation: &Observation,
) -> rusqlite::Result<()> {
    let id: i64 = transaction
        .prepare_cached(
            "INSERT INTO domain (uuid, name, vcpus, memory_pages, p2m_pages, seen_unix_s)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6)
             ON CONFLICT (uuid) DO UPDATE SET name = ?2, vcpus = ?3, memory_pages = ?4,
                 p2m_pages = ?5, seen_unix_s = ?6
             RETURNING id",
        )?
        .query_row(
            params![
                domain.uuid.0.as_slice(),
                domain.name,
                domain.vcpus,
                integer(domain.memory.0),
                integer(domain.p2m_size.0),
                observation.at_unix_s,
            ],
            |row| row.get(0),
        )?;
    let curve = curve_to_blob(&observation.points);
    let mut insert = transaction.prepare_cached(
        "INSERT INTO observation
             (domain, at_unix_s, thinned, weight, guest_millicpus, host_millicpus, host_cpus, curve)
         VALUES (?1, ?2, 0, ?3, ?4, ?5, ?6, ?7) ON CONFLICT DO NOTHING",
    )?;
    let mut at = observation.at_unix_s;
    while insert.execute(params![
        id,
        at,
        observation.weight,
        millis(observation.guest_cpus),
        observation.host_cpus.map(|(used, _)| millis(used)),
        observation.host_cpus.map(|(_, cpus)| cpus),
        curve,
    ])? == 0
    {
        at += 1;
    }
    Ok(())
}

pub(super) fn domains(connection: &Connection) -> rusqlite::Result<Vec<Logged>> {
    let mut query = connection.prepare_cached(
        "SELECT uuid, name, vcpus, memory_pages, p2m_pages FROM domain
         ORDER BY name, seen_unix_s",
    )?;
    let logged = |row: &Row<'_>| {
        let count = |at| row.get(at).map(|n: i64| Pages(n.unsigned_abs()));
        Ok(Logged {
            uuid: Uuid(row.get(0)?),
            name: row.get(1)?,
            vcpus: row.get(2)?,
            memory: count(3)?,
            p2m_size: count(4)?,
        })
    };
    query.query_map([], logged)?.collect()
}

fn odd(column: usize, what: &str) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(column, Type::Blob, what.into())
}

pub(super) fn observations(
    connection: &Connection,
    uuid: Uuid,
    (from, to): (i64, i64),
) -> rusqlite::Result<Vec<Observation>> {
    let mut query = connection.prepare_cached(
        "SELECT at_unix_s, weight, guest_millicpus, host_millicpus, host_cpus, curve
         FROM observation JOIN domain ON domain.id = domain
         WHERE uuid = ?1 AND at_unix_s BETWEEN ?2 AND ?3 ORDER BY at_unix_s",
    )?;
    query.query_map(params![uuid.0.as_slice(), from, to], observation)?.collect()
}

fn observation(row: &Row<'_>) -> rusqlite::Result<Observation> {
    let cpus = |millis: i64| millis as f64 / 1e3;
    let used: Option<i64> = row.get(3)?;
    let curve = row.get_ref(5)?.as_blob()?;
    Ok(Observation {
        at_unix_s: row.get(0)?,
        weight: row.get(1)?,
        guest_cpus: cpus(row.get(2)?),
        host_cpus: used.map(cpus).zip(row.get(4)?),
        points: curve_from_blob(curve).map_err(|cause| odd(5, &cause.to_string()))?,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_curve_reads_back_as_it_was(steps in prop::collection::vec((1u32..100_000, 0u64..1 << 30), 0..30)) {
            let mut sum = (0u32, 0u64);
            let points: Vec<_> = steps.into_iter().map(|(ticks, pages)| {
                sum = (sum.0 + ticks, sum.1 + pages);
                (TICK * sum.0, Pages(sum.1))
            }).collect();
            prop_assert_eq!(curve_from_blob(&curve_to_blob(&points)).unwrap(), points);
        }

        #[test]
        fn any_bytes_are_a_curve_or_an_error(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
            let _ = curve_from_blob(&bytes);
        }
    }
}
