/* login_test: what is read of a root's passwd and group, the environment, and the last steps before the exec. */
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <grp.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "../../gcdboot/login.h"
#include "../../gcdboot/util.h"

/* ---- a root directory per test */

struct root {
	char path[64];
	int fd;
};

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

static int root_setup(void **state)
{
	static struct root the_root;
	struct root *root = &the_root;

	*root = (struct root){ .path = "/tmp/login_test.XXXXXX" };
	if (!mkdtemp(root->path))
		return -1;
	root->fd = open(root->path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (mkdirat(root->fd, "etc", 0755) < 0)
		return -1;
	/* A read that waits for ever must fail the test. */
	alarm(60);
	*state = root;
	return 0;
}

static int root_teardown(void **state)
{
	struct root *root = *state;

	close(root->fd);
	nftw(root->path, remove_one, 16, FTW_DEPTH | FTW_PHYS | FTW_MOUNT);
	return 0;
}

static void put_bytes(const struct root *root, const char *name, const char *bytes, size_t size)
{
	int fd = openat(root->fd, name, O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0755);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, bytes, size), size);
	close(fd);
}

static void put(const struct root *root, const char *name, const char *text)
{
	put_bytes(root, name, text, strlen(text));
}

static void assert_login(const struct root *root, const char *home, const char *shell)
{
	struct login login;

	login_read(&login, root->fd);
	assert_string_equal(login.home, home);
	assert_string_equal(login.shell, shell);
}

static void assert_groups(const struct root *root, int count, const gid_t *groups)
{
	struct login login;

	login_read(&login, root->fd);
	assert_int_equal(login.group_count, count);
	for (int i = 0; i < count; i++)
		assert_int_equal(login.groups[i], groups[i]);
}

#define GROUPS(...)                                                                                                                                            \
	(int)(sizeof(gid_t[]){ __VA_ARGS__ } / sizeof(gid_t)), (gid_t[])                                                                                       \
	{                                                                                                                                                      \
		__VA_ARGS__                                                                                                                                    \
	}

/* ---- passwd and group */

static void reads_root(void **state)
{
	put(*state, "etc/passwd", "daemon:x:1:1::/usr/sbin:/usr/sbin/nologin\nroot:x:0:0:root:/home/root:/bin/zsh\n");
	put(*state, "etc/group", "root:x:0:\nadm:x:4:syslog,root\nfloppy:x:11:root\nusers:x:100:roots,xroot\n");
	assert_login(*state, "/home/root", "/bin/zsh");
	assert_groups(*state, GROUPS(0, 4, 11));
}

static void without_files(void **state)
{
	assert_login(*state, "/", "/bin/sh");
	assert_groups(*state, GROUPS(0));
}

static void last_line_without_newline(void **state)
{
	put(*state, "etc/passwd", "root:x:0:0:root:/root:/bin/bash");
	put(*state, "etc/group", "floppy:x:11:root");
	assert_login(*state, "/root", "/bin/bash");
	assert_groups(*state, GROUPS(0, 11));
}

static void unusable_values(void **state)
{
	static char line[2 * PATH_MAX + 64] = "root:x:0:0:root:/";

	put(*state, "etc/passwd", "root:x:0:0:root:root:bash\n");
	assert_login(*state, "/", "/bin/sh");
	put(*state, "etc/passwd", "root:x:0:0:root::\n");
	assert_login(*state, "/", "/bin/sh");
	put(*state, "etc/passwd", "root:x:0\n");
	assert_login(*state, "/", "/bin/sh");
	memset(line + strlen(line), 'h', PATH_MAX);
	snprintf(line + strlen(line), 16, ":/bin/bash\n");
	put(*state, "etc/passwd", line);
	assert_login(*state, "/", "/bin/bash");
}

static void other_lines_are_passed_over(void **state)
{
	put(*state, "etc/passwd",
	    "\n#x:x:0:0::/comment:/c\n+::0:0::/nis:/n\n-u::0:0::/nis:/n\nx\nodd:x:0x0:0::/odd:/o\nempty:x::0::/empty:/e\n"
	    "  root:x:0:0:root:/root:/bin/bash\n");
	put(*state, "etc/group",
	    "\n#g:x:1:root\n+:::root\n+g:x:2:root\ng\ng:x::root\ng:x:-1:root\ng:x:4294967295:root\ng:x:4294967296:root\n"
	    "g:x:99999999999999999999999:root\ng:x:3x:root\ng:x:4294967294:a, root\n");
	assert_login(*state, "/root", "/bin/bash");
	assert_groups(*state, GROUPS(0, 4294967294u));
}

static void several_with_uid_0(void **state)
{
	put(*state, "etc/passwd", "toor:x:0:0::/toor:/bin/toor\nroot:x:0:0::/root:/bin/bash\nlast:x:0:0::/last:/bin/last\n");
	assert_login(*state, "/root", "/bin/bash");
	put(*state, "etc/passwd", "toor:x:0:0::/toor:/bin/toor\nlast:x:0:0::/last:/bin/last\n");
	assert_login(*state, "/toor", "/bin/toor");
	put(*state, "etc/passwd", "toor:x:0:0::/toor:/bin/toor\nroot:x:0:0::relative:\n");
	assert_login(*state, "/", "/bin/sh");
}

static void a_group_counts_once(void **state)
{
	put(*state, "etc/group", "a:x:11:root\nb:x:11:root,root\nwheel:x:0:root\n");
	assert_groups(*state, GROUPS(0, 11));
}

static void more_groups_than_fit(void **state)
{
	struct login login;
	char text[4096] = "";

	for (int i = 1; i < 2 * LOGIN_GROUPS; i++)
		snprintf(text + strlen(text), sizeof text - strlen(text), "g%d:x:%d:root\n", i, i);
	put(*state, "etc/group", text);
	login_read(&login, ((struct root *)*state)->fd);
	assert_int_equal(login.group_count, LOGIN_GROUPS);
	assert_int_equal(login.groups[LOGIN_GROUPS - 1], LOGIN_GROUPS - 1);
}

/* What is read ends in the middle of a line, which must not count: another line than the one that was written. */
static void too_large(void **state)
{
	static const char first[] = "first:x:11:root\n";
	static const char cut[] = "cut:x:12:root,x\n";
	const size_t limit = 1024 * 1024;
	static char text[1024 * 1024 + sizeof cut];

	memset(text, '#', limit);
	memcpy(text, first, sizeof first - 1);
	/* The line's first 13 bytes, "cut:x:12:root", are the last that are read. */
	text[limit - 14] = '\n';
	memcpy(text + limit - 13, cut, sizeof cut - 1);
	put_bytes(*state, "etc/group", text, limit - 13 + sizeof cut - 1);
	assert_groups(*state, GROUPS(0, 11));
}

static void nul_bytes(void **state)
{
	static const char group[] = "a:x:11:root\n\0b:x:12:root\n";

	put_bytes(*state, "etc/group", group, sizeof group);
	assert_groups(*state, GROUPS(0, 11));
}

static void links_stay_inside(void **state)
{
	const struct root *root = *state;
	char path[128];

	/* Absolute, and more ".." than there are directories: both mean the root's own. */
	assert_int_equal(mkdirat(root->fd, "real", 0755), 0);
	put(root, "real/passwd", "root:x:0:0::/inside:/bin/inside\n");
	assert_int_equal(symlinkat("/real/passwd", root->fd, "etc/passwd"), 0);
	put(root, "real/group", "g:x:11:root\n");
	assert_int_equal(symlinkat("../../../../../../../real/group", root->fd, "etc/group"), 0);
	assert_login(root, "/inside", "/bin/inside");
	assert_groups(root, GROUPS(0, 11));

	/* The path of a file that exists outside only. */
	assert_int_equal(unlinkat(root->fd, "etc/passwd", 0), 0);
	snprintf(path, sizeof path, "%s/real/passwd", root->path);
	assert_int_equal(access(path, R_OK), 0);
	assert_int_equal(symlinkat(path, root->fd, "etc/passwd"), 0);
	assert_login(root, "/", "/bin/sh");
}

static void what_is_no_file(void **state)
{
	const struct root *root = *state;

	assert_int_equal(mkfifoat(root->fd, "etc/passwd", 0644), 0);
	assert_int_equal(mkdirat(root->fd, "etc/group", 0755), 0);
	assert_login(root, "/", "/bin/sh");
	assert_groups(root, GROUPS(0));
	assert_int_equal(unlinkat(root->fd, "etc/passwd", 0), 0);
	assert_int_equal(symlinkat("passwd", root->fd, "etc/passwd"), 0);
	assert_login(root, "/", "/bin/sh");
	assert_int_equal(unlinkat(root->fd, "etc/passwd", 0), 0);
	if (mknodat(root->fd, "etc/passwd", S_IFCHR | 0644, makedev(1, 5)) == 0) /* /dev/zero */
		assert_login(root, "/", "/bin/sh");
}

/* ---- the environment */

static const struct login someone = { .home = "/home/root", .shell = "/bin/zsh", .group_count = 1 };

static bool has(char *const *environment, const char *variable)
{
	for (; *environment; environment++)
		if (strcmp(*environment, variable) == 0)
			return true;
	return false;
}

static size_t count_of(char *const *environment)
{
	size_t n = 0;

	while (environment[n])
		n++;
	return n;
}

/* login_environment() with `variables` as the process's own. */
static char **environment_from(const char *const *variables, const char *const *extra)
{
	char **saved = environ;
	char **made;

	environ = (char **)variables;
	made = login_environment(&someone, (char *const *)extra);
	environ = saved;
	assert_non_null(made);
	return made;
}

static void environment_free(char **environment)
{
	for (char **variable = environment; *variable; variable++)
		free(*variable);
	free(environment);
}

static void environment_is_clean(void **state)
{
	const char *const hostile[] = { "LD_PRELOAD=/evil.so",
					"LD_LIBRARY_PATH=/evil",
					"PATH=/evil",
					"HOME=/evil",
					"SHELL=/evil",
					"USER=evil",
					"IFS=x",
					"BASH_ENV=/evil",
					"ENV=/evil",
					"TERMINFO=/evil",
					"LANGX=x",
					"no_equals_sign",
					"",
					"=x",
					"BASH_FUNC_ls%%=() { evil; }",
					NULL };
	char **made = environment_from(hostile, NULL);

	(void)state;
	assert_int_equal(count_of(made), 5);
	assert_true(has(made, "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"));
	assert_true(has(made, "HOME=/home/root"));
	assert_true(has(made, "SHELL=/bin/zsh"));
	assert_true(has(made, "USER=root"));
	assert_true(has(made, "LOGNAME=root"));
	environment_free(made);
}

static void terminal_and_locale_stay(void **state)
{
	const char *const own[] = {
		"TERM=xterm-256color", "COLORTERM=truecolor", "LANG=ja_JP.UTF-8", "LC_ALL=de_DE.UTF-8@euro", "LC_TIME=C", "TZ=Asia/Tokyo", NULL
	};
	char **made = environment_from(own, NULL);

	(void)state;
	for (const char *const *variable = own; *variable; variable++)
		assert_true(has(made, *variable));
	environment_free(made);
}

static void but_not_as_file_names(void **state)
{
	const char *const hostile[] = {
		"TERM=../../evil", "LANG=/tmp/evil", "LC_ALL=../evil", "TZ=/tmp/evil", "TZ=:/tmp/evil", "TZ=../evil", "LC_TIME=%n", NULL
	};
	char **made = environment_from(hostile, NULL);

	(void)state;
	assert_int_equal(count_of(made), 5);
	environment_free(made);
}

static void extra_is_added(void **state)
{
	const char *const own[] = { "TERM=xterm", "WSL_INTEROP=/own", NULL };
	const char *const extra[] = { "WSL_INTEROP=/run/WSL/1_interop", "TERM=dumb", "HOME=/evil", "PATH=/evil", "nonsense", "EMPTY=", NULL };
	char **made = environment_from(own, extra);

	(void)state;
	assert_true(has(made, "WSL_INTEROP=/run/WSL/1_interop"));
	assert_true(has(made, "TERM=dumb"));
	assert_true(has(made, "EMPTY="));
	assert_true(has(made, "HOME=/home/root"));
	assert_int_equal(count_of(made), 8);
	environment_free(made);
}

static void without_environment(void **state)
{
	char **made = environment_from(NULL, NULL);

	(void)state;
	assert_int_equal(count_of(made), 5);
	environment_free(made);
}

/* ---- the exec: in a child, whose stdout and exit status are looked at */

struct ending {
	int status; /* as of waitpid(2) */
	char out[4096];
};

static void child(const struct login *login, char *const *argv, int out) __attribute__((noreturn));
static void child(const struct login *login, char *const *argv, int out)
{
	struct err err = { 0 };
	char **environment = login_environment(login, NULL);
	int status;

	dup2(out, STDOUT_FILENO);
	status = login_exec(login, argv, environment, &err);
	dprintf(out, "%s", err.msg);
	/* What the exec would have closed is closed by now: the message may be lost, so it goes to stdout too. */
	dprintf(STDOUT_FILENO, "%s", err.msg);
	_exit(status);
}

static struct ending end_of(const struct login *login, char *const *argv)
{
	struct ending ending = { 0 };
	size_t len = 0;
	ssize_t n;
	int out[2];
	pid_t pid;

	assert_int_equal(pipe(out), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0)
		child(login, argv, out[1]);
	close(out[1]);
	while ((n = read(out[0], ending.out + len, sizeof ending.out - 1 - len)) > 0)
		len += (size_t)n;
	close(out[0]);
	assert_int_equal(waitpid(pid, &ending.status, 0), pid);
	return ending;
}

#define END_OF(login, ...) end_of(login, (char *const *)(const char *const[]){ __VA_ARGS__, NULL })

static const struct login plain = { .home = "/", .shell = "/bin/sh", .groups = { 0 }, .group_count = 1 };

static void assert_exit(struct ending ending, int status)
{
	assert_true(WIFEXITED(ending.status));
	assert_int_equal(WEXITSTATUS(ending.status), status);
}

static void status_is_the_commands(void **state)
{
	struct ending ending;

	(void)state;
	assert_exit(END_OF(&plain, "true"), 0);
	assert_exit(END_OF(&plain, "sh", "-c", "exit 7"), 7);
	ending = END_OF(&plain, "sh", "-c", "kill -TERM $$");
	assert_true(WIFSIGNALED(ending.status));
	assert_int_equal(WTERMSIG(ending.status), SIGTERM);
}

static void cannot_be_run(void **state)
{
	const struct root *root = *state;
	struct ending ending;
	char path[128];

	ending = END_OF(&plain, "no-such-command");
	assert_exit(ending, 127);
	assert_string_equal(ending.out, "no-such-command: No such file or directory");
	assert_exit(END_OF(&plain, "/no/such/command"), 127);
	assert_exit(END_OF(&plain, ""), 127);
	assert_exit(END_OF(&plain, "/etc"), 126);
	assert_exit(END_OF(&plain, "/etc/passwd"), 126);
	assert_exit(END_OF(&plain, "/etc/passwd/x"), 126);
	snprintf(path, sizeof path, "%s/script", root->path);
	put(root, "script", "#!/no/such/interpreter\n");
	ending = END_OF(&plain, path);
	assert_exit(ending, 126);
	assert_non_null(strstr(ending.out, "interpreter"));
}

static void a_script_without_interpreter(void **state)
{
	const struct root *root = *state;
	char path[128];

	snprintf(path, sizeof path, "%s/script", root->path);
	put(root, "script", "exit 9\n");
	assert_exit(END_OF(&plain, path), 9);
}

/* The caller's PATH has a `true` of its own, which must not be found. */
static void the_logins_path_counts(void **state)
{
	const struct root *root = *state;

	put(root, "true", "#!/bin/sh\nexit 9\n");
	setenv("PATH", root->path, 1);
	assert_exit(END_OF(&plain, "true"), 0);
	setenv("PATH", "/usr/bin:/bin", 1);
}

static void login_shell(void **state)
{
	const struct root *root = *state;
	struct login login = plain;
	struct ending ending;

	snprintf(login.shell, sizeof login.shell, "%s/mysh", root->path);
	assert_int_equal(symlink("/bin/sh", login.shell), 0);
	/* A login shell reads its commands from stdin; that of the child is this file. */
	put(root, "commands", "echo \"$0 $SHELL\"; exit 5\n");
	int saved = dup(STDIN_FILENO);
	int commands = openat(root->fd, "commands", O_RDONLY);

	dup2(commands, STDIN_FILENO);
	ending = end_of(&login, NULL);
	lseek(STDIN_FILENO, 0, SEEK_SET);
	assert_exit(end_of(&login, (char *[]){ NULL }), 5);
	dup2(saved, STDIN_FILENO);
	close(saved);
	close(commands);
	assert_exit(ending, 5);
	assert_memory_equal(ending.out, "-mysh ", 6);
	assert_non_null(strstr(ending.out, login.shell));

	strcpy(login.shell, "/no/such/shell");
	assert_exit(end_of(&login, NULL), 127);
}

static void home_or_root(void **state)
{
	const struct root *root = *state;
	struct login login = plain;

	snprintf(login.home, sizeof login.home, "%s", root->path);
	assert_string_equal(strtok(END_OF(&login, "sh", "-c", "pwd -P").out, "\n"), root->path);
	strcpy(login.home, "/no/such/home");
	assert_string_equal(END_OF(&login, "sh", "-c", "pwd -P").out, "/\n");
}

static void descriptors_and_signals(void **state)
{
	struct ending ending;
	sigset_t blocked, saved;
	int fds[20];

	(void)state;
	for (int i = 0; i < 20; i++)
		fds[i] = open("/", O_RDONLY | O_DIRECTORY);
	dup2(fds[0], 900);
	signal(SIGPIPE, SIG_IGN);
	signal(SIGHUP, SIG_IGN);
	sigemptyset(&blocked);
	sigaddset(&blocked, SIGTERM);
	sigaddset(&blocked, SIGRTMAX);
	sigprocmask(SIG_BLOCK, &blocked, &saved);
	/* fd 3 is the directory that ls itself reads. */
	ending = END_OF(&plain, "ls", "/proc/self/fd");
	assert_string_equal(ending.out, "0\n1\n2\n3\n");
	ending = END_OF(&plain, "grep", "-E", "^Sig(Blk|Ign)", "/proc/self/status");
	assert_string_equal(ending.out, "SigBlk:\t0000000000000000\nSigIgn:\t0000000000000000\n");
	sigprocmask(SIG_SETMASK, &saved, NULL);
	signal(SIGPIPE, SIG_DFL);
	signal(SIGHUP, SIG_DFL);
	close(900);
	for (int i = 0; i < 20; i++)
		close(fds[i]);
}

static void groups_are_set(void **state)
{
	struct login login = plain;

	(void)state;
	if (geteuid() != 0)
		skip();
	login.groups[1] = 11;
	login.groups[2] = 4000000000u;
	login.group_count = 3;
	assert_string_equal(END_OF(&login, "grep", "Groups", "/proc/self/status").out, "Groups:\t0 11 4000000000 \n");
	assert_string_equal(END_OF(&login, "sh", "-c", "id -u; id -g").out, "0\n0\n");
}

int main(void)
{
#define WITH_ROOT(test) cmocka_unit_test_setup_teardown(test, root_setup, root_teardown)
	const struct CMUnitTest tests[] = {
		WITH_ROOT(reads_root),
		WITH_ROOT(without_files),
		WITH_ROOT(last_line_without_newline),
		WITH_ROOT(unusable_values),
		WITH_ROOT(other_lines_are_passed_over),
		WITH_ROOT(several_with_uid_0),
		WITH_ROOT(a_group_counts_once),
		WITH_ROOT(more_groups_than_fit),
		WITH_ROOT(too_large),
		WITH_ROOT(nul_bytes),
		WITH_ROOT(links_stay_inside),
		WITH_ROOT(what_is_no_file),
		cmocka_unit_test(environment_is_clean),
		cmocka_unit_test(terminal_and_locale_stay),
		cmocka_unit_test(but_not_as_file_names),
		cmocka_unit_test(extra_is_added),
		cmocka_unit_test(without_environment),
		cmocka_unit_test(status_is_the_commands),
		WITH_ROOT(cannot_be_run),
		WITH_ROOT(a_script_without_interpreter),
		WITH_ROOT(the_logins_path_counts),
		WITH_ROOT(login_shell),
		WITH_ROOT(home_or_root),
		cmocka_unit_test(descriptors_and_signals),
		cmocka_unit_test(groups_are_set),
	};

	return cmocka_run_group_tests_name("login", tests, NULL, NULL);
}
