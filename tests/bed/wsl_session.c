/*
 * wsl_session elevated|ordinary NAME COMMAND [ARG...]: starts COMMAND as `wsl.exe -u root COMMAND` does, from a session that is elevated or not, in the current
 * directory, and returns. It plays the relay that WSL has for each session: a child of the distribution's init and a subreaper, with an interop socket named
 * by its pid, which lives as long as it does. COMMAND has no terminal: pipes lead to the relay. TERM to the relay closes the session, as closing the window,
 * or logging off, does: the pipes are closed, and COMMAND's process group gets HUP.
 *
 * In /run/windows/session/NAME are: pid (the relay's), out and err (what COMMAND has printed), and, when it has ended, status.
 *
 * How it differs from WSL: nobody is at the other end of the relay's wire; and the mount namespaces of the two kinds of sessions are those of process 1, and of
 * the process in /run/windows/ordinary, which tests/bed/wsl/ordinary makes.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static char interop[64];

__attribute__((noreturn)) static void die(const char *what)
{
	fprintf(stderr, "wsl_session: %s: %s\n", what, strerror(errno));
	exit(2);
}

/* The path is the same in the other namespace; the working directory would be that of the old one. */
static void enter_ordinary(void)
{
	char *cwd = getcwd(NULL, 0), path[64];
	FILE *in = fopen("/run/windows/ordinary", "re");
	int pid = 0, ns;

	if (!in || fscanf(in, "%d", &pid) != 1)
		die("/run/windows/ordinary");
	fclose(in);
	snprintf(path, sizeof path, "/proc/%d/ns/mnt", pid);
	ns = open(path, O_RDONLY | O_CLOEXEC);
	if (ns < 0 || setns(ns, CLONE_NEWNS) < 0 || !cwd || chdir(cwd) < 0)
		die("entering the other namespace");
	close(ns);
	free(cwd);
}

static void go_to(const char *name)
{
	mkdir("/run/windows/session", 0755);
	if (chdir("/run/windows/session") < 0 || mkdir(name, 0755) < 0 || chdir(name) < 0)
		die(name);
}

static int create(const char *file)
{
	int fd = open(file, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0644);

	if (fd < 0)
		die(file);
	return fd;
}

/* Complete from the moment it has its name. */
static void write_number(const char *file, int number)
{
	int fd = create("new");

	dprintf(fd, "%d\n", number);
	close(fd);
	rename("new", file);
}

static void serve_interop(void)
{
	struct stat st;
	pid_t pid;

	snprintf(interop, sizeof interop, "/run/WSL/%d_interop", getpid());
	pid = fork();
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		execl("/init", "/init", "serve", interop, NULL);
		_exit(127);
	}
	while (stat(interop, &st) < 0 && waitpid(pid, NULL, WNOHANG) == 0)
		usleep(10000);
}

__attribute__((noreturn)) static void exec_command(char **argv, int cwd, int in, int out, int err)
{
	sigset_t none;

	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	setsid();
	clearenv();
	setenv("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/mnt/c/Windows/System32", 1);
	setenv("HOME", "/root", 1);
	setenv("USER", "root", 1);
	setenv("SHELL", "/bin/bash", 1);
	setenv("LANG", "C.UTF-8", 1);
	setenv("TERM", "xterm-256color", 1);
	setenv("WSL_DISTRO_NAME", "Debian", 1);
	setenv("WSL_INTEROP", interop, 1);
	setenv("WSLENV", "", 1);
	if (fchdir(cwd) < 0 || dup2(in, 0) < 0 || dup2(out, 1) < 0 || dup2(err, 2) < 0)
		_exit(126);
	execvp(argv[0], argv);
	dprintf(2, "%s: %s\n", argv[0], strerror(errno));
	_exit(127);
}

/* Returns false at the end of the pipe. */
static int copy_some(int from, int to)
{
	char buffer[4096];
	ssize_t n = read(from, buffer, sizeof buffer);

	return n > 0 && write(to, buffer, (size_t)n) == n;
}

static void relay(pid_t command, struct pollfd fds[3], const int files[2])
{
	int status = 0;

	for (;;) {
		poll(fds, 3, -1);
		for (int i = 0; i < 2; i++)
			if (fds[i].revents && !copy_some(fds[i].fd, files[i]))
				fds[i].fd = -1;
		if (fds[2].revents) {
			struct signalfd_siginfo info;

			if (read(fds[2].fd, &info, sizeof info) != sizeof info)
				continue;
			if (info.ssi_signo == SIGTERM)
				break;
			for (pid_t ended; (ended = waitpid(-1, &status, WNOHANG)) > 0;)
				if (ended == command)
					write_number("status", WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
		}
		/* Like wsl.exe, it is over when the command has ended and nobody has its pipes any more. */
		if (fds[0].fd < 0 && fds[1].fd < 0 && access("status", F_OK) == 0)
			return;
	}
	kill(-command, SIGHUP);
}

__attribute__((noreturn)) static void be_relay(char **argv, const char *name, int cwd)
{
	int in[2], out[2], err[2], files[2];
	sigset_t mask;
	pid_t command;

	setsid();
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	go_to(name);
	files[0] = create("out");
	files[1] = create("err");
	serve_interop();
	sigemptyset(&mask);
	sigaddset(&mask, SIGCHLD);
	sigaddset(&mask, SIGTERM);
	sigprocmask(SIG_BLOCK, &mask, NULL);
	if (pipe2(in, O_CLOEXEC) < 0 || pipe2(out, O_CLOEXEC) < 0 || pipe2(err, O_CLOEXEC) < 0)
		die("pipe");
	command = fork();
	if (command == 0)
		exec_command(argv, cwd, in[0], out[1], err[1]);
	close(in[0]);
	close(out[1]);
	close(err[1]);
	write_number("pid", getpid());
	relay(command,
	      (struct pollfd[]){
		  { .fd = out[0], .events = POLLIN }, { .fd = err[0], .events = POLLIN }, { .fd = signalfd(-1, &mask, SFD_CLOEXEC), .events = POLLIN } },
	      files);
	_exit(0);
}

int main(int argc, char **argv)
{
	int cwd, null_fd;
	pid_t pid;

	if (argc < 4) {
		fputs("usage: wsl_session elevated|ordinary NAME COMMAND [ARG...]\n", stderr);
		return 2;
	}
	if (strcmp(argv[1], "ordinary") == 0)
		enter_ordinary();
	cwd = open(".", O_PATH | O_DIRECTORY | O_CLOEXEC);
	null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	/* Its parent ends at once, so that it is a child of the distribution's init, or of whoever is subreaper here. */
	pid = fork();
	if (pid == 0 && fork() == 0) {
		for (int fd = 0; fd < 3; fd++)
			dup2(null_fd, fd);
		be_relay(argv + 3, argv[2], cwd);
	}
	if (pid > 0)
		waitpid(pid, NULL, 0);
	_exit(pid < 0 ? 2 : 0);
}
