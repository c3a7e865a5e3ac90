/* cmd_boot: finds the disk, mounts, binds, starts the OS. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>

#include "cmd.h"
#include "host.h"
#include "interop_link.h"
#include "notify.h"
#include "supervise.h"
#include "teardown.h"

#define UNDO_MS 2000

/* What the supervisor tells the launcher, over a pipe. */
struct outcome {
	int r;
	struct err err;
};

/* Who has typed it must not believe that an OS is undone which is not. */
static void warn_of_option(const struct cmd_options *options)
{
	if (options->confirm_ms > 0)
		log_warn("--confirm-within changes nothing for an OS that is there already");
}

/* Another gcdboot holds the lock: that is as good as success. */
static int tell_running(const struct cmd_options *options, const struct rundir *rundir, struct err *err)
{
	struct state state = { 0 };
	char text[32], message[64], confirm[160] = "";
	bool stuck = false;
	time_t since;
	pid_t pid;
	int r = rundir_holder(rundir, &pid, &since);

	if (r < 0)
		return err_set(err, -r, "another gcdboot holds %s/lock, but does not say which", rundir->path);
	if (state_load(&state, rundir->path, NULL) == 0) {
		stuck = state.phase == PHASE_STUCK;
		if (state_awaits_confirm(&state))
			state_confirm_text(&state, options->name, confirm);
	}
	state_clear(&state);
	if (stuck)
		return err_set(err, -EBUSY,
			       "the OS was stopped, but not everything could be given back: `gcdboot status` tells what, `gcdboot stop` tries again");
	state_time(since, text);
	log_note("already running since %s, pid %d", text, pid);
	if (confirm[0])
		log_note("%s", confirm);
	warn_of_option(options);
	/* For a unit of Type=notify that is started while somebody else's boot is up: that one is the service then. */
	snprintf(message, sizeof message, "MAINPID=%d\nREADY=1", pid);
	notify_send(options->notify_socket, message);
	return EXIT_DONE;
}

/*
 * What a supervisor left that was killed. An OS that lives on is to be taken over (*adopt); the remains of one that does not are cleared away.
 */
static int recover(const struct rundir *rundir, struct state *old, bool *adopt, struct err *err)
{
	struct strlist left = { 0 };
	char boot_id[40];
	int ns = -1, root = -1, r;

	*adopt = false;
	r = state_load(old, rundir->path, err);
	if (r < 0)
		return r == -ENOENT ? 0 : r;
	if (supervise_find_os(old, &ns, &root, NULL) == 0) {
		close(ns);
		close(root);
		if (old->phase == PHASE_STOPPING || old->phase == PHASE_STUCK)
			return err_set(err, -EBUSY, "a stop has left something of the OS on %s: `gcdboot stop` again, then boot", old->root);
		*adopt = true;
		return 0;
	}
	host_boot_id(boot_id);
	r = 0;
	if (old->namespace_host && old->root && strcmp(old->boot_id, boot_id) == 0)
		r = teardown_mounts(old, -1, UNDO_MS, UNDO_MS, &left, err);
	if (r == 0)
		teardown_directories(old);
	interop_link_remove(old->interop_link);
	for (size_t i = 0; i < left.count; i++)
		log_warn("still mounted: %s", left.str[i]);
	strlist_clear(&left);
	return r < 0 ? err_prefix(err, r, "cannot clear away what an earlier boot left") : 0;
}

static void report_outcome(void *arg, int r, const struct err *err)
{
	struct outcome outcome = { .r = r };
	int *pipe_fd = arg;

	if (r < 0)
		outcome.err = *err;
	/* A launcher that is gone is no reason to stop: it was not needed any more. */
	if (write(*pipe_fd, &outcome, sizeof outcome) < 0)
		log_info("the launcher has gone");
	close(take_fd(pipe_fd));
}

/* From here on nobody watches: the caller's terminal, pipes and directory are let go. */
static void detach_stdio(void *arg, int r, const struct err *err)
{
	int null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);

	report_outcome(arg, r, err);
	log_detach();
	for (int fd = 0; fd <= 2 && null_fd >= 0; fd++)
		dup2(null_fd, fd);
	cleanup_close(&null_fd);
}

static pid_t launched; /* for the signal handler only: a handler gets no argument */

static void forward_signal(int signal_number)
{
	(void)signal_number;
	kill(launched, SIGTERM);
}

/* Ctrl-C while the boot goes on undoes it; the launcher waits for that, too. */
static void forward_signals(pid_t pid)
{
	struct sigaction action = { .sa_handler = forward_signal, .sa_flags = SA_RESTART };

	launched = pid;
	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
}

static int wait_outcome(pid_t pid, int pipe_fd, struct err *err)
{
	struct outcome outcome;
	ssize_t n;

	do
		n = read(pipe_fd, &outcome, sizeof outcome);
	while (n < 0 && errno == EINTR);
	if (n != (ssize_t)sizeof outcome) {
		waitpid(pid, NULL, 0);
		return err_set(err, -ECHILD, "the supervisor was killed: `gcdboot` starts again, or takes over what lives");
	}
	if (outcome.r < 0) {
		waitpid(pid, NULL, 0);
		*err = outcome.err;
	}
	return outcome.r;
}

/* The child: becomes the supervisor, and tells the launcher how the boot went. */
static void supervise(const struct supervise *setup, int pipe_fd)
{
	struct supervise detached = *setup;
	struct err err = { 0 };
	int r;

	/* A session of its own: Ctrl-C and the end of the terminal are the launcher's business. */
	setsid();
	detached.ready = detach_stdio;
	detached.ready_arg = &pipe_fd;
	r = supervise_run(&detached, &err);
	_exit(r == -ETIME ? EXIT_UNCONFIRMED : r < 0 ? EXIT_FAILED : EXIT_DONE);
}

/* Forks the supervisor, and returns when the OS is up or the boot is undone. */
static int launch(const struct supervise *setup, struct err *err)
{
	int pipe_fd[2], r;
	sigset_t set, old;
	pid_t pid;

	if (pipe2(pipe_fd, O_CLOEXEC) < 0)
		return err_set(err, errno, "cannot make a pipe");
	/* A signal between fork and handler would leave the supervisor alone with a boot that nobody wants. */
	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	sigprocmask(SIG_BLOCK, &set, &old);
	pid = fork();
	if (pid < 0)
		return err_set(err, errno, "cannot fork the supervisor");
	if (pid == 0) {
		close(pipe_fd[0]);
		supervise(setup, pipe_fd[1]);
	}
	close(pipe_fd[1]);
	forward_signals(pid);
	sigprocmask(SIG_SETMASK, &old, NULL);
	r = wait_outcome(pid, pipe_fd[0], err);
	close(pipe_fd[0]);
	return r;
}

static int run(const struct cmd_options *options, const struct conf *conf, struct rundir *rundir, struct err *err)
{
	struct state old = { 0 };
	bool adopt;
	int r = recover(rundir, &old, &adopt, err);

	if (r == 0) {
		struct supervise setup = {
			.conf = conf,
			.rundir = rundir,
			.environment = options->environment,
			.notify_socket = options->notify_socket,
			.adopt = adopt ? &old : NULL,
		};
		/* On WSL it is the session of a running wsl.exe that keeps the machine alive. */
		bool foreground = options->foreground || (!options->detach && host_kind() == HOST_WSL);

		if (adopt)
			warn_of_option(options);
		/* The caller's directory is not ours to keep busy. */
		if (chdir("/") < 0)
			log_info("cannot change to /: %s", strerror(errno));
		r = foreground ? supervise_run(&setup, err) : launch(&setup, err);
	}
	state_clear(&old);
	return r == -ETIME ? EXIT_UNCONFIRMED : r;
}

int cmd_boot(const struct cmd_options *options, struct err *err)
{
	struct conf conf = { 0 };
	struct rundir rundir;
	int r = rundir_name(&rundir, options->name, err);

	/* Before the configuration, which others may not be able to read: what they need to know is not that. */
	if (r == 0)
		r = host_check_privilege(err);
	if (r == 0)
		r = cmd_read_conf(options, &conf, err);
	if (r == 0 && options->confirm_ms >= 0)
		conf.boot.confirm_ms = options->confirm_ms;
	if (r == 0) {
		r = rundir_lock(&rundir, err);
		/* The supervisor signs anew; until then, who comes second is told of us. */
		if (r == 0)
			rundir_sign(&rundir, getpid(), time(NULL));
		r = r == -EALREADY ? tell_running(options, &rundir, err) : r < 0 ? r : run(options, &conf, &rundir, err);
	}
	conf_clear(&conf);
	return r;
}
