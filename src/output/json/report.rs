//! The document `xenmig.report/1`: what the page of `report` draws.

use serde::Serialize;
use xenmig::history::{AtBandwidth, OutcomeRecord, Spread, Week};

use super::window::{WindowDocument, window};
use super::written;
use crate::output::report::{Portrait, Report};

#[derive(Serialize)]
pub struct ReportDocument<'a> {
    schema: &'static str,
    /// Null where the past is of many hosts.
    host: Option<&'a str>,
    source: &'a str,
    at: String,
    since: String,
    domains: Vec<PortraitPart<'a>>,
    /// Names of those of which nothing was seen since then.
    unseen: &'a [String],
    /// Oldest first, as they were remembered.
    migrations: &'a [OutcomeRecord],
}

#[derive(Serialize)]
struct PortraitPart<'a> {
    name: &'a str,
    uuid: String,
    memory_bytes: u64,
    vcpus: u32,
    samples: usize,
    window: WindowDocument,
    /// Rows from Monday, in them hours from midnight; null where nothing was seen.
    week: &'a Week,
    dirtied: &'a [Spread],
    by_bandwidth: &'a [AtBandwidth],
}

/// `xenmig.report/1`
pub fn report(report: &Report) -> ReportDocument<'_> {
    ReportDocument {
        schema: "xenmig.report/1",
        host: report.host.as_deref(),
        source: &report.source,
        at: written(report.at.as_second(), &report.zone),
        since: written(report.since.as_second(), &report.zone),
        domains: report.domains.iter().map(portrait).collect(),
        unseen: &report.unseen,
        migrations: &report.migrations,
    }
}

fn portrait(portrait: &Portrait) -> PortraitPart<'_> {
    let past = &portrait.outlook.past;
    PortraitPart {
        name: &past.domain.name,
        uuid: past.domain.uuid.to_string(),
        memory_bytes: past.domain.memory.bytes().0,
        vcpus: past.domain.vcpus,
        samples: past.observations.len(),
        window: window(&portrait.outlook),
        week: &portrait.week,
        dirtied: &portrait.dirtied,
        by_bandwidth: &portrait.by_bandwidth,
    }
}
