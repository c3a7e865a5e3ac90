/* util: lists of strings, descriptors to be closed, spans of time. */
#include "util.h"

#include <errno.h>
#include <inttypes.h>
#include <linux/magic.h>
#include <stdarg.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <time.h>

static int strlist_take(struct strlist *list, char *s)
{
	char **grown;

	/* Doubling at each power of two needs no capacity field. */
	if ((list->count & (list->count - 1)) == 0) {
		grown = reallocarray(list->str, list->count ? list->count * 2 : 1, sizeof *grown);
		if (!grown) {
			free(s);
			return -ENOMEM;
		}
		list->str = grown;
	}
	list->str[list->count++] = s;
	return 0;
}

int strlist_add(struct strlist *list, const char *s)
{
	char *copy = strdup(s);

	return copy ? strlist_take(list, copy) : -ENOMEM;
}

int strlist_add_all(struct strlist *list, const struct strlist *other)
{
	int r = 0;

	for (size_t i = 0; i < other->count && r == 0; i++)
		r = strlist_add(list, other->str[i]);
	return r;
}

int strlist_addf(struct strlist *list, const char *fmt, ...)
{
	va_list args;
	char *s;
	int n;

	va_start(args, fmt);
	n = vasprintf(&s, fmt, args);
	va_end(args);
	return n >= 0 ? strlist_take(list, s) : -ENOMEM;
}

int strlist_has(const struct strlist *list, const char *s)
{
	for (size_t i = 0; i < list->count; i++)
		if (strcmp(list->str[i], s) == 0)
			return 1;
	return 0;
}

void strlist_clear(struct strlist *list)
{
	for (size_t i = 0; i < list->count; i++)
		free(list->str[i]);
	free(list->str);
	*list = (struct strlist){ 0 };
}

/* Where no limit is set, more than any kernel allows by default. */
#define DESCRIPTORS_MAX (1 << 20)

int descriptors_end(void)
{
	auto_closedir DIR *dir = NULL;
	struct statfs fs;
	int end = 0;

	/* Refused at once, but where there is no such call. */
	if (syscall(SYS_close_range, 1, 0, 0) == 0 || errno != ENOSYS)
		return 0;
	dir = opendir("/proc/self/fd");
	if (!dir || fstatfs(dirfd(dir), &fs) < 0 || fs.f_type != PROC_SUPER_MAGIC)
		return 0;
	for (const struct dirent *entry = readdir(dir); entry; entry = readdir(dir))
		if (atoi(entry->d_name) >= end)
			end = atoi(entry->d_name) + 1;
	return end;
}

void close_from(int first, int end)
{
	struct rlimit limit;

	if (syscall(SYS_close_range, first, ~0u, 0) == 0)
		return;
	if (end == 0)
		end = getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_max < DESCRIPTORS_MAX ? (int)limit.rlim_max : DESCRIPTORS_MAX;
	for (int fd = first; fd < end; fd++)
		close(fd);
}

static int64_t clock_ms(clockid_t clock)
{
	struct timespec now;

	clock_gettime(clock, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

int64_t util_now_ms(void)
{
	return clock_ms(CLOCK_MONOTONIC);
}

int64_t util_boottime_ms(void)
{
	return clock_ms(CLOCK_BOOTTIME);
}

void util_span(int64_t ms, char text[48])
{
	int64_t seconds = (ms + 999) / 1000;
	const struct {
		int64_t count;
		const char *unit;
	} parts[] = { { seconds / 3600, "h" }, { seconds / 60 % 60, "min" }, { seconds % 60, "s" } };
	int len = 0;

	for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
		if (parts[i].count > 0)
			len += snprintf(text + len, 48 - (size_t)len, "%s%" PRId64 " %s", len ? " " : "", parts[i].count, parts[i].unit);
	if (len == 0)
		snprintf(text, 48, "0 s");
}
