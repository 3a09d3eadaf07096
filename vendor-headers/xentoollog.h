/* xentoollog: where the toolstack libraries send their messages. */
#ifndef XENTOOLLOG_H
#define XENTOOLLOG_H

#include <stdarg.h>

typedef enum xentoollog_level {
    XTL_NONE,
    XTL_DEBUG,
    XTL_VERBOSE,
    XTL_DETAIL,
    XTL_PROGRESS,
    XTL_INFO,
    XTL_NOTICE,
    XTL_WARN,
    XTL_ERROR,
    XTL_CRITICAL,
    XTL_NUM_LEVELS,
} xentoollog_level;

/* The first member of every logger; its own data follows. */
typedef struct xentoollog_logger xentoollog_logger;
struct xentoollog_logger {
    /* errnoval is -1 for "none"; context may be null. */
    void (*vmessage)(struct xentoollog_logger *logger, xentoollog_level level,
                     int errnoval, const char *context, const char *format,
                     va_list al);
    /* Null: the logger does not care for progress. */
    void (*progress)(struct xentoollog_logger *logger, const char *context,
                     const char *doing_what, int percent, unsigned long done,
                     unsigned long total);
    void (*destroy)(struct xentoollog_logger *logger);
};

void xtl_logger_destroy(struct xentoollog_logger *logger);
const char *xtl_level_to_string(xentoollog_level level);

#endif
