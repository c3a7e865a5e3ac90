/* parse: the text of a configuration file into the keys that count on this host. */
#ifndef CONF_PARSE_H
#define CONF_PARSE_H

#include <stdbool.h>
#include <stddef.h>

#include "keys.h"

/* One line "key = value" that counts on this host, with a value that its parser has already found good. */
struct entry {
	const struct key *key;
	char *value;
	int line;
	bool host; /* from a [host NAME] section: comes after the plain ones, wherever it stands */
};

/* In the order of the file. */
struct entries {
	struct entry *entry;
	size_t count;
};

/*
 * Splits and checks the whole text; sections of other hosts are checked, then forgotten. `file` is for messages only.
 * Returns 0, or -errno with err as "FILE:LINE: ..." for the first line that is wrong. The caller frees with parse_clear() either way.
 */
int parse_text(struct entries *entries, const char *text, size_t size, const char *file, const char *hostname, struct err *err);

void parse_clear(struct entries *entries);

#endif
