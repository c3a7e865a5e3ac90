/* inspect: looks into a root without touching it, for `check`. */
#ifndef GCDBOOT_INSPECT_H
#define GCDBOOT_INSPECT_H

#include "../conf/conf.h"
#include "device.h"
#include "findings.h"
#include "plan.h"

/*
 * Mounts the root read-only in a mount namespace of a child process (readonly.h: not a byte is written)
 * and adds what is found in it: boot scripts, /bin/sh, mount points that are missing, directories of the OS that a mount of the host would cover,
 * chroot_escape.
 */
void inspect_root(struct findings *findings, const struct conf *conf, const struct device_found *found, const struct plan *plan);

#endif
