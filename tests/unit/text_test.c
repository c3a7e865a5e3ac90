/* text_test: bytes made fit for terminals and for JSON. */
#include "../../gcdboot/text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

#include "../../gcdboot/util.h"

static void safe_gives(const char *bytes, const char *expected)
{
	auto_free char *safe = text_safe(bytes);

	assert_non_null(safe);
	assert_string_equal(safe, expected);
}

static void utf8_gives(const char *bytes, const char *expected)
{
	auto_free char *text = text_utf8(bytes);

	assert_non_null(text);
	assert_string_equal(text, expected);
}

static void test_safe(void **state)
{
	(void)state;
	safe_gives("", "");
	safe_gives("/mnt/a b'\"$`~", "/mnt/a b'\"$`~");
	safe_gives("a\nb\tc\rd\x1b[m\x7f\x01", "a\\012b\\011c\\015d\\033[m\\177\\001");
	safe_gives("日本é€😀", "日本é€😀");
	safe_gives("\xff\xfe", "\\377\\376");
	/* C1 controls, a line separator, a turned direction of writing. */
	safe_gives("\xc2\x9b"
		   "31m",
		   "\\302\\23331m");
	safe_gives("\xe2\x80\xa8", "\\342\\200\\250");
	safe_gives("\xe2\x80\xae", "\\342\\200\\256");
	safe_gives("\xe2\x81\xa6", "\\342\\201\\246");
	safe_gives("\xc2\xa0", "\xc2\xa0");
}

/* A backslash is itself, but never looks like an escape that is none. */
static void test_safe_backslash(void **state)
{
	(void)state;
	safe_gives("C:\\", "C:\\");
	safe_gives("a\\n\\", "a\\n\\");
	safe_gives("\\012", "\\134012");
	safe_gives("\\\\012", "\\\\134012");
	safe_gives("\\01", "\\01");
	safe_gives("\\089", "\\089");
}

static void test_utf8(void **state)
{
	(void)state;
	utf8_gives("", "");
	utf8_gives("a\nb\x1b\\", "a\nb\x1b\\");
	utf8_gives("日本é€😀", "日本é€😀");
	utf8_gives("a\xff"
		   "b",
		   "a\\xffb");
	utf8_gives("\xc3", "\\xc3");
	utf8_gives("\xc3(", "\\xc3(");
	utf8_gives("\xe6\x97", "\\xe6\\x97");
	utf8_gives("\xe6\x97\xc3\xa9", "\\xe6\\x97\xc3\xa9");
	/* Too long a form, a surrogate, beyond Unicode, a byte that continues nothing. */
	utf8_gives("\xc0\xaf", "\\xc0\\xaf");
	utf8_gives("\xe0\x80\xaf", "\\xe0\\x80\\xaf");
	utf8_gives("\xf0\x80\x80\xaf", "\\xf0\\x80\\x80\\xaf");
	utf8_gives("\xed\xa0\x80", "\\xed\\xa0\\x80");
	utf8_gives("\xf4\x90\x80\x80", "\\xf4\\x90\\x80\\x80");
	utf8_gives("\x80", "\\x80");
	utf8_gives("\xed\x9f\xbf\xee\x80\x80\xf4\x8f\xbf\xbf", "\xed\x9f\xbf\xee\x80\x80\xf4\x8f\xbf\xbf");
}

static void test_columns(void **state)
{
	(void)state;
	assert_int_equal(text_columns(""), 0);
	assert_int_equal(text_columns("abc"), 3);
	assert_int_equal(text_columns("a\xc3\xa9\xe2\x82\xac"), 3);
}

static bool is_printable(const char *text)
{
	for (; *text; text++)
		if ((unsigned char)*text < 0x20 || *text == 0x7f)
			return false;
	return true;
}

/* Two and three random bytes in all combinations that matter: jansson is the judge of what is UTF-8. */
static void test_all_pairs(void **state)
{
	(void)state;
	for (unsigned first = 1; first < 256; first++)
		for (unsigned second = 1; second < 256; second++) {
			const char bytes[] = { (char)first, (char)second, '\x80', '\xbf', '\0' };
			auto_free char *text = text_utf8(bytes), *safe = text_safe(bytes), *again = text_utf8(safe);
			json_t *json = json_string(text), *own = json_string(bytes);

			assert_non_null(json);
			/* Unchanged exactly where jansson takes it as it is. */
			assert_int_equal(own != NULL, strcmp(text, bytes) == 0);
			assert_true(is_printable(safe));
			assert_string_equal(again, safe);
			json_decref(json);
			json_decref(own);
		}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_safe),    cmocka_unit_test(test_safe_backslash), cmocka_unit_test(test_utf8),
		cmocka_unit_test(test_columns), cmocka_unit_test(test_all_pairs),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
