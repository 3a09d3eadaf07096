//! `xenmig hook`: the environment in which saves are steered.

#![allow(clippy::unwrap_used, reason = "these are tests")]

mod common;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use common::{Place, Ran};
use insta::assert_snapshot;

/// The program with wrapper, library and libxl's helper, all as small as can be.
struct Installed {
    place: Place,
}

impl Installed {
    fn new(helpers_xen: &str) -> Self {
        let linked = |version: &str| format!("\0libxenctrl.so.{version}\0");
        let place = Place::new()
            .file("xenmig-save-helper", "")
            .file("libxenmig_precopy.so", linked("4.17"))
            .file("libxl-save-helper", linked(helpers_xen));
        fs::copy(env!("CARGO_BIN_EXE_xenmig"), place.path("xenmig")).unwrap();
        Self { place }
    }

    fn folder(&self) -> PathBuf {
        self.place.path("").canonicalize().unwrap()
    }

    fn run(&self, arguments: &[&str]) -> Ran {
        let mut command = Command::new(self.place.path("xenmig"));
        command.current_dir(self.folder()).args(arguments);
        command.env("XENMIG_STOCK_HELPER", self.folder().join("libxl-save-helper"));
        for name in ["XENMIG_PRECOPY_LIBRARY", "RUST_LOG", "COLUMNS"] {
            command.env_remove(name);
        }
        Ran::of(command.env("LC_ALL", "C.UTF-8"))
    }

    /// Everything it said, with `/usr/bin` for its folder.
    fn said(&self, arguments: &[&str]) -> String {
        self.run(arguments).all().replace(self.folder().to_str().unwrap(), "/usr/bin")
    }
}

#[test]
fn a_shell_takes_the_environment() {
    let installed = Installed::new("4.17");
    let limits = ["--downtime", "300ms", "--total", "unlimited", "--bytes", "20GiB"];
    let rest = ["--on-miss", "throttle", "--telemetry", "events"];
    assert_snapshot!(installed.said(&[&["hook", "--print-env"], &limits[..], &rest].concat()));
    assert_snapshot!(installed.said(&["hook", "--json", "--downtime", "300ms"]));
    assert_snapshot!(installed.said(&["hook"]));
}

#[test]
fn the_configuration_goes_with_it() {
    let installed = Installed::new("4.17");
    let folder = installed.folder();
    fs::write(folder.join("my.toml"), "[budget]\ndowntime = \"1s\"").unwrap();
    assert_snapshot!(installed.said(&["hook", "--print-env", "--config", "my.toml"]));
    fs::write(folder.join("my.toml"), "[budget]\ndowntme = \"1s\"").unwrap();
    installed.run(&["hook", "--print-env", "--config", "my.toml"]).refused(64, &["downtme"]);
}

#[test]
fn parts_that_do_not_fit_are_told() {
    let installed = Installed::new("4.20");
    let shown = installed.run(&["hook"]);
    assert!(shown.stdout.contains("\nSaves follow Xen's own policy:\n  /"), "{}", shown.all());
    let document = installed.run(&["hook", "--json"]).json();
    assert!(document["trouble"].as_str().unwrap().contains("belongs to Xen 4.20"), "{document}");
    let print = ["hook", "--print-env", "--downtime", "300ms"];
    installed.run(&print).refused(70, &["built for Xen 4.17", "belongs to Xen 4.20"]);
    fs::remove_file(installed.place.path("libxenmig_precopy.so")).unwrap();
    installed.run(&print).refused(70, &["libxenmig_precopy.so is not installed"]);
    fs::remove_file(installed.place.path("xenmig-save-helper")).unwrap();
    installed.run(&print).refused(70, &["xenmig-save-helper is not installed"]);
}

#[test]
fn limits_are_read_before_they_reach_a_save() {
    let installed = Installed::new("4.17");
    for (option, value) in
        [("--downtime", "soon"), ("--total", "1 apple"), ("--bytes", "3s"), ("--on-miss", "cry")]
    {
        installed.run(&["hook", "--print-env", option, value]).refused(64, &[option, value]);
    }
}

#[test]
fn what_the_shell_evaluates_is_what_was_given() {
    let installed = Installed::new("4.17");
    let odd = "it's a $file";
    let script =
        r#"eval "$(./xenmig hook --print-env --telemetry "$1")"; echo "$XENMIG_TELEMETRY""#;
    let mut shell = Command::new("sh");
    shell.current_dir(installed.folder()).args(["-c", script, "sh", odd]);
    shell.env("XENMIG_STOCK_HELPER", installed.folder().join("libxl-save-helper"));
    let ran = Ran::of(&mut shell);
    assert_eq!(Path::new(ran.stdout.trim_end()), installed.folder().join(odd));
}
