/* path: pure functions on paths. No system call is made here. */
#ifndef GCDBOOT_PATH_H
#define GCDBOOT_PATH_H

#include <stdbool.h>

/*
 * A clean copy of an absolute path: one "/" between components, none at the end, no "." components. Returns NULL where the path is not
 * absolute, holds a ".." component, or memory is short.
 */
char *path_clean(const char *path);

/* Whether the clean path is dir or lies below it ("/a/b" is below "/a" and "/", "/ab" is not below "/a"). */
bool path_is_below(const char *path, const char *dir);

/* Orders clean paths so that a directory comes right before all that lies below it ('/' sorts before every other byte). For qsort(3). */
int path_compare(const char *a, const char *b);

/* Whether pattern (fnmatch(3), '*' also matches '/'; a '/' at its end does not count) names the clean path or a directory above it. */
bool path_matches(const char *path, const char *pattern);

/* root and a path seen inside it, joined: ("/r", "/a") is "/r/a", ("/r", "/") is "/r". The caller frees; NULL where memory is short. */
char *path_join(const char *root, const char *inside);

#endif
