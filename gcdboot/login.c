/* login: becomes root of another root directory: its groups, its environment, its shell. */
#include "login.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "inroot.h"
#include "util.h"

#define TABLE_MAX (1024 * 1024)
#define LOGIN_PATH "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
#define FIELDS 7 /* of a line of passwd(5), the longer one */
#define NO_HOME "/"
#define NO_SHELL "/bin/sh"

/*
 * Reads etc/passwd or etc/group: malloc'ed, or NULL. The root may be anyone's: a fifo there must not make us wait, and a file of /proc or /sys must
 * not feed us for ever. What lies behind TABLE_MAX does not count.
 */
static char *read_table(int root_fd, const char *path)
{
	auto_close int fd = inroot_open(root_fd, path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC, NULL);
	struct stat st;
	size_t len = 0;
	ssize_t n;
	char *text;

	if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
		return NULL;
	text = malloc(TABLE_MAX + 1);
	if (!text)
		return NULL;
	while (len < TABLE_MAX && (n = read(fd, text + len, TABLE_MAX - len)) > 0)
		len += (size_t)n;
	/* A line that was cut off could be taken for another number than it is. */
	if (len == TABLE_MAX)
		while (len > 0 && text[len - 1] != '\n')
			len--;
	text[len] = '\0';
	return text;
}

/*
 * The next line of *rest, cut into its fields, which all exist (empty where the line has fewer); false at the end of the text. Comments, and
 * NIS's "+" and "-" lines, are none.
 */
static bool next_entry(char **rest, char *field[FIELDS])
{
	static char nothing[] = "";
	char *line;

	do {
		line = strsep(rest, "\n");
		if (!line)
			return false;
		line += strspn(line, " \t");
	} while (line[0] == '\0' || strchr("#+-", line[0]));
	for (int i = 0; i < FIELDS; i++) {
		field[i] = strsep(&line, ":");
		if (!field[i])
			field[i] = nothing;
	}
	return true;
}

static bool parse_id(const char *text, unsigned *id)
{
	unsigned long long value;
	char *end;

	if (text[0] < '0' || text[0] > '9')
		return false;
	value = strtoull(text, &end, 10);
	*id = (unsigned)value;
	return *end == '\0' && value < UINT_MAX; /* the largest is (uid_t)-1, "no id" to the kernel */
}

static void set_path(char dst[PATH_MAX], const char *path, const char *otherwise)
{
	const char *usable = path[0] == '/' && strlen(path) < PATH_MAX ? path : otherwise;

	memcpy(dst, usable, strlen(usable) + 1);
}

/* passwd(5). Of several accounts with uid 0 the one named root counts, else the first. */
static void read_passwd(struct login *login, char *text)
{
	char *field[FIELDS];
	bool found = false;
	unsigned uid;

	while (next_entry(&text, field)) {
		bool is_root = strcmp(field[0], "root") == 0;

		if (!parse_id(field[2], &uid) || uid != 0 || (found && !is_root))
			continue;
		set_path(login->home, field[5], NO_HOME);
		set_path(login->shell, field[6], NO_SHELL);
		found = true;
		if (is_root)
			return;
	}
}

static void add_group(struct login *login, gid_t gid)
{
	for (int i = 0; i < login->group_count; i++)
		if (login->groups[i] == gid)
			return;
	if (login->group_count < LOGIN_GROUPS)
		login->groups[login->group_count++] = gid;
}

/* group(5) */
static void read_groups(struct login *login, char *text)
{
	char *field[FIELDS];
	const char *member;
	unsigned gid;

	while (next_entry(&text, field)) {
		if (!parse_id(field[2], &gid))
			continue;
		while ((member = strsep(&field[3], ", ")))
			if (strcmp(member, "root") == 0)
				add_group(login, gid);
	}
}

void login_read(struct login *login, int root_fd)
{
	auto_free char *passwd = read_table(root_fd, "etc/passwd");
	auto_free char *group = read_table(root_fd, "etc/group");

	strcpy(login->home, NO_HOME);
	strcpy(login->shell, NO_SHELL);
	login->group_count = 0;
	login->descriptors_end = descriptors_end();
	add_group(login, 0);
	if (passwd)
		read_passwd(login, passwd);
	if (group)
		read_groups(login, group);
}

static bool has_variable(const struct strlist *list, const char *variable)
{
	size_t len = strcspn(variable, "=") + 1;

	for (size_t i = 0; i < list->count; i++)
		if (strncmp(list->str[i], variable, len) == 0)
			return true;
	return false;
}

/*
 * Terminal, language and time zone stay, but never as the name of a file, which the C library or curses of the new root would then load for root
 * (sudo draws the line in the same place).
 */
static bool stays(const char *variable)
{
	static const char *const names[] = { "TERM=", "COLORTERM=", "LANG=", "TZ=" };
	const char *value = strchr(variable, '=');

	if (!value)
		return false;
	if (strncmp(variable, "TZ=", 3) == 0)
		return value[1] != '/' && value[1] != ':' && !strstr(value, "..") && !strchr(value, '%');
	if (strpbrk(value, "/%"))
		return false;
	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		if (strncmp(variable, names[i], strlen(names[i])) == 0)
			return true;
	return strncmp(variable, "LC_", 3) == 0;
}

/* Adds those of `variables` that may be, and that are not there yet. */
static int add_variables(struct strlist *list, char *const *variables, bool (*may)(const char *variable))
{
	for (; variables && *variables; variables++) {
		if (!strchr(*variables, '=') || has_variable(list, *variables) || (may && !may(*variables)))
			continue;
		if (strlist_add(list, *variables) < 0)
			return -ENOMEM;
	}
	return 0;
}

static int add_home(struct strlist *list, const struct login *login)
{
	if (strlist_add(list, "PATH=" LOGIN_PATH) < 0 || strlist_addf(list, "HOME=%s", login->home) < 0)
		return -ENOMEM;
	return 0;
}

static int add_login(struct strlist *list, const struct login *login)
{
	if (add_home(list, login) < 0 || strlist_addf(list, "SHELL=%s", login->shell) < 0 || strlist_add(list, "USER=root") < 0 ||
	    strlist_add(list, "LOGNAME=root") < 0)
		return -ENOMEM;
	return 0;
}

/* The list's strings as an environment, or NULL where r or memory say no. */
static char **to_environment(struct strlist *list, int r)
{
	char **environment = r < 0 ? NULL : reallocarray(list->str, list->count + 1, sizeof *environment);

	if (!environment) {
		strlist_clear(list);
		return NULL;
	}
	environment[list->count] = NULL;
	return environment;
}

char **login_environment(const struct login *login, char *const *extra)
{
	struct strlist list = { 0 };
	int r = add_login(&list, login);

	if (r == 0)
		r = add_variables(&list, extra, NULL);
	if (r == 0)
		r = add_variables(&list, environ, stays);
	return to_environment(&list, r);
}

char **login_environment_bare(const struct login *login, char *const *extra)
{
	struct strlist list = { 0 };
	int r = add_home(&list, login);

	return to_environment(&list, r == 0 ? add_variables(&list, extra, NULL) : r);
}

static int become_root(const struct login *login, struct err *err)
{
	if (setresgid(0, 0, 0) < 0)
		return err_set(err, errno, "cannot take group 0 (needs CAP_SETGID)");
	if (setresuid(0, 0, 0) < 0)
		return err_set(err, errno, "cannot become root (needs CAP_SETUID)");
	/*
	 * Without CAP_SETGID, and in a user namespace that denies setgroups, the old groups stay. They are root's own: nothing is gained by
	 * them, some may only have no name here. No reason to keep someone from getting home.
	 */
	if (setgroups((size_t)login->group_count, login->groups) < 0 && errno != EPERM)
		return err_set(err, errno, "cannot set root's groups");
	return 0;
}

/*
 * execve(2) resets handlers, but keeps what is ignored or blocked. By the system call itself: signal(3) refuses the two that glibc keeps for itself,
 * and a posix_spawn'ed ancestor may have left them ignored.
 */
static void reset_signals(void)
{
	static const unsigned char by_default[64]; /* the kernel's struct sigaction, all zero: SIG_DFL, no flags */
	sigset_t none;

	for (int sig = 1; sig < NSIG; sig++)
		syscall(SYS_rt_sigaction, sig, by_default, NULL, (size_t)(NSIG - 1) / 8);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
}

static bool is_there(const char *command)
{
	char path[PATH_MAX];
	const char *dir = LOGIN_PATH;

	if (strchr(command, '/'))
		return access(command, F_OK) == 0;
	for (size_t len; *dir && *command; dir += len + (dir[len] == ':')) {
		len = strcspn(dir, ":");
		if (snprintf(path, sizeof path, "%.*s/%s", (int)len, dir, command) < (int)sizeof path && access(path, F_OK) == 0)
			return true;
	}
	return false;
}

static int exec_failed(const char *command, struct err *err)
{
	int errnum = errno;

	/* "No such file" of a file that is there puzzles people: the kernel means the one that this file asks for. */
	if (errnum == ENOENT && is_there(command)) {
		err_set(err, -ENOENT, "%s: the interpreter or dynamic loader that it names does not exist in this root", command);
		return 126;
	}
	err_set(err, errnum, "%s", command);
	return errnum == ENOENT ? 127 : 126;
}

static int exec_shell(const struct login *login, struct err *err)
{
	char name[PATH_MAX + 1];

	snprintf(name, sizeof name, "-%s", strrchr(login->shell, '/') + 1);
	execv(login->shell, (char *[]){ name, NULL });
	return exec_failed(login->shell, err);
}

int login_exec(const struct login *login, char *const *argv, char **environment, struct err *err)
{
	if (become_root(login, err) < 0)
		return 1;
	if (chdir(login->home) < 0 && chdir("/") < 0) {
		err_set(err, errno, "cannot change to /");
		return 1;
	}
	close_from(STDERR_FILENO + 1, login->descriptors_end);
	reset_signals();
	/* execvp(3) searches the PATH of `environ`, execvpe(3) too, not that of the environment it passes on. */
	environ = environment;
	if (!argv || !argv[0])
		return exec_shell(login, err);
	execvp(argv[0], argv);
	return exec_failed(argv[0], err);
}
