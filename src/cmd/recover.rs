//! `xenmig recover`: cleans up what a killed run left.

use std::process::ExitCode;

use xenmig::host::Recovery;
use xenmig::{Error, Kind, Result};

use crate::cli::{Global, Recover};
use crate::output::{self, Style};
use crate::session::Session;

pub fn run(args: &Recover, global: &Global) -> Result<ExitCode> {
    let session = Session::open(global)?;
    if let Some(name) = &args.resume {
        let host = session.host();
        host.release(&host.find(name)?)?;
        log::info!("{name} runs here again");
    }
    let how = if args.keep_suspended { Recovery::Tidy } else { Recovery::Resume };
    let recovered = session.host().recover(how)?;
    output::print(&if global.json {
        output::json::recover(&recovered)?
    } else {
        output::text::recover(&recovered, Style::stdout())
    })?;
    if let Some(dirty) = recovered.iter().find(|recovered| !recovered.clean) {
        let what = format!("domain {} could not be cleaned: {}", dirty.domid, dirty.what);
        return Err(
            Error::new(Kind::Busy, what).hint("run `xenmig recover` again when that is settled")
        );
    }
    Ok(ExitCode::SUCCESS)
}
