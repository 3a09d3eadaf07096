//! The configuration file: what it means, and what is said about a bad one.

use std::path::Path;
use std::time::Duration;

use xenmig::config::{Config, Settings};
use xenmig::units::{Bytes, BytesPerSecond};
use xenmig::{Error, Kind};

fn parse(text: &str) -> Config {
    Config::parse(text, Path::new("test.toml")).unwrap_or_else(|error| panic!("{error}"))
}

fn refused(text: &str) -> Error {
    let error = Config::parse(text, Path::new("test.toml")).expect_err(text);
    assert_eq!(error.kind(), Kind::Usage, "{error}");
    error
}

/// The sample file with every key in force.
fn sample() -> String {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../contrib/xenmig.toml");
    let text = std::fs::read_to_string(path).unwrap_or_else(|e| panic!("{path}: {e}"));
    let uncomment = |line: &str| match line.strip_prefix('#') {
        Some(key) if !key.is_empty() && !key.starts_with(' ') => key.to_owned(),
        _ => line.to_owned(),
    };
    text.lines().map(uncomment).collect::<Vec<_>>().join("\n")
}

#[test]
fn the_sample_file_uncommented_has_the_defaults() {
    let config = parse(&sample());
    let mut settings = config.settings("nobody", None);
    // These have no default but an example.
    assert_eq!(settings.bandwidth, BytesPerSecond::new(1.25e9));
    assert!(settings.costs.per_page.is_some() && settings.costs.finish.is_some());
    settings.bandwidth = None;
    settings.costs = Settings::default().costs;
    assert_eq!(settings, Settings::default());
    assert_eq!(config.record(), Config::default().record());
    assert_eq!(config.state_dir(), Config::default().state_dir());
    assert_eq!(config.save_helpers(), Config::default().save_helpers());
}

/// A key missing from the sample would be one that no user learns of.
#[test]
fn the_sample_file_has_every_key() {
    let text = sample();
    for section in ["link", "budget", "sample", "thresholds", "costs", "record", "xen", "paths"] {
        let (_, rest) = text.split_once(&format!("\n[{section}]")).expect(section);
        let body = rest.split("\n[").next().unwrap_or_default();
        let error = refused(&format!("[{section}]\nzzzzzz = 1"));
        let known = error.advice().expect("it lists what is known here");
        for key in known.trim_start_matches("known here: ").split(", ") {
            assert!(body.contains(&format!("\n{key} = ")), "[{section}] lacks {key}");
        }
    }
}

#[test]
fn the_sample_file_as_it_is_changes_nothing() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../contrib/xenmig.toml");
    let config = Config::load(Some(Path::new(path))).unwrap();
    assert_eq!(config, Config::default());
}

#[test]
fn an_unknown_key_is_named_with_its_path_its_line_and_the_nearest_known_one() {
    let error = refused("[budget]\ntotal = \"9s\"\ndowntme = \"300ms\"\n");
    assert_eq!(error.to_string(), "test.toml, line 3: there is no key `budget.downtme`");
    assert_eq!(error.advice(), Some("did you mean `budget.downtime`?"));

    let error = refused("[sampel]\nwindow = \"1s\"\n");
    assert_eq!(error.to_string(), "test.toml, line 1: there is no key `sampel`");
    assert_eq!(error.advice(), Some("did you mean `sample`?"));

    let nested =
        "[[domain]]\nname = \"a\"\n[[domain]]\nname = \"b\"\n[domain.sample]\nwindws = 3\n";
    let error = refused(nested);
    assert_eq!(error.to_string(), "test.toml, line 6: there is no key `domain.sample.windws`");
    assert_eq!(error.advice(), Some("did you mean `domain.sample.windows`?"));

    let error = refused("link = { bandwith = \"1Gbit/s\" }\n");
    assert_eq!(error.advice(), Some("did you mean `link.bandwidth`?"));

    let error = refused("[budget]\nxyzzy = 1\n");
    assert_eq!(error.advice(), Some("known here: downtime, total, bytes"));
}

#[test]
fn a_bad_value_is_refused_with_its_key_and_line() {
    for (text, key, says) in [
        ("[budget]\ndowntime = \"soon\"", "`budget.downtime`", "`soon` is not a duration"),
        ("\nlink.bandwidth = \"10Gbps\"", "`link.bandwidth`", "10Gbit/s"),
        ("[budget]\nbytes = 5", "`budget.bytes`", "string"),
        ("[sample]\nwindows = 0", "`sample.windows`", "nonzero"),
        ("[sample]\nratio = 1", "`sample.ratio`", "above 1"),
        ("[sample]\nwindow = \"0s\"", "`sample.window`", "above 0"),
        ("[thresholds]\nease = 90", "`thresholds.ease`", "from 0 to 1"),
        ("[thresholds]\nfree_cpus = -1", "`thresholds.free_cpus`", "number of CPUs"),
        ("[thresholds]\nshared_storage = [\"[\"]", "`thresholds.shared_storage`", "pattern"),
        ("[costs]\nper_page_s = -1", "`costs.per_page_s`", "seconds"),
        ("[record]\ninterval = \"0s\"", "`record.interval`", "above 0"),
        ("[[target]]\nname = \"***\"", "`target.name`", "pattern"),
    ] {
        let error = refused(text).to_string();
        assert!(error.contains(key) && error.contains(says), "{error}");
        assert!(error.contains("line 2"), "{error}");
    }
    let error = refused("[[domain]]\nbandwidth = \"1Gbit/s\"").to_string();
    assert!(error.contains("missing field `name`"), "{error}");
    let error = refused("[link\n").to_string();
    assert!(error.contains("line 1"), "{error}");
}

const LAYERS: &str = r#"
    [link]
    bandwidth = "10Gbit/s"
    [budget]
    downtime = "500ms"
    total = "1min"
    [thresholds]
    free_cpus = 0.7
    [[target]]
    name = "rack2-*"
    bandwidth = "1Gbit/s"
    [[domain]]
    name = "db-*"
    bandwidth = "5Gbit/s"
    budget = { downtime = "200ms", bytes = "8GiB" }
    [[domain]]
    name = "db-batch?"
    budget.downtime = "unlimited"
    sample.windows = 5
    thresholds.free_cpus = 0.5
"#;

#[test]
fn later_and_more_special_sections_win() {
    let config = parse(LAYERS);
    let rate = |domain, target| config.settings(domain, target).bandwidth.map(|rate| rate.get());
    assert_eq!(rate("web", None), Some(1.25e9));
    assert_eq!(rate("web", Some("rack1-a")), Some(1.25e9));
    assert_eq!(rate("web", Some("rack2-a")), Some(125e6));
    assert_eq!(rate("db-1", Some("rack2-a")), Some(625e6));

    let web = config.settings("web", None);
    assert_eq!(web.budget.downtime, Some(Duration::from_millis(500)));
    assert_eq!((web.sampling.plan.windows, web.thresholds.free_cpus), (3, 0.7));

    let db = config.settings("db-1", None);
    assert_eq!(db.budget.downtime, Some(Duration::from_millis(200)));
    assert_eq!(db.budget.total, Some(Duration::from_secs(60)));
    assert_eq!(db.budget.bytes, Some(Bytes(8 << 30)));

    let batch = config.settings("db-batch1", None);
    assert_eq!((batch.budget.downtime, batch.budget.bytes), (None, Some(Bytes(8 << 30))));
    assert_eq!((batch.sampling.plan.windows, batch.thresholds.free_cpus), (5, 0.5));
}

#[test]
fn paths_are_taken_as_they_are() {
    let config = parse("[xen]\nsave_helpers = [\"/opt/xenguest\"]\n[paths]\nstate_dir = \"/x\"\n");
    assert_eq!(config.save_helpers(), [Path::new("/opt/xenguest")]);
    assert_eq!(config.state_dir(), Path::new("/x"));
}
