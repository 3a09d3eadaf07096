//! Logs that `xenmig record` keeps on a simulated host. Each is made once in a run of the tests.

use std::collections::BTreeMap;
use std::fs;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use crate::common::Place;

/// Which log: the scene, how long it was recorded, and how often each domain was sampled.
type Key = (String, String, String);
type Slot = Arc<OnceLock<Vec<u8>>>;

static LOGS: Mutex<BTreeMap<Key, Slot>> = Mutex::new(BTreeMap::new());

/// The log's file.
pub fn recorded(scene: &str, length: &str, interval: &str) -> Vec<u8> {
    let key = [scene, length, interval].map(str::to_owned);
    let slot = {
        let mut logs = LOGS.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(logs.entry(key.into()).or_default())
    };
    slot.get_or_init(|| record(scene, length, interval)).clone()
}

fn record(scene: &str, length: &str, interval: &str) -> Vec<u8> {
    let place = Place::new().file("scene.toml", scene);
    let words = ["--host", "sim:scene.toml", "record", "--listen", "none", "--store", "log.sqlite"];
    let ran = place.run(&[&words[..], &["--for", length, "--interval", interval]].concat());
    assert_eq!(ran.status, 0, "{}", ran.all());
    fs::read(place.path("log.sqlite")).unwrap()
}
