//! `xenmig doctor`: can this host do what xenmig needs?

use std::process::ExitCode;

use xenmig::config::Settings;
use xenmig::history::Calibration;
use xenmig::host::{Finding, Health};
use xenmig::units::show_duration;
use xenmig::{Error, Kind, Result};

use crate::cli::Global;
use crate::output::{self, Style};
use crate::session::Session;

pub fn run(global: &Global) -> Result<ExitCode> {
    let findings = match Session::open(global) {
        Ok(session) => {
            let known = about_predictions(&session.settings("", None), session.calibration(None));
            session.host().findings().into_iter().chain(known).collect()
        }
        // That there is no Xen here is what the user wants to be told.
        Err(error) if matches!(error.kind(), Kind::NoXen | Kind::Permission) => {
            vec![unreachable(&error)]
        }
        Err(error) => return Err(error),
    };
    output::print(&if global.json {
        output::json::doctor(&findings)?
    } else {
        output::text::doctor(&findings, Style::stdout())
    })?;
    let bad = findings.iter().any(|finding| finding.state == Health::Bad);
    Ok(ExitCode::from(u8::from(bad)))
}

/// What predictions rest on besides the sample.
fn about_predictions(settings: &Settings, learnt: Option<Calibration>) -> [Finding; 2] {
    let rate = settings.bandwidth.or(learnt.map(|learnt| learnt.bandwidth));
    let finish = settings.costs.finish.or(learnt.map(|learnt| learnt.costs.finish));
    let finding = |what, known: Option<String>, unknown: &str, advice: &str| match known {
        Some(found) => Finding { what, state: Health::Good, found, advice: None },
        None => {
            let advice = Some(advice.to_owned());
            Finding { what, state: Health::Limited, found: unknown.to_owned(), advice }
        }
    };
    [
        finding(
            "link",
            rate.map(|rate| format!("migrations are predicted with {rate}")),
            "its bandwidth is not known: without --bandwidth nothing is predicted, and no guest \
             may go",
            "write `link.bandwidth` into /etc/xenmig/xenmig.toml",
        ),
        finding(
            "costs",
            finish.map(|finish| format!("{} of downtime beside the copy", show_duration(finish))),
            "what devices and resumption add to downtime is not known, and is taken for nothing",
            "migrations made with xenmig teach it; until then, write `costs.finish` into \
             /etc/xenmig/xenmig.toml (some 300 ms with one network card)",
        ),
    ]
}

fn unreachable(error: &Error) -> Finding {
    Finding {
        what: if error.kind() == Kind::NoXen { "xen" } else { "rights" },
        state: Health::Bad,
        found: error.to_string(),
        advice: error.advice().map(str::to_owned),
    }
}
