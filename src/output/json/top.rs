//! The document `xenmig.top/1`: the host, and each domain with its last check.

use serde::Serialize;
use xenmig::check::Document;
use xenmig::host::RunState;

use super::DomainFacts;
use crate::top::{Row, Snapshot};

#[derive(Serialize)]
pub struct TopDocument<'a> {
    schema: &'static str,
    host: HostFacts,
    domains: Vec<RowFacts<'a>>,
}

#[derive(Serialize)]
struct HostFacts {
    cpus: u32,
    /// Null at the first refresh.
    cpu_utilisation: Option<f64>,
    memory_bytes: u64,
    free_memory_bytes: u64,
}

#[derive(Serialize)]
struct RowFacts<'a> {
    #[serde(flatten)]
    domain: DomainFacts<'a>,
    state: RunState,
    /// Empty at the first refresh.
    vcpu_utilisation: &'a [f64],
    /// One for each of the last samples, the latest last.
    dirty_rates_pages_per_s: &'a [f64],
    /// Null until the domain had its turn, and so is `check`.
    checked_s_ago: Option<f64>,
    check: Option<Document<'a>>,
}

/// `xenmig.top/1`
pub fn top(snapshot: &Snapshot) -> TopDocument<'_> {
    let host = &snapshot.host;
    TopDocument {
        schema: "xenmig.top/1",
        host: HostFacts {
            cpus: host.cpus,
            cpu_utilisation: snapshot.cpu_utilisation,
            memory_bytes: host.memory.0,
            free_memory_bytes: host.free_memory.0,
        },
        domains: snapshot.rows.iter().map(|row| RowFacts::of(row, snapshot)).collect(),
    }
}

impl<'a> RowFacts<'a> {
    fn of(row: &'a Row, snapshot: &Snapshot) -> Self {
        Self {
            domain: DomainFacts::of(&row.domain),
            state: row.domain.state,
            vcpu_utilisation: &row.vcpu_utilisation,
            dirty_rates_pages_per_s: &row.rates,
            checked_s_ago: snapshot.age(row).map(|age| age.as_secs_f64()),
            check: row.report().map(|report| report.document()),
        }
    }
}
