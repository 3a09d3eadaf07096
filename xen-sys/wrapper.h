/* What bindgen reads, over Xen's own headers and over vendor-headers alike. */
#include <stdio.h>

#include <xenctrl.h>
#include <xenguest.h>
#include <xentoollog.h>
#include <xenstore.h>
#include <libxl.h>
#include <libxl_utils.h>

/* Only the type: who wraps xc_domain_save finds the real one with dlsym. */
typedef __typeof__(xc_domain_save) *xc_domain_save_fn;

/* Macros that bindgen cannot evaluate, or gives the wrong sign. */
static const domid_t FIRST_RESERVED_DOMID = DOMID_FIRST_RESERVED;
static const uint32_t UNKNOWN_DOMID = INVALID_DOMID;
static const uint32_t NO_MAX_VCPU_ID = XEN_INVALID_MAX_VCPU_ID;
