/* mountpoint: where on the host the root goes. */
#ifndef GCDBOOT_MOUNTPOINT_H
#define GCDBOOT_MOUNTPOINT_H

#include "../conf/conf.h"
#include "err.h"
#include "util.h"

#define MOUNTPOINT_DEFAULT "/usr/local/GCD"

/*
 * The root's mount point as configured: [root] path; without one a directory is its own, and the rest goes to MOUNTPOINT_DEFAULT. Links are resolved
 * as far as the path exists. Returns a malloc'ed path, or NULL with err (usage: it is the running system's own root).
 */
char *mountpoint_path(const struct conf *conf, struct err *err);

/* Makes it on the host, with parents; what was made is added to `made`, parents first. Refuses what is there and no directory. Returns 0 or -errno. */
int mountpoint_make(const char *path, struct strlist *made, struct err *err);

#endif
