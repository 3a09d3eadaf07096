//! Hands on which Xen the bindings were built for, as the cfgs that xen-sys
//! has: `xen_linked`, and `xen_ge_4_N` for "4.N or later". xenmig-precopy uses
//! this script too.

use std::env;
use std::ops::RangeInclusive;

const KNOWN_MINORS: RangeInclusive<u32> = 15..=20;

fn main() {
    println!("cargo::rustc-check-cfg=cfg(xen_linked)");
    if env::var("DEP_XENCTRL_LINKED").is_ok_and(|linked| linked == "1") {
        println!("cargo::rustc-cfg=xen_linked");
    }

    let version = env::var("DEP_XENCTRL_VERSION").expect("xen-sys' build script says");
    let minor: u32 = version
        .strip_prefix("4.")
        .and_then(|minor| minor.parse().ok())
        .unwrap_or_else(|| panic!("xen-sys was built for {version:?}; expected 4.N"));
    for known in KNOWN_MINORS {
        println!("cargo::rustc-check-cfg=cfg(xen_ge_4_{known})");
        if minor >= known {
            println!("cargo::rustc-cfg=xen_ge_4_{known}");
        }
    }
}
