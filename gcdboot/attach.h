/* attach: has Windows hand over the disk of [wsl] attach, and takes it back there. */
#ifndef GCDBOOT_ATTACH_H
#define GCDBOOT_ATTACH_H

#include <stdbool.h>

#include "err.h"
#include "windows_disk.h"
#include "windows_run.h"

/* Never blocks: one waits for the disk meanwhile. */
struct attach {
	const char *spec;         /* as in the configuration: \\.\PHYSICALDRIVE1, serial:..., model:... */
	char *const *environment; /* the one gcdboot was started with */
	enum attach_step { ATTACH_IDLE, ATTACH_RESOLVING, ATTACH_ASKING, ATTACH_DONE } step;
	struct windows_run run;
	int number;        /* of the drive; -1: not known yet */
	int64_t again;     /* when it is tried again */
	unsigned failures; /* of wsl.exe, which has two places */
	unsigned tries;    /* that failed, and may succeed later */
	bool was_attached;
	struct err why; /* why it has not been handed over so far; "" while nothing has failed */
};

void attach_begin(struct attach *attach, const char *spec, char *const *environment);

/*
 * Does what can be done now: asks powershell.exe for the drive's number, has wsl.exe attach it, tries again after a failure that may pass. Returns 1 when
 * the disk has been handed over (or was so already), 0 while it is not, or -errno with err where it never will be.
 */
int attach_go_on(struct attach *attach, struct err *err);

/* A descriptor that becomes readable when attach_go_on() has something to do; -1: none. */
int attach_fd(const struct attach *attach);

/* In how many milliseconds attach_go_on() has something to do, at the latest; -1: not at all. */
int attach_due_ms(const struct attach *attach);

/* Lets go of a program that still runs: it runs on. */
void attach_end(struct attach *attach);

/*
 * Gives the disk back to Windows: asks for its number where spec is not one, and runs wsl.exe --unmount, within limit_ms. A disk that is not attached is no
 * error. Returns 0 or -errno with err, which says what to type.
 */
int attach_give_back(const char *spec, char *const *environment, int limit_ms, struct err *err);

#endif
