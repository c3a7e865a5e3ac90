/* check_windows: what of Windows would stop or spoil a boot on WSL, for `check`. */
#include "check_windows.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "host.h"
#include "interop.h"
#include "procs.h"
#include "text.h"
#include "util.h"
#include "windows_disk.h"
#include "windows_drive.h"
#include "windows_run.h"
#include "windows_text.h"
#include "wslconfig.h"

#define WHOAMI_MS 10000
#define POWERSHELL_MS 30000
#define FILE_MS 3000
#define FILE_MAX (64 * 1024)
#define BINFMT_MISC "/proc/sys/fs/binfmt_misc"

/* Without Windows a boot goes on where the disk is there already, or comes by itself. */
static enum severity missing(const struct conf *conf, bool device)
{
	return conf->wsl.attach && !device ? FINDING_STOPS : FINDING_SPOILS;
}

static bool check_drives(struct findings *findings, const struct conf *conf, const struct table *table, bool device)
{
	struct windows_drive drives[WINDOWS_DRIVES_MAX];
	size_t count = windows_drives(table, drives);

	if (count == 0) {
		findings_add(findings, missing(conf, device), "set enabled = true in [automount] of /etc/wsl.conf, then `wsl.exe --shutdown` on Windows",
			     "no drive of Windows is mounted: no Windows program can be run");
		return false;
	}
	findings_add(findings, FINDING_OK, NULL, "Windows programs are run from %s", drives[0].target);
	return true;
}

/* The entry's first line is "enabled" or "disabled". Nothing can be told where the filesystem is not mounted: an automount there must not be triggered. */
static bool is_binfmt_missing(const struct table *table)
{
	static const char *const entries[] = { "WSLInterop", "WSLInterop-late" };
	const struct table_mount *mount = table_find_target(table, BINFMT_MISC);

	if (!mount || strcmp(mount->type, "binfmt_misc") != 0)
		return false;
	for (size_t i = 0; i < sizeof entries / sizeof *entries; i++) {
		auto_fclose FILE *in = NULL;
		char path[80], word[16] = "";

		snprintf(path, sizeof path, BINFMT_MISC "/%s", entries[i]);
		in = fopen(path, "re");
		if (in && fscanf(in, "%15s", word) == 1 && strcmp(word, "enabled") == 0)
			return false;
	}
	return true;
}

static bool check_interop(struct findings *findings, const struct conf *conf, const struct table *table, bool device, char *const *environment)
{
	char path[INTEROP_PATH];
	struct err err;

	if (is_binfmt_missing(table))
		findings_add(findings, missing(conf, device),
			     "`wsl.exe --shutdown` on Windows brings it back; with systemd, `systemctl mask systemd-binfmt` keeps it",
			     "WSL's entry is missing from /proc/sys/fs/binfmt_misc: the kernel runs no Windows program");
	if (interop_find(INTEROP_DIR, interop_variable(environment, "WSL_INTEROP"), path, &err) < 0) {
		findings_add(findings, missing(conf, device), "log on to Windows and start a session of WSL; [interop] enabled = true in /etc/wsl.conf", "%s",
			     err.msg);
		return false;
	}
	findings_add(findings, FINDING_OK, NULL, "interop: %s answers", path);
	return true;
}

/* Why a program could not be asked: "whoami.exe did not end in time". */
static void tell_unanswered(struct findings *findings, const char *program, const struct windows_result *result, const char *what)
{
	auto_free char *said = windows_text_line(result->text ? result->text : "", 200);

	if (result->outcome == WINDOWS_RAN)
		findings_add(findings, FINDING_SPOILS, NULL, "%s: %s ended with status %d: %s", what, program, result->status, said ? said : "");
	else if (result->outcome == WINDOWS_TIMEOUT)
		findings_add(findings, FINDING_SPOILS, NULL, "%s: %s did not end in time", what, program);
	else
		findings_add(findings, FINDING_SPOILS, NULL, "%s: %s", what, result->err.msg);
}

/* By the integrity level, which is not translated: high, or the system's own. */
static void check_elevation(struct findings *findings, const struct conf *conf, bool device, char *const *environment)
{
	struct windows_result result;

	windows_run(&result, (const char *const[]){ WINDOWS_WHOAMI, "/groups", NULL }, environment, WHOAMI_MS);
	if (result.outcome != WINDOWS_RAN || result.status != 0)
		tell_unanswered(findings, "whoami.exe", &result, "whether this session is elevated is not known");
	else if (strstr(result.text, "S-1-16-16384"))
		findings_add(findings, missing(conf, device), "let the task run as the user", "this session runs as LocalSystem, whom WSL does not serve");
	else if (strstr(result.text, "S-1-16-12288"))
		findings_add(findings, FINDING_OK, NULL, "this session is elevated: Windows may hand over a disk to it");
	else
		findings_add(findings, missing(conf, device), "start gcdboot from a task with the highest privileges, or from an elevated terminal",
			     "this session is not elevated: Windows hands over no disk to it");
	windows_result_clear(&result);
}

static void describe_disk(struct findings *findings, const struct conf *conf, const struct windows_disks *disks, bool device)
{
	struct err err = { 0 };
	int number;

	if (windows_disk_choose(disks, conf->wsl.attach, &number, &err) < 0) {
		findings_add(findings, missing(conf, device), "name another disk in [wsl] attach", "%s", err.msg);
		return;
	}
	for (size_t i = 0; i < disks->count; i++) {
		const struct windows_disk *disk = &disks->disk[i];
		auto_free char *name = disk->number == number ? windows_disk_describe(disk) : NULL;

		if (!name)
			continue;
		if (disk->letters[0] && !disk->offline)
			findings_add(findings, missing(conf, device),
				     "take the disk offline in diskmgmt.msc, or close what uses it, where Windows does not hand it over",
				     "%s is %s, and Windows has volumes of it in use: %s", conf->wsl.attach, name, disk->letters);
		else
			findings_add(findings, FINDING_OK, NULL, "%s is %s, %s", conf->wsl.attach, name,
				     disk->offline ? "offline for Windows, as an attached disk is" : "which Windows does not use");
	}
}

/* The child: writes the beginning of the file to `out`. */
__attribute__((noreturn)) static void copy_file(const char *path, int out)
{
	static char buffer[FILE_MAX];
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	ssize_t n = fd < 0 ? -1 : read(fd, buffer, sizeof buffer - 1);

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	/* A byte in front: an empty file is an answer, too. */
	if (write(out, fd < 0 && errno == ENOENT ? "-" : n < 0 ? "?" : "+", 1) == 1 && n > 0 && write(out, buffer, (size_t)n) < 0)
		_exit(1);
	_exit(0);
}

/*
 * Reads a file on a Windows drive, which may not answer, within a time. Returns its text (malloc'ed, "" for a file that is not there), or NULL.
 */
static char *read_file(const char *path)
{
	int64_t deadline = util_now_ms() + FILE_MS, left;
	int pipe_fd[2];
	size_t len = 0;
	ssize_t n = 1;
	char *text = calloc(1, FILE_MAX + 1);
	pid_t pid;

	if (!text || pipe2(pipe_fd, O_CLOEXEC) < 0) {
		free(text);
		return NULL;
	}
	pid = fork();
	if (pid == 0)
		copy_file(path, pipe_fd[1]);
	close(pipe_fd[1]);
	while (n > 0 && len < FILE_MAX && (left = deadline - util_now_ms()) > 0) {
		struct pollfd wait = { .fd = pipe_fd[0], .events = POLLIN };

		if (poll(&wait, 1, (int)left) <= 0)
			break;
		n = read(pipe_fd[0], text + len, FILE_MAX - len);
		len += n > 0 ? (size_t)n : 0;
	}
	close(pipe_fd[0]);
	if (pid > 0) {
		kill(pid, SIGKILL);
		waitpid(pid, NULL, n == 0 ? 0 : WNOHANG);
	}
	if (n != 0 || text[0] == '?' || text[0] == '\0') {
		free(text);
		return NULL;
	}
	memmove(text, text + 1, len);
	return text;
}

/* "C:\Users\me" and a file name, as a path here: below the mount of that drive. NULL where that is not mounted. */
static char *linux_path(const char *windows, const char *file, const struct table *table)
{
	struct windows_drive drives[WINDOWS_DRIVES_MAX];
	size_t count = windows_drives(table, drives);
	char *path = NULL;

	for (size_t i = 0; i < count && windows[0] && windows[1] == ':'; i++) {
		if (drives[i].letter != toupper((unsigned char)windows[0]))
			continue;
		if (asprintf(&path, "%s%s/%s", drives[i].target, windows + 2, file) < 0)
			return NULL;
		for (char *p = path; *p; p++)
			if (*p == '\\')
				*p = '/';
		break;
	}
	return path;
}

static void check_idle_limits(struct findings *findings, const char *profile, const struct table *table)
{
	auto_free char *path = profile ? linux_path(profile, ".wslconfig", table) : NULL;
	auto_free char *text = path ? read_file(path) : NULL;
	struct wslconfig config;

	if (!text) {
		findings_add(findings, FINDING_SPOILS, NULL, "the idle limits of WSL are not known: %s could not be read in time",
			     path ? path : "%USERPROFILE%\\.wslconfig");
		return;
	}
	wslconfig_parse(&config, text);
	if (config.instance_idle < 0 && config.vm_idle < 0)
		findings_add(findings, FINDING_OK, NULL, "the idle limits of WSL are off (%s)", path);
	if (config.instance_idle >= 0)
		findings_add(findings, FINDING_SPOILS, "instanceIdleTimeout = -1 below [general] in %USERPROFILE%\\.wslconfig, then `wsl.exe --shutdown`",
			     "WSL ends a distribution that is idle for %ld s: the OS lives only as long as the session that gcdboot was started in",
			     config.instance_idle / 1000);
	if (config.vm_idle >= 0)
		findings_add(findings, FINDING_SPOILS, "vmIdleTimeout = -1 below [wsl2] in %USERPROFILE%\\.wslconfig, then `wsl.exe --shutdown`",
			     "WSL ends its virtual machine %ld s after the last distribution: the disk is taken away with it", config.vm_idle / 1000);
}

static void ask_windows(struct findings *findings, const struct conf *conf, const struct table *table, bool device, char *const *environment)
{
	struct windows_disks disks = { 0 };
	struct windows_result result;

	windows_run(&result, windows_disks_arguments, environment, POWERSHELL_MS);
	if (result.outcome != WINDOWS_RAN || result.status != 0 || windows_disks_parse(&disks, result.text) < 0) {
		tell_unanswered(findings, "powershell.exe", &result, "the disks and the idle limits of Windows are not known");
	} else {
		if (conf->wsl.attach)
			describe_disk(findings, conf, &disks, device);
		check_idle_limits(findings, disks.profile, table);
	}
	windows_disks_clear(&disks);
	windows_result_clear(&result);
}

/* Of the namespaces of this distribution's processes: those that show a drive of Windows, without the OS's own, which holds the drive below a root of its own. */
static size_t count_namespaces(void)
{
	struct host_ns seen[16];
	struct procs all = { 0 };
	size_t count = 0;

	if (procs_all(&all) < 0)
		return 0;
	for (size_t i = 0; i < all.count && count < sizeof seen / sizeof *seen; i++) {
		struct windows_drive drives[WINDOWS_DRIVES_MAX];
		struct table table = { 0 };
		struct host_ns ns;
		char path[64], root[PATH_MAX];
		bool known = procs_ns(all.proc[i].pid, &ns) < 0;

		for (size_t j = 0; j < count && !known; j++)
			known = seen[j].dev == ns.dev && seen[j].ino == ns.ino;
		procs_link(all.proc[i].pid, "root", root);
		snprintf(path, sizeof path, "/proc/%d/mountinfo", all.proc[i].pid);
		if (known || strcmp(root, "/") != 0 || table_read(&table, path, NULL) < 0)
			continue;
		if (windows_drives(&table, drives) > 0)
			seen[count++] = ns;
		table_clear(&table);
	}
	procs_clear(&all);
	return count;
}

static void check_namespaces(struct findings *findings)
{
	size_t count = count_namespaces();

	if (count > 1)
		findings_add(findings, FINDING_OK, NULL,
			     "%zu mount namespaces: WSL has one for elevated sessions and one for the others. `enter`, `status` and `stop` work from each",
			     count);
	else
		findings_add(
		    findings, FINDING_OK, NULL,
		    "one mount namespace so far; WSL makes a second one for sessions that are not elevated. `enter`, `status` and `stop` work from each");
}

void check_windows(struct findings *findings, const struct conf *conf, const struct table *table, bool device, char *const *environment)
{
	bool drives = check_drives(findings, conf, table, device);
	bool interop = check_interop(findings, conf, table, device, environment);

	if (drives && interop) {
		check_elevation(findings, conf, device, environment);
		ask_windows(findings, conf, table, device, environment);
	}
	check_namespaces(findings);
}
