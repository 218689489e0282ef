/* SPDX-License-Identifier: MIT */
#include "credentials.h"

#include <gnutls/abstract.h>
#include <gnutls/gnutls.h>
#include <gnutls/x509.h>
#include <string.h>
#include <time.h>

#define DAY ((time_t)24 * 60 * 60)

struct Authority {
    gnutls_x509_privkey_t key;
    gnutls_x509_crt_t certificate;
};

static void
must(int result)
{
    if (result < 0)
        g_error("%s", gnutls_strerror(result));
}

static gnutls_x509_privkey_t
new_key(void)
{
    gnutls_x509_privkey_t key;

    must(gnutls_x509_privkey_init(&key));
    must(gnutls_x509_privkey_generate(key, GNUTLS_PK_ECDSA, GNUTLS_CURVE_TO_BITS(GNUTLS_ECC_CURVE_SECP256R1), 0));
    return key;
}

static gnutls_x509_crt_t
new_certificate(gnutls_x509_privkey_t key, const char *name, int days)
{
    gnutls_x509_crt_t certificate;
    guint64 serial = GUINT64_TO_BE((guint64)g_random_int() << 8 | 1);

    must(gnutls_x509_crt_init(&certificate));
    must(gnutls_x509_crt_set_version(certificate, 3));
    must(gnutls_x509_crt_set_serial(certificate, &serial, sizeof serial));
    must(gnutls_x509_crt_set_key(certificate, key));
    must(gnutls_x509_crt_set_dn_by_oid(certificate, GNUTLS_OID_X520_COMMON_NAME, 0, name, (guint)strlen(name)));
    must(gnutls_x509_crt_set_activation_time(certificate, time(NULL) - 100 * DAY));
    must(gnutls_x509_crt_set_expiration_time(certificate, time(NULL) + days * DAY));
    return certificate;
}

static void
write_pem(const char *folder, const char *file, gnutls_datum_t *pem)
{
    g_autofree char *path = g_build_filename(folder, file, NULL);

    g_assert_true(g_file_set_contents(path, (const char *)pem->data, pem->size, NULL));
    gnutls_free(pem->data);
}

Authority *
authority_new(const char *name)
{
    Authority *authority = g_new0(Authority, 1);

    authority->key = new_key();
    authority->certificate = new_certificate(authority->key, name, 10);
    must(gnutls_x509_crt_set_ca_status(authority->certificate, 1));
    must(gnutls_x509_crt_set_key_usage(authority->certificate, GNUTLS_KEY_KEY_CERT_SIGN));
    must(gnutls_x509_crt_sign2(authority->certificate, authority->certificate, authority->key, GNUTLS_DIG_SHA256, 0));
    return authority;
}

void
authority_free(Authority *authority)
{
    gnutls_x509_crt_deinit(authority->certificate);
    gnutls_x509_privkey_deinit(authority->key);
    g_free(authority);
}

void
authority_write(const Authority *authority, const char *folder)
{
    gnutls_datum_t pem;

    must(gnutls_x509_crt_export2(authority->certificate, GNUTLS_X509_FMT_PEM, &pem));
    write_pem(folder, "ca-cert.pem", &pem);
}

void
authority_issue(const Authority *authority, const char *folder, const char *side, const char *hostname, int days)
{
    gboolean is_server = g_str_equal(side, "server");
    gnutls_x509_privkey_t key = new_key();
    gnutls_x509_crt_t certificate = new_certificate(key, hostname, days);
    g_autofree char *certificate_file = g_strdup_printf("%s-cert.pem", side), *key_file = g_strdup_printf("%s-key.pem", side);
    gnutls_datum_t pem;

    must(gnutls_x509_crt_set_ca_status(certificate, 0));
    must(gnutls_x509_crt_set_subject_alt_name(certificate, GNUTLS_SAN_DNSNAME, hostname, (guint)strlen(hostname),
                                              GNUTLS_FSAN_SET));
    must(gnutls_x509_crt_set_key_usage(certificate, GNUTLS_KEY_DIGITAL_SIGNATURE));
    must(gnutls_x509_crt_set_key_purpose_oid(certificate, is_server ? GNUTLS_KP_TLS_WWW_SERVER : GNUTLS_KP_TLS_WWW_CLIENT, 0));
    must(gnutls_x509_crt_sign2(certificate, authority->certificate, authority->key, GNUTLS_DIG_SHA256, 0));
    must(gnutls_x509_crt_export2(certificate, GNUTLS_X509_FMT_PEM, &pem));
    write_pem(folder, certificate_file, &pem);
    must(gnutls_x509_privkey_export2(key, GNUTLS_X509_FMT_PEM, &pem));
    write_pem(folder, key_file, &pem);
    gnutls_x509_crt_deinit(certificate);
    gnutls_x509_privkey_deinit(key);
}

void
psk_write(const char *folder, const char *name, const char *hex_key)
{
    g_autofree char *path = g_build_filename(folder, "keys.psk", NULL), *line = g_strdup_printf("%s:%s\n", name, hex_key);

    g_assert_true(g_file_set_contents(path, line, -1, NULL));
}
