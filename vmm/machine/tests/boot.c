/* SPDX-License-Identifier: MIT */
/* The loaders: what they hand over is where the protocols say, and what cannot be booted is refused in words. */
#include <asm/bootparam.h>
#include <glib/gstdio.h>
#include <machine/boot.h>
#include <machine/error.h>
#include <machine/linux64.h>
#include <machine/pvh.h>
#include <machine/tests/kernels.h>
#include <string.h>

#define MIB UINT64_C(1048576)
#define KERNEL_GPA (2 * MIB)
#define INITRD_BYTES 12345

static const guint8 code[100] = {0xf4, 1, 2, 3};

typedef struct {
    GuestRam *ram;
    GByteArray *kernel;
    guint8 initrd[INITRD_BYTES];
    BootSource source;
    BootEntry entry;
} Fixture;

static GuestRam *
new_ram(guint64 bytes)
{
    g_autoptr(GError) error = NULL;
    GuestRam *ram = guest_ram_new(DL_RAM_SHMEM, bytes, FALSE, &error);

    g_assert_no_error(error);
    return ram;
}

/* Takes the kernel. */
static Fixture *
fixture_new(guint64 ram_bytes, GByteArray *kernel)
{
    Fixture *fixture = g_new0(Fixture, 1);

    fixture->ram = new_ram(ram_bytes);
    fixture->kernel = kernel;
    memset(fixture->initrd, 0x5a, sizeof fixture->initrd);
    fixture->source = (BootSource){.kernel = kernel->data,
                                   .kernel_size = kernel->len,
                                   .initrd = fixture->initrd,
                                   .initrd_size = sizeof fixture->initrd,
                                   .command_line = "console=ttyS0",
                                   .rsdp_gpa = 0xe0000};
    return fixture;
}

static void
fixture_free(Fixture *fixture)
{
    guest_ram_free(fixture->ram);
    g_byte_array_unref(fixture->kernel);
    g_free(fixture);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Fixture, fixture_free)

static Fixture *
bzimage_fixture(guint64 ram_bytes)
{
    return fixture_new(ram_bytes, kernel_bzimage(code, sizeof code, KERNEL_GPA));
}

static struct setup_header *
header_of(Fixture *fixture)
{
    return (struct setup_header *)(gpointer)(fixture->kernel->data + 0x1f1);
}

static void
load(Fixture *fixture)
{
    g_autoptr(GError) error = NULL;

    g_assert_true(boot_load(fixture->ram, &fixture->source, &fixture->entry, &error));
    g_assert_no_error(error);
}

static void
refuse(Fixture *fixture, int code_expected, const char *words)
{
    g_autoptr(GError) error = NULL;

    g_assert_false(boot_load(fixture->ram, &fixture->source, &fixture->entry, &error));
    g_assert_error(error, MACHINE_ERROR, code_expected);
    g_test_message("%s", error->message);
    if (!strstr(error->message, words))
        g_error("\"%s\" does not say \"%s\"", error->message, words);
    g_assert_null(strchr(error->message, '\n'));
}

static void
check_bytes(Fixture *fixture, guint64 gpa, gconstpointer expected, gsize size)
{
    g_autofree guint8 *bytes = g_malloc(size);

    g_assert_true(guest_ram_load(fixture->ram, gpa, bytes, size));
    g_assert_true(memcmp(bytes, expected, size) == 0);
}

static void
check_boot_params(Fixture *fixture, guint64 initrd)
{
    struct boot_params params;

    g_assert_true(guest_ram_load(fixture->ram, LINUX64_BOOT_PARAMS_GPA, &params, sizeof params));
    g_assert_cmphex(params.hdr.header, ==, 0x53726448);
    g_assert_cmphex(params.hdr.type_of_loader, ==, 0xff);
    g_assert_cmphex(params.hdr.ramdisk_image, ==, initrd);
    g_assert_cmpuint(params.hdr.ramdisk_size, ==, INITRD_BYTES);
    g_assert_cmphex(params.acpi_rsdp_addr, ==, 0xe0000);
    g_assert_cmpuint(params.sentinel, ==, 0);
    check_bytes(fixture, params.hdr.cmd_line_ptr, "console=ttyS0", sizeof "console=ttyS0");
    check_bytes(fixture, params.hdr.ramdisk_image, fixture->initrd, INITRD_BYTES);

    struct setup_data seed;
    g_assert_true(guest_ram_load(fixture->ram, params.hdr.setup_data, &seed, sizeof seed));
    g_assert_cmpuint(seed.next, ==, 0);
    g_assert_true(seed.type == SETUP_RNG_SEED || seed.type == SETUP_NONE);
}

/* Ascending, without overlap, RAM in all where RAM is and nowhere else. */
static void
check_e820(Fixture *fixture)
{
    struct boot_params params;
    guint64 end = 0, ram = 0;

    g_assert_true(guest_ram_load(fixture->ram, LINUX64_BOOT_PARAMS_GPA, &params, sizeof params));
    g_assert_cmpuint(params.e820_entries, >=, 3);
    for (guint i = 0; i < params.e820_entries; i++) {
        const struct boot_e820_entry *entry = &params.e820_table[i];
        g_assert_cmphex(entry->addr, >=, end);
        end = entry->addr + entry->size;
        if (entry->type == BOOT_MEMORY_RAM) {
            ram += entry->size;
            g_assert_nonnull(dl_layout_hva_of_gpa(guest_ram_layout(fixture->ram), entry->addr, entry->size));
            g_assert_true(end <= 0xa0000 || entry->addr >= MIB);
        }
    }
    g_assert_cmpuint(ram, ==, guest_ram_size(fixture->ram) - MIB + 0x9fc00);
}

static void
test_bzimage(void)
{
    g_autoptr(Fixture) fixture = bzimage_fixture(64 * MIB);

    load(fixture);
    g_assert_cmpint(fixture->entry.protocol, ==, BOOT_BZIMAGE);
    g_assert_cmphex(fixture->entry.gpa, ==, KERNEL_GPA + 0x200);
    check_bytes(fixture, fixture->entry.gpa, code, sizeof code);
    check_boot_params(fixture, 64 * MIB - 0x4000);
    check_e820(fixture);
}

static void
test_memory_above_the_hole(void)
{
    g_autoptr(Fixture) fixture = bzimage_fixture(UINT64_C(5) * 1024 * MIB);

    load(fixture);
    check_boot_params(fixture, 0x80000000 - 0x4000);
    check_e820(fixture);
}

static void
test_initrd_keeps_to_the_kernels_limit(void)
{
    g_autoptr(Fixture) fixture = bzimage_fixture(64 * MIB);

    header_of(fixture)->initrd_addr_max = 32 * MIB - 1;
    load(fixture);
    check_boot_params(fixture, 32 * MIB - 0x4000);
    header_of(fixture)->initrd_addr_max = KERNEL_GPA + KERNEL_INIT_BYTES + INITRD_BYTES / 2;
    refuse(fixture, MACHINE_ERROR_RESOURCE, "initrd");
}

static void
test_elf(void)
{
    g_autoptr(Fixture) fixture = fixture_new(64 * MIB, kernel_elf(code, sizeof code, KERNEL_GPA, FALSE));

    load(fixture);
    g_assert_cmpint(fixture->entry.protocol, ==, BOOT_ELF64);
    g_assert_cmphex(fixture->entry.gpa, ==, KERNEL_GPA);
    check_bytes(fixture, fixture->entry.gpa, code, sizeof code);
    check_boot_params(fixture, 64 * MIB - 0x4000);
    check_e820(fixture);
}

static void
test_pvh_module(void)
{
    g_autoptr(Fixture) fixture = fixture_new(64 * MIB, kernel_elf(code, sizeof code, KERNEL_GPA, TRUE));
    guint64 modules, rsdp, module[2];
    guint32 n;

    load(fixture);
    g_assert_cmpint(fixture->entry.protocol, ==, BOOT_PVH);
    g_assert_true(guest_ram_load(fixture->ram, PVH_START_INFO_GPA + 12, &n, sizeof n));
    g_assert_true(guest_ram_load(fixture->ram, PVH_START_INFO_GPA + 16, &modules, sizeof modules));
    g_assert_true(guest_ram_load(fixture->ram, PVH_START_INFO_GPA + 32, &rsdp, sizeof rsdp));
    g_assert_cmpuint(n, ==, 1);
    g_assert_cmphex(rsdp, ==, 0xe0000);
    g_assert_true(guest_ram_load(fixture->ram, modules, module, sizeof module));
    g_assert_cmphex(module[0], ==, 64 * MIB - 0x4000);
    g_assert_cmpuint(module[1], ==, INITRD_BYTES);
    check_bytes(fixture, module[0], fixture->initrd, INITRD_BYTES);
}

static void
test_refuses_what_does_not_fit(void)
{
    g_autoptr(Fixture) fixture = bzimage_fixture(2 * MIB);

    refuse(fixture, MACHINE_ERROR_RESOURCE, "more memory");
    g_autoptr(Fixture) tight = bzimage_fixture(KERNEL_GPA + KERNEL_INIT_BYTES);
    refuse(tight, MACHINE_ERROR_RESOURCE, "initrd");
    tight->source.initrd = NULL;
    load(tight);
    header_of(tight)->init_size = G_MAXUINT32;
    refuse(tight, MACHINE_ERROR_RESOURCE, "more memory");
    header_of(tight)->pref_address = G_MAXUINT64 - 4096;
    refuse(tight, MACHINE_ERROR_RESOURCE, "more memory");
    tight->source.initrd_size = G_MAXSIZE;
    tight->source.initrd = fixture->initrd;
    *header_of(tight) = *header_of(fixture);
    refuse(tight, MACHINE_ERROR_RESOURCE, "initrd");
}

/* Each segment fits, all together are more than RAM: a loader that zeroes each would be at it for long. */
static void
test_refuses_overlapping_segments(void)
{
    g_autoptr(Fixture) fixture = fixture_new(16 * MIB, kernel_elf(code, sizeof code, KERNEL_GPA, TRUE));
    Elf64_Phdr *header = (Elf64_Phdr *)(gpointer)(fixture->kernel->data + sizeof(Elf64_Ehdr));

    header[0].p_memsz = 10 * MIB;
    header[1] = header[0];
    refuse(fixture, MACHINE_ERROR_INVALID, "overlap");
}

static void
test_refuses_every_truncation(void)
{
    g_autoptr(Fixture) fixture = bzimage_fixture(16 * MIB);

    for (gsize size = 0; size < fixture->kernel->len; size += size < 0x280 ? 1 : 13) {
        g_autofree guint8 *cut = g_memdup2(fixture->kernel->data, size);
        g_autoptr(GError) error = NULL;

        fixture->source.kernel = cut;
        fixture->source.kernel_size = size;
        g_assert_false(boot_load(fixture->ram, &fixture->source, &fixture->entry, &error));
        g_assert_error(error, MACHINE_ERROR, MACHINE_ERROR_INVALID);
    }
}

static void
test_refuses_other_kernels(void)
{
    static const guint8 gzip[64] = {0x1f, 0x8b};
    static const guint8 arm64[64] = {[0] = 'M', [1] = 'Z', [56] = 'A', [57] = 'R', [58] = 'M', [59] = 'd'};
    struct {
        const guint8 *bytes;
        const char *words;
    } files[] = {{gzip, "compressed"}, {arm64, "arm64"}, {code, "neither"}};
    g_autoptr(Fixture) fixture = bzimage_fixture(16 * MIB);

    header_of(fixture)->xloadflags = 0;
    refuse(fixture, MACHINE_ERROR_INVALID, "32-bit");
    header_of(fixture)->version = 0x20b;
    refuse(fixture, MACHINE_ERROR_INVALID, "older");
    for (guint i = 0; i < G_N_ELEMENTS(files); i++) {
        fixture->source.kernel = files[i].bytes;
        fixture->source.kernel_size = 64;
        refuse(fixture, MACHINE_ERROR_INVALID, files[i].words);
    }
    fixture->source.kernel_size = 0;
    refuse(fixture, MACHINE_ERROR_INVALID, "empty");
}

static void
test_command_lines_limit(void)
{
    g_autoptr(Fixture) fixture = bzimage_fixture(16 * MIB);
    g_autofree char *longest = g_strnfill(255, 'a');
    g_autofree char *too_long = g_strnfill(256, 'a');

    fixture->source.command_line = longest;
    load(fixture);
    fixture->source.command_line = too_long;
    refuse(fixture, MACHINE_ERROR_INVALID, "command line");
}

static void
test_reads_files(void)
{
    g_autofree char *folder = g_dir_make_tmp("dirtylab-boot-XXXXXX", NULL);
    g_autofree char *path = g_build_filename(folder, "kernel", NULL);
    g_autofree char *absent = g_build_filename(folder, "absent", NULL);
    guint8 *bytes = NULL;
    gsize size = 0;

    g_assert_true(g_file_set_contents(path, (const char *)code, sizeof code, NULL));
    for (guint i = 0; i < 2; i++) {
        g_autoptr(GError) error = NULL;
        g_assert_false(boot_read_file("kernel", path, sizeof code - 1, i ? "more memory" : NULL, &bytes, &size, &error));
        const MachineError expected = i ? MACHINE_ERROR_RESOURCE : MACHINE_ERROR_INVALID;
        g_assert_true(g_error_matches(error, MACHINE_ERROR, (gint)expected));
        g_assert_true((strstr(error->message, "more memory") != NULL) == (i == 1));
    }
    for (gsize most = sizeof code; most <= sizeof code + 1; most++) {
        g_autoptr(GError) error = NULL;
        g_assert_true(boot_read_file("kernel", path, most, NULL, &bytes, &size, &error));
        g_assert_cmpuint(size, ==, sizeof code);
        g_assert_true(memcmp(bytes, code, size) == 0);
        g_clear_pointer(&bytes, g_free);
    }
    const char *const bad[] = {folder, absent, "/dev/null", "/dev/zero"};
    for (guint i = 0; i < G_N_ELEMENTS(bad); i++) {
        g_autoptr(GError) error = NULL;
        g_assert_false(boot_read_file("kernel", bad[i], 4096, "more memory", &bytes, &size, &error));
        g_assert_error(error, MACHINE_ERROR, MACHINE_ERROR_INVALID);
        g_test_message("%s", error->message);
    }
    g_assert_no_errno(g_unlink(path));
    g_assert_no_errno(g_rmdir(folder));
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/boot/bzimage-is-handed-over", test_bzimage);
    g_test_add_func("/boot/memory-above-the-hole-is-told", test_memory_above_the_hole);
    g_test_add_func("/boot/initrd-keeps-to-the-kernels-limit", test_initrd_keeps_to_the_kernels_limit);
    g_test_add_func("/boot/elf-without-the-note-is-handed-over", test_elf);
    g_test_add_func("/boot/pvh-gets-its-initrd-as-a-module", test_pvh_module);
    g_test_add_func("/boot/refuses-what-does-not-fit", test_refuses_what_does_not_fit);
    g_test_add_func("/boot/refuses-overlapping-segments", test_refuses_overlapping_segments);
    g_test_add_func("/boot/refuses-every-truncation", test_refuses_every_truncation);
    g_test_add_func("/boot/refuses-other-kernels", test_refuses_other_kernels);
    g_test_add_func("/boot/command-line-has-the-kernels-limit", test_command_lines_limit);
    g_test_add_func("/boot/files-are-read-whole-or-refused", test_reads_files);
    return g_test_run();
}
