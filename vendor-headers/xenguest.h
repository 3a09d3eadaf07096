/* xenguest: saving a domain. */
#ifndef XENGUEST_H
#define XENGUEST_H

#include "xenctrl.h"

#define XCFLAGS_LIVE  1
#define XCFLAGS_DEBUG 2

/* What a precopy policy is told: dirty_count is -1 after a round was sent. */
struct precopy_stats {
    unsigned int iteration;
#if XENMIG_ABI_MINOR >= 15
    unsigned long total_written;
#else
    unsigned int total_written;
#endif
    long dirty_count;
};

/* What a precopy policy answers. */
#define XGS_POLICY_ABORT            (-1)
#define XGS_POLICY_CONTINUE_PRECOPY 0
#define XGS_POLICY_STOP_AND_COPY    1

typedef int (*precopy_policy_t)(struct precopy_stats stats, void *data);

/* How the save asks its caller; data is the last argument of every call. */
struct save_callbacks {
    int (*suspend)(void *data);
    precopy_policy_t precopy_policy;
    int (*postcopy)(void *data);
    int (*checkpoint)(void *data);
    int (*wait_checkpoint)(void *data);
    int (*switch_qemu_logdirty)(uint32_t domid, unsigned enable, void *data);
    void *data;
};

typedef enum {
    XC_STREAM_PLAIN,
    XC_STREAM_REMUS,
    XC_STREAM_COLO,
} xc_stream_type_t;

int xc_domain_save(xc_interface *xch, int io_fd, uint32_t dom, uint32_t flags,
                   struct save_callbacks *callbacks,
                   xc_stream_type_t stream_type, int recv_fd);

#endif
