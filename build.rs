//! Man pages and shell completions out of src/cli.rs: into `XENMIG_ASSETS_DIR` where that is set,
//! else below cargo's own output directory.

use std::path::{Path, PathBuf};
use std::{env, fs, io};

use clap::{CommandFactory, ValueEnum};
use clap_complete::Shell;

#[allow(dead_code, reason = "the fields are for the program; here only the command counts")]
#[path = "src/cli.rs"]
mod cli;

fn main() -> io::Result<()> {
    println!("cargo::rerun-if-changed=src/cli.rs");
    println!("cargo::rerun-if-env-changed=XENMIG_ASSETS_DIR");
    let below_out = || env::var_os("OUT_DIR").map(|out| Path::new(&out).join("assets"));
    let assets = env::var_os("XENMIG_ASSETS_DIR").map(PathBuf::from).or_else(below_out);
    let assets = assets.ok_or_else(|| io::Error::other("cargo sets OUT_DIR"))?;

    let pages = assets.join("man");
    fs::create_dir_all(&pages)?;
    clap_mangen::generate_to(cli::Cli::command(), &pages)?;

    let completions = assets.join("completions");
    fs::create_dir_all(&completions)?;
    for shell in Shell::value_variants() {
        clap_complete::generate_to(*shell, &mut cli::Cli::command(), "xenmig", &completions)?;
    }
    Ok(())
}
