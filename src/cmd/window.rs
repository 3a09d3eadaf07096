//! `xenmig window`: when would a migration of this domain cost least?

use std::process::ExitCode;

use xenmig::Result;

use super::quantity;
use super::viewing::Viewing;
use crate::cli::{Global, Window};
use crate::output::{self, Style};

pub fn run(args: &Window, global: &Global) -> Result<ExitCode> {
    let horizon = quantity::time("--horizon", &args.horizon)?;
    let mut viewing = Viewing::open(&args.viewpoint, global)?;
    (viewing.view.horizon, viewing.view.count) = (horizon, args.count as usize);
    let past = viewing.past(&args.domain, (i64::MIN, viewing.view.at.as_second()))?;
    let outlook = viewing.outlook(past)?;
    output::print(&if global.json {
        output::json::text(&output::json::window(&outlook))?
    } else {
        output::text::window(&outlook, Style::stdout())
    })?;
    Ok(ExitCode::SUCCESS)
}
