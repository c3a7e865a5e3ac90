/* mountid: which mount a descriptor lies on. */
#include "mountid.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "util.h"

int mountid_of(int fd)
{
	struct statx st;
	char path[64], line[256];
	auto_fclose FILE *in = NULL;
	int id = 0;

	if (syscall(SYS_statx, fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, STATX_MNT_ID, &st) == 0 && (st.stx_mask & STATX_MNT_ID))
		return (int)st.stx_mnt_id;
	snprintf(path, sizeof path, "/proc/self/fdinfo/%d", fd);
	in = fopen(path, "re");
	while (in && id == 0 && fgets(line, sizeof line, in))
		if (sscanf(line, "mnt_id: %d", &id) != 1)
			id = 0;
	return id;
}
