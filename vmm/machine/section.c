/* SPDX-License-Identifier: MIT */
/* The list of saved sections. */
#include <machine/error.h>
#include <machine/private.h>
#include <machine/section.h>
#include <string.h>

typedef struct {
    const SectionClass *class;
    gpointer user;
} Section;

GArray *
machine_sections_new(void)
{
    return g_array_new(FALSE, FALSE, sizeof(Section));
}

void
machine_add_section(Machine *machine, const SectionClass *class, gpointer user)
{
    Section section = {class, user};

    g_assert(strlen(class->name) <= SECTION_NAME_MAX);
    for (guint i = 0; i < machine->sections->len; i++)
        g_assert(!g_str_equal(g_array_index(machine->sections, Section, i).class->name, class->name));
    g_array_append_val(machine->sections, section);
}

guint
machine_n_sections(Machine *machine)
{
    return machine->sections->len;
}

const SectionClass *
machine_section(Machine *machine, guint index, gpointer *user)
{
    g_return_val_if_fail(index < machine->sections->len, NULL);
    const Section *section = &g_array_index(machine->sections, Section, index);

    *user = section->user;
    return section->class;
}

gboolean
machine_save_section(Machine *machine, guint index, GByteArray *out, GError **error)
{
    gpointer user;
    const SectionClass *class = machine_section(machine, index, &user);
    guint before = out->len;

    if (class->save(user, out, error)) {
        if (out->len - before <= class->max_bytes)
            return TRUE;
        g_set_error(error, MACHINE_ERROR, MACHINE_ERROR_FAILED, "it has %u bytes, and %zu at most were promised",
                    out->len - before, class->max_bytes);
    }
    g_byte_array_set_size(out, before);
    g_prefix_error(error, "saving %s: ", class->name);
    return FALSE;
}

static const Section *
find_section(Machine *machine, const char *name)
{
    for (guint i = 0; i < machine->sections->len; i++) {
        const Section *section = &g_array_index(machine->sections, Section, i);
        if (g_str_equal(section->class->name, name))
            return section;
    }
    return NULL;
}

gboolean
machine_load_section(Machine *machine, const char *name, guint32 version, const guint8 *bytes, gsize size, GError **error)
{
    const Section *section = find_section(machine, name);

    if (!section) {
        g_set_error(error, MACHINE_ERROR, MACHINE_ERROR_INVALID, "this machine has no state called '%.*s'", SECTION_NAME_MAX,
                    name);
        return FALSE;
    }
    const SectionClass *class = section->class;
    if (version < 1 || version > class->version) {
        g_set_error(error, MACHINE_ERROR, MACHINE_ERROR_INVALID,
                    "%s has version %u, and this dirtylab knows 1 to %u: use the same dirtylab", class->name, version,
                    class->version);
        return FALSE;
    }
    if (size > class->max_bytes) {
        g_set_error(error, MACHINE_ERROR, MACHINE_ERROR_INVALID, "%s has %zu bytes, more than the %zu that it can have",
                    class->name, size, class->max_bytes);
        return FALSE;
    }
    if (class->load(section->user, version, bytes, size, error))
        return TRUE;
    g_prefix_error(error, "loading %s: ", class->name);
    return FALSE;
}

/* The first @n go on, the last first. */
static void
unquiesce(Machine *machine, guint n)
{
    while (n--) {
        const Section *section = &g_array_index(machine->sections, Section, n);
        if (section->class->unquiesce)
            section->class->unquiesce(section->user);
    }
}

gboolean
patience_is_over(const Patience *patience)
{
    return g_get_monotonic_time() >= patience->until_us || (patience->is_over && patience->is_over(patience->user));
}

gboolean
machine_quiesce(Machine *machine, gboolean (*is_over)(gpointer user), gpointer user, GError **error)
{
    const Patience patience = {g_get_monotonic_time() + machine->pause_timeout_us, is_over, user};

    for (guint i = 0; i < machine->sections->len; i++) {
        const Section *section = &g_array_index(machine->sections, Section, i);
        if (section->class->quiesce && !section->class->quiesce(section->user, &patience, error)) {
            g_prefix_error(error, "%s: ", section->class->name);
            unquiesce(machine, i);
            return FALSE;
        }
    }
    return TRUE;
}

void
machine_unquiesce(Machine *machine)
{
    unquiesce(machine, machine->sections->len);
}
