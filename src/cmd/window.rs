//! `xenmig window`: when would a migration of this domain cost least?

use std::process::ExitCode;

use xenmig::Result;
use xenmig::config::Settings;

use super::{quantity, sampling};
use crate::cli::{Global, Window};
use crate::outlook::{Outlook, Source, View};
use crate::output::{self, Style};
use crate::session::Memory;

pub fn run(args: &Window, global: &Global) -> Result<ExitCode> {
    sampling::with_time_budget(Settings::default(), &args.budget)?;
    let at = quantity::moment("--at", args.at.as_deref())?;
    let bandwidth = args.bandwidth.as_deref();
    let bandwidth = bandwidth.map(|b| quantity::bandwidth("--bandwidth", b)).transpose()?;
    let horizon = quantity::time("--horizon", &args.horizon)?;
    let count = args.count as usize;
    let view = View { horizon, count, bandwidth, ..View::new(Memory::open(global)?, at) };

    let source = Source::open(&args.log, view.memory.config())?;
    let past = source.past(&args.domain, (i64::MIN, at.as_second()))?;
    let past = past.ok_or_else(|| source.unknown(&args.domain))?;
    // By its name, even if it was asked for by UUID.
    let settings = view.memory.settings(&past.domain.name);
    let settings = sampling::with_time_budget(settings, &args.budget)?;
    let outlook = Outlook::new(past, &source, &view, &settings)?;
    output::print(&if global.json {
        output::json::text(&output::json::window(&outlook))?
    } else {
        output::text::window(&outlook, Style::stdout())
    })?;
    Ok(ExitCode::SUCCESS)
}
