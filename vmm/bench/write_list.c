/* SPDX-License-Identifier: MIT */
/*
 * The write-list oracle. Each actor has a cursor, the number of its first write that no window has taken yet; closing a window walks
 * every actor's cursor up to where the actor stands.
 *
 * The write at the position itself is in flight: the actor publishes its position after the store, so the store may have happened
 * already. Each value is stored once only, so RAM tells: the word holds the value, or the write belongs to the next window. A silent
 * store leaves no trace; its page is in flight in both windows.
 */
#include "bench/write_list.h"

struct WriteList {
    WriteListConfig config;
    guint n_actors;
    gboolean any_closed;
    DlLayout *layout;
    DlBitmap *scope;
    guint64 scope_pages;

    guint64 *cursor;   /* an actor each */
    guint64 *stood_at; /* an actor each: its position at the last window's end */
    WriteWindow window;
    DlBitmap *fresh;      /* written since the last re-arm */
    GArray *first_writes; /* guint64, a pass each */
};

static guint64
page_of_gpa(const WriteList *list, guint64 gpa)
{
    DlPageRange pages;
    gboolean inside = dl_layout_pages_of_gpa(list->layout, gpa, ABI_PAGE_SIZE, &pages);

    g_assert(inside);
    return pages.first;
}

static void
add_scope(WriteList *list, guint64 gpa, guint64 n_pages)
{
    for (guint64 i = 0; i < n_pages; i++)
        dl_bitmap_set(list->scope, page_of_gpa(list, gpa + i * ABI_PAGE_SIZE));
    list->scope_pages += n_pages;
}

WriteList *
write_list_new(const WriteListConfig *config, DlLayout *layout)
{
    WriteList *list = g_new0(WriteList, 1);
    guint64 n_bits = dl_layout_n_bits(layout);

    list->config = *config;
    list->n_actors = config->workload.vcpus;
    list->layout = dl_layout_ref(layout);
    list->scope = dl_bitmap_new(n_bits);
    list->cursor = g_new0(guint64, list->n_actors);
    list->stood_at = g_new0(guint64, list->n_actors);
    list->window = (WriteWindow){dl_bitmap_new(n_bits), dl_bitmap_new(n_bits), dl_bitmap_new(n_bits)};
    list->fresh = dl_bitmap_new(n_bits);
    list->first_writes = g_array_new(FALSE, TRUE, sizeof(guint64));
    if (config->kvmclock)
        add_scope(list, ABI_KVMCLOCK_GPA(0), list->n_actors);
    else
        for (guint64 i = 0; i < config->arena.n_ranges; i++)
            add_scope(list, config->arena.range[i].gpa, config->arena.range[i].pages);
    return list;
}

void
write_list_free(WriteList *list)
{
    dl_layout_unref(list->layout);
    dl_bitmap_free(list->scope);
    dl_bitmap_free(list->window.written);
    dl_bitmap_free(list->window.read);
    dl_bitmap_free(list->window.in_flight);
    dl_bitmap_free(list->fresh);
    g_array_unref(list->first_writes);
    g_free(list->cursor);
    g_free(list->stood_at);
    g_free(list);
}

const DlBitmap *
write_list_scope(const WriteList *list)
{
    return list->scope;
}

guint64
write_list_scope_pages(const WriteList *list)
{
    return list->scope_pages;
}

guint64
write_list_pass_writes(const WriteList *list, guint actor)
{
    return list->config.kvmclock ? 1 : abi_vcpu_writes(&list->config.workload, actor);
}

/* Write number @position of an actor, through all passes: its page, and the word it stores where RAM can tell. */
typedef struct {
    guint64 pass;
    guint64 page;
    const volatile guint64 *word;
    guint64 value;
} Locus;

/* Only for an actor that writes at all. */
static Locus
locate(const WriteList *list, guint actor, guint64 position)
{
    guint64 per_pass = write_list_pass_writes(list, actor);
    g_assert(per_pass > 0);
    Locus locus = {.pass = position / per_pass};

    if (list->config.kvmclock) {
        locus.page = page_of_gpa(list, ABI_KVMCLOCK_GPA(actor));
        return locus;
    }
    struct abi_write write = abi_write_at(&list->config.workload, actor, locus.pass, position % per_pass);
    guint64 gpa = abi_arena_gpa(&list->config.arena, write.page);
    locus.page = page_of_gpa(list, gpa);
    locus.value = write.value;
    if (list->config.workload.pattern != ABI_SILENT && list->config.workload.pattern != ABI_READ)
        locus.word = (const volatile guint64 *)(dl_layout_hva_of_gpa(list->layout, gpa, ABI_PAGE_SIZE) + write.offset);
    return locus;
}

static void
count_first_write(WriteList *list, const Locus *locus)
{
    if (dl_bitmap_test(list->fresh, locus->page))
        return;
    dl_bitmap_set(list->fresh, locus->page);
    if (list->first_writes->len <= locus->pass)
        g_array_set_size(list->first_writes, (guint)locus->pass + 1);
    g_array_index(list->first_writes, guint64, locus->pass)++;
}

static void
advance(WriteList *list, guint actor, guint64 position)
{
    DlBitmap *touched =
        list->config.workload.pattern == ABI_READ && !list->config.kvmclock ? list->window.read : list->window.written;

    for (; list->cursor[actor] < position; list->cursor[actor]++) {
        Locus locus = locate(list, actor, list->cursor[actor]);

        count_first_write(list, &locus);
        dl_bitmap_set(touched, locus.page);
    }
}

void
write_list_open_window(WriteList *list)
{
    dl_bitmap_clear_all(list->window.written);
    dl_bitmap_clear_all(list->window.read);
    dl_bitmap_clear_all(list->window.in_flight);
    if (list->config.workload.pattern != ABI_SILENT || list->config.gated || !list->any_closed)
        return;
    for (guint actor = 0; actor < list->n_actors; actor++) {
        if (!write_list_pass_writes(list, actor))
            continue;
        dl_bitmap_set(list->window.in_flight, locate(list, actor, list->stood_at[actor]).page);
        if (list->cursor[actor] == list->stood_at[actor]) /* else it was passed over at an earlier stop at the same place */
            list->cursor[actor]++;
    }
}

void
write_list_rearmed(WriteList *list, const guint64 *positions)
{
    for (guint actor = 0; actor < list->n_actors; actor++)
        advance(list, actor, positions[actor]);
    dl_bitmap_clear_all(list->fresh);
}

/* The write in flight belongs to this window if RAM already holds its value. */
static void
close_actor(WriteList *list, guint actor, guint64 position)
{
    if (!write_list_pass_writes(list, actor))
        return;
    advance(list, actor, position);
    list->stood_at[actor] = position;
    if (list->config.gated)
        return;
    Locus next = locate(list, actor, position);
    dl_bitmap_set(list->window.in_flight, next.page);
    if (next.word && *next.word == next.value)
        advance(list, actor, position + 1);
}

const WriteWindow *
write_list_close_window(WriteList *list, const guint64 *positions)
{
    for (guint actor = 0; actor < list->n_actors; actor++)
        close_actor(list, actor, positions[actor]);
    list->any_closed = TRUE;
    dl_bitmap_clear_all(list->fresh);
    return &list->window;
}

const WriteWindow *
write_list_take_running(WriteList *list, const guint64 *positions)
{
    for (guint actor = 0; actor < list->n_actors; actor++) {
        if (!write_list_pass_writes(list, actor))
            continue;
        advance(list, actor, positions[actor]);
        list->stood_at[actor] = positions[actor];
        dl_bitmap_set(list->window.in_flight, locate(list, actor, positions[actor]).page);
    }
    list->any_closed = TRUE;
    return &list->window;
}

void
write_list_skip_to(WriteList *list, const guint64 *positions)
{
    for (guint actor = 0; actor < list->n_actors; actor++)
        list->cursor[actor] = list->stood_at[actor] = positions[actor];
}

static guint64
recent_start(guint64 position, guint64 depth)
{
    return position > depth ? position - depth : 0;
}

/*
 * Whether @locus's word holds what another actor has stored there at some time: a value tells its pass and its number. A vCPU that waits for
 * a processor while the others go on finds words that it stored to overwritten, even by what now lies far behind the others' positions.
 */
static gboolean
is_anothers(const WriteList *list, const Locus *locus, guint actor, const guint64 *positions)
{
    guint64 value = *locus->word, pass = (value >> 32) - 1, nth = (value & G_MAXUINT32) - 1;
    guint other = (guint)(nth % list->n_actors);
    guint64 per_pass = write_list_pass_writes(list, other), index = nth / list->n_actors;

    if (!(value >> 32) || !(value & G_MAXUINT32) || other == actor || index >= per_pass)
        return FALSE;
    guint64 at = pass * per_pass + index;
    if (at > positions[other])
        return FALSE;
    Locus theirs = locate(list, other, at);
    return theirs.word == locus->word && theirs.value == value;
}

/* Two actors may store to the same word, in an order that nobody knows: either value will do. */
guint64
write_list_wrong_words(const WriteList *list, const guint64 *positions, guint64 depth)
{
    g_autoptr(GHashTable) words = g_hash_table_new(NULL, NULL); /* address → whether one of its values is there */
    guint64 wrong = 0;

    for (guint actor = 0; actor < list->n_actors; actor++) {
        if (!write_list_pass_writes(list, actor))
            continue;
        for (guint64 at = recent_start(positions[actor], depth); at <= positions[actor]; at++) {
            Locus locus = locate(list, actor, at); /* the last one is in flight: its value may be there, but need not */
            gboolean holds = locus.word && *locus.word == locus.value;

            if (!locus.word || (at == positions[actor] && !holds))
                continue;
            gpointer word = (gpointer)(gsize)locus.word;
            holds = holds || is_anothers(list, &locus, actor, positions) || GPOINTER_TO_INT(g_hash_table_lookup(words, word));
            g_hash_table_insert(words, word, GINT_TO_POINTER(holds));
        }
    }
    GHashTableIter iter;
    gpointer holds;
    for (g_hash_table_iter_init(&iter, words); g_hash_table_iter_next(&iter, NULL, &holds);)
        wrong += !GPOINTER_TO_INT(holds);
    return wrong;
}

guint64
write_list_first_writes(const WriteList *list, guint64 pass)
{
    return pass < list->first_writes->len ? g_array_index(list->first_writes, guint64, pass) : 0;
}
