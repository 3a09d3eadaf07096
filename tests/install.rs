//! What `make install` puts where, and whether the parts find each other there.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

const REPO: &str = env!("CARGO_MANIFEST_DIR");

fn run(command: &mut Command) -> Output {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    output
}

/// Where programs and man pages were built for this test.
fn built() -> (PathBuf, PathBuf) {
    let profile = if cfg!(debug_assertions) { "dev" } else { "release" };
    let build = ["build", "--quiet", "--package", "xenmig-precopy", "--profile", profile];
    run(Command::new(env!("CARGO")).args(build).current_dir(REPO));
    let folder = Path::new(env!("CARGO_BIN_EXE_xenmig")).parent().unwrap();
    (folder.to_owned(), Path::new(env!("OUT_DIR")).join("assets"))
}

fn install(root: &Path, (build, assets): &(PathBuf, PathBuf)) -> Command {
    let mut install = Command::new(format!("{REPO}/scripts/install"));
    install.arg("/opt/x").env("DESTDIR", root).env("BUILD", build).env("ASSETS", assets);
    install
}

#[test]
fn what_is_installed_finds_its_parts() {
    let root = tempfile::tempdir().unwrap();
    let root = root.path().canonicalize().unwrap();
    let built = built();
    // As it was installed before there was `make install`.
    let old = root.join("opt/x/bin/xenmig-save-helper");
    fs::create_dir_all(old.parent().unwrap()).unwrap();
    fs::write(&old, "old").unwrap();
    let told = run(&mut install(&root, &built));
    let program = root.join("opt/x/bin/xenmig");
    assert!(String::from_utf8_lossy(&told.stdout).lines().any(|l| Path::new(l) == program));
    for file in ["share/man/man1/xenmig-check.1", "share/bash-completion/completions/xenmig"] {
        assert!(root.join("opt/x").join(file).is_file(), "{file}");
    }
    let hook = run(Command::new(&program).args(["hook", "--json", "--config", "/dev/null"]));
    let hook: serde_json::Value = serde_json::from_slice(&hook.stdout).unwrap();
    let folder = root.join("opt/x/lib/xenmig");
    let at = |name: &str| folder.join(name).to_str().unwrap().to_owned();
    assert_eq!(hook["wrapper"], at("xenmig-save-helper"));
    assert_eq!(hook["library"], at("libxenmig_precopy.so"));
    let daemon = include_str!("../contrib/libvirt/xenmig.conf");
    let helper =
        daemon.lines().find_map(|line| line.strip_prefix("Environment=LIBXL_SAVE_HELPER="));
    let helper = helper.unwrap().strip_prefix("/usr/local/").unwrap();
    assert!(root.join("opt/x").join(helper).is_file() && !old.exists(), "{helper}");
    let unit = fs::read_to_string(root.join("etc/systemd/system/xenmig-record.service")).unwrap();
    assert!(unit.contains("\nExecStart=/opt/x/bin/xenmig record\n"), "{unit}");

    // What an administrator wrote stays.
    let configuration = root.join("etc/xenmig/xenmig.toml");
    run(Command::new(&program).args(["--host", "sim", "doctor", "--config"]).arg(&configuration));
    fs::write(&configuration, "[link]\nbandwidth = \"10Gbit/s\"\n").unwrap();
    run(&mut install(&root, &built));
    assert!(fs::read_to_string(&configuration).unwrap().contains("10Gbit/s"));
}

#[test]
fn without_a_build_nothing_is_installed() {
    let root = tempfile::tempdir().unwrap();
    let nowhere = (PathBuf::from("/nowhere"), PathBuf::from("/nowhere"));
    let output = install(root.path(), &nowhere).output().unwrap();
    assert_eq!(output.status.code(), Some(65));
    assert!(String::from_utf8_lossy(&output.stderr).contains("make build"));
    assert_eq!(fs::read_dir(root.path()).unwrap().count(), 0);
}
