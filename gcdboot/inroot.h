/* inroot: opens and makes paths below a root descriptor, whatever symbolic links that root holds. */
#ifndef GCDBOOT_INROOT_H
#define GCDBOOT_INROOT_H

#include <stdbool.h>

#include "err.h"

/*
 * Opens path as a process chroot'ed at root_fd would see it: links are followed, absolute ones and ".." stay inside, /proc's magic links are
 * refused. flags are open(2) flags without O_CREAT; O_NOFOLLOW leaves a link at the end of the path as it is (with O_PATH). O_CLOEXEC is added.
 * Returns a descriptor or -errno. openat2(2) where the kernel has it, else a walk component by component.
 */
int inroot_open(int root_fd, const char *path, int flags, struct err *err);

/* Whether there is anything at path, links followed. */
bool inroot_exists(int root_fd, const char *path);

enum inroot_kind { INROOT_DIR, INROOT_FILE };

/*
 * As inroot_open() with O_PATH, but makes what is missing: a directory or an empty file at the end, directories before it. A dangling link on the way is
 * followed and its target made, inside the root. For INROOT_FILE a link at the end of the path is not followed: the descriptor is the link's own.
 * Directories get mode 0755, files 0644 (less the umask).
 */
int inroot_make(int root_fd, const char *path, enum inroot_kind kind, struct err *err);

#endif
