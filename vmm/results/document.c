/* SPDX-License-Identifier: MIT */
/* The document's head, and files that are written whole or not at all. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <glib/gstdio.h>

#include "results/bounds.h"
#include "results/document.h"
#include "results/units.h"

G_DEFINE_QUARK(dirtylab-results-error, results_error);

char *
host_info_describe(const HostInfo *host)
{
    g_autofree char *memory = unit_bytes(host->memory_bytes);
    return g_strdup_printf("Host: Linux %s, KVM on %s, MMU %s, %s, %u core%s, %s", host->kernel ? host->kernel : "?",
                           host->kvm ? host->kvm : "?", host->mmu ? host->mmu : "unknown", host->cpu ? host->cpu : "unknown CPU",
                           host->cores, host->cores == 1 ? "" : "s", memory);
}

DocumentInfo *
document_info_new(void)
{
    return g_new0(DocumentInfo, 1);
}

void
document_info_free(DocumentInfo *info)
{
    if (!info)
        return;
    g_free(info->host.kernel);
    g_free(info->host.kvm);
    g_free(info->host.mmu);
    g_free(info->host.cpu);
    g_free(info->version);
    g_free(info->revision);
    g_free(info->command);
    g_free(info->started);
    g_free(info);
}

void
document_info_start(DocumentInfo *info)
{
    g_autoptr(GDateTime) now = g_date_time_new_now_local();
    g_free(info->started);
    info->started = g_date_time_format_iso8601(now);
}

static void
set_write_error(GError **error, const char *path, int code)
{
    gboolean full = code == ENOSPC || code == EDQUOT || code == EFBIG;
    g_set_error(error, RESULTS_ERROR, RESULTS_ERROR_IO, "cannot write %s: %s; %s", path, g_strerror(code),
                full ? "free space there, or name another file" : "name a file that can be written");
}

/* Returns 0, or errno. */
static int
write_all(int fd, const char *text, gsize length)
{
    while (length) {
        gssize written = write(fd, text, length);
        if (written < 0 && errno == EINTR)
            continue;
        if (written < 0)
            return errno;
        text += written;
        length -= (gsize)written;
    }
    return 0;
}

/* Standard output may hold what stdio has not written yet: that comes first. */
static int
write_stdout(const char *text, gsize length)
{
    if (fflush(stdout) != 0)
        return errno;
    return write_all(STDOUT_FILENO, text, length);
}

/* For what cannot be replaced by a rename: devices, pipes, files in folders that take no new ones. */
static int
write_directly(const char *path, const char *text, gsize length)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (fd < 0)
        return errno;

    struct stat status;
    int code = write_all(fd, text, length);
    gboolean is_file = fstat(fd, &status) == 0 && S_ISREG(status.st_mode);
    if (is_file && code == 0 && fsync(fd) != 0)
        code = errno;
    /* An empty file is taken for what it is, half a document is not. */
    if (is_file && code != 0 && ftruncate(fd, 0) != 0)
        g_debug("cannot empty %s: %s", path, g_strerror(errno));
    if (close(fd) != 0 && code == 0)
        code = errno;
    return code;
}

/* Fills and closes the temporary file. Returns 0, or errno. */
static int
fill_temporary(int fd, mode_t mode, const char *text, gsize length)
{
    int code = write_all(fd, text, length);
    if (code == 0 && mode && fchmod(fd, mode) != 0)
        code = errno;
    if (code == 0 && fsync(fd) != 0)
        code = errno;
    if (close(fd) != 0 && code == 0)
        code = errno;
    return code;
}

/* Through a temporary file beside @path, which keeps the permissions of the file that it replaces. */
static int
replace_file(const char *path, mode_t mode, const char *text, gsize length)
{
    g_autofree char *temporary = g_strconcat(path, ".XXXXXX", NULL);
    int fd = g_mkstemp_full(temporary, O_WRONLY | O_CLOEXEC, 0666);
    if (fd < 0)
        return errno == EACCES || errno == EPERM || errno == ENAMETOOLONG ? write_directly(path, text, length) : errno;

    int code = fill_temporary(fd, mode, text, length);
    if (code == 0 && rename(temporary, path) != 0)
        code = errno;
    if (code != 0)
        unlink(temporary);
    return code;
}

gboolean
document_write_file(const char *path, const char *text, gsize length, GError **error)
{
    struct stat status;
    int code;

    if (g_str_equal(path, "-")) {
        code = write_stdout(text, length);
    } else if (stat(path, &status) == 0) {
        /* The name of the file itself, lest a symbolic link be replaced. */
        g_autofree char *resolved = realpath(path, NULL);
        if (resolved && S_ISREG(status.st_mode))
            code = access(resolved, W_OK) == 0 ? replace_file(resolved, status.st_mode & 07777, text, length) : errno;
        else
            code = write_directly(path, text, length);
    } else if (errno == ENOENT && lstat(path, &status) != 0) {
        code = replace_file(path, 0, text, length);
    } else {
        code = write_directly(path, text, length);
    }
    if (code != 0)
        set_write_error(error, g_str_equal(path, "-") ? "standard output" : path, code);
    return code == 0;
}

char *
document_read_file(const char *path, gsize *length, GError **error)
{
    const gboolean is_stdin = g_str_equal(path, "-");
    const char *name = is_stdin ? "standard input" : path;
    FILE *file = is_stdin ? stdin : fopen(path, "re");
    g_autoptr(GString) text = g_string_new(NULL);
    g_autofree char *block = g_malloc(LIMIT_BLOCK);
    gsize got = 0;
    int code = file ? 0 : errno;

    while (code == 0 && text->len <= LIMIT_DOCUMENT && (got = fread(block, 1, LIMIT_BLOCK, file)) > 0)
        g_string_append_len(text, block, (gssize)got);
    if (code == 0 && ferror(file))
        code = errno;
    if (file && !is_stdin)
        fclose(file);

    if (code != 0) {
        g_set_error(error, RESULTS_ERROR, RESULTS_ERROR_IO, "cannot read %s: %s; name a file that dirtylab has written", name,
                    g_strerror(code));
        return NULL;
    }
    if (text->len > LIMIT_DOCUMENT) {
        g_set_error(error, RESULTS_ERROR, RESULTS_ERROR_FORMAT, "%s is larger than %u MiB: no result document is", name,
                    LIMIT_DOCUMENT >> 20);
        return NULL;
    }
    *length = text->len;
    return g_string_free(g_steal_pointer(&text), FALSE);
}
