/* shutdown: stops the OS and gives everything back, within a time. */
#include "shutdown.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "device.h"
#include "log.h"
#include "procs.h"
#include "teardown.h"
#include "text.h"

#define SLICE_MS 200 /* between two looks at who may have come while we unmount */
#define LOOK_MS 20   /* between two looks at who is left: a process of a namespace gives no event */
#define HOLDERS_MS 3000
#define KILL_MS 2000 /* the least time that killed processes and the kernel get after the deadline */

/* Waits for one child until the deadline, reaping whatever else ends meanwhile. Its wait status, or -1 where the time was over. */
static int wait_child(pid_t pid, int64_t deadline)
{
	int status;

	for (;;) {
		pid_t ended = waitpid(pid, &status, WNOHANG);

		if (ended == pid)
			return status;
		if ((ended < 0 && errno != EINTR) || util_now_ms() >= deadline)
			return -1;
		poll(NULL, 0, LOOK_MS);
	}
}

static void run_stop_command(struct shutdown *shutdown, const char *line, int64_t deadline)
{
	struct err err;
	pid_t pid;
	int status;

	log_step("%s", line);
	pid = spawn_shell(shutdown->spawn, line, shutdown->null_fd, shutdown->log_fd, &err);
	status = pid < 0 ? -1 : wait_child(pid, deadline);
	if (pid < 0)
		log_step_failed("%s", err.msg);
	else if (status < 0)
		log_step_failed("still running, left to the signals");
	else if (WIFSIGNALED(status))
		log_step_failed("killed by signal %d", WTERMSIG(status));
	else if (WEXITSTATUS(status) != 0)
		log_step_failed("exit status %d", WEXITSTATUS(status));
	else
		log_step_done("%s", "");
}

static void reap_all(void)
{
	while (waitpid(-1, NULL, WNOHANG) > 0)
		;
}

/* Whether it has had its TERM at the last look. A pid alone could have been given to another meanwhile. */
static bool had_term(const struct procs *before, const struct proc *proc)
{
	for (size_t i = 0; i < before->count; i++)
		if (before->proc[i].pid == proc->pid && before->proc[i].start == proc->start)
			return before->proc[i].told;
	return false;
}

static bool parent_lives(const struct procs *now, const struct proc *proc)
{
	for (size_t i = 0; i < now->count; i++)
		if (now->proc[i].pid == proc->parent)
			return true;
	return false;
}

static void signal_term(struct proc *proc)
{
	proc->told = true;
	kill(proc->pid, SIGTERM);
	/* An interactive shell ignores TERM and obeys HUP; a stopped process takes neither before CONT. */
	if (proc->has_tty)
		kill(proc->pid, SIGHUP);
	kill(proc->pid, SIGCONT);
}

/*
 * TERM to who has not had it yet. Who came after the first look, as the child of a process that has been told, is most likely what that one starts to end in
 * order (`trap 'sync; rm lock' TERM` in a script, a daemon's clean-up): it is left alone until its parent has ended, or patience has.
 */
static void tell_to_end(struct procs *now, const struct procs *before, bool patient)
{
	for (size_t i = 0; i < now->count; i++) {
		struct proc *proc = &now->proc[i];

		proc->told = had_term(before, proc);
		if (!proc->told && !(patient && parent_lives(now, proc)))
			signal_term(proc);
	}
}

/*
 * Tells every process of the OS to end, also those that appear on the way, until none is left or the deadline is over. Returns how many are left, or
 * -errno.
 */
static ssize_t end_processes(const struct shutdown *shutdown, bool by_force, int64_t deadline, struct err *err)
{
	int64_t patience = util_now_ms() + (deadline - util_now_ms()) / 2;
	struct procs before = { 0 };
	bool first = true;
	ssize_t left;

	for (;;) {
		struct procs now;
		int r;

		reap_all();
		r = procs_find(&now, shutdown->state, shutdown->supervisor, err);
		if (r < 0) {
			procs_clear(&before);
			return r;
		}
		for (size_t i = 0; by_force && i < now.count; i++)
			kill(now.proc[i].pid, SIGKILL);
		if (!by_force)
			tell_to_end(&now, &before, !first && util_now_ms() < patience);
		first = false;
		left = (ssize_t)now.count;
		procs_clear(&before);
		before = now;
		if (left == 0 || util_now_ms() >= deadline)
			break;
		poll(NULL, 0, LOOK_MS);
	}
	procs_clear(&before);
	return left;
}

static void tell_survivors(const struct shutdown *shutdown)
{
	struct procs left;

	if (procs_find(&left, shutdown->state, shutdown->supervisor, NULL) < 0)
		return;
	for (size_t i = 0; i < left.count; i++) {
		auto_free char *name = text_safe(left.proc[i].name);

		log_warn("pid %d (%s) did not end, even by KILL", left.proc[i].pid, name ? name : "?");
	}
	procs_clear(&left);
}

static void stop_processes(const struct shutdown *shutdown, int64_t term_deadline, int64_t kill_deadline)
{
	struct err err;
	ssize_t left;

	log_step("ending the processes of the OS");
	left = end_processes(shutdown, false, term_deadline, &err);
	if (left == 0) {
		log_step_done("%s", "");
		return;
	}
	if (left < 0) {
		log_step_failed("%s", err.msg);
		return;
	}
	left = end_processes(shutdown, true, kill_deadline, &err);
	if (left == 0) {
		log_step_done("some had to be killed");
		return;
	}
	log_step_failed("%zd left", left);
	tell_survivors(shutdown);
}

static void list_holders(const struct state *state)
{
	struct strlist holders = { 0 };

	/* A device that the root alone is on. */
	bool own = state->block || state->overlay;

	procs_holders(&holders, state->root, own ? state->dev_major : 0, own ? state->dev_minor : 0, NULL);
	for (size_t i = 0; i < holders.count; i++)
		log_warn("%s", holders.str[i]);
	strlist_clear(&holders);
}

/* In a child: the files in /proc of a process that hangs, and what it has open on a server that does, may not answer either. */
static void tell_holders(const struct state *state)
{
	pid_t pid = fork();

	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		list_holders(state);
		_exit(0);
	}
	if (pid > 0 && wait_child(pid, util_now_ms() + HOLDERS_MS) < 0) {
		kill(pid, SIGKILL);
		log_warn("who holds it could not be found out in time: a process of it hangs");
	}
}

/*
 * Unmounts until the deadline. Who was on the way into the OS when its processes were ended (`enter`, a boot command just started) is seen only now.
 */
static int unmount_all(const struct shutdown *shutdown, int64_t term_deadline, int64_t deadline, struct strlist *left, struct err *err)
{
	int ns = shutdown->state->namespace_host ? -1 : shutdown->spawn->ns;

	/* Asked again after its namespace was let go: -1 would be the host's own, where the same place and number are somebody else's mount. */
	if (!shutdown->state->namespace_host && ns < 0)
		return 0;
	for (;;) {
		int64_t ms = deadline - util_now_ms();
		int r;

		strlist_clear(left);
		ms = ms > 0 ? ms : 0;
		r = teardown_mounts(shutdown->state, ns, (int)(ms < SLICE_MS ? ms : SLICE_MS), (int)ms, left, err);
		if (r != -EBUSY || util_now_ms() >= deadline)
			return r;
		end_processes(shutdown, util_now_ms() >= term_deadline, util_now_ms(), NULL);
	}
}

static int unmount(struct shutdown *shutdown, int64_t term_deadline, int64_t deadline, struct err *err)
{
	struct state *state = shutdown->state;
	struct strlist left = { 0 };
	int r;

	log_step("unmounting %s", state->root);
	if (shutdown->spawn->root >= 0)
		close(take_fd(&shutdown->spawn->root));
	r = unmount_all(shutdown, term_deadline, deadline, &left, err);
	if (r == 0) {
		log_step_done("%s", "");
		return 0;
	}
	log_step_failed("%s", err->msg);
	for (size_t i = 0; i < left.count; i++)
		log_warn("still mounted: %s", left.str[i]);
	tell_holders(state);
	strlist_clear(&left);
	return r;
}

/* The kernel lets go of a device a moment after its last mount: tried until the deadline. */
static int check_device(const struct state *state, int64_t deadline, struct err *err)
{
	int r;

	if (!state->block)
		return 0;
	while ((r = device_is_free(state->device)) == 0 && util_now_ms() < deadline)
		poll(NULL, 0, LOOK_MS);
	if (r != 0)
		return 0; /* free, or gone */
	tell_holders(state);
	return err_set(err, -EBUSY, "%s is unmounted, but something still uses it", state->device);
}

int shutdown_run(struct shutdown *shutdown, struct err *err)
{
	int64_t began = util_now_ms(), end = began + shutdown->timeout_ms;
	int64_t term_deadline = began + (int64_t)shutdown->timeout_ms * 3 / 4;
	int64_t commands_deadline = began + shutdown->timeout_ms / 2;
	int64_t last = end > term_deadline + KILL_MS ? end : term_deadline + KILL_MS;
	int r;

	/* Asked again after something was left, the root is closed and the commands have been run. */
	for (size_t i = 0; shutdown->commands && shutdown->spawn->root >= 0 && i < shutdown->commands->count; i++)
		run_stop_command(shutdown, shutdown->commands->str[i], commands_deadline);
	stop_processes(shutdown, term_deadline, last);
	r = unmount(shutdown, term_deadline, last, err);
	if (r == 0) {
		/* The namespace goes with its last descriptor, and with it every mount that was made outside the root. */
		if (shutdown->spawn->ns >= 0)
			close(take_fd(&shutdown->spawn->ns));
		/* Its number may now be given to another namespace. */
		if (!shutdown->state->namespace_host)
			shutdown->state->ns = (struct host_ns){ 0 };
		r = check_device(shutdown->state, last, err);
	}
	if (r == 0)
		teardown_directories(shutdown->state);
	return r;
}
