/* keys: every key that the configuration knows, as a table. */
#include "keys.h"

#include <string.h>

#include "nearest.h"
#include "values.h"

#define SECOND 1000
#define MINUTE (60 * SECOND)
#define HOUR (60 * MINUTE)

#define FIELD(member) .field = offsetof(struct conf, member)
#define RANGE(low, high) .min = (low), .max = (high)
#define NO_YES .word = { "no", "yes" }

/* The order is that of the manual page. The commands of [boot] have no default here: conf.c adds theirs. */
const struct key key_table[] = {
	{ "root", "source", KEY_SCALAR, value_source, "LABEL=/", FIELD(root.source) },
	{ "root", "partition", KEY_SCALAR, value_number, NULL, FIELD(root.partition), RANGE(1, 128) },
	{ "root", "path", KEY_SCALAR, value_path, "/usr/local/GCD", FIELD(root.path) },
	{ "root", "type", KEY_SCALAR, value_word, "auto", FIELD(root.type) },
	{ "root", "options", KEY_SCALAR, value_text, "defaults", FIELD(root.options) },
	{ "root", "wait", KEY_SCALAR, value_time, "30s", FIELD(root.wait_ms), RANGE(0, HOUR) },
	{ "root", "fsck", KEY_SCALAR, value_choice, "no", FIELD(root.fsck), NO_YES },
	{ "root", "overlay", KEY_SCALAR, value_choice, "none", FIELD(root.overlay), .word = { "none", "tmpfs" } },

	{ "bind", "mounts", KEY_SCALAR, value_choice, "all", FIELD(bind.all), .word = { "none", "all" } },
	{ "bind", "exclude", KEY_LIST, value_exclude, NULL, FIELD(bind.exclude) },
	{ "bind", "extra", KEY_LIST, value_extra, NULL, FIELD(bind.extra) },
	{ "bind", "modules", KEY_SCALAR, value_path, "/boot/lib/modules", FIELD(bind.modules), .may_be_empty = true },
	{ "bind", "create", KEY_SCALAR, value_choice, "yes", FIELD(bind.create), NO_YES },
	{ "bind", "timeout", KEY_SCALAR, value_time, "5s", FIELD(bind.timeout_ms), RANGE(100, 10 * MINUTE) },

	{ "namespace", "mount", KEY_SCALAR, value_choice, "private", FIELD(namespace_host), .word = { "private", "host" } },

	{ "caps", "drop", KEY_SCALAR, value_caps, NULL, FIELD(caps_drop), .may_be_empty = true },

	{ "env", "pass", KEY_SCALAR, value_variables, "WSL_* TERM LANG", FIELD(env_pass), .may_be_empty = true },

	{ "boot", "run", KEY_LIST, value_run, NULL, FIELD(boot.command) },
	{ "boot", "daemon", KEY_LIST, value_daemon, NULL, FIELD(boot.command) },
	{ "boot", "require", KEY_LIST, value_require, NULL, FIELD(boot.command) },
	{ "boot", "timeout", KEY_SCALAR, value_time, "0", FIELD(boot.timeout_ms), RANGE(0, 24 * HOUR) },
	{ "boot", "confirm", KEY_SCALAR, value_confirm, "0", FIELD(boot.confirm_ms) },

	{ "stop", "run", KEY_LIST, value_line, NULL, FIELD(stop.run) },
	{ "stop", "timeout", KEY_SCALAR, value_time, "8s", FIELD(stop.timeout_ms), RANGE(1 * SECOND, 10 * MINUTE) },

	{ "wsl", "attach", KEY_SCALAR, value_disk, NULL, FIELD(wsl.attach), .may_be_empty = true },
	{ "wsl", "detach", KEY_SCALAR, value_choice, "no", FIELD(wsl.detach), NO_YES },
};

const size_t key_count = sizeof key_table / sizeof key_table[0];

const struct key *key_find(const char *section, const char *name)
{
	for (size_t i = 0; i < key_count; i++)
		if (strcmp(key_table[i].section, section) == 0 && strcmp(key_table[i].name, name) == 0)
			return &key_table[i];
	return NULL;
}

/* The length of the section in "section.name"; 0 where there is none. */
static size_t dotted_section(const char *dotted, char *section, size_t size)
{
	const char *dot = strchr(dotted, '.');
	size_t len = dot ? (size_t)(dot - dotted) : 0;

	if (len >= size)
		len = 0;
	memcpy(section, dotted, len);
	section[len] = '\0';
	return len;
}

const struct key *key_find_dotted(const char *dotted)
{
	char section[64];
	size_t len = dotted_section(dotted, section, sizeof section);

	return len ? key_find(section, dotted + len + 1) : NULL;
}

bool key_has_section(const char *section)
{
	for (size_t i = 0; i < key_count; i++)
		if (strcmp(key_table[i].section, section) == 0)
			return true;
	return false;
}

/* The table's key with the smallest distance, its section's spelling counted in where one is given. */
static const struct key *nearest_key(const char *section, const char *name, size_t limit)
{
	const struct key *best = NULL;
	size_t best_distance = limit + 1;

	for (size_t i = 0; i < key_count; i++) {
		size_t distance = nearest_distance(name, key_table[i].name);

		if (*section)
			distance += nearest_distance(section, key_table[i].section);
		if (distance < best_distance) {
			best_distance = distance;
			best = &key_table[i];
		}
	}
	return best;
}

const struct key *key_nearest(const char *section, const char *name)
{
	const struct key *best = NULL;
	size_t best_distance = nearest_limit(name) + 1;

	for (size_t i = 0; i < key_count; i++) {
		size_t distance = nearest_distance(name, key_table[i].name);

		if (strcmp(key_table[i].section, section) == 0 && distance < best_distance) {
			best_distance = distance;
			best = &key_table[i];
		}
	}
	return best ? best : nearest_key("", name, 0);
}

const struct key *key_nearest_dotted(const char *dotted)
{
	char section[64];
	size_t len = dotted_section(dotted, section, sizeof section);
	const char *name = len ? dotted + len + 1 : dotted;

	return nearest_key(section, name, nearest_limit(name));
}

const char *key_nearest_section(const char *section)
{
	const char *best = NULL;
	size_t best_distance = nearest_limit(section) + 1;
	char first[64];

	for (size_t i = 0; i < key_count; i++) {
		size_t distance = nearest_distance(section, key_table[i].section);

		if (distance < best_distance) {
			best_distance = distance;
			best = key_table[i].section;
		}
	}
	/* Of "hots kayano", only the first word can be misspelt. */
	if (sscanf(section, "%63s", first) == 1 && nearest_distance(first, "host") < best_distance && nearest_distance(first, "host") <= 2)
		best = "host NAME";
	return best;
}
