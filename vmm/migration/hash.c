/* SPDX-License-Identifier: MIT */
#include <migration/hash.h>
#include <xxh_x86dispatch.h>

guint64
hash_bytes(gconstpointer bytes, gsize size)
{
    return XXH3_64bits(bytes, size);
}

guint64
hash_seeded(gconstpointer bytes, gsize size, guint64 seed)
{
    return XXH3_64bits_withSeed(bytes, size, seed);
}
