/*
 * wsl_table: linked with gcdboot's own objects into gcdboot_wsl, where table_read() is this one: a tmpfs whose source is a drive letter is told as the 9p mount
 * that WSL has there. The kernels that system tests run on have no 9p, and its server would be a stand-in as well; tests/vm has a real one.
 */
#include <ctype.h>
#include <string.h>

#include "../../../gcdboot/table.h"

int __real_table_read(struct table *table, const char *path, struct err *err);
int __wrap_table_read(struct table *table, const char *path, struct err *err);

int __wrap_table_read(struct table *table, const char *path, struct err *err)
{
	int r = __real_table_read(table, path, err);

	for (size_t i = 0; r == 0 && i < table->count; i++) {
		struct table_mount *mount = &table->mount[i];

		if (strcmp(mount->type, "tmpfs") != 0 || !isalpha((unsigned char)mount->source[0]) || strcmp(mount->source + 1, ":\\") != 0)
			continue;
		mount->type = "9p";
		mount->super_options = mount->source[0] == 'C'
					   ? "rw,aname=drvfs;path=C:\\;uid=0;gid=0;symlinkroot=/mnt/,cache=0x5,access=client,msize=65536,trans=fd,rfd=4,wfd=4"
					   : "rw,aname=drvfs;path=D:\\;uid=0;gid=0;symlinkroot=/mnt/,cache=0x5,access=client,msize=65536,trans=fd,rfd=4,wfd=4";
	}
	return r;
}
