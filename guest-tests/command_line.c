/* SPDX-License-Identifier: MIT */
/* The guest's command line: words `key=value`, separated by spaces. Freestanding, and built into a host test as well. */
#include "guest.h"

static const char *const pattern_names[ABI_N_PATTERNS] = ABI_PATTERN_NAMES;

/* a word that need not end in a 0 */
struct word {
    const char *start;
    uint64_t length;
};

static int
word_is(struct word word, const char *text)
{
    uint64_t i = 0;
    while (i < word.length && text[i] && word.start[i] == text[i])
        i++;
    return i == word.length && !text[i];
}

static int
word_number(struct word word, uint64_t most, uint64_t *number)
{
    *number = 0;
    for (uint64_t i = 0; i < word.length; i++) {
        uint64_t digit = (uint64_t)(word.start[i] - '0');
        if (digit > 9 || *number > (UINT64_MAX - digit) / 10)
            return 0;
        *number = *number * 10 + digit;
    }
    return word.length && *number <= most;
}

static int
set_pattern(struct word value, struct abi_workload *workload)
{
    for (uint32_t pattern = 0; pattern < ABI_N_PATTERNS; pattern++) {
        if (word_is(value, pattern_names[pattern])) {
            workload->pattern = pattern;
            return 1;
        }
    }
    return 0;
}

static int
set_option(struct word key, struct word value, struct guest_options *options)
{
    struct abi_workload *workload = &options->workload;
    uint64_t number;

    if (word_is(key, "pattern"))
        return set_pattern(value, workload);
    if (!word_number(value, UINT64_MAX, &number))
        return 0;
    if (word_is(key, "pages")) {
        workload->pages = number;
    } else if (word_is(key, "passes")) {
        workload->passes = number;
    } else if (word_is(key, "seed")) {
        workload->seed = number;
    } else if (word_is(key, "pace")) {
        workload->pace = number;
    } else if (word_is(key, "ring") && (number == 0 || number == 3)) {
        workload->ring = (uint32_t)number;
    } else if (word_is(key, "vcpus") && number >= 1 && number <= ABI_MAX_VCPUS) {
        workload->vcpus = (uint32_t)number;
    } else if (word_is(key, "serial") && number <= 1) {
        options->serial = (int)number;
    } else if (word_is(key, "touch") && number <= 1) {
        options->touch = (int)number;
    } else {
        return 0;
    }
    return 1;
}

int
parse_command_line(const char *text, uint64_t arena_pages, struct guest_options *options)
{
    options->workload = (struct abi_workload){.pattern = ABI_RANDOM,
                                              .vcpus = 1,
                                              .ring = 3,
                                              .pages = arena_pages / 10,
                                              .passes = 5,
                                              .seed = 1,
                                              .arena_pages = arena_pages};
    options->serial = 0;
    options->touch = 0;
    options->quiet = 0;

    for (;;) {
        while (*text == ' ')
            text++;
        if (!*text)
            break;
        struct word key = {.start = text};
        while (*text && *text != ' ' && *text != '=')
            text++;
        key.length = (uint64_t)(text - key.start);
        if (*text != '=') {
            if (!word_is(key, "quiet"))
                return 0;
            options->quiet = 1;
            continue;
        }
        struct word value = {.start = ++text};
        while (*text && *text != ' ')
            text++;
        value.length = (uint64_t)(text - value.start);
        if (!set_option(key, value, options))
            return 0;
    }
    options->workload.pages = abi_clamp_pages(options->workload.pattern, options->workload.pages, arena_pages);
    return 1;
}
