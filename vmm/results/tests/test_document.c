/* SPDX-License-Identifier: MIT */
/* Files are written whole or not at all, and a full disk is an error. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <glib/gstdio.h>

#include "results/document.h"

typedef struct {
    char *folder;
    char *path;
} Place;

static void
set_up(Place *place, G_GNUC_UNUSED gconstpointer data)
{
    g_autoptr(GError) error = NULL;
    place->folder = g_dir_make_tmp("dirtylab-results-XXXXXX", &error);
    g_assert_no_error(error);
    place->path = g_build_filename(place->folder, "out.json", NULL);
}

static guint
count_files(const char *folder)
{
    g_autoptr(GDir) dir = g_dir_open(folder, 0, NULL);
    guint n = 0;
    while (g_dir_read_name(dir))
        n++;
    return n;
}

static void
tear_down(Place *place, G_GNUC_UNUSED gconstpointer data)
{
    g_autoptr(GDir) dir = g_dir_open(place->folder, 0, NULL);
    for (const char *name = g_dir_read_name(dir); name; name = g_dir_read_name(dir)) {
        g_autofree char *path = g_build_filename(place->folder, name, NULL);
        g_unlink(path);
    }
    g_rmdir(place->folder);
    g_free(place->folder);
    g_free(place->path);
}

static void
assert_holds(const char *path, const char *expected)
{
    g_autofree char *text = NULL;
    g_autoptr(GError) error = NULL;
    g_file_get_contents(path, &text, NULL, &error);
    g_assert_no_error(error);
    g_assert_cmpstr(text, ==, expected);
}

static void
test_new_and_replaced(Place *place, G_GNUC_UNUSED gconstpointer data)
{
    g_autoptr(GError) error = NULL;
    struct stat status;

    document_write_file(place->path, "one\n", 4, &error);
    g_assert_no_error(error);
    assert_holds(place->path, "one\n");
    g_assert_cmpint(chmod(place->path, 0640), ==, 0);
    document_write_file(place->path, "two\n", 4, &error);
    g_assert_no_error(error);
    assert_holds(place->path, "two\n");
    g_assert_cmpint(stat(place->path, &status), ==, 0);
    g_assert_cmpint(status.st_mode & 0777, ==, 0640);
    g_assert_cmpuint(count_files(place->folder), ==, 1);
}

static void
test_symbolic_link_is_followed(Place *place, G_GNUC_UNUSED gconstpointer data)
{
    g_autofree char *link = g_build_filename(place->folder, "link.json", NULL);
    g_autoptr(GError) error = NULL;

    g_assert_cmpint(symlink("out.json", link), ==, 0);
    for (guint i = 0; i < 2; i++) { /* first it leads nowhere, then to a file */
        document_write_file(link, i ? "two" : "one", 3, &error);
        g_assert_no_error(error);
        assert_holds(place->path, i ? "two" : "one");
        g_assert_true(g_file_test(link, G_FILE_TEST_IS_SYMLINK));
    }
}

static void
test_full_device(void)
{
    g_autoptr(GError) error = NULL;
    g_assert_false(document_write_file("/dev/full", "text", 4, &error));
    g_assert_error(error, RESULTS_ERROR, RESULTS_ERROR_IO);
    g_assert_nonnull(strstr(error->message, "/dev/full"));
    g_assert_nonnull(strstr(error->message, g_strerror(ENOSPC)));
    g_assert_cmpint(g_access("/dev/full", W_OK), ==, 0);
}

static void
test_full_standard_output(void)
{
    if (g_test_subprocess()) {
        g_autoptr(GError) error = NULL;
        g_assert_cmpint(dup2(open("/dev/full", O_WRONLY), STDOUT_FILENO), ==, STDOUT_FILENO);
        g_assert_false(document_write_file("-", "text", 4, &error));
        g_assert_nonnull(strstr(error->message, "standard output"));
        _exit(0); /* the frame's own output would fail too */
    }
    g_test_trap_subprocess(NULL, 0, G_TEST_SUBPROCESS_DEFAULT);
    g_test_trap_assert_passed();
}

static void
test_standard_output(void)
{
    if (g_test_subprocess()) {
        g_print("before ");
        document_write_file("-", "the document\n", 13, NULL);
        return;
    }
    g_test_trap_subprocess(NULL, 0, G_TEST_SUBPROCESS_DEFAULT);
    g_test_trap_assert_passed();
    g_test_trap_assert_stdout("*before the document*");
}

/* A limit on the size of files stands in for the full disk: the same code, another errno. */
static void
test_truncated_is_not_left(Place *place, G_GNUC_UNUSED gconstpointer data)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *large = g_strnfill(100000, 'x');
    struct rlimit before, limit;

    document_write_file(place->path, "old", 3, &error);
    g_assert_no_error(error);
    g_assert_cmpint(getrlimit(RLIMIT_FSIZE, &before), ==, 0);
    limit = (struct rlimit){.rlim_cur = 4096, .rlim_max = before.rlim_max};
    signal(SIGXFSZ, SIG_IGN);
    g_assert_cmpint(setrlimit(RLIMIT_FSIZE, &limit), ==, 0);
    gboolean written = document_write_file(place->path, large, 100000, &error);
    g_assert_cmpint(setrlimit(RLIMIT_FSIZE, &before), ==, 0);

    g_assert_false(written);
    g_assert_error(error, RESULTS_ERROR, RESULTS_ERROR_IO);
    assert_holds(place->path, "old");
    g_assert_cmpuint(count_files(place->folder), ==, 1);
}

static void
test_no_folder_and_a_folder(Place *place, G_GNUC_UNUSED gconstpointer data)
{
    g_autofree char *missing = g_build_filename(place->folder, "none", "out.json", NULL);
    g_autoptr(GError) first = NULL, second = NULL, third = NULL;
    gsize length;

    g_assert_false(document_write_file(missing, "x", 1, &first));
    g_assert_nonnull(strstr(first->message, g_strerror(ENOENT)));
    g_assert_false(document_write_file(place->folder, "x", 1, &second));
    g_assert_nonnull(strstr(second->message, g_strerror(EISDIR)));
    g_assert_null(document_read_file(missing, &length, &third));
    g_assert_error(third, RESULTS_ERROR, RESULTS_ERROR_IO);
}

static void
test_read(Place *place, G_GNUC_UNUSED gconstpointer data)
{
    g_autoptr(GError) error = NULL, full = NULL, folder = NULL;
    gsize length = 0;

    document_write_file(place->path, "a\0b", 3, &error);
    g_autofree char *text = document_read_file(place->path, &length, &error);
    g_assert_no_error(error);
    g_assert_cmpmem(text, (int)length, "a\0b", 3);
    g_assert_null(document_read_file(place->folder, &length, &folder));
    g_assert_error(folder, RESULTS_ERROR, RESULTS_ERROR_IO);
    g_assert_null(document_read_file("/dev/zero", &length, &full));
    g_assert_error(full, RESULTS_ERROR, RESULTS_ERROR_FORMAT);
}

static void
test_started_is_rfc_3339(void)
{
    g_autoptr(DocumentInfo) info = document_info_new();
    document_info_start(info);
    g_assert_true(g_regex_match_simple("^\\d{4}-\\d\\d-\\d\\dT\\d\\d:\\d\\d:\\d\\d(\\.\\d+)?(Z|[+-]\\d\\d(:?\\d\\d)?)$",
                                       info->started, 0, 0));
    g_autoptr(GDateTime) parsed = g_date_time_new_from_iso8601(info->started, NULL);
    g_assert_nonnull(parsed);
}

#define ADD(name, test) g_test_add(name, Place, NULL, set_up, test, tear_down)

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    ADD("/document/new-and-replaced", test_new_and_replaced);
    ADD("/document/symbolic-link-is-followed", test_symbolic_link_is_followed);
    g_test_add_func("/document/full-device", test_full_device);
    g_test_add_func("/document/full-standard-output", test_full_standard_output);
    g_test_add_func("/document/standard-output", test_standard_output);
    ADD("/document/truncated-is-not-left", test_truncated_is_not_left);
    ADD("/document/no-folder-and-a-folder", test_no_folder_and_a_folder);
    ADD("/document/read", test_read);
    g_test_add_func("/document/started-is-rfc-3339", test_started_is_rfc_3339);
    return g_test_run();
}
