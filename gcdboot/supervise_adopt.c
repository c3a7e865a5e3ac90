/* supervise_adopt: takes over an OS whose supervisor died. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "host.h"
#include "log.h"
#include "notify.h"
#include "procs.h"
#include "supervisor.h"

static bool is_deleted(const char *link)
{
	size_t len = strlen(link), tail = strlen("deleted");

	return len > tail && strcmp(link + len - tail, "deleted") == 0;
}

/* By the mount, not by its path: that reads "//deleted" once the host has removed the mount point's directory. */
static bool has_root_mount(const struct state *state, pid_t pid)
{
	return state->root_mount && procs_root_mount(pid) == state->root_mount;
}

/* Opens both through one process; the root only where that process's root is the OS's own. */
static int open_through(const struct state *state, pid_t pid, int *ns, int *root)
{
	char path[64], link[PATH_MAX];
	ssize_t len;

	snprintf(path, sizeof path, "/proc/%d/root", pid);
	len = readlink(path, link, sizeof link - 1);
	link[len > 0 ? len : 0] = '\0';
	if (strcmp(link, state->root) != 0 && !(is_deleted(link) && has_root_mount(state, pid)))
		return -ESRCH;
	*root = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	snprintf(path, sizeof path, "/proc/%d/ns/mnt", pid);
	*ns = open(path, O_RDONLY | O_CLOEXEC);
	if (*root >= 0 && *ns >= 0)
		return 0;
	cleanup_close(root);
	cleanup_close(ns);
	return -ESRCH;
}

static bool is_in_namespace(const struct state *state, pid_t pid)
{
	struct host_ns ns;

	return state->namespace_host || (procs_ns(pid, &ns) == 0 && ns.dev == state->ns.dev && ns.ino == state->ns.ino);
}

int supervise_find_os(const struct state *state, int *ns, int *root, struct err *err)
{
	char boot_id[40];
	struct procs procs;
	int r;

	host_boot_id(boot_id);
	if (strcmp(boot_id, state->boot_id) != 0 || !state->root)
		return err_set(err, -ESRCH, "it ended with the machine");
	r = procs_find(&procs, state, 0, err);
	if (r < 0)
		return r;
	r = -ESRCH;
	/* The OS's own namespace first; one that a process of it has made for itself has a copy of it, and will do where nothing else lives. */
	for (int copies = 0; copies <= 1; copies++)
		for (size_t i = 0; i < procs.count && r < 0; i++)
			if (is_in_namespace(state, procs.proc[i].pid) != copies)
				r = open_through(state, procs.proc[i].pid, ns, root);
	procs_clear(&procs);
	return r < 0 ? err_set(err, -ESRCH, "no process of it lives") : 0;
}

/* A pidfd becomes readable when its process ends. */
static void watch_command(struct supervisor *s, size_t index)
{
	struct state_command *command = &s->state.command[index];
	int fd;

	if (command->run != RUN_RUNNING)
		return;
	fd = procs_alive(command->pid, command->start) ? (int)syscall(SYS_pidfd_open, command->pid, 0) : -1;
	if (fd >= 0 && s->watch_count < WATCHES_MAX)
		s->watches[s->watch_count++] = (struct watch){ .fd = fd, .command = index };
	else if (fd >= 0)
		close(fd);
	else if (!procs_alive(command->pid, command->start))
		supervisor_process_ended(s, index, -1);
}

int supervisor_take_over(struct supervisor *s)
{
	struct state *old = s->setup->adopt;
	pid_t before = old->pid;
	char confirm[160];
	int r;

	r = supervise_find_os(old, &s->spawn.ns, &s->spawn.root, s->err);
	if (r < 0)
		return r;
	free(old->interop_link);
	old->interop_link = s->state.interop_link;
	s->state.interop_link = NULL;
	state_clear(&s->state);
	s->state = *old;
	*old = (struct state){ 0 };
	s->state.pid = getpid();
	s->state.phase = PHASE_UP;
	for (size_t i = 0; i < s->state.command_count; i++)
		watch_command(s, i);
	supervisor_save(s);
	log_note("taken over: %s on %s lived on without its supervisor (pid %d)%s", s->state.device, s->state.root, before,
		 state_degraded(&s->state) ? "; degraded, see `gcdboot status`" : "");
	if (state_awaits_confirm(&s->state)) {
		state_confirm_text(&s->state, rundir_os_name(s->setup->rundir), confirm);
		log_note("%s", confirm);
	}
	/* Nobody watched when its time was over: it is stopped at once, and never said to be up. */
	if (supervisor_is_unconfirmed(s)) {
		supervisor_stop_unconfirmed(s);
		return 0;
	}
	notify_send(s->setup->notify_socket, "READY=1");
	supervisor_ready(s, 0);
	return 0;
}

/* Where the kernel has no pidfd: looks whether the commands that are not our children still live. */
void supervisor_look_at_orphans(struct supervisor *s)
{
	for (size_t i = 0; i < s->state.command_count; i++)
		if (s->state.command[i].run == RUN_RUNNING && !procs_alive(s->state.command[i].pid, s->state.command[i].start))
			supervisor_process_ended(s, i, -1);
}

bool supervisor_has_orphans(const struct supervisor *s)
{
	size_t running = 0;

	if (!s->setup->adopt)
		return false;
	for (size_t i = 0; i < s->state.command_count; i++)
		running += s->state.command[i].run == RUN_RUNNING;
	return running > s->watch_count;
}

/* Takes the watches that have become readable, the last first: a removed one gives its place to the last. */
void supervisor_take_watches(struct supervisor *s, const struct pollfd *fds)
{
	for (size_t i = s->watch_count; i-- > 0;) {
		if (!fds[i].revents)
			continue;
		if (s->state.command[s->watches[i].command].run == RUN_RUNNING)
			supervisor_process_ended(s, s->watches[i].command, -1);
		close(s->watches[i].fd);
		s->watches[i] = s->watches[--s->watch_count];
	}
}
