/* spawn: starts a command inside the OS. */
#include "spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/capability.h>
#include <sys/stat.h>
#include <unistd.h>

#include "login.h"

#define ENTER_MS 1000 /* how long a child on its way into the OS is waited for */

/* Out of the bounding set, so that no program of the OS gets it back, and out of our own sets. capabilities(7). */
static int drop_caps(const struct strlist *names, struct err *err)
{
	cap_t caps;
	int r = 0;

	if (names->count == 0)
		return 0;
	caps = cap_get_proc();
	for (size_t i = 0; caps && r == 0 && i < names->count; i++) {
		cap_value_t value;

		/* One that this kernel does not know nobody can have: EINVAL. */
		if (cap_from_name(names->str[i], &value) < 0 || (cap_drop_bound(value) < 0 && errno != EINVAL) ||
		    cap_set_flag(caps, CAP_PERMITTED, 1, &value, CAP_CLEAR) < 0 || cap_set_flag(caps, CAP_EFFECTIVE, 1, &value, CAP_CLEAR) < 0 ||
		    cap_set_flag(caps, CAP_INHERITABLE, 1, &value, CAP_CLEAR) < 0)
			r = err_set(err, errno, "cannot drop %s", names->str[i]);
	}
	if (!caps || (r == 0 && cap_set_proc(caps) < 0))
		r = err_set(err, errno, "cannot drop capabilities");
	cap_free(caps);
	return r;
}

int spawn_enter(const struct spawn *spawn, struct err *err)
{
	if (spawn->ns >= 0 && setns(spawn->ns, CLONE_NEWNS) < 0)
		return err_set(err, errno, "cannot enter the OS's mount namespace");
	if (fchdir(spawn->root) < 0 || chroot(".") < 0 || chdir("/") < 0)
		return err_set(err, errno, "cannot change to the OS's root");
	return drop_caps(spawn->caps_drop, err);
}

static bool is_passed(const struct strlist *patterns, const char *variable)
{
	size_t len = strcspn(variable, "=");
	auto_free char *name = strndup(variable, len);

	for (size_t i = 0; name && variable[len] == '=' && i < patterns->count; i++)
		if (fnmatch(patterns->str[i], name, 0) == 0)
			return true;
	return false;
}

char **spawn_passed(const struct spawn *spawn)
{
	size_t count = 0, passed = 0;
	char **list;

	while (spawn->environment && spawn->environment[count])
		count++;
	list = calloc(count + 2, sizeof *list);
	for (size_t i = 0; list && i < count; i++)
		if (is_passed(spawn->env_pass, spawn->environment[i]) && !(spawn->interop && strncmp(spawn->environment[i], "WSL_INTEROP=", 12) == 0))
			list[passed++] = spawn->environment[i];
	if (list && spawn->interop && is_passed(spawn->env_pass, spawn->interop))
		list[passed++] = (char *)spawn->interop;
	return list;
}

static void child(const struct spawn *spawn, const char *line, int null_fd, int log_fd)
{
	char *argv[] = { (char *)"/bin/sh", (char *)"-c", (char *)line, NULL };
	struct login login;
	struct err err;
	char **passed, **environment;
	int status = 126;

	setsid();
	umask(022);
	dup2(null_fd, STDIN_FILENO);
	dup2(log_fd, STDOUT_FILENO);
	dup2(log_fd, STDERR_FILENO);
	login_read(&login, spawn->root);
	passed = spawn_passed(spawn);
	environment = passed ? login_environment_bare(&login, passed) : NULL;
	if (!environment)
		err_set(&err, ENOMEM, "cannot make the environment");
	else if (spawn_enter(spawn, &err) == 0) {
		/* A boot command starts in "/", not at home. */
		strcpy(login.home, "/");
		status = login_exec(&login, argv, environment, &err);
	}
	dprintf(STDERR_FILENO, "gcdboot: %s: %s\n", line, err.msg);
	_exit(status);
}

/* The pipe ends when the child, in the OS by then, closes its descriptors: before that a stop would not know it for a process of the OS. */
static void wait_entered(int fd)
{
	struct pollfd pollfd = { .fd = fd, .events = POLLIN };

	poll(&pollfd, 1, ENTER_MS);
}

pid_t spawn_shell(const struct spawn *spawn, const char *line, int null_fd, int log_fd, struct err *err)
{
	int entered[2];
	pid_t pid;

	if (pipe2(entered, O_CLOEXEC) < 0)
		return err_set(err, errno, "cannot start '%s'", line);
	pid = fork();
	if (pid == 0)
		child(spawn, line, null_fd, log_fd);
	close(entered[1]);
	if (pid > 0)
		wait_entered(entered[0]);
	close(entered[0]);
	return pid < 0 ? err_set(err, errno, "cannot start '%s'", line) : pid;
}
