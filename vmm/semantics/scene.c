/* SPDX-License-Identifier: MIT */
/* The stage of most cases. */
#include "semantics/scene.h"

#include <string.h>

#include "dirtylog/private.h"

#define LEAST_STRIDE 16
#define FIRST_PLACE 1 /* a VM's tables stand before it, and nobody ever writes there */
#define PAGE_IN_PLACE 3
#define COMPARE_PAGES UINT64_C(512)

/* The case's thread is the only writer, and stands still while the library works. */
static gboolean
nothing_to_pause(gpointer user, GError **error)
{
    (void)user;
    (void)error;
    return TRUE;
}

static void
nothing_to_resume(gpointer user)
{
    (void)user;
}

/* Every page differs from every other, and from zero. */
static void
fill(Scene *scene)
{
    for (guint64 page = 0; page < scene->pages; page++)
        memset(scene->memory->hva + page * DL_PAGE_SIZE, (int)(page % 251 + 1), DL_PAGE_SIZE);
}

static gboolean
make_memory(Scene *scene, GError **error)
{
    Cell *cell = scene->cell;
    guint64 backing = dl_ram_kind_page_size(cell->ram) / DL_PAGE_SIZE;

    scene->stride = MAX(backing, LEAST_STRIDE);
    scene->pages = cell->ram == DL_RAM_HUGETLB_1G ? backing : scene->stride * (FIRST_PLACE + SCENE_PLACES);
    scene->unit = cell->tracker ? dl_tracker_unit(cell->tracker, cell->ram) / DL_PAGE_SIZE : 1;
    scene->memory = dl_memory_new(cell->ram, scene->pages * DL_PAGE_SIZE, error);
    if (!scene->memory)
        return FALSE;
    DlRegion region = {.size = scene->memory->size, .hva = scene->memory->hva, .kind = cell->ram};
    fill(scene);
    scene->layout = dl_layout_new(&region, 1, error);
    if (!scene->layout)
        return FALSE;
    scene->must = dl_bitmap_new(dl_layout_n_bits(scene->layout));
    scene->allowed = dl_bitmap_new(dl_layout_n_bits(scene->layout));
    scene->found = dl_bitmap_new(dl_layout_n_bits(scene->layout));
    return TRUE;
}

static gboolean
make_log(Scene *scene, const DlHost *host, GError **error)
{
    scene->log = dl_log_new(scene->layout, host, error);
    if (scene->log)
        scene->consumer = dl_log_subscribe(scene->log);
    return scene->log != NULL;
}

static Scene *
scene_new(Cell *cell)
{
    Scene *scene = g_new0(Scene, 1);

    scene->cell = cell;
    scene->vm = (TinyVm)TINY_VM_INIT;
    return scene;
}

Scene *
scene_open(Cell *cell, GError **error)
{
    g_autoptr(Scene) scene = scene_new(cell);
    DlHost host = {.vm_fd = -1, .pause = nothing_to_pause, .resume = nothing_to_resume};

    if (!make_memory(scene, error) || !make_log(scene, &host, error))
        return NULL;
    return g_steal_pointer(&scene);
}

Scene *
scene_open_vm(Cell *cell, guint32 entries, GError **error)
{
    g_autoptr(Scene) scene = scene_new(cell);
    guint32 ring = cell->tracker && cell->tracker->holds == DL_HOLDS_RING ? entries * 16 : 0; /* bytes of a kvm_dirty_gfn */

    if (!make_memory(scene, error) || !tiny_vm_open(&scene->vm, scene->layout, ring, error))
        return NULL;
    DlHost host = tiny_vm_host(&scene->vm);
    if (!make_log(scene, &host, error))
        return NULL;
    return g_steal_pointer(&scene);
}

void
scene_free(Scene *scene)
{
    g_clear_pointer(&scene->log, dl_log_free);
    tiny_vm_close(&scene->vm);
    g_clear_pointer(&scene->layout, dl_layout_unref);
    g_clear_pointer(&scene->memory, dl_memory_free);
    g_clear_pointer(&scene->must, dl_bitmap_free);
    g_clear_pointer(&scene->allowed, dl_bitmap_free);
    g_clear_pointer(&scene->found, dl_bitmap_free);
    g_free(scene->copy);
    g_free(scene);
}

gboolean
scene_arm(Scene *scene, GError **error)
{
    return dl_log_move(scene->log, scene->cell->tracker->name, NULL, NULL, error) && scene_skip(scene, error);
}

guint64
scene_page(const Scene *scene, guint place)
{
    if (scene->cell->ram == DL_RAM_HUGETLB_1G)
        return (place + FIRST_PLACE) * 512 + PAGE_IN_PLACE;
    return (place + FIRST_PLACE) * scene->stride + PAGE_IN_PLACE;
}

guint8 *
scene_address(const Scene *scene, guint place)
{
    return scene->memory->hva + scene_page(scene, place) * DL_PAGE_SIZE;
}

void
scene_mark_page(Scene *scene, guint64 page)
{
    guint64 first = page / scene->unit * scene->unit;

    dl_bitmap_set(scene->must, page);
    dl_bitmap_set_range(scene->allowed, (DlPageRange){first, MIN(scene->unit, scene->pages - first)});
}

void
scene_mark(Scene *scene, guint place)
{
    scene_mark_page(scene, scene_page(scene, place));
}

void
scene_store(Scene *scene, guint place)
{
    volatile guint8 *byte = scene_address(scene, place) + 100;

    (*byte)++;
    scene_mark(scene, place);
}

gboolean
scene_guest_store(Scene *scene, guint place, GError **error)
{
    scene_mark(scene, place);
    return tiny_vm_store(&scene->vm, scene_page(scene, place) * DL_PAGE_SIZE + 200, error);
}

/* Through the file: a look through the tracked mapping would populate what a discard left empty, and hide what it did. */
static void
read_file(const Scene *scene, guint64 offset, guint8 *buffer, gsize size)
{
    for (gsize done = 0; done < size;) {
        gssize got = pread(scene->memory->fd, buffer + done, size - done, (off_t)(offset + done));
        if (got <= 0)
            break;
        done += (gsize)got;
    }
}

void
scene_remember(Scene *scene)
{
    if (!scene->copy)
        scene->copy = g_malloc(scene->memory->size);
    read_file(scene, 0, scene->copy, scene->memory->size);
}

void
scene_mark_changed(Scene *scene)
{
    g_autofree guint8 *now = g_malloc(COMPARE_PAGES * DL_PAGE_SIZE);

    for (guint64 page = 0; page < scene->pages; page++) {
        guint64 offset = page % COMPARE_PAGES * DL_PAGE_SIZE;
        if (!offset) {
            gsize size = MIN(COMPARE_PAGES, scene->pages - page) * DL_PAGE_SIZE;
            memset(now, 0, size);
            read_file(scene, page * DL_PAGE_SIZE, now, size);
        }
        if (memcmp(scene->copy + page * DL_PAGE_SIZE, now + offset, DL_PAGE_SIZE) != 0)
            scene_mark_page(scene, page);
    }
}

gboolean
scene_skip(Scene *scene, GError **error)
{
    dl_bitmap_clear_all(scene->found);
    if (!dl_log_harvest(scene->log, error))
        return FALSE;
    dl_consumer_take(scene->consumer, (DlPageRange){0, dl_bitmap_size(scene->found)}, scene->found);
    /* What stands in a VM's own pages is its own: nested paging may write to its tables. */
    if (scene->vm.vm >= 0)
        dl_bitmap_clear_range(scene->found, (DlPageRange){0, MAX(scene->unit, TINY_VM_OWN_PAGES)});
    return TRUE;
}

gboolean
scene_harvest(Scene *scene, GError **error)
{
    if (!scene_skip(scene, error))
        return FALSE;
    cell_judge(scene->cell, scene->must, scene->allowed, scene->found);
    dl_bitmap_clear_all(scene->must);
    dl_bitmap_clear_all(scene->allowed);
    return TRUE;
}
