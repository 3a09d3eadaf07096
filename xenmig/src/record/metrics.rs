//! The board in Prometheus' text format. Names, labels and meanings are a contract: dashboards,
//! alerts and `xenmig window --prometheus` rely on them.

use prometheus::core::{MetricVec, MetricVecBuilder};
use prometheus::{Counter, CounterVec, Encoder, Gauge, GaugeVec, Opts, Registry, TextEncoder};

use super::board::{Board, Latest, Skip, WORKING_SET_S};
use crate::error::{Error, Kind, Result};
use crate::history::OutcomeRecord;
use crate::units::PAGE_SIZE;

/// What a scrape has to say that this is.
pub const CONTENT_TYPE: &str = prometheus::TEXT_FORMAT;

/// Labels of everything about one domain.
const DOMAIN: [&str; 2] = ["domain", "uuid"];

/// Builds one answer. A new registry each time: what is not there any more has no series.
struct Page {
    registry: Registry,
}

/// A value with its labels' values.
type Series = (Vec<String>, f64);

/// What a metric shows of a domain or a migration; `None` where it has no such value.
type Value<T> = fn(&T) -> Option<f64>;

/// Pages as bytes.
fn bytes(pages: f64) -> f64 {
    pages * PAGE_SIZE as f64
}

impl Page {
    /// Adds a family whose metrics `set` gives their values.
    fn add<B: MetricVecBuilder + 'static>(
        &self,
        family: MetricVec<B>,
        series: impl IntoIterator<Item = Series>,
        set: fn(&B::M, f64),
    ) -> prometheus::Result<()> {
        for (labels, value) in series {
            let labels: Vec<_> = labels.iter().map(String::as_str).collect();
            set(&family.get_metric_with_label_values(&labels)?, value);
        }
        self.registry.register(Box::new(family))
    }

    fn gauges(
        &self,
        name: &str,
        help: &str,
        labels: &[&str],
        series: impl IntoIterator<Item = Series>,
    ) -> prometheus::Result<()> {
        self.add(GaugeVec::new(Opts::new(name, help), labels)?, series, Gauge::set)
    }

    fn counters(
        &self,
        name: &str,
        help: &str,
        labels: &[&str],
        series: impl IntoIterator<Item = Series>,
    ) -> prometheus::Result<()> {
        self.add(CounterVec::new(Opts::new(name, help), labels)?, series, Counter::inc_by)
    }

    fn gauge(
        &self,
        name: &str,
        help: &str,
        value: impl Into<Option<f64>>,
    ) -> prometheus::Result<()> {
        self.gauges(name, help, &[], value.into().map(|value| (Vec::new(), value)))
    }

    fn counter(&self, name: &str, help: &str, value: f64) -> prometheus::Result<()> {
        self.counters(name, help, &[], [(Vec::new(), value)])
    }
}

/// The answer to a scrape.
///
/// # Errors
/// [`Kind::Internal`]: none is known.
pub fn text(board: &Board) -> Result<String> {
    let odd = |cause| Error::new(Kind::Internal, "cannot write metrics").because(cause);
    page(board).map_err(odd)
}

fn page(board: &Board) -> prometheus::Result<String> {
    let page = Page { registry: Registry::new_custom(Some("xenmig".into()), None)? };
    about_domains(&page, board)?;
    about_host(&page, board)?;
    about_sampling(&page, board)?;
    about_migrations(&page, &board.migrations)?;
    let mut text = Vec::new();
    TextEncoder::new().encode(&page.registry.gather(), &mut text)?;
    Ok(String::from_utf8_lossy(&text).into_owned())
}

fn about_domains(page: &Page, board: &Board) -> prometheus::Result<()> {
    let labels = |latest: &Latest| vec![latest.logged.name.clone(), latest.logged.uuid.to_string()];
    let each = |value: Value<Latest>| {
        board.domains.values().filter_map(move |d| Some((labels(d), value(d)?)))
    };
    let curve = board.domains.values().flat_map(|latest| {
        latest
            .points
            .iter()
            .map(move |(s, pages)| (([labels(latest), vec![format!("{s:.4}")]]).concat(), *pages))
    });
    page.gauges(
        "domain_dirty_pages",
        "Distinct pages dirtied within so many seconds of a clean state, by the last sample.",
        &["domain", "uuid", "within_seconds"],
        curve,
    )?;
    let gauges: [(&str, String, Value<Latest>); 9] = [
        (
            "domain_dirty_rate_pages_per_second",
            "Distinct pages dirtied per second over the window of the last sample.".into(),
            |d| Some(d.dirty_rate),
        ),
        (
            "domain_writable_working_set_bytes",
            format!(
                "Distinct memory written to within {WORKING_SET_S} s, as the last sample's curve goes on."
            ),
            |d| Some(bytes(d.working_set)),
        ),
        (
            "domain_predicted_downtime_seconds",
            "Downtime of a stock migration over the known bandwidth, by the last sample.".into(),
            |d| d.predicted.map(|cost| cost.downtime_s),
        ),
        (
            "domain_predicted_total_seconds",
            "Total time of a stock migration over the known bandwidth, by the last sample.".into(),
            |d| d.predicted.map(|cost| cost.total_s),
        ),
        (
            "domain_cpu_cores",
            "CPUs' worth of time that the domain's vCPUs used during the last sample.".into(),
            |d| Some(d.guest_cpus),
        ),
        ("domain_vcpus", "Online vCPUs.".into(), |d| Some(f64::from(d.logged.vcpus))),
        ("domain_memory_bytes", "Memory the domain really has.".into(), |d| {
            Some(bytes(d.logged.memory.0 as f64))
        }),
        ("domain_p2m_bytes", "Address space up to the domain's highest page frame.".into(), |d| {
            Some(bytes(d.logged.p2m_size.0 as f64))
        }),
        ("domain_sampled_timestamp_seconds", "When the last sample was taken.".into(), |d| {
            Some(d.at_unix_s as f64)
        }),
    ];
    for (name, help, value) in gauges {
        page.gauges(name, &help, &DOMAIN, each(value))?;
    }
    page.counters(
        "domain_samples_total",
        "Samples of the domain since the service began.",
        &DOMAIN,
        each(|d| Some(d.samples as f64)),
    )
}

fn about_host(page: &Page, board: &Board) -> prometheus::Result<()> {
    let version = vec![env!("CARGO_PKG_VERSION").to_owned(), board.xen_version.clone()];
    page.gauges("build_info", "Versions, as labels.", &["version", "xen"], [(version, 1.0)])?;
    let cpus = board.host_cpus;
    page.gauge("host_cpus", "Physical CPUs.", cpus.map(|(_, cpus)| f64::from(cpus)))?;
    page.gauge(
        "host_cpu_utilisation_ratio",
        "Share of the host's CPU time in use, all domains together.",
        cpus.map(|(used, cpus)| used / f64::from(cpus.max(1))),
    )?;
    let free = bytes(board.free_memory.0 as f64);
    page.gauge("host_free_memory_bytes", "Memory that no domain has.", free)
}

fn about_sampling(page: &Page, board: &Board) -> prometheus::Result<()> {
    page.counter("samples_total", "Samples taken.", board.samples as f64)?;
    page.counters(
        "samples_skipped_total",
        "Turns that brought no sample, by reason.",
        &["reason"],
        Skip::ALL.map(|skip| {
            let count = board.skipped.get(&skip).copied().unwrap_or(0);
            (vec![skip.name().to_owned()], count as f64)
        }),
    )?;
    page.counter(
        "log_dirty_seconds_total",
        "Time that some domain's dirty log was on for a sample.",
        board.log_dirty_s,
    )?;
    page.counter("cpu_seconds_total", "CPU time that the service used.", board.cpu_s)?;
    page.gauge(
        "sample_interval_seconds",
        "From one sample of a domain to the next.",
        board.interval_s,
    )?;
    page.gauge("store_size_bytes", "Size of the log on the disk.", board.store_bytes as f64)?;
    page.counter(
        "store_errors_total",
        "Attempts to write to the log that failed.",
        board.store_errors as f64,
    )?;
    page.gauge(
        "store_pending_samples",
        "Samples that wait in memory for the log to be writable.",
        board.pending as f64,
    )?;
    page.counter(
        "store_dropped_samples_total",
        "Samples that were dropped because too many waited.",
        board.dropped as f64,
    )
}

fn about_migrations(page: &Page, all: &[OutcomeRecord]) -> prometheus::Result<()> {
    let budget = |record: &OutcomeRecord| match record.kept {
        Some(true) => "kept",
        Some(false) => "broken",
        None => "unknown",
    };
    page.counters(
        "migrations_total",
        "Remembered migrations away from this host, by whether they kept their budget.",
        &["budget"],
        ["kept", "broken", "unknown"].map(|word| {
            let count = all.iter().filter(|record| budget(record) == word).count();
            (vec![word.to_owned()], count as f64)
        }),
    )?;
    // Of each domain the last one: a series for each migration would have no end.
    let mut last = std::collections::BTreeMap::new();
    for record in all {
        last.insert(&record.uuid, record);
    }
    let each = |value: Value<OutcomeRecord>| {
        let labels = |record: &OutcomeRecord| {
            vec![record.domain.clone(), record.uuid.clone(), record.target.clone()]
        };
        last.values().filter_map(move |r| Some((labels(r), value(r)?))).collect::<Vec<_>>()
    };
    let gauges: [(&str, &str, Value<OutcomeRecord>); 5] = [
        ("last_migration_timestamp_seconds", "When the domain's last migration ended.", |r| {
            Some(r.at_unix_s as f64)
        }),
        ("last_migration_downtime_seconds", "Downtime of the domain's last migration.", |r| {
            Some(r.downtime_s)
        }),
        ("last_migration_total_seconds", "Total time of the domain's last migration.", |r| {
            Some(r.total_s)
        }),
        (
            "last_migration_predicted_downtime_seconds",
            "Downtime that had been predicted for it.",
            |r| Some(r.predicted?.downtime_s),
        ),
        (
            "last_migration_predicted_total_seconds",
            "Total time that had been predicted for it.",
            |r| Some(r.predicted?.total_s),
        ),
    ];
    for (name, help, value) in gauges {
        page.gauges(name, help, &["domain", "uuid", "target"], each(value))?;
    }
    Ok(())
}
