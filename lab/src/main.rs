//! `xenlab`: the lab from the command line.

mod cli;

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    cli::Arguments::parse().run().unwrap_or_else(|e| {
        eprintln!("xenlab: {e}");
        ExitCode::FAILURE
    })
}
