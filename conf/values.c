/* values: reads the values of keys, one function for each kind. */
#include "values.h"

#include <ctype.h>
#include <errno.h>
#include <string.h>
#include <strings.h>
#include <sys/capability.h>

#include "../gcdboot/path.h"
#include "nearest.h"

#define BLANKS " \t"
#define SEPARATORS BLANKS ","
#define DRIVES_MAX 9999 /* the highest number of a PHYSICALDRIVE that is believed */

#define CONFIRM_MIN_MS 1000
#define CONFIRM_MAX_MS (24 * 60 * 60 * 1000)

static int no_memory(struct err *err)
{
	err_set(err, ENOMEM, "cannot store the value");
	return -ENOMEM;
}

static void *field_of(struct conf *conf, const struct key *key)
{
	return (char *)conf + key->field;
}

static int replace_string(char **field, const char *value, struct err *err)
{
	char *copy = strdup(value);

	if (!copy)
		return no_memory(err);
	free(*field);
	*field = copy;
	return 0;
}

static int add_string(struct strlist *list, const char *value, struct err *err)
{
	return strlist_add(list, value) < 0 ? no_memory(err) : 0;
}

int value_text(struct conf *conf, const struct key *key, const char *value, int line, struct err *err)
{
	(void)line;
	return replace_string(field_of(conf, key), value, err);
}

int value_word(struct conf *conf, const struct key *key, const char *value, int line, struct err *err)
{
	if (strpbrk(value, BLANKS))
		return err_usage(err, "expected one word, not '%s'", value);
	return value_text(conf, key, value, line, err);
}

/* Numbers are read by hand: strtol takes signs, blanks and hexadecimal, which nobody means. Stops growing far above any range. */
static const char *read_digits(const char *text, long long *number)
{
	*number = 0;
	for (; isdigit((unsigned char)*text); text++)
		if (*number < 1000000000000LL)
			*number = *number * 10 + (*text - '0');
	return text;
}

int value_number(struct conf *conf, const struct key *key, const char *value, int line, struct err *err)
{
	long long number;
	const char *end = read_digits(value, &number);

	(void)line;
	if (end == value || *end || number < key->min || number > key->max)
		return err_usage(err, "expected %d-%d, not '%s'", key->min, key->max, value);
	*(int *)field_of(conf, key) = (int)number;
	return 0;
}

/* Milliseconds in one of the unit; 0 for a unit that does not exist. */
static int time_unit(const char *unit)
{
	static const struct {
		const char *name;
		int ms;
	} units[] = { { "", 1000 }, { "ms", 1 }, { "s", 1000 }, { "m", 60 * 1000 }, { "h", 60 * 60 * 1000 } };

	for (size_t i = 0; i < sizeof units / sizeof units[0]; i++)
		if (strcmp(unit, units[i].name) == 0)
			return units[i].ms;
	return 0;
}

int conf_parse_time(const char *text, int min_ms, int max_ms, int *ms, struct err *err)
{
	long long number, unit;
	const char *end = read_digits(text, &number);

	unit = time_unit(end);
	if (end == text || unit == 0 || number > max_ms / unit || number * unit < min_ms)
		return err_usage(err, "expected %g-%g seconds, not '%s'", min_ms / 1000.0, max_ms / 1000.0, text);
	*ms = (int)(number * unit);
	return 0;
}

int value_time(struct conf *conf, const struct key *key, const char *value, int line, struct err *err)
{
	(void)line;
	return conf_parse_time(value, key->min, key->max, field_of(conf, key), err);
}

int conf_parse_confirm(const char *text, int *ms, struct err *err)
{
	int parsed = 0;

	if (conf_parse_time(text, 0, CONFIRM_MAX_MS, &parsed, NULL) < 0 || (parsed > 0 && parsed < CONFIRM_MIN_MS))
		return err_usage(err, "expected %d-%d seconds, or 0 for none, not '%s'", CONFIRM_MIN_MS / 1000, CONFIRM_MAX_MS / 1000, text);
	*ms = parsed;
	return 0;
}

int value_confirm(struct conf *conf, const struct key *key, const char *value, int line, struct err *err)
{
	(void)line;
	return conf_parse_confirm(value, field_of(conf, key), err);
}

/* 0 or 1 for a synonym of no or yes, -1 for neither. */
static int yes_or_no(const char *value)
{
	static const char *const synonyms[][2] = { { "no", "yes" }, { "false", "true" }, { "off", "on" }, { "0", "1" } };

	for (size_t i = 0; i < sizeof synonyms / sizeof synonyms[0]; i++)
		for (int truth = 0; truth < 2; truth++)
			if (strcasecmp(value, synonyms[i][truth]) == 0)
				return truth;
	return -1;
}

int value_choice(struct conf *conf, const struct key *key, const char *value, int line, struct err *err)
{
	int truth = -1;

	(void)line;
	if (strcmp(key->word[1], "yes") == 0)
		truth = yes_or_no(value);
	else if (strcasecmp(value, key->word[0]) == 0)
		truth = 0;
	else if (strcasecmp(value, key->word[1]) == 0)
		truth = 1;
	if (truth < 0)
		return err_usage(err, "expected %s or %s, not '%s'", key->word[1], key->word[0], value);
	*(bool *)field_of(conf, key) = truth;
	return 0;
}

static bool has_dotdot(const char *path)
{
	for (const char *p = path; (p = strstr(p, "..")); p += 2)
		if ((p == path || p[-1] == '/') && (p[2] == '/' || p[2] == '\0'))
			return true;
	return false;
}

/* Cleans an absolute path into *clean, which the caller frees. */
static int clean_path(char **clean, const char *path, struct err *err)
{
	if (*path != '/')
		return err_usage(err, "path must be absolute, not '%s'", path);
	if (has_dotdot(path))
		return err_usage(err, "path contains '..': %s", path);
	*clean = path_clean(path);
	return *clean ? 0 : no_memory(err);
}

/* path and modules: neither may be "/", the one being the host's own root, the other covering the OS's. An empty one is NULL. */
int value_path(struct conf *conf, const struct key *key, const char *value, int line, struct err *err)
{
	char **field = field_of(conf, key);
	auto_free char *clean = NULL;
	int ret = 0;

	(void)line;
	if (*value)
		ret = clean_path(&clean, value, err);
	if (ret < 0)
		return ret;
	if (clean && strcmp(clean, "/") == 0)
		return err_usage(err, strcmp(key->name, "path") == 0 ? "/ is the running system" : "/ is the root itself, name a directory below it");
	free(*field);
	*field = clean;
	clean = NULL;
	return 0;
}

/* What comes behind "LABEL=", with the double quotes that fstab(5) allows around it taken off. */
static int tag_value(char **value, const char *text, struct err *err)
{
	size_t len = strlen(text);

	if (*text == '"') {
		if (len < 2 || text[len - 1] != '"')
			return err_usage(err, "a double quote is missing: %s", text);
		text++;
		len -= 2;
	}
	if (len == 0)
		return err_usage(err, "nothing behind the '=', expected a value such as LABEL=/");
	*value = strndup(text, len);
	return *value ? 0 : no_memory(err);
}

static int source_value(enum conf_source *kind, char **value, const char *source, struct err *err)
{
	static const struct {
		const char *prefix;
		enum conf_source kind;
	} tags[] = {
		{ "LABEL=", SOURCE_LABEL },
		{ "UUID=", SOURCE_UUID },
		{ "PARTLABEL=", SOURCE_PARTLABEL },
		{ "PARTUUID=", SOURCE_PARTUUID },
	};
	int ret;

	for (size_t i = 0; i < sizeof tags / sizeof tags[0]; i++) {
		size_t len = strlen(tags[i].prefix);

		*kind = tags[i].kind;
		if (strncmp(source, tags[i].prefix, len) == 0)
			return tag_value(value, source + len, err);
	}
	if (*source != '/')
		return err_usage(err, "expected LABEL=, UUID=, PARTLABEL= or PARTUUID= and a value, or an absolute path, not '%s'", source);
	*kind = SOURCE_PATH;
	ret = clean_path(value, source, err);
	if (ret == 0 && strcmp(*value, "/") == 0)
		return err_usage(err, "/ is the running system");
	return ret;
}

int value_source(struct conf *conf, const struct key *key, const char *value, int line, struct err *err)
{
	enum conf_source kind;
	auto_free char *found = NULL;
	int ret = source_value(&kind, &found, value, err);

	(void)key;
	(void)line;
	if (ret == 0)
		ret = replace_string(&conf->root.source, value, err);
	if (ret < 0)
		return ret;
	conf->root.kind = kind;
	free(conf->root.value);
	conf->root.value = found;
	found = NULL;
	return 0;
}

int value_exclude(struct conf *conf, const struct key *key, const char *value, int line, struct err *err)
{
	auto_free char *pattern = strdup(value);
	size_t len = strlen(value);

	(void)key;
	(void)line;
	if (!pattern)
		return no_memory(err);
	/* Mount points are absolute: a relative pattern would never match, and nobody would be told. */
	if (!strchr("/*?[", *pattern))
		return err_usage(err, "pattern must begin with '/' or a wildcard, not '%s'", value);
	while (len > 1 && pattern[len - 1] == '/')
		pattern[--len] = '\0';
	return add_string(&conf->bind.exclude, pattern, err);
}

static void extra_clear(struct conf_extra *extra)
{
	free(extra->source);
	free(extra->target);
}

static int extra_read(struct conf_extra *extra, const char *value, struct err *err)
{
	auto_free char *copy = strdup(value);
	char *rest = copy, *source, *target, *mode;
	int ret;

	if (!copy)
		return no_memory(err);
	source = strsep(&rest, ":");
	target = strsep(&rest, ":");
	mode = rest;
	if (mode && strcmp(mode, "ro") != 0)
		return err_usage(err, "expected SRC[:DST[:ro]], not '%s'", value);
	ret = clean_path(&extra->source, source, err);
	if (ret == 0)
		ret = clean_path(&extra->target, target ? target : source, err);
	if (ret < 0)
		return ret;
	if (strcmp(extra->target, "/") == 0)
		return err_usage(err, "/ is the root itself, name a place below it as in %s:/mnt/host", extra->source);
	extra->readonly = mode != NULL;
	return 0;
}

static int extra_add(struct conf *conf, const struct conf_extra *extra, struct err *err)
{
	struct conf_extra *grown = reallocarray(conf->bind.extra, conf->bind.extra_count + 1, sizeof *grown);

	if (!grown)
		return no_memory(err);
	conf->bind.extra = grown;
	grown[conf->bind.extra_count++] = *extra;
	return 0;
}

int value_extra(struct conf *conf, const struct key *key, const char *value, int line, struct err *err)
{
	struct conf_extra extra = { 0 };
	int ret = extra_read(&extra, value, err);

	(void)key;
	(void)line;
	if (ret == 0)
		ret = extra_add(conf, &extra, err);
	if (ret < 0)
		extra_clear(&extra);
	return ret;
}

/* Calls add() for each word between blanks and commas, into a list that then replaces *list. */
static int replace_words(struct strlist *list, const char *value, int (*add)(struct strlist *, const char *, struct err *), struct err *err)
{
	auto_free char *copy = strdup(value);
	struct strlist words = { 0 };
	char *rest = NULL;
	int ret = copy ? 0 : no_memory(err);

	if (copy)
		for (char *word = strtok_r(copy, SEPARATORS, &rest); word && ret == 0; word = strtok_r(NULL, SEPARATORS, &rest))
			ret = add(&words, word, err);
	if (ret < 0) {
		strlist_clear(&words);
		return ret;
	}
	strlist_clear(list);
	*list = words;
	return 0;
}

/* The name of a capability that is spelt much like this one; NULL where there is none. The caller gives it to cap_free(). */
static char *nearest_cap(const char *name)
{
	size_t best_distance = nearest_limit(name + strlen("cap_")) + 1;
	char *best = NULL, *candidate;

	for (cap_value_t cap = 0; cap <= CAP_LAST_CAP; cap++) {
		size_t distance;

		candidate = cap_to_name(cap);
		distance = candidate ? nearest_distance(name, candidate) : best_distance;
		if (distance < best_distance) {
			cap_free(best);
			best = candidate;
			best_distance = distance;
		} else {
			cap_free(candidate);
		}
	}
	return best;
}

static int unknown_cap(const char *name, const char *word, struct err *err)
{
	char *best = nearest_cap(name);
	int ret;

	if (best)
		ret = err_usage(err, "unknown capability '%s', did you mean '%s'?", word, best);
	else
		ret = err_usage(err, "unknown capability '%s', capabilities(7) lists them", word);
	cap_free(best);
	return ret;
}

static int add_cap(struct strlist *list, const char *word, struct err *err)
{
	char name[64];
	cap_value_t value;

	if (snprintf(name, sizeof name, "%s%s", strncasecmp(word, "cap_", 4) == 0 ? "" : "cap_", word) >= (int)sizeof name)
		return err_usage(err, "unknown capability '%s'", word);
	for (char *p = name; *p; p++)
		*p = (char)tolower((unsigned char)*p);
	if (cap_from_name(name, &value) < 0)
		return unknown_cap(name, word, err);
	return strlist_has(list, name) ? 0 : add_string(list, name, err);
}

int value_caps(struct conf *conf, const struct key *key, const char *value, int line, struct err *err)
{
	(void)key;
	(void)line;
	return replace_words(&conf->caps_drop, value, add_cap, err);
}

static int add_variable(struct strlist *list, const char *word, struct err *err)
{
	if (strchr(word, '='))
		return err_usage(err, "expected names of variables, not '%s'", word);
	return add_string(list, word, err);
}

int value_variables(struct conf *conf, const struct key *key, const char *value, int line, struct err *err)
{
	(void)key;
	(void)line;
	return replace_words(&conf->env_pass, value, add_variable, err);
}

int value_add_command(struct conf *conf, enum conf_command_kind kind, const char *line, const char *only_if_file, int line_number, struct err *err)
{
	struct conf_command *grown = reallocarray(conf->boot.command, conf->boot.command_count + 1, sizeof *grown);
	struct conf_command command = { .kind = kind, .line_number = line_number };

	if (!grown)
		return no_memory(err);
	conf->boot.command = grown;
	command.line = strdup(line);
	command.only_if_file = only_if_file ? strdup(only_if_file) : NULL;
	if (!command.line || (only_if_file && !command.only_if_file)) {
		free(command.line);
		free(command.only_if_file);
		return no_memory(err);
	}
	grown[conf->boot.command_count++] = command;
	return 0;
}

int value_run(struct conf *conf, const struct key *key, const char *value, int line, struct err *err)
{
	(void)key;
	return value_add_command(conf, COMMAND_RUN, value, NULL, line, err);
}

int value_daemon(struct conf *conf, const struct key *key, const char *value, int line, struct err *err)
{
	(void)key;
	return value_add_command(conf, COMMAND_DAEMON, value, NULL, line, err);
}

int value_require(struct conf *conf, const struct key *key, const char *value, int line, struct err *err)
{
	(void)key;
	return value_add_command(conf, COMMAND_REQUIRE, value, NULL, line, err);
}

int value_line(struct conf *conf, const struct key *key, const char *value, int line, struct err *err)
{
	(void)line;
	return add_string(field_of(conf, key), value, err);
}

/* Windows' own name of a drive, whatever its case, and also without the "\\.\" in front, which shells and people lose. NULL where it is none. */
static char *drive_name(const char *value)
{
	static const char prefix[] = "\\\\.\\", name[] = "PHYSICALDRIVE";
	const char *rest = strncmp(value, prefix, strlen(prefix)) == 0 ? value + strlen(prefix) : value, *end;
	char *drive = NULL;
	long long number;

	if (strncasecmp(rest, name, strlen(name)) != 0)
		return NULL;
	rest += strlen(name);
	end = read_digits(rest, &number);
	if (end == rest || *end || number > DRIVES_MAX || asprintf(&drive, "%s%s%lld", prefix, name, number) < 0)
		return NULL;
	return drive;
}

/* "serial: X" as "serial:X". NULL where it is none, or nothing comes behind the colon. */
static char *disk_property(const char *value)
{
	static const char *const properties[] = { "serial:", "model:" };
	char *disk = NULL;

	for (size_t i = 0; i < sizeof properties / sizeof *properties && !disk; i++) {
		const char *rest = value + strlen(properties[i]);

		if (strncasecmp(value, properties[i], strlen(properties[i])) != 0)
			continue;
		rest += strspn(rest, BLANKS);
		if (!*rest || asprintf(&disk, "%s%s", properties[i], rest) < 0)
			return NULL;
	}
	return disk;
}

int value_disk(struct conf *conf, const struct key *key, const char *value, int line, struct err *err)
{
	char **field = field_of(conf, key), *disk = NULL;

	(void)line;
	if (*value) {
		disk = drive_name(value);
		if (!disk)
			disk = disk_property(value);
		if (!disk)
			return err_usage(
			    err, "expected \\\\.\\PHYSICALDRIVE1 (or another number), serial:NUMBER or model:NAME, as Windows knows the disk, not '%s'", value);
	}
	free(*field);
	*field = disk;
	return 0;
}
