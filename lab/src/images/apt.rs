//! Packages of a Debian release, by the machine's apt with a configuration of
//! its own: nothing is installed, the machine's package state is not touched.

use std::fs;
use std::path::{Path, PathBuf};

use super::stage::stage;
use super::{Key, Tool};
use crate::error::Context;
use crate::{Error, Result};

const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";
const DEFAULT_HOST: &str = "http://deb.debian.org";

/// apt for one Debian release.
pub(super) struct Apt {
    dir: PathBuf,
}

impl Apt {
    /// With package lists from the cache, or fetched now.
    pub(super) fn ensure(cache: &Path, suite: &str) -> Result<Self> {
        let (archive, security) = (archive("debian"), archive("debian-security"));
        let key = Key::new("apt 2").add(suite).add((&archive, &security)).finish();
        let dir = stage(cache, &format!("apt-{suite}"), &key, |dir| {
            if !Path::new(KEYRING).exists() {
                let (program, package) = (KEYRING.into(), "debian-archive-keyring".into());
                return Err(Error::MissingTool { program, package });
            }
            for sub in ["state/lists/partial", "cache/archives/partial"] {
                fs::create_dir_all(dir.join(sub)).context(|| format!("creating {sub}"))?;
            }
            let source = format!(
                "deb [signed-by={KEYRING}] {archive} {suite} main\n\
                 deb [signed-by={KEYRING}] {security} {suite}-security main\n"
            );
            fs::write(dir.join("sources.list"), source)
                .and_then(|()| fs::write(dir.join("status"), ""))
                .context(|| format!("writing {}", dir.display()))?;
            let apt = Self { dir: dir.into() };
            apt.tool("apt-get").args(["update", "-q", "-o", "APT::Update::Error-Mode=any"]).run()
        })?;
        Ok(Self { dir })
    }

    fn tool(&self, program: &str) -> Tool {
        let dir = self.dir.display();
        let options = [
            format!("Dir::State={dir}/state"),
            format!("Dir::State::status={dir}/status"),
            format!("Dir::Cache={dir}/cache"),
            format!("Dir::Etc::sourcelist={dir}/sources.list"),
            "Dir::Etc::sourceparts=-".into(),
            "Dir::Etc::preferences=-".into(),
            "Dir::Etc::preferencesparts=-".into(),
            "APT::Sandbox::User=root".into(),
            "APT::Architecture=amd64".into(),
            "APT::Architectures=amd64".into(),
            "Acquire::Languages=none".into(),
            "Acquire::Retries=3".into(),
        ];
        Tool::new(program, "apt").args(options.iter().flat_map(|o| ["-o", o.as_str()]))
    }

    /// What the newest `package` depends on, by name.
    pub(super) fn depends(&self, package: &str) -> Result<Vec<String>> {
        let text = self.tool("apt-cache").args(["depends", package]).text()?;
        Ok(text
            .lines()
            .filter_map(|l| l.trim().strip_prefix("Depends: "))
            .map(Into::into)
            .collect())
    }

    /// Unpacks `packages`, without what they depend on, into `to`.
    pub(super) fn unpack(&self, packages: &[&str], to: &Path) -> Result<()> {
        let debs = tempfile::tempdir_in(&self.dir).context(|| "temporary folder".into())?;
        self.tool("apt-get")
            .current_dir(debs.path())
            .args(["download", "-q"])
            .args(packages)
            .run()?;
        unpack_all(debs.path(), to, |_| true)
    }

    /// Unpacks those of `packages` and of all they depend on for which
    /// `wanted` is true, into `to`.
    pub(super) fn unpack_with_depends(
        &self,
        packages: &[&str],
        wanted: impl Fn(&str) -> bool,
        to: &Path,
    ) -> Result<()> {
        let debs = tempfile::tempdir_in(&self.dir).context(|| "temporary folder".into())?;
        fs::create_dir(debs.path().join("partial")).context(|| "temporary folder".into())?;
        self.tool("apt-get")
            .args(["install", "-q", "-y", "--download-only", "--no-install-recommends", "-o"])
            .arg(format!("Dir::Cache::archives={}", debs.path().display()))
            .args(packages)
            .run()?;
        unpack_all(debs.path(), to, wanted)
    }
}

fn unpack_all(debs: &Path, to: &Path, wanted: impl Fn(&str) -> bool) -> Result<()> {
    for entry in fs::read_dir(debs).context(|| format!("reading {}", debs.display()))?.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.ends_with(".deb") && wanted(&name) {
            Tool::new("dpkg-deb", "dpkg").arg("-x").arg(entry.path()).arg(to).run()?;
        }
    }
    Ok(())
}

/// The Debian archive this machine uses, from its own apt sources: `name` is
/// `debian` or `debian-security`.
pub(super) fn archive(name: &str) -> String {
    let mut files = vec![PathBuf::from("/etc/apt/sources.list")];
    let parts = fs::read_dir("/etc/apt/sources.list.d").into_iter().flatten().flatten();
    files.extend(parts.map(|e| e.path()));
    files[1..].sort();
    files
        .iter()
        .filter_map(|f| fs::read_to_string(f).ok())
        .find_map(|text| archive_in(&text, name))
        .unwrap_or_else(|| format!("{DEFAULT_HOST}/{name}"))
}

/// The first http(s) address that ends in `/name`, in either format of apt.
fn archive_in(text: &str, name: &str) -> Option<String> {
    text.lines()
        .filter(|l| l.starts_with("deb ") || l.to_ascii_lowercase().starts_with("uris:"))
        .flat_map(str::split_whitespace)
        .map(|word| word.trim_end_matches('/'))
        .find(|word| word.starts_with("http") && word.rsplit('/').next() == Some(name))
        .map(Into::into)
}

#[cfg(test)]
mod tests {
    use super::archive_in;

    #[test]
    fn both_source_formats_give_the_archive() {
        let old = "# deb http://no.example/debian x\ndeb http://security.example/debian-security b\n\
                   deb [arch=amd64] https://mirror.example/debian/ bookworm main\n";
        assert_eq!(archive_in(old, "debian").as_deref(), Some("https://mirror.example/debian"));
        let security = archive_in(old, "debian-security");
        assert_eq!(security.as_deref(), Some("http://security.example/debian-security"));
        let new = "Types: deb\nURIs: http://mirror.example/debian\nSuites: bookworm\n";
        assert_eq!(archive_in(new, "debian").as_deref(), Some("http://mirror.example/debian"));
        assert_eq!(archive_in("deb https://other.example/apt x main", "debian"), None);
    }
}
