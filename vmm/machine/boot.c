/* SPDX-License-Identifier: MIT */
/* System calls: openat, read, close. */
#include <errno.h>
#include <fcntl.h>
#include <machine/boot.h>
#include <machine/bzimage.h>
#include <machine/elf_image.h>
#include <machine/linux64.h>
#include <machine/pvh.h>
#include <sys/stat.h>
#include <unistd.h>

#define EBDA_GPA UINT64_C(0x9fc00) /* a PC's RAM below 1 MiB ends here; operating systems expect no more */
#define READ_PIECE ((gsize)1 << 20)

/* --- which protocol --- */

static gboolean
load_elf(GuestRam *ram, const BootSource *source, BootEntry *entry, GError **error)
{
    ElfImage elf;

    if (!elf_image_open(&elf, source->kernel, source->kernel_size, error))
        return FALSE;
    if (pvh_has_entry(&elf)) {
        entry->protocol = BOOT_PVH;
        return pvh_load(ram, &elf, source, &entry->gpa, error);
    }
    entry->protocol = BOOT_ELF64;
    return linux64_load_elf(ram, &elf, source, &entry->gpa, error);
}

/* What people try, and what it is. */
static const char *
guess(const Image *image)
{
    if (!image->size)
        return "the file is empty";
    if (image_has(image, 56, "ARM\x64", 4))
        return "it is a kernel for arm64, not for x86";
    if (image_has(image, 0, "\x1f\x8b", 2) ||
        image_has(image, 0,
                  "\xfd"
                  "7zXZ",
                  5) ||
        image_has(image, 0, "\x28\xb5\x2f\xfd", 4))
        return "it is compressed: unpack it first";
    return "it is neither an ELF file nor a bzImage";
}

gboolean
boot_load(GuestRam *ram, const BootSource *source, BootEntry *entry, GError **error)
{
    Image image = {.bytes = source->kernel, .size = source->kernel_size};

    if (image_has(&image, 0, ELFMAG, SELFMAG))
        return load_elf(ram, source, entry, error);
    if (bzimage_is(&image)) {
        entry->protocol = BOOT_BZIMAGE;
        return bzimage_load(ram, &image, source, &entry->gpa, error);
    }
    return image_refuse(error, guess(&image));
}

gboolean
boot_start_vcpu(Machine *machine, const BootEntry *entry, GError **error)
{
    return entry->protocol == BOOT_PVH ? pvh_start_vcpu(machine, (guint32)entry->gpa, error)
                                       : linux64_start_vcpu(machine, entry->gpa, error);
}

/* --- files --- */

/* Grows as the file turns out to be: a pipe has no size beforehand, and a file's may change. */
static gboolean
read_all(int fd, gsize most, GByteArray *into, gboolean *too_large)
{
    for (;;) {
        gsize before = into->len;
        g_byte_array_set_size(into, (guint)(before + MIN(READ_PIECE, most + 1 - before)));
        gssize n;
        do
            n = read(fd, into->data + before, into->len - before);
        while (n < 0 && errno == EINTR);
        g_byte_array_set_size(into, (guint)(before + (gsize)MAX(n, 0)));
        if (n <= 0)
            return n == 0;
        *too_large = into->len > most;
        if (*too_large)
            return FALSE;
    }
}

/* A device may have no end, or do something when it is read. */
static int
open_file(const char *path, gsize most, gboolean *too_large)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    struct stat file;
    int problem = 0;

    if (fd < 0)
        return -1;
    if (fstat(fd, &file) < 0)
        problem = errno;
    else if (S_ISDIR(file.st_mode))
        problem = EISDIR;
    else if (!S_ISREG(file.st_mode) && !S_ISFIFO(file.st_mode))
        problem = ENODEV;
    else if (S_ISREG(file.st_mode) && (guint64)file.st_size > most)
        problem = EFBIG;
    if (!problem)
        return fd;
    *too_large = problem == EFBIG;
    close(fd);
    errno = problem;
    return -1;
}

static void
set_too_large(const char *what, const char *path, gsize most, const char *remedy, GError **error)
{
    g_set_error(error, MACHINE_ERROR, remedy ? MACHINE_ERROR_RESOURCE : MACHINE_ERROR_INVALID,
                "the %s %s is larger than %" G_GSIZE_FORMAT " MiB, the most that it may have here%s%s", what, path, most >> 20,
                remedy ? ": " : "", remedy ? remedy : "");
}

gboolean
boot_read_file(const char *what, const char *path, gsize most, const char *remedy, guint8 **bytes, gsize *size, GError **error)
{
    g_autoptr(GByteArray) array = g_byte_array_new();
    gboolean too_large = FALSE, complete = FALSE;

    most = MIN(most, G_MAXINT32);
    int fd = open_file(path, most, &too_large);
    if (fd >= 0)
        complete = read_all(fd, most, array, &too_large);
    int problem = errno;
    if (fd >= 0)
        close(fd);
    if (complete && array->len) {
        *bytes = g_byte_array_steal(array, size);
        return TRUE;
    }
    if (too_large)
        set_too_large(what, path, most, remedy, error);
    else if (problem == ENODEV && !complete)
        g_set_error(error, MACHINE_ERROR, MACHINE_ERROR_INVALID, "the %s %s is neither a file nor a pipe", what, path);
    else if (complete)
        g_set_error(error, MACHINE_ERROR, MACHINE_ERROR_INVALID, "the %s %s is empty", what, path);
    else
        g_set_error(error, MACHINE_ERROR, MACHINE_ERROR_INVALID, "the %s %s cannot be read: %s", what, path, g_strerror(problem));
    return FALSE;
}

/* --- what the protocols share --- */

guint
boot_memory_map(const GuestRam *ram, BootMemory map[BOOT_MEMORY_MAX])
{
    DlLayout *layout = guest_ram_layout(ram);
    guint n = 0;

    for (guint i = 0; i < dl_layout_n_regions(layout) && n + 3 <= BOOT_MEMORY_MAX; i++) {
        const DlRegion *region = dl_layout_region(layout, i);
        if (region->gpa) {
            map[n++] = (BootMemory){region->gpa, region->size, BOOT_MEMORY_RAM};
            continue;
        }
        map[n++] = (BootMemory){0, MIN(region->size, EBDA_GPA), BOOT_MEMORY_RAM};
        map[n++] = (BootMemory){EBDA_GPA, BOOT_HIGH_MEMORY - EBDA_GPA, BOOT_MEMORY_RESERVED};
        if (region->size > BOOT_HIGH_MEMORY)
            map[n++] = (BootMemory){BOOT_HIGH_MEMORY, region->size - BOOT_HIGH_MEMORY, BOOT_MEMORY_RAM};
    }
    return n;
}

gboolean
boot_place_initrd(GuestRam *ram, const BootSource *source, guint64 lowest, guint64 last, guint64 *gpa, GError **error)
{
    const DlRegion *low = dl_layout_region(guest_ram_layout(ram), 0);
    guint64 end = MIN(low->size, last < G_MAXUINT64 ? last + 1 : last) & ~(BOOT_PAGE_SIZE - 1);

    *gpa = 0;
    if (!source->initrd)
        return TRUE;
    if (source->initrd_size <= end) {
        *gpa = (end - source->initrd_size) & ~(BOOT_PAGE_SIZE - 1);
        if (*gpa >= lowest && guest_ram_store(ram, *gpa, source->initrd, source->initrd_size))
            return TRUE;
    }
    g_set_error(error, MACHINE_ERROR, MACHINE_ERROR_RESOURCE,
                "the initrd of %" G_GSIZE_FORMAT " KiB does not fit between the kernel's end at %" G_GUINT64_FORMAT
                " MiB and %" G_GUINT64_FORMAT " MiB: give the guest more memory",
                source->initrd_size >> 10, lowest >> 20, end >> 20);
    return FALSE;
}

gboolean
boot_store_command_line(GuestRam *ram, const BootSource *source, guint64 gpa, gsize most, GError **error)
{
    const char *line = source->command_line ? source->command_line : "";
    gsize length = strlen(line);

    if (length > most) {
        g_set_error(error, MACHINE_ERROR, MACHINE_ERROR_INVALID,
                    "the kernel's command line is longer than the %" G_GSIZE_FORMAT " bytes that this kernel takes", most);
        return FALSE;
    }
    if (guest_ram_store(ram, gpa, line, length + 1))
        return TRUE;
    g_set_error(error, MACHINE_ERROR, MACHINE_ERROR_RESOURCE, "the guest has no RAM for a command line: give it more memory");
    return FALSE;
}
