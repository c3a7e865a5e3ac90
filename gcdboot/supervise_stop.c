/* supervise_stop: the ways in which a supervisor ends. */
#include <errno.h>

#include "control_server.h"
#include "log.h"
#include "notify.h"
#include "shutdown.h"
#include "supervisor.h"
#include "teardown.h"

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
	if (r < 0) {
		s->state.phase = PHASE_STUCK;
		supervisor_save(s);
	}
	return r;
}

/* What a builder that was killed has left behind: nothing, but with mount = host. Its own failures it undoes itself. */
static void undo_building(struct supervisor *s)
{
	struct strlist left = { 0 };
	struct err err;

	if (s->state.namespace_host && s->state.root && teardown_mounts(&s->state, -1, s->setup->conf->stop.timeout_ms, &left, &err) < 0)
		log_error("while undoing the boot: %s", err.msg);
	for (size_t i = 0; i < left.count; i++)
		log_warn("still mounted: %s", left.str[i]);
	strlist_clear(&left);
	teardown_directories(&s->state);
}

/* s->err already says why; what the undoing itself could not do is only told. */
void supervisor_roll_back(struct supervisor *s, int why)
{
	struct err err;

	if (s->builder.socket >= 0)
		builder_abandon(&s->builder);
	if (s->spawn.ns < 0)
		undo_building(s);
	else if (shut_down(s, NULL, s->setup->conf->stop.timeout_ms, &err) < 0)
		log_error("while undoing the boot: %s", err.msg);
	finish(s, why);
}

static void interrupt_boot(struct supervisor *s)
{
	supervisor_roll_back(s, err_set(s->err, -EINTR, "stopped before the OS was up; everything is undone"));
}

/* A stop by signal: the supervisor ends in any case. */
void supervisor_stop_by_signal(struct supervisor *s)
{
	if (s->state.phase == PHASE_BUILDING || s->state.phase == PHASE_BOOTING)
		interrupt_boot(s);
	else
		finish(s, shut_down(s, &s->setup->conf->stop.run, s->setup->conf->stop.timeout_ms, s->err));
}

static void line_to_peer(void *arg, const char *line)
{
	control_reply_send(*(int *)arg, CONTROL_LINE, 0, line, NULL, 0);
}

/* A stop by request: where something is left, the supervisor stays, so that it can be asked again. */
void supervisor_stop_by_request(struct supervisor *s, int peer, int timeout_ms)
{
	struct err err;
	int r = 0;

	if (timeout_ms <= 0)
		timeout_ms = s->setup->conf->stop.timeout_ms;
	log_tee(line_to_peer, &peer);
	if (s->state.phase == PHASE_BUILDING || s->state.phase == PHASE_BOOTING)
		interrupt_boot(s);
	else {
		r = shut_down(s, &s->setup->conf->stop.run, timeout_ms, &err);
		if (r == 0)
			finish(s, 0);
	}
	log_tee(NULL, NULL);
	if (s->done)
		rundir_remove(s->setup->rundir, s->result == 0);
	control_reply_send(peer, r == 0 ? CONTROL_DONE : CONTROL_FAILED, r, r == 0 ? NULL : err.msg, NULL, 0);
}
