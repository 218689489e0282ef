/* SPDX-License-Identifier: MIT */
/* The library's one error domain. */
#pragma once

#include <glib.h>

G_BEGIN_DECLS
#pragma GCC visibility push(default)

#define DL_ERROR (dl_error_quark())

/**
 * DlError:
 * @DL_ERROR_FAILED: a system call failed in a way that nothing below explains; errno's text is in the message
 * @DL_ERROR_UNSUPPORTED: this kernel, KVM or memory cannot do it; the message gives the reason
 * @DL_ERROR_PERMISSION: the kernel could, but this process may not; the message gives the remedy
 * @DL_ERROR_RESOURCE: too little memory, hugepages, file descriptors; the message gives the remedy
 * @DL_ERROR_INVALID: the caller's arguments: unknown name, range outside the layout, size that is no multiple of a page
 */
typedef enum {
    DL_ERROR_FAILED,
    DL_ERROR_UNSUPPORTED,
    DL_ERROR_PERMISSION,
    DL_ERROR_RESOURCE,
    DL_ERROR_INVALID,
} DlError;

GQuark dl_error_quark(void);

#pragma GCC visibility pop
G_END_DECLS
