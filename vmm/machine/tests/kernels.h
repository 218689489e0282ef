/* SPDX-License-Identifier: MIT */
/* The smallest kernels that the loaders take, for tests and fuzzers. */
#pragma once

#include <glib.h>

#define KERNEL_INIT_BYTES 0x10000 /* what the bzImage says that it needs to unpack itself */

/** kernel_bzimage: @code stands at its 64-bit entry; the kernel wants to lie at @gpa. */
GByteArray *kernel_bzimage(const guint8 *code, gsize size, guint64 gpa);

/** kernel_elf: x86-64, one segment with @code at @gpa, its entry; as much again of zeros; @pvh: with the note. */
GByteArray *kernel_elf(const guint8 *code, gsize size, guint64 gpa, gboolean pvh);
