/* SPDX-License-Identifier: MIT */
/*
 * A role: a process of its own, forked from this one, with a socket between the two on which they send each other messages. It is killed
 * when its parent ends, however that comes, and by role_free().
 *
 * fork() copies one thread only, so the caller must have no other that holds a lock: benchmarks start their roles before they
 * start threads, and have none of their own.
 */
#pragma once

#include <glib.h>

#define ROLE_ERROR (role_error_quark())
/**
 * RoleError:
 * @ROLE_ERROR_FAILED: the role said so, died, or does not answer in time
 * @ROLE_ERROR_UNAVAILABLE: the role said that this host has not what it needs
 * @ROLE_ERROR_CANCELLED: the caller's flag was set while it waited
 */
typedef enum {
    ROLE_ERROR_FAILED,
    ROLE_ERROR_UNAVAILABLE,
    ROLE_ERROR_CANCELLED,
} RoleError;
GQuark role_error_quark(void);

/** The most that a message may hold. */
#define ROLE_MESSAGE_MAX (UINT32_C(64) << 20)

typedef struct Role Role;

/** RoleBody: runs in the new process, which ends when it returns: with an error, the parent's next role_receive() has it. */
typedef gboolean (*RoleBody)(int control, gpointer user, GError **error);

/** role_start: @name is for messages. Errors: FAILED */
Role *role_start(const char *name, RoleBody body, gpointer user, GError **error);
/** role_free: kills it, if it has not ended, and waits for that, within reason. */
void role_free(Role *role);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Role, role_free)

gboolean role_send(Role *role, guint32 type, gconstpointer data, gsize size, GError **error);
/**
 * role_receive: the next message, which has to be of @type. @cancelled: looked at a few times a second; may be NULL. Errors: ROLE_ERROR;
 * what the role itself failed with comes with its text.
 */
GByteArray *role_receive(Role *role, guint32 type, gint64 timeout_ms, const volatile gint *cancelled, GError **error);

/* --- in the role's own process --- */

gboolean control_send(int control, guint32 type, gconstpointer data, gsize size, GError **error);
/** control_poll: whether a message waits; the parent's end counts as one. */
gboolean control_poll(int control, gint timeout_ms);
/** control_receive: waits for ever. NULL without an error: the parent has closed the socket. */
GByteArray *control_receive(int control, guint32 *type, GError **error);
