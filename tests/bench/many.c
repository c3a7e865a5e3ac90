/* many: binds a directory on DIR/NAME for each NAME of its input: a host with many mounts. For the bench. */
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>

int main(int argc, char **argv)
{
	char name[256], target[PATH_MAX];

	if (argc != 3)
		return 2;
	while (fgets(name, sizeof name, stdin)) {
		name[strcspn(name, "\n")] = '\0';
		snprintf(target, sizeof target, "%s/%s", argv[2], name);
		if (mount(argv[1], target, NULL, MS_BIND, NULL) < 0) {
			perror(target);
			return 1;
		}
	}
	return 0;
}
