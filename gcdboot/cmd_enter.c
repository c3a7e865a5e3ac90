/* cmd_enter: runs a command, or root's login shell, inside the OS. */
#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "cmd.h"
#include "control.h"
#include "host.h"
#include "interop.h"
#include "login.h"
#include "spawn.h"
#include "supervise.h"

/* From the supervisor, or, where that was killed, through a process of the OS. */
static int find_os(const struct rundir *rundir, struct state *state, int fds[CONTROL_FDS], struct err *err)
{
	int r = state_load(state, rundir->path, err);

	if (r == 0)
		r = control_get_fds(rundir->control, CONTROL_GET_OS, fds, err);
	if (r == 0 || rundir_is_locked(rundir))
		return r;
	if (state->root)
		r = supervise_find_os(state, &fds[0], &fds[1], err);
	return r < 0 ? err_set(err, -ESRCH, "the OS is not running: `gcdboot` starts it") : 0;
}

static bool is_own_ns(int ns)
{
	struct host_ns own;
	struct stat st;

	return fstat(ns, &st) == 0 && host_own_ns(&own) == 0 && own.dev == st.st_dev && own.ino == st.st_ino;
}

/* The supervisor's link, which stays good when a session ends; else a socket that answers now. As "WSL_INTEROP=..."; false: none does. */
static bool find_interop(const struct state *state, char *const *environment, char *variable, size_t size)
{
	char path[INTEROP_PATH];
	struct err err;

	if (state->interop_link && interop_answers(state->interop_link))
		snprintf(variable, size, "WSL_INTEROP=%s", state->interop_link);
	else if (interop_find(INTEROP_DIR, interop_variable(environment, "WSL_INTEROP"), path, &err) == 0)
		snprintf(variable, size, "WSL_INTEROP=%s", path);
	else
		return false;
	return true;
}

static int enter(const struct cmd_options *options, const struct state *state, const int fds[CONTROL_FDS], struct err *err)
{
	struct spawn spawn = {
		.ns = is_own_ns(fds[0]) ? -1 : fds[0],
		.root = fds[1],
		.caps_drop = &state->caps_drop,
		.env_pass = &state->env_pass,
		.environment = options->environment,
	};
	char interop[INTEROP_PATH + 16];
	struct login login;
	char **passed;
	char **environment;
	int r;

	if (host_kind() == HOST_WSL && find_interop(state, options->environment, interop, sizeof interop))
		spawn.interop = interop;
	passed = spawn_passed(&spawn);
	login_read(&login, fds[1]);
	environment = passed ? login_environment(&login, passed) : NULL;
	free(passed);
	if (!environment)
		return err_set(err, ENOMEM, "cannot make the environment");
	r = spawn_enter(&spawn, err);
	return r < 0 ? r : login_exec(&login, options->argv, environment, err);
}

int cmd_enter(const struct cmd_options *options, struct err *err)
{
	int fds[CONTROL_FDS] = { -1, -1 };
	struct state state = { 0 };
	struct rundir rundir;
	int r = rundir_name(&rundir, options->name, err);

	if (r == 0)
		r = host_check_privilege(err);
	if (r == 0)
		r = find_os(&rundir, &state, fds, err);
	if (r == 0)
		r = enter(options, &state, fds, err);
	for (int i = 0; i < CONTROL_FDS; i++)
		cleanup_close(&fds[i]);
	state_clear(&state);
	return r;
}
