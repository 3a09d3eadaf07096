/* xenctrl: hypercalls as functions. -1 and errno on failure, unless said. */
#ifndef XENCTRL_H
#define XENCTRL_H

#include "xen_public.h"
#include "xentoollog.h"

#define XC_PAGE_SHIFT 12
#define XC_PAGE_SIZE  4096

#define INVALID_DOMID 0xffffffffu

typedef struct xc_interface_core xc_interface;

enum xc_open_flags {
    XC_OPENFLAG_DUMMY = 1,
    XC_OPENFLAG_NON_REENTRANT = 2,
};

typedef xen_domctl_getdomaininfo_t xc_domaininfo_t;
typedef struct xen_domctl_getvcpuinfo xc_vcpuinfo_t;
typedef struct xen_domctl_shadow_op_stats xc_shadow_op_stats_t;
typedef struct xen_sysctl_physinfo xc_physinfo_t;
typedef struct xen_sysctl_cpuinfo xc_cpuinfo_t;

/* Memory a hypercall may reach. The last three are for bounce buffers only. */
struct xc_hypercall_buffer {
    void *hbuf;
    struct xc_hypercall_buffer *param_shadow;
    int dir;
    void *ubuf;
    size_t sz;
};
typedef struct xc_hypercall_buffer xc_hypercall_buffer_t;

/* Null loggers: errors go to stderr. */
xc_interface *xc_interface_open(xentoollog_logger *logger,
                                xentoollog_logger *dombuild_logger,
                                unsigned open_flags);
int xc_interface_close(xc_interface *xch);

void *xc__hypercall_buffer_alloc_pages(xc_interface *xch,
                                       xc_hypercall_buffer_t *b, int nr_pages);
void xc__hypercall_buffer_free_pages(xc_interface *xch,
                                     xc_hypercall_buffer_t *b, int nr_pages);

int xc_version(xc_interface *xch, int cmd, void *arg);
int xc_physinfo(xc_interface *xch, xc_physinfo_t *info);
int xc_getcpuinfo(xc_interface *xch, int max_cpus, xc_cpuinfo_t *info,
                  int *nr_cpus);
int xc_sched_id(xc_interface *xch, int *sched_id);

/* How many it filled in, from the first domain on whose id is not lower. */
int xc_domain_getinfolist(xc_interface *xch, uint32_t first_domain,
                          unsigned int max_domains, xc_domaininfo_t *info);
int xc_domain_maximum_gpfn(xc_interface *xch, uint32_t domid, xen_pfn_t *gpfns);
int xc_domain_nr_gpfns(xc_interface *xch, uint32_t domid, xen_pfn_t *gpfns);
int xc_domain_get_pod_target(xc_interface *xch, uint32_t domid,
                             uint64_t *tot_pages, uint64_t *pod_cache_pages,
                             uint64_t *pod_entries);
int xc_vcpu_getinfo(xc_interface *xch, uint32_t domid, uint32_t vcpu,
                    xc_vcpuinfo_t *info);
int xc_hvm_param_get(xc_interface *handle, uint32_t dom, uint32_t param,
                     uint64_t *value);

int xc_sched_credit_domain_get(xc_interface *xch, uint32_t domid,
                               struct xen_domctl_sched_credit *sdom);
int xc_sched_credit_domain_set(xc_interface *xch, uint32_t domid,
                               struct xen_domctl_sched_credit *sdom);
int xc_sched_credit2_domain_get(xc_interface *xch, uint32_t domid,
                                struct xen_domctl_sched_credit2 *sdom);
int xc_sched_credit2_domain_set(xc_interface *xch, uint32_t domid,
                                struct xen_domctl_sched_credit2 *sdom);

/* nr: room in words before the call, words written after it. */
int xc_get_cpu_featureset(xc_interface *xch, uint32_t index, uint32_t *nr_features,
                          uint32_t *featureset);

/* A domain's CPU policy, as leaves and MSRs. */
#if XENMIG_ABI_MINOR >= 16
typedef struct xc_cpu_policy xc_cpu_policy_t;

xc_cpu_policy_t *xc_cpu_policy_init(void);
void xc_cpu_policy_destroy(xc_cpu_policy_t *policy);
int xc_cpu_policy_get_size(xc_interface *xch, uint32_t *nr_leaves, uint32_t *nr_msrs);
int xc_cpu_policy_get_domain(xc_interface *xch, uint32_t domid, xc_cpu_policy_t *policy);
/* Null for what is not wanted. */
int xc_cpu_policy_serialise(xc_interface *xch, const xc_cpu_policy_t *policy,
                            xen_cpuid_leaf_t *leaves, uint32_t *nr_leaves,
                            xen_msr_entry_t *msrs, uint32_t *nr_msrs);
#else
int xc_get_cpu_policy_size(xc_interface *xch, uint32_t *nr_leaves, uint32_t *nr_msrs);
int xc_get_domain_cpu_policy(xc_interface *xch, uint32_t domid, uint32_t *nr_leaves,
                             xen_cpuid_leaf_t *leaves, uint32_t *nr_msrs,
                             xen_msr_entry_t *msrs);
#endif

#if XENMIG_ABI_MINOR >= 16
int xc_shadow_control(xc_interface *xch, uint32_t domid, unsigned int sop,
                      unsigned int *mb, unsigned int mode);
/* How many pages the bitmap covers; a null bitmap asks for statistics only. */
long long xc_logdirty_control(xc_interface *xch, uint32_t domid,
                              unsigned int sop,
                              xc_hypercall_buffer_t *dirty_bitmap,
                              unsigned long pages, unsigned int mode,
                              xc_shadow_op_stats_t *stats);
#else
int xc_shadow_control(xc_interface *xch, uint32_t domid, unsigned int sop,
                      xc_hypercall_buffer_t *dirty_bitmap, unsigned long pages,
                      unsigned long *mb, uint32_t mode,
                      xc_shadow_op_stats_t *stats);
#endif

#endif
