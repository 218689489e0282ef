/* SPDX-License-Identifier: MIT */
/*
 * ORing a sparse bitmap into others. A bitmap that was just harvested is mostly clean, so it is looked through in blocks; and
 * the guest has run since the targets were last touched, so their words have left the cache: the misses, which would otherwise
 * cost as much as the ioctl, are made to overlap by asking for all of a stretch's targets before the first is used.
 */
#pragma once

#include <glib.h>

/** dl_or_words: ORs @n_words words of @from into each of @n_into targets, and clears them in @from if @clear. */
void dl_or_words(guint64 *const *into, guint n_into, guint64 *from, guint64 n_words, gboolean clear);
