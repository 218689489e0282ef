/* SPDX-License-Identifier: MIT */
/*
 * Where things stand in the guest's address spaces. ACPI (board/dsdt.asl) says the same to the guest; its tests compare.
 *
 *   gpa 0 … 3 GiB, 4 GiB …   RAM (machine/ram.h)
 *   0xd0000000               virtio-mmio slots, one page each
 *   0xfec00000, 0xfee00000   I/O APIC, local APICs (KVM's)
 *   0xfffbc000               KVM's own pages (identity map, TSS)
 *   ports 0x600 …            power: reset and sleep control
 *   ports 0x3f8 …            COM1
 */
#pragma once

#define PLATFORM_VIRTIO_SLOTS 8u
#define PLATFORM_VIRTIO_BASE UINT64_C(0xd0000000)
#define PLATFORM_VIRTIO_STRIDE UINT64_C(0x1000) /* from slot to slot */
#define PLATFORM_VIRTIO_SIZE UINT64_C(0x200)    /* registers and configuration space of one */
#define PLATFORM_VIRTIO_GSI 16u                 /* of slot 0; slot N has that plus N; edge-triggered, active high */

#define PLATFORM_COM1_PORT 0x3f8u
#define PLATFORM_COM1_GSI 4u

#define PLATFORM_SLEEP_CONTROL_PORT 0x600u /* ACPI's sleep control register: SLP_TYP in bits 2 … 4, SLP_EN in bit 5 */
#define PLATFORM_SLEEP_STATUS_PORT 0x601u
#define PLATFORM_RESET_PORT 0x602u /* PLATFORM_RESET_VALUE resets */
#define PLATFORM_RESET_VALUE 0x42u
#define PLATFORM_SLEEP_TYPE_OFF 5u
