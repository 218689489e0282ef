/* SPDX-License-Identifier: MIT */
/* The host's answers, kept. */
#include "bench/host_check.h"

#include <unistd.h>

#include "guest-tests/abi.h"
#include "machine/error.h"
#include "machine/kvm.h"
#include "machine/ram.h"

struct HostCheck {
    GHashTable *probes; /* "tracker ram" → DlProbe */
    guint64 ram_bytes, besides;
};

static void
free_probe(gpointer probe)
{
    dl_probe_clear(probe);
    g_free(probe);
}

HostCheck *
host_check_new(guint64 ram_bytes, guint64 besides)
{
    HostCheck *host = g_new0(HostCheck, 1);

    *host = (HostCheck){g_hash_table_new_full(g_str_hash, g_str_equal, g_free, free_probe), ram_bytes, besides};
    return host;
}

void
host_check_free(HostCheck *host)
{
    g_hash_table_unref(host->probes);
    g_free(host);
}

static void
check_memory(const HostCheck *host, DlRamKind ram, DlProbe *probe)
{
    g_autoptr(GError) error = NULL;

    if (guest_ram_check_host(ram, host->ram_bytes, TRUE, host->besides, &error))
        return;
    dl_probe_clear(probe);
    *probe = (DlProbe){.supported = FALSE, .reason = g_strdup(error->message)};
}

const DlProbe *
host_check_tracker(HostCheck *host, const DlTrackerFacts *tracker, DlRamKind ram)
{
    g_autofree char *key = g_strdup_printf("%s %s", tracker->name, dl_ram_kind_name(ram));
    DlProbe *probe = g_hash_table_lookup(host->probes, key);

    if (probe)
        return probe;
    probe = g_new0(DlProbe, 1);
    dl_probe(tracker, ram, probe);
    if (probe->supported)
        check_memory(host, ram, probe);
    g_hash_table_insert(host->probes, g_steal_pointer(&key), probe);
    return probe;
}

char *
host_check_reason(const DlProbe *probe)
{
    return g_strdup_printf("%s%s%s", probe->reason, probe->remedy ? "; try: " : "", probe->remedy ? probe->remedy : "");
}

void
host_check_refuse(const DlTrackerFacts *tracker, DlRamKind ram, const DlProbe *probe, GError **error)
{
    g_autofree char *reason = host_check_reason(probe);

    g_set_error(error, DL_ERROR, DL_ERROR_UNSUPPORTED, "%s on %s is not to be had here: %s", tracker->name, dl_ram_kind_name(ram),
                reason);
}

gboolean
host_check_vcpus(guint vcpus, GError **error)
{
    int kvm = kvm_open(error);

    if (kvm < 0)
        return FALSE;
    guint max_vcpus = MIN(kvm_max_vcpus(kvm), (guint)ABI_MAX_VCPUS);
    close(kvm);
    if (vcpus > max_vcpus) {
        g_set_error(error, MACHINE_ERROR, MACHINE_ERROR_RESOURCE,
                    "%u vCPUs are more than the %u that this KVM and the embedded guest have", vcpus, max_vcpus);
        return FALSE;
    }
    return TRUE;
}
