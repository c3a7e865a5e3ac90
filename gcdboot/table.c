/* table: one mount table, read once, as data. */
#include "table.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>

#include "path.h"
#include "text.h"
#include "util.h"

/* More than a hundred thousand mounts (the kernel's own limit by default) with long paths; a file beyond it is not a mount table. */
#define TABLE_BYTES_MAX (256u << 20)

#define DELETED "//deleted"

/*
 * Not libmount's parser: it takes a line cut at a raw blank, an id that overflows or a missing field silently for something else, reads an empty
 * source for "none", and names neither line nor field of what it refuses. Each line is cut and decoded where it lies, in one pass.
 */
struct reading {
	bool mountinfo;
	struct table *table;
	size_t room;
	const char *path;
	struct err *err;
};

/*
 * Reads the file to its end through one open: the kernel does not hand the table out atomically, and a second open would see another one.
 * Returns the length or -errno; *text is NUL-terminated.
 */
static ssize_t read_whole(const char *path, char **text, struct err *err)
{
	auto_close int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	auto_free char *buf = NULL;
	size_t len = 0, size = 0;
	ssize_t n;

	if (fd < 0)
		return err_set(err, errno, "cannot open the mount table %s", path);
	do {
		if (size - len < 2) {
			size_t grown_size = size ? size * 2 : 64 * 1024;
			char *grown = realloc(buf, grown_size);

			if (!grown)
				return err_set(err, ENOMEM, "cannot read the mount table %s", path);
			buf = grown;
			size = grown_size;
		}
		n = read(fd, buf + len, size - len - 1);
		if (n < 0 && errno != EINTR)
			return err_set(err, errno, "cannot read the mount table %s", path);
		len += n > 0 ? (size_t)n : 0;
		if (len > TABLE_BYTES_MAX)
			return err_set(err, -EFBIG, "%s is too long for a mount table (more than %u MiB)", path, TABLE_BYTES_MAX >> 20);
	} while (n != 0);
	if (!buf)
		return err_set(err, ENOMEM, "cannot read the mount table %s", path);
	buf[len] = '\0';
	*text = buf;
	buf = NULL;
	return (ssize_t)len;
}

static bool is_number(const char *s, unsigned long max)
{
	unsigned long value;

	if (!s || !*s || strlen(s) > 10 || s[strspn(s, "0123456789")])
		return false;
	value = strtoul(s, NULL, 10);
	return value <= max;
}

/* "8:1", in place: the colon is gone afterwards where both are numbers. */
static bool read_device_number(char *s, unsigned *major, unsigned *minor)
{
	char *colon = s ? strchr(s, ':') : NULL;
	bool good;

	if (!colon)
		return false;
	*colon = '\0';
	good = is_number(s, UINT_MAX) && is_number(colon + 1, UINT_MAX);
	if (good) {
		*major = (unsigned)strtoul(s, NULL, 10);
		*minor = (unsigned)strtoul(colon + 1, NULL, 10);
	} else {
		*colon = ':';
	}
	return good;
}

/* Whether decoding it would yield a NUL byte, which would silently end the string there. \400 is one for those who keep eight bits. */
static bool has_nul_escape(const char *s)
{
	const char *escape = strchr(s, '\\'); /* few fields have any */

	return escape && (strstr(escape, "\\000") || strstr(escape, "\\400"));
}

static bool is_word(const char *s)
{
	return s && *s && !has_nul_escape(s);
}

/* Decodes and cleans the mount point where it stands, and takes off what the kernel adds to a deleted one. A clean path is never the longer one. */
static bool read_mount_point(char *field, struct table_mount *m)
{
	auto_free char *clean = NULL;
	size_t len;

	if (!is_word(field) || field[0] != '/')
		return false;
	text_decode_octal(field);
	len = strlen(field);
	m->deleted = len > strlen(DELETED) && text_ends_with(field, DELETED);
	if (m->deleted)
		field[len - strlen(DELETED)] = '\0';
	m->target = field;
	/* The kernel's own are clean; thousands of copies are spared. */
	if (!strstr(field, "//") && !strstr(field, "/.") && (len < 2 || field[strlen(field) - 1] != '/'))
		return true;
	clean = path_clean(field);
	if (clean)
		strcpy(field, clean);
	return clean != NULL;
}

/* Decodes a field where it stands. */
static const char *decoded(char *field)
{
	text_decode_octal(field);
	return field;
}

/* The kernel writes rw or ro first, always. */
static bool is_mount_options(const char *s)
{
	return is_word(s) && (strncmp(s, "rw", 2) == 0 || strncmp(s, "ro", 2) == 0) && (s[2] == '\0' || s[2] == ',');
}

/*
 * Puts the optional fields, up to the "-", back together into one string. Returns 0, or the number of the first bad field; *n is the number of the "-".
 */
static int read_propagation(char **line, struct table_mount *m, int *n)
{
	char *start = *line, *end = start, *field;

	m->propagation = "";
	for (*n = 7; (field = strsep(line, " \t")) && strcmp(field, "-") != 0; ++*n) {
		if (!is_word(field))
			return *n;
		if (field != start)
			field[-1] = ' ';
		end = field + strlen(field);
		m->propagation = start;
	}
	if (!field)
		return *n;
	if (end != start)
		*end = '\0';
	return 0;
}

/*
 * Reads one line of mountinfo. Each blank separates: an empty field is an empty field. Behind the source all is the filesystem's options: some put
 * raw blanks into them (drvfs: "path=C:\Program Files"). Returns 0, or the number of the first bad field.
 */
static int read_mountinfo(char *line, struct table_mount *m)
{
	char *id = strsep(&line, " \t"), *parent = strsep(&line, " \t"), *dev = strsep(&line, " \t"), *root = strsep(&line, " \t");
	char *target = strsep(&line, " \t"), *options = strsep(&line, " \t"), *type, *source;
	int bad, n;

	if (!is_number(id, INT_MAX))
		return 1;
	if (!is_number(parent, INT_MAX))
		return 2;
	if (!read_device_number(dev, &m->major, &m->minor))
		return 3;
	if (!is_word(root))
		return 4;
	if (!read_mount_point(target, m))
		return 5;
	if (!is_mount_options(options))
		return 6;
	bad = read_propagation(&line, m, &n);
	if (bad)
		return bad;
	type = strsep(&line, " \t");
	if (!is_word(type))
		return n + 1;
	source = strsep(&line, " \t");
	if (!source || has_nul_escape(source))
		return n + 2;
	if (!line)
		return n + 3;
	m->id = atoi(id);
	m->parent = atoi(parent);
	m->root = decoded(root);
	m->options = decoded(options);
	m->type = decoded(type);
	m->source = decoded(source);
	m->super_options = *line ? line : NULL;
	return 0;
}

static char *next_word(char **rest)
{
	char *word;

	*rest += strspn(*rest, " \t");
	if (!**rest)
		return NULL;
	word = *rest;
	*rest += strcspn(*rest, " \t");
	if (**rest)
		*(*rest)++ = '\0';
	return word;
}

static size_t count_words(const char *s)
{
	size_t words = 0;

	while (*(s += strspn(s, " \t"))) {
		s += strcspn(s, " \t");
		words++;
	}
	return words;
}

/*
 * Cuts the two numbers off the end of the rest of a /proc/mounts line and leaves the options. These may hold raw blanks where both numbers are
 * there to tell where they end. Returns 0, or the number of the first bad field.
 */
static int cut_numbers(char *options)
{
	size_t words = count_words(options), kept = words > 3 ? words - 2 : 1;
	char *rest = options, *freq, *passno;

	for (size_t i = 0; i < kept; i++) {
		rest += strspn(rest, " \t");
		rest += strcspn(rest, " \t");
	}
	if (*rest)
		*rest++ = '\0';
	freq = next_word(&rest);
	passno = next_word(&rest);
	if (freq && !is_number(freq, INT_MAX))
		return 5;
	if (passno && !is_number(passno, INT_MAX))
		return kept > 1 ? 5 : 6;
	/* Nothing but numbers after the first word: a field too many, not an option with blanks in it. */
	rest = options + strcspn(options, " \t");
	return kept == 1 || rest[strspn(rest, " \t0123456789")] ? 0 : 7;
}

/*
 * Reads one line of /proc/mounts (or mtab, where the last two fields may be missing and columns may be aligned).
 * Returns 0, or the number of the first bad field.
 */
static int read_mounts(char *line, struct table_mount *m)
{
	/* An empty source is a line that begins with a blank; a line that is merely indented has its mount point second. */
	bool indented = *line == ' ' || *line == '\t';
	char *source = next_word(&line), *target = next_word(&line), *type, *options;
	int bad;

	if (indented && source[0] == '/' && target && target[0] != '/') {
		type = target;
		target = source;
		source = line + strlen(line);
	} else {
		type = next_word(&line);
	}
	if (has_nul_escape(source))
		return 1;
	if (!read_mount_point(target, m))
		return 2;
	if (!is_word(type))
		return 3;
	options = line + strspn(line, " \t");
	bad = *options ? cut_numbers(options) : 4;
	if (bad == 0 && is_number(options, ULONG_MAX))
		bad = 4;
	if (bad)
		return bad;
	m->id = m->parent = -1;
	m->source = decoded(source);
	m->type = decoded(type);
	m->options = options;
	m->propagation = "";
	return 0;
}

/* Two of mountinfo's first three fields are enough to know it, so that a damaged first line is still named as what it is. */
static bool looks_like_mountinfo(const char *line)
{
	auto_free char *copy = strdup(line);
	char *rest = copy, *first, *second, *third;
	unsigned major, minor;

	if (!copy)
		return false;
	first = next_word(&rest);
	second = next_word(&rest);
	third = next_word(&rest);
	return is_number(first, ULONG_MAX) + is_number(second, ULONG_MAX) + read_device_number(third, &major, &minor) >= 2;
}

static int bad_table(const struct reading *r, const char *msg)
{
	/* A file that someone handed in is an input; the kernel's own table is not. */
	return r->path ? err_usage(r->err, "%s, in %s", msg, r->path) : err_set(r->err, -EINVAL, "%s", msg);
}

static int read_line(struct reading *r, char *line, size_t number)
{
	char msg[128], *start = line + strspn(line, " \t");
	struct table_mount *m;
	int bad;

	if (!*start || *start == '#')
		return 0;
	if (r->table->count == r->room) {
		size_t room = r->room ? r->room * 2 : 256;
		struct table_mount *grown = reallocarray(r->table->mount, room, sizeof *grown);

		if (!grown)
			return err_set(r->err, ENOMEM, "cannot read the mount table");
		r->table->mount = grown;
		r->room = room;
	}
	if (r->table->count == 0)
		r->mountinfo = looks_like_mountinfo(start);
	m = &r->table->mount[r->table->count];
	*m = (struct table_mount){ 0 };
	bad = r->mountinfo ? read_mountinfo(start, m) : read_mounts(line, m);
	if (bad) {
		snprintf(msg, sizeof msg, "mount table line %zu: bad field %d", number, bad);
		return bad_table(r, msg);
	}
	r->table->count++;
	return 0;
}

static int read_lines(struct reading *r, char *text, size_t len)
{
	char msg[128], *rest = text;
	size_t number = 0;
	int ret;

	while (rest < text + len) {
		char *line = rest, *end = memchr(line, '\n', len - (size_t)(line - text));

		if (!end)
			end = text + len;
		number++;
		if (memchr(line, '\0', (size_t)(end - line))) {
			snprintf(msg, sizeof msg, "mount table line %zu: NUL byte", number);
			return bad_table(r, msg);
		}
		rest = end + 1;
		/* A table that came by way of Windows. In the middle of a line a CR is a byte like any other. */
		if (end > line && end[-1] == '\r')
			end--;
		*end = '\0';
		ret = read_line(r, line, number);
		if (ret < 0)
			return ret;
	}
	return r->table->count ? 0 : bad_table(r, "mount table is empty");
}

int table_read(struct table *table, const char *path, struct err *err)
{
	struct reading r = { .table = table, .path = path, .err = err };
	char *text = NULL;
	ssize_t len;
	int ret;

	*table = (struct table){ 0 };
	len = read_whole(path ? path : "/proc/self/mountinfo", &text, err);
	if (len < 0)
		return (int)len;
	table->text = text;
	ret = read_lines(&r, text, (size_t)len);
	if (ret < 0)
		table_clear(table);
	return ret;
}

void table_clear(struct table *table)
{
	free(table->mount);
	free(table->text);
	*table = (struct table){ 0 };
}
