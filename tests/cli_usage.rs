//! Help, wrong usage, `doctor`, `recover`, and what happens where there is no Xen.

mod common;

use std::path::Path;
use std::process::Stdio;

use common::{Place, Ran, faulty, sim};
use insta::assert_snapshot;

const COMMANDS: [&str; 13] = [
    "check", "predict", "sample", "top", "migrate", "hostinfo", "place", "hook", "record",
    "window", "report", "doctor", "recover",
];

#[test]
fn help() {
    let mut all = Place::new().run(&["--help"]).all();
    for command in COMMANDS {
        all += &format!("\n=== {command}\n{}", Place::new().run(&[command, "--help"]).all());
    }
    assert_snapshot!(all);
}

#[test]
fn every_command_has_an_example() {
    for command in COMMANDS {
        let help = Place::new().run(&[command, "--help"]).stdout;
        assert!(help.contains("Example") && help.contains(&format!("xenmig {command}")), "{help}");
    }
}

#[test]
fn the_version_says_for_which_xen() {
    let ran = Place::new().run(&["--version"]);
    assert_eq!(ran.status, 0);
    let said = ["(built for Xen 4.", "(built without Xen's libraries)"];
    assert!(said.iter().any(|said| ran.stdout.contains(said)), "{}", ran.stdout);
    assert!(ran.stdout.starts_with(&format!("xenmig {} ", env!("CARGO_PKG_VERSION"))));
}

#[test]
fn wrong_usage_exits_with_64() {
    Place::new().run(&[]).refused(64, &["Usage"]);
    sim(&["chekc", "db"]).refused(64, &["unrecognized subcommand", "check"]);
    sim(&["check"]).refused(64, &["<DOMAIN>"]);
    sim(&["check", "db", "--windows", "0"]).refused(64, &["--windows"]);
    sim(&["predict", "db", "--policy", "magic"]).refused(64, &["stock", "budget"]);
    Place::new().run(&["--host", "kvm", "doctor"]).refused(64, &["sim:FILE.toml"]);
}

#[test]
fn a_wrong_unit_names_the_option_and_gives_an_example() {
    let wrong = |option: &str, value: &str, words: &[&str]| {
        let option_named = [words, &[option, value][..]].concat();
        Place::new().run(&["check", "db", option, value]).refused(64, &option_named);
    };
    wrong("--downtime", "300", &["is not a duration", "300ms"]);
    wrong("--total", "1minute", &["is not a duration"]);
    wrong("--bytes", "4G", &["is not a size", "4GiB"]);
    wrong("--bandwidth", "10Gbps", &["is not a bandwidth", "10Gbit/s"]);
    wrong("--window", "0s", &["above 0"]);
    let migrate = ["migrate", "db", "h2", "--downtime", "300"];
    Place::new().run(&migrate).refused(64, &["--downtime", "is not a duration"]);
    sim(&["predict", "db", "--bandwidth", "1Gbit/s,fast"]).refused(64, &["--bandwidth: `fast`"]);
    sim(&["predict", "db", "--deadline", "soon"]).refused(64, &["--deadline: `soon`"]);
}

#[test]
fn an_unknown_key_of_the_configuration_is_named() {
    let place = Place::new().file("xenmig.toml", "[budget]\ndowntme = '300ms'\n");
    let ran = place.sim(&["check", "db", "--config", "xenmig.toml"]);
    ran.refused(64, &["xenmig.toml, line 2", "budget.downtme", "did you mean `budget.downtime`"]);
    let missing = place.sim(&["check", "db", "--config", "none.toml"]);
    missing.refused(64, &["none.toml"]);
}

#[test]
fn a_simulated_host_that_is_none() {
    let place = Place::new().file("host.toml", "[[domain]]\nname = 'a'\nmemry = '1GiB'\n");
    place.run(&["--host", "sim:host.toml", "doctor"]).refused(64, &["host.toml", "memry"]);
    place.run(&["--host", "sim:none.toml", "doctor"]).refused(65, &["none.toml"]);
}

#[test]
fn without_xen_it_says_what_to_do() {
    if Path::new("/dev/xen/privcmd").exists() {
        return eprintln!("skipped: this is a Xen host");
    }
    for arguments in
        [&["check", "db"][..], &["sample", "db"], &["migrate", "db", "h2"], &["recover"]]
    {
        Place::new().run(arguments).refused(69, &["error: ", "Xen", "hint: ", "`--host sim`"]);
    }
    let doctor = Place::new().run(&["doctor"]);
    assert!(doctor.status == 1 && doctor.stdout.contains("bad     xen"), "{}", doctor.all());
}

#[test]
fn without_permission_it_exits_with_77() {
    let place = Place::new().file("host.toml", "[host]\nno_permission = true\n");
    place.run(&["--host", "sim:host.toml", "check", "db"]).refused(77, &["hint: ", "root"]);
}

#[test]
fn doctor() {
    assert_snapshot!(sim(&["doctor"]).all());
}

#[test]
fn doctor_as_a_document() {
    assert_snapshot!(sim(&["doctor", "--json"]).all());
}

#[test]
fn doctor_exits_with_1_where_something_is_missing() {
    let place = Place::new().file("host.toml", "[host]\nhap = false\nno_permission = true\n");
    assert_snapshot!(place.run(&["--host", "sim:host.toml", "doctor"]).all());
}

#[test]
fn recover() {
    assert_snapshot!(faulty(&["recover"]).all());
    assert_snapshot!(sim(&["recover"]).stdout, @"Nothing to clean up.\n");
    assert_eq!(sim(&["recover", "--keep-suspended"]).stdout, "Nothing to clean up.\n");
}

#[test]
fn a_domain_to_resume_must_exist_and_be_suspended() {
    sim(&["recover", "--resume", "nobody"]).refused(64, &["nobody"]);
    sim(&["recover", "--resume", "db"]).refused(70, &["cannot resume domain 3"]);
    sim(&["recover", "--resume", "db", "--keep-suspended"]).refused(64, &["--keep-suspended"]);
}

#[test]
fn recover_as_a_document() {
    assert_snapshot!(faulty(&["recover", "--json"]).all());
}

#[test]
fn quiet_and_verbose() {
    assert_eq!(faulty(&["-q", "check", "mute", "--json"]).stderr, "");
    assert!(faulty(&["check", "mute", "--json"]).stderr.contains("domain 11"));
    faulty(&["-q", "-v", "doctor"]).refused(64, &["cannot be used with"]);
}

#[test]
fn a_reader_that_has_seen_enough_is_no_error() {
    let place = Place::new();
    let mut command = place.command(&["--host", "sim", "sample", "db"]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), output.stderr.as_slice()), (Some(0), &b""[..]));
}

#[test]
fn there_is_no_colour_where_there_is_no_terminal() {
    let outputs: [Ran; 3] = [sim(&["check", "batch"]), sim(&["doctor"]), faulty(&["sample", "x"])];
    assert!(outputs.iter().all(|ran| !ran.all().contains('\x1b')));
}

#[test]
fn no_line_is_wider_than_80_columns() {
    for arguments in [
        &["check", "batch"][..],
        &["check", "db"],
        &["sample", "db", "--bitmap"],
        &["predict", "batch", "--bandwidth", "1Gbit/s,10Gbit/s", "--downtime", "300ms,unlimited"],
        &["migrate", "web", "h2"],
        &["migrate", "batch", "h2"],
        &["migrate", "web", "h2", "--dry-run"],
        &["hostinfo", "--disk", "/dev/drbd0"],
        &["doctor"],
    ] {
        for line in sim(arguments).stdout.lines() {
            assert!(line.chars().count() <= 80, "{line}");
        }
    }
    for line in faulty(&["check", "pinned"]).stdout.lines() {
        assert!(line.chars().count() <= 80, "{line}");
    }
}
