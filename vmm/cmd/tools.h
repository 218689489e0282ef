/* SPDX-License-Identifier: MIT */
/*
 * The second half of the program. `dirtylab` itself is linked with what a guest needs and nothing else, so that `dirtylab boot` starts in
 * a few milliseconds; `dirtylab-tools` has all subcommands, and with them the libraries that JSON and sockets need. The first becomes the
 * second by execve() wherever it is asked for more: a user sees one program.
 */
#pragma once

/**
 * tools_exec: becomes dirtylab-tools, which stands beside this program or where it is installed, with the same arguments. Returns only
 * when it cannot, the exit status then.
 */
int tools_exec(char **argv);
