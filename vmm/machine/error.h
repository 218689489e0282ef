/* SPDX-License-Identifier: MIT */
/* The error domain of machine/, devices/ and board/. Its codes are those of DL_ERROR, number for number. */
#pragma once

#include <glib.h>

#define MACHINE_ERROR (machine_error_quark())

/**
 * MachineError:
 * @MACHINE_ERROR_FAILED: a system call failed, or did not end in time; errno's text is in the message
 * @MACHINE_ERROR_UNSUPPORTED: not to be had on this host: no /dev/kvm, a KVM that lacks a capability (exit status 3)
 * @MACHINE_ERROR_PERMISSION: this process may not; the message holds the remedy (exit status 3)
 * @MACHINE_ERROR_RESOURCE: larger than this host: RAM, vCPUs, ring entries; the message holds the host's number (exit status 3)
 * @MACHINE_ERROR_INVALID: the caller's arguments, or a kernel image that cannot be booted (exit status 1; for options 2)
 *
 * Functions that make RAM also pass on DL_ERROR of dl_memory_new() and dl_memory_populate().
 */
typedef enum {
    MACHINE_ERROR_FAILED,
    MACHINE_ERROR_UNSUPPORTED,
    MACHINE_ERROR_PERMISSION,
    MACHINE_ERROR_RESOURCE,
    MACHINE_ERROR_INVALID,
} MachineError;

GQuark machine_error_quark(void);

/** machine_set_errno_error: FAILED with "@what: " and the text of errno as it is at the call. */
void machine_set_errno_error(GError **error, const char *what);
