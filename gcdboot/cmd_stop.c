/* cmd_stop: shuts the OS down, unmounts, detaches. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/sysmacros.h>

#include "cmd.h"
#include "control.h"
#include "device.h"
#include "device_use.h"
#include "host.h"
#include "interop_link.h"
#include "procs.h"
#include "shutdown.h"
#include "supervise.h"
#include "teardown.h"

#define SOCKET_MS 5000 /* how long a supervisor that has just begun may take to open its socket */
#define LOOK_MS 20
#define TIMEOUT_DEFAULT_MS 8000

/* Shows what the supervisor tells, until it is done. */
static int follow(int socket, struct err *err)
{
	int fds[CONTROL_FDS];

	for (;;) {
		struct control_reply reply;
		int r = control_receive(socket, &reply, fds, -1, err);

		for (int i = 0; i < CONTROL_FDS; i++)
			cleanup_close(&fds[i]);
		if (r < 0)
			return r;
		if (reply.type == CONTROL_LINE)
			log_note("%s", reply.text);
		else if (reply.type == CONTROL_DONE)
			return 0;
		else
			return err_set(err, reply.status < 0 ? reply.status : -EIO, "%s", reply.text);
	}
}

/* What the configuration says of stopping, for an OS that has no supervisor any more; the defaults where it cannot be read. */
static void read_stop_conf(const struct state *state, struct conf *conf)
{
	struct strlist warnings = { 0 };
	char name[65];
	struct err err;

	host_name(name);
	if (!state->conf_file || conf_read(conf, state->conf_file, name, &warnings, &err) < 0) {
		log_warn("stopping without the configuration: %s", state->conf_file ? err.msg : "its name is not known");
		conf_clear(conf);
		*conf = (struct conf){ .stop = { .timeout_ms = TIMEOUT_DEFAULT_MS } };
	}
	strlist_clear(&warnings);
}

static int shut_down(const struct cmd_options *options, struct state *state, int ns, int root, struct err *err)
{
	struct conf conf = { 0 };
	struct spawn spawn = { .ns = ns, .root = root, .caps_drop = &state->caps_drop, .env_pass = &state->env_pass, .environment = options->environment };
	struct shutdown shutdown = { .state = state, .spawn = &spawn, .commands = &conf.stop.run };
	int r;

	read_stop_conf(state, &conf);
	shutdown.timeout_ms = options->timeout_ms ? options->timeout_ms : conf.stop.timeout_ms;
	shutdown.null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	shutdown.log_fd = shutdown.null_fd;
	r = shutdown_run(&shutdown, err);
	cleanup_close(&shutdown.null_fd);
	cleanup_close(&spawn.ns);
	cleanup_close(&spawn.root);
	conf_clear(&conf);
	return r;
}

static bool is_mounted_here(const struct state *state)
{
	struct table table = { 0 };
	bool is = table_read(&table, NULL, NULL) == 0 && device_mount(&table, makedev(state->dev_major, state->dev_minor));

	table_clear(&table);
	return is;
}

/*
 * A supervisor that was ended by a signal could not wait for those who hold the disk. Where somebody has mounted it himself since, they are not our
 * business.
 */
static int name_holders(const struct state *state, struct err *err)
{
	struct strlist holders = { 0 };
	int r = 0;

	if (!state->block || device_is_free(state->device) != 0 || is_mounted_here(state))
		return 0;
	if (procs_holders(&holders, state->root, state->dev_major, state->dev_minor, NULL) == 0 && holders.count > 0)
		r = err_set(err, -EBUSY, "the OS has ended, but %s is still in use", state->device);
	for (size_t i = 0; i < holders.count; i++)
		log_warn("%s", holders.str[i]);
	strlist_clear(&holders);
	return r;
}

/* No process of the OS lives. Its own namespace went with the last of them; mounts in the host's are still there. */
static int clear_remains(const struct state *state, struct err *err)
{
	struct strlist left = { 0 };
	char boot_id[40];
	int r = 0;

	host_boot_id(boot_id);
	/* What a machine that was restarted since has mounted there is its own. */
	if (strcmp(boot_id, state->boot_id) == 0 && state->root)
		r = state->namespace_host ? teardown_mounts(state, -1, TIMEOUT_DEFAULT_MS, TIMEOUT_DEFAULT_MS, &left, err) : name_holders(state, err);
	for (size_t i = 0; i < left.count; i++)
		log_warn("still mounted: %s", left.str[i]);
	strlist_clear(&left);
	if (r == 0)
		teardown_directories(state);
	return r;
}

/* No supervisor holds the lock (we do): either nothing runs, or its supervisor was killed. */
static int stop_orphan(const struct cmd_options *options, struct rundir *rundir, struct err *err)
{
	struct state state = { 0 };
	int ns = -1, root = -1, r;

	/* The caller may sit in the OS itself (an escaped shell): its terminal goes away with that, the stop must not. */
	signal(SIGHUP, SIG_IGN);
	signal(SIGPIPE, SIG_IGN);
	r = state_load(&state, rundir->path, err);
	if (r < 0) {
		r = r == -ENOENT ? 0 : r;
		cmd_tell_not_running(options);
	} else if (supervise_find_os(&state, &ns, &root, NULL) == 0) {
		log_note("the supervisor (pid %d) is gone, the OS lives on: stopping it", state.pid);
		r = shut_down(options, &state, ns, root, err);
	} else {
		r = clear_remains(&state, err);
		if (r == 0)
			shutdown_give_back(&state, options->environment, TIMEOUT_DEFAULT_MS);
		if (r == 0)
			cmd_tell_not_running(options);
	}
	if (r == 0 || r == SHUTDOWN_LOST) {
		interop_link_remove(state.interop_link);
		rundir_remove(rundir, r == 0);
	}
	state_clear(&state);
	return r;
}

/* Nothing is to be made for a stop of nothing. */
static bool has_rundir(const struct rundir *rundir)
{
	return access(rundir->path, F_OK) == 0;
}

static int stop(const struct cmd_options *options, struct rundir *rundir, struct err *err)
{
	for (int waited = 0;; waited += LOOK_MS) {
		int socket = control_ask(rundir->control, CONTROL_STOP, options->timeout_ms ? options->timeout_ms : -1, err);
		int r;

		if (socket >= 0) {
			r = follow(socket, err);
			close(socket);
			/* It ended while we waited in its queue: whatever happened, look again. */
			if (r != -ECONNRESET)
				return r;
		}
		if (!has_rundir(rundir)) {
			cmd_tell_not_running(options);
			return 0;
		}
		r = rundir_lock(rundir, err);
		if (r == 0)
			return stop_orphan(options, rundir, err);
		if (r != -EALREADY || waited >= SOCKET_MS)
			return r == -EALREADY
				   ? err_set(err, -ETIMEDOUT, "the supervisor holds %s/lock, but does not answer on %s", rundir->path, rundir->control)
				   : r;
		poll(NULL, 0, LOOK_MS);
	}
}

int cmd_stop(const struct cmd_options *options, struct err *err)
{
	struct rundir rundir;
	int r = rundir_name(&rundir, options->name, err);

	if (r == 0)
		r = host_check_privilege(err);
	return r == 0 ? stop(options, &rundir, err) : r;
}
