/* plan: what a boot will do, in order, as data. A pure function of the configuration and the host's mount table. */
#ifndef GCDBOOT_PLAN_H
#define GCDBOOT_PLAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "../conf/conf.h"
#include "err.h"
#include "table.h"

enum step_kind {
	STEP_ATTACH,  /* WSL: where `options` (the root's source) is not there, have Windows attach the disk `source`; target: the drive of Windows */
	STEP_FIND,    /* find the root's device or file: source; waits up to timeout_ms */
	STEP_FSCK,    /* check its filesystem */
	STEP_UNSHARE, /* a mount namespace of its own, recursive slave */
	STEP_MOUNT,   /* mount the root: source on target, with type and options */
	STEP_OVERLAY, /* put a tmpfs (source) over the root, which was mounted read-only, on target; of options those that are flags of a mount */
	STEP_BIND,    /* bind one mount or path of the host: source on target */
	STEP_RUN,     /* a boot command, waited for */
	STEP_REQUIRE, /* the same, but its failure fails the boot */
	STEP_DAEMON,  /* a boot command, not waited for */
	STEP_CONFIRM, /* within timeout_ms of the boot's beginning somebody must confirm that the OS can be reached, else it is stopped */
};

enum step_flag {
	STEP_OPTIONAL = 1 << 0, /* nothing is said where source or target do not exist (modules) */
	STEP_REQUIRED = 1 << 1, /* a failure fails the boot (/proc, /sys, /dev) */
	STEP_READONLY = 1 << 2, /* extra ...:ro; fsck and mount of a root below an overlay: its source is not written to */
	STEP_CREATE = 1 << 3,   /* make a missing mount point, with parents */
	STEP_DIR = 1 << 4,      /* the source is known to be the root directory of a filesystem */
	STEP_AUTOFS = 1 << 5,   /* the source must be opened without triggering an automount */
	STEP_DELETED = 1 << 6,  /* what is mounted there was unlinked: newer kernels answer a bind with ENOENT, older ones do it */
};

struct step {
	enum step_kind kind;
	unsigned flags;
	const char *source;  /* on the host; for commands: the command line */
	const char *target;  /* STEP_MOUNT: the root's mount point on the host. STEP_BIND: as seen inside the root, "/mnt/c" */
	const char *type;    /* filesystem type, where known: of the root, or of the host mount that is bound */
	const char *options; /* STEP_MOUNT: as configured. STEP_BIND: the host mount's own, for people to read. STEP_FIND: "partition=3" where one is given */
	const char *only_if; /* commands: only where this file exists in the root; NULL: always */
	int timeout_ms;
};

/* A mount of the host that is not bound, and why. */
struct plan_left_out {
	const char *target;
	const char *reason; /* "the root of the host", "excluded by /snap/core", "covered by a later mount", "is the root", "is below the root" */
};

struct plan {
	const char *root_path; /* the root's mount point on the host, clean and absolute */
	bool namespace_host;
	struct step *step;
	size_t count;
	struct plan_left_out *left_out;
	size_t left_out_count;
	void *arena; /* owns the strings that are neither the conf's nor the table's */
};

/*
 * Makes the plan. root_path NULL: taken from conf (its path; where that is NULL, the source). conf and table must outlive the plan.
 * run_dir, "/run/gcdboot", is bound in too where [bind] mounts = all and no bound mount brings it (the control socket must be seen inside); NULL: not.
 * Invariants: every target lies under the root (absolute, clean, without ".."); parents before children; the root and what is below it is
 * never a source; no target twice. Errors: -EINVAL where /proc, /sys or /dev is neither mounted on the host nor excluded nor given by `extra`, or
 * root_path is "/".
 */
int plan_make(struct plan *plan, const struct conf *conf, const struct table *host, const char *root_path, const char *run_dir, struct err *err);

void plan_clear(struct plan *plan);

/* How many of the steps are binds. */
size_t plan_count_binds(const struct plan *plan);

/* plan_print.c: the plan for people, as a shell script that does the same by hand, or as JSON. */
enum plan_format { PLAN_TEXT, PLAN_SH, PLAN_JSON };
int plan_print(const struct plan *plan, enum plan_format format, FILE *out, struct err *err);

#endif
