/* table: one mount table, read once, as data. libmount parses it; what libmount would take silently for something else is checked first. */
#include "table.h"

#include <errno.h>
#include <fcntl.h>
#include <libmount.h>
#include <limits.h>
#include <string.h>
#include <sys/sysmacros.h>

#include "path.h"
#include "util.h"

/* More than a hundred thousand mounts (the kernel's own limit by default) with long paths; a file beyond it is not a mount table. */
#define TABLE_BYTES_MAX (256u << 20)

#define DELETED "//deleted"

/* What libmount cannot be told, or would change, of one line. */
struct line_note {
	const char *source; /* the source to set afterwards; NULL: libmount's own */
	bool no_super;      /* the filesystem's options are missing */
};

struct reading {
	bool mountinfo;
	FILE *clean; /* the lines as libmount reads them without harm */
	struct line_note *note;
	size_t count, room;
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

static bool is_device_number(const char *s)
{
	char major[16];
	size_t len = s ? strcspn(s, ":") : 0;

	if (len == 0 || len >= sizeof major || s[len] != ':')
		return false;
	memcpy(major, s, len);
	major[len] = '\0';
	return is_number(major, UINT_MAX) && is_number(s + len + 1, UINT_MAX);
}

/* Whether decoding it would yield a NUL byte, which would silently end the string there. libmount takes the low eight bits of \400. */
static const char *nul_escape(const char *s)
{
	const char *at = strstr(s, "\\000");

	return at ? at : strstr(s, "\\400");
}

static bool is_word(const char *s)
{
	return s && *s && !nul_escape(s);
}

static bool ends_with(const char *s, const char *tail)
{
	size_t len = strlen(s), tail_len = strlen(tail);

	return len >= tail_len && strcmp(s + len - tail_len, tail) == 0;
}

static bool is_mount_point(const char *field)
{
	auto_free char *decoded = NULL, *clean = NULL;

	if (!is_word(field) || field[0] != '/')
		return false;
	decoded = mnt_unmangle(field);
	if (!decoded)
		return false;
	clean = path_clean(decoded);
	return clean != NULL;
}

/* The kernel writes rw or ro first, always. */
static bool is_mount_options(const char *s)
{
	return is_word(s) && (strncmp(s, "rw", 2) == 0 || strncmp(s, "ro", 2) == 0) && (s[2] == '\0' || s[2] == ',');
}

/* Filesystems put raw blanks and backslashes into their options (drvfs: "path=C:\Program Files"). libmount would stop at a blank. */
static void put_options(FILE *out, const char *s)
{
	size_t plain = strcspn(s, " \t\\");

	fwrite(s, 1, plain, out);
	for (s += plain; *s; s++) {
		if (*s == ' ' || *s == '\t')
			fprintf(out, "\\%03o", (unsigned)*s);
		else if (*s == '\\' && nul_escape(s) == s)
			fputs("\\134", out);
		else
			putc(*s, out);
	}
}

/* libmount takes an empty source for none in /proc/mounts, and replaces /dev/root by what this machine's kernel command line says. */
static const char *put_source(FILE *out, const char *source)
{
	bool change = !*source || strcmp(source, "/dev/root") == 0;

	fputs(change ? "none" : source, out);
	return change ? source : NULL;
}

/*
 * Checks one line of mountinfo and writes it out for libmount. Each blank separates: an empty field is an empty field.
 * Returns 0, or the number of the first bad field.
 */
static int check_mountinfo(char *line, FILE *out, struct line_note *note)
{
	char *id = strsep(&line, " \t"), *parent = strsep(&line, " \t"), *dev = strsep(&line, " \t"), *root = strsep(&line, " \t");
	char *target = strsep(&line, " \t"), *options = strsep(&line, " \t"), *field, *type, *source;
	int n = 7;

	if (!is_number(id, INT_MAX))
		return 1;
	if (!is_number(parent, INT_MAX))
		return 2;
	if (!is_device_number(dev))
		return 3;
	if (!is_word(root))
		return 4;
	if (!is_mount_point(target))
		return 5;
	if (!is_mount_options(options))
		return 6;
	fprintf(out, "%s %s %s %s %s %s", id, parent, dev, root, target, options);
	while ((field = strsep(&line, " \t")) && strcmp(field, "-") != 0) {
		if (!is_word(field))
			return n;
		fprintf(out, " %s", field);
		n++;
	}
	if (!field)
		return n;
	type = strsep(&line, " \t");
	if (!is_word(type))
		return n + 1;
	source = strsep(&line, " \t");
	if (!source || nul_escape(source))
		return n + 2;
	if (!line)
		return n + 3;
	fprintf(out, " - %s ", type);
	note->source = put_source(out, source);
	note->no_super = !*line;
	putc(' ', out);
	put_options(out, *line ? line : "rw");
	putc('\n', out);
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
 * Checks one line of /proc/mounts (or mtab, where the last two fields may be missing and columns may be aligned) and writes it out for libmount.
 * Returns 0, or the number of the first bad field.
 */
static int check_mounts(char *line, FILE *out, struct line_note *note)
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
	if (nul_escape(source))
		return 1;
	if (!is_mount_point(target))
		return 2;
	if (!is_word(type))
		return 3;
	options = line + strspn(line, " \t");
	bad = *options ? cut_numbers(options) : 4;
	if (bad == 0 && is_number(options, ULONG_MAX))
		bad = 4;
	if (bad)
		return bad;
	note->source = put_source(out, source);
	fprintf(out, " %s %s ", target, type);
	put_options(out, options);
	putc('\n', out);
	return 0;
}

/* Two of mountinfo's first three fields are enough to know it, so that a damaged first line is still named as what it is. */
static bool looks_like_mountinfo(const char *line)
{
	auto_free char *copy = strdup(line);
	char *rest = copy, *first, *second, *third;

	if (!copy)
		return false;
	first = next_word(&rest);
	second = next_word(&rest);
	third = next_word(&rest);
	return is_number(first, ULONG_MAX) + is_number(second, ULONG_MAX) + is_device_number(third) >= 2;
}

static int bad_table(const struct reading *r, const char *msg)
{
	/* A file that someone handed in is an input; the kernel's own table is not. */
	return r->path ? err_usage(r->err, "%s, in %s", msg, r->path) : err_set(r->err, -EINVAL, "%s", msg);
}

static int check_line(struct reading *r, char *line, size_t number)
{
	char msg[128], *start = line + strspn(line, " \t");
	int bad;

	if (!*start || *start == '#')
		return 0;
	if (r->count == r->room) {
		size_t room = r->room ? r->room * 2 : 256;
		struct line_note *grown = reallocarray(r->note, room, sizeof *grown);

		if (!grown)
			return err_set(r->err, ENOMEM, "cannot read the mount table");
		r->note = grown;
		r->room = room;
	}
	if (r->count == 0)
		r->mountinfo = looks_like_mountinfo(start);
	r->note[r->count] = (struct line_note){ 0 };
	bad = r->mountinfo ? check_mountinfo(start, r->clean, &r->note[r->count]) : check_mounts(line, r->clean, &r->note[r->count]);
	if (bad) {
		snprintf(msg, sizeof msg, "mount table line %zu: bad field %d", number, bad);
		return bad_table(r, msg);
	}
	r->count++;
	return 0;
}

static int check_lines(struct reading *r, char *text, size_t len)
{
	char msg[128], *rest = text;
	size_t number = 0;

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
		if (check_line(r, line, number) < 0)
			return -EINVAL;
	}
	return r->count ? 0 : bad_table(r, "mount table is empty");
}

/* Fills one entry from libmount's, which goes on owning the strings. */
static int copy_mount(struct table_mount *m, struct libmnt_fs *fs, const struct reading *r, const struct line_note *note)
{
	const char *target = mnt_fs_get_target(fs);
	auto_free char *clean = NULL, *shorter = NULL;
	dev_t dev = mnt_fs_get_devno(fs);

	m->deleted = ends_with(target, DELETED);
	shorter = strndup(target, strlen(target) - (m->deleted ? strlen(DELETED) : 0));
	clean = shorter ? path_clean(*shorter ? shorter : "/") : NULL;
	if (!clean)
		return -ENOMEM;
	if (strcmp(clean, target) != 0 && mnt_fs_set_target(fs, clean) < 0)
		return -ENOMEM;
	if (note->source && mnt_fs_set_source(fs, note->source) < 0)
		return -ENOMEM;
	m->id = r->mountinfo ? mnt_fs_get_id(fs) : -1;
	m->parent = r->mountinfo ? mnt_fs_get_parent_id(fs) : -1;
	m->major = r->mountinfo ? major(dev) : 0;
	m->minor = r->mountinfo ? minor(dev) : 0;
	m->root = r->mountinfo ? mnt_fs_get_root(fs) : NULL;
	m->target = mnt_fs_get_target(fs);
	m->type = mnt_fs_get_fstype(fs);
	m->source = mnt_fs_get_source(fs);
	if (!m->source)
		m->source = "";
	m->options = r->mountinfo ? mnt_fs_get_vfs_options(fs) : mnt_fs_get_options(fs);
	m->super_options = r->mountinfo && !note->no_super ? mnt_fs_get_fs_options(fs) : NULL;
	m->propagation = mnt_fs_get_optional_fields(fs);
	if (!m->propagation)
		m->propagation = "";
	return 0;
}

static int copy_mounts(struct table *table, struct libmnt_table *tb, const struct reading *r)
{
	struct libmnt_iter *iter = mnt_new_iter(MNT_ITER_FORWARD);
	struct libmnt_fs *fs;
	int ret = 0;

	table->mount = calloc(r->count + 1, sizeof *table->mount);
	if (!iter || !table->mount)
		ret = -ENOMEM;
	while (ret == 0 && table->count < r->count && mnt_table_next_fs(tb, iter, &fs) == 0) {
		ret = copy_mount(&table->mount[table->count], fs, r, &r->note[table->count]);
		table->count++;
	}
	mnt_free_iter(iter);
	return ret;
}

/* libmount asks what to do with a line that it cannot read; without a callback it would drop it silently. */
static int refuse_line(struct libmnt_table *tb, const char *filename, int line)
{
	(void)tb;
	(void)filename;
	(void)line;
	return -EINVAL;
}

static int parse_clean(struct table *table, struct reading *r, char *text, size_t len)
{
	auto_fclose FILE *in = fmemopen(text, len, "r");
	struct libmnt_table *tb = mnt_new_table();
	int ret;

	table->owner = tb;
	if (!in || !tb)
		return err_set(r->err, ENOMEM, "cannot read the mount table");
	mnt_table_set_parser_errcb(tb, refuse_line);
	/* The name is only used to look for a process id in it. */
	if (mnt_table_parse_stream(tb, in, "/") != 0 || (size_t)mnt_table_get_nents(tb) != r->count)
		return err_set(r->err, -EINVAL, "libmount could not read the mount table");
	ret = copy_mounts(table, tb, r);
	return ret < 0 ? err_set(r->err, -ret, "cannot read the mount table") : 0;
}

static int check_and_parse(struct table *table, struct reading *r, char *text, size_t len)
{
	auto_free char *clean = NULL;
	size_t clean_len = 0;
	int ret;

	r->clean = open_memstream(&clean, &clean_len);
	if (!r->clean)
		return err_set(r->err, errno, "cannot read the mount table");
	ret = check_lines(r, text, len);
	if (fclose(r->clean) != 0 && ret == 0)
		ret = err_set(r->err, errno, "cannot read the mount table");
	return ret < 0 ? ret : parse_clean(table, r, clean, clean_len);
}

int table_read(struct table *table, const char *path, struct err *err)
{
	struct reading r = { .path = path, .err = err };
	auto_free char *text = NULL;
	ssize_t len;
	int ret;

	*table = (struct table){ 0 };
	len = read_whole(path ? path : "/proc/self/mountinfo", &text, err);
	if (len < 0)
		return (int)len;
	ret = check_and_parse(table, &r, text, (size_t)len);
	free(r.note);
	if (ret < 0)
		table_clear(table);
	return ret;
}

void table_clear(struct table *table)
{
	free(table->mount);
	mnt_unref_table(table->owner);
	*table = (struct table){ 0 };
}
