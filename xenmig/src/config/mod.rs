//! The configuration file, by default /etc/xenmig/xenmig.toml: what it says, and what that means
//! for one domain and one target. `contrib/xenmig.toml` lists every key with its default.

mod mistake;
mod sections;
mod settings;
mod value;

use std::path::{Path, PathBuf};

use serde::Deserialize;

pub use settings::{CostOverride, SamplingSettings, Settings};

use crate::error::{Error, Kind, Result};
use crate::record;
use sections::{
    BudgetSection, CostsSection, DomainSection, LinkSection, PathsSection, RecordSection,
    SampleSection, SteerSection, TargetSection, ThresholdsSection, XenSection,
};

/// Where the configuration is looked for when none is named.
pub const DEFAULT_FILE: &str = "/etc/xenmig/xenmig.toml";

/// Where finished migrations are remembered when the configuration does not say.
pub const DEFAULT_STATE_DIR: &str = "/var/lib/xenmig";

/// A configuration file's content. [`Config::default`] is the empty file.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    link: LinkSection,
    budget: BudgetSection,
    sample: SampleSection,
    thresholds: ThresholdsSection,
    costs: CostsSection,
    steer: SteerSection,
    record: RecordSection,
    xen: XenSection,
    paths: PathsSection,
    target: Vec<TargetSection>,
    domain: Vec<DomainSection>,
}

impl Config {
    /// Reads the file `explicit`, or [`DEFAULT_FILE`] when that is `None`; then a missing file is
    /// the same as an empty one.
    ///
    /// # Errors
    /// [`Kind::Usage`] when `explicit` does not exist, or as [`Config::parse`];
    /// [`Kind::Permission`] or [`Kind::Io`] when the file cannot be read.
    pub fn load(explicit: Option<&Path>) -> Result<Self> {
        Self::load_or_default(explicit, Path::new(DEFAULT_FILE))
    }

    fn load_or_default(explicit: Option<&Path>, default: &Path) -> Result<Self> {
        let path = explicit.unwrap_or(default);
        match std::fs::read_to_string(path) {
            Ok(text) => Self::parse(&text, path),
            Err(cause) if cause.kind() == std::io::ErrorKind::NotFound => match explicit {
                None => Ok(Self::default()),
                Some(_) => Err(Error::new(
                    Kind::Usage,
                    format!("there is no configuration file {}", path.display()),
                )
                .hint(format!("without --config, {DEFAULT_FILE} is read if it exists"))),
            },
            Err(cause) => Err(Error::file(path, "read", cause)),
        }
    }

    /// Reads `text`; `path` only names it in errors.
    ///
    /// # Errors
    /// [`Kind::Usage`] with path, line and key when it is no TOML, has a key that nothing reads
    /// (the nearest known one is in the error), or a value that the key cannot have.
    pub fn parse(text: &str, path: &Path) -> Result<Self> {
        toml::from_str(text).map_err(|error| mistake::explain(text, path, &error))
    }

    /// What holds for the domain called `domain`, on its way to `target` if that is known.
    ///
    /// Every `[[domain]]` and `[[target]]` whose pattern matches the name counts, in the order of
    /// the file; what is written later wins. For the bandwidth, `[[domain]]` wins over `[[target]]`
    /// and that over `[link]`.
    #[must_use]
    pub fn settings(&self, domain: &str, target: Option<&str>) -> Settings {
        let mut settings = Settings::default();
        self.budget.apply(&mut settings.budget);
        self.sample.apply(&mut settings.sampling);
        self.thresholds.apply(&mut settings.thresholds);
        self.costs.apply(&mut settings.costs);
        self.steer.apply(&mut settings.steering);
        settings.bandwidth = self.link.bandwidth;
        let named = target.into_iter().flat_map(|target| {
            self.target.iter().filter(move |section| section.name.matches(target))
        });
        for section in named {
            settings.bandwidth = section.bandwidth.or(settings.bandwidth);
        }
        for section in self.domain.iter().filter(|section| section.name.matches(domain)) {
            section.budget.apply(&mut settings.budget);
            section.sample.apply(&mut settings.sampling);
            section.thresholds.apply(&mut settings.thresholds);
            section.steer.apply(&mut settings.steering);
            settings.bandwidth = section.bandwidth.or(settings.bandwidth);
        }
        settings
    }

    /// How `xenmig record` works.
    #[must_use]
    pub fn record(&self) -> record::Settings {
        let mut settings = record::Settings::default();
        self.record.apply(&mut settings);
        settings
    }

    /// Programs that save domains on this host, to be watched while sampling; empty: those that
    /// the Xen layer finds by itself.
    #[must_use]
    pub fn save_helpers(&self) -> &[PathBuf] {
        &self.xen.save_helpers
    }

    /// The wrapper that steers saves; `None`: it is looked for beside the program.
    #[must_use]
    pub fn hook(&self) -> Option<&Path> {
        self.xen.hook.as_deref()
    }

    /// Where finished migrations are remembered.
    #[must_use]
    pub fn state_dir(&self) -> &Path {
        self.paths.state_dir.as_deref().unwrap_or(Path::new(DEFAULT_STATE_DIR))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_default_file_is_an_empty_one_and_a_missing_explicit_one_an_error() {
        let nowhere = Path::new("/nonexistent/xenmig.toml");
        assert_eq!(Config::load_or_default(None, nowhere).unwrap(), Config::default());
        let error = Config::load_or_default(Some(nowhere), nowhere).unwrap_err();
        assert_eq!(error.kind(), Kind::Usage);
        assert!(error.to_string().contains("/nonexistent/xenmig.toml"), "{error}");
    }
}
