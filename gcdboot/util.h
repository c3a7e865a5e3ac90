/* util: cleanup by attribute for memory and descriptors, lists of strings, spans of time. */
#ifndef GCDBOOT_UTIL_H
#define GCDBOOT_UTIL_H

#include <dirent.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static inline void cleanup_free(void *p)
{
	free(*(void **)p);
}

static inline void cleanup_close(int *fd)
{
	if (*fd >= 0)
		close(*fd);
}

static inline void cleanup_fclose(FILE **f)
{
	if (*f)
		fclose(*f);
}

static inline void cleanup_closedir(DIR **d)
{
	if (*d)
		closedir(*d);
}

#define auto_free __attribute__((cleanup(cleanup_free)))
#define auto_close __attribute__((cleanup(cleanup_close)))
#define auto_fclose __attribute__((cleanup(cleanup_fclose)))
#define auto_closedir __attribute__((cleanup(cleanup_closedir)))

/* Gives the descriptor away: returns it and leaves -1, so that auto_close does not close it. */
static inline int take_fd(int *fd)
{
	int taken = *fd;

	*fd = -1;
	return taken;
}

/*
 * Closes every descriptor from `first` on: with close_range(2), or before Linux 5.9 one by one, up to `end`, which descriptors_end() has told. That asks
 * /proc/self/fd, and so has to be called before a chroot; it is 0, which stands for all there can be, where that is not needed or not there. A million
 * calls take the better part of a second.
 */
void close_from(int first, int end);
int descriptors_end(void);

/* Milliseconds of the monotonic clock: for spans, not for dates. */
int64_t util_now_ms(void);

/* Milliseconds since the machine started, with the time it slept: the same for every process, so it may outlive one. */
int64_t util_boottime_ms(void);

/* "1 h 4 min 12 s", whole seconds, a part of one counted as one; into a buffer of 48 bytes. */
void util_span(int64_t ms, char text[48]);

/* A growing list of strings that it owns. Zero-initialise; free with strlist_clear(). */
struct strlist {
	char **str;
	size_t count;
};

/* Appends a copy of s. Returns 0, or -ENOMEM with the list as it was. */
int strlist_add(struct strlist *list, const char *s);

/* As strlist_add(), with a printf format. */
int strlist_addf(struct strlist *list, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Appends copies of all of another list. Returns 0, or -ENOMEM with some of them added. */
int strlist_add_all(struct strlist *list, const struct strlist *other);

/* Whether s is in the list. */
int strlist_has(const struct strlist *list, const char *s);

void strlist_clear(struct strlist *list);

#endif
