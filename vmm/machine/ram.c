/* SPDX-License-Identifier: MIT */
/* System calls: preadv, pwritev, fallocate; dl_memory_new()'s. Reads /proc/meminfo. */
#include <errno.h>
#include <fcntl.h>
#include <machine/error.h>
#include <machine/ram.h>
#include <string.h>
#include <sys/uio.h>

#define N_REGIONS_MAX 2

struct GuestRam {
    DlRamKind kind;
    guint64 size;
    guint n_memories;
    DlMemory *memory[N_REGIONS_MAX];
    DlLayout *layout;
    DlLog *log; /* atomic; NULL: nobody to tell */
};

static gboolean
check_size(DlRamKind kind, guint64 bytes, GError **error)
{
    guint64 page = dl_ram_kind_page_size(kind);

    if (bytes && bytes % page == 0 && bytes <= G_MAXINT64)
        return TRUE;
    g_set_error(error, MACHINE_ERROR, MACHINE_ERROR_INVALID,
                "guest RAM of %" G_GUINT64_FORMAT " bytes: %s comes in multiples of %" G_GUINT64_FORMAT " KiB, at least one",
                bytes, dl_ram_kind_name(kind), page >> 10);
    return FALSE;
}

/* A line of /proc/meminfo in bytes; 0 when it is not there. */
static guint64
meminfo_bytes(const char *text, const char *name)
{
    const char *line = strstr(text, name);

    return line ? g_ascii_strtoull(line + strlen(name), NULL, 10) * 1024 : 0;
}

static gboolean
has_at_least(const char *meminfo, const char *name, guint64 bytes, const char *words, GError **error)
{
    guint64 limit = meminfo_bytes(meminfo, name);

    if (!limit || bytes <= limit)
        return TRUE;
    g_set_error(error, MACHINE_ERROR, MACHINE_ERROR_RESOURCE,
                "%" G_GUINT64_FORMAT " MiB is more than the %" G_GUINT64_FORMAT " MiB that this host has%s: ask for less memory",
                bytes >> 20, limit >> 20, words);
    return FALSE;
}

gboolean
guest_ram_check_host(DlRamKind kind, guint64 bytes, gboolean populate, guint64 besides, GError **error)
{
    g_autofree char *meminfo = NULL;
    gboolean hugetlb = kind == DL_RAM_HUGETLB_2M || kind == DL_RAM_HUGETLB_1G;
    gboolean touched = !hugetlb && (populate || kind == DL_RAM_SHMEM_THP);

    if (!check_size(kind, bytes, error))
        return FALSE;
    if (!g_file_get_contents("/proc/meminfo", &meminfo, NULL, NULL))
        return TRUE;
    guint64 at_once = MIN(besides, (guint64)G_MAXINT64) + (touched ? bytes : 0);
    return has_at_least(meminfo, "MemTotal:", bytes, "", error) &&
           has_at_least(meminfo, "MemAvailable:", at_once, " available", error) && dl_memory_check_pool(kind, bytes, error);
}

static gboolean
add_memory(GuestRam *ram, guint64 bytes, gboolean populate, GError **error)
{
    DlMemory *memory = dl_memory_new(ram->kind, bytes, error);

    if (!memory)
        return FALSE;
    ram->memory[ram->n_memories++] = memory;
    return !populate || dl_memory_populate(memory, 0, memory->size, error);
}

static DlLayout *
make_layout(const GuestRam *ram, guint64 low_bytes, GError **error)
{
    DlRegion regions[N_REGIONS_MAX];

    for (guint i = 0; i < ram->n_memories; i++) {
        regions[i] = (DlRegion){.gpa = i ? GUEST_RAM_HOLE_END : 0,
                                .size = i ? ram->size - low_bytes : low_bytes,
                                .hva = ram->memory[i]->hva,
                                .slot = i,
                                .kind = ram->kind};
    }
    return dl_layout_new(regions, ram->n_memories, error);
}

GuestRam *
guest_ram_new(DlRamKind kind, guint64 bytes, gboolean populate, GError **error)
{
    if (!guest_ram_check_host(kind, bytes, populate, 0, error))
        return NULL;

    g_autoptr(GuestRam) ram = g_new0(GuestRam, 1);
    guint64 low_bytes = MIN(bytes, GUEST_RAM_HOLE_START);

    ram->kind = kind;
    ram->size = bytes;
    if (!add_memory(ram, low_bytes, populate, error))
        return NULL;
    if (bytes > low_bytes && !add_memory(ram, bytes - low_bytes, populate, error))
        return NULL;
    ram->layout = make_layout(ram, low_bytes, error);
    return ram->layout ? g_steal_pointer(&ram) : NULL;
}

void
guest_ram_free(GuestRam *ram)
{
    if (!ram)
        return;
    g_clear_pointer(&ram->layout, dl_layout_unref);
    for (guint i = 0; i < ram->n_memories; i++)
        dl_memory_free(ram->memory[i]);
    g_free(ram);
}

guint64
guest_ram_size(const GuestRam *ram)
{
    return ram->size;
}

DlRamKind
guest_ram_kind(const GuestRam *ram)
{
    return ram->kind;
}

DlLayout *
guest_ram_layout(const GuestRam *ram)
{
    return ram->layout;
}

const DlMemory *
guest_ram_memory(const GuestRam *ram, guint region)
{
    g_return_val_if_fail(region < ram->n_memories, NULL);
    return ram->memory[region];
}

void
guest_ram_attach_log(GuestRam *ram, DlLog *log)
{
    g_atomic_pointer_set(&ram->log, log);
}

static void
note_written(GuestRam *ram, guint64 gpa, guint64 size)
{
    DlLog *log = g_atomic_pointer_get(&ram->log);

    if (log && size)
        dl_log_note_written(log, gpa, size);
}

gboolean
guest_ram_store(GuestRam *ram, guint64 gpa, gconstpointer data, gsize size)
{
    guint8 *hva = dl_layout_hva_of_gpa(ram->layout, gpa, size);

    if (!hva)
        return FALSE;
    memcpy(hva, data, size);
    note_written(ram, gpa, size);
    return TRUE;
}

gboolean
guest_ram_publish16(GuestRam *ram, guint64 gpa, guint16 value)
{
    guint8 *hva = dl_layout_hva_of_gpa(ram->layout, gpa, sizeof value);

    if (!hva || gpa % sizeof value)
        return FALSE;
    __atomic_store_n((guint16 *)(gpointer)hva, GUINT16_TO_LE(value), __ATOMIC_RELEASE);
    note_written(ram, gpa, sizeof value);
    return TRUE;
}

gboolean
guest_ram_load(const GuestRam *ram, guint64 gpa, gpointer data, gsize size)
{
    const guint8 *hva = dl_layout_hva_of_gpa(ram->layout, gpa, size);

    if (!hva)
        return FALSE;
    memcpy(data, hva, size);
    return TRUE;
}

/** Discard: @size bytes of @fd from @offset on; @refused: the guard's answer */
typedef struct {
    int fd;
    guint64 offset, size;
    const GuestRamGuard *guard;
    gboolean refused;
} Discard;

static gboolean
punch(gpointer user, GError **error)
{
    Discard *discard = user;
    const GuestRamGuard *guard = discard->guard;

    if (guard && !guard->enter(guard->user)) {
        discard->refused = TRUE;
        return TRUE;
    }
    int result = fallocate(discard->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)discard->offset, (off_t)discard->size);
    if (result < 0)
        machine_set_errno_error(error, "punching a hole into guest RAM");
    if (guard)
        guard->leave(guard->user);
    return result == 0;
}

gboolean
guest_ram_discard(GuestRam *ram, guint64 gpa, guint64 size, const GuestRamGuard *guard, GError **error)
{
    const guint8 *hva = size ? dl_layout_hva_of_gpa(ram->layout, gpa, size) : NULL;
    guint64 page = dl_ram_kind_page_size(ram->kind == DL_RAM_SHMEM_THP ? DL_RAM_SHMEM : ram->kind);
    DlLog *log = g_atomic_pointer_get(&ram->log);

    if (!hva || gpa % page || size % page) {
        g_set_error(error, MACHINE_ERROR, MACHINE_ERROR_INVALID,
                    "%" G_GUINT64_FORMAT " bytes at gpa 0x%" G_GINT64_MODIFIER "x are no pages of RAM", size, gpa);
        return FALSE;
    }
    const DlMemory *memory = ram->memory[gpa >= GUEST_RAM_HOLE_END ? 1 : 0];
    Discard discard = {.fd = memory->fd, .offset = (guint64)(hva - memory->hva), .size = size, .guard = guard};
    gboolean done = log ? dl_log_discard(log, gpa, size, punch, &discard, error) : punch(&discard, error);
    return done && !discard.refused;
}

/* The first @bytes that the pieces hold were written. */
static void
note_pieces(GuestRam *ram, const GuestRamPiece *pieces, guint n_pieces, guint64 bytes)
{
    for (guint i = 0; i < n_pieces && bytes; i++) {
        guint64 here = MIN(bytes, pieces[i].size);
        note_written(ram, pieces[i].gpa, here);
        bytes -= here;
    }
}

/* The pieces as an iovec of our own mapping; each is checked. */
static gboolean
map_pieces(const GuestRam *ram, const GuestRamPiece *pieces, guint n_pieces, struct iovec *vector, GError **error)
{
    if (n_pieces > GUEST_RAM_MAX_PIECES) {
        g_set_error(error, MACHINE_ERROR, MACHINE_ERROR_INVALID, "%u pieces in one transfer: at most %d", n_pieces,
                    GUEST_RAM_MAX_PIECES);
        return FALSE;
    }
    for (guint i = 0; i < n_pieces; i++) {
        guint8 *hva = dl_layout_hva_of_gpa(ram->layout, pieces[i].gpa, pieces[i].size);
        if (!hva) {
            g_set_error(error, MACHINE_ERROR, MACHINE_ERROR_INVALID,
                        "%" G_GSIZE_FORMAT " bytes at gpa 0x%" G_GINT64_MODIFIER "x are not RAM", pieces[i].size, pieces[i].gpa);
            return FALSE;
        }
        vector[i] = (struct iovec){.iov_base = hva, .iov_len = pieces[i].size};
    }
    return TRUE;
}

gssize
guest_ram_preadv(GuestRam *ram, int fd, const GuestRamPiece *pieces, guint n_pieces, gint64 offset, GError **error)
{
    struct iovec vector[GUEST_RAM_MAX_PIECES];
    gssize bytes;

    if (!map_pieces(ram, pieces, n_pieces, vector, error))
        return -1;
    do
        bytes = preadv(fd, vector, (int)n_pieces, offset);
    while (bytes < 0 && errno == EINTR);
    if (bytes < 0) {
        machine_set_errno_error(error, "preadv into guest RAM");
        note_pieces(ram, pieces, n_pieces, G_MAXUINT64);
        return -1;
    }
    note_pieces(ram, pieces, n_pieces, (guint64)bytes);
    return bytes;
}

gssize
guest_ram_pwritev(const GuestRam *ram, int fd, const GuestRamPiece *pieces, guint n_pieces, gint64 offset, GError **error)
{
    struct iovec vector[GUEST_RAM_MAX_PIECES];
    gssize bytes;

    if (!map_pieces(ram, pieces, n_pieces, vector, error))
        return -1;
    do
        bytes = pwritev(fd, vector, (int)n_pieces, offset);
    while (bytes < 0 && errno == EINTR);
    if (bytes < 0)
        machine_set_errno_error(error, "pwritev from guest RAM");
    return bytes;
}
