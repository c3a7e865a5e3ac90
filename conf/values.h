/* values: reads the values of keys, one function for each kind. */
#ifndef CONF_VALUES_H
#define CONF_VALUES_H

#include "keys.h"

key_parser value_source;                           /* LABEL=... or a path */
key_parser value_path;                             /* an absolute path, cleaned */
key_parser value_word;                             /* text without blanks */
key_parser value_text;                             /* any text */
key_parser value_number;                           /* within key->min and key->max */
key_parser value_time;                             /* the same, with a unit */
key_parser value_confirm;                          /* 0, or the time to confirm a boot */
key_parser value_choice;                           /* one of key->word; yes and no have synonyms */
key_parser value_exclude;                          /* a pattern for mount points */
key_parser value_extra;                            /* SRC[:DST[:ro]] */
key_parser value_caps;                             /* names of capabilities */
key_parser value_variables;                        /* patterns for names of environment variables */
key_parser value_run, value_daemon, value_require; /* a command of [boot] */
key_parser value_line;                             /* a line for a list of strings */
key_parser value_disk;                             /* \\.\PHYSICALDRIVEn, serial:... or model:... */

/* Adds a command to those of [boot]. only_if_file may be NULL. */
int value_add_command(struct conf *conf, enum conf_command_kind kind, const char *line, const char *only_if_file, int line_number, struct err *err);

#endif
