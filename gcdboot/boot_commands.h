/* boot_commands: which boot commands a root has what is needed for. */
#ifndef GCDBOOT_BOOT_COMMANDS_H
#define GCDBOOT_BOOT_COMMANDS_H

#include "../conf/conf.h"
#include "err.h"
#include "state.h"

/*
 * Adds the configured commands to the state: pending, or left out where a default's file is not in the root. A script that a command line names by a
 * plain absolute path must be there and executable, and so must /bin/sh: -errno with err (FILE:LINE and usage, where a line of the file is to blame)
 * otherwise.
 */
int boot_commands_list(const struct conf *conf, int root, struct state *state, struct err *err);

#endif
