/* supervise_stop: the ways in which a supervisor ends. */
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/wait.h>

#include "control_server.h"
#include "log.h"
#include "notify.h"
#include "shutdown.h"
#include "supervisor.h"
#include "teardown.h"

#define LOOK_MS 20

/* Ends the loop: an orderly end, or with the error that s->err holds. */
static void finish(struct supervisor *s, int r)
{
	s->done = true;
	s->result = r;
}

static int shut_down(struct supervisor *s, const struct strlist *commands, int timeout_ms, struct err *err)
{
	struct shutdown shutdown = {
		.state = &s->state,
		.spawn = &s->spawn,
		.commands = commands,
		.supervisor = getpid(),
		.null_fd = s->null_fd,
		.log_fd = s->log_fd,
		.timeout_ms = timeout_ms,
	};
	int r;

	s->state.phase = PHASE_STOPPING;
	supervisor_save(s);
	notify_send(s->setup->notify_socket, "STOPPING=1");
	r = shutdown_run(&shutdown, err);
	if (r < 0 && r != SHUTDOWN_LOST) {
		s->state.phase = PHASE_STUCK;
		supervisor_save(s);
	}
	return r;
}

/* The builder is dead; what it has started to have a disk attached is our child now, and is to be done with that before the disk is given back. */
static void wait_children(int timeout_ms)
{
	for (int waited = 0; waited < timeout_ms && waitpid(-1, NULL, WNOHANG) >= 0; waited += LOOK_MS)
		poll(NULL, 0, LOOK_MS);
}

/* What a builder that was killed has left behind: nothing, but with mount = host. Its own failures it undoes itself. Returns whether nothing is left. */
static bool undo_building(struct supervisor *s)
{
	struct strlist left = { 0 };
	struct err err = { 0 };
	int timeout_ms = s->setup->conf->stop.timeout_ms, r = 0;

	if (s->state.namespace_host && s->state.root)
		r = teardown_mounts(&s->state, -1, timeout_ms, timeout_ms, &left, &err);
	if (r < 0)
		log_error("while undoing the boot: %s", err.msg);
	for (size_t i = 0; i < left.count; i++)
		log_warn("still mounted: %s", left.str[i]);
	strlist_clear(&left);
	if (r == 0) {
		teardown_directories(&s->state);
		if (s->state.detach)
			wait_children(timeout_ms / 2);
		shutdown_give_back(&s->state, s->setup->environment, timeout_ms);
	} else {
		s->state.phase = PHASE_STUCK;
	}
	return r == 0;
}

static bool undo_os(struct supervisor *s)
{
	struct err err = { 0 };
	int r = shut_down(s, NULL, s->setup->conf->stop.timeout_ms, &err);

	if (r < 0)
		log_error("while undoing the boot: %s", err.msg);
	return r == 0 || r == SHUTDOWN_LOST;
}

/* s->err already says why; whether it could be undone is added. */
static void add_outcome(struct supervisor *s, bool undone)
{
	size_t len = strlen(s->err->msg);

	snprintf(s->err->msg + len, sizeof s->err->msg - len, "; %s", undone ? "everything is undone" : "something is left, `gcdboot stop` tries again");
}

void supervisor_roll_back(struct supervisor *s, int why)
{
	bool began = s->spawn.ns >= 0 || why == -EINTR || why == -ETIME, undone;

	if (s->builder.socket >= 0)
		builder_abandon(&s->builder);
	undone = s->spawn.ns < 0 ? undo_building(s) : undo_os(s);
	if (!undone)
		supervisor_save(s);
	if (began || !undone)
		add_outcome(s, undone);
	finish(s, why);
}

static void interrupt_boot(struct supervisor *s)
{
	supervisor_roll_back(s, err_set(s->err, -EINTR, "stopped before the OS was up"));
}

/* A stop by signal: the supervisor ends in any case. */
void supervisor_stop_by_signal(struct supervisor *s)
{
	if (s->state.phase == PHASE_BUILDING || s->state.phase == PHASE_BOOTING)
		interrupt_boot(s);
	else
		finish(s, shut_down(s, &s->setup->conf->stop.run, s->setup->conf->stop.timeout_ms, s->err));
}

/* As by signal, the supervisor ends in any case: who watches over it must see that, and nobody is there to ask it again. */
void supervisor_stop_unconfirmed(struct supervisor *s)
{
	const struct state *state = &s->state;
	char within[48];
	struct err err;
	int r;

	util_span(state->confirm_ms, within);
	if (state->phase == PHASE_BOOTING)
		err_set(s->err, -ETIME, "not confirmed within %s, while the boot command '%s' still ran", within, state->command[s->current].line);
	else
		err_set(s->err, -ETIME, "not confirmed within %s", within);
	if (state->phase != PHASE_UP) {
		supervisor_roll_back(s, -ETIME);
		return;
	}
	log_warn("%s: stopping the OS", s->err->msg);
	r = shut_down(s, &s->setup->conf->stop.run, s->setup->conf->stop.timeout_ms, &err);
	if (r < 0)
		log_error("%s", err.msg);
	add_outcome(s, r == 0);
	finish(s, -ETIME);
}

static void line_to_peer(void *arg, const char *line)
{
	control_reply_send(*(int *)arg, CONTROL_LINE, 0, line, NULL, 0);
}

/* A stop by request: where something is left, the supervisor stays, so that it can be asked again. */
void supervisor_stop_by_request(struct supervisor *s, int peer, int timeout_ms)
{
	struct err err = { 0 };
	int r = 0;

	if (timeout_ms <= 0)
		timeout_ms = s->setup->conf->stop.timeout_ms;
	log_tee(line_to_peer, &peer);
	if (s->state.phase == PHASE_BUILDING || s->state.phase == PHASE_BOOTING) {
		interrupt_boot(s);
		if (s->state.phase == PHASE_STUCK)
			r = err_set(&err, -EBUSY, "%s", s->err->msg);
	} else {
		r = shut_down(s, &s->setup->conf->stop.run, timeout_ms, &err);
		if (r == 0 || r == SHUTDOWN_LOST) {
			finish(s, r);
			*s->err = err;
		}
	}
	log_tee(NULL, NULL);
	/* Before the answer: who has it may boot again at once. */
	if (s->done && (r == 0 || r == SHUTDOWN_LOST))
		rundir_remove(s->setup->rundir, s->result == 0);
	control_reply_send(peer, r == 0 ? CONTROL_DONE : CONTROL_FAILED, r, r == 0 ? NULL : err.msg, NULL, 0);
}
