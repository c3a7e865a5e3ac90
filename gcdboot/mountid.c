/* mountid: which mount a descriptor lies on. */
#include "mountid.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>

#include "util.h"

int mountid_by_handle(int fd)
{
	struct file_handle handle = { .handle_bytes = 0 };
	int id = 0;

	/* No room for a handle, which nobody wants: the id comes with the complaint. */
	return name_to_handle_at(fd, "", &handle, &id, AT_EMPTY_PATH) == 0 || errno == EOVERFLOW ? id : 0;
}

/* "mnt_id:", since Linux 3.15. */
static int by_fdinfo(int fd)
{
	char path[64], line[256];
	auto_fclose FILE *in = NULL;
	int id = 0;

	snprintf(path, sizeof path, "/proc/self/fdinfo/%d", fd);
	in = fopen(path, "re");
	while (in && id == 0 && fgets(line, sizeof line, in))
		if (sscanf(line, "mnt_id: %d", &id) != 1)
			id = 0;
	return id;
}

int mountid_of(int fd)
{
	int id = mountid_by_handle(fd);

	return id ? id : by_fdinfo(fd);
}
