//! `xenmig check`: may this domain be migrated now, and what would it cost?

use std::path::Path;
use std::process::ExitCode;

use xenmig::check::{self, Options, Policy, Report};
use xenmig::config::Settings;
use xenmig::dirty::Sample;
use xenmig::host::Domain;
use xenmig::{Kind, Result};

use super::asking::{self, Question};
use super::quantity;
use super::sampling::{self, Trace};
use crate::cli::{Check, Global};
use crate::exit;
use crate::output::{self, Style};
use crate::session::Session;

pub fn run(args: &Check, global: &Global) -> Result<ExitCode> {
    // The command line is read before a host is looked at.
    let bandwidth = args.bandwidth.as_deref();
    let bandwidth = bandwidth.map(|b| quantity::bandwidth("--bandwidth", b)).transpose()?;
    sampling::with_budget(Settings::default(), &args.budget, &args.sampling)?;
    let question = Question::of_check(&args.destination)?;

    let session = Session::open(global)?;
    let found = match session.host().find(&args.domain) {
        Err(error) if error.kind() != Kind::NoSuchDomain => return Err(error),
        found => found,
    };
    let name = found.as_ref().map_or(args.domain.as_str(), |domain| domain.name.as_str());
    // A domain that does not exist can go nowhere.
    let target = match (&found, &question) {
        (Ok(domain), Some(question)) => Some(question.ask(&asking::disks(&session, domain))?),
        _ => None,
    };
    let to = target.as_ref().map(|target| target.name.as_str());
    let settings = sampling::with_budget(session.settings(name, to), &args.budget, &args.sampling)?;
    let calibration = session.calibration(to);
    let options = Options {
        settings: &settings,
        calibration: calibration.as_ref(),
        bandwidth,
        sample_anyway: false,
        policy: Policy::Stock,
        target: target.as_ref(),
    };
    let report = match &found {
        Ok(domain) => {
            session.prepare_to_sample()?;
            let mut bar = sampling::bar(domain, global);
            let mut progress = |done| bar.set(done);
            check::check(session.host(), domain, &options, &session.stop, &mut progress)?
        }
        Err(error) => Report::no_such_domain(&args.domain, error, &options),
    };
    output::print(&if global.json {
        output::json::text(&report.document())?
    } else {
        output::text::check(&report, Style::stdout())
    })?;
    if let (Some(file), Ok(domain)) = (&args.trace, &found) {
        keep(file, domain, &options, report.sample.as_ref())?;
    }
    Ok(match report.judgement.verdict {
        _ if session.interrupted() => exit::interrupted(),
        verdict => exit::of_verdict(verdict),
    })
}

/// Writes the trace that was asked for.
fn keep(file: &Path, domain: &Domain, options: &Options, sample: Option<&Sample>) -> Result<()> {
    let Some(sample) = sample else {
        log::warn!("nothing was sampled, so {} was not written", file.display());
        return Ok(());
    };
    Trace::create(Some(file), domain, &options.plan(domain))?.write(sample)
}
