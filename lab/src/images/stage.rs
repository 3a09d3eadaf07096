//! Folders of the cache: built once, under a lock, complete or not there.

use std::fs::{self, File};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use rustix::fs::{FlockOperation, flock};

use crate::Result;
use crate::error::Context;

/// What a folder was made of. Not a secret, not a signature.
pub(crate) struct Key(DefaultHasher);

impl Key {
    pub(crate) fn new(what: &str) -> Self {
        Self(DefaultHasher::new()).add(what)
    }

    pub(crate) fn add(mut self, input: impl Hash) -> Self {
        input.hash(&mut self.0);
        self
    }

    pub(crate) fn finish(self) -> String {
        format!("{:016x}", self.0.finish())
    }
}

/// Takes the lock `path`, waiting for it. Held until the file is dropped.
pub(crate) fn lock(path: &Path) -> Result<File> {
    let file = File::options()
        .create(true)
        .append(true)
        .open(path)
        .context(|| format!("opening {}", path.display()))?;
    rustix::io::retry_on_intr(|| flock(&file, FlockOperation::LockExclusive))
        .context(|| format!("locking {}", path.display()))?;
    Ok(file)
}

/// The folder `name` of the cache with key `key`: as it is, or filled by
/// `build` in a temporary place and then moved there.
pub(crate) fn stage(
    cache: &Path,
    name: &str,
    key: &str,
    build: impl FnOnce(&Path) -> Result<()>,
) -> Result<PathBuf> {
    fs::create_dir_all(cache).context(|| format!("creating {}", cache.display()))?;
    let dir = cache.join(name);
    let _lock = lock(&cache.join(format!("{name}.lock")))?;
    let stamp = |dir: &Path| dir.join(".key");
    if fs::read_to_string(stamp(&dir)).is_ok_and(|k| k == key) {
        return Ok(dir);
    }
    let new = cache.join(format!("{name}.new"));
    remove(&new)?;
    fs::create_dir_all(&new).context(|| format!("creating {}", new.display()))?;
    eprintln!("xenlab: building {}", dir.display());
    build(&new)?;
    fs::write(stamp(&new), key).context(|| format!("writing {}", stamp(&new).display()))?;
    remove(&dir)?;
    fs::rename(&new, &dir).context(|| format!("renaming {}", new.display()))?;
    Ok(dir)
}

/// How many variants of a folder stay.
const VARIANTS: usize = 4;

/// As [`stage`], in a folder of its own for every key, so that several
/// versions of the lab can be used at the same time. Old ones are removed.
pub(crate) fn stage_variant(
    cache: &Path,
    name: &str,
    key: &str,
    build: impl FnOnce(&Path) -> Result<()>,
) -> Result<PathBuf> {
    let dir = stage(cache, &format!("{name}-{key}"), key, |dir| {
        build(dir)?;
        prune(cache, &format!("{name}-"));
        Ok(())
    })?;
    // The time of the last use, for whoever removes old ones.
    let used = File::options().append(true).open(dir.join(".key"));
    let _ = used.and_then(|file| file.set_modified(SystemTime::now()));
    Ok(dir)
}

/// Removes the variants that were not used for longest. What cannot be removed
/// only takes space.
fn prune(cache: &Path, prefix: &str) {
    let used = |dir: &Path| fs::metadata(dir.join(".key")).and_then(|m| m.modified()).ok();
    let mut dirs: Vec<(SystemTime, PathBuf)> = fs::read_dir(cache)
        .into_iter()
        .flatten()
        .flatten()
        .filter(|e| e.file_name().to_string_lossy().starts_with(prefix))
        .filter_map(|e| Some((used(&e.path())?, e.path())))
        .collect();
    dirs.sort();
    dirs.reverse();
    for (_, dir) in dirs.iter().skip(VARIANTS - 1) {
        let _ = fs::remove_dir_all(dir);
    }
}

/// Removes folders of the cache.
pub(crate) fn forget(cache: &Path, names: &[&str]) -> Result<()> {
    for name in names {
        let dir = cache.join(name);
        if dir.exists() {
            let _lock = lock(&cache.join(format!("{name}.lock")))?;
            remove(&dir)?;
        }
    }
    Ok(())
}

/// Removes the folders in `parent` whose `lock` file nobody holds: left by
/// processes that were killed.
pub(crate) fn sweep(parent: &Path) {
    for entry in fs::read_dir(parent).into_iter().flatten().flatten() {
        let dir = entry.path();
        let Ok(file) = File::open(dir.join("lock")) else {
            continue;
        };
        if flock(&file, FlockOperation::NonBlockingLockExclusive).is_ok() {
            // Somebody else sweeping at the same time is as good.
            let _ = fs::remove_dir_all(&dir);
        }
    }
}

fn remove(dir: &Path) -> Result<()> {
    match fs::remove_dir_all(dir) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
            Err(e).context(|| format!("removing {}", dir.display()))
        }
        _ => Ok(()),
    }
}
