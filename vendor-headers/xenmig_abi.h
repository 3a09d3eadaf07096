/* Which Xen's ABI these headers declare: 17 means 4.17. */
#ifndef XENMIG_ABI_H
#define XENMIG_ABI_H

#ifndef XENMIG_ABI_MINOR
#define XENMIG_ABI_MINOR 17
#endif

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#endif
