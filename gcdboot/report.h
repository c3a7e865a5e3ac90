/* report: all that `status` tells about an OS, gathered before anything is printed. */
#ifndef GCDBOOT_REPORT_H
#define GCDBOOT_REPORT_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "err.h"
#include "procs.h"
#include "rundir.h"
#include "state.h"
#include "table.h"

struct report {
	const char *name;
	bool running;    /* an OS is up, is coming up, or is stuck on its way down */
	bool supervised; /* its supervisor lives */
	bool degraded;   /* a boot command failed, a daemon died, the disk is gone, or there is no supervisor */
	bool gone;       /* its disk has been taken away */
	struct state state;
	struct procs procs;
	struct table table;                  /* the OS's mounts, as it sees them; empty where they cannot be had */
	uint64_t overlay_size, overlay_used; /* of an overlay's tmpfs, in bytes; 0 where they cannot be had */
};

/* Gathers it. Nothing running is no error: report->running is false then. Returns 0 or -errno. Free with report_clear() either way. */
int report_gather(struct report *report, const char *name, const struct rundir *rundir, struct err *err);
void report_clear(struct report *report);

/* A swap area that the boot turned on, as the OS names it: /proc/swaps has the host's path to it. Points into the state. */
const char *report_swap(const struct report *report, size_t index);

/* What became of a boot command, in words: "exit status 1", "running"; into a buffer of 64 bytes. */
void report_command_end(const struct state_command *command, char text[64]);

/* report_text.c, report_json.c */
int report_print_text(const struct report *report, FILE *out, struct err *err);
int report_print_json(const struct report *report, FILE *out, struct err *err);

#endif
