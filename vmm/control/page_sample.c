/* SPDX-License-Identifier: MIT */
/* System calls: pread. */
#include "control/page_sample.h"

#include <errno.h>
#include <machine/error.h>
#include <unistd.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#define GIB (UINT64_C(1) << 30)

typedef struct {
    guint region;
    guint64 offset; /* bytes in the region */
    guint64 digest;
} Page;

struct PageSample {
    GuestRam *ram;
    guint n_pages;
    Page *pages;
};

static gboolean
take_digest(const PageSample *sample, const Page *page, guint64 *digest, GError **error)
{
    guint8 bytes[DL_PAGE_SIZE];
    gssize got;

    do {
        got = pread(guest_ram_memory(sample->ram, page->region)->fd, bytes, sizeof bytes, (off_t)page->offset);
    } while (got < 0 && errno == EINTR);
    if (got != (gssize)sizeof bytes) {
        machine_set_errno_error(error, "reading guest RAM through its memfd");
        return FALSE;
    }
    *digest = XXH3_64bits(bytes, sizeof bytes);
    return TRUE;
}

static void
draw(const PageSample *sample, Page *page)
{
    const DlLayout *layout = guest_ram_layout(sample->ram);
    guint64 random = (guint64)g_random_int() << 32 | g_random_int();
    guint64 offset = random % guest_ram_size(sample->ram) / DL_PAGE_SIZE * DL_PAGE_SIZE;

    while (offset >= dl_layout_region(layout, page->region)->size)
        offset -= dl_layout_region(layout, page->region++)->size;
    page->offset = offset;
}

PageSample *
page_sample_new(GuestRam *ram, guint per_gib, GError **error)
{
    g_autoptr(PageSample) sample = g_new0(PageSample, 1);

    sample->ram = ram;
    sample->n_pages = (guint)MAX(guest_ram_size(ram) / DL_PAGE_SIZE * per_gib / (GIB / DL_PAGE_SIZE), 1);
    sample->pages = g_new0(Page, sample->n_pages);
    for (guint i = 0; i < sample->n_pages; i++) {
        draw(sample, &sample->pages[i]);
        if (!take_digest(sample, &sample->pages[i], &sample->pages[i].digest, error))
            return NULL;
    }
    return g_steal_pointer(&sample);
}

void
page_sample_free(PageSample *sample)
{
    g_free(sample->pages);
    g_free(sample);
}

guint
page_sample_size(const PageSample *sample)
{
    return sample->n_pages;
}

gboolean
page_sample_changed(PageSample *sample, guint *changed, GError **error)
{
    *changed = 0;
    for (guint i = 0; i < sample->n_pages; i++) {
        guint64 digest;
        if (!take_digest(sample, &sample->pages[i], &digest, error))
            return FALSE;
        *changed += digest != sample->pages[i].digest;
    }
    return TRUE;
}
