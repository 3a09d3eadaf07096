//! `xenmig top`: a live table of the domains, and what migrating each would cost.

use std::io::IsTerminal;
use std::process::ExitCode;
use std::sync::Arc;

use xenmig::host::{DomId, Domain};
use xenmig::{Error, Kind, Result};

use super::sampling;
use crate::cli::{Global, Top};
use crate::exit;
use crate::output::{self, Style};
use crate::progress::Progress;
use crate::session::Session;
use crate::top::{self, Asked, Controls, Snapshot, Update, Watch};

pub fn run(args: &Top, global: &Global) -> Result<ExitCode> {
    let asked = Asked::read(args)?;
    let stopped = match (args.once, global.json) {
        (true, _) => once(&asked, global)?,
        (false, true) => lines(&asked, global)?,
        (false, false) if is_terminal() => top::on_screen(global, &asked)?,
        (false, false) => {
            let what = "`top` draws on a terminal, and standard input or output is none";
            return Err(Error::new(Kind::Usage, what)
                .hint("`xenmig top --once` prints a plain table, `--json` a line per refresh"));
        }
    };
    Ok(if stopped { exit::interrupted() } else { ExitCode::SUCCESS })
}

fn is_terminal() -> bool {
    std::io::stdin().is_terminal() && std::io::stdout().is_terminal()
}

/// Samples each domain once and prints what it saw; says whether a signal came.
fn once(asked: &Asked<'_>, global: &Global) -> Result<bool> {
    let session = Session::open(global)?;
    session.prepare_to_sample()?;
    let mut bar: Option<(DomId, Progress)> = None;
    let snapshot = Watch::new(&session, asked).once(&mut |domain: &Domain, done| {
        if bar.as_ref().is_none_or(|(id, _)| *id != domain.id) {
            // The old one clears its line before the new one draws.
            drop(bar.take());
            bar = Some((domain.id, sampling::bar(domain, global)));
        }
        if let Some((_, bar)) = &mut bar {
            bar.set(done);
        }
    })?;
    drop(bar);
    output::print(&if global.json {
        output::json::text(&output::json::top(&snapshot))?
    } else {
        output::text::top(&snapshot, Style::stdout())
    })?;
    Ok(session.interrupted())
}

/// Prints a line of JSON at each refresh until a signal comes or nobody reads any more; says which.
fn lines(asked: &Asked<'_>, global: &Global) -> Result<bool> {
    let session = Session::open(global)?;
    session.prepare_to_sample()?;
    let controls = Controls { stop: Arc::clone(&session.stop), ..Controls::default() };
    let line =
        |snapshot: &Snapshot| output::stream(&output::json::line(&output::json::top(snapshot))?);
    top::live(&mut Watch::new(&session, asked), &controls, &mut |update| match update {
        Update::Refreshed(snapshot) => line(&snapshot),
        Update::Ready | Update::Looked(_) | Update::Sampling(..) => Ok(true),
    })?;
    Ok(session.interrupted())
}
