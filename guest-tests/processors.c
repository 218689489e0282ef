/* SPDX-License-Identifier: MIT */
/*
 * Brings up the application processors: INIT and SIPI by the local APIC's registers, which ring 3 reaches like any memory. One
 * at a time, each addressed by its APIC id, which is its number: so vCPU N of the VMM is vCPU N of the workload.
 */
#include "guest.h"

#define LAPIC 0xfee00000
#define LAPIC_SPURIOUS 0x0f0
#define LAPIC_ICR_LOW 0x300
#define LAPIC_ICR_HIGH 0x310
#define SPURIOUS_ENABLE 0x1ff
#define ICR_INIT 0x4500 /* assert */
#define ICR_STARTUP 0x4600

#define SETTLE_CYCLES (UINT64_C(1) << 20)
#define RETRY_CYCLES (UINT64_C(1) << 29)
#define RETRIES 32 /* some 5 to 10 s in all */

static volatile uint32_t last_up; /* the processor that came up last */

static void
lapic_write(uint32_t offset, uint32_t value)
{
    *(volatile uint32_t *)(uintptr_t)(LAPIC + offset) = value;
}

static void
send_ipi(uint32_t target, uint32_t command)
{
    lapic_write(LAPIC_ICR_HIGH, target << 24);
    lapic_write(LAPIC_ICR_LOW, command);
}

static int
wait_for(uint32_t vcpu, uint64_t cycles)
{
    for (uint64_t start = read_tsc(); read_tsc() - start < cycles;) {
        if (last_up == vcpu)
            return 1;
        spin_hint();
    }
    return 0;
}

static int
start_processor(uint32_t vcpu)
{
    guest_start_block.stack_end = ABI_STACK_GPA(vcpu + 1);
    guest_start_block.vcpu = vcpu;
    guest_start_block.tss_selector = (uint16_t)GUEST_SELECTOR_TSS(vcpu);
    send_ipi(vcpu, ICR_INIT);
    wait_for(vcpu, SETTLE_CYCLES);
    for (uint32_t try = 0; try < RETRIES; try++) {
        send_ipi(vcpu, ICR_STARTUP | (uint32_t)(ABI_TRAMPOLINE_GPA >> 12));
        if (wait_for(vcpu, RETRY_CYCLES))
            return 1;
    }
    return 0;
}

void
processor_is_up(uint32_t vcpu)
{
    last_up = vcpu;
}

int
start_processors(uint32_t vcpus)
{
    for (uint64_t i = 0; i < (uint64_t)(trampoline_end - trampoline_start); i++)
        ((volatile char *)(uintptr_t)ABI_TRAMPOLINE_GPA)[i] = trampoline_start[i];
    lapic_write(LAPIC_SPURIOUS, SPURIOUS_ENABLE);
    for (uint32_t vcpu = 1; vcpu < vcpus; vcpu++) {
        if (!start_processor(vcpu))
            return 0;
    }
    return 1;
}
