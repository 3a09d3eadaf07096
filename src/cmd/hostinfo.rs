//! `xenmig hostinfo`: what does this host have, and how busy is it?

use std::process::ExitCode;

use xenmig::Result;
use xenmig::inventory::Inventory;

use crate::cli::{Global, Hostinfo};
use crate::output::{self, Style};
use crate::session::Session;

pub fn run(args: &Hostinfo, global: &Global) -> Result<ExitCode> {
    let session = Session::open(global)?;
    let inventory = Inventory::take(session.host(), &args.disk, &session.stop)?;
    output::print(&if global.json {
        output::json::text(&inventory.document())?
    } else {
        output::text::hostinfo(&inventory, Style::stdout())
    })?;
    Ok(ExitCode::SUCCESS)
}
