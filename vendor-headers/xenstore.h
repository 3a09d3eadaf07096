/* xenstore: the toolstack's tree of small strings. */
#ifndef XENSTORE_H
#define XENSTORE_H

#include "xenmig_abi.h"

#define XBT_NULL 0

#define XS_OPEN_READONLY   1UL
#define XS_OPEN_SOCKETONLY 2UL

struct xs_handle;
typedef uint32_t xs_transaction_t;

struct xs_handle *xs_open(unsigned long flags);
void xs_close(struct xs_handle *xsh);

/* What these two return is the caller's to free. */
char **xs_directory(struct xs_handle *h, xs_transaction_t t, const char *path,
                    unsigned int *num);
void *xs_read(struct xs_handle *h, xs_transaction_t t, const char *path,
              unsigned int *len);
bool xs_write(struct xs_handle *h, xs_transaction_t t, const char *path,
              const void *data, unsigned int len);

#endif
