/* file: opens a configuration file, makes sure that only root can have written it, and reads it whole. */
#ifndef CONF_FILE_H
#define CONF_FILE_H

#include <stddef.h>

#include "../gcdboot/err.h"
#include "../gcdboot/util.h"

/*
 * Reads the file into *text (malloc'ed, *size bytes, and a NUL behind them). What is checked is the file that was opened, by its descriptor. On
 * a filesystem where owner and mode mean nothing (9p, FUSE: the Windows drives of WSL), they give a warning, not an error.
 * Returns 0, or -errno with err as "FILE: ..." and err->usage set.
 */
int file_read(const char *file, char **text, size_t *size, struct strlist *warnings, struct err *err);

#endif
