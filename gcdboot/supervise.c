/* supervise: the process that builds the OS, runs its boot commands, and stays until it is stopped. */
#include "supervise.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <time.h>

#include "control_server.h"
#include "host.h"
#include "log.h"
#include "mountpoint.h"
#include "overlay.h"
#include "supervisor.h"
#include "table.h"
#include "teardown.h"

#define TICK_MS 1000 /* a terminal sees how long a boot command has been running */
#define LOOK_MS 5000 /* at commands that we did not start, on kernels without pidfd; and at a clock that goes on while poll(2) sleeps with the machine */

void supervisor_save(struct supervisor *s)
{
	struct err err;

	if (state_save(&s->state, s->setup->rundir->path, &err) < 0)
		log_warn("%s", err.msg);
}

void supervisor_ready(struct supervisor *s, int r)
{
	if (!s->ready_sent && s->setup->ready)
		s->setup->ready(s->setup->ready_arg, r, s->err);
	s->ready_sent = true;
}

/* The builder has a disk attached: whatever becomes of the boot, it is to be given back, where that is wanted. */
static void note_attached(struct supervisor *s)
{
	free(s->state.detach);
	s->state.detach = s->setup->conf->wsl.detach && s->state.attached ? strdup(s->state.attached) : NULL;
}

static void report_arrived(struct supervisor *s)
{
	time_t since = s->state.since;
	int before = s->state.mount_before;
	int r = builder_read(&s->builder, &s->state, s->err);

	if (r == -EAGAIN)
		return;
	if (r < 0)
		note_attached(s);
	if (r == -EINPROGRESS) {
		supervisor_save(s);
		return;
	}
	/* What the builder cannot know. */
	s->state.pid = getpid();
	s->state.since = since;
	s->state.mount_before = before;
	if (r < 0) {
		supervisor_roll_back(s, r);
		return;
	}
	s->spawn.ns = take_fd(&s->builder.ns);
	s->spawn.root = take_fd(&s->builder.root);
	s->state.phase = PHASE_BOOTING;
	free(s->state.staging);
	s->state.staging = NULL;
	supervisor_save(s);
	supervisor_start_next(s);
}

/* The mount that is on top at the path now, 0 for none. From the table, which has ids on every kernel. */
static int mount_before(const char *path)
{
	const struct table_mount *mount;
	struct table table;
	int id;

	if (table_read(&table, NULL, NULL) < 0)
		return 0;
	mount = table_find_target(&table, path);
	id = mount ? mount->id : 0;
	table_clear(&table);
	return id;
}

/* An overlay is put together in a directory of ours; written down like the root, so that a crash in between can be undone. */
static int note_staging(struct supervisor *s)
{
	if (!s->setup->conf->root.overlay)
		return 0;
	if (asprintf(&s->state.staging, "%s/" OVERLAY_STAGING, s->setup->rundir->path) < 0)
		s->state.staging = NULL;
	if (!s->state.staging || strlist_add(&s->state.made, s->state.staging) < 0)
		return err_set(s->err, ENOMEM, "cannot note down the state");
	return 0;
}

static int begin_building(struct supervisor *s)
{
	auto_free char *path = mountpoint_path(s->setup->conf, s->err);
	int r = path ? mountpoint_make(path, &s->state.made, s->err) : -EINVAL;

	if (r == 0)
		r = note_staging(s);
	if (r == 0) {
		s->state.root = strdup(path);
		s->state.phase = PHASE_BUILDING;
		s->state.namespace_host = s->setup->conf->namespace_host;
		/* A namespace of its own goes with its processes: nothing has to be told apart in it. */
		s->state.mount_before = s->state.namespace_host ? mount_before(path) : 0;
		teardown_list_swaps(&s->state.swaps_before);
		/* Written before the first mount, so that a crash can be undone. */
		r = state_save(&s->state, s->setup->rundir->path, s->err);
	}
	if (r == 0)
		r = builder_start(
		    &s->builder,
		    &(struct build){
			.conf = s->setup->conf, .root_path = path, .staging = s->state.staging, .log_fd = s->log_fd, .environment = s->setup->environment },
		    s->err);
	return r;
}

static void take_signals(struct supervisor *s)
{
	struct signalfd_siginfo info;

	while (!s->done && read(s->signals, &info, sizeof info) == (ssize_t)sizeof info) {
		if (info.ssi_signo == SIGCHLD)
			supervisor_reap(s);
		else
			supervisor_stop_by_signal(s);
	}
}

/* On WSL: the processes of the OS find a socket by which Windows programs run, whichever of them lives. */
static void keep_interop(struct supervisor *s)
{
	const char *earlier = s->setup->adopt ? s->setup->adopt->interop_link : NULL;

	if (host_kind() != HOST_WSL)
		return;
	/* After a take-over the OS's processes have the old name in their environment. */
	interop_link_begin(&s->interop, earlier, interop_variable(s->setup->environment, "WSL_INTEROP"));
	s->spawn.interop = s->interop.variable;
	free(s->state.interop_link);
	s->state.interop_link = strdup(s->interop.path);
}

/* Until the boot command that is waited for has to be looked at. */
static int command_timeout(const struct supervisor *s)
{
	int64_t wait;

	if (supervisor_has_orphans(s)) {
		wait = s->next_look - util_now_ms();
		return wait > 0 ? (int)wait : 0;
	}
	if (s->state.phase != PHASE_BOOTING)
		return -1;
	wait = s->deadline ? s->deadline - util_now_ms() : TICK_MS;
	wait = wait < 0 ? 0 : wait;
	return wait < TICK_MS || s->ready_sent ? (int)wait : TICK_MS;
}

/* Of two waits for poll(2), where -1 is for ever. */
static int sooner(int a, int b)
{
	return a < 0 || (b >= 0 && b < a) ? b : a;
}

/* An idle supervisor sleeps for ever, but where it is to be confirmed, and on WSL. */
static int next_timeout(const struct supervisor *s)
{
	int wait = command_timeout(s);
	int64_t left = LOOK_MS;

	wait = sooner(wait, interop_link_due_ms(&s->interop));
	if (!state_awaits_confirm(&s->state))
		return wait;
	if (state_confirm_left(&s->state) < left)
		left = state_confirm_left(&s->state);
	return sooner(wait, (int)left);
}

static void time_passed(struct supervisor *s)
{
	if (s->state.phase != PHASE_BOOTING)
		return;
	log_step_tick();
	if (s->deadline && util_now_ms() >= s->deadline)
		supervisor_end_slow_command(s);
}

/* By the clock, not when poll(2) has waited long enough: clients that ask more often than that would keep it from ever doing so. */
static void look_at_orphans(struct supervisor *s)
{
	if (!supervisor_has_orphans(s) || util_now_ms() < s->next_look)
		return;
	s->next_look = util_now_ms() + LOOK_MS;
	supervisor_look_at_orphans(s);
}

static void loop_once(struct supervisor *s)
{
	struct pollfd fds[4 + WATCHES_MAX + PEERS_MAX] = {
		{ .fd = s->signals, .events = POLLIN },
		{ .fd = s->listener, .events = POLLIN },
		{ .fd = s->builder.socket, .events = POLLIN },
		{ .fd = interop_link_fd(&s->interop), .events = POLLIN },
	};
	size_t watches = s->watch_count, peers = s->peer_count;
	struct pollfd *watch_fds = &fds[4], *peer_fds = &fds[4 + watches];
	int r;

	for (size_t i = 0; i < watches; i++)
		watch_fds[i] = (struct pollfd){ .fd = s->watches[i].fd, .events = POLLIN };
	for (size_t i = 0; i < peers; i++)
		peer_fds[i] = (struct pollfd){ .fd = s->peers[i].fd, .events = POLLIN };
	r = poll(fds, 4 + watches + peers, next_timeout(s));
	if (r <= 0)
		time_passed(s);
	if (r > 0 && fds[2].revents)
		report_arrived(s);
	if ((r > 0 && fds[3].revents) || (s->interop.active && interop_link_due_ms(&s->interop) == 0))
		interop_link_look(&s->interop);
	if (r > 0 && fds[0].revents && !s->done)
		take_signals(s);
	if (r > 0 && !s->done)
		supervisor_take_watches(s, watch_fds);
	if (r > 0 && !s->done)
		supervisor_take_peers(s, peer_fds, peers);
	if (r > 0 && fds[1].revents && !s->done)
		supervisor_accept(s);
	if (!s->done)
		look_at_orphans(s);
}

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
	state->conf_file = realpath(s->setup->conf->file, NULL);
	state->source = strdup(s->setup->conf->root.source);
	if (!state->source || strlist_add_all(&state->caps_drop, &s->setup->conf->caps_drop) < 0 ||
	    strlist_add_all(&state->env_pass, &s->setup->conf->env_pass) < 0)
		return err_set(s->err, ENOMEM, "cannot note down the state");
	host_boot_id(state->boot_id);
	rundir_sign(s->setup->rundir, state->pid, s->setup->adopt ? s->setup->adopt->since : state->since);
	/* Nothing of the host must be kept busy by where we were started. */
	if (chdir("/") < 0)
		return err_set(s->err, errno, "cannot change to /");
	/* What the boot commands leave behind becomes our child, not init's: so it can be found at stop. */
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	s->signals = open_signals(s->err);
	s->log_fd = s->signals < 0 ? -1 : open_log(s->setup, s->err);
	s->listener = s->log_fd < 0 ? -1 : control_listen(s->setup->rundir->control, s->err);
	if (s->listener < 0)
		return -EIO;
	log_to(s->log_fd);
	supervisor_begin_confirm(s);
	keep_interop(s);
	s->null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	s->host[0] = open("/proc/self/ns/mnt", O_RDONLY | O_CLOEXEC);
	s->host[1] = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	return s->null_fd < 0 ? err_set(s->err, errno, "cannot open /dev/null") : 0;
}

/* A take-over that failed has not emptied `adopt`: that OS may live, and its state is what the next gcdboot or stop finds it by. */
static bool is_not_ours(const struct supervisor *s)
{
	return s->setup->adopt && s->setup->adopt->root;
}

static void clean_up(struct supervisor *s)
{
	int *fds[] = { &s->host[0], &s->host[1], &s->null_fd, &s->signals, &s->listener, &s->spawn.ns, &s->spawn.root };

	builder_abandon(&s->builder);
	interop_link_end(&s->interop);
	for (size_t i = 0; i < s->peer_count; i++)
		close(s->peers[i].fd);
	for (size_t i = 0; i < s->watch_count; i++)
		close(s->watches[i].fd);
	for (size_t i = 0; i < sizeof fds / sizeof *fds; i++)
		cleanup_close(fds[i]);
	log_to(-1);
	cleanup_close(&s->log_fd);
	/* After a failure the boot log stays: it tells why. After a stop that left something, the state too. */
	if (s->state.phase == PHASE_STUCK || is_not_ours(s))
		rundir_unlock(s->setup->rundir);
	else if (s->setup->rundir->lock >= 0)
		rundir_remove(s->setup->rundir, s->result == 0);
	state_clear(&s->state);
}

int supervise_run(const struct supervise *setup, struct err *err)
{
	struct supervisor s = {
		.setup = setup,
		.spawn = { .ns = -1, .root = -1, .caps_drop = &s.state.caps_drop, .env_pass = &s.state.env_pass, .environment = setup->environment },
		.host = { -1, -1 },
		.null_fd = -1,
		.log_fd = -1,
		.signals = -1,
		.listener = -1,
		.builder = { .socket = -1, .ns = -1, .root = -1 },
		.interop = { .inotify = -1 },
		.err = err,
	};
	int r = prepare(&s);

	if (r == 0)
		r = setup->adopt ? supervisor_take_over(&s) : begin_building(&s);
	if (r < 0)
		supervisor_roll_back(&s, r);
	while (!s.done) {
		loop_once(&s);
		/* After each turn: peers that ask all the time must not keep an OS up that nobody confirms. */
		if (!s.done && supervisor_is_unconfirmed(&s))
			supervisor_stop_unconfirmed(&s);
	}
	/* For the boot log; main() is the one who says it aloud. */
	if (s.result < 0)
		log_info("failed: %s", err->msg);
	r = s.result;
	clean_up(&s);
	supervisor_ready(&s, r);
	return r;
}
