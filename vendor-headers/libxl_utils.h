/* libxl: names and numbers of domains. */
#ifndef LIBXL_UTILS_H
#define LIBXL_UTILS_H

#include "libxl.h"

int libxl_name_to_domid(libxl_ctx *ctx, const char *name, uint32_t *domid);
/* The caller's to free; null if there is no such domain. */
char *libxl_domid_to_name(libxl_ctx *ctx, uint32_t domid);

#endif
