//! Where the hook's parts are on this machine, and whether they fit together: the wrapper that
//! libxl is to run as its save helper, the library it preloads, and libxl's own helper.
//!
//! The wrapper compiles this file too, and must not be linked with Xen's libraries: it has to work
//! when those it was built with have gone. So here are only std and memchr.

use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use memchr::memmem;

/// Environment variable: the library to preload, in place of the one beside the wrapper.
pub const LIBRARY_VARIABLE: &str = "XENMIG_PRECOPY_LIBRARY";
/// Environment variable: libxl's own save helper, in place of the one that is found.
pub const STOCK_VARIABLE: &str = "XENMIG_STOCK_HELPER";

/// Name of the wrapper that preloads the hook into libxl's save helper.
pub const WRAPPER: &str = "xenmig-save-helper";

/// The parts as this program finds them.
#[derive(Debug, Clone, Default)]
pub struct Parts {
    /// What libxl is to run; `None` when it is not installed.
    pub wrapper: Option<PathBuf>,
    /// What the wrapper will preload; `None` when it is not installed.
    pub library: Option<PathBuf>,
    /// What the wrapper will become; `None` when there is no libxl.
    pub stock: Option<PathBuf>,
}

impl Parts {
    /// Looks around the program that runs, which is linked with the host's libxl. `stock` is
    /// libxl's helper and `wrapper` the one before it, where the configuration names them.
    #[must_use]
    pub fn find(stock: Option<PathBuf>, wrapper: Option<PathBuf>) -> Self {
        let variable = |name| std::env::var_os(name).map(PathBuf::from);
        let wrapper = wrapper.map_or_else(own_wrapper, |named| named.is_file().then_some(named));
        let library = variable(LIBRARY_VARIABLE)
            .or_else(|| wrapper.as_deref().and_then(Path::parent).and_then(library));
        let not = wrapper.as_deref().unwrap_or(Path::new(""));
        let stock = stock_helper(variable(STOCK_VARIABLE).or(stock), "self", not);
        Self { wrapper, library, stock }
    }

    /// Why saves cannot be steered; `None` when they can.
    #[must_use]
    pub fn trouble(&self) -> Option<String> {
        match self {
            Self { wrapper: None, .. } => Some(format!("{WRAPPER} is not installed")),
            Self { library: None, .. } => Some("libxenmig_precopy.so is not installed".to_owned()),
            Self { stock: None, .. } => Some("libxl's own save helper was not found".to_owned()),
            Self { library: Some(library), stock: Some(stock), .. } => misfit(library, stock),
        }
    }
}

/// The wrapper that belongs to the program that runs: beside it, or in `../libexec/xenmig` or
/// `../lib/xenmig`.
#[must_use]
pub fn own_wrapper() -> Option<PathBuf> {
    wrapper(std::env::current_exe().ok()?.parent()?)
}

/// The wrapper that belongs to the program in the folder `bin`.
#[must_use]
pub fn wrapper(bin: &Path) -> Option<PathBuf> {
    beside(bin, WRAPPER, &["", "../libexec/xenmig", "../lib/xenmig"])
}

/// The library that belongs to the wrapper in the folder `bin`.
#[must_use]
pub fn library(bin: &Path) -> Option<PathBuf> {
    beside(bin, "libxenmig_precopy.so", &["", "../lib/xenmig", "../../lib/xenmig"])
}

fn beside(folder: &Path, name: &str, places: &[&str]) -> Option<PathBuf> {
    let all = places.iter().map(|place| folder.join(place).join(name));
    all.filter(|path| path.is_file()).find_map(|path| path.canonicalize().ok())
}

/// libxl's own save helper: `named`, or what the libxl in process `pid` (a number, or `self`) has
/// built in, or where packages put it. Never `wrapper`, which would then run itself for ever.
#[must_use]
pub fn stock_helper(named: Option<PathBuf>, pid: &str, wrapper: &Path) -> Option<PathBuf> {
    const USUAL: [&str; 3] = ["/usr/lib/xen/bin", "/usr/libexec/xen/bin", "/usr/local/lib/xen/bin"];
    let identity = |path: &Path| std::fs::metadata(path).map(|meta| (meta.dev(), meta.ino())).ok();
    let not = identity(wrapper);
    let usual = USUAL.iter().map(|folder| Path::new(folder).join("libxl-save-helper"));
    let mut all = named.into_iter().chain(built_in_helper(pid)).chain(usual);
    all.find(|path| path.is_file() && identity(path) != not)
}

/// The save helper that the libxl in process `pid` (a number, or `self`) has built in: that of the
/// Xen it belongs to, wherever others may be.
#[must_use]
pub fn built_in_helper(pid: &str) -> Option<PathBuf> {
    let maps = std::fs::read_to_string(format!("/proc/{pid}/maps")).ok()?;
    let libxl = maps.lines().find_map(|line| {
        let path = &line[line.find('/')?..];
        path.rsplit('/').next()?.starts_with("libxenlight.so").then_some(path)
    })?;
    let library = std::fs::read(libxl).ok()?;
    let end = memmem::find(&library, b"/libxl-save-helper\0")? + b"/libxl-save-helper".len();
    let begin = memchr::memrchr(0, &library[..end])? + 1;
    let path = PathBuf::from(OsStr::from_bytes(&library[begin..end]));
    (path.is_absolute() && path.is_file()).then_some(path)
}

/// The version of the libxenctrl that a program or library was linked with, as `4.17`; `None` when
/// it was linked with none.
///
/// # Errors
/// When the file cannot be read.
pub fn linked_xen(file: &Path) -> io::Result<Option<String>> {
    // The name of a library that is needed stands in the file as a C string.
    const NEEDED: &[u8] = b"\0libxenctrl.so.";
    let bytes = std::fs::read(file)?;
    let version = memmem::find_iter(&bytes, NEEDED).find_map(|at| {
        let rest = &bytes[at + NEEDED.len()..];
        let version = std::str::from_utf8(&rest[..memchr::memchr(0, rest)?]).ok()?;
        let number = |text: &str| text.bytes().all(|c| c.is_ascii_digit()) && !text.is_empty();
        let (major, minor) = version.split_once('.')?;
        (number(major) && number(minor)).then(|| version.to_owned())
    });
    Ok(version)
}

/// Why `library` cannot be preloaded into `helper`; `None` when it can.
#[must_use]
pub fn misfit(library: &Path, helper: &Path) -> Option<String> {
    let version = |file: &Path| match linked_xen(file) {
        Ok(Some(version)) => Ok(version),
        Ok(None) => Err(format!("{} was built without Xen's libraries", file.display())),
        Err(cause) => Err(format!("cannot read {}: {cause}", file.display())),
    };
    match (version(library), version(helper)) {
        (Ok(ours), Ok(theirs)) if ours == theirs => preloadable(library),
        (Ok(ours), Ok(theirs)) => Some(format!(
            "{} was built for Xen {ours}, but {} belongs to Xen {theirs}",
            library.display(),
            helper.display()
        )),
        (Err(why), _) | (_, Err(why)) => Some(why),
    }
}

/// The dynamic linker takes spaces and colons for the end of a name.
fn preloadable(library: &Path) -> Option<String> {
    let split =
        library.as_os_str().as_bytes().iter().any(|c| *c == b':' || c.is_ascii_whitespace());
    split.then(|| format!("{} cannot be preloaded: a space or a colon", library.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(folder: &Path, name: &str, content: &[u8]) -> PathBuf {
        let path = folder.join(name);
        std::fs::write(&path, content).unwrap();
        path
    }

    #[test]
    fn the_parts_are_found_beside_each_other_or_where_packages_put_them() {
        let root = tempfile::tempdir().unwrap();
        let root = root.path().canonicalize().unwrap();
        let bin = root.join("bin");
        for folder in ["bin", "libexec/xenmig", "lib/xenmig"] {
            std::fs::create_dir_all(root.join(folder)).unwrap();
        }
        assert_eq!(wrapper(&bin), None);
        let packaged = file(&root, "libexec/xenmig/xenmig-save-helper", b"");
        assert_eq!(wrapper(&bin).as_ref(), Some(&packaged));
        let near = file(&bin, "xenmig-save-helper", b"");
        assert_eq!(wrapper(&bin), Some(near));

        let packaged = file(&root, "lib/xenmig/libxenmig_precopy.so", b"");
        assert_eq!(library(&root.join("libexec/xenmig")).as_ref(), Some(&packaged));
        assert_eq!(library(&bin), Some(packaged));
    }

    #[test]
    fn only_parts_of_one_xen_fit() {
        let root = tempfile::tempdir().unwrap();
        let root = root.path();
        let ours = file(root, "ours.so", b"\x7fELF\0libc.so.6\0libxenctrl.so.4.17\0");
        let same = file(root, "same", b"\0libxenctrl.so.\0..\0libxenctrl.so.4.17\0");
        let other = file(root, "other", b"\0libxenctrl.so.4.20\0");
        let none = file(root, "none", b"#!/bin/sh\n");
        assert_eq!(linked_xen(&ours).unwrap().as_deref(), Some("4.17"));
        assert_eq!(linked_xen(&none).unwrap(), None);
        assert_eq!(misfit(&ours, &same), None);
        assert!(misfit(&ours, &other).unwrap().contains("belongs to Xen 4.20"));
        assert!(misfit(&ours, &none).unwrap().contains("without Xen's libraries"));
        assert!(misfit(&ours, &root.join("gone")).unwrap().contains("cannot read"));
        let odd = file(root, "our library.so", b"\0libxenctrl.so.4.17\0");
        assert!(misfit(&odd, &same).unwrap().contains("a space"));
    }

    #[test]
    fn the_wrapper_is_never_its_own_stock_helper() {
        let root = tempfile::tempdir().unwrap();
        let ours = file(root.path(), "ours", b"");
        let link = root.path().join("link");
        std::os::unix::fs::symlink(&ours, &link).unwrap();
        let other = file(root.path(), "other", b"");
        assert_eq!(stock_helper(Some(other.clone()), "0", &ours), Some(other));
        assert_ne!(stock_helper(Some(link.clone()), "0", &ours), Some(link));
    }

    #[test]
    fn a_process_without_libxl_has_no_helper_built_in() {
        assert_eq!(built_in_helper("0"), None);
    }
}
