/* SPDX-License-Identifier: MIT */
#include <machine/bzimage.h>
#include <machine/linux64.h>
#include <stddef.h>

#define HEADER_OFFSET 0x1f1
#define BOOT_FLAG_OFFSET 0x1fe
#define HEADER_LENGTH_OFFSET 0x201 /* the jump's operand: the header ends that many bytes behind 0x202 */
#define MAGIC_OFFSET 0x202
#define SECTOR 512
#define SETUP_SECTORS_UNSAID 4
#define PARAGRAPH 16
#define OLDEST_VERSION 0x20c
#define ENTRY_64_OFFSET 0x200

gboolean
bzimage_is(const Image *image)
{
    return image_has(image, BOOT_FLAG_OFFSET, "\x55\xaa", 2) && image_has(image, MAGIC_OFFSET, "HdrS", 4);
}

/* What the file's header does not reach to, an older protocol's, stays 0. */
static gboolean
read_header(const Image *image, struct setup_header *header, GError **error)
{
    guint8 length = 0;

    *header = (struct setup_header){0};
    if (!image_read(image, HEADER_LENGTH_OFFSET, &length, 1))
        return image_refuse(error, "its setup header is truncated");
    gsize size = MIN(sizeof *header, (gsize)MAGIC_OFFSET + length - HEADER_OFFSET);
    if (!image_read(image, HEADER_OFFSET, header, size))
        return image_refuse(error, "its setup header is truncated");
    if (header->version < OLDEST_VERSION)
        return image_refuse(error, "its boot protocol is older than 2.12: it takes Linux 3.8 or newer");
    if (!(header->xloadflags & XLF_KERNEL_64))
        return image_refuse(error, "it is a 32-bit kernel: a 64-bit one is needed");
    if (!(header->loadflags & LOADED_HIGH) || header->pref_address < BOOT_HIGH_MEMORY)
        return image_refuse(error, "it wants to lie below 1 MiB: is it a bzImage?");
    return TRUE;
}

gboolean
bzimage_load(GuestRam *ram, const Image *image, const BootSource *source, guint64 *entry, GError **error)
{
    struct setup_header header;

    if (!read_header(image, &header, error))
        return FALSE;
    guint64 offset = ((header.setup_sects ? header.setup_sects : SETUP_SECTORS_UNSAID) + UINT64_C(1)) * SECTOR;
    guint64 size = (guint64)header.syssize * PARAGRAPH;
    guint64 start = header.pref_address;
    const guint8 *code = image_piece(image, offset, size);

    if (!code)
        return image_refuse(error, "the file is shorter than its header says: it is truncated");
    if (size <= ENTRY_64_OFFSET)
        return image_refuse(error, "its code ends before the 64-bit entry");
    guint64 needed = MAX(size, header.init_size);
    if (!dl_layout_hva_of_gpa(guest_ram_layout(ram), start, needed) || start + needed > GUEST_RAM_HOLE_START) {
        g_set_error(error, MACHINE_ERROR, MACHINE_ERROR_RESOURCE,
                    "the kernel needs %" G_GUINT64_FORMAT " MiB of RAM from %" G_GUINT64_FORMAT
                    " MiB on to unpack itself: give the guest more memory",
                    (needed + 0xfffff) >> 20, start >> 20);
        return FALSE;
    }
    *entry = start + ENTRY_64_OFFSET;
    return guest_ram_store(ram, start, code, size) && linux64_hand_over(ram, source, &header, start + needed, error);
}
