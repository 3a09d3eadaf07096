//! What the commands share that look into the past: whose past, as of when, by what limits.

use xenmig::Result;
use xenmig::config::Settings;
use xenmig::history::Past;

use super::{quantity, sampling};
use crate::cli::{Global, Viewpoint};
use crate::outlook::{Outlook, Source, View};
use crate::session::Memory;

/// An open source, and what is the same for all domains in it.
pub struct Viewing<'a> {
    asked: &'a Viewpoint,
    pub view: View,
    pub source: Source,
}

impl<'a> Viewing<'a> {
    pub fn open(asked: &'a Viewpoint, global: &Global) -> Result<Self> {
        sampling::with_time_budget(Settings::default(), &asked.budget)?;
        let at = quantity::moment("--at", asked.at.as_deref())?;
        let bandwidth = asked.bandwidth.as_deref();
        let bandwidth = bandwidth.map(|b| quantity::bandwidth("--bandwidth", b)).transpose()?;
        let view = View { bandwidth, ..View::new(Memory::open(global)?, at) };
        let source = Source::open(&asked.log, view.memory.config())?;
        Ok(Self { asked, view, source })
    }

    /// What was seen of a domain between two times.
    pub fn past(&self, domain: &str, stretch: (i64, i64)) -> Result<Past> {
        self.source.past(domain, stretch)?.ok_or_else(|| self.source.unknown(domain))
    }

    /// What a past says of the future, by the limits of its domain.
    pub fn outlook(&self, past: Past) -> Result<Outlook> {
        // By its name, even if it was asked for by UUID.
        let settings = self.view.memory.settings(&past.domain.name);
        let settings = sampling::with_time_budget(settings, &self.asked.budget)?;
        Outlook::new(past, &self.source, &self.view, &settings)
    }
}
