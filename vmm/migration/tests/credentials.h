/* SPDX-License-Identifier: MIT */
/* For the tests of TLS: authorities, certificates and keys, made anew each time, in folders as --tls-creds wants them. */
#pragma once

#include <glib.h>

typedef struct Authority Authority;

Authority *authority_new(const char *name);
void authority_free(Authority *authority);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Authority, authority_free)

/** authority_write: ca-cert.pem of @authority into @folder. */
void authority_write(const Authority *authority, const char *folder);
/**
 * authority_issue: SIDE-cert.pem and SIDE-key.pem into @folder, with @authority's signature.
 * @side: "server" or "client", which is what the certificate may be used for
 * @days: how long it is good from yesterday on; negative: it has ended already
 */
void authority_issue(const Authority *authority, const char *folder, const char *side, const char *hostname, int days);
/** psk_write: keys.psk with one line. */
void psk_write(const char *folder, const char *name, const char *hex_key);
