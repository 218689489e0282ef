/* SPDX-License-Identifier: MIT */
/* From /proc/self/smaps: a mapping's first line has its addresses, its last, VmFlags, an `sd` where it is flagged. */
#include "bench/new_mappings.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void
add_range(const DlLayout *layout, guint64 start, guint64 end, DlBitmap *out)
{
    for (guint i = 0; i < dl_layout_n_regions(layout); i++) {
        const DlRegion *region = dl_layout_region(layout, i);
        DlPageRange pages = dl_layout_region_pages(layout, i);
        guint64 hva = (guint64)(gsize)region->hva;
        guint64 low = MAX(start, hva), high = MIN(end, hva + region->size);

        if (low < high)
            dl_bitmap_set_range(out, (DlPageRange){pages.first + (low - hva) / DL_PAGE_SIZE, (high - low) / DL_PAGE_SIZE});
    }
}

void
new_mappings_add(const DlLayout *layout, DlBitmap *out)
{
    FILE *smaps = fopen("/proc/self/smaps", "re");
    char *line = NULL;
    gsize room = 0;
    guint64 start = 0, end = 0;

    while (smaps && getline(&line, &room, smaps) > 0) {
        char *rest;
        guint64 low = g_ascii_strtoull(line, &rest, 16);

        if (rest != line && *rest == '-') {
            start = low;
            end = g_ascii_strtoull(rest + 1, NULL, 16);
        } else if (g_str_has_prefix(line, "VmFlags:") && strstr(line, " sd")) {
            add_range(layout, start, end, out);
        }
    }
    free(line);
    if (smaps)
        fclose(smaps);
}
