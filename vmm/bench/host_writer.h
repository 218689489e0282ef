/* SPDX-License-Identifier: MIT */
/*
 * Writers that are no vCPU: a thread of ours that follows the same workload through the store path (vmm), through preadv(2)
 * (vmm-syscall) or through a second mapping (alias); and KVM, which is made to write its clock pages (kvm).
 */
#pragma once

#include "bench/workload.h"
#include "board/board.h"

typedef struct HostWriter HostWriter;

/**
 * host_writer_new: starts the thread, which waits for host_writer_release(). @workload: with vcpus 1; for `kvm` one actor a vCPU.
 * `kvm` enables each vCPU's clock: call it before the machine is started.
 */
HostWriter *host_writer_new(Writer kind, Board *board, const struct abi_workload *workload, const struct abi_arena *arena,
                            GError **error);
/** host_writer_free: the machine is stopped by then, so the thread ends by itself. */
void host_writer_free(HostWriter *writer);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(HostWriter, host_writer_free)

/** host_writer_release: it may begin one pass more. */
void host_writer_release(HostWriter *writer);
/** host_writer_ready: whether it has finished every pass that it was let go for. */
gboolean host_writer_ready(HostWriter *writer);
/** host_writer_position: writes that @actor has made, through all passes; exact while the machine is paused. */
guint64 host_writer_position(HostWriter *writer, guint actor);
/** host_writer_error: what ended the thread early, or NULL. */
const GError *host_writer_error(HostWriter *writer);
