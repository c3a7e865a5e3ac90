/* floor: the least that binding mounts can cost: one mount(2) call for each line of a list, then a command in the root. For the bench. */
#include <limits.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

static int fail(const char *what)
{
	perror(what);
	return 1;
}

/* One path a line, as it stands on the host; it is bound at the same place below root. */
static int bind_all(const char *root, FILE *list)
{
	char source[PATH_MAX], target[2 * PATH_MAX];

	while (fgets(source, sizeof source, list)) {
		source[strcspn(source, "\n")] = '\0';
		snprintf(target, sizeof target, "%s%s", root, source);
		if (mount(source, target, NULL, MS_BIND, NULL) < 0)
			return fail(source);
	}
	return 0;
}

int main(int argc, char **argv)
{
	FILE *list = argc == 4 ? fopen(argv[2], "re") : NULL;
	int status = 1;
	pid_t pid;

	if (!list)
		return fail("usage: floor ROOT LIST COMMAND");
	if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_SLAVE, NULL) < 0)
		return fail("unshare");
	if (bind_all(argv[1], list))
		return 1;
	pid = fork();
	if (pid == 0) {
		if (chroot(argv[1]) < 0 || chdir("/") < 0)
			_exit(fail("chroot"));
		execl(argv[3], argv[3], (char *)NULL);
		_exit(fail(argv[3]));
	}
	if (waitpid(pid, &status, 0) < 0 || status != 0)
		return fail(argv[3]);
	return 0;
}
