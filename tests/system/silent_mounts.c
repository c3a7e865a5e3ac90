/*
 * silent_mounts: filesystems whose server never answers.
 *
 *	silent_mounts fuse OPTIONS TARGET...   FUSE; OPTIONS are added to fd=, "rootmode=40000,user_id=0,group_id=0" for a directory
 *	silent_mounts autofs TRACE TARGET...   direct autofs; a look-up that triggers one is noted in the file TRACE, and never answered
 *
 * Prints "mounted" and stays until it is killed.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <unistd.h>

static int fail(const char *what)
{
	fprintf(stderr, "silent_mounts: %s: %s\n", what, strerror(errno));
	return 1;
}

static int mount_fuse(const char *options, const char *target)
{
	char data[256];
	int fd = open("/dev/fuse", O_RDWR);

	if (fd < 0)
		return fail("/dev/fuse");
	snprintf(data, sizeof data, "fd=%d,%s", fd, options);
	return mount("silent", target, "fuse", MS_NOSUID | MS_NODEV, data) < 0 ? fail(target) : 0;
}

/* Requests of all the mounts arrive in one pipe. The process group of the automounter itself triggers nothing: it has to be one of our own. */
static int mount_autofs(int pipe_fd, const char *target)
{
	char data[256];

	snprintf(data, sizeof data, "fd=%d,pgrp=%d,minproto=5,maxproto=5,direct", pipe_fd, getpgrp());
	return mount("silent", target, "autofs", 0, data) < 0 ? fail(target) : 0;
}

static int watch(int pipe_fd, const char *trace)
{
	char request[512];

	for (;;) {
		int out;

		if (read(pipe_fd, request, sizeof request) <= 0)
			return fail("pipe");
		out = open(trace, O_WRONLY | O_CREAT | O_APPEND, 0600);
		if (out < 0 || write(out, "triggered\n", 10) != 10)
			return fail(trace);
		close(out);
	}
}

int main(int argc, char **argv)
{
	int fds[2], autofs = argc > 3 && strcmp(argv[1], "autofs") == 0;

	if (argc < 4)
		return 2;
	setsid();
	if (autofs && pipe2(fds, O_DIRECT) < 0)
		return fail("pipe");
	for (int i = 3; i < argc; i++)
		if (autofs ? mount_autofs(fds[1], argv[i]) : mount_fuse(argv[2], argv[i]))
			return 1;
	puts("mounted");
	fflush(stdout);
	if (autofs)
		return watch(fds[0], argv[2]);
	for (;;)
		pause();
}
