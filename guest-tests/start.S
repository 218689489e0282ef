/* SPDX-License-Identifier: MIT */
/*
 * From the PVH entry to ring 3 in as few ring-0 instructions as there can be: on the build machines' KVM ring 0 is emulated, at
 * about a microsecond an instruction and not every instruction (iretq works there, int does not).
 *
 * Every table that the CPU needs is static data: page tables with their accessed and dirty bits set, GDT, TSS. The TSS
 * names the stack for exceptions and the ports that ring 3 may use. A bitmap: that KVM forgets the IOPL that iretq loads. IOPL 3 all
 * the same: QEMU's emulation wants a TSS that is not busy for the bitmap, and KVM shows none but busy ones to who saves and loads a
 * vCPU. All vCPUs share the TSS, each through a descriptor of its own, since ltr marks that busy. Ring 3 fills in the IDT: it can, as
 * all memory is user-accessible.
 *
 * Application processors come from start.S's trampoline into the same path and find their stack and number in guest_start_block.
 */
#include "guest.h"

#define XEN_ELFNOTE_PHYS32_ENTRY 18
#define MSR_EFER 0xc0000080
#define EFER_LME 0x100
#define CR0_PG_ET_PE 0x80000011
#define CR4_PAE 0x20

/* offsets in struct guest_start_block */
#define START_STACK_END 0
#define START_VCPU 8
#define START_TSS_SELECTOR 12

/* offsets in struct abi_mailbox; main.c asserts them */
#define MAILBOX_ERROR 0x200008

    .section .note.xen, "a", @note
    .balign 4
    .long 4, 4, XEN_ELFNOTE_PHYS32_ENTRY
    .asciz "Xen"
    .long pvh_entry

/* --- vCPU 0: 32-bit protected mode, no paging, ebx = start_info --- */

    .section .text.start, "ax"
    .code32
    .globl pvh_entry
pvh_entry:
    movl $pml4, %eax
    movl %eax, %cr3
    movl $CR4_PAE, %eax
    movl %eax, %cr4
    movl $MSR_EFER, %ecx
    movl $EFER_LME, %eax
    xorl %edx, %edx
    wrmsr
    movl $CR0_PG_ET_PE, %eax
    movl %eax, %cr0
    lgdt gdt_pointer
    ljmp $GUEST_SELECTOR_CODE64, $1f

    .code64
1:  lidt idt_pointer
    ltr guest_start_block + START_TSS_SELECTOR
    movq guest_start_block + START_STACK_END, %rsp
    pushq $GUEST_SELECTOR_USER_DATA
    pushq guest_start_block + START_STACK_END
    pushq $GUEST_RFLAGS
    pushq $GUEST_SELECTOR_USER_CODE
    pushq $ring3
    iretq

ring3:
    movl guest_start_block + START_VCPU, %edi
    movl %ebx, %esi
    xorl %ebp, %ebp
    call guest_main
    ud2

/* --- application processors: real mode at ABI_TRAMPOLINE_GPA, where ring 3 has copied this --- */

    .section .rodata.trampoline, "a"
    .globl trampoline_start, trampoline_end
    .code16
trampoline_start:
    lgdtl %cs:(trampoline_gdt_pointer - trampoline_start)
    movl $0x11, %eax
    movl %eax, %cr0
    ljmpl $GUEST_SELECTOR_CODE32, $processor_entry
trampoline_gdt_pointer:
    .word gdt_end - gdt - 1
    .long GUEST_GDT_GPA
trampoline_end:

    .section .text.start, "ax"
    .code32
processor_entry:
    movl $GUEST_SELECTOR_DATA, %eax
    movl %eax, %ds
    movl %eax, %ss
    jmp pvh_entry

    .code64

/* --- exceptions: none is expected. Ring 0 notes the place and lets ring 3 tell; a second one resets the machine --- */

    .globl exception_with_code, exception_without_code
exception_with_code:
    popq %rax
exception_without_code:
    popq %rdi
    cmpq $0, MAILBOX_ERROR
    jne 1f
    movq $GUEST_RING0_STACK_END, %rsp
    pushq $GUEST_SELECTOR_USER_DATA
    pushq $GUEST_RING0_STACK_END - 0x800
    pushq $GUEST_RFLAGS
    pushq $GUEST_SELECTOR_USER_CODE
    pushq $exception_in_ring3
    iretq
1:  lidt no_idt_pointer
    ud2

/*
 * --- ring=0: a breakpoint whose handler executes stores; no instruction in the loops that need not be there ---
 *
 * A breakpoint, since a system call would not do: on PVM the code behind one runs natively, and only what an exception enters is emulated.
 * The exception's frame lies on a stack that all vCPUs share; nothing reads it, what the way back needs is in r11 and constant.
 *
 * Whoever saves a vCPU's state may lose a breakpoint: KVM_GET_VCPU_EVENTS leaves out software exceptions on the ground that the guest
 * meets them again, and PVM has moved RIP past the instruction by then. The loops end with rsi at 0, so what was lost is seen and
 * done again.
 */

    .text
    .globl ring0_writes, ring0_stores
/* ring0_writes(edi loop, rsi count, rdx addresses, rcx &position, r8 value, r9 step) */
ring0_writes:
    movq %rcx, %r10
    movq %rsp, %r11
1:  int3
ring0_done:
    testq %rsi, %rsi
    jnz 1b
    ret

ring0_stores:
    cmpl $1, %edi
    je 2f
    ja 3f
1:  movq (%rdx), %rax
    movq %r8, (%rax)
    incq (%r10)
    addq %r9, %r8
    addq $8, %rdx
    decq %rsi
    jnz 1b
    jmp 9f
2:  movq (%rdx), %rax
    movq (%rax), %rdi
    movq %rdi, (%rax)
    incq (%r10)
    addq $8, %rdx
    decq %rsi
    jnz 2b
    jmp 9f
3:  movq (%rdx), %rax
    movq (%rax), %rax
    incq (%r10)
    addq $8, %rdx
    decq %rsi
    jnz 3b
9:  movq %r11, %rsp
    pushq $GUEST_SELECTOR_USER_DATA
    pushq %r11
    pushq $GUEST_RFLAGS
    pushq $GUEST_SELECTOR_USER_CODE
    pushq $ring0_done
    iretq

/* --- tables --- */

    .data
    .balign 8
    .globl guest_start_block
guest_start_block:
    .quad 0x301000 /* ABI_STACK_GPA(1): where vCPU 0's ends */
    .long 0
    .word GUEST_SELECTOR_TSS(0)
    .word 0

    .section .rodata.pointers, "a"
gdt_pointer:
    .word gdt_end - gdt - 1
    .quad GUEST_GDT_GPA
idt_pointer:
    .word 0xfff
    .quad GUEST_IDT_GPA
no_idt_pointer:
    .word 0
    .quad 0

    .section .gdt, "aw"
gdt:
    .quad 0
    .quad 0x00af9b000000ffff /* code, 64-bit */
    .quad 0x00cf93000000ffff /* data */
    .quad 0x00cff3000000ffff /* data, ring 3 */
    .quad 0x00affb000000ffff /* code, ring 3, 64-bit */
    .quad 0x00cf9b000000ffff /* code, 32-bit: the trampoline's way up */
    .rept 64                 /* ABI_MAX_VCPUS times the one TSS */
    .quad 0x0000890000000000 | GUEST_TSS_LIMIT | (GUEST_TSS_GPA & 0xffffff) << 16, 0
    .endr
gdt_end:

    .section .tss, "aw"
tss:
    .long 0
    .quad GUEST_RING0_STACK_END
    .fill 90, 1, 0
    .word io_bitmap - tss
io_bitmap:
    .fill GUEST_IO_PORTS / 8, 1, 0 /* ring 3 may */
    .byte 0xff                     /* the CPU wants a byte of ones at the end */
    .if . - tss - 1 - GUEST_TSS_LIMIT
    .error "GUEST_TSS_LIMIT"
    .endif

    .section .page_tables, "aw"
/* present, writable, user, accessed; leaves also dirty and 2 MiB */
#define TABLE_FLAGS 0x27
#define LEAF_FLAGS 0xe7
pml4:
    .quad GUEST_PAGE_TABLES_GPA + 0x1000 + TABLE_FLAGS
    .fill 511, 8, 0
    .set directory, 0
    .rept GUEST_STATIC_DIRECTORIES
    .quad GUEST_PAGE_TABLES_GPA + 0x2000 + 0x1000 * directory + TABLE_FLAGS
    .set directory, directory + 1
    .endr
    .fill 512 - GUEST_STATIC_DIRECTORIES, 8, 0
    .set leaf, 0
    .rept 512 * GUEST_STATIC_DIRECTORIES
    .quad (leaf << 21) + LEAF_FLAGS
    .set leaf, leaf + 1
    .endr

    .section .note.GNU-stack, "", @progbits
