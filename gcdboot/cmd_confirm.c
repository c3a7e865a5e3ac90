/* cmd_confirm: confirms that the OS can be reached; without that, in time, its supervisor stops it. */
#include <errno.h>
#include <poll.h>
#include <string.h>

#include "cmd.h"
#include "control.h"
#include "host.h"
#include "report.h"
#include "state.h"

#define LOOK_MS 20
#define SLICE_MS 500    /* between two looks at what a supervisor does that does not answer */
#define ANSWER_MS 10000 /* how long it may take: one that is busy with a stop never answers */

/* Whether the OS is on its way down: then no supervisor confirms it any more. */
static bool is_stopping(const struct rundir *rundir)
{
	struct state state = { 0 };
	bool stopping = state_load(&state, rundir->path, NULL) == 0 && state.phase >= PHASE_STOPPING;

	state_clear(&state);
	return stopping;
}

static int too_late(struct err *err)
{
	err_set(err, -ETIME, "too late: the OS is being stopped");
	return EXIT_UNCONFIRMED;
}

/* The supervisor's answer, as an exit status; -ECONNRESET where it went away. */
static int read_answer(const struct rundir *rundir, int socket, struct err *err)
{
	struct control_reply reply;
	int fds[CONTROL_FDS], r;

	for (int waited = 0;; waited += SLICE_MS) {
		r = control_receive(socket, &reply, fds, SLICE_MS, err);
		for (int i = 0; i < CONTROL_FDS; i++)
			cleanup_close(&fds[i]);
		if (r != -ETIMEDOUT)
			break;
		if (is_stopping(rundir))
			return too_late(err);
		if (waited >= ANSWER_MS)
			return err_set(err, -ETIMEDOUT, "no answer from the supervisor: `gcdboot status` tells whether the OS is confirmed");
	}
	if (r < 0)
		return r;
	if (reply.type == CONTROL_DONE) {
		log_note("%s", reply.text);
		return EXIT_DONE;
	}
	r = err_set(err, reply.status < 0 ? reply.status : -EPROTO, "%s", reply.text);
	return r == -ETIME ? EXIT_UNCONFIRMED : r;
}

/* With the lock of a supervisor that was killed: whoever takes over reads the state. */
static int confirm_state(struct state *state, const struct rundir *rundir, struct err *err)
{
	if (state->phase >= PHASE_STOPPING)
		return too_late(err);
	if (!state_awaits_confirm(state)) {
		log_note(state->confirmed ? "the OS is confirmed already" : "nothing to confirm: the OS stays");
		return EXIT_DONE;
	}
	if (state_confirm_left(state) == 0) {
		err_set(err, -ETIME, "too late: the supervisor (pid %d) is gone, and the next `gcdboot` stops the OS", state->pid);
		return EXIT_UNCONFIRMED;
	}
	state->confirmed = true;
	if (state_save(state, rundir->path, err) < 0)
		return err_prefix(err, -EIO, "not confirmed");
	log_note("confirmed: the OS stays, but its supervisor (pid %d) is gone: `gcdboot` takes it over", state->pid);
	return EXIT_DONE;
}

static int confirm_orphan(struct rundir *rundir, struct err *err)
{
	struct state state = { 0 };
	int r = rundir_lock(rundir, err);

	if (r < 0)
		return r;
	r = state_load(&state, rundir->path, err);
	if (r == 0)
		r = confirm_state(&state, rundir, err);
	rundir_unlock(rundir);
	state_clear(&state);
	return r;
}

/* Inside the OS its processes look like those of a host: that we are one of them is all there is to know. */
static bool is_inside(const struct state *state)
{
	struct host_ns own;
	char boot_id[40];

	host_boot_id(boot_id);
	return strcmp(boot_id, state->boot_id) == 0 && !state->namespace_host && host_own_ns(&own) == 0 && own.dev == state->ns.dev && own.ino == state->ns.ino;
}

static int tell_not_running(const struct cmd_options *options, struct err *err)
{
	err->msg[0] = '\0';
	cmd_tell_not_running(options);
	return EXIT_NOT_RUNNING;
}

/* Nobody answers: nothing runs, or its supervisor was killed. -EAGAIN where one lives: it has just begun, or just ended. */
static int confirm_without_supervisor(const struct cmd_options *options, struct rundir *rundir, struct err *err)
{
	struct report report;
	int r;

	if (rundir_is_locked(rundir))
		return -EAGAIN;
	r = report_gather(&report, options->name, rundir, err);
	if (r == 0)
		r = report.running || is_inside(&report.state) ? confirm_orphan(rundir, err) : tell_not_running(options, err);
	report_clear(&report);
	/* Taken over, or gone, between one look and the next. */
	return r == -EALREADY || r == -ENOENT ? -EAGAIN : r;
}

int cmd_confirm(const struct cmd_options *options, struct err *err)
{
	struct rundir rundir;
	int r = rundir_name(&rundir, options->name, err);

	if (r == 0)
		r = host_check_root(err);
	if (r < 0)
		return r;
	for (int waited = 0; waited < ANSWER_MS; waited += LOOK_MS) {
		auto_close int socket = control_ask(rundir.control, CONTROL_CONFIRM, -1, err);

		r = socket < 0 ? socket : read_answer(&rundir, socket, err);
		if (r != -ECONNRESET && r != -ECONNREFUSED && r != -ENOENT && r != -EPIPE)
			return r;
		r = confirm_without_supervisor(options, &rundir, err);
		if (r != -EAGAIN)
			return r;
		poll(NULL, 0, LOOK_MS);
	}
	return err_set(err, -ETIMEDOUT, "the supervisor holds %s/lock, but does not answer on %s", rundir.path, rundir.control);
}
