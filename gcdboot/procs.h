/* procs: which processes belong to the OS, and which hold its mounts. Reads /proc only. */
#ifndef GCDBOOT_PROCS_H
#define GCDBOOT_PROCS_H

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
};

struct procs {
	struct proc *proc;
	size_t count;
};

void procs_clear(struct procs *procs);

/*
 * The living processes of the OS: those in its mount namespace; descendants of `supervisor` (0: unknown) that have made a mount namespace of their
 * own, other than the host's; processes in any other namespace into which the root's filesystem was copied (only where the root is a device of its
 * own); with mount = host: those whose root directory lies at or below the root. The caller itself never. Returns 0 or -errno.
 */
int procs_find(struct procs *procs, const struct state *state, pid_t supervisor, struct err *err);

/* One process; -ESRCH where it is gone. */
int procs_read(struct proc *proc, pid_t pid);

/* Whether pid is still the process that started at `start`, and no zombie. */
bool procs_alive(pid_t pid, uint64_t start);

/*
 * Adds a line "pid 123 (name): has open as descriptor 4 /usr/local/GCD/var/log" to `holders` for each path at or below root_path that a process (of any
 * namespace) has as working directory, root, executable, open file or mapping, and for each mount namespace that has the device dev_major:dev_minor
 * mounted. Links are read, never followed.
 */
int procs_holders(struct strlist *holders, const char *root_path, unsigned dev_major, unsigned dev_minor, struct err *err);

#endif
