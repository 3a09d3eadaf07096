//! The subcommands, one a file: each opens what it needs, asks the library, prints the answer.

mod asking;
mod check;
mod doctor;
mod hook;
mod hostinfo;
mod migrate;
mod place;
mod predict;
pub mod quantity;
mod record;
mod recover;
mod report;
mod sample;
pub mod sampling;
mod top;
mod viewing;
mod window;

use std::process::ExitCode;

use xenmig::Result;

use crate::cli::{Cli, Command};

/// Runs the subcommand.
pub fn run(cli: &Cli) -> Result<ExitCode> {
    match &cli.command {
        Command::Check(args) => check::run(args, &cli.global),
        Command::Predict(args) => predict::run(args, &cli.global),
        Command::Sample(args) => sample::run(args, &cli.global),
        Command::Top(args) => top::run(args, &cli.global),
        Command::Hook(args) => hook::run(args, &cli.global),
        Command::Migrate(args) => migrate::run(args, &cli.global),
        Command::Hostinfo(args) => hostinfo::run(args, &cli.global),
        Command::Place(args) => place::run(args, &cli.global),
        Command::Record(args) => record::run(args, &cli.global),
        Command::Window(args) => window::run(args, &cli.global),
        Command::Report(args) => report::run(args, &cli.global),
        Command::Doctor(_) => doctor::run(&cli.global),
        Command::Recover(args) => recover::run(args, &cli.global),
    }
}
