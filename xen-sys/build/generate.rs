//! bindgen, run in the same way over Xen's headers and over ours.

use std::path::PathBuf;

use bindgen::{EnumVariation, Formatter, RustEdition, RustTarget};

use crate::allow;
use crate::xen::Xen;

/// Where the declarations come from.
pub enum Source<'a> {
    Installed(&'a Xen),
    /// vendor-headers, as Xen 4.`minor` has them.
    Vendored {
        headers: PathBuf,
        minor: u32,
    },
}

/// The text of the bindings.
pub fn bindings(source: &Source) -> String {
    let mut builder = bindgen::Builder::default()
        .header("wrapper.h")
        .rust_target(RustTarget::stable(88, 0).expect("a version bindgen knows"))
        .rust_edition(RustEdition::Edition2024)
        .use_core()
        .formatter(Formatter::Prettyplease)
        .default_enum_style(EnumVariation::Consts)
        .prepend_enum_name(false)
        .derive_debug(true)
        .derive_default(true)
        .layout_tests(true)
        .generate_comments(false);
    builder = match source {
        Source::Installed(xen) => {
            let paths = xen.include_paths.iter();
            builder.clang_args(paths.map(|path| format!("-I{}", path.display())))
        }
        Source::Vendored { headers, minor } => builder
            .clang_arg(format!("-I{}", headers.display()))
            .clang_arg(format!("-DXENMIG_ABI_MINOR={minor}")),
    };
    for name in allow::FUNCTIONS {
        builder = builder.allowlist_function(name);
    }
    for name in allow::TYPES {
        builder = builder.allowlist_type(name);
    }
    for name in allow::CONSTANTS {
        builder = builder.allowlist_var(name);
    }
    for name in allow::OPAQUE_TYPES {
        builder = builder.opaque_type(name);
    }
    match builder.generate() {
        Ok(bindings) => bindings.to_string(),
        Err(error) => panic!("bindgen: {error}"),
    }
}
