//! The records of a trace as they are written, and the line around them.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::dirty::{Bitmap, Ended, Plan, Window};
use crate::host::{DomId, Domain, GuestType, RunState, Uuid};
use crate::units::Pages;

/// The `schema` of the traces this reads and writes.
const SCHEMA: &str = "xenmig.trace/1";
/// Longest bitmap that is read, in pages: 16 TiB, the most that a Xen guest can have. It keeps a
/// made-up length from eating the memory.
const MOST_PAGES: u64 = 1 << 32;

/// What a trace holds besides its first and last line.
#[derive(Debug, Clone, PartialEq)]
pub enum Record {
    /// One window.
    Window(Window),
    /// Which pages were dirtied in the window before it.
    Bitmap(Bitmap),
}

/// The line for `record`: checksum, JSON, line feed.
pub(super) fn to_line(record: &impl Serialize) -> String {
    let json = serde_json::to_string(record).expect("records hold nothing that JSON has not");
    format!("{:08x} {json}\n", crc32fast::hash(json.as_bytes()))
}

/// The JSON of a line that ends with a line feed; otherwise what is wrong with it.
pub(super) fn json_of(line: &[u8]) -> Result<&str, String> {
    let text = std::str::from_utf8(line).ok().and_then(|text| text.strip_suffix('\n'));
    let (sum, json) = text
        .and_then(|text| text.split_once(' '))
        .filter(|(sum, _)| sum.len() == 8)
        .ok_or("is not a line of a trace")?;
    // Compared as text: the sum is protected by its one way of being written.
    let expected = format!("{:08x}", crc32fast::hash(json.as_bytes()));
    if sum == expected {
        Ok(json)
    } else {
        Err(format!("is damaged: its checksum is {expected}, not {sum}"))
    }
}

/// The first line.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Header {
    schema: String,
    domain: DomainFacts,
    plan: PlanFacts,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct DomainFacts {
    domid: DomId,
    name: String,
    uuid: String,
    #[serde(rename = "type")]
    guest_type: GuestType,
    state: RunState,
    memory_pages: Pages,
    max_memory_pages: Pages,
    p2m_size: Pages,
    vcpus: u32,
    hap: bool,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct PlanFacts {
    window_s: f64,
    windows: u32,
    #[serde(default)]
    brief_windows: u32,
    #[serde(default)]
    brief_s: f64,
    pause_s: f64,
    first_s: f64,
    ratio: f64,
    bitmap: bool,
}

impl Header {
    pub(super) fn new(domain: &Domain, plan: &Plan) -> Self {
        let domain = DomainFacts {
            domid: domain.id,
            name: domain.name.clone(),
            uuid: domain.uuid.to_string(),
            guest_type: domain.guest_type,
            state: domain.state,
            memory_pages: domain.memory,
            max_memory_pages: domain.max_memory,
            p2m_size: domain.p2m_size,
            vcpus: domain.vcpus,
            hap: domain.hap,
        };
        let plan = PlanFacts {
            window_s: plan.window.as_secs_f64(),
            windows: plan.windows,
            brief_windows: plan.brief_windows,
            brief_s: plan.brief.as_secs_f64(),
            pause_s: plan.pause.as_secs_f64(),
            first_s: plan.first.as_secs_f64(),
            ratio: plan.ratio,
            bitmap: plan.bitmap,
        };
        Self { schema: SCHEMA.to_owned(), domain, plan }
    }

    /// Reads a first line's JSON. Another version may have other keys, so its name comes first.
    pub(super) fn read(json: &str) -> Result<(Domain, Plan), String> {
        #[derive(Deserialize)]
        struct Schema {
            schema: Option<String>,
        }
        match serde_json::from_str::<Schema>(json).map_err(not_understood)?.schema {
            Some(schema) if schema == SCHEMA => {}
            Some(schema) => return Err(format!("is of `{schema}`; this reads `{SCHEMA}`")),
            None => return Err(format!("names no schema; `{SCHEMA}` is expected")),
        }
        let Self { domain, plan, .. } = serde_json::from_str(json).map_err(not_understood)?;
        let uuid = uuid(&domain.uuid).ok_or_else(|| format!("has no uuid: `{}`", domain.uuid))?;
        let domain = Domain {
            id: domain.domid,
            name: domain.name,
            uuid,
            guest_type: domain.guest_type,
            state: domain.state,
            memory: domain.memory_pages,
            max_memory: domain.max_memory_pages,
            p2m_size: domain.p2m_size,
            vcpus: domain.vcpus,
            hap: domain.hap,
        };
        let plan = Plan {
            window: duration(plan.window_s)?,
            windows: plan.windows,
            brief_windows: plan.brief_windows,
            brief: duration(plan.brief_s)?,
            pause: duration(plan.pause_s)?,
            first: duration(plan.first_s)?,
            ratio: plan.ratio,
            bitmap: plan.bitmap,
        };
        Ok((domain, plan))
    }
}

/// Any later line.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub(super) enum Line {
    Window {
        /// Seconds and pages.
        points: Vec<(f64, Pages)>,
        ended: Ended,
        vcpu_utilisation: Vec<f64>,
        host_cpu_utilisation: Option<f64>,
        #[serde(default)]
        host_cpus: Option<u32>,
    },
    Bitmap {
        pages: Pages,
        /// In turns: clean pages since the run before, dirtied pages of the run.
        runs: Vec<u64>,
    },
    /// Nothing comes after this.
    End { records: u64 },
}

impl Line {
    pub(super) fn window(window: &Window) -> Self {
        Self::Window {
            points: window.points.iter().map(|(t, pages)| (t.as_secs_f64(), *pages)).collect(),
            ended: window.ended,
            vcpu_utilisation: window.vcpu_utilisation.clone(),
            host_cpu_utilisation: window.host_cpu_utilisation,
            host_cpus: window.host_cpus,
        }
    }

    pub(super) fn bitmap(bitmap: &Bitmap) -> Self {
        let (mut runs, mut at) = (Vec::new(), 0);
        bitmap.for_each_run(|run| {
            runs.extend([run.start - at, run.end - run.start]);
            at = run.end;
        });
        Self::Bitmap { pages: bitmap.len(), runs }
    }

    pub(super) fn read(json: &str) -> Result<Self, String> {
        serde_json::from_str(json).map_err(not_understood)
    }
}

/// The window of a line.
pub(super) fn window(
    points: Vec<(f64, Pages)>,
    ended: Ended,
    vcpu_utilisation: Vec<f64>,
    host_cpu_utilisation: Option<f64>,
    host_cpus: Option<u32>,
) -> Result<Window, String> {
    let points: Result<_, String> =
        points.into_iter().map(|(t, pages)| Ok((duration(t)?, pages))).collect();
    Ok(Window { points: points?, ended, vcpu_utilisation, host_cpu_utilisation, host_cpus })
}

/// The bitmap of a line, for a guest with `p2m_size`.
pub(super) fn bitmap(pages: Pages, runs: &[u64], p2m_size: Pages) -> Result<Bitmap, String> {
    if pages != p2m_size || pages.0 > MOST_PAGES {
        return Err(format!("is a bitmap of {pages} of a guest whose p2m has {p2m_size}"));
    }
    let (mut bitmap, mut at) = (Bitmap::new(pages), 0u64);
    let (pairs, []) = runs.as_chunks::<2>() else {
        return Err("is a bitmap whose last run has no length".to_owned());
    };
    for [clean, dirtied] in pairs {
        let end = at.checked_add(*clean).and_then(|start| {
            let end = start.checked_add(*dirtied).filter(|end| *end <= pages.0)?;
            bitmap.set_run(start..end);
            Some(end)
        });
        at = end.ok_or_else(|| format!("is a bitmap with a run past its {pages}"))?;
    }
    Ok(bitmap)
}

fn duration(seconds: f64) -> Result<Duration, String> {
    Duration::try_from_secs_f64(seconds).map_err(|_| format!("has a time of {seconds} s"))
}

fn uuid(text: &str) -> Option<Uuid> {
    let digits: String = text.chars().filter(|c| *c != '-').collect();
    let value = (digits.len() == 32).then(|| u128::from_str_radix(&digits, 16).ok())??;
    Some(Uuid(value.to_be_bytes()))
}

fn not_understood(cause: serde_json::Error) -> String {
    format!("is not what it should be: {cause}")
}
