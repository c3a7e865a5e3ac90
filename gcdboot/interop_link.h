/* interop_link: on WSL, a link beside the interop sockets by which the processes of the OS find one that lives. */
#ifndef GCDBOOT_INTEROP_LINK_H
#define GCDBOOT_INTEROP_LINK_H

#include <stdbool.h>
#include <stdint.h>

#include "interop.h"

/*
 * WSL's interpreter of Windows programs goes by $WSL_INTEROP, else by /run/WSL/PID_interop for its parents upwards. All processes of the OS descend from
 * the supervisor, so a link of that name with the supervisor's pid is found from everywhere in it, also where a login has emptied the environment.
 */
struct interop_link {
	int inotify; /* -1: not on WSL, or none is to be had */
	bool active;
	bool watching;                    /* the directory is there */
	char path[INTEROP_PATH];          /* of the link */
	char variable[INTEROP_PATH + 16]; /* "WSL_INTEROP=" and the path of the link */
	char target[INTEROP_PATH];        /* the socket it leads to; "" while none answers */
	const char *preferred;            /* $WSL_INTEROP of who started us */
	int64_t look_at;
	int soon; /* how many looks are still to come quickly */
};

/* Begins to keep the link. `path` is that of an earlier supervisor that is to be kept up, NULL: /run/WSL/PID_interop of this process. */
void interop_link_begin(struct interop_link *link, const char *path, const char *preferred);

/* For a loop on poll(2): a descriptor (-1: none) that says when to call interop_link_look(), and the time after which to call it in any case (-1: never). */
int interop_link_fd(const struct interop_link *link);
int interop_link_due_ms(const struct interop_link *link);

/* Looks whether the socket still answers, and leads the link to another where it does not. Without any there is no link. */
void interop_link_look(struct interop_link *link);

/* Removes the link. */
void interop_link_end(struct interop_link *link);

/* Removes the link that a supervisor has left which was killed. NULL: nothing. */
void interop_link_remove(const char *path);

#endif
