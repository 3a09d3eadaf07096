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
        let resolved = |named: PathBuf| named.canonicalize().ok().filter(|path| path.is_file());
        let wrapper = wrapper.map_or_else(own_wrapper, resolved);
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
    let libxl = Libxl::of(pid);
    let built_in = libxl.as_ref().and_then(Libxl::helper);
    let versioned = libxl.as_ref().and_then(Libxl::folder);
    let folders = versioned.into_iter().chain(USUAL.map(PathBuf::from));
    let usual = folders.map(|folder| folder.join(HELPER));
    let mut all = named.into_iter().chain(built_in).chain(usual);
    all.find(|path| path.is_file() && identity(path) != not)
}

/// File name of libxl's own save helper.
const HELPER: &str = "libxl-save-helper";

/// The libxl that a process has loaded.
#[derive(Debug, PartialEq, Eq)]
struct Libxl {
    /// Where it was when the process loaded it. By now another may be there, or none: a daemon goes
    /// on with what it has when its packages are updated.
    path: PathBuf,
    /// What the process has, whatever became of its name, for those whom the kernel lets see it;
    /// `None` while it still has that name.
    loaded: Option<PathBuf>,
}

impl Libxl {
    /// The one in process `pid` (a number, or `self`).
    fn of(pid: &str) -> Option<Self> {
        Self::in_maps(pid, &std::fs::read_to_string(format!("/proc/{pid}/maps")).ok()?)
    }

    /// The same, going by its `/proc/PID/maps`.
    fn in_maps(pid: &str, maps: &str) -> Option<Self> {
        maps.lines().find_map(|line| {
            let path = &line[line.find('/')?..];
            path.rsplit('/').next().filter(|name| name.starts_with("libxenlight.so"))?;
            let loaded = || {
                let range = line.split_ascii_whitespace().next()?;
                Some(PathBuf::from(format!("/proc/{pid}/map_files/{range}")))
            };
            Some(match path.strip_suffix(" (deleted)") {
                Some(path) => Self { path: path.into(), loaded: loaded() },
                None => Self { path: path.into(), loaded: None },
            })
        })
    }

    /// The save helper it has built in: that of the Xen it belongs to, wherever others may be.
    fn helper(&self) -> Option<PathBuf> {
        let loaded = self.loaded.as_ref().and_then(|loaded| std::fs::read(loaded).ok());
        let library = loaded.or_else(|| std::fs::read(&self.path).ok())?;
        let end = memmem::find(&library, b"/libxl-save-helper\0")? + b"/libxl-save-helper".len();
        let begin = memchr::memrchr(0, &library[..end])? + 1;
        let path = PathBuf::from(OsStr::from_bytes(&library[begin..end]));
        (path.is_absolute() && path.is_file()).then_some(path)
    }

    /// The folder that Debian keeps for the helpers of its version, which its file name tells as
    /// `libxenlight.so.4.17.0` does; `None` when it does not.
    fn folder(&self) -> Option<PathBuf> {
        let (_, version) = self.path.file_name()?.to_str()?.split_once(".so.")?;
        let mut numbers = version.split('.');
        let (major, minor) = (number(numbers.next()?)?, number(numbers.next()?)?);
        Some(format!("/usr/lib/xen-{major}.{minor}/bin").into())
    }
}

/// `text`, if it is a number.
fn number(text: &str) -> Option<&str> {
    (!text.is_empty() && text.bytes().all(|c| c.is_ascii_digit())).then_some(text)
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
        let (major, minor) = version.split_once('.')?;
        number(major).and(number(minor)).map(|_| version.to_owned())
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
        assert_eq!(Libxl::of("0"), None);
        assert_eq!(
            Libxl::in_maps("7", "7f00-7f01 r--p 00000000 fe:00 17 /usr/lib/libc.so.6"),
            None
        );
    }

    #[test]
    fn a_libxl_that_was_updated_is_known_by_the_name_it_had() {
        let line = |tail| format!("7f40a0-7f40b0 r-xp 00010000 fe:00 17   /usr/lib/{tail}");
        let libxl = |tail| Libxl::in_maps("7", &line(tail)).unwrap();
        let path = PathBuf::from("/usr/lib/libxenlight.so.4.17.0");
        let now = Libxl { path: path.clone(), loaded: None };
        assert_eq!(libxl("libxenlight.so.4.17.0"), now);
        let loaded = Some("/proc/7/map_files/7f40a0-7f40b0".into());
        assert_eq!(libxl("libxenlight.so.4.17.0 (deleted)"), Libxl { path, loaded });

        let folder = |tail| libxl(tail).folder();
        let known = Some("/usr/lib/xen-4.17/bin".into());
        assert_eq!(folder("libxenlight.so.4.17"), known);
        assert_eq!(folder("libxenlight.so.4.17.0 (deleted)"), known);
        assert_eq!((folder("libxenlight.so"), folder("libxenlight.so.4.x")), (None, None));
    }

    /// A process that runs until it is dropped, and has loaded a file.
    struct Daemon(std::process::Child);

    impl Daemon {
        fn with(library: &Path) -> Self {
            use std::io::Read;
            let mut shell = std::process::Command::new("sh");
            let shell = shell.args(["-c", "echo; read end"]).env("LD_PRELOAD", library);
            let pipe = std::process::Stdio::piped;
            let mut shell = shell.stdin(pipe()).stdout(pipe()).spawn().unwrap();
            shell.stdout.as_mut().unwrap().read_exact(&mut [0]).unwrap();
            Self(shell)
        }

        fn helper(&self) -> Option<PathBuf> {
            stock_helper(None, &self.0.id().to_string(), Path::new(""))
        }
    }

    impl Drop for Daemon {
        fn drop(&mut self) {
            self.0.kill().and_then(|()| self.0.wait()).unwrap();
        }
    }

    /// Any library of this process, with the name of a save helper at its end.
    fn libxl_with(helper: &Path) -> Vec<u8> {
        let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
        let library = maps.lines().find_map(|line| {
            let path = &line[line.find('/')?..];
            path.contains("/libgcc_s.so").then_some(path)
        });
        let mut library = std::fs::read(library.unwrap()).unwrap();
        library.extend([b"\0", helper.as_os_str().as_bytes(), b"\0"].concat());
        library
    }

    #[test]
    fn a_daemon_goes_on_with_its_helper_after_an_update() {
        let root = tempfile::tempdir().unwrap();
        let root = root.path().canonicalize().unwrap();
        let helper = file(&root, HELPER, b"");
        let libxl = file(&root, "libxenlight.so.4.99.0", &libxl_with(&helper));
        let daemon = Daemon::with(&libxl);
        assert_eq!(daemon.helper().as_ref(), Some(&helper));

        // As packages are: the new file in the old one's place.
        let new = file(&root, "new", &libxl_with(&helper));
        std::fs::rename(new, &libxl).unwrap();
        assert_eq!(daemon.helper().as_ref(), Some(&helper));
        std::fs::remove_file(&libxl).unwrap();
        let root_only = rustix::process::geteuid().is_root();
        assert_eq!(daemon.helper().is_some_and(|found| found == helper), root_only);
    }
}
