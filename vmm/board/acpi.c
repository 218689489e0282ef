/* SPDX-License-Identifier: MIT */
/* The structures are those of the ACPI specification 6.3: 5.2.5 RSDP, 5.2.6 header, 5.2.9 FADT, 5.2.12 MADT. All little-endian. */
#include <board/acpi.h>
#include <machine/error.h>
#include <machine/platform.h>
#include <stddef.h>
#include <string.h>

extern const guint8 embedded_dsdt_start[], embedded_dsdt_end[];

#define TABLE_ALIGNMENT 16
#define SPACE_IO 1
#define ACCESS_BYTE 1

#define FADT_WBINVD (1u << 0)
#define FADT_POWER_BUTTON (1u << 4) /* 4 and 5: there is no fixed button */
#define FADT_SLEEP_BUTTON (1u << 5)
#define FADT_RESET_REGISTER (1u << 10)
#define FADT_HARDWARE_REDUCED (1u << 20)
#define BOOT_NO_VGA (1u << 2)
#define BOOT_NO_RTC (1u << 5)
#define LATENCY_NONE 0xffff /* C2 and C3 are not there */

#define MADT_LOCAL_APIC_GPA 0xfee00000u
#define MADT_IO_APIC_GPA 0xfec00000u
#define MADT_ENABLED 1u
#define LARGEST_APIC_ID 254u /* larger ones need the x2APIC entry */

typedef struct {
    char signature[4];
    guint32 length;
    guint8 revision;
    guint8 checksum;
    char oem[6];
    char oem_table[8];
    guint32 oem_revision;
    char creator[4];
    guint32 creator_revision;
} __attribute__((packed)) Header;

typedef struct {
    guint8 space, bit_width, bit_offset, access;
    guint64 address;
} __attribute__((packed)) Register;

typedef struct {
    char signature[8];
    guint8 checksum; /* of the first 20 bytes */
    char oem[6];
    guint8 revision;
    guint32 rsdt;
    guint32 length;
    guint64 xsdt;
    guint8 extended_checksum;
    guint8 reserved[3];
} __attribute__((packed)) Rsdp;

typedef struct {
    Header header;
    guint32 facs, dsdt;
    guint8 reserved, profile;
    guint16 sci;
    guint32 smi_command;
    guint8 smi_values[4];
    guint32 pm_blocks[8]; /* and their lengths: hardware that a reduced platform has not */
    guint8 pm_lengths[8];
    guint16 c2_latency, c3_latency, flush_size, flush_stride;
    guint8 duty_and_alarms[5];
    guint16 boot_flags;
    guint8 reserved_too;
    guint32 flags;
    Register reset;
    guint8 reset_value;
    guint16 arm_flags;
    guint8 minor_revision;
    guint64 x_facs, x_dsdt;
    Register x_pm_blocks[8];
    Register sleep_control, sleep_status;
    guint64 hypervisor;
} __attribute__((packed)) Fadt;

typedef struct {
    Header header;
    guint64 fadt, madt;
} __attribute__((packed)) Xsdt;

typedef struct {
    Header header;
    guint32 local_apic;
    guint32 flags;
} __attribute__((packed)) Madt;

typedef struct {
    guint8 type, length;
    guint8 uid, id;
    guint32 flags;
} __attribute__((packed)) LocalApic;

typedef struct {
    guint8 type, length;
    guint16 reserved;
    guint32 id, flags, uid;
} __attribute__((packed)) LocalX2apic;

typedef struct {
    guint8 type, length;
    guint8 id, reserved;
    guint32 gpa, gsi_base;
} __attribute__((packed)) IoApic;

G_STATIC_ASSERT(sizeof(Header) == 36 && sizeof(Register) == 12 && sizeof(Rsdp) == 36 && sizeof(Fadt) == 276 &&
                sizeof(Madt) == 44 && sizeof(LocalApic) == 8 && sizeof(LocalX2apic) == 16 && sizeof(IoApic) == 12);
G_STATIC_ASSERT(G_BYTE_ORDER == G_LITTLE_ENDIAN);

static guint8
checksum(const guint8 *bytes, gsize size)
{
    guint8 sum = 0;

    for (gsize i = 0; i < size; i++)
        sum = (guint8)(sum + bytes[i]);
    return (guint8)-sum;
}

static Header
new_header(const char *signature, guint8 revision, gsize length)
{
    Header header = {.length = (guint32)length, .revision = revision, .oem_revision = 1, .creator_revision = 1};

    memcpy(header.signature, signature, sizeof header.signature);
    memcpy(header.oem, "DIRTYL", sizeof header.oem);
    memcpy(header.oem_table, "DIRTYLAB", sizeof header.oem_table);
    memcpy(header.creator, "DLAB", sizeof header.creator);
    return header;
}

/* Where the next piece will stand in the guest. */
static guint64
next_gpa(GByteArray *tables)
{
    static const guint8 zeros[TABLE_ALIGNMENT];
    guint beyond = tables->len % TABLE_ALIGNMENT;

    if (beyond)
        g_byte_array_append(tables, zeros, TABLE_ALIGNMENT - beyond);
    return ACPI_GPA + tables->len;
}

/* A table whose first @size bytes begin with its header; @more follow. Returns its gpa. */
static guint64
add_table(GByteArray *tables, gconstpointer table, gsize size, const GByteArray *more)
{
    guint64 gpa = next_gpa(tables);
    gsize at = tables->len;

    g_byte_array_append(tables, table, (guint)size);
    if (more)
        g_byte_array_append(tables, more->data, more->len);
    guint8 *start = tables->data + at;
    start[offsetof(Header, checksum)] = 0;
    start[offsetof(Header, checksum)] = checksum(start, tables->len - at);
    return gpa;
}

static Register
io_register(guint port)
{
    return (Register){.space = SPACE_IO, .bit_width = 8, .access = ACCESS_BYTE, .address = port};
}

static guint64
add_fadt(GByteArray *tables, guint64 dsdt)
{
    Fadt fadt = {.header = new_header("FACP", 6, sizeof fadt),
                 .dsdt = (guint32)dsdt,
                 .c2_latency = LATENCY_NONE,
                 .c3_latency = LATENCY_NONE,
                 .boot_flags = BOOT_NO_VGA | BOOT_NO_RTC,
                 .flags = FADT_WBINVD | FADT_POWER_BUTTON | FADT_SLEEP_BUTTON | FADT_RESET_REGISTER | FADT_HARDWARE_REDUCED,
                 .reset = io_register(PLATFORM_RESET_PORT),
                 .reset_value = PLATFORM_RESET_VALUE,
                 .minor_revision = 3,
                 .x_dsdt = dsdt,
                 .sleep_control = io_register(PLATFORM_SLEEP_CONTROL_PORT),
                 .sleep_status = io_register(PLATFORM_SLEEP_STATUS_PORT)};

    memcpy(&fadt.hypervisor, "DIRTYLAB", sizeof fadt.hypervisor);
    return add_table(tables, &fadt, sizeof fadt, NULL);
}

static guint64
add_madt(GByteArray *tables, guint n_vcpus)
{
    g_autoptr(GByteArray) entries = g_byte_array_new();
    IoApic io_apic = {.type = 1, .length = sizeof io_apic, .gpa = MADT_IO_APIC_GPA};

    for (guint id = 0; id < n_vcpus; id++) {
        LocalApic narrow = {.length = sizeof narrow, .uid = (guint8)id, .id = (guint8)id, .flags = MADT_ENABLED};
        LocalX2apic wide = {.type = 9, .length = sizeof wide, .id = id, .flags = MADT_ENABLED, .uid = id};
        if (id <= LARGEST_APIC_ID)
            g_byte_array_append(entries, (const guint8 *)&narrow, sizeof narrow);
        else
            g_byte_array_append(entries, (const guint8 *)&wide, sizeof wide);
    }
    g_byte_array_append(entries, (const guint8 *)&io_apic, sizeof io_apic);
    Madt madt = {.header = new_header("APIC", 5, sizeof madt + entries->len), .local_apic = MADT_LOCAL_APIC_GPA};
    return add_table(tables, &madt, sizeof madt, entries);
}

GByteArray *
acpi_build(guint n_vcpus)
{
    GByteArray *tables = g_byte_array_new();
    Rsdp rsdp = {.signature = {'R', 'S', 'D', ' ', 'P', 'T', 'R', ' '}, .revision = 2, .length = sizeof rsdp};

    memcpy(rsdp.oem, "DIRTYL", sizeof rsdp.oem);
    g_byte_array_set_size(tables, sizeof rsdp); /* filled in last */
    guint64 dsdt = add_table(tables, embedded_dsdt_start, (gsize)(embedded_dsdt_end - embedded_dsdt_start), NULL);
    Xsdt xsdt = {.header = new_header("XSDT", 1, sizeof xsdt)};
    xsdt.fadt = add_fadt(tables, dsdt);
    xsdt.madt = add_madt(tables, n_vcpus);
    rsdp.xsdt = add_table(tables, &xsdt, sizeof xsdt, NULL);
    rsdp.checksum = checksum((const guint8 *)&rsdp, offsetof(Rsdp, length));
    rsdp.extended_checksum = checksum((const guint8 *)&rsdp, sizeof rsdp);
    memcpy(tables->data, &rsdp, sizeof rsdp);
    return tables;
}

gboolean
acpi_store(GuestRam *ram, guint n_vcpus, GError **error)
{
    g_autoptr(GByteArray) tables = acpi_build(n_vcpus);

    if (tables->len <= ACPI_MAX_BYTES && guest_ram_store(ram, ACPI_GPA, tables->data, tables->len))
        return TRUE;
    g_set_error(error, MACHINE_ERROR, MACHINE_ERROR_RESOURCE,
                tables->len > ACPI_MAX_BYTES ? "%u vCPUs: their ACPI tables have no room below 1 MiB"
                                             : "the ACPI tables of %u vCPUs lie outside RAM: give the guest more memory",
                n_vcpus);
    return FALSE;
}
