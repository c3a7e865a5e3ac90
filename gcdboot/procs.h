/* procs: which processes belong to the OS, and which hold its mounts. Reads /proc only. */
#ifndef GCDBOOT_PROCS_H
#define GCDBOOT_PROCS_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "err.h"
#include "state.h"

struct proc {
	pid_t pid, parent;
	uint64_t start; /* clock ticks after the machine's start */
	char name[64];  /* the command's name, as it gave it: to be shown through text_safe() */
	bool zombie, has_tty;
	bool told; /* for shutdown.c: it has had its TERM */
};

struct procs {
	struct proc *proc;
	size_t count;
};

void procs_clear(struct procs *procs);

/*
 * The living processes of the OS: those in its mount namespace; descendants of `supervisor` (0: unknown) that have made a mount namespace of their
 * own, other than the host's; processes in any other namespace into which the root was copied, and that have it as their root (only where the root is
 * a device of its own); with mount = host: those whose root directory lies at or below the root. The caller itself never. Returns 0 or -errno.
 */
int procs_find(struct procs *procs, const struct state *state, pid_t supervisor, struct err *err);

/* One process; -ESRCH where it is gone. */
int procs_read(struct proc *proc, pid_t pid);

/* Whether pid is still the process that started at `start`, and no zombie. */
bool procs_alive(pid_t pid, uint64_t start);

/* All living processes of the machine but the caller, no zombies. Returns 0 or -errno; free with procs_clear(). */
int procs_all(struct procs *all);

/* Its mount namespace. Returns 0 or -errno. */
int procs_ns(pid_t pid, struct host_ns *ns);

/* Whether the mount table that the process sees has the device. */
bool procs_ns_has_device(pid_t pid, unsigned dev_major, unsigned dev_minor);

/* The text of the link /proc/PID/NAME, without following it; "" where it cannot be read. */
void procs_link(pid_t pid, const char *name, char target[PATH_MAX]);

/*
 * procs_holders.c: adds a line "pid 123 (name): has open as descriptor 4 /usr/local/GCD/var/log" to `holders` for each thing at or below root_path
 * that a process (of any namespace) has as working directory, root, executable, open file or mapping, and for each mount namespace that has the
 * device dev_major:dev_minor mounted. What stands at such a path on a mount of the host, which the root does not cover there, is none. Given the
 * device (not 0:0), what is open or mapped on it counts at any path.
 */
int procs_holders(struct strlist *holders, const char *root_path, unsigned dev_major, unsigned dev_minor, struct err *err);

#endif
