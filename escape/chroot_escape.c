/* chroot_escape: runs a command in the host's root, from inside the root that it was chroot'ed into. */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <linux/capability.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "../gcdboot/login.h"
#include "../gcdboot/util.h"
#include "place.h"
#include "way.h"

#define NAME "chroot_escape"

enum { EXIT_USAGE = 2 };

struct method {
	const char *name;
	int (*find)(const struct place *here, struct way *way, struct err *err);
	bool knows_host; /* "you are there already" is then the truth; pid 1 may also be this root's own */
};

static const struct method methods[] = {
	{ "control", way_control, true },
	{ "proc", way_proc, false },
	{ "climb", way_climb, true },
};

#define METHODS (sizeof methods / sizeof *methods)

struct options {
	bool verbose;
	const struct method *method; /* NULL: each in turn */
	char **command;              /* NULL-terminated; empty: the login shell */
};

enum outcome { FAILED, ARRIVED, ALREADY };

static const char help[] = "Usage: " NAME " [-v] [--method=control|proc|climb] [--] [CMD ARG...]\n"
			   "Runs CMD (default: the login shell of root) in the host's root, from inside a chroot.\n"
			   "\n"
			   "  -v, --verbose       say which way was tried, failed and taken\n"
			   "      --method=NAME   try this way only: control (the supervisor's socket), proc (/proc/1),\n"
			   "                      climb (\"..\" to the top)\n"
			   "  -h, --help          show this\n"
			   "  -V, --version       show the version\n"
			   "\n"
			   "Exit status: the command's own; 126 or 127 where it could not be run, 1 where there is no way\n"
			   "back or this is the host already, 2 for a mistake in the arguments.\n";

/* The standard descriptors must exist before others are opened, which would take their numbers. */
static void fill_standard_descriptors(void)
{
	int nothing[2];

	for (int fd = 0; fd <= STDERR_FILENO; fd++) {
		if (fcntl(fd, F_GETFD) >= 0 || open("/dev/null", O_RDWR) >= 0)
			continue;
		/* No /dev in this root. The reading end of a pipe that nobody writes to gives end of file, and EBADF for writes, as if closed. */
		if (pipe(nothing) == 0)
			close(nothing[1]);
	}
}

/* For two questions libcap is too much: linked statically, it probes the kernel's capabilities at every start. */
static bool has_capability(unsigned capability)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct caps[_LINUX_CAPABILITY_U32S_3] = { 0 };

	return syscall(SYS_capget, &header, caps) == 0 && caps[CAP_TO_INDEX(capability)].effective & CAP_TO_MASK(capability);
}

static int check_privilege(struct err *err)
{
	if (geteuid() != 0)
		return err_set(err, -EPERM, "needs root: run it as root, or with sudo");
	if (!has_capability(CAP_SYS_CHROOT))
		return err_set(err, -EPERM, "needs CAP_SYS_CHROOT, which was taken from this process");
	return 0;
}

/* Whether the descriptor is that of the mount namespace that this process is in. */
static bool is_own_namespace(const struct place *here, int ns_fd)
{
	struct stat own, other;

	return fstat(ns_fd, &other) == 0 && fstatat(here->root_fd, "proc/self/ns/mnt", &own, 0) == 0 && own.st_dev == other.st_dev &&
	       own.st_ino == other.st_ino;
}

static int enter_namespace(const struct place *here, const struct way *way, struct err *err)
{
	if (way->ns_fd < 0)
		return 0;
	/* Where the root is not known, going into one's own namespace is of use too: it leads to that namespace's root. */
	if (way->root_fd >= 0 && is_own_namespace(here, way->ns_fd))
		return 0;
	if (setns(way->ns_fd, CLONE_NEWNS) == 0 || !way->ns_needed)
		return 0;
	if (errno != EPERM)
		return err_set(err, errno, "cannot enter the host's mount namespace (setns)");
	if (!has_capability(CAP_SYS_ADMIN))
		return err_set(err, -EPERM, "needs CAP_SYS_ADMIN to enter the host's mount namespace (setns)");
	return err_set(err, -EPERM, "setns into the host's mount namespace is not permitted: a seccomp filter, or a user namespace without rights over it");
}

/* Whether ".." leads nowhere from here: then this is the root of its mount namespace. */
static bool is_top(const struct place *here)
{
	struct way way;
	struct place top;

	return way_climb(here, &way, NULL) == 0 && place_read(&top, way.root_fd, here->root_fd, NULL) == 0 && place_same(&top, here);
}

/*
 * What the arrival at `there` would be. The same directory on another mount is either the host's root seen from another of its mount
 * namespaces (WSL has two), which is the host, or a bind of that root somewhere below it, which is not: only the top tells.
 */
static enum outcome judge(const struct method *method, const struct place *here, const struct place *there, struct err *err)
{
	bool same = place_same(here, there);

	if (!place_same_directory(here, there))
		return ARRIVED;
	if ((same && method->knows_host) || is_top(here))
		return ALREADY;
	if (!same)
		return ARRIVED;
	err_set(err, -ENOENT, "pid 1 has this very root: it is not the host's");
	return FAILED;
}

/* Follows a way into the host's namespace. `there` is then the root to chroot into; it stays open until the exec. */
static enum outcome follow(const struct method *method, const struct place *here, struct place *there, struct err *err)
{
	struct way way = { .ns_fd = -1, .root_fd = -1 };
	bool known;
	enum outcome outcome;

	if (method->find(here, &way, err) < 0)
		return FAILED;
	/* What can be judged before anything changed is judged then. */
	known = way.root_fd >= 0;
	if (known) {
		if (place_read(there, way.root_fd, here->root_fd, err) < 0)
			return FAILED;
		outcome = judge(method, here, there, err);
		if (outcome != ARRIVED)
			return outcome;
	}
	if (enter_namespace(here, &way, err) < 0)
		return FAILED;
	if (known)
		return ARRIVED;
	way.root_fd = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (place_read(there, way.root_fd, here->root_fd, err) < 0)
		return FAILED;
	return judge(method, here, there, err);
}

static void print_reasons(const struct options *options, const struct err reasons[METHODS])
{
	if (options->method) {
		fprintf(stderr, NAME ": %s: %s\n", options->method->name, reasons[options->method - methods].msg);
		return;
	}
	fprintf(stderr, NAME ": found no way back to the host:\n");
	for (size_t i = 0; i < METHODS; i++)
		fprintf(stderr, "  %s: %s\n", methods[i].name, reasons[i].msg);
}

/* Finds the host's root by the first way that leads there, and says so where it cannot. */
static enum outcome find_host(const struct options *options, const struct place *here, struct place *there)
{
	struct err reasons[METHODS] = { 0 };

	for (size_t i = 0; i < METHODS; i++) {
		const struct method *method = &methods[i];
		enum outcome outcome;

		if (options->method && options->method != method)
			continue;
		if (options->verbose)
			fprintf(stderr, NAME ": %s: trying\n", method->name);
		outcome = follow(method, here, there, &reasons[i]);
		if (options->verbose && outcome == FAILED)
			fprintf(stderr, NAME ": %s: failed: %s\n", method->name, reasons[i].msg);
		if (options->verbose && outcome == ARRIVED)
			fprintf(stderr, NAME ": %s: taken\n", method->name);
		if (outcome == ALREADY)
			fprintf(stderr, NAME ": already at the host root\n");
		if (outcome != FAILED)
			return outcome;
	}
	print_reasons(options, reasons);
	return FAILED;
}

/* What a person back on a WSL host needs for starting Windows programs. */
static int wsl_variables(struct strlist *list)
{
	for (char **variable = environ; variable && *variable; variable++) {
		bool is_wsl = strncmp(*variable, "WSL_", 4) == 0 || strncmp(*variable, "WSLENV=", 7) == 0;

		if (is_wsl && strlist_add(list, *variable) < 0)
			return -ENOMEM;
	}
	return 0;
}

/* With a NULL at the end, as exec and login_environment() want it. */
static char **terminated(struct strlist *list)
{
	char **array = reallocarray(list->str, list->count + 1, sizeof *array);

	if (!array)
		return NULL;
	list->str = array;
	array[list->count] = NULL;
	return array;
}

/* From the chroot on, no file is opened any more: all that is read of the host's is read before. Returns only on failure, with the exit status. */
static int run(const struct place *there, char **command, struct err *err)
{
	struct login login;
	struct strlist wsl = { 0 };
	char **extra, **environment = NULL;

	login_read(&login, there->root_fd);
	if (wsl_variables(&wsl) == 0 && (extra = terminated(&wsl)))
		environment = login_environment(&login, extra);
	strlist_clear(&wsl);
	if (!environment) {
		err_set(err, ENOMEM, "cannot make the environment");
		return EXIT_FAILURE;
	}
	if (fchdir(there->root_fd) < 0 || chroot(".") < 0) {
		err_set(err, errno, "cannot chroot to the host's root");
		return EXIT_FAILURE;
	}
	return login_exec(&login, command, environment, err);
}

static const struct method *method_named(const char *name)
{
	for (size_t i = 0; i < METHODS; i++)
		if (strcmp(methods[i].name, name) == 0)
			return &methods[i];
	return NULL;
}

/* Prints a text that was asked for, and exits. */
static int print_and_exit_status(const char *text)
{
	if (fputs(text, stdout) == EOF || fflush(stdout) == EOF) {
		fprintf(stderr, NAME ": cannot write: %s\n", strerror(errno));
		return EXIT_FAILURE;
	}
	return EXIT_SUCCESS;
}

/* Returns -1 where the program goes on, else the exit status. */
static int parse_options(struct options *options, int argc, char **argv)
{
	static const struct option long_options[] = {
		{ "method", required_argument, NULL, 'm' },
		{ "verbose", no_argument, NULL, 'v' },
		{ "help", no_argument, NULL, 'h' },
		{ "version", no_argument, NULL, 'V' },
		{ 0 },
	};
	int option;

	opterr = 0;
	while ((option = getopt_long(argc, argv, "+:hvV", long_options, NULL)) != -1) {
		switch (option) {
		case 'v':
			options->verbose = true;
			break;
		case 'm':
			options->method = method_named(optarg);
			if (options->method)
				break;
			fprintf(stderr, NAME ": unknown method '%s': it is control, proc or climb\n", optarg);
			return EXIT_USAGE;
		case 'h':
			return print_and_exit_status(help);
		case 'V':
			return print_and_exit_status(NAME " " GCDBOOT_VERSION "\n");
		case ':':
			fprintf(stderr, NAME ": option '%s' needs a value\n", argv[optind - 1]);
			return EXIT_USAGE;
		default:
			fprintf(stderr, NAME ": unknown option '%s' (" NAME " --help lists them)\n", argv[optind - 1]);
			return EXIT_USAGE;
		}
	}
	options->command = argv + optind;
	return -1;
}

int main(int argc, char **argv)
{
	struct options options = { 0 };
	struct place here, there;
	struct err err = { 0 };
	int root_fd, status;

	fill_standard_descriptors();
	/* execve(2) may pass no argument at all, which newer kernels turn into one empty string. */
	if (argc < 1 || !argv[0][0]) {
		fprintf(stderr, NAME ": started with an empty argument list\n");
		return EXIT_USAGE;
	}
	status = parse_options(&options, argc, argv);
	if (status >= 0)
		return status;

	status = EXIT_FAILURE;
	root_fd = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (check_privilege(&err) == 0 && place_read(&here, root_fd, root_fd, &err) == 0) {
		if (find_host(&options, &here, &there) != ARRIVED)
			return EXIT_FAILURE;
		status = run(&there, options.command, &err);
	}
	fprintf(stderr, NAME ": %s\n", err.msg);
	return status;
}
