/* SPDX-License-Identifier: MIT */
/* XXH3, 64 bits, with whatever vector instructions this CPU has. Not cryptographic: against accidents, not against enemies. */
#pragma once

#include <glib.h>

guint64 hash_bytes(gconstpointer bytes, gsize size);
/** hash_seeded: goes on from @seed, which may be an earlier hash. */
guint64 hash_seeded(gconstpointer bytes, gsize size, guint64 seed);
