/* report: all that `status` tells about an OS, gathered before anything is printed. */
#include "report.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/wait.h>

#include "control.h"
#include "device_use.h"
#include "path.h"
#include "spawn.h"
#include "supervise.h"

/* The child: stands in the OS until it is killed, so that its /proc/PID/mountinfo is the OS's table, as seen from its root. */
static void stand_in_os(const int fds[CONTROL_FDS], int ready)
{
	struct strlist none = { 0 };
	struct spawn spawn = { .ns = fds[0], .root = fds[1], .caps_drop = &none };
	struct host_ns own;
	struct stat st;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (fstat(fds[0], &st) == 0 && host_own_ns(&own) == 0 && own.dev == st.st_dev && own.ino == st.st_ino)
		spawn.ns = -1;
	if (spawn_enter(&spawn, NULL) < 0 || write(ready, "", 1) != 1)
		_exit(1);
	for (;;)
		pause();
}

static int read_table_of(struct report *report, const int fds[CONTROL_FDS])
{
	int ready[2], r = -ESRCH;
	char path[64], byte;
	pid_t pid;

	if (pipe2(ready, O_CLOEXEC) < 0)
		return -errno;
	pid = fork();
	if (pid == 0)
		stand_in_os(fds, ready[1]);
	close(ready[1]);
	snprintf(path, sizeof path, "/proc/%d/mountinfo", pid);
	if (pid > 0 && read(ready[0], &byte, 1) == 1)
		r = table_read(&report->table, path, NULL);
	close(ready[0]);
	if (pid > 0) {
		kill(pid, SIGKILL);
		waitpid(pid, NULL, 0);
	}
	return r;
}

/* How full the tmpfs is: an overlay tells that of its upper layer, and no server is asked for it. */
static void read_overlay(struct report *report, int root)
{
	struct statvfs fs;

	if (fstatvfs(root, &fs) < 0)
		return;
	report->overlay_size = (uint64_t)fs.f_blocks * fs.f_frsize;
	report->overlay_used = (uint64_t)(fs.f_blocks - fs.f_bfree) * fs.f_frsize;
}

/* The OS's own mount table. Where it cannot be had (it is on its way up or down) the report goes without. */
static void read_table(struct report *report, const struct rundir *rundir)
{
	int fds[CONTROL_FDS] = { -1, -1 };
	int r = report->supervised ? control_get_fds(rundir->control, CONTROL_GET_OS, fds, NULL) : supervise_find_os(&report->state, &fds[0], &fds[1], NULL);

	if (r == 0)
		read_table_of(report, fds);
	if (r == 0 && report->state.overlay)
		read_overlay(report, fds[1]);
	for (int i = 0; i < CONTROL_FDS; i++)
		cleanup_close(&fds[i]);
}

static bool lives(const struct state *state, const struct procs *procs)
{
	return procs->count > 0 || (state->namespace_host && state->phase != PHASE_BUILDING);
}

int report_gather(struct report *report, const char *name, const struct rundir *rundir, struct err *err)
{
	int r;

	*report = (struct report){ .name = name, .supervised = rundir_is_locked(rundir) };
	r = state_load(&report->state, rundir->path, err);
	if (r == -ENOENT || (r == 0 && !report->state.root)) {
		err->msg[0] = '\0'; /* nothing to read is an answer */
		report->running = report->supervised;
		return 0;
	}
	if (r < 0)
		return r;
	r = procs_find(&report->procs, &report->state, report->supervised ? report->state.pid : 0, err);
	if (r < 0)
		return r;
	report->running = report->supervised || lives(&report->state, &report->procs);
	report->gone = report->running && report->state.block && device_is_gone(report->state.dev_major, report->state.dev_minor, report->state.device);
	report->degraded = report->running && (report->gone || !report->supervised || state_degraded(&report->state) || report->state.phase == PHASE_STUCK);
	if (report->running)
		read_table(report, rundir);
	return 0;
}

void report_clear(struct report *report)
{
	state_clear(&report->state);
	procs_clear(&report->procs);
	table_clear(&report->table);
	*report = (struct report){ 0 };
}

const char *report_swap(const struct report *report, size_t index)
{
	const char *path = report->state.swaps.str[index];

	return path_is_below(path, report->state.root) ? path + strlen(report->state.root) : path;
}

void report_command_end(const struct state_command *command, char text[64])
{
	if (command->run == RUN_PENDING)
		snprintf(text, 64, "not run yet");
	else if (command->run == RUN_LEFT_OUT)
		snprintf(text, 64, "left out: not in this root");
	else if (command->run == RUN_RUNNING)
		snprintf(text, 64, "running");
	else if (command->timed_out)
		snprintf(text, 64, "took too long, ended");
	else if (command->status == -1)
		snprintf(text, 64, "ended");
	else if (WIFSIGNALED(command->status))
		snprintf(text, 64, "killed by signal %d", WTERMSIG(command->status));
	else if (WEXITSTATUS(command->status) || command->kind == COMMAND_DAEMON)
		snprintf(text, 64, "exit status %d", WEXITSTATUS(command->status));
	else
		snprintf(text, 64, "ok");
}
