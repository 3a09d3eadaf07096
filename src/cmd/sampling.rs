//! What the sampling commands share: the plan, the progress bar, the trace file.

use std::path::Path;

use xenmig::config::{SamplingSettings, Settings};
use xenmig::dirty::{self, Ended, Plan, Sample, TraceWriter};
use xenmig::host::Domain;
use xenmig::{Error, Kind, Result};

use super::quantity;
use crate::cli::{Budget, Global, Sampling, TimeBudget};
use crate::progress::Progress;
use crate::session::Session;

/// `settings`, with what the command line says in its place.
pub fn with_options(
    mut settings: SamplingSettings,
    options: &Sampling,
) -> Result<SamplingSettings> {
    if let Some(window) = &options.window {
        let window = quantity::time("--window", window)?;
        (settings.plan.window, settings.min_window, settings.max_window) = (window, window, window);
    }
    settings.plan.windows = options.windows.unwrap_or(settings.plan.windows);
    Ok(settings)
}

/// `settings`, with the limits of time that the command line has in place of theirs.
pub fn with_time_budget(mut settings: Settings, asked: &TimeBudget) -> Result<Settings> {
    if let Some(limit) = &asked.downtime {
        settings.budget.downtime = quantity::time_limit("--downtime", limit)?;
    }
    if let Some(limit) = &asked.total {
        settings.budget.total = quantity::time_limit("--total", limit)?;
    }
    Ok(settings)
}

/// `settings`, with the budget and the sampling that the command line says in their place.
pub fn with_budget(settings: Settings, asked: &Budget, sampling: &Sampling) -> Result<Settings> {
    let mut settings = with_time_budget(settings, &asked.time)?;
    if let Some(limit) = &asked.bytes {
        settings.budget.bytes = quantity::size_limit("--bytes", limit)?;
    }
    settings.sampling = with_options(settings.sampling, sampling)?;
    Ok(settings)
}

/// Samples `domain` as `plan` says, with a bar on the terminal.
pub fn take(session: &Session, domain: &Domain, plan: &Plan, global: &Global) -> Result<Sample> {
    session.prepare_to_sample()?;
    let mut bar = bar(domain, global);
    dirty::sample(session.host(), domain, plan, &session.stop, &mut |done| bar.set(done))
}

/// The bar for sampling `domain`.
pub fn bar(domain: &Domain, global: &Global) -> Progress {
    let name = if domain.name.is_empty() { domain.id.to_string() } else { domain.name.clone() };
    Progress::new(format!("sampling {name}"), !global.quiet)
}

/// A trace that is made before sampling begins, so that a file that cannot be written costs the
/// guest nothing.
pub struct Trace(Option<TraceWriter>);

impl Trace {
    pub fn create(path: Option<&Path>, domain: &Domain, plan: &Plan) -> Result<Self> {
        path.map(|path| TraceWriter::create(path, domain, plan)).transpose().map(Self)
    }

    pub fn write(self, sample: &Sample) -> Result<()> {
        let Some(mut writer) = self.0 else {
            return Ok(());
        };
        writer.sample(sample)?;
        writer.finish().map(drop)
    }
}

/// Says on stderr why a sample is shorter than planned.
pub fn explain_end(sample: &Sample) {
    let id = sample.domain.id;
    match sample.ended() {
        Ended::Complete => {}
        Ended::Interrupted => log::warn!("interrupted; the dirty log of domain {id} is off again"),
        Ended::SaveBegan => log::warn!("a save of domain {id} began, which ended the sample"),
        Ended::DomainGone => log::warn!("domain {id} went away, which ended the sample"),
    }
}

/// The user stopped it before there was anything to tell.
pub fn interrupted() -> Error {
    Error::new(Kind::Interrupted, "interrupted; the dirty log is off")
}
