/* SPDX-License-Identifier: MIT */
/* For the tests of saved state: all sections of a machine, as bytes. */
#pragma once

#include <machine/section.h>

typedef struct {
    char *name;
    guint32 version;
    GByteArray *bytes;
} SavedSection;

typedef GPtrArray StateList; /* of SavedSection, in the machine's order */

/** state_list_save, state_list_load: abort the test on any error. */
StateList *state_list_save(Machine *machine);
void state_list_load(const StateList *list, Machine *machine);
void state_list_free(StateList *list);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(StateList, state_list_free)
