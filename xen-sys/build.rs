//! Finds Xen by pkg-config and generates the bindings, or generates them from
//! vendor-headers where Xen's packages are missing or `XEN_SYS_VENDORED=1`.

#[path = "build/allow.rs"]
mod allow;
#[path = "build/generate.rs"]
mod generate;
#[path = "build/stubs.rs"]
mod stubs;
#[path = "build/xen.rs"]
mod xen;

use std::path::{Path, PathBuf};
use std::{env, fs};

use generate::Source;
use xen::Xen;

/// The Xen whose ABI vendor-headers declare unless told otherwise.
const VENDORED_MINOR: u32 = 17;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=build");
    println!("cargo::rerun-if-changed=wrapper.h");
    println!("cargo::rerun-if-changed=../vendor-headers");
    println!("cargo::rerun-if-env-changed=XEN_SYS_VENDORED");

    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets OUT_DIR"));
    let manifest = env::var_os("CARGO_MANIFEST_DIR").expect("cargo sets CARGO_MANIFEST_DIR");
    let vendor_headers = Path::new(&manifest).join("../vendor-headers");
    let vendored = |minor| Source::Vendored { headers: vendor_headers.clone(), minor };

    let minor = match xen::find() {
        Some(xen) => {
            let minor = xen.minor;
            write(&out, "bindings.rs", &generate::bindings(&Source::Installed(&xen)));
            write(&out, "vendored.rs", &generate::bindings(&vendored(minor)));
            write(&out, "other.rs", &generate::bindings(&vendored(other_minor(minor))));
            write_version(&out, minor, Some(&xen));
            xen.link();
            minor
        }
        None => {
            let declared = generate::bindings(&vendored(VENDORED_MINOR));
            write(&out, "bindings.rs", &stubs::instead_of_externs(&declared));
            write_version(&out, VENDORED_MINOR, None);
            VENDORED_MINOR
        }
    };
    xen::emit_cfgs(minor);
}

/// A version whose ABI is known to differ from that of `minor`: what the ABI
/// test must be able to tell apart.
fn other_minor(minor: u32) -> u32 {
    if minor >= 16 { 14 } else { 17 }
}

fn write_version(out: &Path, minor: u32, linked: Option<&Xen>) {
    let built_for = linked.map_or_else(|| "none".to_owned(), |xen| format!("4.{}", xen.minor));
    let text = format!(
        "/// Major version of the Xen whose ABI these bindings follow.\n\
         pub const XEN_VERSION_MAJOR: u32 = 4;\n\
         /// Minor version of the Xen whose ABI these bindings follow.\n\
         pub const XEN_VERSION_MINOR: u32 = {minor};\n\
         /// The Xen this was built for, as \"4.17\"; \"none\" where [`LINKED`] is false.\n\
         pub const BUILT_FOR: &str = \"{built_for}\";\n\
         /// Whether the functions are Xen's own; if not, every one of them only fails.\n\
         pub const LINKED: bool = {};\n",
        linked.is_some(),
    );
    write(out, "version.rs", &text);
    println!("cargo::metadata=version=4.{minor}");
    println!("cargo::metadata=linked={}", u8::from(linked.is_some()));
    println!("cargo::rustc-check-cfg=cfg(xen_linked)");
    if linked.is_some() {
        println!("cargo::rustc-cfg=xen_linked");
    }
}

fn write(out: &Path, name: &str, text: &str) {
    let path = out.join(name);
    fs::write(&path, text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
}
