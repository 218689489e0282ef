/* SPDX-License-Identifier: MIT */
/* The files page.css and page.js, linked into the program. */
#pragma once

#include <glib.h>

extern const char page_css_start[], page_css_end[];
extern const char page_js_start[], page_js_end[];
