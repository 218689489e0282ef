/* SPDX-License-Identifier: MIT */
/*
 * HELLO's payload, little-endian:
 *
 *   u32 regions, u32 vCPUs, u32 sections, u32 CPUID entries, u32 RAM kind, u32 bytes in a page, u64 bytes of RAM that exist
 *   a region each:   u64 gpa, u64 size
 *   a section each:  32 bytes of name, zero-filled; u32 version, u32 zero
 *   an entry each:   u32 function, index, flags, eax, ebx, ecx, edx of vCPU 0
 *
 * Of CPUID, what tells of features is compared: the guest may use each that it was shown, so the destination has to have it.
 */
#include <machine/error.h>
#include <machine/section.h>
#include <machine/vcpu.h>
#include <machine/wire.h>
#include <migration/hello.h>
#include <migration/migration.h>

#define MAX_REGIONS 16u
#define MAX_SECTIONS 512u
#define MAX_CPUID 256u
#define NAME_BYTES 32
#define MAX_WORDS_BYTES 900 /* of a refusal: fits a frame whatever comes behind */

G_STATIC_ASSERT(SECTION_NAME_MAX < NAME_BYTES);

/* --- the source's side --- */

static void
put_sections(GByteArray *out, Machine *machine)
{
    for (guint i = 0; i < machine_n_sections(machine); i++) {
        gpointer user;
        const SectionClass *class = machine_section(machine, i, &user);
        char name[NAME_BYTES] = {0};

        g_strlcpy(name, class->name, sizeof name);
        wire_put_bytes(out, name, sizeof name);
        wire_put_u32(out, class->version);
        wire_put_u32(out, 0);
    }
}

static void
put_cpuid(GByteArray *out, const struct kvm_cpuid2 *cpuid)
{
    for (guint i = 0; i < cpuid->nent; i++) {
        const struct kvm_cpuid_entry2 *entry = &cpuid->entries[i];

        wire_put_u32(out, entry->function);
        wire_put_u32(out, entry->index);
        wire_put_u32(out, entry->flags);
        wire_put_u32(out, entry->eax);
        wire_put_u32(out, entry->ebx);
        wire_put_u32(out, entry->ecx);
        wire_put_u32(out, entry->edx);
    }
}

GByteArray *
hello_encode(Board *board, guint64 present)
{
    Machine *machine = board_machine(board);
    DlLayout *layout = guest_ram_layout(board_ram(board));
    const struct kvm_cpuid2 *cpuid = vcpu_cpuid(machine, 0);
    GByteArray *out = g_byte_array_new();

    wire_put_u32(out, dl_layout_n_regions(layout));
    wire_put_u32(out, machine_n_vcpus(machine));
    wire_put_u32(out, machine_n_sections(machine));
    wire_put_u32(out, cpuid->nent);
    wire_put_u32(out, guest_ram_kind(board_ram(board)));
    wire_put_u32(out, DL_PAGE_SIZE);
    wire_put_u64(out, present);
    for (guint i = 0; i < dl_layout_n_regions(layout); i++) {
        wire_put_u64(out, dl_layout_region(layout, i)->gpa);
        wire_put_u64(out, dl_layout_region(layout, i)->size);
    }
    put_sections(out, machine);
    put_cpuid(out, cpuid);
    return out;
}

/* --- the destination's --- */

typedef struct {
    Board *board;
    Machine *machine;
    GString *differences;
} Check;

static void G_GNUC_PRINTF(2, 3) differs(Check *check, const char *format, ...)
{
    va_list arguments;

    if (check->differences->len > MAX_WORDS_BYTES)
        return;
    if (check->differences->len)
        g_string_append(check->differences, "; ");
    va_start(arguments, format);
    g_string_append_vprintf(check->differences, format, arguments);
    va_end(arguments);
}

static void
append_region(GString *text, guint64 gpa, guint64 size)
{
    g_string_append_printf(text, "%s%" G_GUINT64_FORMAT " MiB at gpa 0x%" G_GINT64_MODIFIER "x", text->len ? " and " : "",
                           size >> 20, gpa);
}

static void
check_regions(Check *check, WireReader *reader, guint n_regions)
{
    DlLayout *layout = guest_ram_layout(board_ram(check->board));
    g_autoptr(GString) there = g_string_new(NULL);
    g_autoptr(GString) here = g_string_new(NULL);
    gboolean same = n_regions == dl_layout_n_regions(layout);

    for (guint i = 0; i < n_regions; i++) {
        guint64 gpa = wire_get_u64(reader), size = wire_get_u64(reader);
        same = same && gpa == dl_layout_region(layout, i)->gpa && size == dl_layout_region(layout, i)->size;
        append_region(there, gpa, size);
    }
    for (guint i = 0; i < dl_layout_n_regions(layout); i++)
        append_region(here, dl_layout_region(layout, i)->gpa, dl_layout_region(layout, i)->size);
    if (!same)
        differs(check, "RAM is %.200s there and %.200s here: start it with the same --memory", there->str, here->str);
}

static const SectionClass *
find_section(Machine *machine, const char *name)
{
    for (guint i = 0; i < machine_n_sections(machine); i++) {
        gpointer user;
        const SectionClass *class = machine_section(machine, i, &user);
        if (g_str_equal(class->name, name))
            return class;
    }
    return NULL;
}

static void
check_sections(Check *check, WireReader *reader, guint n_sections)
{
    g_autoptr(GHashTable) there = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);

    for (guint i = 0; i < n_sections; i++) {
        char name[NAME_BYTES];
        wire_get_bytes(reader, name, sizeof name);
        name[NAME_BYTES - 1] = '\0';
        guint32 version = wire_get_u32(reader);
        wire_get_u32(reader);
        const SectionClass *class = find_section(check->machine, name);
        g_autofree char *printable = g_strescape(name, NULL);
        if (!g_hash_table_add(there, g_strdup(name)))
            differs(check, "the guest's “%s” is there twice", printable);
        else if (!class)
            differs(check, "the guest has “%s”, which is not here", printable);
        else if (!version || version > class->version)
            differs(check, "“%s” is saved in version %u, this side reads up to %u", printable, version, class->version);
    }
    for (guint i = 0; i < machine_n_sections(check->machine); i++) {
        gpointer user;
        const char *name = machine_section(check->machine, i, &user)->name;
        if (!g_hash_table_contains(there, name))
            differs(check, "the guest has no “%s”, which is here", name);
    }
}

/* Registers whose bits say what the guest may use. */
static const struct {
    guint32 function, index;
    gboolean eax, ebx, ecx, edx;
} features[] = {
    {0x1, 0, FALSE, FALSE, TRUE, TRUE},         {0x7, 0, FALSE, TRUE, TRUE, TRUE},
    {0x7, 1, TRUE, TRUE, TRUE, TRUE},           {0xd, 0, TRUE, FALSE, FALSE, TRUE},
    {0xd, 1, TRUE, FALSE, TRUE, TRUE},          {0x80000001, 0, FALSE, FALSE, TRUE, TRUE},
    {0x80000008, 0, FALSE, TRUE, FALSE, FALSE}, {0x40000001, 0, TRUE, FALSE, FALSE, FALSE},
};

static const struct kvm_cpuid_entry2 *
find_entry(const struct kvm_cpuid2 *cpuid, guint32 function, guint32 index)
{
    for (guint i = 0; i < cpuid->nent; i++) {
        if (cpuid->entries[i].function == function && cpuid->entries[i].index == index)
            return &cpuid->entries[i];
    }
    return NULL;
}

static void
check_register(Check *check, const struct kvm_cpuid_entry2 *there, const char *name, guint32 wanted, guint32 had)
{
    if (wanted & ~had)
        differs(check, "CPUID 0x%x.%u %s: this host lacks 0x%x", there->function, there->index, name, wanted & ~had);
}

static void
check_entry(Check *check, const struct kvm_cpuid_entry2 *there)
{
    static const struct kvm_cpuid_entry2 none;
    const struct kvm_cpuid_entry2 *here = find_entry(vcpu_cpuid(check->machine, 0), there->function, there->index);

    if (!here)
        here = &none;
    if (there->function == 0 && (there->ebx != here->ebx || there->ecx != here->ecx || there->edx != here->edx))
        differs(check, "the CPUs are of different makers");
    for (guint i = 0; i < G_N_ELEMENTS(features); i++) {
        if (features[i].function != there->function || features[i].index != there->index)
            continue;
        if (features[i].eax)
            check_register(check, there, "eax", there->eax, here->eax);
        if (features[i].ebx)
            check_register(check, there, "ebx", there->ebx, here->ebx);
        if (features[i].ecx)
            check_register(check, there, "ecx", there->ecx, here->ecx);
        if (features[i].edx)
            check_register(check, there, "edx", there->edx, here->edx);
    }
}

static void
check_cpuid(Check *check, WireReader *reader, guint n_entries)
{
    for (guint i = 0; i < n_entries; i++) {
        struct kvm_cpuid_entry2 entry = {0};
        entry.function = wire_get_u32(reader);
        entry.index = wire_get_u32(reader);
        entry.flags = wire_get_u32(reader);
        entry.eax = wire_get_u32(reader);
        entry.ebx = wire_get_u32(reader);
        entry.ecx = wire_get_u32(reader);
        entry.edx = wire_get_u32(reader);
        check_entry(check, &entry);
    }
}

/* Huge pages are this RAM's own already. */
static void
check_room(Check *check, guint64 present)
{
    GuestRam *ram = board_ram(check->board);
    g_autoptr(GError) short_of = NULL;

    if (guest_ram_kind(ram) == DL_RAM_SHMEM &&
        !guest_ram_check_host(DL_RAM_SHMEM, guest_ram_size(ram), FALSE, present, &short_of))
        differs(check, "not enough memory: %s", short_of->message);
}

static gboolean
senseless(GError **error)
{
    g_set_error_literal(error, MIGRATION_ERROR, MIGRATION_ERROR_DAMAGED,
                        "the migration stream is damaged: HELLO does not add up");
    return FALSE;
}

gboolean
hello_check(Board *board, const guint8 *payload, gsize size, GError **error)
{
    WireReader reader = {.bytes = payload, .left = size};
    guint n_regions = wire_get_u32(&reader), n_vcpus = wire_get_u32(&reader);
    guint n_sections = wire_get_u32(&reader), n_entries = wire_get_u32(&reader);
    guint kind = wire_get_u32(&reader), page = wire_get_u32(&reader);
    guint64 present = wire_get_u64(&reader);
    g_autoptr(GString) words = g_string_new(NULL);
    Check check = {.board = board, .machine = board_machine(board), .differences = words};

    if (n_regions > MAX_REGIONS || n_sections > MAX_SECTIONS || n_entries > MAX_CPUID || kind >= DL_N_RAM_KINDS)
        return senseless(error);
    if (page != DL_PAGE_SIZE)
        differs(&check, "pages have %u bytes there", page);
    if (n_vcpus != machine_n_vcpus(check.machine))
        differs(&check, "the guest has %u vCPUs, this side %u", n_vcpus, machine_n_vcpus(check.machine));
    check_regions(&check, &reader, n_regions);
    check_sections(&check, &reader, n_sections);
    check_cpuid(&check, &reader, n_entries);
    if (!wire_reader_finish(&reader))
        return senseless(error);
    check_room(&check, present);
    if (machine_state(check.machine) != MACHINE_CREATED)
        differs(&check, "this side has had a guest already");
    if (!words->len)
        return TRUE;
    g_set_error(error, MIGRATION_ERROR, MIGRATION_ERROR_REFUSED, "%s", words->str);
    return FALSE;
}
