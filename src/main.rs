//! The command `xenmig`: reads the arguments, runs a subcommand, turns its result into an exit
//! status. All that it knows is in the library.

mod cli;
mod cmd;
mod exit;
mod outlook;
mod output;
mod progress;
mod session;
mod top;

use std::process::ExitCode;

use clap::{CommandFactory, FromArgMatches};

fn main() -> ExitCode {
    let cli = match arguments() {
        Ok(cli) => cli,
        Err(error) => {
            // Nobody is left to read it when printing fails.
            let _ = error.print();
            return if error.use_stderr() { exit::usage() } else { ExitCode::SUCCESS };
        }
    };
    start_log(&cli.global);
    cmd::run(&cli).unwrap_or_else(|error| {
        output::error(&error);
        exit::of_error(&error)
    })
}

fn arguments() -> Result<cli::Cli, clap::Error> {
    let built_for = match xenmig::xen::BUILT_FOR {
        "none" => "built without Xen's libraries".to_owned(),
        version => format!("built for Xen {version}"),
    };
    let version = format!("{} ({built_for})", env!("CARGO_PKG_VERSION"));
    // clap keeps it for the rest of the run.
    let matches = cli::Cli::command().version(&*version.leak()).try_get_matches()?;
    cli::Cli::from_arg_matches(&matches)
}

/// Logs go to stderr; how much is said by -v and -q, or else by `RUST_LOG`.
fn start_log(global: &cli::Global) {
    use log::LevelFilter;
    let mut logger = env_logger::Builder::new();
    logger.filter_level(LevelFilter::Warn).format_target(false).format_timestamp(None);
    match (global.quiet, global.verbose) {
        (true, _) => logger.filter_level(LevelFilter::Error),
        (false, 0) => logger.parse_default_env(),
        (false, 1) => logger.filter_level(LevelFilter::Info),
        (false, 2) => logger.filter_level(LevelFilter::Debug),
        (false, _) => logger.filter_level(LevelFilter::Trace),
    };
    logger.init();
}
