/* windows_run: runs a Windows program from WSL, within a time, whatever hangs. */
#include "windows_run.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <sys/wait.h>

#include "interop.h"
#include "table.h"
#include "util.h"
#include "windows_drive.h"
#include "windows_text.h"

#define OUTPUT_MAX (32 * 1024) /* with the report's head no more than a pipe holds: whoever is not listening any more cannot keep us */
#define GRACE_MS 2000          /* how much later than its limit the runner itself is given up */
#define DRAIN_MS 100           /* for what a program that has ended left in the pipe */
#define LOOK_MS 50             /* between two looks whether it has ended, which its pipe mostly tells */
#define REPORT_FD 3

/* The report: outcome, status and message as text, then a NUL, then the bytes that the program printed. The runner's end closes it. */

/* What the runner, a process of its own, knows. */
struct runner {
	const char *const *argv;
	char *const *environment;
	int64_t deadline;
	struct table table;
	char program[PATH_MAX], drive[PATH_MAX], socket[INTEROP_PATH];
	char output[OUTPUT_MAX];
	size_t len;
};

static void write_all(int fd, const char *bytes, size_t len)
{
	while (len > 0) {
		ssize_t n = write(fd, bytes, len);

		if (n <= 0)
			return;
		bytes += n;
		len -= (size_t)n;
	}
}

__attribute__((noreturn)) static void report(const struct runner *runner, enum windows_outcome outcome, int status, const char *message)
{
	char head[ERR_MAX + 32];
	int len = snprintf(head, sizeof head, "%d %d %s", (int)outcome, status, message);

	write_all(REPORT_FD, head, (size_t)len + 1);
	write_all(REPORT_FD, runner->output, runner->len);
	_exit(0);
}

/* The first drive that has the program: no table says which one Windows runs from. A drive that does not answer is the limit's business. */
static bool find_program(struct runner *runner)
{
	struct windows_drive drives[WINDOWS_DRIVES_MAX];
	struct err err = { 0 };
	size_t count = table_read(&runner->table, NULL, &err) < 0 ? 0 : windows_drives(&runner->table, drives);

	if (count == 0)
		report(runner, WINDOWS_NO_DRIVE, 0, err.msg[0] ? err.msg : "no drive of Windows is mounted (automount is off in /etc/wsl.conf?)");
	for (size_t i = 0; i < count; i++) {
		snprintf(runner->drive, sizeof runner->drive, "%s", drives[i].target);
		if (snprintf(runner->program, sizeof runner->program, "%s/%s", drives[i].target, runner->argv[0]) < (int)sizeof runner->program &&
		    access(runner->program, F_OK) == 0)
			return true;
	}
	return false;
}

/* Whether Windows or its interpreter may need the variable: WSL_DISTRO_NAME and its like. */
static bool is_kept(const char *variable)
{
	return strncmp(variable, "WSL", 3) == 0 && strncmp(variable, "WSLENV=", 7) != 0 && strncmp(variable, "WSL_INTEROP=", 12) != 0 &&
	       strncmp(variable, "WSL_UTF8=", 9) != 0;
}

/* WSLENV names the variables that go to Windows: ours comes behind those of the caller. */
static char **make_environment(const struct runner *runner)
{
	const char *passed = interop_variable(runner->environment, "WSLENV");
	struct strlist list = { 0 };

	strlist_add(&list, "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
	strlist_add(&list, "WSL_UTF8=1");
	strlist_addf(&list, "WSLENV=%s%sWSL_UTF8", passed ? passed : "", passed && *passed ? ":" : "");
	strlist_addf(&list, "WSL_INTEROP=%s", runner->socket);
	for (char *const *variable = runner->environment; variable && *variable; variable++)
		if (is_kept(*variable))
			strlist_add(&list, *variable);
	if (strlist_add(&list, "") < 0)
		return NULL;
	list.str[list.count - 1] = NULL;
	return list.str;
}

__attribute__((noreturn)) static void exec_program(const struct runner *runner, int output, int failed)
{
	char **environment = make_environment(runner);
	size_t count = 0;
	char **argv;

	while (runner->argv[count])
		count++;
	argv = calloc(count + 1, sizeof *argv);
	setsid();
	dup2(output, STDOUT_FILENO);
	dup2(output, STDERR_FILENO);
	if (argv && environment && chdir(runner->drive) == 0) {
		memcpy(argv, runner->argv, count * sizeof *argv);
		argv[0] = (char *)runner->program;
		execve(runner->program, argv, environment);
	}
	write_all(failed, (const char *)&errno, sizeof errno);
	_exit(127);
}

/* Reads once; more than there is room for is thrown away. Returns false at the end of the pipe. */
static bool read_some(struct runner *runner, int in)
{
	bool full = runner->len == OUTPUT_MAX;
	char scrap[4096];
	ssize_t n = read(in, full ? scrap : runner->output + runner->len, full ? sizeof scrap : OUTPUT_MAX - runner->len);

	if (n > 0 && !full)
		runner->len += (size_t)n;
	return n > 0;
}

/*
 * Takes what the program prints until it has ended. Returns false where the time was over before. Another program that it has left, and that keeps the
 * pipe, is not waited for.
 */
static bool collect(struct runner *runner, pid_t pid, int in, int *status)
{
	bool ended = false, open = true;

	while (!ended || open) {
		struct pollfd wait = { .fd = open ? in : -1, .events = POLLIN };
		int ready = poll(&wait, 1, ended ? DRAIN_MS : open ? LOOK_MS : 1);

		if (ready > 0)
			open = read_some(runner, in);
		else if (ended)
			return true;
		ended = ended || waitpid(pid, status, WNOHANG) == pid;
		if (util_now_ms() >= runner->deadline)
			return ended;
	}
	return true;
}

static void tell_not_started(const struct runner *runner, int error)
{
	char message[PATH_MAX + 256];

	if (error == ENOEXEC) {
		snprintf(
		    message, sizeof message,
		    "the kernel does not run %s: WSL's entry for it is gone from /proc/sys/fs/binfmt_misc (systemd-binfmt drops it), `wsl.exe --shutdown` on Windows "
		    "brings it back",
		    runner->program);
		report(runner, WINDOWS_NO_BINFMT, 0, message);
	}
	snprintf(message, sizeof message, "cannot run %s: %s", runner->program, strerror(error));
	report(runner, error == ENOENT ? WINDOWS_NO_PROGRAM : WINDOWS_FAILED, 0, message);
}

static void run_program(struct runner *runner)
{
	int output[2], failed[2], status = 0, error = 0;
	pid_t pid;

	if (pipe2(output, O_CLOEXEC) < 0 || pipe2(failed, O_CLOEXEC) < 0)
		report(runner, WINDOWS_FAILED, 0, strerror(errno));
	pid = fork();
	if (pid == 0)
		exec_program(runner, output[1], failed[1]);
	if (pid < 0)
		report(runner, WINDOWS_FAILED, 0, strerror(errno));
	close(output[1]);
	close(failed[1]);
	if (!collect(runner, pid, output[0], &status)) {
		kill(-pid, SIGKILL);
		kill(pid, SIGKILL);
		report(runner, WINDOWS_TIMEOUT, 0, "");
	}
	if (read(failed[0], &error, sizeof error) == sizeof error)
		tell_not_started(runner, error);
	report(runner, WINDOWS_RAN, WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status), "");
}

/* The runner keeps nothing of who started it: no lock, no socket, no terminal. */
static void let_go(int report_fd)
{
	int null_fd = open("/dev/null", O_RDWR);
	sigset_t none;

	setsid();
	for (int fd = 0; fd < REPORT_FD; fd++)
		dup2(null_fd, fd);
	dup2(report_fd, REPORT_FD);
	fcntl(REPORT_FD, F_SETFD, FD_CLOEXEC);
	close_from(REPORT_FD + 1, descriptors_end());
	for (int signal_number = 1; signal_number < NSIG; signal_number++)
		signal(signal_number, SIG_DFL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
}

__attribute__((noreturn)) static void be_runner(const char *const *argv, char *const *environment, int64_t deadline, int report_fd)
{
	static struct runner runner; /* its output is too large for the stack */
	char message[PATH_MAX + 256];
	struct err err = { 0 };

	runner.argv = argv;
	runner.environment = environment;
	runner.deadline = deadline;
	let_go(report_fd);
	if (!find_program(&runner)) {
		snprintf(message, sizeof message, "no drive of Windows has %s (tried last: %s)", argv[0], runner.program);
		report(&runner, WINDOWS_NO_PROGRAM, 0, message);
	}
	if (interop_find(INTEROP_DIR, interop_variable(environment, "WSL_INTEROP"), runner.socket, &err) < 0)
		report(&runner, WINDOWS_NO_INTEROP, 0, err.msg);
	run_program(&runner);
	_exit(1);
}

int windows_run_start(struct windows_run *run, const char *const *argv, char *const *environment, int limit_ms, struct err *err)
{
	int64_t deadline = util_now_ms() + limit_ms;
	int pipe_fd[2];

	*run = (struct windows_run){ .fd = -1, .deadline = deadline + GRACE_MS };
	if (pipe2(pipe_fd, O_CLOEXEC) < 0)
		return err_set(err, errno, "cannot run %s", argv[0]);
	run->pid = fork();
	if (run->pid == 0)
		be_runner(argv, environment, deadline, pipe_fd[1]);
	close(pipe_fd[1]);
	if (run->pid < 0) {
		close(pipe_fd[0]);
		return err_set(err, errno, "cannot run %s", argv[0]);
	}
	fcntl(pipe_fd[0], F_SETFL, O_NONBLOCK);
	run->fd = pipe_fd[0];
	return 0;
}

static void run_end(struct windows_run *run)
{
	cleanup_close(&run->fd);
	free(run->report);
	*run = (struct windows_run){ .fd = -1 };
}

static void parse_report(const struct windows_run *run, struct windows_result *result)
{
	size_t head = run->len ? strnlen(run->report, run->len) : 0;
	int outcome, at = 0;

	if (head == run->len || sscanf(run->report, "%d %d %n", &outcome, &result->status, &at) != 2 || at == 0) {
		err_set(&result->err, -EPROTO, "the process that runs Windows programs was killed");
		return;
	}
	result->outcome = (enum windows_outcome)outcome;
	err_set(&result->err, -EIO, "%s", run->report + at);
	result->text = windows_text(run->report + head + 1, run->len - head - 1);
}

int windows_run_read(struct windows_run *run, struct windows_result *result)
{
	char buffer[4096];
	ssize_t n;

	while ((n = read(run->fd, buffer, sizeof buffer)) > 0 || (n < 0 && errno == EINTR)) {
		char *grown = n > 0 ? realloc(run->report, run->len + (size_t)n) : NULL;

		if (!grown)
			continue;
		run->report = grown;
		memcpy(grown + run->len, buffer, (size_t)n);
		run->len += (size_t)n;
	}
	if (n < 0 && util_now_ms() < run->deadline)
		return -EAGAIN;
	*result = (struct windows_result){ .outcome = WINDOWS_FAILED };
	if (n == 0) {
		parse_report(run, result);
		waitpid(run->pid, NULL, 0);
	} else {
		/* A drive that does not answer holds the runner in the kernel. */
		result->outcome = WINDOWS_TIMEOUT;
		kill(run->pid, SIGKILL);
		waitpid(run->pid, NULL, WNOHANG);
	}
	if (!result->text)
		result->text = strdup("");
	run_end(run);
	return 0;
}

void windows_run(struct windows_result *result, const char *const *argv, char *const *environment, int limit_ms)
{
	struct windows_run run;

	*result = (struct windows_result){ .outcome = WINDOWS_FAILED };
	if (windows_run_start(&run, argv, environment, limit_ms, &result->err) < 0) {
		result->text = strdup("");
		return;
	}
	while (windows_run_read(&run, result) == -EAGAIN) {
		struct pollfd wait = { .fd = run.fd, .events = POLLIN };
		int64_t left = run.deadline - util_now_ms();

		poll(&wait, 1, left > 0 ? (int)left : 0);
	}
}

void windows_run_leave(struct windows_run *run)
{
	run_end(run);
}

void windows_result_clear(struct windows_result *result)
{
	free(result->text);
	*result = (struct windows_result){ 0 };
}
