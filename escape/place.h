/* place: which root directory, on which mount, a process stands in or could go to. */
#ifndef ESCAPE_PLACE_H
#define ESCAPE_PLACE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "../gcdboot/err.h"

struct place {
	int root_fd; /* the root directory, O_PATH; not owned */
	unsigned major, minor;
	uint64_t ino;
	uint64_t mount_id; /* unique on the machine, so two namespaces never share one; 0: the kernel does not tell */
};

/*
 * Looks at root_fd. proc_fd is a root directory below which proc/ may be mounted: kernels before 5.8 tell the mount id of some
 * filesystems there only.
 * Returns 0 or -errno (-ENOTDIR where root_fd is no directory).
 */
int place_read(struct place *place, int root_fd, int proc_fd, struct err *err);

/* Whether both are the same directory, seen through whichever mount. */
bool place_same_directory(const struct place *a, const struct place *b);

/* Whether both are the same directory on the same mount, as far as the kernel tells. */
bool place_same(const struct place *a, const struct place *b);

#endif
