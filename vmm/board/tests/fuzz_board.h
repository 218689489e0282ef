/* SPDX-License-Identifier: MIT */
/* For the fuzzers, and for what records their seeds: the board that both have, with every section that there is. */
#pragma once

#include <board/board.h>

#define FUZZ_BOARD_WHOLE 0x80 /* fuzz_state.c: this change says that all of the section's bytes follow */

/** fuzz_board_config: two vCPUs, little memory, every device; its disk is a memfd that lives as long as the process. */
BoardConfig fuzz_board_config(void);
/** fuzz_board_new: never started; aborts on any error. */
Board *fuzz_board_new(void);
