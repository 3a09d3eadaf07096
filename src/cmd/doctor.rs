//! `xenmig doctor`: can this host do what xenmig needs?

use std::process::ExitCode;

use xenmig::host::{Finding, Health};
use xenmig::{Error, Kind, Result};

use crate::cli::Global;
use crate::output::{self, Style};
use crate::session::Session;

pub fn run(global: &Global) -> Result<ExitCode> {
    let findings = match Session::open(global) {
        Ok(session) => session.host().findings(),
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

fn unreachable(error: &Error) -> Finding {
    Finding {
        what: if error.kind() == Kind::NoXen { "xen" } else { "rights" },
        state: Health::Bad,
        found: error.to_string(),
        advice: error.advice().map(str::to_owned),
    }
}
