/* SPDX-License-Identifier: MIT */
/* Counted ownership of the slots' log flag: log_flag.h. The harvest lock guards it. */
#include "dirtylog/log_flag.h"

#include "dirtylog/private.h"

struct DlLogFlag {
    DlLayout *layout;
    const DlHost *host;
    guint owners;
};

DlLogFlag *
dl_log_flag_new(DlLayout *layout, const DlHost *host)
{
    DlLogFlag *flag = g_new0(DlLogFlag, 1);

    flag->layout = layout;
    flag->host = host;
    return flag;
}

void
dl_log_flag_free(DlLogFlag *flag)
{
    if (!flag)
        return;
    g_warn_if_fail(flag->owners == 0);
    g_free(flag);
}

static gboolean
set_slot(DlLogFlag *flag, guint index, gboolean on, GError **error)
{
    const DlRegion *region = dl_layout_region(flag->layout, index);

    return flag->host->set_logging(flag->host->user, region->slot, on, error);
}

static void
switch_off(DlLogFlag *flag, guint n_regions)
{
    for (guint i = 0; i < n_regions; i++) {
        g_autoptr(GError) error = NULL;
        if (!set_slot(flag, i, FALSE, &error))
            g_warning("memslot %u keeps its dirty log: %s", dl_layout_region(flag->layout, i)->slot, error->message);
    }
}

gboolean
dl_log_flag_acquire(DlLogFlag *flag, GError **error)
{
    if (!flag->host->set_logging) {
        dl_set_error(error, DL_ERROR_UNSUPPORTED, 0, NULL, "the program gave no way to switch a memslot's dirty log on");
        return FALSE;
    }
    if (flag->owners == 0) {
        for (guint i = 0; i < dl_layout_n_regions(flag->layout); i++) {
            if (!set_slot(flag, i, TRUE, error)) {
                switch_off(flag, i);
                return FALSE;
            }
        }
    }
    flag->owners++;
    return TRUE;
}

void
dl_log_flag_release(DlLogFlag *flag)
{
    g_return_if_fail(flag->owners > 0);
    if (--flag->owners == 0)
        switch_off(flag, dl_layout_n_regions(flag->layout));
}

gboolean
dl_log_flag_cycle(DlLogFlag *flag, GError **error)
{
    g_return_val_if_fail(flag->owners > 0, FALSE);
    for (guint i = 0; i < dl_layout_n_regions(flag->layout); i++) {
        if (!set_slot(flag, i, FALSE, error) || !set_slot(flag, i, TRUE, error))
            return FALSE;
    }
    return TRUE;
}
