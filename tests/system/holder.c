/*
 * holder PID WHAT PATH: a process of the host that goes into the mount namespace of PID, takes hold of PATH there (as PID names it), comes back, says "holding", and sleeps until
 * it is ended.
 *
 *	fd   has it open
 *	cwd  stands in it
 *	map  has it mapped, and not open
 *	ns   holds the namespace alone, by descriptor
 */
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static void must(int good, const char *what)
{
	if (!good) {
		perror(what);
		exit(1);
	}
}

static int open_of(const char *pid, const char *what, int flags)
{
	char path[128];
	int fd;

	snprintf(path, sizeof path, "/proc/%s/%s", pid, what);
	fd = open(path, flags | O_CLOEXEC);
	must(fd >= 0, path);
	return fd;
}

int main(int argc, char **argv)
{
	int own, own_root, ns, root, fd;

	if (argc != 4)
		return 2;
	own = open_of("self", "ns/mnt", O_RDONLY);
	own_root = open_of("self", "root", O_PATH);
	ns = open_of(argv[1], "ns/mnt", O_RDONLY);
	root = open_of(argv[1], "root", O_PATH);
	if (strcmp(argv[2], "ns") != 0) {
		must(setns(ns, CLONE_NEWNS) == 0 && fchdir(root) == 0 && chroot(".") == 0, "into the OS");
		fd = open(argv[3], O_RDONLY | O_CLOEXEC);
		must(fd >= 0, argv[3]);
		must(setns(own, CLONE_NEWNS) == 0 && fchdir(own_root) == 0 && chroot(".") == 0 && chdir("/") == 0, "back to the host");
		close(ns);
		if (strcmp(argv[2], "cwd") == 0)
			must(fchdir(fd) == 0, "fchdir");
		if (strcmp(argv[2], "map") == 0)
			must(mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, fd, 0) != MAP_FAILED, "mmap");
		if (strcmp(argv[2], "fd") != 0)
			close(fd);
	}
	close(root);
	puts("holding");
	fflush(stdout);
	for (;;)
		pause();
}
