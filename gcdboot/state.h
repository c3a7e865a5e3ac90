/* state: what is known about one booted OS, kept in /run/gcdboot/NAME/state so that it outlives the supervisor. */
#ifndef GCDBOOT_STATE_H
#define GCDBOOT_STATE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <time.h>

#include "../conf/conf.h"
#include "err.h"
#include "host.h"
#include "util.h"

enum state_phase { PHASE_NONE, PHASE_BUILDING, PHASE_BOOTING, PHASE_UP, PHASE_STOPPING, PHASE_STUCK };

enum state_run { RUN_PENDING, RUN_RUNNING, RUN_ENDED, RUN_LEFT_OUT };

/* One boot command: what became of it. */
struct state_command {
	enum conf_command_kind kind;
	enum state_run run;
	pid_t pid;
	uint64_t start; /* the process's start time in clock ticks after the machine's start: with pid it names one process */
	int status;     /* as waitpid(2) gives it; only when ended */
	bool timed_out;
	int64_t took_ms;
	char *line;
};

struct state {
	enum state_phase phase;
	pid_t pid; /* the supervisor */
	time_t since;
	char boot_id[40];
	char *conf_file;

	char *source; /* as configured: "LABEL=/" */
	char *device; /* what it turned out to be: "/dev/sdb1", an image, a directory */
	char *type;
	bool block;    /* device is a block device that nobody else used: it must be free after stop */
	char *root;    /* the root's mount point on the host */
	bool overlay;  /* the root is an overlay of the device, which is only read, and a tmpfs */
	char *staging; /* where its parts are mounted for the moment in which it is put together; NULL: it is none, or that is over */
	bool namespace_host;

	int64_t confirm_ms; /* as asked for, counted from the boot's beginning; 0: the OS needs no confirmation */
	int64_t confirm_by; /* util_boottime_ms() of the end of that time */
	bool confirmed;

	struct host_ns ns;             /* the OS's mount namespace */
	int mount_before;              /* with mount = host: id of the mount that the mount point lay on before the boot */
	int root_mount;                /* mount id of the root; 0: not mounted */
	unsigned dev_major, dev_minor; /* of the root's filesystem */
	unsigned bound;                /* how many mounts of the host are in it */

	struct strlist made;                /* directories of the host that the boot made, parents first: removed at stop */
	struct strlist swaps_before, swaps; /* swap in use before the boot; what the boot commands added */
	struct strlist caps_drop, env_pass; /* as configured: `enter` must give what the boot commands got, whatever the file says by now */
	struct strlist skipped;             /* "TARGET: why" */

	/* On WSL only; NULL elsewhere. */
	char *attached;     /* the drive of Windows that this boot had attached: \\.\PHYSICALDRIVE1 */
	char *detach;       /* what is to be given back to Windows at stop: that, or as it is configured */
	char *interop_link; /* leads to an interop socket that lives */

	struct state_command *command;
	size_t command_count;
};

void state_clear(struct state *state);

/* Adds a pending command. Returns 0 or -ENOMEM. */
int state_add_command(struct state *state, enum conf_command_kind kind, const char *line);

/* The state as text, one "key value..." line each, values mangled as in fstab(5); the caller frees. NULL where memory is short. */
char *state_format(const struct state *state);

/* Reads such text into the state; what it does not name stays as it is, list entries are added. Unknown keys are ignored (a newer gcdboot wrote them). */
int state_parse(struct state *state, const char *text, struct err *err);

/* Writes dir/state beside and renames it. */
int state_save(const struct state *state, const char *dir, struct err *err);

/* Reads dir/state. -ENOENT where there is none. */
int state_load(struct state *state, const char *dir, struct err *err);

/* Whether the OS is still to be confirmed: else it is stopped when state_confirm_left() is 0. */
bool state_awaits_confirm(const struct state *state);

/* How much time there is, in ms; 0 where it is over. */
int64_t state_confirm_left(const struct state *state);

/* "to be confirmed within 4 min 12 s: gcdboot confirm"; name is that of the OS. Into a buffer of 160 bytes. */
void state_confirm_text(const struct state *state, const char *name, char text[160]);

/* Whether a boot command failed or a daemon died. */
bool state_degraded(const struct state *state);

/* "2026-11-21 00:24:13", local time; into a buffer of 32 bytes. */
void state_time(time_t when, char text[32]);

#endif
