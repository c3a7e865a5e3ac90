/* supervise: the process that builds the OS, runs its boot commands, and stays until it is stopped. */
#include "supervise.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "builder.h"
#include "control_server.h"
#include "log.h"
#include "mountpoint.h"
#include "notify.h"
#include "procs.h"
#include "shutdown.h"
#include "spawn.h"
#include "teardown.h"

#define PEERS_MAX 32
#define WATCHES_MAX 32
#define TICK_MS 1000
#define KILL_AFTER_MS 2000 /* between TERM and KILL for a boot command that took too long */
#define LOOK_MS 5000       /* at commands that we did not start, on kernels without pidfd */

struct supervisor {
	const struct supervise *setup;
	struct state state;
	struct spawn spawn;
	int host[2]; /* the host's mount namespace and root, for chroot_escape */
	int null_fd, log_fd, signals, listener;
	struct builder builder;
	size_t current;          /* the boot command that is waited for */
	int64_t began, deadline; /* of it, in ms; deadline 0: none */
	off_t output;            /* where its output begins in the boot log */
	struct peer {
		int fd;
	} peers[PEERS_MAX];
	size_t peer_count;
	struct watch { /* processes that are not our children: after a take-over */
		int fd;
		size_t command;
	} watches[WATCHES_MAX];
	size_t watch_count;
	bool ready_sent, done;
	int result;
	struct err *err;
};

static int64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void save(struct supervisor *s)
{
	struct err err;

	if (state_save(&s->state, s->setup->rundir->path, &err) < 0)
		log_warn("%s", err.msg);
}

static void tell_ready(struct supervisor *s, int r)
{
	if (!s->ready_sent && s->setup->ready)
		s->setup->ready(s->setup->ready_arg, r, s->err);
	s->ready_sent = true;
}

/* Ends the loop: an orderly end, or with the error that s->err holds. */
static void finish(struct supervisor *s, int r)
{
	s->done = true;
	s->result = r;
}

/* --- stopping --- */

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
	save(s);
	notify_send(s->setup->notify_socket, "STOPPING=1");
	r = shutdown_run(&shutdown, err);
	if (r < 0) {
		s->state.phase = PHASE_STUCK;
		save(s);
	}
	return r;
}

/* Undoes a boot that failed. s->err already says why; what the undoing itself could not do is only told. */
static void roll_back(struct supervisor *s, int why)
{
	struct err err;

	if (s->builder.socket >= 0)
		builder_abandon(&s->builder);
	if (s->spawn.ns >= 0 && shut_down(s, NULL, s->setup->conf->stop.timeout_ms, &err) < 0)
		log_error("while undoing the boot: %s", err.msg);
	else if (s->spawn.ns < 0)
		teardown_directories(&s->state);
	finish(s, why);
}

static void interrupt_boot(struct supervisor *s)
{
	roll_back(s, err_set(s->err, -EINTR, "stopped before the OS was up; everything is undone"));
}

/* A stop by signal: the supervisor ends in any case. */
static void stop_by_signal(struct supervisor *s)
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
static void stop_by_request(struct supervisor *s, int peer, int timeout_ms)
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

/* --- boot commands --- */

/* What the command said last, behind ": ", for those who do not see the boot log. */
static void last_output(const struct supervisor *s, char *text, size_t size)
{
	char buffer[1024], *line;
	off_t end = lseek(s->log_fd, 0, SEEK_END);
	off_t from = end - s->output > (off_t)sizeof buffer - 1 ? end - (off_t)sizeof buffer + 1 : s->output;
	ssize_t n = pread(s->log_fd, buffer, (size_t)(end - from), from);

	text[0] = '\0';
	while (n > 0 && buffer[n - 1] == '\n')
		n--;
	if (n <= 0)
		return;
	buffer[n] = '\0';
	line = strrchr(buffer, '\n');
	line = line ? line + 1 : buffer;
	for (char *p = line; *p; p++)
		if ((unsigned char)*p < 0x20 || *p == 0x7f)
			*p = '?';
	snprintf(text, size, ": %.*s", (int)size - 4, line);
}

static void describe_end(const struct supervisor *s, const struct state_command *command, char *text, size_t size)
{
	char output[1024];
	int n;

	if (command->timed_out)
		n = snprintf(text, size, "took longer than %d s and was ended", s->setup->conf->boot.timeout_ms / 1000);
	else if (WIFSIGNALED(command->status))
		n = snprintf(text, size, "killed by signal %d", WTERMSIG(command->status));
	else
		n = snprintf(text, size, "exit status %d", WEXITSTATUS(command->status));
	last_output(s, output, sizeof output);
	snprintf(text + n, size - (size_t)n, "%.600s", output);
}

static void boot_done(struct supervisor *s)
{
	struct state *state = &s->state;
	struct strlist now = { 0 };
	char since[32];

	teardown_list_swaps(&now);
	for (size_t i = 0; i < now.count; i++)
		if (!strlist_has(&state->swaps_before, now.str[i]))
			strlist_add(&state->swaps, now.str[i]);
	strlist_clear(&now);
	state->phase = PHASE_UP;
	save(s);
	state_time(state->since, since);
	log_note("up: %s on %s, since %s, supervised by pid %d%s", state->device, state->root, since, getpid(),
		 state_degraded(state) ? "; degraded, see `gcdboot status`" : "");
	notify_send(s->setup->notify_socket, "READY=1");
	tell_ready(s, 0);
}

static int start_command(struct supervisor *s, struct state_command *command)
{
	struct proc proc = { 0 };
	pid_t pid;

	log_step("%s", command->line);
	s->output = lseek(s->log_fd, 0, SEEK_END);
	s->began = now_ms();
	s->deadline = s->setup->conf->boot.timeout_ms ? s->began + s->setup->conf->boot.timeout_ms : 0;
	pid = spawn_shell(&s->spawn, command->line, s->null_fd, s->log_fd, s->err);
	if (pid < 0) {
		log_step_failed("%s", "");
		return pid;
	}
	command->run = RUN_RUNNING;
	command->pid = pid;
	if (procs_read(&proc, pid) == 0)
		command->start = proc.start;
	return 0;
}

/* Starts the next boot command that is to be waited for; daemons on the way are started and left. */
static void start_next(struct supervisor *s)
{
	for (; s->current < s->state.command_count; s->current++) {
		struct state_command *command = &s->state.command[s->current];
		int r;

		if (command->run != RUN_PENDING)
			continue;
		r = start_command(s, command);
		save(s);
		if (r < 0) {
			roll_back(s, r);
			return;
		}
		if (command->kind != COMMAND_DAEMON)
			return;
		log_step_done("started, pid %d", command->pid);
	}
	boot_done(s);
}

/* A boot command that was waited for has ended. */
static void command_ended(struct supervisor *s, struct state_command *command)
{
	char why[1024];

	if (command->status == 0 && !command->timed_out) {
		log_step_done("%s", "");
	} else {
		describe_end(s, command, why, sizeof why);
		if (command->kind == COMMAND_REQUIRE) {
			log_step_failed("%s", "");
			roll_back(s, err_set(s->err, -ECHILD, "the boot command '%s' failed: %s; everything is undone", command->line, why));
			return;
		}
		log_step_failed("%s", why);
	}
	s->current++;
	start_next(s);
}

static void daemon_ended(const struct state_command *command)
{
	if (command->status == -1)
		log_warn("the daemon '%s' (pid %d) has ended", command->line, command->pid);
	else if (WIFSIGNALED(command->status))
		log_warn("the daemon '%s' (pid %d) was killed by signal %d", command->line, command->pid, WTERMSIG(command->status));
	else
		log_warn("the daemon '%s' (pid %d) has ended with exit status %d", command->line, command->pid, WEXITSTATUS(command->status));
}

static void process_ended(struct supervisor *s, size_t index, int status)
{
	struct state_command *command = &s->state.command[index];
	bool waited_for = s->state.phase == PHASE_BOOTING && index == s->current && command->kind != COMMAND_DAEMON;

	command->run = RUN_ENDED;
	command->status = status;
	if (waited_for)
		command->took_ms = now_ms() - s->began;
	if (command->kind == COMMAND_DAEMON)
		daemon_ended(command);
	save(s);
	if (waited_for)
		command_ended(s, command);
}

static void reap(struct supervisor *s)
{
	int status;
	pid_t pid;

	while (!s->done && (pid = waitpid(-1, &status, WNOHANG)) > 0)
		for (size_t i = 0; i < s->state.command_count; i++)
			if (s->state.command[i].run == RUN_RUNNING && s->state.command[i].pid == pid) {
				process_ended(s, i, status);
				break;
			}
}

/* The time of the command that is waited for is over: TERM, then KILL, to its whole session. */
static void end_slow_command(struct supervisor *s)
{
	struct state_command *command = &s->state.command[s->current];

	kill(-command->pid, command->timed_out ? SIGKILL : SIGTERM);
	kill(-command->pid, SIGCONT);
	command->timed_out = true;
	s->deadline = now_ms() + KILL_AFTER_MS;
}

/* --- building --- */

static void report_arrived(struct supervisor *s)
{
	time_t since = s->state.since;
	int r = builder_read(&s->builder, &s->state, s->err);

	if (r == -EAGAIN)
		return;
	/* What the builder cannot know. */
	s->state.pid = getpid();
	s->state.since = since;
	if (r < 0) {
		roll_back(s, r);
		return;
	}
	s->spawn.ns = take_fd(&s->builder.ns);
	s->spawn.root = take_fd(&s->builder.root);
	s->state.phase = PHASE_BOOTING;
	save(s);
	start_next(s);
}

static int build(struct supervisor *s)
{
	auto_free char *path = mountpoint_path(s->setup->conf, s->err);
	int r = path ? mountpoint_make(path, &s->state.made, s->err) : -EINVAL;

	if (r == 0) {
		s->state.root = strdup(path);
		s->state.phase = PHASE_BUILDING;
		s->state.namespace_host = s->setup->conf->namespace_host;
		teardown_list_swaps(&s->state.swaps_before);
		/* Written before the first mount, so that a crash can be undone. */
		r = state_save(&s->state, s->setup->rundir->path, s->err);
	}
	if (r == 0)
		r = builder_start(&s->builder, s->setup->conf, path, s->log_fd, s->err);
	return r;
}

/* --- taking over --- */

/* Opens both through one process; the root only where that process's root is the OS's own. */
static int open_through(const struct state *state, pid_t pid, int *ns, int *root)
{
	char path[64], link[PATH_MAX];
	ssize_t len;

	snprintf(path, sizeof path, "/proc/%d/root", pid);
	len = readlink(path, link, sizeof link - 1);
	link[len > 0 ? len : 0] = '\0';
	if (strcmp(link, state->root) != 0)
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
	for (size_t i = 0; i < procs.count && r < 0; i++)
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
		process_ended(s, index, -1);
}

static int take_over(struct supervisor *s)
{
	struct state *old = s->setup->adopt;
	pid_t before = old->pid;
	int r;

	r = supervise_find_os(old, &s->spawn.ns, &s->spawn.root, s->err);
	if (r < 0)
		return r;
	s->state = *old;
	*old = (struct state){ 0 };
	s->state.pid = getpid();
	s->state.phase = PHASE_UP;
	for (size_t i = 0; i < s->state.command_count; i++)
		watch_command(s, i);
	save(s);
	log_note("taken over: %s on %s lived on without its supervisor (pid %d)%s", s->state.device, s->state.root, before,
		 state_degraded(&s->state) ? "; degraded, see `gcdboot status`" : "");
	notify_send(s->setup->notify_socket, "READY=1");
	tell_ready(s, 0);
	return 0;
}

/* Where the kernel has no pidfd: looks whether the commands that are not our children still live. */
static void look_at_orphans(struct supervisor *s)
{
	for (size_t i = 0; i < s->state.command_count; i++)
		if (s->state.command[i].run == RUN_RUNNING && !procs_alive(s->state.command[i].pid, s->state.command[i].start))
			process_ended(s, i, -1);
}

static bool has_unwatched_orphans(const struct supervisor *s)
{
	size_t running = 0;

	if (!s->setup->adopt)
		return false;
	for (size_t i = 0; i < s->state.command_count; i++)
		running += s->state.command[i].run == RUN_RUNNING;
	return running > s->watch_count;
}

/* --- the control socket --- */

static void send_fds(int peer, const int fds[2], const char *why_not)
{
	if (fds[0] >= 0 && fds[1] >= 0)
		control_reply_send(peer, CONTROL_DONE, 0, NULL, fds, CONTROL_FDS);
	else
		control_reply_send(peer, CONTROL_FAILED, -EAGAIN, why_not, NULL, 0);
}

static void answer(struct supervisor *s, int peer, const struct control_request *request)
{
	const int os[2] = { s->spawn.ns, s->spawn.root };

	switch (request->type) {
	case CONTROL_GET_OS:
		send_fds(peer, os, s->state.phase == PHASE_BUILDING ? "the OS is not up yet" : "the OS is being stopped");
		break;
	case CONTROL_GET_HOST:
		send_fds(peer, s->host, "the host's namespace could not be opened");
		break;
	case CONTROL_STOP:
		stop_by_request(s, peer, request->timeout_ms);
		break;
	default:
		control_reply_send(peer, CONTROL_FAILED, -ENOSYS, "this supervisor does not know the request: it is of another version", NULL, 0);
	}
}

/* One peer can be read. Returns whether it is done with. */
static bool serve_peer(struct supervisor *s, int peer)
{
	struct control_request request;
	int r = control_request_read(peer, &request);

	if (r == -EAGAIN)
		return false;
	if (r == 0)
		answer(s, peer, &request);
	else if (r == -EPERM)
		control_reply_send(peer, CONTROL_FAILED, -EPERM, "only root is answered", NULL, 0);
	return true;
}

static void accept_peer(struct supervisor *s)
{
	int fd = control_accept(s->listener);

	if (fd < 0)
		return;
	/* The one that has said nothing for longest makes place. */
	if (s->peer_count == PEERS_MAX) {
		close(s->peers[0].fd);
		memmove(&s->peers[0], &s->peers[1], --s->peer_count * sizeof *s->peers);
	}
	s->peers[s->peer_count++].fd = fd;
}

/* --- the loop --- */

static void take_signals(struct supervisor *s)
{
	struct signalfd_siginfo info;

	while (!s->done && read(s->signals, &info, sizeof info) == (ssize_t)sizeof info) {
		if (info.ssi_signo == SIGCHLD)
			reap(s);
		else
			stop_by_signal(s);
	}
}

static int next_timeout(const struct supervisor *s)
{
	int64_t wait;

	if (has_unwatched_orphans(s))
		return LOOK_MS;
	if (s->state.phase != PHASE_BOOTING)
		return -1;
	wait = s->deadline ? s->deadline - now_ms() : TICK_MS;
	wait = wait < 0 ? 0 : wait;
	return wait < TICK_MS || s->ready_sent ? (int)wait : TICK_MS;
}

static void time_passed(struct supervisor *s)
{
	if (has_unwatched_orphans(s))
		look_at_orphans(s);
	if (s->state.phase != PHASE_BOOTING)
		return;
	log_step_tick();
	if (s->deadline && now_ms() >= s->deadline)
		end_slow_command(s);
}

static void take_watches(struct supervisor *s, const struct pollfd *fds)
{
	for (size_t i = s->watch_count; i-- > 0;) {
		if (!fds[i].revents)
			continue;
		process_ended(s, s->watches[i].command, -1);
		close(s->watches[i].fd);
		s->watches[i] = s->watches[--s->watch_count];
	}
}

static void take_peers(struct supervisor *s, const struct pollfd *fds, size_t count)
{
	for (size_t i = count; i-- > 0 && !s->done;) {
		if (!fds[i].revents || !serve_peer(s, s->peers[i].fd))
			continue;
		close(s->peers[i].fd);
		memmove(&s->peers[i], &s->peers[i + 1], (--s->peer_count - i) * sizeof *s->peers);
	}
}

static void loop_once(struct supervisor *s)
{
	struct pollfd fds[3 + WATCHES_MAX + PEERS_MAX] = {
		{ .fd = s->signals, .events = POLLIN },
		{ .fd = s->listener, .events = POLLIN },
		{ .fd = s->builder.socket, .events = POLLIN },
	};
	size_t watches = s->watch_count, peers = s->peer_count;
	struct pollfd *watch_fds = &fds[3], *peer_fds = &fds[3 + watches];
	int r;

	for (size_t i = 0; i < watches; i++)
		watch_fds[i] = (struct pollfd){ .fd = s->watches[i].fd, .events = POLLIN };
	for (size_t i = 0; i < peers; i++)
		peer_fds[i] = (struct pollfd){ .fd = s->peers[i].fd, .events = POLLIN };
	r = poll(fds, 3 + watches + peers, next_timeout(s));
	if (r <= 0) {
		time_passed(s);
		return;
	}
	if (fds[2].revents)
		report_arrived(s);
	if (fds[0].revents && !s->done)
		take_signals(s);
	if (!s->done)
		take_watches(s, watch_fds);
	if (!s->done)
		take_peers(s, peer_fds, peers);
	if (fds[1].revents && !s->done)
		accept_peer(s);
}

/* --- beginning and end --- */

static int open_signals(struct err *err)
{
	sigset_t set;
	int fd;

	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigprocmask(SIG_BLOCK, &set, NULL);
	/* Whoever started us may have ignored it, and then no child would be waited for. */
	signal(SIGCHLD, SIG_DFL);
	signal(SIGHUP, SIG_IGN);
	signal(SIGPIPE, SIG_IGN);
	fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	return fd < 0 ? err_set(err, errno, "cannot make a signalfd") : fd;
}

static int open_log(const struct supervise *setup, struct err *err)
{
	int flags = O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW | (setup->adopt ? 0 : O_TRUNC);
	int fd = open(setup->rundir->log, flags, 0600);

	return fd < 0 ? err_set(err, errno, "cannot open %s", setup->rundir->log) : fd;
}

static int prepare(struct supervisor *s)
{
	struct state *state = &s->state;

	state->pid = getpid();
	state->since = time(NULL);
	state->conf_file = strdup(s->setup->conf->file);
	state->source = strdup(s->setup->conf->root.source);
	host_boot_id(state->boot_id);
	rundir_sign(s->setup->rundir, state->pid, s->setup->adopt ? s->setup->adopt->since : state->since);
	/* What the boot commands leave behind becomes our child, not init's: so it can be found at stop. */
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	s->signals = open_signals(s->err);
	s->log_fd = s->signals < 0 ? -1 : open_log(s->setup, s->err);
	s->listener = s->log_fd < 0 ? -1 : control_listen(s->setup->rundir->control, s->err);
	if (s->listener < 0)
		return -EIO;
	log_to(s->log_fd);
	s->null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	s->host[0] = open("/proc/self/ns/mnt", O_RDONLY | O_CLOEXEC);
	s->host[1] = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	return s->null_fd < 0 ? err_set(s->err, errno, "cannot open /dev/null") : 0;
}

static void clean_up(struct supervisor *s)
{
	int *fds[] = { &s->host[0], &s->host[1], &s->null_fd, &s->signals, &s->listener, &s->spawn.ns, &s->spawn.root };

	builder_abandon(&s->builder);
	for (size_t i = 0; i < s->peer_count; i++)
		close(s->peers[i].fd);
	for (size_t i = 0; i < s->watch_count; i++)
		close(s->watches[i].fd);
	for (size_t i = 0; i < sizeof fds / sizeof *fds; i++)
		cleanup_close(fds[i]);
	log_to(-1);
	cleanup_close(&s->log_fd);
	/* After a failure the boot log stays: it tells why. After a stop that left something, the state too. */
	if (s->setup->rundir->lock >= 0 && s->state.phase != PHASE_STUCK)
		rundir_remove(s->setup->rundir, s->result == 0);
	state_clear(&s->state);
}

int supervise_run(const struct supervise *setup, struct err *err)
{
	struct supervisor s = {
		.setup = setup,
		.spawn = { .ns = -1, .root = -1, .caps_drop = &setup->conf->caps_drop, .env_pass = &setup->conf->env_pass, .environment = setup->environment },
		.host = { -1, -1 },
		.null_fd = -1,
		.log_fd = -1,
		.signals = -1,
		.listener = -1,
		.builder = { .socket = -1, .ns = -1, .root = -1 },
		.err = err,
	};
	int r = prepare(&s);

	if (r == 0)
		r = setup->adopt ? take_over(&s) : build(&s);
	if (r < 0)
		roll_back(&s, r);
	while (!s.done)
		loop_once(&s);
	/* For the boot log; main() is the one who says it aloud. */
	if (s.result < 0)
		log_info("failed: %s", err->msg);
	r = s.result;
	clean_up(&s);
	tell_ready(&s, r);
	return r;
}
