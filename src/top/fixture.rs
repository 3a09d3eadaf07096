//! Simulated hosts to test the table with.

use clap::Parser;

use super::{Asked, Snapshot, Watch};
use crate::cli::{Cli, Command, Top};
use crate::session::Session;

/// The options of `xenmig top` with these arguments.
pub fn arguments(more: &[&str]) -> Top {
    match Cli::parse_from([&["xenmig", "top"], more].concat()).command {
        Command::Top(top) => top,
        other => unreachable!("{other:?}"),
    }
}

/// A session on the built-in host, or on the one that a scene describes.
pub fn session(host: &str) -> Session {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("host.toml");
    let host = match host {
        "builtin" => "sim".to_owned(),
        scene => {
            std::fs::write(&file, scene).unwrap();
            format!("sim:{}", file.display())
        }
    };
    let cli = Cli::parse_from(["xenmig", "--host", &host, "--config", "/dev/null", "doctor"]);
    Session::open(&cli.global).unwrap()
}

/// What `top --once` sees there.
pub fn snapshot(host: &str) -> Snapshot {
    let (session, args) = (session(host), arguments(&[]));
    let asked = Asked::read(&args).unwrap();
    Watch::new(&session, &asked).once(&mut |_, _| {}).unwrap()
}
