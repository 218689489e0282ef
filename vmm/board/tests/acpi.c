/* SPDX-License-Identifier: MIT */
/*
 * The ACPI tables: a guest finds each of them, ACPICA's disassembler has nothing to say against any of them, and they say of the
 * platform what machine/platform.h says.
 */
#include <board/acpi.h>
#include <glib/gstdio.h>
#include <machine/error.h>
#include <machine/platform.h>
#include <string.h>

typedef struct {
    const guint8 *bytes;
    gsize size;
} Table;

static guint64
number_at(Table table, gsize offset, guint bytes)
{
    guint64 value = 0;

    g_assert_cmpuint(offset + bytes, <=, table.size);
    memcpy(&value, table.bytes + offset, bytes);
    return value;
}

static void
check_sum(const guint8 *bytes, gsize size)
{
    guint8 sum = 0;

    for (gsize i = 0; i < size; i++)
        sum = (guint8)(sum + bytes[i]);
    g_assert_cmpuint(sum, ==, 0);
}

/* As a guest sees it: by address. */
static Table
table_at(const GByteArray *tables, guint64 gpa, const char *signature)
{
    Table table = {.bytes = tables->data + (gpa - ACPI_GPA), .size = 36};

    g_assert_cmphex(gpa, >=, ACPI_GPA);
    g_assert_cmphex(gpa + table.size, <=, ACPI_GPA + tables->len);
    g_assert_true(memcmp(table.bytes, signature, 4) == 0);
    table.size = number_at(table, 4, 4);
    g_assert_cmphex(gpa + table.size, <=, ACPI_GPA + tables->len);
    check_sum(table.bytes, table.size);
    return table;
}

static Table
find_table(const GByteArray *tables, const char *signature)
{
    Table rsdp = {.bytes = tables->data, .size = 36};

    g_assert_true(memcmp(rsdp.bytes, "RSD PTR ", 8) == 0);
    check_sum(rsdp.bytes, 20);
    check_sum(rsdp.bytes, 36);
    Table xsdt = table_at(tables, number_at(rsdp, 24, 8), "XSDT");
    if (strcmp(signature, "XSDT") == 0)
        return xsdt;
    if (strcmp(signature, "DSDT") == 0)
        return table_at(tables, number_at(find_table(tables, "FACP"), 140, 8), "DSDT");
    for (gsize at = 36; at < xsdt.size; at += 8) {
        guint64 gpa = number_at(xsdt, at, 8);
        if (memcmp(tables->data + (gpa - ACPI_GPA), signature, 4) == 0)
            return table_at(tables, gpa, signature);
    }
    g_error("there is no table %s", signature);
}

static void
test_processors(void)
{
    static const guint counts[] = {1, 2, 64, 255, 256, 1024, 4096};

    for (guint i = 0; i < G_N_ELEMENTS(counts); i++) {
        g_autoptr(GByteArray) tables = acpi_build(counts[i]);
        Table madt = find_table(tables, "APIC");
        guint processors = 0, io_apics = 0;

        g_assert_cmpuint(tables->len, <=, ACPI_MAX_BYTES);
        for (gsize at = 44; at < madt.size; at += number_at(madt, at + 1, 1)) {
            guint64 type = number_at(madt, at, 1);
            g_assert_cmpuint(number_at(madt, at + 1, 1), >=, 8);
            if (type == 0 || type == 9) {
                g_assert_cmpuint(type == 0 ? number_at(madt, at + 3, 1) : number_at(madt, at + 4, 4), ==, processors);
                g_assert_cmpuint(number_at(madt, type == 0 ? at + 4 : at + 8, 4), ==, 1);
                processors++;
            } else {
                g_assert_cmpuint(type, ==, 1);
                g_assert_cmphex(number_at(madt, at + 4, 4), ==, 0xfec00000);
                g_assert_cmpuint(number_at(madt, at + 8, 4), ==, 0);
                io_apics++;
            }
        }
        g_assert_cmpuint(processors, ==, counts[i]);
        g_assert_cmpuint(io_apics, ==, 1);
    }
}

static void
test_registers(void)
{
    g_autoptr(GByteArray) tables = acpi_build(1);
    Table fadt = find_table(tables, "FACP");
    const struct {
        gsize offset;
        guint port;
    } registers[] = {{116, PLATFORM_RESET_PORT}, {244, PLATFORM_SLEEP_CONTROL_PORT}, {256, PLATFORM_SLEEP_STATUS_PORT}};

    g_assert_true(number_at(fadt, 112, 4) & 1u << 20); /* hardware-reduced */
    g_assert_true(number_at(fadt, 112, 4) & 1u << 10); /* the reset register counts */
    g_assert_cmphex(number_at(fadt, 128, 1), ==, PLATFORM_RESET_VALUE);
    for (guint i = 0; i < G_N_ELEMENTS(registers); i++) {
        g_assert_cmpuint(number_at(fadt, registers[i].offset, 1), ==, 1); /* an I/O port */
        g_assert_cmpuint(number_at(fadt, registers[i].offset + 1, 1), ==, 8);
        g_assert_cmphex(number_at(fadt, registers[i].offset + 4, 8), ==, registers[i].port);
    }
}

/* --- what ACPICA makes of them --- */

/* The table as iasl disassembles it, spaces run together. A complaint of its fails the test. */
static char *
disassemble(Table table, const char *signature)
{
    g_autofree char *folder = g_dir_make_tmp("dirtylab-acpi-XXXXXX", NULL);
    g_autofree char *binary = g_build_filename(folder, "table.dat", NULL);
    g_autofree char *source = g_build_filename(folder, "table.dsl", NULL);
    g_autofree char *said = NULL, *complained = NULL, *text = NULL;
    char *command[] = {"iasl", "-d", binary, NULL};
    g_autoptr(GError) error = NULL;
    int status;

    g_assert_true(g_file_set_contents(binary, (const char *)table.bytes, (gssize)table.size, &error));
    g_assert_true(g_spawn_sync(NULL, command, NULL, G_SPAWN_SEARCH_PATH, NULL, NULL, &said, &complained, &status, &error));
    g_assert_true(g_file_get_contents(source, &text, NULL, NULL));
    for (guint i = 0; i < 2; i++) {
        const char *output = i ? complained : said;
        if (status || strstr(output, "rror") || strstr(output, "arning") || strstr(output, "nvalid") || strstr(text, "ncorrect"))
            g_error("iasl on %s: %s\n%s", signature, output, text);
    }
    g_unlink(binary);
    g_unlink(source);
    g_rmdir(folder);
    g_autoptr(GRegex) spaces = g_regex_new("\\s+", 0, 0, NULL);
    return g_regex_replace_literal(spaces, text, -1, 0, " ", 0, NULL);
}

static gboolean
have_iasl(void)
{
    g_autofree char *path = g_find_program_in_path("iasl");

    if (!path)
        g_test_skip("iasl is not installed (package acpica-tools)");
    return path != NULL;
}

static void must_say(const char *text, const char *format, ...) G_GNUC_PRINTF(2, 3);

static void
must_say(const char *text, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    g_autofree char *words = g_strdup_vprintf(format, arguments);
    va_end(arguments);
    if (!strstr(text, words))
        g_error("\"%s\" is not in: %s", words, text);
}

static void
test_acpica_takes_every_table(void)
{
    static const char *const signatures[] = {"XSDT", "FACP", "APIC", "DSDT"};
    g_autoptr(GByteArray) tables = acpi_build(300);

    if (!have_iasl())
        return;
    for (guint i = 0; i < G_N_ELEMENTS(signatures); i++) {
        g_autofree char *text = disassemble(find_table(tables, signatures[i]), signatures[i]);
        must_say(text, "%s", signatures[i]);
    }
}

static void
test_devices_are_those_of_the_platform(void)
{
    if (!have_iasl())
        return;

    g_autoptr(GByteArray) tables = acpi_build(1);
    g_autofree char *text = disassemble(find_table(tables, "DSDT"), "DSDT");
    guint devices = 0;

    for (const char *at = text; (at = strstr(at, "Device (")); at++)
        devices++;
    g_assert_cmpuint(devices, ==, 1 + PLATFORM_VIRTIO_SLOTS);
    must_say(text, "IO (Decode16, 0x%04X, // Range Minimum 0x%04X, // Range Maximum 0x01, // Alignment 0x08, // Length ",
             PLATFORM_COM1_PORT, PLATFORM_COM1_PORT);
    must_say(text, ") Interrupt (ResourceConsumer, Edge, ActiveHigh, Exclusive, ,, ) { 0x%08X, }", PLATFORM_COM1_GSI);
    must_say(text, "Name (_S5, Package (0x04) // _S5_: S5 System State { 0x%02X,", PLATFORM_SLEEP_TYPE_OFF);
    for (guint slot = 0; slot < PLATFORM_VIRTIO_SLOTS; slot++)
        must_say(text,
                 "Memory32Fixed (ReadWrite, 0x%08X, // Address Base 0x%08X, // Address Length ) "
                 "Interrupt (ResourceConsumer, Edge, ActiveHigh, Exclusive, ,, ) { 0x%08X, }",
                 (guint)(PLATFORM_VIRTIO_BASE + slot * PLATFORM_VIRTIO_STRIDE), (guint)PLATFORM_VIRTIO_SIZE,
                 PLATFORM_VIRTIO_GSI + slot);
}

static void
test_too_many_are_refused(void)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GuestRam) ram = guest_ram_new(DL_RAM_SHMEM, 2 << 20, FALSE, &error);

    g_assert_no_error(error);
    g_assert_true(acpi_store(ram, 2, &error));
    g_assert_false(acpi_store(ram, 20000, &error));
    g_assert_error(error, MACHINE_ERROR, MACHINE_ERROR_RESOURCE);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/acpi/every-processor-is-told", test_processors);
    g_test_add_func("/acpi/registers-are-those-of-the-platform", test_registers);
    g_test_add_func("/acpi/acpica-takes-every-table", test_acpica_takes_every_table);
    g_test_add_func("/acpi/devices-are-those-of-the-platform", test_devices_are_those_of_the_platform);
    g_test_add_func("/acpi/too-many-processors-are-refused", test_too_many_are_refused);
    return g_test_run();
}
