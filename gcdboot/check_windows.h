/* check_windows: what of Windows would stop or spoil a boot on WSL, for `check`. */
#ifndef GCDBOOT_CHECK_WINDOWS_H
#define GCDBOOT_CHECK_WINDOWS_H

#include "../conf/conf.h"
#include "findings.h"
#include "table.h"

/*
 * Adds what is found: drives, interop, elevation, the disk of [wsl] attach, idle limits, the second mount namespace. Each Windows program, and each file on a
 * Windows drive, has a limit. `device` tells whether the root's device is there already: then Windows is not needed.
 */
void check_windows(struct findings *findings, const struct conf *conf, const struct table *table, bool device, char *const *environment);

#endif
