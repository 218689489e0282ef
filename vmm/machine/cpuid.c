/* SPDX-License-Identifier: MIT */
/*
 * KVM's list describes no topology (leaf 0xb is empty since Linux 6.2, and the host's before), so all of it is set here: APIC ids are
 * numbers of cores, and the package's field begins behind as many bits as the largest needs. System calls: ioctl.
 */
#include <machine/cpuid.h>
#include <machine/error.h>
#include <machine/kvm.h>
#include <sys/ioctl.h>

#define CPUID_ENTRIES 256
#define CPUID_1_ECX_TSC_DEADLINE (1u << 24)
#define CPUID_1_ECX_HYPERVISOR (1u << 31)
#define CPUID_1_EDX_THREADS (1u << 28)
#define TOPOLOGY_LEVEL_THREAD 1
#define TOPOLOGY_LEVEL_CORE 2
#define LEAF_TOPOLOGY 0xb
#define LEAF_TOPOLOGY_2 0x1f /* of the same form; where it is empty, 0xb counts */
#define TOPOLOGY_LEVELS 3    /* thread, core, and the one that ends them */

/** Topology: @core_bits: of an APIC id; above them stands the package's number, 0 */
typedef struct {
    guint apic_id;
    guint n_cores;
    guint core_bits;
} Topology;

static struct kvm_cpuid_entry2
topology_level(const Topology *topology, guint32 level)
{
    struct kvm_cpuid_entry2 entry = {.function = LEAF_TOPOLOGY,
                                     .index = level,
                                     .flags = KVM_CPUID_FLAG_SIGNIFCANT_INDEX,
                                     .ecx = level,
                                     .edx = topology->apic_id};

    if (level == 0) {
        entry.ebx = 1;
        entry.ecx |= TOPOLOGY_LEVEL_THREAD << 8;
    } else if (level == 1) {
        entry.eax = topology->core_bits;
        entry.ebx = topology->n_cores;
        entry.ecx |= TOPOLOGY_LEVEL_CORE << 8;
    }
    return entry;
}

static void
adapt(struct kvm_cpuid_entry2 *entry, const Topology *topology, gboolean tsc_deadline)
{
    guint n_cores = topology->n_cores;

    switch (entry->function) {
    case 1:
        entry->ebx = (entry->ebx & 0x0000ffff) | MIN(n_cores, 255) << 16 | (topology->apic_id & 0xff) << 24;
        entry->ecx |= CPUID_1_ECX_HYPERVISOR | (tsc_deadline ? CPUID_1_ECX_TSC_DEADLINE : 0);
        if (n_cores > 1)
            entry->edx |= CPUID_1_EDX_THREADS;
        break;
    case 4: /* Intel's caches: each core its own; and how many cores there are */
        if (entry->eax)
            entry->eax = (entry->eax & 0x3fff) | MIN(n_cores - 1, 63) << 26;
        break;
    case 0x80000008: /* AMD's number of cores */
        entry->ecx = topology->core_bits << 12 | MIN(n_cores - 1, 255);
        break;
    case 0x8000001e: /* AMD's: APIC id, core, node */
        entry->eax = topology->apic_id;
        entry->ebx = topology->apic_id & 0xff;
        entry->ecx = 0;
        break;
    default:
        break;
    }
}

/* Whether there is a leaf 0xb. */
static gboolean
drop_topology(struct kvm_cpuid2 *cpuid)
{
    guint32 kept = 0, largest_leaf = 0;

    for (guint32 i = 0; i < cpuid->nent; i++) {
        struct kvm_cpuid_entry2 entry = cpuid->entries[i];
        if (entry.function == 0)
            largest_leaf = entry.eax;
        if (entry.function != LEAF_TOPOLOGY && entry.function != LEAF_TOPOLOGY_2)
            cpuid->entries[kept++] = entry;
    }
    cpuid->nent = kept;
    return largest_leaf >= LEAF_TOPOLOGY;
}

struct kvm_cpuid2 *
cpuid_new(int kvm_fd, guint apic_id, guint n_vcpus, GError **error)
{
    gsize most = CPUID_ENTRIES + TOPOLOGY_LEVELS;
    g_autofree struct kvm_cpuid2 *cpuid = g_malloc0(sizeof *cpuid + most * sizeof cpuid->entries[0]);
    Topology topology = {.apic_id = apic_id, .n_cores = n_vcpus, .core_bits = n_vcpus > 1 ? g_bit_storage(n_vcpus - 1) : 0};

    cpuid->nent = CPUID_ENTRIES;
    if (ioctl(kvm_fd, KVM_GET_SUPPORTED_CPUID, cpuid) < 0) {
        machine_set_errno_error(error, "KVM_GET_SUPPORTED_CPUID");
        return NULL;
    }
    /* never among what is supported: it is the in-kernel APIC's, not the CPU's */
    gboolean tsc_deadline = kvm_capability(kvm_fd, KVM_CAP_TSC_DEADLINE_TIMER);
    gboolean extended = drop_topology(cpuid);
    for (guint32 i = 0; i < cpuid->nent; i++)
        adapt(&cpuid->entries[i], &topology, tsc_deadline);
    for (guint32 level = 0; extended && level < TOPOLOGY_LEVELS; level++)
        cpuid->entries[cpuid->nent++] = topology_level(&topology, level);
    return g_steal_pointer(&cpuid);
}
