/* SPDX-License-Identifier: MIT */
/* The host in words, for the result documents: read from /proc and /sys, nothing tried but opening /dev/kvm. */
#include <fcntl.h>
#include <linux/capability.h>
#include <string.h>
#include <sys/utsname.h>

#include <dirtylog/probe.h>

#include "dirtylog/private.h"

static gboolean
has_module(const char *name)
{
    g_autofree char *path = g_build_filename("/sys/module", name, NULL);

    return g_file_test(path, G_FILE_TEST_IS_DIR);
}

static char *
kvm_kind(void)
{
    g_auto(DlFd) fd = open("/dev/kvm", O_RDWR | O_CLOEXEC);

    if (fd < 0 && errno == ENOENT)
        return g_strdup("none");
    if (fd < 0)
        return g_strdup_printf("/dev/kvm: %s", g_strerror(errno));
    if (has_module("kvm_pvm"))
        return g_strdup("PVM");
    if (has_module("kvm_intel"))
        return g_strdup("VMX");
    if (has_module("kvm_amd"))
        return g_strdup("SVM");
    return g_strdup("unknown");
}

/* A module's boolean parameter, which older kernels print as 1 and 0. */
static gboolean
parameter_is_on(const char *path)
{
    g_autofree char *value = dl_read_field(path, "");

    return value && (*value == 'Y' || *value == '1');
}

static char *
mmu_kind(void)
{
    if (has_module("kvm_pvm"))
        return g_strdup("shadow");
    if (has_module("kvm_intel"))
        return g_strdup(parameter_is_on("/sys/module/kvm_intel/parameters/ept") ? "EPT" : "shadow");
    if (has_module("kvm_amd"))
        return g_strdup(parameter_is_on("/sys/module/kvm_amd/parameters/npt") ? "NPT" : "shadow");
    return g_strdup("unknown");
}

static char *
cpu_model(void)
{
    g_autofree char *line = dl_read_field("/proc/cpuinfo", "model name");

    return g_strdup(line && *line == ':' ? g_strchug(line + 1) : "unknown");
}

static gboolean
has_capability(guint capability)
{
    g_autofree char *effective = dl_read_field("/proc/self/status", "CapEff:");

    return effective && (g_ascii_strtoull(effective, NULL, 16) >> capability & 1);
}

static char *
privileges(void)
{
    guint64 unprivileged = 0;

    dl_read_number("/proc/sys/vm/unprivileged_userfaultfd", &unprivileged);
    return g_strdup_printf(
        "euid %u, CAP_SYS_PTRACE %s, CAP_SYS_ADMIN %s, vm.unprivileged_userfaultfd=%" G_GUINT64_FORMAT ", /dev/userfaultfd %s",
        (guint)geteuid(), has_capability(CAP_SYS_PTRACE) ? "yes" : "no", has_capability(CAP_SYS_ADMIN) ? "yes" : "no",
        unprivileged, access("/dev/userfaultfd", R_OK | W_OK) == 0 ? "yes" : "no");
}

static guint64
memory_total(void)
{
    g_autofree char *total = dl_read_field("/proc/meminfo", "MemTotal:");

    return total ? g_ascii_strtoull(total, NULL, 10) * 1024 : 0;
}

void
dl_host_facts(DlHostFacts *facts)
{
    struct utsname name;

    *facts = (DlHostFacts){
        .kernel = g_strdup(uname(&name) == 0 ? name.release : "unknown"),
        .kvm = kvm_kind(),
        .mmu = mmu_kind(),
        .cpu = cpu_model(),
        .privileges = privileges(),
        .cores = g_get_num_processors(),
        .memory_bytes = memory_total(),
    };
}

void
dl_host_facts_clear(DlHostFacts *facts)
{
    g_free(facts->kernel);
    g_free(facts->kvm);
    g_free(facts->mmu);
    g_free(facts->cpu);
    g_free(facts->privileges);
    *facts = (DlHostFacts){0};
}
