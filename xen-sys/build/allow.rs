//! What of Xen's interfaces is bound. Types that these need come along.

/// Functions, by library.
pub const FUNCTIONS: &[&str] = &[
    // xenctrl: the handle and the host
    "xc_interface_(open|close)",
    "xc_version",
    "xc_physinfo",
    "xc_getcpuinfo",
    "xc_sched_id",
    "xc_get_cpu_featureset",
    // xenctrl: domains
    "xc_domain_getinfolist",
    "xc_domain_maximum_gpfn",
    "xc_domain_nr_gpfns",
    "xc_domain_get_pod_target",
    "xc_vcpu_getinfo",
    "xc_hvm_param_get",
    "xc_sched_credit_domain_(get|set)",
    "xc_sched_credit2_domain_(get|set)",
    // xenctrl, xenguest since 4.17: a domain's CPU policy
    "xc_cpu_policy_(init|destroy|get_size|get_domain|serialise)",
    "xc_get_cpu_policy_size",
    "xc_get_domain_cpu_policy",
    // xenctrl: log-dirty
    "xc_shadow_control",
    "xc_logdirty_control",
    "xc__hypercall_buffer_(alloc|free)_pages",
    // xentoollog
    "xtl_level_to_string",
    "xtl_logger_destroy",
    // libxl
    "libxl_ctx_(alloc|free)",
    "libxl_childproc_setmode",
    "libxl_get_version_info",
    "libxl_get_physinfo",
    "libxl_physinfo_(init|dispose)",
    "libxl_name_to_domid",
    "libxl_domid_to_name",
    "libxl_list_domain",
    "libxl_dominfo_list_free",
    "libxl_domain_info",
    "libxl_dominfo_(init|dispose)",
    "libxl_retrieve_domain_configuration",
    "libxl_domain_config_(init|dispose|to_json)",
    "libxl_domain_(suspend|resume|pause|unpause|destroy|rename)",
    // xenstore
    "xs_(open|close|read|write|directory)",
    // the C library: formats what a logger is given
    "vsnprintf",
];

/// Types no function above names.
pub const TYPES: &[&str] = &[
    "save_callbacks",
    "precopy_stats",
    "xc_domain_save_fn",
    "xc_open_flags",
    "xen_extraversion_t",
    "xen_changeset_info_t",
    "xen_capabilities_info_t",
    "xen_commandline_t",
    "libxl_error",
    "libxl_shutdown_reason",
    "libxl_domain_config",
];

/// Constants that are macros; those of an enum come with its type.
pub const CONSTANTS: &[&str] = &[
    // of wrapper.h
    "(FIRST_RESERVED|UNKNOWN)_DOMID",
    "NO_MAX_VCPU_ID",
    // of Xen's headers
    "XENVER_(version|extraversion|capabilities|changeset|pagesize|commandline)",
    "XEN_DOMINF_(dying|hvm_guest|shutdown|paused|blocked|running|debugged|xs_domain|hap)",
    "XEN_DOMINF_shutdown(mask|shift)",
    "XEN_DOMCTL_CDF_(hvm|hap)",
    "XEN_X86_EMU_(LAPIC|HPET|PM|RTC|IOAPIC|PIC|VGA|IOMMU|PIT|USE_PIRQ|VPCI)",
    "XEN_DOMCTL_SHADOW_OP_(OFF|ENABLE|CLEAN|PEEK|GET_ALLOCATION|SET_ALLOCATION)",
    "XEN_DOMCTL_SHADOW_OP_ENABLE_LOGDIRTY",
    "XEN_DOMCTL_SHADOW_ENABLE_LOG_DIRTY",
    "XEN_DOMCTL_SHADOW_LOGDIRTY_FINAL",
    "XEN_SYSCTL_PHYSCAP_(hvm|pv|directio|hap|shadow)",
    "XEN_SYSCTL_cpu_featureset_(raw|host|pv|hvm)",
    "XEN_SCHEDULER_(CREDIT|CREDIT2|ARINC653|RTDS|NULL)",
    "SHUTDOWN_(poweroff|reboot|suspend|crash|watchdog|soft_reset)",
    "HVM_PARAM_(VIRIDIAN|NESTEDHVM|ALTP2M)",
    "XC_PAGE_(SHIFT|SIZE)",
    "XCFLAGS_(LIVE|DEBUG)",
    "XGS_POLICY_(ABORT|CONTINUE_PRECOPY|STOP_AND_COPY)",
    "LIBXL_VERSION",
    "LIBXL_SUSPEND_(DEBUG|LIVE)",
    "XBT_NULL",
    "XS_OPEN_(READONLY|SOCKETONLY)",
];

/// Only their size matters: made, filled and disposed of by libxl.
pub const OPAQUE_TYPES: &[&str] = &["libxl_domain_config"];
