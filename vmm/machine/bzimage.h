/* SPDX-License-Identifier: MIT */
/*
 * bzImage, what distributions install as vmlinuz (Documentation/arch/x86/boot.rst): the setup header is checked, the 64-bit code is
 * put where the kernel prefers to be, and linux64.h does the rest. Needs a 64-bit entry: protocol 2.12 (Linux 3.8) and XLF_KERNEL_64.
 */
#pragma once

#include <machine/boot.h>
#include <machine/image.h>

/** bzimage_is: whether it looks like one. */
gboolean bzimage_is(const Image *image);

/** bzimage_load: Errors: as boot_load(). */
gboolean bzimage_load(GuestRam *ram, const Image *image, const BootSource *source, guint64 *entry, GError **error);
