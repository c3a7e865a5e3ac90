/* state_test: what the state file keeps of a confirmation, and the words for the time that is left. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "../../gcdboot/state.h"

static void span_is(int64_t ms, const char *expected)
{
	char text[48];

	util_span(ms, text);
	assert_string_equal(text, expected);
}

static void test_span(void **state)
{
	(void)state;
	span_is(0, "0 s");
	span_is(1, "1 s");
	span_is(1000, "1 s");
	span_is(1001, "2 s");
	span_is(59999, "1 min");
	span_is(252000, "4 min 12 s");
	span_is(3600000, "1 h");
	span_is(3605000, "1 h 5 s");
	span_is(86399000, "23 h 59 min 59 s");
	span_is(86400000, "24 h");
	span_is(INT64_MAX - 1000, "2562047788015 h 12 min 55 s");
}

static void reread(const struct state *from, struct state *to)
{
	auto_free char *text = state_format(from);

	assert_non_null(text);
	assert_int_equal(state_parse(to, text, NULL), 0);
}

static void test_kept(void **unused)
{
	struct state written = { .phase = PHASE_UP, .confirm_ms = 300000, .confirm_by = 9876543210, .confirmed = true };
	struct state read = { 0 }, builder = { .phase = PHASE_BOOTING };

	(void)unused;
	reread(&written, &read);
	assert_int_equal(read.confirm_ms, 300000);
	assert_int_equal(read.confirm_by, 9876543210);
	assert_true(read.confirmed);
	written.confirmed = false;
	reread(&written, &read);
	assert_false(read.confirmed);
	/* The builder does not know of it. */
	reread(&builder, &read);
	assert_int_equal(read.phase, PHASE_BOOTING);
	assert_int_equal(read.confirm_by, 9876543210);
	assert_int_equal(state_parse(&read, "confirm soon\n", NULL), -EPROTO);
	state_clear(&read);
}

static void test_awaits(void **unused)
{
	struct state state = { .phase = PHASE_UP };

	(void)unused;
	assert_false(state_awaits_confirm(&state));
	state.confirm_ms = 5000;
	for (state.phase = PHASE_BUILDING; state.phase <= PHASE_STUCK; state.phase++)
		assert_int_equal(state_awaits_confirm(&state), state.phase == PHASE_BUILDING || state.phase == PHASE_BOOTING || state.phase == PHASE_UP);
	state.phase = PHASE_UP;
	state.confirmed = true;
	assert_false(state_awaits_confirm(&state));
}

static void test_text(void **unused)
{
	struct state state = { .phase = PHASE_UP, .confirm_ms = 300000 };
	char text[160], name[65];

	(void)unused;
	/* Within ten seconds of it, so that a slow machine may take its time between two lines. */
	state.confirm_by = util_boottime_ms() + 4 * 60000 - 5000;
	assert_in_range(state_confirm_left(&state), 225000, 235000);
	state_confirm_text(&state, "default", text);
	assert_non_null(strstr(text, ": gcdboot confirm"));
	assert_memory_equal(text, "to be confirmed within ", strlen("to be confirmed within "));
	state_confirm_text(&state, "other", text);
	assert_non_null(strstr(text, ": gcdboot -n other confirm"));
	memset(name, 'n', sizeof name - 1);
	name[sizeof name - 1] = '\0';
	state.confirm_by = util_boottime_ms() + 86399000;
	state_confirm_text(&state, name, text);
	assert_string_equal(text + strlen(text) - strlen("n confirm"), "n confirm");
	state.confirm_by = util_boottime_ms() - 1;
	assert_int_equal(state_confirm_left(&state), 0);
	state_confirm_text(&state, "default", text);
	assert_string_equal(text, "not confirmed in time, to be stopped");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_span),
		cmocka_unit_test(test_kept),
		cmocka_unit_test(test_awaits),
		cmocka_unit_test(test_text),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
