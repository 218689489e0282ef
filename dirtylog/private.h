/* SPDX-License-Identifier: MIT */
/* Small things that every file of the library may need, and nothing that a user of it does. */
#pragma once

#include <errno.h>
#include <unistd.h>

#include <dirtylog/dirtylog.h>

/* Between the reason and the remedy in a message; dl_probe() splits there. */
#define DL_REMEDY_MARK "; try: "

/**
 * dl_set_error: sets an error of the library's domain: "what: errno's text; try: remedy". @saved_errno 0 and @remedy NULL leave
 * their part out.
 */
void dl_set_error(GError **error, DlError code, int saved_errno, const char *remedy, const char *format, ...) G_GNUC_PRINTF(5, 6);

/** The code that an errno stands for where the caller knows nothing better. */
DlError dl_error_from_errno(int saved_errno);

/* A file descriptor that closes itself: GLib 2.74 has none. */
typedef int DlFd;

static inline void
dl_fd_clear(DlFd *fd)
{
    if (*fd >= 0) {
        int saved_errno = errno;
        close(*fd);
        errno = saved_errno;
    }
    *fd = -1;
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(DlFd, dl_fd_clear)

static inline int
dl_fd_steal(DlFd *fd)
{
    int stolen = *fd;
    *fd = -1;
    return stolen;
}

static inline guint64
dl_round_up(guint64 value, guint64 unit)
{
    return (value + unit - 1) / unit * unit;
}

static inline guint64
dl_round_down(guint64 value, guint64 unit)
{
    return value / unit * unit;
}

gint64 dl_now_ns(void);

/** The first line of @path that begins with @key, without it and trimmed; NULL when there is none. For /proc and /sys. */
char *dl_read_field(const char *path, const char *key);
/** The number in a file of one number; FALSE when there is none. */
gboolean dl_read_number(const char *path, guint64 *value);

/**
 * dl_region_span: bytes that the kernel registers and protects for the region. Hugetlb goes by whole pages of it, which may reach
 * past the region's end; everything else by 4 KiB.
 */
static inline guint64
dl_region_span(const DlRegion *region)
{
    return region->kind >= DL_RAM_HUGETLB_2M ? dl_round_up(region->size, dl_ram_kind_page_size(region->kind)) : region->size;
}
