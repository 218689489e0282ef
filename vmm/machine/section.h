/* SPDX-License-Identifier: MIT */
/*
 * Saved state: who owns state that must survive a migration registers a section with the machine, under a name. Whoever saves or
 * loads walks the list and knows none of the owners.
 *
 * Saving:  machine_quiesce(); machine_pause(); save each section; then either machine_resume() and machine_unquiesce(): the
 *          guest goes on here; or nothing: it goes on elsewhere.
 * Loading: on a machine that was built from the same description and never started, or is paused: load each section.
 */
#pragma once

#include <machine/machine.h>

/**
 * Patience: how long to wait for what may never come.
 * @until_us: of the monotonic clock
 * @is_over: ends it earlier; asked at least each PATIENCE_SLICE_US, in the thread that waits. May be NULL
 */
typedef struct {
    gint64 until_us;
    gboolean (*is_over)(gpointer user);
    gpointer user;
} Patience;

#define PATIENCE_SLICE_US 10000

/** patience_is_over: whether to wait no more. */
gboolean patience_is_over(const Patience *patience);

/**
 * SectionClass:
 * @name: unique in the machine, at most SECTION_NAME_MAX bytes: "vcpu-0", "serial"
 * @version: of what save() writes
 * @max_bytes: save() never writes more, and a stream with more is refused before load() is called
 * @save: appends to @out, little-endian, the same bytes for the same state; the machine is quiesced and paused
 * @load: @bytes come from an enemy. Checks all of them before anything is changed, or leaves the owner in a state in which
 * another load works. @version is 1 … the class's. Errors: MACHINE_ERROR_INVALID, in words
 * @quiesce: takes no new request and completes those in flight, so that save() finds none half done; called while the guest runs.
 * What is not done when @patience ends is an error, and the owner goes on. May be NULL
 * @unquiesce: goes on, and looks at what came meanwhile. Never waits. May be NULL
 */
typedef struct {
    const char *name;
    guint32 version;
    gsize max_bytes;
    gboolean (*save)(gpointer user, GByteArray *out, GError **error);
    gboolean (*load)(gpointer user, guint32 version, const guint8 *bytes, gsize size, GError **error);
    gboolean (*quiesce)(gpointer user, const Patience *patience, GError **error);
    void (*unquiesce)(gpointer user);
} SectionClass;

#define SECTION_NAME_MAX 31

/** machine_add_section: before machine_start(). The class is borrowed. Sections are saved in this order. */
void machine_add_section(Machine *machine, const SectionClass *class, gpointer user);

guint machine_n_sections(Machine *machine);
const SectionClass *machine_section(Machine *machine, guint index, gpointer *user);

/**
 * machine_save_section: appends section @index to @out. Errors: the owner's, and FAILED when it wrote more than it had promised; @out
 * is then as it was.
 */
gboolean machine_save_section(Machine *machine, guint index, GByteArray *out, GError **error);
/**
 * machine_load_section: finds the section @name, checks @version and @size against its class, and has it loaded. Any values may be
 * given. Errors: INVALID, with the section's name.
 */
gboolean machine_load_section(Machine *machine, const char *name, guint32 version, const guint8 *bytes, gsize size,
                              GError **error);

/**
 * machine_quiesce: every section's quiesce(), all together in the time that a pause may take (MachineConfig.pause_timeout_ms), or until
 * @is_over (as in Patience); on an error, which begins with the section's name, those that had quiesced go on. Does not nest.
 */
gboolean machine_quiesce(Machine *machine, gboolean (*is_over)(gpointer user), gpointer user, GError **error);
void machine_unquiesce(Machine *machine);
