/* path_test: pure functions on paths. */
#include "../../gcdboot/path.h"

#include <fnmatch.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../../gcdboot/util.h"

static void clean_gives(const char *path, const char *expected)
{
	auto_free char *clean = path_clean(path);

	assert_non_null(clean);
	assert_string_equal(clean, expected);
}

static void test_clean(void **state)
{
	(void)state;
	clean_gives("/", "/");
	clean_gives("///", "/");
	clean_gives("/.", "/");
	clean_gives("/./", "/");
	clean_gives("/a", "/a");
	clean_gives("/a/", "/a");
	clean_gives("//a///b//", "/a/b");
	clean_gives("/a/./b/.", "/a/b");
	clean_gives("/...", "/...");
	clean_gives("/..a/b..", "/..a/b..");
	clean_gives("/.a", "/.a");
	clean_gives("/ /\n/\x1b", "/ /\n/\x1b");
}

static void test_clean_refuses(void **state)
{
	static const char *const bad[] = { "", ".", "a", "a/b", "..", "/..", "/../", "/a/..", "/a/../b", "/a//..//b", "/./.." };

	(void)state;
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		assert_null(path_clean(bad[i]));
}

static void test_below(void **state)
{
	(void)state;
	assert_true(path_is_below("/", "/"));
	assert_true(path_is_below("/a", "/"));
	assert_true(path_is_below("/a", "/a"));
	assert_true(path_is_below("/a/b", "/a"));
	assert_true(path_is_below("/a/b/c", "/a/b"));
	assert_false(path_is_below("/", "/a"));
	assert_false(path_is_below("/ab", "/a"));
	assert_false(path_is_below("/a", "/a/b"));
	assert_false(path_is_below("/a b", "/a"));
}

static void test_compare_order(void **state)
{
	/* A byte below '/' (space, '-', '.') must not come between a directory and what lies in it. */
	static const char *const sorted[] = { "/", "/a", "/a/b", "/a/b/c", "/a/b-", "/a/c", "/a\n", "/a b", "/a-b", "/a.b", "/aa", "/\xff" };
	size_t n = sizeof sorted / sizeof *sorted;

	(void)state;
	for (size_t i = 0; i < n; i++)
		for (size_t j = 0; j < n; j++)
			assert_int_equal((path_compare(sorted[i], sorted[j]) > 0) - (path_compare(sorted[i], sorted[j]) < 0), (i > j) - (i < j));
}

static uint64_t seed = 88172645463325252u;

static unsigned below(unsigned n)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return (unsigned)(seed >> 33) % n;
}

static void random_path(char *path)
{
	static const char bytes[] = "ab-.\n*\xff";

	*path = '\0';
	for (unsigned n = 1 + below(4); n > 0; n--) {
		*path++ = '/';
		for (unsigned len = 1 + below(2); len > 0; len--)
			*path++ = bytes[below(sizeof bytes - 1)];
		*path++ = 'x';
	}
	*path = '\0';
}

static int compare(const void *a, const void *b)
{
	return path_compare(*(char *const *)a, *(char *const *)b);
}

/* Sorted, all that lies below a directory follows it without a gap. */
static void test_compare_keeps_trees_together(void **state)
{
	static char path[60][32];
	const char *sorted[60];

	(void)state;
	for (int round = 0; round < 300; round++) {
		for (size_t i = 0; i < 60; i++) {
			random_path(path[i]);
			sorted[i] = path[i];
		}
		qsort(sorted, 60, sizeof *sorted, compare);
		for (size_t i = 0; i < 60; i++) {
			bool inside = true;

			for (size_t j = 0; j < i; j++)
				assert_true(strcmp(sorted[i], sorted[j]) == 0 || !path_is_below(sorted[j], sorted[i]));
			for (size_t j = i + 1; j < 60; j++) {
				bool is_below = path_is_below(sorted[j], sorted[i]);

				assert_true(inside || !is_below);
				inside = inside && is_below;
			}
		}
	}
}

static void test_matches(void **state)
{
	(void)state;
	assert_true(path_matches("/snap/core/1", "/snap/*"));
	assert_true(path_matches("/snap/core", "/snap/*"));
	assert_false(path_matches("/snap", "/snap/*"));
	assert_true(path_matches("/snap", "/snap"));
	assert_true(path_matches("/snap/core/1", "/snap"));
	assert_true(path_matches("/snap/core/1", "/snap/"));
	assert_true(path_matches("/snap", "/snap/"));
	assert_false(path_matches("/snapper", "/snap"));
	assert_false(path_matches("/snapper/x", "/snap/"));
	assert_true(path_matches("/run/user/1000/doc", "/run/user/*/doc"));
	assert_true(path_matches("/run/user/1000/doc/by-app", "/run/user/*/doc"));
	assert_false(path_matches("/run/user/1000", "/run/user/*/doc"));
	assert_true(path_matches("/mnt/c", "/mnt/[cd]"));
	assert_true(path_matches("/mnt/c/Users", "/mnt/[cd]"));
	assert_false(path_matches("/mnt/e", "/mnt/[cd]"));
	assert_true(path_matches("/a/b", "*"));
	assert_true(path_matches("/a/b", "/"));
	assert_true(path_matches("/mnt/a*b", "/mnt/a\\*b"));
	assert_false(path_matches("/mnt/axb", "/mnt/a\\*b"));
	assert_false(path_matches("/a", ""));
}

/* Against the slow meaning of it: the pattern matches the path, or what is left of it before one of its slashes. */
static void test_matches_as_prefixes(void **state)
{
	static const char *const part[] = { "a", "b", "*", "?", "x", "/", "/", "[ab]" };

	(void)state;
	for (int round = 0; round < 50000; round++) {
		char pattern[64] = "/", path[32];
		bool expected;

		random_path(path);
		for (unsigned n = 1 + below(5); n > 0; n--)
			stpcpy(pattern + strlen(pattern), part[below(8)]);
		stpcpy(pattern + strlen(pattern), "x");
		expected = fnmatch(pattern, path, 0) == 0;
		for (char *slash = path + 1; (slash = strchr(slash, '/')); slash++) {
			*slash = '\0';
			expected |= fnmatch(pattern, path, 0) == 0;
			*slash = '/';
		}
		if (path_matches(path, pattern) != expected)
			fail_msg("path %s, pattern %s: expected %d", path, pattern, expected);
	}
}

static void join_gives(const char *root, const char *inside, const char *expected)
{
	auto_free char *joined = path_join(root, inside);

	assert_non_null(joined);
	assert_string_equal(joined, expected);
}

static void test_join(void **state)
{
	(void)state;
	join_gives("/r", "/a", "/r/a");
	join_gives("/r", "/", "/r");
	join_gives("/", "/a", "/a");
	join_gives("/", "/", "/");
	join_gives("/usr/local/GCD", "/mnt/c d", "/usr/local/GCD/mnt/c d");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_clean),
		cmocka_unit_test(test_clean_refuses),
		cmocka_unit_test(test_below),
		cmocka_unit_test(test_compare_order),
		cmocka_unit_test(test_compare_keeps_trees_together),
		cmocka_unit_test(test_matches),
		cmocka_unit_test(test_matches_as_prefixes),
		cmocka_unit_test(test_join),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
