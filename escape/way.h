/* way: the ways back to the host. Each finds descriptors of where the host is, and moves nothing that a later way would need. */
#ifndef ESCAPE_WAY_H
#define ESCAPE_WAY_H

#include "../gcdboot/err.h"
#include "place.h"

/* Where a way leads. The caller owns the descriptors. */
struct way {
	int ns_fd;      /* the mount namespace; -1: stay in this one */
	int root_fd;    /* the root directory, O_PATH; -1: the namespace's own */
	bool ns_needed; /* the root directory alone will not do */
};

/*
 * All three start from `here`, the root that this process has, and return 0 with the way, or -errno with the reason.
 *
 * way_control.c: asks the supervisors' sockets below /run/gcdboot, and takes the first that answers. 5 s at most for all of them.
 */
int way_control(const struct place *here, struct way *way, struct err *err);

/* way_proc.c: namespace and root of pid 1, whichever of them can be opened. */
int way_proc(const struct place *here, struct way *way, struct err *err);

/*
 * way_climb.c: chroots into something that is not above here->root_fd, from which ".." then leads to the top of the mount namespace. The
 * caller's root is left there, so it has to chroot to where it wants to be. Nothing stays behind in the filesystem.
 */
int way_climb(const struct place *here, struct way *way, struct err *err);

#endif
