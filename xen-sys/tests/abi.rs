//! Holds vendor-headers against the installed headers of Xen: what bindgen
//! makes of the two must say the same of every constant, type and function.
//! bindgen's layout assertions carry size, alignment and offsets as clang laid
//! them out, so they are compared too.

#[cfg(xen_linked)]
mod declarations;

#[cfg(xen_linked)]
mod against_installed {
    use super::declarations::{Declarations, differences};

    /// From the installed headers.
    const INSTALLED: &str = include_str!(concat!(env!("OUT_DIR"), "/bindings.rs"));
    /// From vendor-headers, told to declare the installed version.
    const VENDORED: &str = include_str!(concat!(env!("OUT_DIR"), "/vendored.rs"));
    /// From vendor-headers, told to declare another version.
    const OTHER: &str = include_str!(concat!(env!("OUT_DIR"), "/other.rs"));

    #[test]
    fn vendor_headers_declare_the_installed_abi() {
        let installed = Declarations::parse(INSTALLED);
        let found = differences(&installed, &Declarations::parse(VENDORED));
        println!("{} declarations of Xen {} compared", installed.len(), xen_sys::BUILT_FOR);
        assert!(installed.len() > 200, "only {} found", installed.len());
        assert!(found.is_empty(), "{}", found.join("\n"));
    }

    #[test]
    fn another_version_is_told_apart() {
        let found = differences(&Declarations::parse(INSTALLED), &Declarations::parse(OTHER));
        for name in [
            "xc_shadow_control",
            "xc_logdirty_control",
            "xc_cpu_policy_get_domain",
            "libxl_domain_config",
        ] {
            assert!(
                found.iter().any(|difference| difference.contains(name)),
                "{name} differs, but is not among:\n{}",
                found.join("\n")
            );
        }
    }

    /// Every kind of slip that a hand-written header can have is noticed.
    #[test]
    fn a_slip_is_noticed() {
        for (right, wrong) in [
            // a constant's value
            ("XEN_DOMCTL_SHADOW_OP_PEEK: u32 = 12", "XEN_DOMCTL_SHADOW_OP_PEEK: u32 = 13"),
            // an enumerator's value
            ("XTL_ERROR: xentoollog_level = 8", "XTL_ERROR: xentoollog_level = 7"),
            // a constant that is missing
            ("pub const XGS_POLICY_ABORT: i32 = -1;", ""),
            // a field's type
            ("pub nr_online_vcpus: u32", "pub nr_online_vcpus: u64"),
            // a field's name: two of one type in the wrong order look like this
            ("pub tot_pages: u64", "pub max_page: u64"),
            // a size, an alignment, an offset
            ("size_of::<save_callbacks>() - 56usize", "size_of::<save_callbacks>() - 64usize"),
            (
                "align_of::<xen_domctl_getvcpuinfo>() - 8usize",
                "align_of::<xen_domctl_getvcpuinfo>() - 4usize",
            ),
            (
                "offset_of!(xen_domctl_getdomaininfo, flags) - 4usize",
                "offset_of!(xen_domctl_getdomaininfo, flags) - 8usize",
            ),
            // what an alias stands for, below a struct and a function
            ("pub type domid_t = u16", "pub type domid_t = u32"),
            (
                "pub type xen_pfn_t = ::core::ffi::c_ulong",
                "pub type xen_pfn_t = ::core::ffi::c_uint",
            ),
            // a parameter, a result, a function that is missing
            ("sched_id: *mut ::core::ffi::c_int", "sched_id: *mut ::core::ffi::c_long"),
            (
                "pub fn xs_close(xsh: *mut xs_handle);",
                "pub fn xs_close(xsh: *mut xs_handle) -> bool;",
            ),
            ("pub fn xs_open(", "pub fn xs_open_it("),
            // a field of what hypercalls fill in arrays
            ("pub subleaf: u32", "pub subleaf: u64"),
            // a callback's parameter
            ("percent: ::core::ffi::c_int", "percent: ::core::ffi::c_uint"),
        ] {
            assert!(VENDORED.contains(right), "the bindings lack {right:?}");
            let slipped = VENDORED.replacen(right, wrong, 1);
            let found = differences(&Declarations::parse(VENDORED), &Declarations::parse(&slipped));
            assert!(!found.is_empty(), "{right:?} → {wrong:?} goes unnoticed");
        }
    }

    /// The names of parameters are no part of the ABI.
    #[test]
    fn parameter_names_do_not_matter() {
        let renamed = VENDORED.replace("xsh: *mut xs_handle", "h: *mut xs_handle");
        assert_ne!(renamed, VENDORED);
        let found = differences(&Declarations::parse(VENDORED), &Declarations::parse(&renamed));
        assert!(found.is_empty(), "{}", found.join("\n"));
    }
}

#[cfg(not(xen_linked))]
#[test]
#[ignore = "skipped: built without Xen's headers, nothing to compare vendor-headers with"]
fn vendor_headers_declare_the_installed_abi() {}
