//! docs/json.md names all that `--json` prints.

mod common;

use std::collections::BTreeSet;

use common::{Place, sim};
use serde_json::Value;
use xenmig::policy::gate::RULES;

const PAGE: &str = include_str!("../docs/json.md");
const TOP: &str = include_str!("../docs/top.md");

#[test]
fn every_rule_is_in_the_table() {
    for rule in RULES {
        let conclusion = rule.conclusion.map(|conclusion| conclusion.to_string());
        let letter = conclusion.and_then(|text| text.chars().last());
        let letter = letter.map_or(" ".to_owned(), |letter| format!(" {letter} "));
        let row = format!("| `{}` | {} |{letter}|", rule.code, rule.when);
        assert!(PAGE.lines().any(|line| line == row), "not in docs/json.md: {row}");
    }
}

/// The names of all fields, but not of those inside `evidence`, which belongs to each reason.
fn names(document: &Value, found: &mut BTreeSet<String>) {
    match document {
        Value::Object(fields) => {
            for (name, value) in fields {
                found.insert(name.clone());
                if !["evidence", "environment"].contains(&name.as_str()) {
                    names(value, found);
                }
            }
        }
        Value::Array(all) => all.iter().for_each(|value| names(value, found)),
        _ => {}
    }
}

#[test]
fn every_field_is_named() {
    let place = Place::new();
    let limits = ["--downtime", "300ms", "--total", "1h", "--bytes", "1TiB"];
    let with = |words: &[&str], more: &[&str]| sim(&[words, more, &["--json"]].concat()).stdout;
    let documents = [
        with(&["check", "db"], &limits),
        with(&["check", "batch"], &[]),
        with(&["sample", "db", "--bitmap"], &[]),
        with(&["predict", "db", "--bandwidth", "1Gbit/s"], &[]),
        with(&["migrate", "db", "h2"], &limits),
        with(&["migrate", "batch", "h2", "--force"], &[]),
        with(&["migrate", "db", "h2", "--dry-run"], &limits),
        with(&["hostinfo", "--disk", "/dev/sda"], &[]),
        with(&["top", "--once"], &[]),
        with(&["doctor"], &[]),
        with(&["recover"], &[]),
        place.run(&["hook", "--json"]).stdout,
    ];
    let mut found = BTreeSet::new();
    for document in
        documents.iter().flat_map(|text| serde_json::Deserializer::from_str(text).into_iter())
    {
        names(&document.unwrap(), &mut found);
    }
    assert!(found.len() > 100, "{found:?}");
    let is_named = |name: &&String| {
        let words = [PAGE, TOP].map(|page| page.split(['`', '"']));
        words
            .into_iter()
            .flatten()
            .any(|word| word.trim_start_matches('.').trim_end_matches("[]") == name.as_str())
    };
    let missing: Vec<_> = found.iter().filter(|name| !is_named(name)).collect();
    assert!(missing.is_empty(), "not in docs/json.md: {missing:?}");
}
