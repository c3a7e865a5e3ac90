/*
 * os_process NAME WAY...: a process of the OS that is hard to find, or hard to end. It writes "NAME ready", and "NAME TERM" or "NAME HUP" when it gets that signal, to
 * /var/log/os_process. It ends by itself after two minutes: no test waits so long.
 *
 *	session    in a session of its own
 *	daemon     forked twice, its parent gone
 *	namespace  in a mount namespace of its own, which keeps the disk busy
 *	stopped    by SIGSTOP
 *	ignore     goes on after TERM and HUP
 *	respawn    has a child, and forks it anew as soon as it ends; goes on after TERM
 *	chain      forks and ends, again and again: its pid is never the same for long; goes on after TERM
 */
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define LIFE_S 120
#define CHAIN_LINK_US 5000

static volatile sig_atomic_t got;

static void on_signal(int number)
{
	got = number;
}

/* One write, so that lines of several processes do not mix. */
static void tell(const char *name, const char *what)
{
	char line[128];
	int fd = open("/var/log/os_process", O_WRONLY | O_CREAT | O_APPEND, 0644);
	int len = snprintf(line, sizeof line, "%s %s\n", name, what);

	if (fd < 0 || write(fd, line, (size_t)len) != len)
		exit(1);
	close(fd);
}

static void fork_and_leave(void)
{
	pid_t pid = fork();

	if (pid != 0)
		_exit(pid < 0);
}

/* The shell that waits for the first process sees it end at once. */
static void become_daemon(void)
{
	fork_and_leave();
	setsid();
	fork_and_leave();
}

static void take_namespace(void)
{
	if (unshare(CLONE_NEWNS) < 0) {
		perror("unshare");
		exit(1);
	}
}

static void ignore_signals(void)
{
	signal(SIGTERM, SIG_IGN);
	signal(SIGHUP, SIG_IGN);
}

static void respawn(void)
{
	for (;;) {
		pid_t pid = fork();

		if (pid == 0) {
			sleep(LIFE_S);
			_exit(0);
		}
		while (pid > 0 && waitpid(pid, NULL, 0) != pid)
			;
	}
}

static void chain(void)
{
	for (int i = 0; i < LIFE_S * (1000000 / CHAIN_LINK_US); i++) {
		usleep(CHAIN_LINK_US);
		fork_and_leave();
	}
	_exit(0);
}

int main(int argc, char **argv)
{
	void (*last)(void) = NULL;
	bool stopped = false;
	sigset_t set, old;

	if (argc < 2)
		return 2;
	prctl(PR_SET_NAME, argv[1]);
	signal(SIGTERM, on_signal);
	signal(SIGHUP, on_signal);
	for (int i = 2; i < argc; i++) {
		if (strcmp(argv[i], "session") == 0)
			setsid();
		else if (strcmp(argv[i], "daemon") == 0)
			become_daemon();
		else if (strcmp(argv[i], "namespace") == 0)
			take_namespace();
		else if (strcmp(argv[i], "stopped") == 0)
			stopped = true;
		else if (strcmp(argv[i], "ignore") == 0)
			ignore_signals();
		else if (strcmp(argv[i], "respawn") == 0)
			last = respawn;
		else if (strcmp(argv[i], "chain") == 0)
			last = chain;
		else
			return 2;
	}
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGHUP);
	sigprocmask(SIG_BLOCK, &set, &old);
	alarm(LIFE_S);
	tell(argv[1], "ready");
	if (last) {
		ignore_signals();
		sigprocmask(SIG_SETMASK, &old, NULL);
		last();
	}
	if (stopped)
		raise(SIGSTOP);
	while (!got)
		sigsuspend(&old);
	tell(argv[1], got == SIGTERM ? "TERM" : "HUP");
	return 0;
}
