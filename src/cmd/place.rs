//! `xenmig place`: which of these hosts suits a domain best?

use std::process::ExitCode;

use xenmig::Result;
use xenmig::config::Settings;
use xenmig::place::{Candidate, Unknown, place};

use super::asking::{Question, disks};
use super::{quantity, sampling};
use crate::cli::{Global, Place};
use crate::exit;
use crate::output::{self, Style};
use crate::session::Session;

pub fn run(args: &Place, global: &Global) -> Result<ExitCode> {
    // The command line is read before a host is looked at.
    let bandwidth = args.bandwidth.as_deref();
    let bandwidth = bandwidth.map(|b| quantity::bandwidth("--bandwidth", b)).transpose()?;
    let with_options = |settings| sampling::with_budget(settings, &args.budget, &args.sampling);
    with_options(Settings::default())?;
    let questions = Question::all(&args.hosts, &args.hosts_files, &args.asking)?;

    let session = Session::open(global)?;
    let domain = session.host().find(&args.domain)?;
    let disks = disks(&session, &domain);
    let (mut candidates, mut unknown) = (Vec::new(), Vec::new());
    for question in &questions {
        match question.ask(&disks) {
            Ok(target) => candidates.push(Candidate {
                settings: with_options(session.settings(&domain.name, Some(&target.name)))?,
                calibration: session.calibration(Some(&target.name)),
                target,
            }),
            Err(error) => unknown.push(Unknown { name: question.name(), error }),
        }
    }
    session.prepare_to_sample()?;
    let mut bar = sampling::bar(&domain, global);
    let mut progress = |done| bar.set(done);
    let host = session.host();
    let placement =
        place(host, &domain, &candidates, unknown, bandwidth, &session.stop, &mut progress)?;
    drop(bar);
    output::print(&if global.json {
        output::json::text(&placement.document())?
    } else {
        output::text::place(&placement, Style::stdout())
    })?;
    Ok(match placement.best() {
        _ if session.interrupted() => exit::interrupted(),
        Some(_) => ExitCode::SUCCESS,
        None if placement.ranked.is_empty() => exit::unreachable(),
        None => exit::refused(),
    })
}
