/* supervisor: what the parts of the supervising process share. Only they include it. */
#ifndef GCDBOOT_SUPERVISOR_H
#define GCDBOOT_SUPERVISOR_H

#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "builder.h"
#include "interop_link.h"
#include "spawn.h"
#include "state.h"
#include "supervise.h"

#define PEERS_MAX 32
#define WATCHES_MAX 32

struct supervisor {
	const struct supervise *setup;
	struct state state;
	struct spawn spawn;
	int host[2]; /* the host's mount namespace and root, for chroot_escape */
	int null_fd, log_fd, signals, listener;
	struct builder builder;
	struct interop_link interop; /* WSL */
	size_t current;              /* the boot command that is waited for */
	int64_t began, deadline;     /* of it, in ms; deadline 0: none */
	unsigned signals_sent;       /* to a command that takes too long */
	off_t output;                /* where its output begins in the boot log */
	struct peer {
		int fd;
	} peers[PEERS_MAX];
	size_t peer_count;
	struct watch { /* processes that are not our children: after a take-over */
		int fd;
		size_t command;
	} watches[WATCHES_MAX];
	size_t watch_count;
	int64_t next_look; /* at commands that have no watch, in ms */
	bool ready_sent, done;
	int result;
	struct err *err;
};

/* supervise.c */
void supervisor_save(struct supervisor *s);
void supervisor_ready(struct supervisor *s, int r);

/* supervise_boot.c: the boot commands, one after the other. */
void supervisor_start_next(struct supervisor *s);                                /* the next that is to be waited for; none left: the OS is up */
void supervisor_process_ended(struct supervisor *s, size_t command, int status); /* status -1: not known */
void supervisor_reap(struct supervisor *s);
void supervisor_end_slow_command(struct supervisor *s); /* its time is over */

/* supervise_stop.c: the ways to an end. Each sets s->done where the supervisor is to end. */
void supervisor_roll_back(struct supervisor *s, int why); /* undoes a boot that failed; s->err says why */
void supervisor_stop_by_signal(struct supervisor *s);
void supervisor_stop_by_request(struct supervisor *s, int peer, int timeout_ms);

void supervisor_stop_unconfirmed(struct supervisor *s); /* the time to confirm it is over; result -ETIME in any case */

/* supervise_confirm.c: an OS that is stopped unless it is confirmed in time. */
void supervisor_begin_confirm(struct supervisor *s);
bool supervisor_is_unconfirmed(const struct supervisor *s); /* the time is over */
void supervisor_confirm(struct supervisor *s, int peer);

/* supervise_adopt.c: an OS whose supervisor died. */
int supervisor_take_over(struct supervisor *s);
bool supervisor_has_orphans(const struct supervisor *s); /* commands that nothing but a look now and then can watch */
void supervisor_look_at_orphans(struct supervisor *s);
void supervisor_take_watches(struct supervisor *s, const struct pollfd *fds);

/* supervise_serve.c: the control socket. */
void supervisor_accept(struct supervisor *s);
void supervisor_take_peers(struct supervisor *s, const struct pollfd *fds, size_t count);

#endif
