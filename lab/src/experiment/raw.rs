//! What was measured for a figure, as a JSON file: written once, read for every page and picture.

use std::fs;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::run::Run;
use crate::error::Context;
use crate::{Error, Result};

const SCHEMA: &str = "xenlab.paper/1";

/// All that was measured for one figure.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Measured {
    schema: String,
    /// The Xen it was measured on.
    pub(super) xen: String,
    /// What failed on the way.
    pub(super) failures: Vec<String>,
    pub(super) runs: Vec<Run>,
}

impl Measured {
    /// Nothing yet.
    pub(super) fn on(xen: &str) -> Self {
        let (schema, xen) = (SCHEMA.to_owned(), xen.to_owned());
        Self { schema, xen, failures: Vec::new(), runs: Vec::new() }
    }

    /// Adds what came of a point, and puts all runs in order.
    pub(super) fn add(&mut self, runs: Vec<Run>, failures: Vec<String>) {
        self.failures.extend(failures);
        self.runs.extend(runs);
        let order = |run: &Run| (run.curve, run.nth);
        self.runs.sort_by(|a, b| order(a).cmp(&order(b)).then(a.x.total_cmp(&b.x)));
    }

    /// Writes it.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub(super) fn save(&self, path: &Path) -> Result<()> {
        let text = serde_json::to_string_pretty(self).map_err(unexpected(path))?;
        fs::write(path, text + "\n").context(|| format!("writing {}", path.display()))
    }

    /// Reads what [`Measured::save`] wrote; `None` when there is no file.
    ///
    /// # Errors
    /// When the file cannot be read, or is another one.
    pub(super) fn load(path: &Path) -> Result<Option<Self>> {
        if !path.exists() {
            return Ok(None);
        }
        let text = fs::read_to_string(path).context(|| format!("reading {}", path.display()))?;
        let read: Self = serde_json::from_str(&text).map_err(unexpected(path))?;
        let known = read.schema == SCHEMA;
        known.then_some(Some(read)).ok_or_else(|| unexpected(path)("another schema"))
    }
}

fn unexpected<E: std::fmt::Display>(path: &Path) -> impl Fn(E) -> Error {
    move |cause| Error::Unexpected(format!("{} as {SCHEMA}: {cause}", path.display()))
}
