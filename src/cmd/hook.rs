//! `xenmig hook`: the environment in which libxl's saves are steered.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::ValueEnum;
use xenmig::config::Config;
use xenmig::migrate::hook::HELPER_VARIABLE;
use xenmig::migrate::installed::{Parts, STOCK_VARIABLE};
use xenmig::migrate::settings::{
    BYTES_VARIABLE, CONFIG_VARIABLE, DOWNTIME_VARIABLE, ON_MISS_VARIABLE, TELEMETRY_VARIABLE,
    TOTAL_VARIABLE,
};
use xenmig::{Error, Kind, Result};

use super::quantity;
use crate::cli::{Global, Hook};
use crate::output::{self, Style};

pub fn run(args: &Hook, global: &Global) -> Result<ExitCode> {
    let limits = limits(args)?;
    // What is wrong with it is better known now than in a save.
    let config = Config::load(global.config.as_deref())?;
    let configured = config.save_helpers().first().cloned();
    let parts = Parts::find(configured.clone(), config.hook().map(ToOwned::to_owned));
    let mut environment = Vec::new();
    if let Some(wrapper) = &parts.wrapper {
        environment.push((HELPER_VARIABLE, text(wrapper)?));
    }
    if configured.is_some()
        && let Some(stock) = &parts.stock
    {
        environment.push((STOCK_VARIABLE, text(stock)?));
    }
    let files = [(CONFIG_VARIABLE, &global.config), (TELEMETRY_VARIABLE, &args.telemetry)];
    for (name, file) in files {
        if let Some(file) = file {
            environment.push((name, text(&absolute(file)?)?));
        }
    }
    environment.extend(limits);
    output::print(&if global.json {
        output::json::hook(&parts, &environment)?
    } else if args.print_env {
        if let Some(trouble) = parts.trouble() {
            return Err(Error::new(
                Kind::Unsupported,
                format!("saves cannot be steered: {trouble}"),
            )
            .hint("`xenmig hook` shows what was found where"));
        }
        output::text::exports(&environment)
    } else {
        output::text::hook(&parts, Style::stdout())
    })?;
    Ok(ExitCode::SUCCESS)
}

/// What was given of the budget, as it was written, if it can be read.
fn limits(args: &Hook) -> Result<Vec<(&'static str, String)>> {
    let budget = &args.budget;
    let mut given = Vec::new();
    if let Some(limit) = &budget.time.downtime {
        quantity::time_limit("--downtime", limit)?;
        given.push((DOWNTIME_VARIABLE, limit.clone()));
    }
    if let Some(limit) = &budget.time.total {
        quantity::time_limit("--total", limit)?;
        given.push((TOTAL_VARIABLE, limit.clone()));
    }
    if let Some(limit) = &budget.bytes {
        quantity::size_limit("--bytes", limit)?;
        given.push((BYTES_VARIABLE, limit.clone()));
    }
    if let Some(value) = args.on_miss.and_then(|on_miss| on_miss.to_possible_value()) {
        given.push((ON_MISS_VARIABLE, value.get_name().to_owned()));
    }
    Ok(given)
}

/// A migration may be started from another folder.
fn absolute(file: &Path) -> Result<PathBuf> {
    std::path::absolute(file).map_err(|cause| {
        Error::new(Kind::Usage, format!("where is {}?", file.display())).because(cause)
    })
}

fn text(path: &Path) -> Result<String> {
    path.to_str().map(str::to_owned).ok_or_else(|| {
        Error::new(Kind::Usage, format!("{} is not written in UTF-8", path.display()))
    })
}
