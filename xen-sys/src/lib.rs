//! Raw FFI to the Xen toolstack's C libraries, and nothing else: bindgen's
//! output for what `build/allow.rs` lists of xenctrl, xenguest, libxl,
//! xentoollog and xenstore. Errors, lifetimes and rules are in xenmig's `xen`.
//!
//! # Which Xen
//! The installed headers decide, 4.14 or later, found by pkg-config;
//! `PKG_CONFIG_PATH` points to another Xen than the machine's. The libraries
//! change their ABI with every release, so what is built for one Xen runs on
//! that one only: [`BUILT_FOR`] names it, the cfgs `xen_ge_4_15` …
//! `xen_ge_4_20` tell them apart here, and dependants with a build script get
//! `DEP_XENCTRL_VERSION` ("4.17") and `DEP_XENCTRL_LINKED` (0 or 1).
//!
//! Without Xen's packages, or with `XEN_SYS_VENDORED=1`, the declarations come
//! from `vendor-headers` (4.17) and every function is one of ours that only
//! fails: so the workspace links and everything but the real host can be used
//! and tested. [`LINKED`] is false then, and nothing may be expected of a call.
//!
//! # What changes between releases
//! | since | what |
//! | --- | --- |
//! | 4.15 | [`precopy_stats`]`::total_written` is `c_ulong`, was `c_uint`: the struct, passed by value, was 16 bytes and is 24 |
//! | 4.15 | [`xen_arch_domainconfig`]`::misc_flags` |
//! | 4.16 | [`xc_logdirty_control`]; before, `xc_shadow_control` with 8 arguments did its work |
//! | 4.16 | `xc_cpu_policy_*`; before, `xc_get_cpu_policy_size` and `xc_get_domain_cpu_policy` |
//! | 4.16 | [`xc_domaininfo_t`]`::{pad1, gpaddr_bits, pad2}` |
//! | 4.17 | [`xc_physinfo_t`]`::{arch_capabilities, pad}` |
//! | 4.15, 4.16, 4.18 | [`libxl_physinfo`] grows |
//! | each but 4.17 | the size of [`libxl_domain_config`] |
//!
//! # Functions
//! Integers: 0 or more on success; xenctrl gives -1 and `errno`, libxl a
//! negative `ERROR_*`. Pointers: null on failure.
//! ```text
//! xc_interface_open(*mut xentoollog_logger, *mut xentoollog_logger, flags: c_uint) -> *mut xc_interface
//! xc_interface_close(*mut xc_interface) -> c_int
//! xc_version(xch, XENVER_*, *mut c_void) -> c_int
//! xc_physinfo(xch, *mut xc_physinfo_t) -> c_int
//! xc_getcpuinfo(xch, max_cpus: c_int, *mut xc_cpuinfo_t, nr_cpus: *mut c_int) -> c_int
//! xc_sched_id(xch, *mut c_int) -> c_int
//! xc_get_cpu_featureset(xch, XEN_SYSCTL_cpu_featureset_*, nr: *mut u32, *mut u32) -> c_int
//! xc_cpu_policy_init() -> *mut xc_cpu_policy_t; xc_cpu_policy_destroy(*mut xc_cpu_policy_t)   since 4.16
//! xc_cpu_policy_get_size(xch, leaves: *mut u32, msrs: *mut u32) -> c_int                     since 4.16
//! xc_cpu_policy_get_domain(xch, domid: u32, *mut xc_cpu_policy_t) -> c_int                   since 4.16
//! xc_cpu_policy_serialise(xch, *const xc_cpu_policy_t, *mut xen_cpuid_leaf_t, nr: *mut u32,
//!                         *mut xen_msr_entry_t, nr: *mut u32) -> c_int                       since 4.16
//! xc_get_cpu_policy_size(xch, leaves: *mut u32, msrs: *mut u32) -> c_int                     before
//! xc_get_domain_cpu_policy(xch, domid: u32, nr: *mut u32, *mut xen_cpuid_leaf_t,
//!                          nr: *mut u32, *mut xen_msr_entry_t) -> c_int                      before
//! xc_sched_credit_domain_get, _set(xch, domid: u32, *mut xen_domctl_sched_credit) -> c_int
//! xc_sched_credit2_domain_get, _set(xch, domid: u32, *mut xen_domctl_sched_credit2) -> c_int
//! xc_domain_getinfolist(xch, first: u32, max: c_uint, *mut xc_domaininfo_t) -> c_int
//! xc_domain_maximum_gpfn(xch, domid: u32, *mut xen_pfn_t) -> c_int
//! xc_domain_nr_gpfns(xch, domid: u32, *mut xen_pfn_t) -> c_int
//! xc_domain_get_pod_target(xch, domid: u32, tot: *mut u64, cache: *mut u64, entries: *mut u64) -> c_int
//! xc_vcpu_getinfo(xch, domid: u32, vcpu: u32, *mut xc_vcpuinfo_t) -> c_int
//! xc_hvm_param_get(xch, domid: u32, HVM_PARAM_*, *mut u64) -> c_int
//! xc_logdirty_control(xch, domid: u32, op: c_uint, *mut xc_hypercall_buffer_t, pages: c_ulong,
//!                     mode: c_uint, *mut xc_shadow_op_stats_t) -> c_longlong          since 4.16
//! xc_shadow_control(xch, domid: u32, op: c_uint, mb: *mut c_uint, mode: c_uint) -> c_int   since 4.16
//! xc_shadow_control(xch, domid: u32, op: c_uint, *mut xc_hypercall_buffer_t, pages: c_ulong,
//!                   mb: *mut c_ulong, mode: u32, *mut xc_shadow_op_stats_t) -> c_int       before
//! xc__hypercall_buffer_alloc_pages(xch, *mut xc_hypercall_buffer_t, c_int) -> *mut c_void
//! xc__hypercall_buffer_free_pages(xch, *mut xc_hypercall_buffer_t, c_int)
//! xtl_logger_destroy(*mut xentoollog_logger); xtl_level_to_string(xentoollog_level) -> *const c_char
//! vsnprintf(*mut c_char, c_ulong, *const c_char, *mut __va_list_tag) -> c_int
//! xs_open(flags: c_ulong) -> *mut xs_handle; xs_close(*mut xs_handle)
//! xs_read(h, XBT_NULL, path: *const c_char, len: *mut c_uint) -> *mut c_void           caller frees
//! xs_directory(h, XBT_NULL, path: *const c_char, num: *mut c_uint) -> *mut *mut c_char  caller frees
//! xs_write(h, XBT_NULL, path: *const c_char, *const c_void, len: c_uint) -> bool
//! libxl_ctx_alloc(*mut *mut libxl_ctx, LIBXL_VERSION, 0, *mut xentoollog_logger) -> c_int
//! libxl_ctx_free(*mut libxl_ctx) -> c_int
//! libxl_childproc_setmode(ctx, *const libxl_childproc_hooks, user: *mut c_void)          hooks outlast ctx
//! libxl_get_version_info(ctx) -> *const libxl_version_info                              ctx owns it
//! libxl_physinfo_init, _dispose(*mut libxl_physinfo); libxl_get_physinfo(ctx, *mut libxl_physinfo) -> c_int
//! libxl_name_to_domid(ctx, name: *const c_char, *mut u32) -> c_int
//! libxl_domid_to_name(ctx, domid: u32) -> *mut c_char                                   caller frees
//! libxl_dominfo_init, _dispose(*mut libxl_dominfo); libxl_domain_info(ctx, *mut libxl_dominfo, domid: u32) -> c_int
//! libxl_list_domain(ctx, *mut c_int) -> *mut libxl_dominfo; libxl_dominfo_list_free(list, c_int)
//! libxl_domain_config_init, _dispose(*mut libxl_domain_config)
//! libxl_domain_config_to_json(ctx, *mut libxl_domain_config) -> *mut c_char             caller frees
//! libxl_retrieve_domain_configuration(ctx, domid: u32, *mut libxl_domain_config, *const libxl_asyncop_how) -> c_int
//! libxl_domain_suspend(ctx, domid: u32, fd: c_int, LIBXL_SUSPEND_*, *const libxl_asyncop_how) -> c_int
//! libxl_domain_resume(ctx, domid: u32, suspend_cancel: c_int, *const libxl_asyncop_how) -> c_int
//! libxl_domain_pause, _unpause, _destroy(ctx, domid: u32, *const libxl_asyncop_how) -> c_int
//! libxl_domain_rename(ctx, domid: u32, old: *const c_char, new: *const c_char) -> c_int
//! ```
//! `xc_domain_save` is a type only, [`xc_domain_save_fn`]: who calls it stands
//! in its place and finds the real one with `dlsym`.

mod bindings;

use core::ptr;

pub use bindings::*;

include!(concat!(env!("OUT_DIR"), "/version.rs"));

/// A buffer without memory yet, to hand to [`xc__hypercall_buffer_alloc_pages`]:
/// what Xen's `DECLARE_HYPERCALL_BUFFER` makes. The buffer must not move once a
/// call has been given its address.
pub const HYPERCALL_BUFFER: xc_hypercall_buffer_t = xc_hypercall_buffer_t {
    hbuf: ptr::null_mut(),
    param_shadow: ptr::null_mut(),
    dir: 0,
    ubuf: ptr::without_provenance_mut(usize::MAX),
    sz: 0,
};
