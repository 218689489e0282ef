/* SPDX-License-Identifier: MIT */
/*
 * What the guest's operating system reads of the platform: ACPI tables (ACPI 6.3), hardware-reduced: no power management timer, no SCI,
 * no fixed events, which would all need a device. Power-off and reset go through the sleep control and reset registers of
 * machine/platform.h.
 *
 *   RSDP → XSDT → FADT → DSDT (dsdt.asl, compiled at build time)
 *               → MADT: a local APIC a vCPU, the I/O APIC
 *
 * They stand in the last 128 KiB below 1 MiB, which every memory map of boot.h has as reserved, and leave its last page free.
 */
#pragma once

#include <machine/ram.h>

#define ACPI_GPA UINT64_C(0xe0000) /* the RSDP; 16-byte-aligned, so that a scan finds it too */
#define ACPI_MAX_BYTES UINT64_C(0x1f000)

/** acpi_build: all tables as one piece, which belongs at ACPI_GPA. For @n_vcpus whose APIC ids are their indices. */
GByteArray *acpi_build(guint n_vcpus);

/** acpi_store: builds them and stores them. Errors: RESOURCE (more vCPUs than the space has room for, less than 1 MiB of RAM). */
gboolean acpi_store(GuestRam *ram, guint n_vcpus, GError **error);
