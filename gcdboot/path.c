/* path: pure functions on paths. No system call is made here. */
#include "path.h"

#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "util.h"

char *path_clean(const char *path)
{
	char *clean, *end;

	if (path[0] != '/')
		return NULL;
	clean = malloc(strlen(path) + 1);
	if (!clean)
		return NULL;
	end = clean;
	while (*path) {
		size_t len = strcspn(path, "/");

		if (len == 2 && path[0] == '.' && path[1] == '.') {
			free(clean);
			return NULL;
		}
		if (len > 0 && !(len == 1 && path[0] == '.')) {
			*end++ = '/';
			memcpy(end, path, len);
			end += len;
		}
		path += len + (path[len] == '/');
	}
	if (end == clean)
		*end++ = '/';
	*end = '\0';
	return clean;
}

bool path_is_below(const char *path, const char *dir)
{
	size_t len = strlen(dir);

	if (len == 1)
		return path[0] == '/';
	return strncmp(path, dir, len) == 0 && (path[len] == '\0' || path[len] == '/');
}

/* The end of a path sorts first, then '/', then every other byte. */
static unsigned path_byte_order(char c)
{
	if (c == '\0')
		return 0;
	return c == '/' ? 1 : 1u + (unsigned char)c;
}

int path_compare(const char *a, const char *b)
{
	while (*a && *a == *b) {
		a++;
		b++;
	}
	return (int)path_byte_order(*a) - (int)path_byte_order(*b);
}

bool path_matches(const char *path, const char *pattern)
{
	size_t len = strlen(pattern);
	auto_free char *trimmed = NULL;

	/* "/" names the directory above all, and "" none, though it is what stands before the first '/'. */
	if (strcmp(pattern, "/") == 0)
		return true;
	if (len == 0)
		return false;
	/* "/snap/" is how many write a directory's name; a clean path never ends in '/'. */
	if (len > 1 && pattern[len - 1] == '/') {
		trimmed = strndup(pattern, len - 1);
		return trimmed && path_matches(path, trimmed);
	}
	/* FNM_LEADING_DIR (GNU): what follows a match after a '/' does not count, so a directory's name matches all below it. */
	return fnmatch(pattern, path, FNM_LEADING_DIR) == 0;
}

char *path_join(const char *root, const char *inside)
{
	char *joined;

	if (strcmp(root, "/") == 0)
		return strdup(inside);
	if (strcmp(inside, "/") == 0)
		return strdup(root);
	return asprintf(&joined, "%s%s", root, inside) < 0 ? NULL : joined;
}
