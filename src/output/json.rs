//! The documents that `--json` prints. Field names and meanings are a contract: docs and scripts
//! rely on them, and a change that breaks readers needs a new number in `schema`.

mod report;
mod top;
mod window;

use std::collections::BTreeMap;
use std::path::Path;

pub use report::report;
pub use top::top;
pub use window::window;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::Serialize;
use serde_json::Serializer;
use xenmig::dirty::{Curve, Ended, Heat, HotRange, Sample, Window};
use xenmig::host::{Domain, Finding, GuestType, Recovered};
use xenmig::migrate::installed::Parts;
use xenmig::model::Row;
use xenmig::{Error, Kind, Result};

use super::layout::Layout;

/// `xenmig.predict/1`
pub fn predict(rows: &[Row]) -> Result<String> {
    #[derive(Serialize)]
    struct Document<'a> {
        schema: &'static str,
        rows: &'a [Row],
    }
    text(&Document { schema: "xenmig.predict/1", rows })
}

/// `xenmig.doctor/1`
pub fn doctor(findings: &[Finding]) -> Result<String> {
    #[derive(Serialize)]
    struct Document<'a> {
        schema: &'static str,
        findings: &'a [Finding],
    }
    text(&Document { schema: "xenmig.doctor/1", findings })
}

/// `xenmig.recover/1`
pub fn recover(recovered: &[Recovered]) -> Result<String> {
    #[derive(Serialize)]
    struct Document<'a> {
        schema: &'static str,
        recovered: &'a [Recovered],
    }
    text(&Document { schema: "xenmig.recover/1", recovered })
}

/// `xenmig.hook-env/1`
pub fn hook(parts: &Parts, environment: &[(&str, String)]) -> Result<String> {
    #[derive(Serialize)]
    struct Document<'a> {
        schema: &'static str,
        wrapper: Option<&'a Path>,
        library: Option<&'a Path>,
        stock_helper: Option<&'a Path>,
        /// Null when saves can be steered.
        trouble: Option<String>,
        environment: BTreeMap<&'a str, &'a str>,
    }
    text(&Document {
        schema: "xenmig.hook-env/1",
        wrapper: parts.wrapper.as_deref(),
        library: parts.library.as_deref(),
        stock_helper: parts.stock.as_deref(),
        trouble: parts.trouble(),
        environment: environment.iter().map(|(name, value)| (*name, value.as_str())).collect(),
    })
}

/// `xenmig.sample/1`
pub fn sample(sample: &Sample, heat: Option<&Heat>) -> Result<String> {
    let curves = Curve::all_measured(&sample.windows, sample.domain.memory);
    let mean = Curve::mean(&curves);
    text(&SampleDocument {
        schema: "xenmig.sample/1",
        domain: DomainFacts::of(&sample.domain),
        ended: sample.ended(),
        curve: mean.as_ref().map_or(&[], Curve::points),
        dirty_rate_pages_per_s: mean.as_ref().map(Curve::dirty_rate),
        vcpu_utilisation: sample.vcpu_utilisation(),
        host_cpu_utilisation: sample.host_cpu_utilisation(),
        windows: sample.windows.iter().map(WindowFacts::of).collect(),
        hot: heat.map(HotFacts::of),
    })
}

#[derive(Serialize)]
struct SampleDocument<'a> {
    schema: &'static str,
    domain: DomainFacts<'a>,
    /// As the last window.
    ended: Ended,
    /// Mean of the windows: (seconds, pages).
    curve: &'a [(f64, f64)],
    /// Null when nothing was seen.
    dirty_rate_pages_per_s: Option<f64>,
    vcpu_utilisation: Vec<f64>,
    host_cpu_utilisation: Option<f64>,
    windows: Vec<WindowFacts<'a>>,
    /// Null without `--bitmap`.
    hot: Option<HotFacts>,
}

#[derive(Serialize)]
struct DomainFacts<'a> {
    domid: u16,
    name: &'a str,
    #[serde(rename = "type")]
    guest_type: GuestType,
    memory_bytes: u64,
    vcpus: u32,
}

impl<'a> DomainFacts<'a> {
    fn of(domain: &'a Domain) -> Self {
        Self {
            domid: domain.id.0,
            name: &domain.name,
            guest_type: domain.guest_type,
            memory_bytes: domain.memory.bytes().0,
            vcpus: domain.vcpus,
        }
    }
}

#[derive(Serialize)]
struct WindowFacts<'a> {
    ended: Ended,
    curve: Vec<(f64, u64)>,
    vcpu_utilisation: &'a [f64],
    host_cpu_utilisation: Option<f64>,
}

impl<'a> WindowFacts<'a> {
    fn of(window: &'a Window) -> Self {
        Self {
            ended: window.ended,
            curve: window.points.iter().map(|(at, dirty)| (at.as_secs_f64(), dirty.0)).collect(),
            vcpu_utilisation: &window.vcpu_utilisation,
            host_cpu_utilisation: window.host_cpu_utilisation,
        }
    }
}

#[derive(Serialize)]
struct HotFacts {
    windows: usize,
    pages_in_some_window: u64,
    pages_in_every_window: u64,
    ranges: Vec<RangeFacts>,
}

#[derive(Serialize)]
struct RangeFacts {
    first_pfn: u64,
    pages: u64,
    /// Share of its pages that a window dirties, 0 to 1.
    density: f64,
}

impl HotFacts {
    fn of(heat: &Heat) -> Self {
        let range = |range: &HotRange| RangeFacts {
            first_pfn: range.first.0,
            pages: range.pages.0,
            density: range.density(heat.windows),
        };
        Self {
            windows: heat.windows,
            pages_in_some_window: heat.in_some.0,
            pages_in_every_window: heat.in_all.0,
            ranges: heat.ranges.iter().map(range).collect(),
        }
    }
}

/// One document on one line, for streams of them.
pub fn line(document: &impl Serialize) -> Result<String> {
    let text = serde_json::to_string(document);
    text.map(|text| text + "\n")
        .map_err(|cause| Error::new(Kind::Internal, "cannot write the answer").because(cause))
}

/// A moment, in seconds since 1970, with its offset, as 2026-01-06T03:10:00+01:00.
fn written(unix_s: i64, zone: &TimeZone) -> String {
    let at = Timestamp::from_second(unix_s).unwrap_or_default();
    at.display_with_offset(zone.to_offset(at)).to_string()
}

/// One document with its line feed.
pub fn text(document: &impl Serialize) -> Result<String> {
    let mut text = Vec::new();
    document
        .serialize(&mut Serializer::with_formatter(&mut text, Layout::default()))
        .map_err(|cause| Error::new(Kind::Internal, "cannot write the answer").because(cause))?;
    text.push(b'\n');
    Ok(String::from_utf8_lossy(&text).into_owned())
}
