//! `xenmig sample`: how fast does this domain dirty its memory?

use std::process::ExitCode;

use xenmig::Result;
use xenmig::dirty::{Ended, Heat, Plan};

use super::sampling::{self, Trace};
use crate::cli::{Global, Sample};
use crate::exit;
use crate::output::{self, Style};
use crate::session::Session;

/// Hot ranges shown.
const RANGES: usize = 10;

pub fn run(args: &Sample, global: &Global) -> Result<ExitCode> {
    let session = Session::open(global)?;
    let domain = session.host().find(&args.domain)?;
    let settings = session.config.settings(&domain.name, None).sampling;
    let plan = sampling::with_options(settings, &args.sampling)?.plan;
    let plan = Plan { bitmap: args.bitmap, ..plan };
    let trace = Trace::create(args.trace.as_deref(), &domain, &plan)?;

    let sample = sampling::take(&session, &domain, &plan, global)?;
    sampling::explain_end(&sample);
    let heat = Heat::of(&sample.bitmaps, RANGES);
    output::print(&if global.json {
        output::json::sample(&sample, heat.as_ref())?
    } else {
        output::text::sample(&sample, heat.as_ref(), Style::stdout())
    })?;
    trace.write(&sample)?;
    let interrupted = sample.ended() == Ended::Interrupted;
    Ok(if interrupted { exit::interrupted() } else { ExitCode::SUCCESS })
}
