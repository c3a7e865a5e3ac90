/* builder: the child process that finds the disk, mounts it, binds the host into it, and hands the result to the supervisor. */
#ifndef GCDBOOT_BUILDER_H
#define GCDBOOT_BUILDER_H

#include <sys/types.h>

#include "build.h"
#include "err.h"
#include "state.h"

struct builder {
	pid_t pid;
	int socket;   /* readable when the builder has something to say */
	int ns, root; /* what it built; -1 until then */
	char *report;
	size_t report_len;
};

/* Forks the builder, for what `setup` says; note_attached and arg are its own. Returns 0 or -errno. */
int builder_start(struct builder *builder, const struct build *setup, struct err *err);

/*
 * Reads what the builder has sent. Returns -EAGAIN until it is complete; -EINPROGRESS where state->attached has changed meanwhile, which is to be
 * saved; then 0 with ns and root open and `state` filled in (device, ids, what was skipped, the commands), or the builder's own -errno with its
 * message. What it did before it failed is undone already.
 */
int builder_read(struct builder *builder, struct state *state, struct err *err);

/* Kills it and forgets what it built: its mount namespace goes with it. */
void builder_abandon(struct builder *builder);

#endif
