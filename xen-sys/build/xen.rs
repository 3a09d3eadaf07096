//! The installed Xen: which version, where its headers are, what to link.

use std::env;
use std::path::PathBuf;

const PACKAGES: [&str; 5] = ["xencontrol", "xenguest", "xenlight", "xentoollog", "xenstore"];
const OLDEST_MINOR: u32 = 14;
const NEWEST_MINOR: u32 = 20;

/// An installed Xen that can be built against.
pub struct Xen {
    pub minor: u32,
    pub include_paths: Vec<PathBuf>,
    libraries: Vec<pkg_config::Library>,
}

/// Xen as pkg-config sees it; none when it is missing or not wanted.
pub fn find() -> Option<Xen> {
    if env::var_os("XEN_SYS_VENDORED").is_some_and(|value| value == "1") {
        return None;
    }
    let mut libraries = Vec::new();
    for package in PACKAGES {
        match pkg_config::Config::new().cargo_metadata(false).probe(package) {
            Ok(library) => libraries.push(library),
            // No package at all is the ordinary case of a machine without Xen.
            Err(_) if libraries.is_empty() => return None,
            Err(error) => {
                println!("cargo::warning=building without Xen: {package}: {error}");
                return None;
            }
        }
    }
    let minor = minor_of(&libraries[0].version);
    let mut include_paths = Vec::new();
    for path in libraries.iter().flat_map(|library| &library.include_paths) {
        if path.as_os_str() != "/usr/include" && !include_paths.contains(path) {
            include_paths.push(path.clone());
        }
    }
    Some(Xen { minor, include_paths, libraries })
}

fn minor_of(version: &str) -> u32 {
    let mut numbers = version.split('.').map(str::parse::<u32>);
    let (Some(Ok(4)), Some(Ok(minor))) = (numbers.next(), numbers.next()) else {
        panic!("xencontrol.pc gives the version {version:?}; expected 4.N");
    };
    assert!(
        minor >= OLDEST_MINOR,
        "Xen 4.{minor} is installed; 4.{OLDEST_MINOR} or later is needed \
         (XEN_SYS_VENDORED=1 builds without Xen)"
    );
    if minor > NEWEST_MINOR {
        println!("cargo::warning=Xen 4.{minor} is newer than any this was tested with");
    }
    minor
}

impl Xen {
    /// Has cargo link the libraries.
    pub fn link(&self) {
        for library in &self.libraries {
            for path in &library.link_paths {
                println!("cargo::rustc-link-search=native={}", path.display());
            }
            for name in &library.libs {
                println!("cargo::rustc-link-lib=dylib={name}");
            }
        }
    }
}

/// One cfg per version, `xen_ge_4_15` and so on: "this Xen or later".
pub fn emit_cfgs(minor: u32) {
    for known in OLDEST_MINOR + 1..=NEWEST_MINOR {
        println!("cargo::rustc-check-cfg=cfg(xen_ge_4_{known})");
        if minor >= known {
            println!("cargo::rustc-cfg=xen_ge_4_{known}");
        }
    }
}
