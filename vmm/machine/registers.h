/* SPDX-License-Identifier: MIT */
/* A vCPU's registers, its code and its stack in words, for whoever wants to know where a guest died. */
#pragma once

#include <machine/machine.h>

/** registers_print: appends several lines; when the machine is paused or has ended and is stopped. What cannot be read is said. */
void registers_print(Machine *machine, guint vcpu, GString *text);
