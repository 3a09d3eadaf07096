//! The past of a domain as Prometheus scraped it from `xenmig record`, whichever host it was on.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::observation::{Logged, Observation};
use super::past::Past;
use crate::error::{Error, Kind, Result};
use crate::units::{PAGE_SIZE, Pages};

/// Longest wait for an answer.
const PATIENCE: Duration = Duration::from_secs(60);
/// From one value to the next: as often as `xenmig record` samples.
const STEP: Duration = Duration::from_secs(300);
/// Prometheus gives at most 11 000 values of a series at once.
const MOST: i64 = 10_000;

/// One series.
#[derive(Debug, Deserialize)]
struct Series {
    metric: BTreeMap<String, String>,
    /// (time, value), the value as text.
    values: Vec<(f64, String)>,
}

impl Series {
    fn label(&self, name: &str) -> &str {
        self.metric.get(name).map_or("", String::as_str)
    }

    fn values(&self) -> impl Iterator<Item = (i64, f64)> {
        self.values.iter().filter_map(|(at, value)| Some((*at as i64, value.parse().ok()?)))
    }

    fn last(&self) -> Option<f64> {
        self.values().last().map(|(_, value)| value)
    }
}

#[derive(Debug, Deserialize)]
struct Answer {
    status: String,
    #[serde(default)]
    error: String,
    data: Option<Data>,
}

#[derive(Debug, Deserialize)]
struct Data {
    result: Vec<Series>,
}

/// A Prometheus server.
#[derive(Debug, Clone)]
pub struct Prometheus {
    agent: ureq::Agent,
    url: String,
}

impl Prometheus {
    /// The server at `url`, as `http://prometheus:9090`. Asks nothing yet.
    #[must_use]
    pub fn new(url: &str) -> Self {
        let config = ureq::Agent::config_builder()
            .timeout_global(Some(PATIENCE))
            // What it says of a bad query is in the body.
            .http_status_as_error(false);
        Self { agent: config.build().into(), url: url.trim_end_matches('/').to_owned() }
    }

    /// Its address.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// What was seen of the domain of that name or UUID in a stretch of time; `None` when nothing
    /// was. Where several domains had the name, the one seen last.
    ///
    /// # Errors
    /// [`Kind::Io`] when the server cannot be reached, [`Kind::Data`] when its answer is none.
    pub fn past(&self, domain: &str, unix_s: (i64, i64)) -> Result<Option<Past>> {
        let quoted = serde_json::to_string(domain).unwrap_or_default();
        let both = |metric: &str| {
            format!(
                "xenmig_domain_{metric}{{domain={quoted}}} or xenmig_domain_{metric}{{uuid={quoted}}}"
            )
        };
        let curves: Vec<Series> = self.range(&both("dirty_pages"), unix_s)?;
        let newest = |series: &&Series| series.values().last().map(|(at, _)| at);
        let Some(uuid) = curves.iter().max_by_key(newest).map(|s| s.label("uuid").to_owned())
        else {
            return Ok(None);
        };
        let own = |series: &&Series| series.label("uuid") == uuid;
        let last = |metric: &str| -> Result<f64> {
            let all = self.range(&both(metric), unix_s)?;
            let value = all.iter().filter(own).max_by_key(newest).and_then(Series::last);
            value.ok_or_else(|| self.odd(&format!("it has no xenmig_domain_{metric} of {domain}")))
        };
        let pages = |bytes: f64| Pages((bytes / PAGE_SIZE as f64) as u64);
        let name = curves.iter().filter(own).max_by_key(newest).map(|s| s.label("domain"));
        let logged = Logged {
            uuid: uuid.parse().map_err(|error: Error| self.odd(&error.to_string()))?,
            name: name.unwrap_or(domain).to_owned(),
            vcpus: last("vcpus")? as u32,
            memory: pages(last("memory_bytes")?),
            p2m_size: pages(last("p2m_bytes")?),
        };
        let guest = self.range(&both("cpu_cores"), unix_s)?;
        let busy = self.range("xenmig_host_cpu_utilisation_ratio", unix_s)?;
        let cpus = self.range("xenmig_host_cpus", unix_s)?;
        let taken = self.range(&both("sampled_timestamp_seconds"), unix_s)?;
        let guest = by_time(guest.iter().filter(own));
        let taken = by_time(taken.iter().filter(own));
        let (busy, cpus) = (by_time(busy.iter()), by_time(cpus.iter()));
        let mut observations = BTreeMap::<i64, Observation>::new();
        // By host, so that a curve is never one half of one host's and one half of another's.
        let mut seen = BTreeMap::<(i64, String), Vec<(Duration, Pages)>>::new();
        for series in curves.iter().filter(own) {
            let within = series.label("within_seconds").parse().ok();
            let within = within.and_then(|s| Duration::try_from_secs_f64(s).ok());
            let Some(within) = within else { continue };
            for (at, value) in series.values() {
                let points = seen.entry((at, series.label("instance").to_owned())).or_default();
                points.push((within, Pages(value as u64)));
            }
        }
        for ((at, host), mut points) in seen {
            points.sort_unstable();
            let here = (at, host);
            let busy = busy.get(&here).copied();
            let cpus = cpus.get(&here).map(|cpus| *cpus as u32);
            // Each is served until the next is taken: what is the same sample counts once.
            let at_unix_s = taken.get(&here).map_or(here.0, |taken| *taken as i64);
            let observation = Observation {
                at_unix_s,
                weight: 1,
                points,
                guest_cpus: guest.get(&here).copied().unwrap_or_default(),
                host_cpus: busy.zip(cpus).map(|(busy, cpus)| (busy * f64::from(cpus), cpus)),
            };
            // The first time it is there is nearest to it.
            observations.entry(at_unix_s).or_insert(observation);
        }
        Ok(Some(Past { domain: logged, observations: observations.into_values().collect() }))
    }

    /// UUIDs of all domains of which something was seen in a stretch of time.
    ///
    /// # Errors
    /// As [`Prometheus::past`].
    pub fn domains(&self, unix_s: (i64, i64)) -> Result<BTreeSet<String>> {
        let all = self.range("xenmig_domain_memory_bytes", unix_s)?;
        Ok(all.iter().map(|series| series.label("uuid").to_owned()).collect())
    }

    /// The series of `query`, in as many pieces as it takes.
    fn range(&self, query: &str, (from, to): (i64, i64)) -> Result<Vec<Series>> {
        let piece = MOST * STEP.as_secs() as i64;
        let mut all = Vec::new();
        for start in (from..=to).step_by(piece as usize) {
            let end = to.min(start + piece - 1);
            let path = format!("{}/api/v1/query_range", self.url);
            let answer: Answer = self.ask(
                &path,
                &[
                    ("query", query.to_owned()),
                    ("start", start.to_string()),
                    ("end", end.to_string()),
                    ("step", STEP.as_secs().to_string()),
                ],
            )?;
            match answer.data {
                Some(data) if answer.status == "success" => all.extend(data.result),
                _ => return Err(self.odd(&answer.error)),
            }
        }
        Ok(all)
    }

    fn ask<T: DeserializeOwned>(&self, path: &str, words: &[(&str, String)]) -> Result<T> {
        let words = words.iter().map(|(name, value)| (*name, value.as_str()));
        let answer = self.agent.get(path).query_pairs(words).call();
        let mut answer = answer.map_err(|cause| {
            Error::new(Kind::Io, format!("cannot ask Prometheus at {}", self.url))
                .because(cause)
                .hint("--prometheus takes the server's address, as http://prometheus:9090")
        })?;
        answer.body_mut().read_json().map_err(|cause| self.odd(&cause.to_string()))
    }

    fn odd(&self, what: &str) -> Error {
        let url = &self.url;
        Error::new(Kind::Data, format!("the answer of Prometheus at {url} is odd: {what}"))
            .hint("does it scrape `xenmig record`?")
    }
}

/// Values by time and host.
fn by_time<'a>(all: impl Iterator<Item = &'a Series>) -> BTreeMap<(i64, String), f64> {
    let values = |series: &'a Series| {
        let host = series.label("instance").to_owned();
        series.values().map(move |(at, value)| ((at, host.clone()), value))
    };
    all.flat_map(values).collect()
}
