/* way_proc: mount namespace and root of pid 1, which is the host's init where the host's /proc is bound into this root. */
#include <errno.h>
#include <fcntl.h>

#include "../gcdboot/util.h"
#include "way.h"

int way_proc(const struct place *here, struct way *way, struct err *err)
{
	auto_close int root_fd = openat(here->root_fd, "proc/1/root", O_PATH | O_DIRECTORY | O_CLOEXEC);
	int root_errno = errno;
	int ns_fd = openat(here->root_fd, "proc/1/ns/mnt", O_RDONLY | O_CLOEXEC);

	/* Either may be closed even to root (a Yama or LSM rule, another user namespace); one is enough. */
	if (root_fd < 0 && ns_fd < 0)
		return err_set(err, root_errno, "cannot open /proc/1/ns/mnt and /proc/1/root");
	way->ns_fd = ns_fd;
	way->root_fd = take_fd(&root_fd);
	way->ns_needed = way->root_fd < 0;
	return 0;
}
