/* parse: the text of a configuration file into the keys that count on this host: lines, sections, hosts. */
#include "parse.h"

#include <errno.h>
#include <ini.h>
#include <string.h>
#include <strings.h>

#include "keys.h"

#define SECTION_MAX 49 /* inih cuts a longer name off, without a word */
#define BLANKS " \t\r"

/* A set of keys that may each be there once: those of the plain sections, or those of one [host NAME]. */
struct scope {
	char *host;      /* NULL: the plain sections */
	bool counts;     /* on this host */
	int *first_line; /* for each key of the table, where it stood first; 0: nowhere */
};

/* What the reader and the handler of inih share. */
struct parser {
	const char *file, *hostname;
	const char *text, *pos, *end;
	int line; /* the one that was read last, from 1 */
	char section[SECTION_MAX + 1];
	size_t scope_index; /* of the section */
	struct scope *scope;
	size_t scope_count;
	struct entries *entries;
	struct conf scratch; /* every value is tried here as it is read, also those of other hosts */
	struct err *err;
	int ret; /* of the first error; the reader then reports the end of the file */
	int error_line;
};

/* To be followed by a message set in p->err: adds the file and the line to it, and ends the parsing. Returns ret. */
static int parser_fail(struct parser *p, int ret)
{
	p->ret = err_prefix(p->err, ret, "%s:%d", p->file, p->line);
	p->error_line = p->line;
	return ret;
}

static int parser_no_memory(struct parser *p)
{
	return parser_fail(p, err_set(p->err, ENOMEM, "cannot store the configuration"));
}

/* --- sections --- */

/* NAME is the host's name, or what comes before its first dot. */
static bool host_matches(const char *name, const char *hostname)
{
	size_t short_len = strcspn(hostname, ".");

	return strcasecmp(name, hostname) == 0 || (strlen(name) == short_len && strncasecmp(name, hostname, short_len) == 0);
}

static bool same_host(const char *a, const char *b)
{
	return a && b ? strcasecmp(a, b) == 0 : a == b;
}

/* Makes the scope of this host name (NULL: the plain sections) the current one, and creates it where it is new. */
static int scope_enter(struct parser *p, const char *host)
{
	struct scope *grown, *scope;

	for (p->scope_index = 0; p->scope_index < p->scope_count; p->scope_index++)
		if (same_host(p->scope[p->scope_index].host, host))
			return 0;
	grown = reallocarray(p->scope, p->scope_count + 1, sizeof *grown);
	if (!grown)
		return parser_no_memory(p);
	p->scope = grown;
	scope = &grown[p->scope_count++];
	scope->counts = !host || host_matches(host, p->hostname);
	scope->host = host ? strdup(host) : NULL;
	scope->first_line = calloc(key_count, sizeof *scope->first_line);
	if ((host && !scope->host) || !scope->first_line)
		return parser_no_memory(p);
	return 0;
}

/* The NAME of "host NAME", NULL for another section; "" where there is no name. */
static const char *section_host(const char *section)
{
	if (strncmp(section, "host", 4) != 0 || (section[4] && !strchr(BLANKS, section[4])))
		return NULL;
	return section + 4 + strspn(section + 4, BLANKS);
}

static int unknown_section(struct parser *p, const char *section)
{
	const char *near = key_nearest_section(section);

	if (near)
		return parser_fail(p, err_usage(p->err, "unknown section [%s], did you mean [%s]?", section, near));
	return parser_fail(p, err_usage(p->err, "unknown section [%s]", section));
}

static int section_enter(struct parser *p, const char *section)
{
	const char *host = section_host(section);

	if (host && (!*host || strpbrk(host, BLANKS)))
		return parser_fail(p, err_usage(p->err, "expected [host NAME] with one name, not [%s]", section));
	if (!host && !key_has_section(section))
		return unknown_section(p, section);
	snprintf(p->section, sizeof p->section, "%s", section);
	return scope_enter(p, host);
}

/* A line that begins with '['. inih would take a section's name without looking at it, and ignore what follows the ']'. */
static int check_section(struct parser *p, const char *line)
{
	const char *start = line + 1 + strspn(line + 1, BLANKS), *close = strchr(line, ']'), *end = close, *rest;
	char section[SECTION_MAX + 1];

	if (!close)
		return parser_fail(p, err_usage(p->err, "the ']' is missing: %s", line));
	rest = close + 1 + strspn(close + 1, BLANKS);
	if (*rest && *rest != ';' && *rest != '#')
		return parser_fail(p, err_usage(p->err, "nothing but a comment may follow the ']': %s", line));
	while (end > start && strchr(BLANKS, end[-1]))
		end--;
	if (end <= start)
		return parser_fail(p, err_usage(p->err, "a section needs a name: %s", line));
	if (close - (line + 1) > SECTION_MAX)
		return parser_fail(p, err_usage(p->err, "section name too long (max %d): %s", SECTION_MAX, line));
	memcpy(section, start, (size_t)(end - start));
	section[end - start] = '\0';
	return section_enter(p, section);
}

/* --- lines --- */

static int not_a_key(struct parser *p, const char *line)
{
	return parser_fail(p, err_usage(p->err, "expected 'key = value', not '%s'", line));
}

/* inih also takes ':' between key and value. Here it belongs to the value of `extra`, and a line that has it first is a slip. */
static int check_key_line(struct parser *p, const char *line)
{
	size_t key_len = strcspn(line, "=:");

	return line[key_len] == '=' && key_len > 0 ? 0 : not_a_key(p, line);
}

/*
 * The bytes of a line, without its blanks at either end. Control characters are refused because no value means them, and an error message would bring
 * them to the terminal.
 */
static int check_bytes(struct parser *p, const char *line, size_t len)
{
	if (memchr(line, '\0', len)) {
		if (p->end - p->text >= 2 && (memcmp(p->text, "\xff\xfe", 2) == 0 || memcmp(p->text, "\xfe\xff", 2) == 0))
			return parser_fail(p, err_usage(p->err, "NUL byte: the file is UTF-16, save it as UTF-8"));
		return parser_fail(p, err_usage(p->err, "NUL byte"));
	}
	for (size_t i = 0; i < len; i++)
		if (((unsigned char)line[i] < ' ' && line[i] != '\t') || line[i] == 0x7f)
			return parser_fail(p, err_usage(p->err, "control character 0x%02x", (unsigned char)line[i]));
	return 0;
}

static int check_line(struct parser *p, const char *line)
{
	switch (*line) {
	case '\0':
	case ';':
	case '#':
		return 0;
	case '[':
		return check_section(p, line);
	default:
		return check_key_line(p, line);
	}
}

/* The next line without the blanks at its ends; its length in *len. NULL at the end of the text. */
static const char *next_line(struct parser *p, size_t *len)
{
	const char *line = p->pos, *end;

	if (line >= p->end)
		return NULL;
	end = memchr(line, '\n', (size_t)(p->end - line));
	p->pos = end ? end + 1 : p->end;
	end = end ? end : p->end;
	p->line++;
	while (line < end && *line && strchr(BLANKS, *line))
		line++;
	while (line < end && end[-1] && strchr(BLANKS, end[-1]))
		end--;
	*len = (size_t)(end - line);
	return line;
}

/*
 * The reader for inih, in the manner of fgets(3) but for the newline. inih joins an indented line to the one before, and splits what does not fit into its
 * buffer of `size` bytes: so leading blanks are taken off here, and a long line is refused.
 */
static char *read_line(char *buf, int size, void *arg)
{
	struct parser *p = arg;
	const char *line;
	size_t len;

	if (p->ret < 0 || !(line = next_line(p, &len)) || check_bytes(p, line, len) < 0)
		return NULL;
	if (len >= (size_t)size) {
		parser_fail(p, err_usage(p->err, "line too long (max %d)", size - 1));
		return NULL;
	}
	memcpy(buf, line, len);
	buf[len] = '\0';
	return check_line(p, buf) < 0 ? NULL : buf;
}

/* --- keys --- */

static int unknown_key(struct parser *p, const char *name, bool dotted)
{
	const struct key *near = dotted ? key_nearest_dotted(name) : key_nearest(p->section, name);
	struct err *err = p->err;
	int ret;

	if (!near)
		ret = err_usage(err, "unknown key '%s' in [%s]", name, p->section);
	else if (dotted)
		ret = err_usage(err, "unknown key '%s' in [%s], did you mean '%s.%s'?", name, p->section, near->section, near->name);
	else if (strcmp(near->section, p->section) != 0)
		ret = err_usage(err, "unknown key '%s' in [%s], did you mean '%s' in [%s]?", name, p->section, near->name, near->section);
	else
		ret = err_usage(err, "unknown key '%s' in [%s], did you mean '%s'?", name, p->section, near->name);
	return parser_fail(p, ret);
}

static int check_duplicate(struct parser *p, const struct key *key, const char *name)
{
	int *first = &p->scope[p->scope_index].first_line[key - key_table];

	if (*first && key->kind == KEY_SCALAR)
		return parser_fail(p, err_usage(p->err, "duplicate '%s', first at line %d", name, *first));
	if (!*first)
		*first = p->line;
	return 0;
}

/* Tries the value out: what it says goes nowhere yet. */
static int check_value(struct parser *p, const struct key *key, const char *name, const char *value)
{
	int ret;

	if (!*value && !key->may_be_empty)
		return parser_fail(p, err_usage(p->err, "'%s' needs a value", name));
	ret = key->parse(&p->scratch, key, value, p->line, p->err);
	return ret < 0 ? parser_fail(p, err_prefix(p->err, ret, "%s", name)) : 0;
}

static int add_entry(struct parser *p, const struct key *key, const char *value)
{
	const struct scope *scope = &p->scope[p->scope_index];
	struct entry *grown;
	char *copy;

	if (!scope->counts)
		return 0;
	grown = reallocarray(p->entries->entry, p->entries->count + 1, sizeof *grown);
	if (!grown)
		return parser_no_memory(p);
	p->entries->entry = grown;
	copy = strdup(value);
	if (!copy)
		return parser_no_memory(p);
	grown[p->entries->count++] = (struct entry){ .key = key, .value = copy, .line = p->line, .host = scope->host != NULL };
	return 0;
}

static int take_key(struct parser *p, const char *name, const char *value)
{
	bool dotted = section_host(p->section) != NULL;
	const struct key *key;
	int ret;

	if (!*p->section)
		return parser_fail(p, err_usage(p->err, "key outside a section: '%s', write a line such as [root] before it", name));
	key = dotted ? key_find_dotted(name) : key_find(p->section, name);
	if (!key)
		return unknown_key(p, name, dotted);
	ret = check_duplicate(p, key, name);
	if (ret == 0)
		ret = check_value(p, key, name, value);
	return ret == 0 ? add_entry(p, key, value) : ret;
}

/* The handler for inih; p->section is its `section`, with the blanks in the brackets taken off. Returns 0 for an error. */
static int handle_key(void *arg, const char *section, const char *name, const char *value)
{
	struct parser *p = arg;

	(void)section;
	return p->ret == 0 && take_key(p, name, value) == 0;
}

/* --- the whole --- */

/* inih's own verdict: a line that it could not split, though check_line() thought it could ("key ;= value"). */
static int syntax_error(struct parser *p, int line)
{
	p->pos = p->text;
	p->line = 0;
	p->ret = 0;
	for (size_t len; p->line < line;) {
		const char *start = next_line(p, &len);

		if (p->line == line) {
			auto_free char *copy = strndup(start, len);

			return not_a_key(p, copy ? copy : "");
		}
	}
	return 0;
}

static int parse_lines(struct parser *p)
{
	int line;

	if (p->end - p->text >= 3 && memcmp(p->text, "\xef\xbb\xbf", 3) == 0)
		p->pos = p->text += 3;
	line = ini_parse_stream(read_line, p, handle_key, p);
	if (line < 0)
		return parser_no_memory(p);
	if (line > 0 && (p->ret == 0 || line < p->error_line))
		return syntax_error(p, line);
	return p->ret;
}

static void parser_clear(struct parser *p)
{
	for (size_t i = 0; i < p->scope_count; i++) {
		free(p->scope[i].host);
		free(p->scope[i].first_line);
	}
	free(p->scope);
	conf_clear(&p->scratch);
}

int parse_text(struct entries *entries, const char *text, size_t size, const char *file, const char *hostname, struct err *err)
{
	struct parser p = {
		.file = file,
		.hostname = hostname,
		.text = text,
		.pos = text,
		.end = text + size,
		.entries = entries,
		.err = err,
	};
	int ret;

	*entries = (struct entries){ 0 };
	ret = parse_lines(&p);
	parser_clear(&p);
	return ret;
}

void parse_clear(struct entries *entries)
{
	for (size_t i = 0; i < entries->count; i++)
		free(entries->entry[i].value);
	free(entries->entry);
	*entries = (struct entries){ 0 };
}
