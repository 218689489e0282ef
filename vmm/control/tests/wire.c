/* SPDX-License-Identifier: MIT */
/* The splitter and the request parser, fed with everything. */
#include "control/wire.h"

#include <string.h>

#include "control/qmp.h"

static const char *const messages[] = {
    "{\"execute\":\"stop\"}",
    "{\"execute\": \"x\", \"arguments\": {\"s\": \"}{][\\\"\\\\\", \"n\": [1, {\"a\": []}]}, \"id\": [\"\\u00e9\", 1.5, null]}",
    "{}",
    "{\"id\": \"newline in\n between\", \"execute\": \"\xc3\xa9\"}",
};

typedef struct {
    guint complete;
    guint bad;
} Seen;

static Seen
feed_all(Wire *wire, const char *bytes, gsize size, gsize chunk, const char *const *expected)
{
    Seen seen = {0};

    for (gsize at = 0; at < size;) {
        const char *reason = NULL;
        gsize used;
        WireResult result = wire_feed(wire, bytes + at, MIN(chunk, size - at), &used, &reason);
        g_assert_cmpuint(used, <=, MIN(chunk, size - at));
        g_assert_cmpuint(wire->text->len, <=, WIRE_MESSAGE_MAX);
        at += used;
        if (result == WIRE_MESSAGE) {
            if (expected)
                g_assert_cmpstr(wire->text->str, ==, expected[seen.complete]);
            seen.complete++;
        } else if (result == WIRE_BAD) {
            g_assert_nonnull(reason);
            seen.bad++;
        } else {
            g_assert_cmpuint(used, >, 0);
        }
    }
    return seen;
}

static void
test_any_chunks(void)
{
    static const char *const between[] = {"", "\n", "\r\n", " \t "};

    for (guint b = 0; b < G_N_ELEMENTS(between); b++) {
        g_autoptr(GString) stream = g_string_new(NULL);
        for (guint i = 0; i < G_N_ELEMENTS(messages); i++)
            g_string_append_printf(stream, "%s%s", messages[i], between[b]);
        for (gsize chunk = 1; chunk <= stream->len; chunk++) {
            Wire wire = {0};
            Seen seen = feed_all(&wire, stream->str, stream->len, chunk, messages);
            g_assert_cmpuint(seen.complete, ==, G_N_ELEMENTS(messages));
            g_assert_cmpuint(seen.bad, ==, 0);
            wire_clear(&wire);
        }
    }
}

static void
test_bad_then_good(void)
{
    static const char *const bad[] = {"nonsense\n", "[1, 2]\n", "\"text\"\n", "1\n", "\xff\xfe\n", "}\n", "]\n", "]]]]{{{{\"\n"};
    const char *expected[] = {"{\"execute\":\"stop\"}"};

    for (guint i = 0; i < G_N_ELEMENTS(bad); i++) {
        g_autofree char *stream = g_strconcat(bad[i], expected[0], NULL);
        Wire wire = {0};
        Seen seen = feed_all(&wire, stream, strlen(stream), 3, expected);
        g_assert_cmpuint(seen.bad, ==, 1);
        g_assert_cmpuint(seen.complete, ==, 1);
        wire_clear(&wire);
    }
}

static void
test_long_message(void)
{
    g_autoptr(GString) stream = g_string_new("{\"execute\": \"");
    const char *expected[] = {"{}"};
    Wire wire = {0};

    for (guint i = 0; i < 100; i++)
        g_string_append_printf(stream, "%*s", 100000, "x");
    g_string_append(stream, "\"}\n{}");
    Seen seen = feed_all(&wire, stream->str, stream->len, 4096, expected);
    g_assert_cmpuint(seen.bad, ==, 1);
    g_assert_cmpuint(seen.complete, ==, 1);
    g_assert_cmpuint(wire.text->allocated_len, <=, 4 * (gsize)WIRE_MESSAGE_MAX);
    wire_clear(&wire);
}

/* Bytes that JSON is made of come more often than others. */
static char
random_byte(void)
{
    static const char likely[] = "{}[]\":,\\ \n0123456789.eE+-truefalsnulxd8\"execute\"id";

    if (g_test_rand_int_range(0, 4) > 0)
        return likely[(guint32)g_test_rand_int() % (sizeof likely - 1)];
    return (char)g_test_rand_int_range(G_MININT8, G_MAXINT8 + 1);
}

static void
check_parse(const char *text, gsize length)
{
    g_auto(QmpRequest) request = {0};
    g_autoptr(GError) error = NULL;

    if (qmp_request_parse(text, length, &request, &error)) {
        g_assert_nonnull(request.command);
    } else {
        g_assert_nonnull(error);
        g_autofree char *line = qmp_failure(NULL, error);
        g_assert_true(g_utf8_validate(line, -1, NULL));
    }
}

static void
test_noise(void)
{
    for (guint round = 0; round < 3000; round++) {
        char bytes[512];
        Wire wire = {0};
        gsize size = (gsize)g_test_rand_int_range(1, sizeof bytes);

        for (gsize i = 0; i < size; i++)
            bytes[i] = random_byte();
        feed_all(&wire, bytes, size, (gsize)g_test_rand_int_range(1, 64), NULL);
        wire_clear(&wire);
        check_parse(bytes, size);
    }
}

/* Good requests with a few bytes changed, left out or doubled. */
static void
test_mutations(void)
{
    for (guint round = 0; round < 20000; round++) {
        const char *message = messages[round % G_N_ELEMENTS(messages)];
        g_autoptr(GString) text = g_string_new(message);

        for (gint n = g_test_rand_int_range(1, 4); n > 0; n--) {
            gssize at = g_test_rand_int_range(0, (gint)text->len);
            switch (g_test_rand_int_range(0, 3)) {
            case 0:
                text->str[at] = random_byte();
                break;
            case 1:
                g_string_erase(text, at, text->len > 1);
                break;
            default:
                g_string_insert_c(text, at, random_byte());
            }
        }
        check_parse(text->str, text->len);
    }
}

/* Escapes make of it what is no UTF-8, and the parser quotes that. */
static void
test_strange_escapes(void)
{
    static const char *const strange[] = {"{\"exec\\ude\":\"stop\"}", "{\"id\":[\"\\200e9\" 1]}", "{\"\\udc00\":1}",
                                          "{\"execute\":\"\\udc00\",}"};

    for (guint i = 0; i < G_N_ELEMENTS(strange); i++)
        check_parse(strange[i], strlen(strange[i]));
}

static void
test_requests(void)
{
    static const struct {
        const char *text;
        const char *error;
    } cases[] = {
        {"{\"execute\": \"stop\", \"id\": 1}", NULL},
        {"{\"execute\": \"stop\", \"arguments\": {}}", NULL},
        {"{\"execute\": 1}", "\"execute\" takes a string"},
        {"{\"execute\": \"stop\", \"arguments\": []}", "\"arguments\" takes an object"},
        {"{\"execute\": \"stop\", \"arguments\": null}", "\"arguments\" takes an object"},
        {"{\"execute\": \"stop\", \"control\": {}}", "no member \"control\""},
        {"{\"exec-oob\": \"stop\"}", "no member \"exec-oob\""},
        {"{\"id\": 1}", "needs its member \"execute\""},
        {"{\"execute\": \"stop\", \"id\": 99999999999999999999}", "number in range"},
        {"{\"execute\": \"stop\", \"id\": 1e999}", "number in range"},
        {"{\"execute\": \"stop\", \"id\": [[[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]]]}", "nested too deeply"},
        {"{\"execute\": \"\xff\"}", "not UTF-8"},
        {"{\"execute\": \"stop\" \"id\": 1}", "not JSON"},
        {"{\"execute\": \"stop\", }", "not JSON"},
        {"{'execute': 'stop'}", "not JSON"},
        {"{/* stop */}", "not JSON"},
        {"{]", "not JSON"},
        {"{\"execute\": \"stop\"}{\"execute\": \"cont\"}", "behind the value's end"},
        {"4{\"execute\": \"stop\"}", "behind the value's end"},
        {"[]", "a JSON object"},
        {"{\"execute\": \"stop\"}\r\n ", NULL},
    };

    for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_auto(QmpRequest) request = {0};
        g_autoptr(GError) error = NULL;
        gboolean ok = qmp_request_parse(cases[i].text, strlen(cases[i].text), &request, &error);
        g_assert_cmpint(ok, ==, !cases[i].error);
        if (!ok && !strstr(error->message, cases[i].error))
            g_error("%s: %s", cases[i].text, error->message);
    }
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/wire/messages-come-out-whole-whatever-the-chunks", test_any_chunks);
    g_test_add_func("/wire/after-nonsense-the-next-line-is-understood", test_bad_then_good);
    g_test_add_func("/wire/10-mb-without-an-end-take-no-memory", test_long_message);
    g_test_add_func("/wire/noise-is-survived", test_noise);
    g_test_add_func("/wire/mutated-requests-are-survived", test_mutations);
    g_test_add_func("/wire/an-error-is-utf-8-whatever-it-quotes", test_strange_escapes);
    g_test_add_func("/wire/what-is-no-request-is-named", test_requests);
    return g_test_run();
}
