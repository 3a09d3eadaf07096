/* The hypervisor's own structures and numbers, as far as xenctrl hands them on. */
#ifndef XENMIG_XEN_PUBLIC_H
#define XENMIG_XEN_PUBLIC_H

#include "xenmig_abi.h"

typedef unsigned long xen_pfn_t;
typedef uint16_t domid_t;
typedef uint8_t xen_domain_handle_t[16];

#define DOMID_FIRST_RESERVED 0x7ff0

/* xc_version */
#define XENVER_version      0
#define XENVER_extraversion 1
#define XENVER_capabilities 3
#define XENVER_changeset    4
#define XENVER_pagesize     7
#define XENVER_commandline  9

typedef char xen_extraversion_t[16];
typedef char xen_capabilities_info_t[1024];
typedef char xen_changeset_info_t[64];
typedef char xen_commandline_t[1024];

/* Emulated devices of an x86 domain; a PVH guest has the local APIC alone. */
#define XEN_X86_EMU_LAPIC    0x001
#define XEN_X86_EMU_HPET     0x002
#define XEN_X86_EMU_PM       0x004
#define XEN_X86_EMU_RTC      0x008
#define XEN_X86_EMU_IOAPIC   0x010
#define XEN_X86_EMU_PIC      0x020
#define XEN_X86_EMU_VGA      0x040
#define XEN_X86_EMU_IOMMU    0x080
#define XEN_X86_EMU_PIT      0x100
#define XEN_X86_EMU_USE_PIRQ 0x200
#define XEN_X86_EMU_VPCI     0x400

struct xen_arch_domainconfig {
    uint32_t emulation_flags;
#if XENMIG_ABI_MINOR >= 15
    uint32_t misc_flags;
#endif
};

/* How a domain was created. */
#define XEN_DOMCTL_CDF_hvm 1
#define XEN_DOMCTL_CDF_hap 2

/* xen_domctl_getdomaininfo.flags; the shutdown code sits above the shift. */
#define XEN_DOMINF_dying         0x001
#define XEN_DOMINF_hvm_guest     0x002
#define XEN_DOMINF_shutdown      0x004
#define XEN_DOMINF_paused        0x008
#define XEN_DOMINF_blocked       0x010
#define XEN_DOMINF_running       0x020
#define XEN_DOMINF_debugged      0x040
#define XEN_DOMINF_xs_domain     0x080
#define XEN_DOMINF_hap           0x100
#define XEN_DOMINF_shutdownmask  0xff
#define XEN_DOMINF_shutdownshift 16

#define XEN_INVALID_MAX_VCPU_ID 0xffffffffu

#define SHUTDOWN_poweroff   0
#define SHUTDOWN_reboot     1
#define SHUTDOWN_suspend    2
#define SHUTDOWN_crash      3
#define SHUTDOWN_watchdog   4
#define SHUTDOWN_soft_reset 5

struct xen_domctl_getdomaininfo {
    domid_t domain;
#if XENMIG_ABI_MINOR >= 16
    uint16_t pad1;
#endif
    uint32_t flags;
    uint64_t tot_pages;
    uint64_t max_pages;
    uint64_t outstanding_pages;
    uint64_t shr_pages;
    uint64_t paged_pages;
    uint64_t shared_info_frame;
    uint64_t cpu_time; /* ns, all vCPUs */
    uint32_t nr_online_vcpus;
    uint32_t max_vcpu_id;
    uint32_t ssidref;
    xen_domain_handle_t handle;
    uint32_t cpupool;
#if XENMIG_ABI_MINOR >= 16
    uint8_t gpaddr_bits;
    uint8_t pad2[7];
#endif
    struct xen_arch_domainconfig arch_config;
};
typedef struct xen_domctl_getdomaininfo xen_domctl_getdomaininfo_t;

struct xen_domctl_getvcpuinfo {
    uint32_t vcpu;
    uint8_t online;
    uint8_t blocked;
    uint8_t running;
    uint64_t cpu_time; /* ns */
    uint32_t cpu;
};

/* Log-dirty. */
#define XEN_DOMCTL_SHADOW_OP_OFF             0
#define XEN_DOMCTL_SHADOW_OP_ENABLE_LOGDIRTY 2
#define XEN_DOMCTL_SHADOW_OP_CLEAN           11
#define XEN_DOMCTL_SHADOW_OP_PEEK            12
#define XEN_DOMCTL_SHADOW_OP_GET_ALLOCATION  30
#define XEN_DOMCTL_SHADOW_OP_SET_ALLOCATION  31
#define XEN_DOMCTL_SHADOW_OP_ENABLE          32
#define XEN_DOMCTL_SHADOW_ENABLE_LOG_DIRTY   4
#define XEN_DOMCTL_SHADOW_LOGDIRTY_FINAL     1

struct xen_domctl_shadow_op_stats {
    uint32_t fault_count;
    uint32_t dirty_count;
};

/* Schedulers, and a domain's share under the two credit ones. */
#define XEN_SCHEDULER_CREDIT   5
#define XEN_SCHEDULER_CREDIT2  6
#define XEN_SCHEDULER_ARINC653 7
#define XEN_SCHEDULER_RTDS     8
#define XEN_SCHEDULER_NULL     9

struct xen_domctl_sched_credit {
    uint16_t weight;
    uint16_t cap; /* per cent of one CPU; 0: none */
};

struct xen_domctl_sched_credit2 {
    uint16_t weight;
    uint16_t cap; /* per cent of one CPU; 0: none */
};

/* The host. */
#define XEN_SYSCTL_PHYSCAP_hvm      0x01
#define XEN_SYSCTL_PHYSCAP_pv       0x02
#define XEN_SYSCTL_PHYSCAP_directio 0x04
#define XEN_SYSCTL_PHYSCAP_hap      0x08
#define XEN_SYSCTL_PHYSCAP_shadow   0x10

struct xen_sysctl_physinfo {
    uint32_t threads_per_core;
    uint32_t cores_per_socket;
    uint32_t nr_cpus;
    uint32_t max_cpu_id;
    uint32_t nr_nodes;
    uint32_t max_node_id;
    uint32_t cpu_khz;
    uint32_t capabilities;
#if XENMIG_ABI_MINOR >= 17
    uint32_t arch_capabilities;
    uint32_t pad;
#endif
    uint64_t total_pages;
    uint64_t free_pages;
    uint64_t scrub_pages;
    uint64_t outstanding_pages;
    uint64_t max_mfn;
    uint32_t hw_cap[8];
};

/* What of the CPUs' features is asked for: xc_get_cpu_featureset. */
#define XEN_SYSCTL_cpu_featureset_raw  0
#define XEN_SYSCTL_cpu_featureset_host 1
#define XEN_SYSCTL_cpu_featureset_pv   2
#define XEN_SYSCTL_cpu_featureset_hvm  3

/* A CPU policy, item by item. */
typedef struct xen_cpuid_leaf {
    uint32_t leaf;
    uint32_t subleaf; /* all ones where there are none */
    uint32_t a;
    uint32_t b;
    uint32_t c;
    uint32_t d;
} xen_cpuid_leaf_t;

typedef struct xen_msr_entry {
    uint32_t idx;
    uint32_t flags;
    uint64_t val;
} xen_msr_entry_t;

struct xen_sysctl_cpuinfo {
    uint64_t idletime; /* ns */
};

#define HVM_PARAM_VIRIDIAN  9
#define HVM_PARAM_NESTEDHVM 24
#define HVM_PARAM_ALTP2M    35

#endif
