/* keys: every key that the configuration knows, as a table. */
#ifndef CONF_KEYS_H
#define CONF_KEYS_H

#include <stdbool.h>
#include <stddef.h>

#include "conf.h"

struct key;

/*
 * Reads one value into conf (which field: key->field). A scalar replaces what was there, a list is added to. `line` is the line in the file, 0 for
 * a default. Returns 0, -EINVAL with err saying what was expected (without the key's name: the caller puts it before), or -ENOMEM.
 */
typedef int key_parser(struct conf *conf, const struct key *key, const char *value, int line, struct err *err);

struct key {
	const char *section, *name;
	enum { KEY_SCALAR, KEY_LIST } kind; /* a list key may repeat */
	key_parser *parse;
	const char *value;   /* the default, as it would stand in the file; NULL: none */
	size_t field;        /* offsetof(struct conf, ...), for the parsers that serve several keys */
	int min, max;        /* the range of a number; of a time, in milliseconds */
	const char *word[2]; /* the two words of a choice: for false and for true */
	bool may_be_empty;
};

extern const struct key key_table[];
extern const size_t key_count;

/* NULL where there is none. */
const struct key *key_find(const char *section, const char *name);

/* Finds "section.name". */
const struct key *key_find_dotted(const char *dotted);

bool key_has_section(const char *section);

/* The key that was probably meant: one of this section with a similar name, else one of the same name in another section, else NULL. */
const struct key *key_nearest(const char *section, const char *name);

/* As key_nearest(), for "section.name", or a name that lacks its section. */
const struct key *key_nearest_dotted(const char *dotted);

/* The section that was probably meant, "host NAME" included, or NULL. */
const char *key_nearest_section(const char *section);

#endif
