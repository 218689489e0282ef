/* SPDX-License-Identifier: MIT */
/*
 * libFuzzer over the loaders: whatever the file holds, they refuse it or load it, and touch nothing outside the file and RAM. The first
 * byte says how the rest is taken: as a file, or as edits of a small kernel that would boot, which gets past the magic numbers.
 */
#include <machine/boot.h>
#include <machine/tests/kernels.h>
#include <string.h>

#define RAM_BYTES (UINT64_C(4) << 20)
#define KERNEL_GPA UINT64_C(0x100000)
#define EDIT_BYTES 10 /* an offset of 2 bytes, then what is stored there */

int LLVMFuzzerTestOneInput(const guint8 *data, gsize size);

static GByteArray *
edited(GByteArray *image, const guint8 *edits, gsize size)
{
    for (; size >= EDIT_BYTES; edits += EDIT_BYTES, size -= EDIT_BYTES) {
        gsize at = (gsize)(edits[0] | edits[1] << 8) % image->len;
        memcpy(image->data + at, edits + 2, MIN(EDIT_BYTES - 2, image->len - at));
    }
    /* what is left cuts the file short */
    if (size)
        g_byte_array_set_size(image, (guint)(image->len * (gsize)edits[0] / 255));
    return image;
}

static GByteArray *
make_kernel(const guint8 *data, gsize size)
{
    static const guint8 code[64];
    guint form = size ? data[0] % 4 : 0;

    if (!form)
        return g_byte_array_append(g_byte_array_new(), data, (guint)size);
    GByteArray *image =
        form == 1 ? kernel_bzimage(code, sizeof code, KERNEL_GPA) : kernel_elf(code, sizeof code, KERNEL_GPA, form == 3);
    return edited(image, data + 1, size - 1);
}

int
LLVMFuzzerTestOneInput(const guint8 *data, gsize size)
{
    static GuestRam *ram; /* one for all: its content is of no account */
    static guint8 initrd[3 * 4096 + 5];
    g_autoptr(GError) error = NULL;
    BootEntry entry;

    if (!ram)
        ram = guest_ram_new(DL_RAM_SHMEM, RAM_BYTES, FALSE, &error);
    g_assert_no_error(error);
    g_autoptr(GByteArray) image = make_kernel(data, size);
    /* a copy of exactly its size, so that a read beyond is seen */
    g_autofree guint8 *kernel = g_memdup2(image->data, image->len);
    BootSource source = {.kernel = kernel,
                         .kernel_size = image->len,
                         .initrd = size % 2 ? initrd : NULL,
                         .initrd_size = sizeof initrd,
                         .command_line = "console=ttyS0"};
    gboolean loaded = boot_load(ram, &source, &entry, &error);
    g_assert_true(loaded == !error);
    return 0;
}
