//! What the program writes without a host.

use std::fs;
use std::path::Path;
use std::process::Command;

/// Nobody has edited it by hand, and no picture is older than its figures.
#[test]
fn the_papers_page_is_what_its_data_draws() {
    let committed = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/paper");
    let drawn = tempfile::tempdir().unwrap();
    fs::create_dir(drawn.path().join("data")).unwrap();
    for entry in fs::read_dir(committed.join("data")).unwrap() {
        let name = Path::new("data").join(entry.unwrap().file_name());
        fs::copy(committed.join(&name), drawn.path().join(&name)).unwrap();
    }
    let mut draw = Command::new(env!("CARGO_BIN_EXE_xenlab"));
    let draw = draw.args(["experiment", "all", "--draw", "--out"]).arg(drawn.path());
    assert!(draw.status().unwrap().success());
    let pictures = (2..=7).map(|number| format!("fig{number}.svg"));
    for name in pictures.chain(["README.md".into(), "data/thresholds.json".into()]) {
        let text = |folder: &Path| fs::read_to_string(folder.join(&name)).unwrap();
        assert!(text(&committed) == text(drawn.path()), "{name}: run `DRAW=1 make paper`");
    }
}
